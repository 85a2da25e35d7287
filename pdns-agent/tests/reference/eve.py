#!/usr/bin/env python3
"""Independent reference: what Suricata's EVE logs list, and what of it is passive DNS.

    eve.py EVE...

prints a JSON array of {rrname, rrtype, rdata, count}: the records of all responses, as they are listed (version 3,
detailed). `rdata` is `\\# length hex` as packets.py has it, null for a type of which Suricata logs no RDATA. A TXT
record is one entry for each of its strings, and is counted by string under its owner, without RDATA.

    eve.py --rows EVE...

prints {records, negatives, lines, left_out} of all logs together: DNS events of version 2, detailed or grouped, and
version 3, by the rules of packets.py, which are those of a response wherever it was read. Here is what those events
tell: flags and RCODE by their names, not by the number in `flags` that the decoder goes by.
"""

import ipaddress
import json
import re
import sys
from collections import Counter
from datetime import datetime
from types import SimpleNamespace

import packets
import wire
from packets import hexed
from zeek import OUTCOMES, TYPE_NUMBERS, TYPES, add, shown

ADDRESSES = {"A": ipaddress.IPv4Address, "AAAA": ipaddress.IPv6Address}
NAMES = {"NS", "CNAME", "PTR"}
LOGGED = {"A", "AAAA", "CNAME", "MX", "NS", "NULL", "PTR", "SOA", "SRV", "SSHFP", "TXT"}
RCODES = {name: number for number, name in OUTCOMES.items()} | {"NOERROR": 0}
CNAME, OPT, TXT, ANY = 5, 41, 16, 255


class Bad(Exception):
    """A line, or a part of it, that is not taken: why."""


def octets(text):
    """What a string stands for: octets that are no UTF-8 come as ASCII with \\xhh from 128 on."""
    if not text.isascii():
        return text.encode()
    parts = re.split(r"(\\x[89a-f][0-9a-f])", text)
    return b"".join(bytes([int(part[2:], 16)]) if at % 2 else part.encode() for at, part in enumerate(parts))


def labels(text):
    text = octets(text).lower().removesuffix(b".")
    found = tuple(text.split(b".")) if text else ()
    if any(not 1 <= len(label) <= 63 for label in found) or sum(len(label) + 1 for label in found) > 254:
        raise Bad("bad_name")
    return found


def name(text):
    return wire.name_octets(labels(text))


def rdata_of(record):
    """Octets of RDATA; None where the log has none."""
    rrtype, text = record["rrtype"], record.get("rdata")
    if rrtype in ADDRESSES and text:
        return ADDRESSES[rrtype](text).packed
    if rrtype in NAMES and text is not None:
        return name(text)
    if rrtype == "SOA":
        soa = record["soa"]
        numbers = [soa[field] for field in ("serial", "refresh", "retry", "expire", "minimum")]
        return (
            name(soa["mname"]) + name(soa["rname"]) + b"".join(number.to_bytes(4, "big") for number in numbers)
        )
    if rrtype == "SRV":
        srv = record["srv"]
        target = srv["name"] if "name" in srv else srv["target"]
        return b"".join(srv[field].to_bytes(2, "big") for field in ("priority", "weight", "port")) + name(target)
    if rrtype == "SSHFP":
        sshfp = record["sshfp"]
        return bytes([sshfp["algo"], sshfp["type"]]) + bytes.fromhex(sshfp["fingerprint"].replace(":", ""))
    return None


def whole_rdata(record):
    """The same of what can be stored: also the host of MX, a string and NULL. Raises Bad."""
    rrtype, text = record["rrtype"], record.get("rdata")
    try:
        if record.get("rdata_truncated") or rrtype in NAMES | ADDRESSES.keys() and text in ("", "."):
            raise Bad("undecodable")
        if rrtype == "MX" and text is not None:
            return b"\0\0" + name(text)
        if rrtype == "TXT" and text is not None:
            return bytes([len(octets(text))]) + octets(text)
        if rrtype == "NULL" and text is not None:
            return octets(text)
        found = rdata_of(record) if rrtype in LOGGED else None
    except (Bad, ValueError, KeyError, TypeError):
        raise Bad("undecodable") from None
    if found is None:
        raise Bad("rdata_not_in_log")
    return found


def number_of(rrtype):
    if rrtype in TYPES.values():
        return TYPE_NUMBERS[rrtype]
    found = re.fullmatch(r"(?:TYPE)?(\d+)", rrtype)
    if not found:
        raise Bad("undecodable")
    return int(found[1])


# --- one answer -------------------------------------------------------------------------------


