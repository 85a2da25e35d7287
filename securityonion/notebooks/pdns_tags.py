"""The tags of a store, from a file: `pdns tag list --format json --limit 0 > tags.json`.

A server says itself which rows are tagged, in COF's field `pdns_tags`; a file adds what an analyst brings along, with the notes.
A tag on `example.com` is for that name, one on `*.example.com` (in the file, `.example.com`) for it and all below it, one on a
prefix for each address within. Of threat and trust the nearest decides, at each end of a record, as everywhere in pdns.
"""

import ipaddress
import json
import re

import pandas as pd

from pdns_api import PdnsError, escaped

COLUMNS = ["kind", "subject", "note", "source", "author", "time"]


def read(path):
    """The tags of a file as a table; an empty one without a path."""
    if not path:
        return pd.DataFrame(columns=COLUMNS, dtype="str")
    try:
        with open(path, encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines if line.strip()]
        made = pd.DataFrame([{name: escaped(row.get(name, "")) for name in COLUMNS[:-1]} | {"time": int(row["time"])} for row in rows])
    except OSError as error:
        raise PdnsError(f"cannot read the tags in {path}: {error.strerror}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PdnsError(f"{path} holds no tags; write it with `pdns tag list --format json --limit 0`") from error
    if made.empty:
        return read(None)
    made["time"] = pd.to_datetime(made["time"], unit="s", utc=True)
    return made


OPPOSITE = {"threat": "trust", "trust": "threat"}


def in_effect(kinds):
    """Of sets of kinds, the nearest first, those that count: of threat and trust the nearest decides, interest stands beside."""
    found = set()
    for nearer in kinds:
        found |= {kind for kind in nearer if OPPOSITE.get(kind) not in found}
    return found


def applied(table, tags):
    """The same table of records, with the tags of both ends in its column `tags`."""
    names, nets = {}, {}
    for kind, subject in zip(tags["kind"], tags["subject"]):
        try:
            nets.setdefault(ipaddress.ip_network(subject, strict=False), set()).add(kind)
        except ValueError:
            # pdns writes all below a domain as `.example.com`.
            subject = "*" + subject if subject.startswith(".") else subject
            names.setdefault(subject, set()).add(kind)
    longest = sorted(nets, key=lambda net: -net.prefixlen)

    def of(text):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return of_name(text)
        return in_effect(nets[net] for net in longest if address in net)

    def of_name(text):
        # A backslash takes the dot behind it into the label.
        above = [0, *(dot.end() for dot in re.finditer(r"(?<!\\)(?:\\\\)*\.", text))]
        return in_effect([names.get(text, set()), *(names.get(f"*.{text[at:]}", set()) for at in above)])

    known = {text: of(text) for text in pd.unique(pd.concat([table["rrname"], table["rdata"]]))}
    made = table.copy()
    merged = [
        ", ".join(sorted((set(there.split(", ")) | known[name] | known[rdata]) - {""}))
        for there, name, rdata in zip(table["tags"], table["rrname"], table["rdata"])
    ]
    made["tags"] = pd.Series(merged, index=made.index, dtype="str")
    made.attrs = table.attrs
    return made
