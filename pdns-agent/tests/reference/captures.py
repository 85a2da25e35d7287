#!/usr/bin/env python3
"""Writes the captures that no collection has, and what each must lead to.

    captures.py FOLDER

writes FOLDER/NAME.pcap and FOLDER/index.json:
{NAME: {ports, options, records, negatives, differs, apart, optional}}.
`records` is [[rrname, rrtype, rdata, count, unsolicited]], all that may be stored, worked out by hand;
`negatives` has an outcome in place of RDATA. `differs` is [[sentence of packets.py, reason]], `apart`
[{reason, lacks: [rrname], adds: [rrname]}], the owners whose rows tshark lacks, or adds to what is right.
`optional` are owners whose rows may be there or not.
The same on every run, to the octet.
"""

import json
import sys
from pathlib import Path

from made import answers, malformed, network, package, pairs, stream, types  # noqa: F401
from made.build import CAPTURES, made
from rdata import shown


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for title in CAPTURES:
        capture = made(title)
        capture.write(folder / f"{title}.pcap")
        records = [
            [owner, rrtype, shown(rrtype, text), *rest] for owner, rrtype, text, *rest in capture.records
        ]
        index[title] = {"ports": capture.ports, "options": capture.options, "records": records}
        index[title] |= {"negatives": capture.negatives, "differs": capture.differs, "apart": capture.apart}
        index[title] |= {"optional": capture.optional}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
