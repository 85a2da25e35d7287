#!/usr/bin/env python3
"""What a Zeek with our package would write: the logic of zeek/scripts/main.zeek, told again in Python.

    package.py [--cluster] [--killed] capture FORMAT FOLDER PCAP...
    package.py [--cluster] [--killed] log FORMAT FOLDER LOG...

Both write FOLDER/dns.log, with the rows that the package marks, and FOLDER/pdns.log; FORMAT is tsv or json.
In a cluster records are not gathered. A Zeek that was killed after the last row writes nothing that it has gathered.
`capture` reads UDP messages of capture files, and lets each question wait for its response to the end. `log`
reads dns.log files that a Zeek without the package wrote, and takes what zeek.py infers of them for what was
on the wire.
"""

import ipaddress
import json
import re
import struct
import sys
from pathlib import Path

import zeek

WINDOW = 60
PORTS_LEFT_OUT = {137, 5353, 5355}
NS, CNAME, SOA = 2, 5, 6
ANSWER, AUTHORITY = "answer", "authority"
TRANSFERS, WHOLE_NAMES, PROTOCOL_TYPES = {251, 252}, {251, 252, 253, 254, 255}, {249, 250}
# Types whose event is there to be counted, and types for which Zeek raises none that we handle.
PASSED_OVER, SILENT = {46, 47, 50}, {11, 13, 32, 41, 249, 250, 65534}
OUTCOMES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
MAX_CHAIN = 64

# Column, TSV type.
PDNS = [
    ("ts", "time"), ("last", "time"), ("seen", "count"), ("rrname", "string"), ("rrclass", "count"),
    ("rrtype", "count"), ("rrtype_name", "string"), ("section", "string"), ("rdata", "vector[string]"),
    ("ttl", "interval"), ("ttl_min", "interval"), ("ttl_max", "interval"), ("outcome", "string"),
    ("asked", "bool"), ("zone", "string"), ("qname", "string"),
]  # fmt: skip
DNS = [
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"),
    ("id.resp_p", "port"), ("proto", "enum"), ("query", "string"), ("qclass", "count"), ("qtype", "count"),
    ("rcode", "count"), ("AA", "bool"), ("RD", "bool"), ("RA", "bool"), ("answers", "vector[string]"),
    ("TTLs", "vector[interval]"), ("rejected", "bool"), ("pdns", "bool"),
]  # fmt: skip


# --- text -------------------------------------------------------------------------------------


def text(octets):
    if octets == b"":
        return "%"
    if octets == b"-":
        return "%2d"
    plain = re.compile(rb"[A-Za-z0-9._*/:;=+~@ -]")
    return "".join(chr(octet) if plain.match(bytes([octet])) else f"%{octet:02x}" for octet in octets)


def domain(octets):
    return "." if octets == b"" else text(octets)


def is_within(name, zone):
    return zone == "." or name == zone or name.endswith("." + zone)


def type_name(number):
    names = {12: "PTR", 255: "*", 252: "AXFR", 251: "IXFR"}
    return names.get(number) or zeek.TYPES.get(number) or f"query-{number}"


# --- writers ----------------------------------------------------------------------------------


def tsv_value(value, kind):
    if value is None:
        return "-"
    if kind == "time" or kind == "interval":
        return f"{value:.6f}"
    if kind == "bool":
        return "T" if value else "F"
    if kind.startswith("vector"):
        inner = [tsv_value(one, kind[7:-1]).replace(",", "\\x2c") for one in value]
        return ",".join(inner)
    if value == "":
        return "(empty)"
    return str(value).replace("\\", "\\\\").replace("\t", "\\x09")


def write(path, log, columns, rows, form):
    lines = []
    if form == "tsv":
        lines += ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-"]
        lines += [f"#path\t{log}", "#open\t2023-11-14-22-13-20"]
        lines += ["\t".join(["#fields"] + [name for name, _ in columns])]
        lines += ["\t".join(["#types"] + [kind for _, kind in columns])]
        lines += ["\t".join(tsv_value(row.get(name), kind) for name, kind in columns) for row in rows]
        lines += ["#close\t2023-11-14-23-13-20"]
    else:
        names = [name for name, _ in columns]
        for row in rows:
            lines.append(json.dumps({name: row[name] for name in names if row.get(name) is not None}))
    Path(path).write_text("".join(line + "\n" for line in lines))


