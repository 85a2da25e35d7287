#!/usr/bin/env python3
"""Writes a Zeek DNS log full of what real logs hold once in a million rows.

    odd.py SEED ROWS tsv|json

Names at and beyond every limit, octets that need escapes, each kind of answer whole and broken, chains in
any order under any query type, times and TTLs at the edges, fields unset, renamed or nested. The same
arguments give the same log. zeek.py and the decoder must read it alike.
"""

import datetime
import json
import random
import sys

PLAIN = [b"a.example", b"b.example", b"c.test", b"1.2.0.192.in-addr.arpa"]
NAMES = PLAIN + [
    b"B.Example", b"final.dot.test.", b"", b".", b"x..y", b".x", b"in-addr.arpa", b"xin-addr.arpa",
    b"8.b.d.0.1.0.0.2.ip6.arpa", b"with space.test", b"at@host.test", b"tab\tin.test", b"nul\x00.test",
    b"\xff\xfe.test", "\u00fc.test".encode(), b"back\\slash.test", b"\\x41.test", b"a,b.test", b'"q".test',
    b"$;().test", b"*.test", b"\x7f.test", b"#h.test", b"{j.test", b"-", b"(empty)", b"AT&T.test",
    b"l" * 63 + b".test", b"l" * 64 + b".test", b".".join([b"m" * 61] * 4) + b".xxxxx",
    b".".join([b"m" * 61] * 4) + b".xxxxxx",
]  # fmt: skip
DATA = [
    b"192.0.2.1", b"192.0.2.2", b"2001:db8::1", b"2001:DB8:0:0::1", b"::ffff:192.0.2.1", b"::192.0.2.1",
    b"::", b"1:0:0:2:0:0:0:3", b"1:2:3:4:5:6:192.0.2.1", b"TXT 3 abc", b"TXT 0 ", b"TXT 1 a TXT 2 bc",
    b'TXT 3 a"\\', b"TXT 1  ", b"TXT 3 a\x1b\xff", b"TXT 2 a,", b"SPF 7 v=spf1 ", b"SPF 1 a SPF 1 b",
    b"NAPTR 1 2 s SIP+D2U _sip._udp.test", b"NAPTR 1 2 u E2U+sip !^.*$!sip:a@b!i",
    b"NAPTR 1 2   !a b!c! d.test", b"NAPTR 1 2 s x ",
]  # fmt: skip
BROKEN = [
    b"192.0.2.01", b"256.1.1.1", b"1.2.3", b"fe80::1%eth0", b"1:2:3", b"TXT 0", b"TXT 5 abc", b"TXT 1 ab",
    b"TXT +1 a", b"TXT 256 a", b"TXT 1 a SPF 1 b", b"NAPTR 65536 2 s a b", b"NAPTR 1 2 u x !a!b",
    b"NAPTR 1 2 s x l..m", b"RRSIG 1 a.test", b"RRSIG 1 <Root>", b"DNSKEY 8", b"DS 8 2", b"NSEC a b",
    b"NSEC3", b"NSEC3PARAM", b"SSHFP: aa", b"LOC:  1 2 3", b"BIND9 signing signal", b"<unknown type=39>",
    b"pre: x", b"del: y", b"add: A h 192.0.2.1",
]  # fmt: skip
TYPES = [1, 1, 1, 28, 5, 2, 15, 33, 6, 12, 16, 35, 39, 64, 65, 99, 249, 255, 65280, None]
FIELDS = (
    "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto rtt query qclass qtype qtype_name rcode rcode_name "
    "AA TC RD RA Z answers TTLs rejected opcode"
).split()


def answer(rng):
    pick = rng.random()
    if pick < 0.02:
        return None
    return rng.choice(PLAIN if pick < 0.35 else DATA if pick < 0.7 else NAMES if pick < 0.85 else BROKEN)


def ttl(rng):
    return rng.choice([60, 60, 300]) if rng.random() < 0.85 else rng.choice([None, -1, 0, 59.9, 2**31, 2**32])


