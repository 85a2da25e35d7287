#!/usr/bin/env python3
"""The records that Suricata lists in its EVE log of responses (dns version 3, detailed).

    eve.py EVE...

prints a JSON array of {rrname, rrtype, rdata, count}. `rdata` is `\\# length hex` as packets.py has it, null for
a type of which Suricata logs no RDATA. A TXT record is one entry for each of its strings, and is counted by
string under its owner, without RDATA.
"""

import ipaddress
import json
import sys
from collections import Counter

import wire
from packets import hexed

NAMES = {"NS", "CNAME", "PTR"}


def labels(text):
    return tuple(label.encode("latin-1").lower() for label in text.split(".") if label)


def name(text):
    return wire.name_octets(labels(text))


def rdata_of(record):
    rrtype, text = record["rrtype"], record.get("rdata")
    if rrtype in ("A", "AAAA") and text:
        return ipaddress.ip_address(text).packed
    if rrtype in NAMES:
        return name(text)
    if rrtype == "SOA":
        soa = record["soa"]
        numbers = [soa[field] for field in ("serial", "refresh", "retry", "expire", "minimum")]
        return (
            name(soa["mname"]) + name(soa["rname"]) + b"".join(number.to_bytes(4, "big") for number in numbers)
        )
    if rrtype == "SRV":
        srv = record["srv"]
        return b"".join(srv[field].to_bytes(2, "big") for field in ("priority", "weight", "port")) + name(
            srv["name"]
        )
    if rrtype == "SSHFP":
        sshfp = record["sshfp"]
        return bytes([sshfp["algo"], sshfp["type"]]) + bytes.fromhex(sshfp["fingerprint"].replace(":", ""))
    return None


def main(paths):
    listed = Counter()
    for path in paths:
        for line in open(path):
            dns = json.loads(line)["dns"]
            if dns["type"] != "response":
                continue
            for section in ("answers", "authorities", "additionals"):
                for record in dns.get(section, []):
                    rdata = rdata_of(record)
                    shown = None if rdata is None else hexed(rdata)
                    listed[wire.name_text(labels(record["rrname"])), record["rrtype"], shown] += 1
    keys = ("rrname", "rrtype", "rdata")
    rows = sorted(listed.items(), key=lambda item: [str(part) for part in item[0]])
    json.dump([dict(zip(keys, key)) | {"count": count} for key, count in rows], sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