# --- gathering --------------------------------------------------------------------------------


class Gathered:
    def __init__(self, window):
        self.window, self.open, self.lines = window, {}, []

    def expire(self, now):
        for key in [key for key, (since, _) in self.open.items() if now - since >= self.window]:
            self.lines.append(self.open.pop(key)[1])

    def add(self, now, info):
        if not self.window:
            self.lines.append(dict(info, last=info["ts"], seen=1))
            return
        self.expire(now)
        names = ("asked", "section", "zone", "qname", "rrname", "rrclass", "rrtype", "outcome")
        key = tuple(info.get(name) for name in names) + (tuple(info.get("rdata") or ()),)
        if key not in self.open:
            self.open[key] = (now, dict(info, last=info["ts"], seen=1))
            return
        known = self.open[key][1]
        known["seen"] += 1
        known["ts"] = min(known["ts"], info["ts"])
        if info["ts"] >= known["last"]:
            known["last"] = info["ts"]
            if info.get("ttl") is not None:
                known["ttl"] = info["ttl"]
        if info.get("ttl") is not None:
            known["ttl_min"] = min(known["ttl_min"], info["ttl"])
            known["ttl_max"] = max(known["ttl_max"], info["ttl"])

    def end(self):
        self.lines += [info for _, info in self.open.values()]
        self.open = {}


def line(ts, name, qtype, qclass=1, **more):
    return {"ts": ts, "rrname": name, "rrclass": qclass, "rrtype": qtype, "rrtype_name": type_name(qtype)} | more


# --- messages ---------------------------------------------------------------------------------


class Message:
    """A DNS message as Zeek's analyzer takes it apart."""

    def __init__(self, octets):
        self.octets = octets
        self.ident, flags, *self.counts = struct.unpack("!6H", octets[:12])
        self.is_response, self.opcode, self.rcode = bool(flags & 0x8000), flags >> 11 & 15, flags & 15
        self.is_authoritative, self.is_cut = bool(flags & 0x0400), bool(flags & 0x0200)
        self.is_asked, self.is_offered = bool(flags & 0x0100), bool(flags & 0x0080)
        self.questions, at = [], 12
        for _ in range(self.counts[0]):
            qname, at = self.name(at)
            self.questions.append((qname, *struct.unpack("!HH", octets[at : at + 4])))
            at += 4
        self.records = []
        for count, section in zip(self.counts[1:], (ANSWER, AUTHORITY, "additional")):
            for _ in range(count):
                owner, at = self.name(at)
                rrtype, rrclass, ttl, length = struct.unpack("!HHIH", octets[at : at + 10])
                at += 10 + length
                self.records.append((section, owner, rrtype, rrclass, ttl, at - length, at))

    def name(self, at, lower=True):
        labels, end, jumps = [], None, 0
        while self.octets[at]:
            if self.octets[at] >= 0xC0:
                end = end or at + 2
                at = struct.unpack("!H", self.octets[at : at + 2])[0] & 0x3FFF
                jumps += 1
                if jumps > 100:
                    raise ValueError("a loop of pointers")
                continue
            labels.append(self.octets[at + 1 : at + 1 + self.octets[at]])
            at += 1 + self.octets[at]
        joined = b".".join(labels)
        return (joined.lower() if lower else joined), end or at + 1

    def strings(self, at, end):
        out = []
        while at < end:
            out.append(text(self.octets[at + 1 : at + 1 + self.octets[at]]))
            at += 1 + self.octets[at]
        return out

    def fields(self, rrtype, at, end):
        """The fields of RDATA as the package writes them; None for a type that Zeek does not take apart."""
        octets = self.octets
        numbers = lambda form: [str(n) for n in struct.unpack_from(form, octets, at)]  # noqa: E731
        name = lambda at, lower=True: domain(self.name(at, lower)[0])  # noqa: E731
        if rrtype in (1, 28):
            return [str(ipaddress.ip_address(octets[at:end]))]
        if rrtype in (NS, CNAME, 12):
            return [name(at)]
        if rrtype == SOA:
            mname, then = self.name(at)
            rname, then = self.name(then)
            return [domain(mname), domain(rname)] + [str(n) for n in struct.unpack_from("!5I", octets, then)]
        if rrtype == 15:
            return numbers("!H") + [name(at + 2)]
        if rrtype == 33:
            return numbers("!3H") + [name(at + 6)]
        if rrtype in (64, 65):
            return numbers("!H") + [name(at + 2, False)]
        if rrtype in (16, 99):
            return self.strings(at, end)
        if rrtype == 257:
            value = at + 2 + octets[at + 1]
            return [str(octets[at]), text(octets[at + 2 : value]), text(octets[value:end])]
        if rrtype == 35:
            then = at + 4
            strings = []
            for _ in range(3):
                strings.append(text(octets[then + 1 : then + 1 + octets[then]]))
                then += 1 + octets[then]
            return numbers("!2H") + strings + [name(then)]
        if rrtype == 43 or rrtype == 48:
            return numbers("!H2B") + [text(octets[at + 4 : end].hex().encode())]
        if rrtype == 44:
            return numbers("!2B") + [text(octets[at + 2 : end].hex().encode())]
        if rrtype == 29:
            return numbers("!4B3I")
        return None