class Answer(packets.Response):
    """A response of which the log has told the records."""

    lost = False

    def octets(self, record):
        return record.rdata

    def usable(self, records, mask=0xFFFF):
        records = [record for record in records if record.type is not None]
        yield from (record for record in records if record.is_hidden)
        yield from super().usable([record for record in records if not record.is_hidden], mask)

    def chain(self, answers):
        chain, is_cut = super().chain(answers)
        return chain, is_cut or self.lost

    def file_record(self, record):
        key = (record.owner, record.type, record.rdata)
        if record.rdata is None:
            self.left_out[record.why] += 1
        elif key in self.once:
            self.left_out["repeated"] += 1
        else:
            self.once.add(key)
            self.reference.record(record, self.at)

    def omit(self, record, reason):
        self.left_out[reason] += 1


def record_of(entry, owner, several):
    """One record, with octets or why there are none."""
    record = bare(owner, number_of(entry["rrtype"]), None)
    record.ttl = entry.get("ttl")
    # Several strings may be one record.
    record.partial = several or entry["rrtype"] == "MX"
    try:
        record.rdata = whole_rdata(entry)
    except Bad as bad:
        record.why = str(bad)
    return record


def bare(owner, rrtype, why, is_hidden=False):
    """A record of which nothing else is known; `is_hidden`: not even whether it is what was asked for."""
    return SimpleNamespace(
        owner=owner, type=rrtype, cls=1, length=0, ttl=None, rdata=None, why=why, is_hidden=is_hidden, partial=False
    )


def listed(entries, left_out):
    """The records of a section that tells owners."""
    strings = Counter(entry["rrname"].lower() for entry in entries if entry["rrtype"] == "TXT")
    found = []
    for entry in entries:
        if entry["rrtype"] == "OPT":
            continue
        try:
            if number_of(entry["rrtype"]) in packets.META:
                raise Bad("meta")
            several = entry["rrtype"] == "TXT" and strings[entry["rrname"].lower()] > 1
            found.append(record_of(entry, labels(entry["rrname"]), several))
        except Bad as bad:
            left_out[str(bad)] += 1
    return found


def values(rrtype, group):
    """Entries of the listed form, made of the values of one type."""
    for value in group:
        field = "rdata" if isinstance(value, str) else rrtype.lower()
        yield {"rrtype": rrtype, field: value}


def worked_out(grouped, qname, qtype, has_soa, left_out):
    """The records of grouped answers, and whether the chain is lost."""
    found, end, lost = [], qname, False
    aliases = grouped.get("CNAME", [])
    if 251 <= qtype <= 254 or qtype == ANY and "CNAME" in grouped:
        for rrtype, group in grouped.items():
            left_out.update(["undecodable" if rrtype == "NOTYPE" else "ambiguous"] * len(group))
        return found, True
    seen = [qname]
    for alias in values("CNAME", aliases) if qtype != ANY else ():
        try:
            target = labels(alias["rdata"])
            if not target:
                raise Bad("bad_name")
        except Bad:
            left_out["bad_name"] += 1
            lost = True
            continue
        if target == seen[-1]:
            left_out["repeated"] += 1
        elif lost or target in seen:
            left_out["ambiguous"] += 1
            lost = True
        else:
            found.append(record_of(alias, seen[-1], False))
            seen.append(target)
    end = seen[-1]
    is_told = False
    for rrtype, group in grouped.items():
        if rrtype == "CNAME":
            is_told |= qtype == CNAME
            continue
        try:
            number = number_of(rrtype)
        except Bad:
            left_out["undecodable"] += len(group)
            continue
        if lost or qtype not in (number, ANY):
            left_out["ambiguous"] += len(group)
            continue
        is_told = True
        for entry in values(rrtype, group):
            found.append(record_of(entry, end, number == TXT and len(group) > 1))
    if not (lost or is_told or has_soa) and TYPES.get(qtype) not in LOGGED:
        found.append(bare(end, qtype, "rdata_not_in_log", is_hidden=True))
    return found, lost


# --- lines ------------------------------------------------------------------------------------


