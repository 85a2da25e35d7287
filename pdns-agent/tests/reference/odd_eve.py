#!/usr/bin/env python3
"""EVE logs that are odd in every line, always the same for the same seed.

    odd_eve.py SEED LINES

prints events of every version and form, with names, types, sections and RDATA that do and do not belong together;
events of other kinds; and lines that are no events. Each line is one that both readers have a word for.
"""

import json
import random
import sys

NAMES = [
    "a.example", "B.example", "c.a.example", "www.example.com", "cdn.example.net", "example.com", "com", "", "example",
    "h\\xf6st.example", "bücher.example", "x y.example", "version.bind", "a..example", "." , "1.2.0.192.in-addr.arpa",
    "l" * 63 + ".example", "l" * 64 + ".example", "a.example.", "\\x41.example", "tab\t.example",
]  # fmt: skip
TYPES = ["A", "AAAA", "CNAME", "MX", "NS", "NULL", "PTR", "SOA", "SRV", "SSHFP", "TXT"]
OTHERS = ["HTTPS", "RRSIG", "DNSKEY", "NAPTR", "DNAME", "65280", "TYPE65281", "OPT", "TSIG", "ANY", "AXFR", "NOTYPE"]
RCODES = ["NOERROR"] * 8 + ["NXDOMAIN", "SERVFAIL", "REFUSED"]
NUMBERS = {"NOERROR": 0, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}


def rdata(dice, rrtype):
    """What an event has of the RDATA: a text, an object, or nothing."""
    name = lambda: dice.choice(NAMES[:8] + NAMES)  # noqa: E731
    if rrtype == "A":
        return dice.choice(["192.0.2.1", "192.0.2.2", "198.51.100.7", "", "1.2.3"])
    if rrtype == "AAAA":
        return dice.choice(["2001:0db8:0000:0000:0000:0000:0000:0001", "::1", "", "192.0.2.1"])
    if rrtype in ("CNAME", "MX", "NS", "PTR"):
        return name()
    if rrtype in ("TXT", "NULL"):
        return dice.choice(["", "v=spf1 -all", "\\xff\\x80", "\u0000", "ü", "x" * 255, "x" * 256, "\\x41", '"'])
    if rrtype == "SOA":
        numbers = {field: dice.randrange(2**32) for field in ("serial", "refresh", "retry", "expire", "minimum")}
        return {"mname": name(), "rname": name()} | numbers
    if rrtype == "SRV":
        return {"priority": 1, "weight": 2, "port": 3, dice.choice(["name", "target"]): name()}
    if rrtype == "SSHFP":
        return {"fingerprint": dice.choice(["f9:0f", "00", "f9:0"]), "algo": 1, "type": dice.randrange(256)}
    return None


def entry(dice, qname, qtype):
    rrtype = dice.choice([qtype, "CNAME", *TYPES, dice.choice(OTHERS)])
    made = {"rrname": dice.choice([qname, qname, *NAMES]), "rrtype": rrtype}
    if dice.random() < 0.9:
        made["ttl"] = dice.choice([0, 60, 300, 86400, 2**31 - 1, 2**31, 2**32 - 1])
    value = rdata(dice, rrtype)
    if isinstance(value, dict):
        made[rrtype.lower()] = value
    elif value is not None:
        made["rdata"] = value
        if dice.random() < 0.03:
            made["rdata_truncated"] = True
    # The upper bits of the RCODE come in no other record of version 2.
    if rrtype == "OPT":
        made["ttl"] = 32768
    return made


def section(dice, qname, qtype, most):
    return [entry(dice, qname, qtype) for _ in range(dice.randrange(most))]


def groups(dice, qtype):
    types = {qtype, *dice.sample(["CNAME", "A", "AAAA", "TXT", "NS", "SOA", "MX"], dice.randrange(3))}
    made = {}
    for rrtype in sorted(types & set(TYPES)):
        if dice.random() < 0.8:
            made[rrtype] = [rdata(dice, rrtype) for _ in range(dice.choice([1, 1, 2, 3]))]
    if dice.random() < 0.02:
        made["NOTYPE"] = ["x"]
    return made


def event(dice):
    version = dice.choice([2, 2, 3, 3, 3])
    qname = dice.choice(NAMES[:6] + NAMES)
    qtype = dice.choice(TYPES + ["A", "A", "CNAME"] + OTHERS)
    rcode = dice.choice(RCODES)
    bits = {"aa": 0x400, "tc": 0x200, "rd": 0x100, "ra": 0x80}
    on = [bit for bit in bits if dice.random() < {"tc": 0.05, "aa": 0.3}.get(bit, 0.8)]
    opcode = dice.choice([0] * 30 + [4, 5])
    flags = 0x8000 | NUMBERS[rcode] | opcode << 11 | sum(bits[bit] for bit in on)
    dns = {"version": version, "type": "answer" if version == 2 else "response", "flags": f"{flags:x}", "rcode": rcode}
    dns |= dict.fromkeys(on, True) | {"opcode": opcode}
    query = {"rrname": qname, "rrtype": qtype}
    if version == 2:
        dns |= query
    else:
        dns["queries"] = [query] * dice.choice([1] * 30 + [0, 2])
    if dice.random() < 0.5:
        dns["answers"] = section(dice, qname, qtype, 5)
    if dice.random() < 0.5:
        dns["grouped"] = groups(dice, qtype)
    if dice.random() < 0.4:
        dns["authorities"] = section(dice, "example", dice.choice(["NS", "SOA"]), 3)
    if dice.random() < 0.2:
        dns["additionals"] = section(dice, "ns.example", "A", 3)
    if dice.random() < 0.05:
        dns["type"] = "query" if version == 2 else "request"
    if dice.random() < 0.02:
        dns["version"] = dice.choice([1, 4])
    ports = {"src_port": 5000, "dest_port": dice.choice([53] * 30 + [5353, 5355, 8053])}
    at = f"2024-01-{dice.randrange(1, 29):02}T0{dice.randrange(10)}:00:{dice.randrange(60):02}"
    at += f".{dice.randrange(10**6):06}"
    zone = dice.choice(["+0000", "+0530", "-0800"])
    return {"timestamp": at + zone, "flow_id": dice.randrange(2**60), "event_type": "dns"} | ports | {"dns": dns}


def line(dice):
    kind = dice.random()
    if kind < 0.02:
        return dice.choice(["", "  ", "{", "[]", '{"event_type":"dns"', "nothing", "{}{}"])
    if kind < 0.05:
        return json.dumps({"event_type": dice.choice(["flow", "alert"]), "dns": dice.choice([1, [{}], None])})
    return json.dumps(event(dice), ensure_ascii=dice.random() < 0.5, separators=dice.choice([(",", ":"), None]))


def main():
    dice = random.Random(int(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        print(line(dice))


if __name__ == "__main__":
    main()