class Response:
    def __init__(self, message, question, is_asked, now, wanted):
        self.message, self.now, self.is_asked = message, now, is_asked
        # Of the query, if there was one.
        self.is_resolved = (wanted if is_asked else message.is_asked) and message.is_offered
        self.qname, self.qtype, self.qclass = domain(question[0]), question[1], question[2]
        self.records, self.aliases, self.sections = [], {}, {ANSWER: 0, AUTHORITY: 0}
        self.has_unlogged, self.extended = False, 0
        for record in message.records:
            try:
                self.take(*record)
            except (struct.error, IndexError, ValueError):
                # Zeek gives the rest of a message up.
                break

    def take(self, section, owner, rrtype, rrclass, ttl, at, end):
        if rrtype == 41:
            self.extended = self.extended or ttl >> 24
        if rrtype in SILENT:
            return
        if section in self.sections:
            self.sections[section] += 1
        if rrtype in PASSED_OVER:
            self.has_unlogged |= section == ANSWER and rrtype == self.qtype
            return
        rdata = self.message.fields(rrtype, at, end)
        info = line(self.now, domain(owner), rrtype, rrclass, section=section, rdata=rdata)
        info |= {"ttl": ttl, "ttl_min": ttl, "ttl_max": ttl, "asked": self.is_asked}
        if section == ANSWER and rrtype == CNAME:
            self.aliases.setdefault(info["rrname"], rdata[0])
        self.records.append(info)

    def chain(self):
        names = [self.qname]
        while names[-1] in self.aliases and len(names) < MAX_CHAIN:
            target = self.aliases[names[-1]]
            if target in names:
                break
            names.append(target)
        return names

    def lines(self):
        chain = self.chain()
        speaks_for = chain if self.is_resolved else [self.qname]
        is_above = lambda name: any(is_within(link, name) for link in speaks_for)  # noqa: E731
        is_apex = lambda info: info["section"] == AUTHORITY and info["rrtype"] in (NS, SOA)  # noqa: E731
        zones = [info["rrname"] for info in self.records if is_apex(info) and is_above(info["rrname"])]
        had = set()
        for info in self.records:
            name = info["rrname"]
            if info["section"] == ANSWER:
                if name not in chain and not (self.qtype in TRANSFERS and is_within(name, self.qname)):
                    continue
                if not self.is_resolved and name != self.qname:
                    info["qname"] = self.qname
            elif is_apex(info):
                if not is_above(name):
                    continue
            elif zones:
                if not is_within(name, zones[0]):
                    continue
                info["zone"] = zones[0]
            else:
                info["qname"] = speaks_for[-1]
            key = (name, info["rrclass"], info["rrtype"], tuple(info["rdata"] or ()))
            if key not in had:
                had.add(key)
                yield info
        outcome = self.outcome(chain[-1], is_apex, is_above)
        if outcome:
            bound = {} if self.is_resolved or chain[-1] == self.qname else {"qname": self.qname}
            told = {"outcome": outcome, "asked": self.is_asked} | bound
            yield line(self.now, chain[-1], self.qtype, self.qclass, **told)

    def is_answer(self, info, end):
        if info["section"] != ANSWER:
            return False
        if self.qtype in WHOLE_NAMES:
            return True
        owners = {end, self.qname} if self.qtype == CNAME else {end}
        return info["rrtype"] == self.qtype and info["rrname"] in owners

    def outcome(self, end, is_apex, is_above):
        rcode = self.extended * 16 + self.message.rcode
        if rcode:
            return OUTCOMES.get(rcode, f"RCODE{rcode}")
        if self.has_unlogged or self.qtype in PROTOCOL_TYPES:
            return None
        if any(self.is_answer(info, end) for info in self.records):
            return None
        _, answers, authorities, _ = self.message.counts
        if self.message.is_cut or self.sections[ANSWER] != answers:
            return None
        apexes = [info for info in self.records if is_apex(info)]
        if any(info["rrtype"] == SOA and is_within(end, info["rrname"]) for info in apexes):
            return "NODATA"
        has_ns = any(info["rrtype"] == NS and is_above(info["rrname"]) for info in apexes)
        if answers or self.sections[AUTHORITY] != authorities or has_ns and not self.message.is_authoritative:
            return None
        return "NODATA"


