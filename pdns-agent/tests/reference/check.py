#!/usr/bin/env python3
"""Whether packets.py reads the made captures as they must be read by hand: each rule is seen to do what it says.

    check.py FOLDER

reads what captures.py wrote there, prints a line for each difference, and ends with 1 when there is one.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path

from packets import read


def options_of(made):
    words = made["options"]
    after = dict(zip(words, words[1:]))
    return Namespace(
        port=made["ports"],
        timeout=float(after.get("--timeout", 10)),
        drop_unsolicited="--drop-unsolicited" in words,
    )


def rows_of(result):
    records = [
        (row["rrname"], row["rrtype"], row["rdata"], row["count"], row["unsolicited"])
        for row in result["records"]
    ]
    negatives = [
        (row["rrname"], row["rrtype"], row["outcome"], row["count"], row["unsolicited"])
        for row in result["negatives"]
    ]
    return set(records + negatives)


def differences(path, made):
    result = read(str(path), options_of(made))
    lacks = {owner for apart in made["apart"] for owner in apart["lacks"]}
    adds = {owner for apart in made["apart"] for owner in apart["adds"]}
    wanted, found = set(map(tuple, made["records"] + made["negatives"])), rows_of(result)
    for row in sorted(wanted - found):
        if row[0] not in made["optional"] and row[0] not in lacks:
            yield f"lacks {row}"
    for row in sorted(found - wanted):
        if row[0] not in made["optional"] and row[0] not in adds:
            yield f"adds {row}"
    for owner in lacks | adds:
        if (owner in {row[0] for row in wanted}) == (owner in {row[0] for row in found}) and owner not in made[
            "optional"
        ]:
            yield f"{owner} is no difference"
    said = [sentence for sentence, _ in made["differs"]]
    yield from (f"does not say: {sentence}" for sentence in said if sentence not in result["differs"])
    yield from (f"says: {sentence}" for sentence in result["differs"] if sentence not in said)


def main(folder):
    index = json.loads(Path(folder, "index.json").read_text())
    failed = False
    for title, made in index.items():
        for difference in differences(Path(folder, f"{title}.pcap"), made):
            failed = True
            print(f"{title}: {difference}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
