#!/usr/bin/env python3
"""Independent reference: what the packets of a capture say, as a plain dictionary.

tshark finds the messages and lists their records (dissect.py); the rules of passive DNS are applied here,
written from their description alone, not from the Rust code, which this checks.

    packets.py [--port N]... [--timeout SECONDS] [--drop-unsolicited] CAPTURE...

prints one JSON object, for each capture by its path:
    records    [{rrname, rrtype, rdata, partial, unsolicited, count, time_first, ..., ttl_last}]
    negatives  [{rrname, rrtype, outcome, unsolicited, count, time_first, time_last}]
    messages   {responses, queries, retransmissions, filtered: {reason: n}, rejected: {reason: n}}
    left_out   {reason: n}: records and outcomes that nothing above stands for
    omitted    [{rrname, rrtype, rdata, reason, count}]: those records of them that were read
    differs    [sentence]: where tshark reads the octets otherwise than the rules do, message by message

`rdata` is `\\# length hex` whatever the type (RFC 3597 section 5): canonical octets have no style. rdata.py
turns the text that `pdns` shows into the same.
"""

import argparse
import json
import sys
from collections import Counter

import dissect
import wire
from suffixes import is_public_suffix, registrable
from wire import CNAME, DNAME, IN, NS, OPT, RRSIG, SOA, Unreadable
from zeek import OUTCOMES, TYPES, add, shown

SIG, TKEY, TSIG, IXFR, AXFR, MAILB, MAILA, ANY = 24, 249, 250, 251, 252, 253, 254, 255
META = {128, 249, 250, 251, 252, 253, 254, 255, OPT}
MDNS, MULTICAST = 5353, {5353, 5355, 137}
LONGEST_CHAIN = 64  # names, QNAME among them
COPIES_WITHIN, WAITS = 50_000, 100_000  # microseconds
MOST_WAITING = 8  # responses of one flow and id
# Octets of RDATA of types of fixed form: A, AAAA, NID, L32, L64, EUI48, EUI64.
LENGTHS = {1: 4, 28: 16, 104: 10, 105: 6, 106: 10, 108: 6, 109: 8}


def is_at_or_below(name, apex):
    return name[len(name) - len(apex) :] == apex if len(apex) <= len(name) else False