# --- from a capture ---------------------------------------------------------------------------


def datagrams(path):
    """Time, client to server or back, and payload of each UDP message of a classic capture file."""
    octets = Path(path).read_bytes()
    at = 24
    while at < len(octets):
        seconds, micros, length, _ = struct.unpack_from("<4I", octets, at)
        frame, at = octets[at + 16 : at + 16 + length], at + 16 + length
        kind, ip = frame[12:14], frame[14:]
        if kind == b"\x08\x00" and ip[9] == 17:
            hosts, udp = (ip[12:16], ip[16:20]), ip[(ip[0] & 15) * 4 :]
        elif kind == b"\x86\xdd" and ip[6] == 17:
            hosts, udp = (ip[8:24], ip[24:40]), ip[40:]
        else:
            continue
        ports = struct.unpack("!HH", udp[:4])
        ends = [(str(ipaddress.ip_address(host)), port) for host, port in zip(hosts, ports)]
        yield seconds + micros / 10**6, ends, udp[8:]


def from_capture(paths, gathered):
    rows = []
    flows = {}  # (client, server): {ident: [rows that wait]}
    for path in paths:
        for now, (source, target), payload in datagrams(path):
            try:
                message = Message(payload)
            except (struct.error, IndexError, ValueError):
                continue
            client, server = (target, source) if message.is_response else (source, target)
            waiting = flows.setdefault((client, server), {}).setdefault(message.ident, [])
            has_mark = message.opcode == 0 and message.counts[0] <= 1 and server[1] not in PORTS_LEFT_OUT
            if message.opcode != 0:
                continue
            if message.is_response and waiting:
                row = waiting.pop(0)
            else:
                row = new_row(now, len(rows), client, server)
                rows.append(row)
            if has_mark:
                row["pdns"] = True
            if not message.is_response:
                waiting.append(row)
                if message.questions:
                    qname, qtype, qclass = message.questions[0]
                    row |= {"query": qname.decode("latin-1"), "qtype": qtype, "qclass": qclass}
                row["RD"] = message.is_asked
                continue
            was_asked = "qtype" in row
            row["rcode"] = message.rcode
            question = message.questions[0] if message.questions else None
            if question is None and "qtype" in row:
                question = (row["query"].encode("latin-1"), row["qtype"], row["qclass"])
            if has_mark and question:
                for info in Response(message, question, was_asked, now, row["RD"]).lines():
                    gathered.add(now, info)
    for row in rows:
        if row.get("pdns") and "rcode" not in row and "qtype" in row:
            name = domain(row["query"].encode("latin-1"))
            info = line(row["ts"], name, row["qtype"], row["qclass"], outcome="UNANSWERED", asked=True)
            gathered.add(row["ts"], info)
    return rows