def row(rng):
    """One row's values; None is unset."""
    often = lambda usual, *others: usual if rng.random() < 0.9 else rng.choice(others)  # noqa: E731
    count = rng.choice([0, 0, 1, 1, 2, 2, 3, 4, 6])
    qtype = rng.choice(TYPES)
    rcode = often(0, 3, 2, 5, 23, 99, None)
    return {
        "ts": often(1300000000 + rng.randrange(400) / 4, 0, -1, -0.5, 2**32 - 0.25, 2**32, None),
        "uid": "C1",
        "id.orig_h": "192.0.2.9",
        "id.orig_p": often(40000, 137, 5353, 5355),
        "id.resp_h": "192.0.2.8",
        "id.resp_p": often(53, 137, 5353, 5355, 5354),
        "proto": "udp",
        "rtt": rng.choice([None, 0.25]),
        "query": rng.choice(PLAIN) if rng.random() < 0.7 else rng.choice(NAMES + [None]),
        "qclass": often(1, None, 3, 255),
        "qtype": qtype,
        "qtype_name": rng.choice([None, "A", "*", "PTR", "HTTPS", "query-77"]) if qtype is None else "X",
        "rcode": rcode,
        "rcode_name": rng.choice([None, "NOERROR", "NXDOMAIN", "rcode-77"]) if rcode is None else None,
        **{name: rng.random() < 0.4 for name in ("AA", "TC", "RD", "RA", "rejected")},
        "Z": 0,
        "answers": [answer(rng) for _ in range(count)] if count or rng.random() < 0.3 else None,
        # Now and then one too few, or none at all.
        "TTLs": often([ttl(rng) for _ in range(count)] or None, None, [60] * (count - 1) or None),
        "opcode": often(0, None, 4, 5),
    }


def escaped(octets, in_vector):
    """As Zeek's ASCII writer has it."""
    if octets == b"":
        return b"(empty)"
    out = b""
    for octet in octets:
        if octet == 0x5C:
            out += b"\\\\"
        elif 0x20 <= octet <= 0x7E and not (in_vector and octet == 0x2C):
            out += bytes([octet])
        else:
            out += b"\\x%02x" % octet
    return b"\\x%02x" % out[0] + out[1:] if out in (b"-", b"(empty)") else out


def tsv_value(value, in_vector=False):
    match value:
        case None:
            return b"-"
        case bool():
            return b"T" if value else b"F"
        case bytes():
            return escaped(value, in_vector)
        case float():
            return b"%.6f" % value
        case []:
            return b"(empty)"
        case list():
            return b",".join(tsv_value(element, True) for element in value)
    return str(value).encode()


def tsv(values):
    line = b"\t".join(tsv_value(values[name]) for name in FIELDS)
    return b"\\x23" + line[1:] if line.startswith(b"#") else line


def json_text(octets, pua):
    """By one of the two policies for octets that are no text."""
    try:
        text = octets.decode()
        if text.isprintable() and "\\x" not in text:
            return text
    except UnicodeDecodeError:
        pass
    other = (lambda octet: chr(0xF0000 + octet)) if pua else (lambda octet: f"\\x{octet:02x}")
    return "".join(chr(octet) if 0x20 <= octet <= 0x7E and octet != 0x5C else other(octet) for octet in octets)


def json_line(values, rng):
    pua = rng.random() < 0.3
    shown = lambda value: json_text(value, pua) if isinstance(value, bytes) else value  # noqa: E731
    out = {}
    for name in FIELDS:
        value = values[name]
        if value is not None or rng.random() < 0.1:
            out[name] = [shown(element) for element in value] if isinstance(value, list) else shown(value)
    form = rng.randrange(12)
    if form == 0 and out.get("ts"):
        out["ts"] = int(out["ts"] * 1000)
    elif form == 1 and out.get("ts") and out["ts"] > 0:
        at = datetime.datetime.fromtimestamp(out["ts"], datetime.timezone.utc)
        out["ts"] = at.strftime("%Y-%m-%dT%H:%M:%S.%f") + rng.choice(["Z", "+00:00", "-05:30"])
    elif form == 2:
        out["id"] = {name[3:]: out.pop(name) for name in list(out) if name.startswith("id.")}
    elif form == 3:
        out |= {name.replace(".", "_"): out.pop(name) for name in list(out) if name.startswith("id.")}
    elif form == 4:
        out["_path"] = rng.choice(["dns", "conn", "json_streaming_dns"])
    return json.dumps(out, ensure_ascii=rng.random() < 0.5).encode()


def main(seed, rows, form):
    rng = random.Random(int(seed))
    out = sys.stdout.buffer
    if form == "tsv":
        out.write(b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n")
        out.write(b"#fields\t" + "\t".join(FIELDS).encode() + b"\n")
    for _ in range(int(rows)):
        values = row(rng)
        out.write((tsv(values) if form == "tsv" else json_line(values, rng)) + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