class Reference:
    def __init__(self):
        self.records, self.negatives, self.left_out = {}, {}, Counter()
        self.lines = {"lines": 0, "counted": 0, "blank": 0, "other_records": 0}
        self.filtered, self.rejected = Counter(), Counter()
        self.asked = {}

    def record(self, record, at):
        shown_type = TYPES.get(record.type, f"TYPE{record.type}")
        key = (wire.name_text(record.owner), shown_type, hexed(record.rdata), record.partial)
        ttl = 0 if record.ttl is not None and record.ttl >= 2**31 else record.ttl
        add(self.records, key, at // 10**9, ttl)

    def negative(self, qname, qtype, outcome, at, _):
        add(self.negatives, (wire.name_text(qname), TYPES.get(qtype, f"TYPE{qtype}"), outcome), at // 10**9, None)

    def read(self, line):
        self.lines["lines"] += 1
        if not line.strip():
            self.lines["blank"] += 1
            return
        try:
            event = json.loads(line)
            if not isinstance(event, dict):
                raise ValueError
        except ValueError:
            self.rejected["json"] += 1
            return
        if event.get("event_type") != "dns":
            self.lines["other_records"] += 1
            return
        reason = self.filter_of(event)
        if reason:
            self.filtered[reason] += 1
            return
        try:
            self.answer(event)
        except Bad as bad:
            self.rejected[str(bad)] += 1

    def filter_of(self, event):
        dns = event["dns"]
        if dns["type"] in ("query", "request"):
            if "flags" in dns and event.get("flow_id") is not None:
                key = self.question(event)
                self.asked[key] = self.asked.get(key, True) and dns.get("rd", False)
            return "query"
        if dns.get("version") not in (2, 3):
            return "version"
        if dns.get("opcode", 0):
            return "opcode"
        ports = {event.get("src_port"), event.get("dest_port")}
        return "port" if 53 not in ports and ports & packets.MULTICAST else None

    @staticmethod
    def question(event):
        """Flow, id and question of an event."""
        dns = event["dns"]
        asked = (dns.get("queries") or [dns])[0]
        return event.get("flow_id"), dns.get("id"), asked.get("rrname", "").lower(), asked.get("rrtype")

    def answer(self, event):
        dns = event["dns"]
        queries = dns.get("queries") or ([dns] if "rrname" in dns else [])
        if len(queries) > 1:
            raise Bad("question_count")
        if not queries:
            raise Bad("no_query")
        qname = labels(queries[0]["rrname"])
        try:
            qtype = number_of(queries[0]["rrtype"])
        except Bad:
            raise Bad("bad_field") from None
        if qname and qname[-1] in (b"bind", b"server"):
            self.filtered["class"] += 1
            return
        at = datetime.strptime(event["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        at = int(at.timestamp()) * 10**9
        authorities = listed(dns.get("authorities", []), self.left_out)
        lost = False
        if "answers" in dns or "grouped" not in dns:
            answers = listed(dns.get("answers", []), self.left_out)
        else:
            has_soa = any(record.type == wire.SOA for record in authorities)
            answers, lost = worked_out(dns["grouped"], qname, qtype, has_soa, self.left_out)
        additionals = listed(dns.get("additionals", []), self.left_out)
        message = SimpleNamespace(
            rcode=RCODES[dns["rcode"]],
            is_truncated=dns.get("tc", False),
            is_authoritative=dns.get("aa", False),
            rest_unreadable=False,
            sections=[answers, authorities, additionals],
        )
        is_resolved = self.asked.get(self.question(event), dns.get("rd", False)) and dns.get("ra", False)
        answer = Answer(self, message, at, False, qname, qtype, is_resolved)
        answer.lost = lost
        is_there = any(entry["rrtype"] != "OPT" for entry in dns.get("answers", []))
        if is_there or "grouped" in dns and "answers" not in dns:
            # An answer section of which nothing can be filed is not an empty one.
            message.sections[0].append(SimpleNamespace(type=None, cls=1))
        answer.file()
        self.lines["counted"] += 1

    def result(self):
        record_keys = ("rrname", "rrtype", "rdata", "partial")
        negative_keys = ("rrname", "rrtype", "outcome")
        lines = self.lines | {"filtered": self.filtered, "rejected": self.rejected}
        for part in ("records", "negatives"):
            lines[part] = sum(seen["count"] for seen in getattr(self, part).values())
        return {
            "lines": lines | {"omitted": self.left_out},
            "records": [dict(zip(record_keys, key)) | shown(seen) for key, seen in sorted(self.records.items())],
            "negatives": [
                dict(zip(negative_keys, key)) | shown(seen) for key, seen in sorted(self.negatives.items())
            ],
        }


def list_all(paths):
    found = Counter()
    for path in paths:
        for line in open(path):
            dns = json.loads(line)["dns"]
            if dns["type"] != "response":
                continue
            for section in ("answers", "authorities", "additionals"):
                for record in dns.get(section, []):
                    rdata = rdata_of(record)
                    shown_as = None if rdata is None else hexed(rdata)
                    found[wire.name_text(labels(record["rrname"])), record["rrtype"], shown_as] += 1
    keys = ("rrname", "rrtype", "rdata")
    rows = sorted(found.items(), key=lambda item: [str(part) for part in item[0]])
    return [dict(zip(keys, key)) | {"count": count} for key, count in rows]


def main(arguments):
    paths = [argument for argument in arguments if argument != "--rows"]
    if len(paths) == len(arguments):
        said = list_all(paths)
    else:
        reference = Reference()
        for path in paths:
            for line in open(path, "rb").read().removesuffix(b"\n").split(b"\n"):
                reference.read(line)
        said = reference.result()
    json.dump(said, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