def new_row(now, number, client, server):
    row = {"ts": now, "uid": f"C{number:017}", "proto": "udp", "AA": False, "RD": False, "RA": False}
    row |= {"id.orig_h": client[0], "id.orig_p": client[1], "id.resp_h": server[0], "id.resp_p": server[1]}
    return row | {"rejected": False}


# --- from a log -------------------------------------------------------------------------------


def octets_of(name):
    """The label octets of canonical text, joined with dots."""
    raw = name.encode("latin-1")
    raw = re.sub(rb"\\([0-9]{3}|.)", lambda hit: bytes([int(hit[1])]) if len(hit[1]) == 3 else hit[1], raw)
    return b"" if raw == b"." else raw


def fields_of(rrtype, rdata):
    """The package's fields for text that zeek.py infers; what the log lacks of them is zero there."""
    if rrtype in ("TXT", "SPF", "NAPTR"):
        parts = re.findall(r'"(?:[^"\\]|\\.)*"|[^ ]+', rdata)
        return [text(octets_of(part.strip('"'))) if part.startswith('"') else domain(octets_of(part)) for part in parts]
    if rrtype in ("A", "AAAA"):
        return [rdata]
    return [part if part.isdigit() else domain(octets_of(part)) for part in rdata.split(" ")]


def from_log(paths, gathered):
    rows, kept = [], []
    for path in paths:
        header = zeek.Header()
        for raw in zeek.lines_of(path, False):
            if raw.startswith(b"#"):
                header.directive(raw)
                continue
            try:
                row = zeek.json_row(raw) if raw.lstrip().startswith(b"{") else header.row(raw)
                if row is None or zeek.filter_of(row, False):
                    continue
                at, once, negatives, _ = zeek.observe(row)
            except zeek.Rejected:
                continue
            kept.append((at, once, negatives, row))
    # Zeek writes rows in about the order of time; the package gathers in just that order.
    for number, (at, once, negatives, row) in enumerate(sorted(kept, key=lambda one: one[0])):
        rows.append(new_row(float(at), number, ("192.0.2.1", 40000), ("192.0.2.53", 53)))
        query = zeek.field(row, "query").octets()
        rows[-1] |= {"query": zeek.name_of(query), "qclass": 1, "pdns": True}
        for name in ("qtype", "rcode"):
            value = zeek.field(row, name)
            rows[-1] |= {name: zeek.whole(value)} if value else {}
        rows[-1] |= {name: name in row and row[name].true() for name in ("AA", "RD", "RA", "rejected")}
        if zeek.field(row, "answers"):
            answers = row["answers"].vector()
            rows[-1]["answers"] = [answer.octets().decode("latin-1") for answer in answers]
            rows[-1]["TTLs"] = [float(ttl.number()) for ttl in row["TTLs"].vector()]
        for (rrname, rrtype, rdata, _), ttl in once.items():
            info = line(float(at), domain(octets_of(rrname)), zeek.TYPE_NUMBERS[rrtype], section=ANSWER)
            info |= {"rdata": fields_of(rrtype, rdata), "asked": True}
            info |= {} if ttl is None else {"ttl": ttl, "ttl_min": ttl, "ttl_max": ttl}
            gathered.add(at, info)
        for rrname, rrtype, outcome in negatives:
            number = zeek.TYPE_NUMBERS.get(rrtype) or int(rrtype[4:])
            gathered.add(at, line(float(at), domain(octets_of(rrname)), number, outcome=outcome, asked=True))
    return rows


def main(what, form, folder, *paths, is_cluster=False, is_killed=False):
    gathered = Gathered(0 if is_cluster else WINDOW)
    rows = {"capture": from_capture, "log": from_log}[what](paths, gathered)
    if not is_killed:
        gathered.end()
    Path(folder).mkdir(parents=True, exist_ok=True)
    write(f"{folder}/dns.log", "dns", DNS, rows, form)
    write(f"{folder}/pdns.log", "pdns", PDNS, gathered.lines, form)


if __name__ == "__main__":
    options = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    if unknown := set(options) - {"--cluster", "--killed"}:
        sys.exit(f"unknown options: {unknown}")
    arguments = sys.argv[1 + len(options) :]
    main(*arguments, is_cluster="--cluster" in options, is_killed="--killed" in options)
