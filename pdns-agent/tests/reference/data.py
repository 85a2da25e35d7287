#!/usr/bin/env python3
"""Writes tests/data: small captures, logs and lists of our own, for tests whose real data is not at hand.

    data.py FOLDER

The folders and files are called like the real ones that they stand in for; all names and addresses are those of
RFC 2606, 3849 and 5737. The standard library only, and the same octets on every run.
"""

import gzip
import ipaddress
import json
import lzma
import random
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

START = 1_700_000_000 * 10**6  # microseconds since the epoch
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "WKS": 11, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "AAAA": 28,
         "SRV": 33, "NAPTR": 35, "SVCB": 64, "HTTPS": 65, "TSIG": 250, "CAA": 257}  # fmt: skip
QR, AA, RD, RA = 0x8000, 0x0400, 0x0100, 0x0080
USUAL = QR | RD | RA
RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN"}
SOA = "ns1.example.com root.example.com 1 7200 3600 1209600 300"


# --- messages ---------------------------------------------------------------------------------


def name(text):
    labels = [label.encode() for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def string(text):
    return bytes([len(text)]) + text.encode()


def octets(rrtype, rdata):
    if isinstance(rdata, bytes):
        return rdata
    words = rdata.split(" ")
    if rrtype in ("A", "AAAA"):
        return ipaddress.ip_address(rdata).packed
    if rrtype in ("NS", "CNAME", "PTR"):
        return name(rdata)
    if rrtype == "MX":
        return struct.pack("!H", int(words[0])) + name(words[1])
    if rrtype == "SRV":
        return struct.pack("!3H", *map(int, words[:3])) + name(words[3])
    if rrtype == "SOA":
        return name(words[0]) + name(words[1]) + struct.pack("!5I", *map(int, words[2:]))
    return string(rdata)  # TXT


@dataclass
class RR:
    owner: str
    rrtype: str
    rdata: str | bytes
    ttl: int = 300
    cls: int = 1

    def octets(self):
        rdata = octets(self.rrtype, self.rdata)
        return name(self.owner) + struct.pack("!HHIH", TYPES[self.rrtype], self.cls, self.ttl, len(rdata)) + rdata


@dataclass
class Exchange:
    """A question and its answer, if there is one."""

    qname: str
    qtype: str = "A"
    answers: list = field(default_factory=list)
    authority: list = field(default_factory=list)
    additional: list = field(default_factory=list)
    rcode: int = 0
    flags: int = USUAL
    wants: int = RD
    at: int = START
    ident: int = 1
    port: int = 20_001
    client: str = "192.0.2.1"
    server: str = "198.51.100.53"
    answered: bool = True

    def question(self):
        return name(self.qname) + struct.pack("!HH", TYPES[self.qtype], 1)

    def query(self):
        return struct.pack("!6H", self.ident, self.wants, 1, 0, 0, 0) + self.question()

    def response(self):
        sections = [self.answers, self.authority, self.additional]
        head = struct.pack("!6H", self.ident, self.flags | self.rcode, 1, *map(len, sections))
        return head + self.question() + b"".join(rr.octets() for part in sections for rr in part)

    def frames(self):
        """Both messages, each in a datagram of its own."""
        out = [(self.at, udp(self.query(), (self.client, self.port), (self.server, 53)))]
        if self.answered:
            out.append((self.at + 2_000, udp(self.response(), (self.server, 53), (self.client, self.port))))
        return out


# --- packets ----------------------------------------------------------------------------------


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(packet, vlan=None):
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"
    return bytes.fromhex("020000000002020000000001") + tag + kind + packet


def packed(address):
    return ipaddress.ip_address(address).packed


def ip(protocol, source, target, payload, fragment=0, ident=0):
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + packed(source) + packed(target) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, fragment, 64, protocol, 0)
    head += packed(source) + packed(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def summed(protocol, source, target, segment, at):
    """A segment with its checksum, which is at `at`."""
    pseudo = packed(source) + packed(target) + struct.pack("!II", len(segment), protocol)
    return segment[:at] + struct.pack("!H", checksum(pseudo + segment) or 0xFFFF) + segment[at + 2 :]


def datagram(payload, source, target, length=None):
    length = 8 + len(payload) if length is None else length
    head = struct.pack("!4H", source[1], target[1], length, 0)
    return summed(17, source[0], target[0], head + payload, 6)


def udp(payload, source, target, length=None):
    return ethernet(ip(17, source[0], target[0], datagram(payload, source, target, length)))


def fragments(frame, ident):
    """The same datagram in fragments of 64 octets."""
    packet = frame[14:]
    payload = packet[20:]
    source, target = (str(ipaddress.ip_address(packet[at : at + 4])) for at in (12, 16))
    for at in range(0, len(payload), 64):
        more = 0x2000 if at + 64 < len(payload) else 0
        yield ethernet(ip(packet[9], source, target, payload[at : at + 64], more | at // 8, ident))


def fragments6(source, target, payload):
    for at in range(0, len(payload), 64):
        more = 1 if at + 64 < len(payload) else 0
        header = struct.pack("!BBHI", 17, 0, at | more, 7)
        yield ethernet(ip(44, source, target, header + payload[at : at + 64]))


class Stream:
    """One TCP connection from port 30001 to port 53."""

    def __init__(self, at=START):
        self.ends = [("192.0.2.1", 30_001), ("198.51.100.53", 53)]
        self.next, self.at, self.frames = [1_000, 9_000], at, []
        self.send(0, flags=2)
        self.send(1, flags=0x12)
        self.send(0)

    def send(self, side, payload=b"", flags=0x10, is_lost=False):
        source, target = self.ends[side], self.ends[1 - side]
        ack = self.next[1 - side] if flags != 2 else 0
        flags |= 8 if payload else 0
        head = struct.pack("!HHIIBBHHH", source[1], target[1], self.next[side], ack, 0x50, flags, 65_000, 0, 0)
        segment = summed(6, source[0], target[0], head + payload, 16)
        if not is_lost:
            self.frames.append((self.at, ethernet(ip(6, source[0], target[0], segment))))
        self.next[side] += len(payload) + (flags & 3 != 0)
        self.at += 1_000

    def messages(self, side, messages, **how):
        self.send(side, b"".join(struct.pack("!H", len(one)) + one for one in messages), **how)

    def end(self):
        for side in (0, 1):
            self.send(side, flags=0x11)
        self.send(0)
        return self.frames


def pcap(frames, order="<"):
    out = struct.pack(f"{order}IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    for at, frame in frames:
        out += struct.pack(f"{order}IIII", at // 10**6, at % 10**6, len(frame), len(frame)) + frame
    return out


# --- what a site asks -------------------------------------------------------------------------


DOMAINS = ["example.com", "example.net", "example.org", "shop.example", "mail.test", "cdn.example.net"]
HOSTS = ["", "www.", "mail.", "api.", "img.", "a.b.", "static.", "x1."]


def site(count, seed=7, step=1_500_000, domains=DOMAINS, spread=40):
    """Exchanges of all kinds, some of them again and again."""
    dice = random.Random(seed)
    for number in range(count):
        domain = dice.choice(domains)
        owner = dice.choice(HOSTS) + domain
        ttl = dice.choice([30, 60, 300, 3_600, 86_400])
        four = [f"{dice.choice(['192.0.2', '198.51.100', '203.0.113'])}.{dice.randrange(spread)}" for _ in range(2)]
        six = f"2001:db8:{dice.randrange(3)}::{dice.randrange(1, spread):x}"
        servers = [RR(domain, "NS", f"ns{host}.{domain}", 3_600) for host in (1, 2)]
        glue = [RR(f"ns1.{domain}", "A", "192.0.2.53", 3_600)]
        one = Exchange(owner, at=START + number * step, ident=number + 1, port=20_001 + number)
        kind = dice.randrange(14)
        if kind < 4:
            one.answers = [RR(owner, "A", address, ttl) for address in sorted(set(four))]
        elif kind == 4:
            one.qtype, one.answers = "AAAA", [RR(owner, "AAAA", six, ttl)]
        elif kind in (5, 6):
            alias = f"e{dice.randrange(6)}.cdn.example.net"
            one.qname = f"alias{dice.randrange(9)}.{domain}"
            one.answers = [RR(one.qname, "CNAME", alias, ttl), RR(alias, "A", four[0], 60)]
        elif kind == 7:
            one.qname, one.qtype, one.answers, one.additional = domain, "NS", servers, glue
        elif kind == 8:
            one.qname, one.qtype, one.answers = domain, "MX", [RR(domain, "MX", f"10 mail.{domain}", ttl)]
        elif kind == 9:
            octet = dice.randrange(spread)
            one.qname, one.qtype = f"{octet}.2.0.192.in-addr.arpa", "PTR"
            one.answers = [RR(one.qname, "PTR", owner, ttl)]
        elif kind == 10:
            one.qname, one.qtype, one.answers = domain, "TXT", [RR(domain, "TXT", "v=spf1 -all", ttl)]
        elif kind == 11:
            one.qname, one.rcode = f"none{dice.randrange(9)}.{domain}", 3
            one.authority = [RR(domain, "SOA", SOA, 300)]
        elif kind == 12:
            one.qname, one.rcode = f"broken{dice.randrange(4)}.{domain}", 2
        else:
            one.qname, one.qtype = f"_sip._udp.{domain}", "SRV"
            one.answers = [RR(one.qname, "SRV", f"1 2 5060 sip.{domain}", ttl)]
        yield one


# --- Zeek -------------------------------------------------------------------------------------


COLUMNS = [
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"),
    ("id.resp_p", "port"), ("proto", "enum"), ("trans_id", "count"), ("rtt", "interval"), ("query", "string"),
    ("qclass", "count"), ("qclass_name", "string"), ("qtype", "count"), ("qtype_name", "string"),
    ("rcode", "count"), ("rcode_name", "string"), ("AA", "bool"), ("TC", "bool"), ("RD", "bool"), ("RA", "bool"),
    ("Z", "count"), ("answers", "vector[string]"), ("TTLs", "vector[interval]"), ("rejected", "bool"),
]  # fmt: skip


def zeek_answer(rr):
    if rr.rrtype in ("MX", "SRV"):
        return rr.rdata.split(" ")[-1]
    return f"TXT {len(rr.rdata)} {rr.rdata}" if rr.rrtype == "TXT" else rr.rdata


def zeek_row(one):
    row = {
        "ts": one.at / 10**6, "uid": f"C{one.ident:08x}", "id.orig_h": one.client, "id.orig_p": one.port,
        "id.resp_h": one.server, "id.resp_p": 53, "proto": "udp", "trans_id": one.ident, "query": one.qname,
        "qclass": 1, "qclass_name": "C_INTERNET", "qtype": TYPES[one.qtype], "qtype_name": one.qtype,
        "AA": False, "TC": False, "RD": bool(one.wants & RD), "RA": False, "Z": 0, "rejected": False,
    }  # fmt: skip
    if one.answered:
        row |= {"rcode": one.rcode, "rcode_name": RCODES[one.rcode]}
        row["rejected"] = one.rcode != 0 and not one.authority
    # Zeek copies these from a reply that has an answer record.
    if one.answered and one.answers:
        row |= {"rtt": 0.002, "AA": bool(one.flags & AA), "RA": bool(one.flags & RA)}
        row["answers"] = [zeek_answer(rr) for rr in one.answers]
        row["TTLs"] = [float(rr.ttl) for rr in one.answers]
    return row


def cell(value, kind):
    if value is None:
        return "-"
    if kind == "bool":
        return "T" if value else "F"
    if kind.startswith("vector"):
        return ",".join(cell(one, kind[7:-1]) for one in value)
    return f"{value:.6f}" if kind in ("time", "interval") else str(value).replace(",", "\\x2c")


def tsv(rows, log="dns"):
    lines = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", f"#path\t{log}"]
    lines.append("#open\t2023-11-14-22-13-20")
    lines.append("\t".join(["#fields"] + [name for name, _ in COLUMNS]))
    lines.append("\t".join(["#types"] + [kind for _, kind in COLUMNS]))
    lines += ["\t".join(cell(row.get(name), kind) for name, kind in COLUMNS) for row in rows]
    return "\n".join(lines + ["#close\t2023-11-14-23-00-00"]) + "\n"


def zeek_json(rows):
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


# --- Suricata ---------------------------------------------------------------------------------


def eve_record(rr):
    entry = {"rrname": rr.owner, "rrtype": rr.rrtype, "ttl": rr.ttl}
    words = rr.rdata.split(" ")
    if rr.rrtype == "SOA":
        keys = ("serial", "refresh", "retry", "expire", "minimum")
        entry["soa"] = {"mname": words[0], "rname": words[1]} | dict(zip(keys, map(int, words[2:])))
    elif rr.rrtype == "SRV":
        keys = ("priority", "weight", "port")
        entry["srv"] = dict(zip(keys, map(int, words[:3]))) | {"name": words[3]}
    elif rr.rrtype == "AAAA":
        entry["rdata"] = ipaddress.ip_address(rr.rdata).exploded
    else:
        entry["rdata"] = words[1] if rr.rrtype == "MX" else rr.rdata
    return entry


def eve_event(one, at, version, dns, is_answer, more):
    time = datetime.fromtimestamp(at // 10**6, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    ends = [(one.client, one.port), (one.server, 53)]
    if is_answer and version == 3:
        ends.reverse()
    event = {"timestamp": f"{time}.{at % 10**6:06}+0000", "flow_id": 10**15 + one.ident, "event_type": "dns"}
    event |= {"src_ip": ends[0][0], "src_port": ends[0][1], "dest_ip": ends[1][0], "dest_port": ends[1][1]}
    return json.dumps(event | more | {"proto": "UDP", "dns": dns}, separators=(",", ":")) + "\n"


def eve(exchanges, form, more):
    """Version 2 detailed (v2d) and grouped (v2g), version 3 detailed (v3d); `more` are fields of all events."""
    out = ""
    version = int(form[1])
    for one in exchanges:
        asked = {"rrname": one.qname, "rrtype": one.qtype}
        if version == 3:
            dns = {"version": 3, "type": "request", "tx_id": 0, "id": one.ident, "flags": "100", "rd": True}
            dns |= {"opcode": 0, "rcode": "NOERROR", "queries": [asked]}
        else:
            dns = {"version": 2, "type": "query", "id": one.ident} | asked | {"tx_id": 0, "opcode": 0}
        out += eve_event(one, one.at, version, dns, False, more)
        dns = {"version": version, "type": "response" if version == 3 else "answer", "id": one.ident}
        dns |= {"flags": f"{one.flags | one.rcode:x}", "qr": True, "rd": True, "ra": True, "opcode": 0}
        dns |= {"rcode": RCODES[one.rcode]} | ({"queries": [asked]} if version == 3 else asked)
        parts = {"answers": one.answers, "authorities": one.authority}
        if version == 3:
            parts["additionals"] = one.additional
        for part, records in parts.items():
            if not records:
                continue
            entries = [eve_record(rr) for rr in records]
            if part == "answers" and form == "v2g":
                dns["grouped"] = {}
                for entry in entries:
                    value = entry.get("rdata") or entry.get("srv")
                    dns["grouped"].setdefault(entry["rrtype"], []).append(value)
            else:
                dns[part] = entries
        out += eve_event(one, one.at + 2_000, version, dns, True, more)
    return out


# --- files ------------------------------------------------------------------------------------


class Folder:
    def __init__(self, path):
        self.path = Path(path)

    def write(self, title, content):
        path = self.path / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def shut(content):
    return gzip.compress(content.encode() if isinstance(content, str) else content, mtime=0)


def forms(out):
    """One capture, packed and carried in several ways."""
    exchanges = list(site(40))
    frames = [frame for one in exchanges for frame in one.frames()]
    for number in range(5):
        time = udp(b"\x23" + b"\0" * 47, ("192.0.2.1", 123), ("198.51.100.7", 123))
        frames.append((START + number * 7_000_000 + 500, time))
    frames.sort()
    plain = pcap(frames)
    path = out.write("pcaps/dnscap/dns.pcap", plain)
    out.write("pcaps/dnscap/dns.pcap.gz", shut(plain))
    out.write("pcaps/dnscap/dns.pcap.xz", lzma.compress(plain))
    subprocess.run(["zstd", "-q", "-f", path, "-o", f"{path}.zst"], check=True)
    subprocess.run(["lz4", "-q", "-f", path, f"{path}.lz4"], check=True)
    tagged = [(at, frame[:12] + struct.pack("!HH", 0x8100, 11) + frame[12:]) for at, frame in frames]
    out.write("pcaps/dnscap/vlan11.pcap", pcap(tagged))
    pieces = [(at, piece) for ident, (at, frame) in enumerate(frames) for piece in fragments(frame, ident + 1)]
    out.write("pcaps/dnscap/frags.pcap", pcap(pieces))
    stream = Stream()
    for one in exchanges:
        stream.messages(0, [one.query()])
        stream.messages(1, [one.response()])
    out.write("pcaps/dnscap/dnso1tcp.pcap", pcap(stream.end()))
    three = exchanges[:3]
    stream = Stream()
    stream.messages(0, [one.query() for one in three])
    stream.messages(1, [one.response() for one in three])
    out.write("pcaps/dnscap/dnsotcp-many1pkt.pcap", pcap(stream.end()))
    # The third question and its answer are missing.
    stream = Stream()
    for number in range(4):
        one = address("www.example.com", number + 1)
        stream.messages(0, [one.query()], is_lost=number == 2)
        stream.messages(1, [one.response()], is_lost=number == 2)
    out.write("pcaps/dnscap/tcp-gap.pcap", pcap(stream.end()))
    big = pcap(address("www.example.com", 1).frames(), ">")
    out.write("pcaps/packetq/sample-bigendian.pcap.gz", shut(big))
    return exchanges


def address(owner, ident, rdata="192.0.2.7", **fields):
    return Exchange(owner, answers=[RR(owner, "A", rdata)], ident=ident, port=20_000 + ident, **fields)


def alone(payload, at=START, length=None, port=53):
    """A response that nobody asked for."""
    return at, udp(payload, ("198.51.100.53", port), ("192.0.2.1", 20_001), length)


def lies(out):
    """Messages that are not what they claim to be."""
    for number in (1, 2, 3):
        loop = struct.pack("!6H", number, USUAL, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1"
        out.write(f"pcaps/tcpdump/dns-zlip-{number}.pcap", pcap([alone(loop, length=8)]))
    head = struct.pack("!6H", 1, USUAL | 0x0800, 1, 0, 0, 0)
    out.write("pcaps/tcpdump/dns-badlabel.pcap", pcap([alone(head + b"\x80abc\0\0\1\0\1")]))
    out.write("pcaps/tcpdump/dns_fwdptr.pcap", pcap([alone(head + b"\xc0\x20" + b"\0\1\0\1" + b"\0" * 20)]))
    bad = [b"\x05ab", b"\x80abc\0\0\1\0\1", b"\xc0\x0c\0\1\0\1"]
    frames = []
    for number, question in enumerate(bad):
        message = struct.pack("!6H", number + 1, USUAL, 1, 0, 0, 0) + question
        frames.append(alone(message, START + number * 1_000))
    out.write("pcaps/zeek/dns__dns-invalid-names.pcap", pcap(frames))
    good = address("www.example.com", 1).response()
    question = name("www.example.com") + struct.pack("!HH", 1, 1)
    two = struct.pack("!6H", 2, USUAL, 2, 1, 0, 0) + 2 * question
    two += RR("www.example.com", "A", "192.0.2.8").octets()
    title = "pcaps/suricata-verify/dns__dns-forward-pointer__input.pcap"
    out.write(title, pcap([alone(good), alone(two, START + 1_000)]))


def answers(out):
    """Rules of what is taken of an answer."""
    one = address("www.example.com", 2)
    query, response = one.frames()
    stranger = address("www.example.com", 9).response()
    wrong = (START + 1_000, udp(stranger, ("198.51.100.53", 53), ("192.0.2.1", 20_002)))
    title = "pcaps/suricata-verify/dns__dns-udp-unsolicited-response__dns-response-2x.pcap"
    out.write(title, pcap([query, wrong, response]))
    many = address("www.example.com", 3)
    many.answers = [RR("www.example.com", "A", f"192.0.2.{host}") for host in range(1, 7)]
    query, response = many.frames()
    out.write("pcaps/zeek/dns-two-responses.pcap", pcap([query, response, (response[0] + 50, response[1])]))
    soa = [RR("example.com", "SOA", SOA)]
    none = Exchange("none.example.com", rcode=3, authority=soa)
    title = "pcaps/suricata-verify/dns-eve-v2-udp-nxdomain-soa__dns-udp-nxdomain-soa.pcap"
    out.write(title, pcap(none.frames()))
    # From a server that is asked about example.com and is no resolver.
    chain = Exchange("a.example.com", "TXT", wants=RD, flags=QR | AA | RD)
    chain.answers = [
        RR("a.example.com", "CNAME", "b.example.com", 900),
        RR("b.example.com", "CNAME", "b.example.net", 900),
        RR("b.example.net", "TXT", "k=v", 900),
    ]
    chain.authority = [RR("example.net", "NS", f"ns{host}.example.net") for host in (1, 2)]
    chain.additional = [RR(f"ns{host}.example.net", "A", f"192.0.2.{host}") for host in (1, 2)]
    out.write("pcaps/zeek/dns-txt-multiple.pcap", pcap(chain.frames()))
    huge = Exchange("us.example.com", flags=QR | AA | RD)
    huge.answers = [RR("us.example.com", "A", "192.0.2.7", 0x8000_0001)]
    huge.authority = [RR("example.com", "NS", "ns.example.com"), RR("example.com", "NS", "ns.example.org")]
    huge.additional = [RR("ns.example.com", "A", "192.0.2.53"), RR("ns.example.org", "A", "192.0.2.54")]
    out.write("pcaps/zeek/dns-huge-ttl.pcap", pcap([alone(huge.response())]))
    return chain, none


def types(out):
    """Records of types that are seldom seen."""
    regular = {
        "dns-caa": RR("example.com", "CAA", b"\0\5issueca.example.net"),
        "dns__hinfo": RR("host.example.net", "HINFO", string("INTEL-386") + string("Linux")),
        "dns__naptr": RR(
            "sip.example.org", "NAPTR",
            struct.pack("!HH", 100, 100) + string("s") + string("SIPS+D2T") + string("") + name("_sips._tcp.sip.example.org"),
        ),
        "dns-https": RR(
            "example.net", "HTTPS",
            b"\0\1\0" + b"\0\1\0\6\2h3\2h2" + b"\0\4\0\4" + packed("192.0.2.7") + b"\0\6\0\x10" + packed("2001:db8::7"),
        ),
        "dns__dns-wks": RR("host.example.net", "WKS", packed("192.0.2.7") + b"\6\xe0\0\5"),
        # A port of three octets.
        "dns__svcb-port-malformed": RR("example.com", "HTTPS", bytes.fromhex("0001000003000301bb00")),
        # Nothing behind the priority.
        "dns-svcb-rdlength-mismatch": RR("example.org", "SVCB", b"\0\1"),
    }  # fmt: skip
    for title, rr in regular.items():
        one = Exchange(rr.owner, rr.rrtype, answers=[rr])
        out.write(f"pcaps/zeek/{title}.pcap", pcap(one.frames()))
    mac = name("hmac-sha256") + bytes(6) + struct.pack("!HH", 300, 4) + b"abcd" + struct.pack("!HHH", 1, 0, 0)
    signed = address("www.example.com", 5)
    signed.additional = [RR("key.example.com", "TSIG", mac, 0, 255)]
    out.write("pcaps/zeek/dns-tsig.pcap", pcap(signed.frames()))


def others(out):
    """IPv6 in fragments, and DNS on other ports."""
    wide = Exchange("wide.example.com", "TXT", client="2001:db8::1", server="2001:db8:1::53")
    wide.answers = [RR("wide.example.com", "TXT", "x" * 200)]
    query, _ = wide.frames()
    segment = datagram(wide.response(), (wide.server, 53), (wide.client, wide.port))
    pieces = [(START + 2_000 + at, piece) for at, piece in enumerate(fragments6(wide.server, wide.client, segment))]
    out.write("pcaps/zeek/ipv6-fragmented-dns.pcap", pcap([query, *pieces]))
    for title, port in [("tcpdump/dns_udp_8053", 8053), ("zeek/dns__mdns", 5353)]:
        one = address("host.local.example" if port == 5353 else "www.example.com", 1)
        frames = [(START, udp(one.query(), (one.client, one.port), (one.server, port)))]
        frames.append((START + 1_000, udp(one.response(), (one.server, port), (one.client, one.port))))
        out.write(f"pcaps/{title}.pcap", pcap(frames))


def logs(out, exchanges, chain, none):
    rows = [zeek_row(one) for one in exchanges]
    out.write("zeek-logs/zat/dns.tsv.log", tsv(rows))
    out.write("zeek-logs/zat/dns.json.log", zeek_json(rows))
    larger = [zeek_row(one) for one in site(160, seed=8)]
    out.write("zeek-logs/zeek-pdns/dns_json.log", zeek_json(larger))
    cut = shut(tsv(larger, "http"))
    out.write("zeek-logs/zat/http.log.corrupt.gz", cut[: len(cut) // 2])
    # How often each is answered, and with how many addresses: the test knows this table.
    busy, number = [], 0
    for owner, times, count in [("blog", 5, 3), ("buttons", 14, 5), ("www", 37, 9), ("ssl", 6, 1)]:
        for _ in range(times):
            number += 1
            one = address(f"{owner}.example.com", number, at=START + number * 900_000)
            one.answers = [RR(one.qname, "A", f"192.0.2.{host}") for host in range(1, count + 1)]
            busy.append(one)
    for qname, answered in [("example.com", False), ("v6.example.com", True), ("v6.example.com", True)]:
        number += 1
        busy.append(Exchange(qname, ident=number, at=START + number * 900_000, answered=answered))
    out.write("zeek-logs/zeek-pdns/reddit_dns_2016-04-01.log", tsv([zeek_row(one) for one in busy]))
    # Three days, an hour in each file.
    for hour in range(72):
        part = list(site(12, seed=100 + hour, step=250_000_000, spread=90))
        for one in part:
            one.at += hour * 3_600 * 10**6
        day = f"2023-11-{15 + hour // 24}"
        title = f"zeek-logs/rita/archive-72h/{day}/dns.{hour % 24:02}:00:00-{(hour + 1) % 24:02}:00:00.log.gz"
        out.write(title, shut(tsv([zeek_row(one) for one in part])))
    golden(out, chain, none)


def golden(out, chain, none):
    """Single rows of which the test knows what they say, and captures of the same."""
    flip = address("us.example.com", 1)
    flip.answers = [RR("us.example.com", "A", f"192.0.2.{host}", 900) for host in range(1, 9)]
    cut = zeek_row(chain) | {"answers": ["b.example.com", "b.example.net", "TXT 3 k=v"], "TTLs": [900.0] * 3}
    mdns = zeek_row(address("host.local.example", 1)) | {"id.resp_p": 5353}
    parts = {
        "flip": ([zeek_row(flip)], flip.frames()),
        "multiple-txt-strings": ([cut], None),
        "mdns-no-assoc": ([mdns] * 3, None),
        "nxdomain": ([zeek_row(none)], none.frames()),
        "zero-responses": ([zeek_row(Exchange("v6.example.com", "AAAA"))], None),
    }
    pairs = ["golden_log\tbtest\tcommand\tsaved_capture"]
    for title, (rows, frames) in parts.items():
        path = f"zeek-logs/zeek-btest-baseline/scripts.base.protocols.dns.{title}__dns.log"
        out.write(path, tsv(rows))
        capture = f"pcaps/zeek/{title}.pcap"
        if title == "multiple-txt-strings":
            capture = "pcaps/zeek/dns-txt-multiple.pcap"
        elif frames is None:
            continue
        else:
            out.write(capture, pcap(frames))
        pairs.append(f"{path}\t\t\t{capture}")
    pairs.append("zeek-logs/zat/dns.tsv.log\t\t\tpcaps/dnscap/dns.pcap")
    pairs.append("zeek-logs/zat/dns.json.log\t\t\tpcaps/dnscap/dns.pcap")
    out.write("zeek-logs/pairs.tsv", "\n".join(pairs) + "\n")


def eves(out, exchanges, none):
    manifest = ["file\tsource_repo\tsource_path"]
    named = {"dnscap_dns": (exchanges, "dnscap/dns"), "dnscap_vlan11": (exchanges, "dnscap/vlan11")}
    title = "suricata-verify/dns-eve-v2-udp-nxdomain-soa__dns-udp-nxdomain-soa"
    named["suricata-verify_nxdomain"] = ([none], title)
    for log, (parts, capture) in named.items():
        for form in ("v2d", "v2g", "v3d"):
            path = f"suricata-eve/{form}/{log}.eve.json"
            out.write(path, eve(parts, form, {"vlan": [11]} if "vlan" in log else {}))
            manifest.append(f"{path}\tpdns\tfrom pcaps/{capture}.pcap")
    out.write("manifest.tsv", "\n".join(manifest) + "\n")


def feeds(out):
    """Lists in the forms of feeds: addresses with a count, a table, a trail of names, ports and paths."""
    head = "# A list of documentation addresses\n#\n"
    ips = "".join(f"192.0.2.{host}\t{9 - host // 30}\n" for host in range(1, 200))
    out.write("dga/feeds/ipsum_head.txt", head + ips)
    table = "".join(f"c{number}.example.net,made,2024-09-{number % 28 + 1:02},pdns\n" for number in range(300))
    out.write("dga/feeds/blackbook_head.csv", "Domain,Malware,Date added,Source\n" + table)
    mixed = "".join(f"198.51.100.{host}:{(80, 443, 8080)[host % 3]}\n" for host in range(1, 100))
    mixed += "http://203.0.113.9/gate.php\nloader.example.org\n198.51."
    out.write("dga/feeds/maltrail_emotet.txt", head + "\n" + mixed)
    names = "".join(f"r{number * 7919:x}.example.com\n" for number in range(1, 120))
    out.write("dga/feeds/maltrail_ramnit.txt", head + "\n" + names)
    out.write("dga/feeds/maltrail_virut.txt", head + "\n" + "irc.example.org\nv1.example.test\n/1/index.php\n")
    for title in ("turla-powershell", "xdspy"):
        attribute = {"type": "domain", "category": "Network activity", "value": "c2.example.org", "to_ids": True}
        event = {"id": "1", "date": "2024-01-01", "info": "Made up", "Attribute": [attribute]}
        text = json.dumps({"response": [{"Event": event}]}, indent=4)
        out.write(f"dga/feeds/eset_misp-{title}-event.json", text + "\n")


def main(folder):
    out = Folder(folder)
    exchanges = forms(out)
    lies(out)
    chain, none = answers(out)
    types(out)
    others(out)
    logs(out, exchanges, chain, none)
    eves(out, exchanges, none)
    feeds(out)


if __name__ == "__main__":
    main(sys.argv[1])
