#!/usr/bin/env python3
"""From the text of RDATA to its octets, by dnspython: the way back of what `pdns` shows.

    rdata.py < ROWS > OCTETS

reads a JSON array of [rrtype, text] and prints the array of `\\# length hex`, in order; what dnspython cannot
read becomes `unreadable: TEXT`, which is like nothing else.
"""

import json
import struct
import sys

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype

# Types of one or two names that dnspython has no class for (RFC 1035 section 3.3).
NAMES = {"MD": 1, "MF": 1, "MB": 1, "MG": 1, "MR": 1, "MINFO": 2, "TALINK": 2}
# Types of the same form as another (CLA: strings; RKEY: as a key).
LIKE = {"CLA": "TXT", "RKEY": "DNSKEY"}


def octets_of(rrtype, text):
    words = text.split()
    if words[:1] == ["\\#"]:
        octets = bytes.fromhex("".join(words[2:]))
        if len(octets) != int(words[1]):
            raise ValueError("length")
        return octets
    if rrtype in NAMES:
        if len(words) != NAMES[rrtype]:
            raise ValueError("names")
        return b"".join(dns.name.from_text(word, dns.name.root).to_wire() for word in words)
    if rrtype in ("DS", "CDS", "DLV"):
        # dnspython refuses digests of another length than their algorithm's.
        return struct.pack("!HBB", *map(int, words[:3])) + bytes.fromhex("".join(words[3:]))
    # Types of another's form that dnspython does not know.
    rdata = dns.rdata.from_text("IN", LIKE.get(rrtype, rrtype), text, origin=dns.name.root, relativize=False)
    return rdata.to_wire()


def shown(rrtype, text):
    try:
        octets = octets_of(rrtype, text)
    except (ValueError, TypeError, struct.error, dns.exception.DNSException, NotImplementedError):
        return f"unreadable: {text}"
    return f"\\# {len(octets)} {octets.hex()}".rstrip()


if __name__ == "__main__":
    json.dump([shown(rrtype, text) for rrtype, text in json.load(sys.stdin)], sys.stdout)