class Left(Exception):
    """The message is good and not passive DNS, or it is not to be counted."""

    def __init__(self, kind, reason):
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Reference:
    """One capture after the other would share nothing: one of these for each."""

    def __init__(self, options):
        self.options = options
        self.timeout = int(options.timeout * 10**9)
        self.now, self.open = 0, {}
        # When a datagram was there, and the responses that wait: (flow and id, question, sighting, until), and None for
        # the question and sighting of one that cannot be used.
        self.copies, self.waiting = {}, []
        self.records, self.negatives = {}, {}
        self.messages = {"responses": 0, "queries": 0, "retransmissions": 0, "unsolicited": 0}
        self.messages |= {"filtered": Counter(), "rejected": Counter()}
        self.left_out, self.omitted, self.differs = Counter(), Counter(), []

    # --- time and pairs -----------------------------------------------------------------------

    def advance(self, at):
        """Closes the queries whose time is over: the rules' R2."""
        self.now = max(self.now, at)
        while self.waiting and self.now // 1000 > self.waiting[0][3]:
            self.read_late(self.waiting.pop(0))
        for key, entry in list(self.open.items()):
            if self.now > entry["deadline"]:
                del self.open[key]
                if not entry["answered"] and not entry["responded"]:
                    name, qtype = key[-2:]
                    self.negative(name, qtype, "UNANSWERED", entry["at"], False)

    def finish(self):
        while self.waiting:
            self.read_late(self.waiting.pop(0))
        unanswered = [entry for entry in self.open.values() if not entry["answered"] and not entry["responded"]]
        self.left_out["capture_ended"] += len(unanswered)

    def ask(self, sighting, message, name, qtype):
        key = (sighting.transport, sighting.source, sighting.target, message.id, name, qtype)
        entry = self.open.get(key)
        if entry:
            entry["asked"] += 1
            entry["wants_recursion"] &= message.wants_recursion
            self.messages["retransmissions"] += 1
        else:
            self.open[key] = {
                "at": sighting.at,
                "deadline": self.now + self.timeout,
                "asked": 1,
                "answered": False,
                "responded": False,
                "wants_recursion": message.wants_recursion,
            }

        flow = key[:4]
        early = [one for one in self.waiting if one[0] == flow]
        if early:
            self.respond(flow)
        for one in early:
            # One of the flow and id that cannot be used has said all that it can.
            if one[2] is not None and one[1] in (key, None):
                self.waiting.remove(one)
                self.read_late(one)

    def respond(self, flow):
        """None of the questions of this flow and id is unanswered; whether that is new of any."""
        entries = [entry for key, entry in self.open.items() if key[:4] == flow and not entry["responded"]]
        for entry in entries:
            entry["responded"] = True
        return bool(entries)

    def wait(self, flow, question, sighting):
        """Has a response wait for its query; False if too many of its flow and id do."""
        if sum(one[0] == flow for one in self.waiting) >= MOST_WAITING:
            return False
        self.waiting.append((flow, question, sighting, self.now // 1000 + WAITS))
        return True

    def read_late(self, one):
        if one[2] is not None:
            self.read(one[2], is_late=True)

    def match(self, sighting, message, is_late):
        """The question of a response, whether nobody asked it (R3), and what that wanted (R5); None if it waits."""
        flow = (sighting.transport, sighting.target, sighting.source, message.id)
        if message.questions:
            key = (*flow, *message.questions[0][:2])
        else:
            keys = [key for key in self.open if key[:4] == flow]
            if not keys and not is_late and self.wait(flow, None, sighting):
                return None
            if len(keys) != 1:
                raise Left("rejected", "no_question")
            key = keys[0]
        entry = self.open.get(key)
        if entry and entry["asked"]:
            # A zone transfer takes as many messages as it takes.
            is_transfer = key[0] == "tcp" and key[-1] in (AXFR, IXFR)
            entry["asked"] -= not is_transfer
            entry["answered"] = True
            return key[-2:], False, entry["wants_recursion"]
        if not is_late:
            self.respond(flow)
            if self.wait(flow, key, sighting):
                return None
        return key[-2:], True, message.wants_recursion

    # --- messages -----------------------------------------------------------------------------

    def see(self, sighting):
        self.advance(sighting.at)
        if sighting.is_cut:
            self.glimpse(sighting)
            return
        if sighting.transport == "udp" and len(sighting.octets) >= 12:
            copy, at = (sighting.source, sighting.target, sighting.octets), sighting.at // 1000
            if copy in self.copies and abs(at - self.copies[copy]) <= COPIES_WITHIN:
                self.messages["filtered"]["duplicate"] += 1
                return
            self.copies[copy] = at
        self.read(sighting, is_late=False)

    def glimpse(self, sighting):
        """The first bytes of a message: a query may show its question, a response that there is one."""
        octets, ports = sighting.octets, {sighting.source[1], sighting.target[1]}
        if len(octets) < 4 or 53 not in ports and ports & MULTICAST:
            return
        message = wire.Message(octets.ljust(12, b"\0"))
        if message.is_response:
            flow = (sighting.transport, sighting.target, sighting.source, message.id)
            if not self.respond(flow):
                self.wait(flow, None, None)
            return
        try:
            message.octets = octets
            if not message.opcode and message.counts[0] == 1:
                message.read_questions()
                if message.questions[0][2] == IN:
                    self.ask(sighting, message, *message.questions[0][:2])
        except Unreadable:
            pass

    def read(self, sighting, is_late):
        try:
            self.decode(sighting, is_late)
        except Unreadable as unreadable:
            self.messages["rejected"]["unreadable"] += 1
            self.compare_rejected(sighting, unreadable)
        except Left as left:
            self.messages[left.kind][left.reason] += 1
            if left.reason in ("unsolicited", "multicast_query"):
                return
        else:
            return
        # It cannot be used; but if it is a response, its query is not unanswered.
        if sighting.octets[2:3] >= b"\x80":
            self.glimpse(sighting)

    def decode(self, sighting, is_late):
        message = wire.Message(sighting.octets)
        if message.opcode:
            raise Left("filtered", "opcode")
        ports = {sighting.source[1], sighting.target[1]}
        # A client may have chosen such a port for an ordinary query.
        ports = set() if 53 in ports else ports & MULTICAST
        if MDNS in ports:
            self.multicast(sighting, message)
        else:
            self.unicast(sighting, message, not ports, is_late)

    def unicast(self, sighting, message, is_paired, is_late):
        if message.counts[0] > 1:
            raise Left("rejected", "question_count")
        if not message.is_response and message.counts[0] == 0:
            raise Left("rejected", "no_question")
        at = message.read_questions()
        if message.questions and message.questions[0][2] != IN:
            raise Left("filtered", "class")
        if not is_paired:
            if not message.is_response:
                raise Left("filtered", "multicast_query")
            if not message.questions:
                raise Left("rejected", "no_question")
            (name, qtype, _), unsolicited = message.questions[0], False
            wants_recursion = message.wants_recursion
        elif not message.is_response:
            self.messages["queries"] += 1
            self.ask(sighting, message, *message.questions[0][:2])
            return
        else:
            matched = self.match(sighting, message, is_late)
            if matched is None:
                return
            (name, qtype), unsolicited, wants_recursion = matched
        if unsolicited and self.options.drop_unsolicited:
            raise Left("filtered", "unsolicited")
        message.read_records(at)
        self.compare(sighting, message)
        self.messages["responses"] += 1
        self.messages["unsolicited"] += unsolicited
        is_resolved = wants_recursion and message.has_recursion
        Response(self, message, sighting.at, unsolicited, name, qtype, is_resolved).file()

    def multicast(self, sighting, message):
        """R9: what a host says of itself."""
        if not message.is_response:
            raise Left("filtered", "multicast_query")
        message.read_records(message.read_questions())
        self.compare(sighting, message)
        self.messages["responses"] += 1
        Response(self, message, sighting.at, False, None, None, False).file_all()

    def compare(self, sighting, message):
        """Says where tshark reads other records than the rules do."""
        ours, theirs = {}, {}
        for section, records in enumerate(message.sections, 1):
            for record in records:
                numbers = (record.type, record.cls, record.ttl, record.length)
                ours[section, record.at] = (plain_text(record.owner), *numbers)
        for one in sighting.listed:
            if one.section:
                theirs[one.section, one.at] = (one.owner, one.type, one.cls, one.ttl, one.length)
        titles = ("", "answer", "authority", "additional")
        for key in sorted(ours | theirs):
            our, their = ours.get(key), theirs.get(key)
            if their and our and alike(our, their):
                continue
            where = f"frame {sighting.frame}, {titles[key[0]]} at {key[1]}"
            if our is None:
                self.differs.append(f"{where}: only tshark reads it")
            elif their is None:
                self.differs.append(f"{where}: only the rules read it")
            else:
                self.differs.append(f"{where}: {our} by the rules, {their} by tshark")

    def compare_rejected(self, sighting, unreadable):
        listed = sum(bool(one.section) for one in sighting.listed)
        if listed:
            self.differs.append(
                f"frame {sighting.frame}: rejected ({unreadable}), tshark reads {listed} records"
            )

    # --- what is told -------------------------------------------------------------------------

    def record(self, owner, rrtype, rdata, at, ttl, unsolicited):
        key = (wire.name_text(owner), TYPES.get(rrtype, f"TYPE{rrtype}"), hexed(rdata), False)
        add(self.records, key, at // 10**9, ttl)
        self.records[key].setdefault("unsolicited", True)
        self.records[key]["unsolicited"] &= unsolicited

    def negative(self, name, qtype, outcome, at, unsolicited):
        key = (wire.name_text(name), TYPES.get(qtype, f"TYPE{qtype}"), outcome)
        add(self.negatives, key, at // 10**9, None)
        self.negatives[key].setdefault("unsolicited", True)
        self.negatives[key]["unsolicited"] &= unsolicited

    def result(self):
        record_keys = ("rrname", "rrtype", "rdata", "partial")
        negative_keys = ("rrname", "rrtype", "outcome")
        return {
            "records": [
                dict(zip(record_keys, key)) | shown(seen) for key, seen in sorted(self.records.items())
            ],
            "negatives": [
                dict(zip(negative_keys, key)) | shown(seen) for key, seen in sorted(self.negatives.items())
            ],
            "messages": self.messages,
            "left_out": self.left_out,
            "omitted": [
                dict(zip((*record_keys[:3], "reason"), key)) | {"count": count}
                for key, count in sorted(self.omitted.items())
            ],
            "differs": self.differs,
        }


def hexed(octets):
    return f"\\# {len(octets)} {octets.hex()}".rstrip()


def plain_text(labels):
    """A name as tshark shows it, or None when it has octets that tshark shows in its own way."""
    if not labels:
        return "<Root>"
    text = b".".join(labels).decode("latin-1")
    return (
        text
        if all(character.isalnum() and character.isascii() or character in "-_." for character in text)
        else None
    )


def alike(our, their):
    owner, rrtype, cls, ttl, length = our
    if owner is not None and owner != their[0].lower().replace("<root>", "<Root>"):
        return False
    if rrtype == OPT:
        return their[1] == OPT and their[4] in (None, length)
    # The top bit of the class is apart in mDNS.
    return (rrtype, ttl, length) == (their[1], their[3], their[4]) and cls & 0x7FFF == (their[2] or 0) & 0x7FFF


class Response:
    """One response, filed by R4 to R8."""

    def __init__(self, reference, message, at, unsolicited, name, qtype, is_resolved):
        self.reference, self.message, self.at, self.unsolicited = reference, message, at, unsolicited
        self.qname, self.qtype, self.is_resolved = name, qtype, is_resolved
        self.once, self.left_out = set(), reference.left_out
        if message.rest_unreadable:
            self.left_out["rest_unreadable"] += 1

    def omit(self, record, reason):
        self.left_out[reason] += 1
        octets = self.octets(record)
        shown_as = hexed(octets) if octets is not None else "unreadable"
        rrtype = TYPES.get(record.type, f"TYPE{record.type}")
        self.reference.omitted[wire.name_text(record.owner), rrtype, shown_as, reason] += 1

    def octets(self, record):
        """Canonical RDATA, or None."""
        if record.length != LENGTHS.get(record.type, record.length):
            return None
        try:
            return wire.rdata_octets(self.message.octets, record.type, record.data, record.end)
        except Unreadable:
            return None

    def is_meta(self, record):
        if record.type == SIG and not record.owner and record.length >= 2:
            return self.message.octets[record.data : record.data + 2] == b"\0\0"
        return record.type in META

    def file_record(self, record):
        rdata = self.octets(record)
        if rdata is None:
            self.omit(record, "undecodable")
        elif (record.owner, record.type, rdata) in self.once:
            self.omit(record, "repeated")
        else:
            self.once.add((record.owner, record.type, rdata))
            ttl = 0 if record.ttl >= 2**31 else record.ttl
            self.reference.record(record.owner, record.type, rdata, self.at, ttl, self.unsolicited)
        return rdata is not None

    def usable(self, records, mask=0xFFFF):
        """Those records that could be filed: of class IN and of a type that is one."""
        for record in records:
            if record.type == OPT:
                continue
            if record.cls & mask != IN:
                self.omit(record, "class")
            elif self.is_meta(record):
                self.omit(record, "meta")
            else:
                yield record

    def file_all(self):
        for section in self.message.sections[:3]:
            for record in self.usable(section, 0x7FFF):
                self.file_record(record)

    def chain(self, answers):
        """R5: the names that the CNAME records of the answer section lead through, and whether it was cut.

        A server that is no resolver to its client speaks for the registrable domain of QNAME and no other.
        """
        chain = [self.qname]
        bounds = () if self.is_resolved else registrable(self.qname) or self.qname
        while True:
            links = [record for record in answers if record.type == CNAME and record.owner == chain[-1]]
            targets = [self.octets(record) for record in links]
            target = next((octets for octets in targets if octets is not None), None)
            if target is None:
                return chain, False
            target, _ = wire.name_at(target, 0)
            if target in chain or len(chain) == LONGEST_CHAIN:
                return chain, False
            if not is_at_or_below(target, bounds):
                return chain, True
            chain.append(target)

    def file(self):
        answers, authority, additional = (list(self.usable(part)) for part in self.message.sections[:3])
        chain, is_cut = self.chain(answers)
        filed = [record for record in answers if self.belongs(record, chain)]
        for record in answers:
            if record in filed:
                self.file_record(record)
            else:
                self.omit(record, "out_of_bailiwick")
        # R6
        above = [record for record in authority if record.type in (NS, SOA)]
        above = [record for record in above if any(is_at_or_below(name, record.owner) for name in chain)]
        apex = above[0].owner if above else None
        bailiwick = apex
        if apex is None or is_public_suffix(apex):
            bailiwick = registrable(chain[-1])
        within = lambda record: bailiwick is not None and is_at_or_below(record.owner, bailiwick)  # noqa: E731
        for record in authority:
            if record in above or record.type not in (NS, SOA) and within(record):
                self.file_record(record)
            else:
                self.omit(record, "out_of_bailiwick")
        # R7
        for record in additional:
            if within(record):
                self.file_record(record)
            else:
                self.omit(record, "out_of_bailiwick")
        self.conclude(chain, is_cut, filed, above)

    def belongs(self, record, chain):
        if record.owner in chain:
            return True
        if record.type in (DNAME, RRSIG) and any(is_at_or_below(name, record.owner) for name in chain):
            return True
        return self.qtype in (AXFR, IXFR) and is_at_or_below(record.owner, self.qname)

    def conclude(self, chain, is_cut, filed, above):
        """R8: the negative answer, if it is one."""
        message, end = self.message, chain[-1]
        rcode = message.rcode
        option = next((record for record in message.sections[2] if record.type == OPT), None)
        if option:
            rcode |= option.ttl >> 24 << 4
        if rcode and not is_cut:
            self.negative(end, OUTCOMES.get(rcode, f"RCODE{rcode}"))
            return
        if self.qtype in (ANY, AXFR, IXFR, MAILA, MAILB):
            answered = bool(filed)
        elif self.qtype == CNAME:
            answered = any(record.type == CNAME and record.owner in (self.qname, end) for record in filed)
        else:
            answered = any(record.type == self.qtype and record.owner == end for record in filed)
        answered = answered or self.qtype in (TKEY, TSIG)
        # An answer of another class is no lack of data.
        answered = answered or any(record.cls != IN and record.type != OPT for record in message.sections[0])
        # The RCODE, and what is not there, are those of the true end of the chain.
        if is_cut and (rcode or not answered):
            self.left_out["chain_cut"] += 1
            return
        if answered:
            return
        is_in = any(record.cls == IN and record.type != OPT for record in message.sections[0])
        if message.is_truncated or message.rest_unreadable:
            self.left_out["truncated"] += 1
        elif any(record.type == SOA and is_at_or_below(end, record.owner) for record in above):
            self.negative(end, "NODATA")
        elif len(chain) == 1 and not is_in:
            if any(record.type == NS for record in above) and not message.is_authoritative:
                self.left_out["referral"] += 1
            else:
                self.negative(end, "NODATA")
        else:
            self.left_out["nodata_or_referral"] += 1

    def negative(self, name, outcome):
        self.reference.negative(name, self.qtype, outcome, self.at, self.unsolicited)


def read(path, options):
    reference = Reference(options)
    for _, at, sightings in dissect.dissect(path, options.port or [53], reference.differs):
        reference.advance(at)
        for sighting in sightings:
            reference.see(sighting)
    reference.finish()
    return reference.result()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, action="append")
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("--drop-unsolicited", action="store_true")
    parser.add_argument("captures", nargs="+")
    options = parser.parse_args()
    json.dump({path: read(path, options) for path in options.captures}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
