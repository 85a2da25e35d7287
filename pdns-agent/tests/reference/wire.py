"""Names, resource records and RDATA, read from the octets of a DNS message.

RFC 1035 sections 3 and 4.1. Slow and plain on purpose; the standard library only. Nothing in here knows what
a record is worth: that is packets.py.
"""

IN = 1
NS, CNAME, SOA, DNAME, OPT, RRSIG = 2, 5, 6, 39, 41, 46
A6 = 38
MOST_POINTERS = 127

# What stands before, between and after the names in RDATA: a number of octets, "n" a name that may be
# compressed, "p" a plain name, "s" a character-string, "*" whatever is left (RFC 3597 section 4, RFC 4034
# section 6.2).
LAYOUTS = {
    2: "n", 3: "n", 4: "n", 5: "n", 6: ("n", "n", 20), 7: "n", 8: "n", 9: "n", 12: "n", 14: "nn", 15: (2, "n"),
    17: "nn", 18: (2, "n"), 21: (2, "n"), 24: (18, "n", "*"), 26: (2, "n", "n"), 30: ("n", "*"), 33: (6, "n"),
    35: (4, "s", "s", "s", "n"), 36: (2, "n"), 39: "n", 46: (18, "p", "*"), 47: ("p", "*"),
}  # fmt: skip


class Unreadable(Exception):
    """The octets are not what they should be."""


def name_at(message, at, end=None, plain=False):
    """A name as a tuple of labels in lower case, and the offset behind it.

    `end` is where what holds the name ends. A pointer leads strictly before the run of labels that it ends.
    """
    limit = len(message) if end is None else end
    labels, size, behind, run, pointers = [], 1, None, at, 0
    while True:
        if at >= limit:
            raise Unreadable("name")
        length = message[at]
        if length == 0:
            return tuple(labels), at + 1 if behind is None else behind
        if length >= 0xC0 and not plain:
            if at + 2 > limit:
                raise Unreadable("pointer")
            target = (length & 0x3F) << 8 | message[at + 1]
            if behind is None:
                behind = at + 2
            pointers += 1
            if target >= run or pointers > MOST_POINTERS:
                raise Unreadable("pointer that leads forward")
            at = run = target
            limit = len(message)
        elif length < 0x40:
            label = message[at + 1 : at + 1 + length]
            size += length + 1
            if at + 1 + length > limit or size > 255:
                raise Unreadable("label")
            labels.append(label.lower())
            at += 1 + length
        else:
            raise Unreadable("label type")


def name_text(labels):
    """As a master file has it, without the final dot."""
    if not labels:
        return "."
    return ".".join("".join(map(octet_text, label)) for label in labels)


def octet_text(octet):
    if chr(octet) in '.\\";()@$':
        return "\\" + chr(octet)
    return chr(octet) if 0x21 <= octet <= 0x7E else f"\\{octet:03}"


def name_octets(labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def rdata_octets(message, rrtype, start, end):
    """Canonical octets of the RDATA: names uncompressed and in lower case."""
    if rrtype == A6:
        return a6_octets(message, start, end)
    if rrtype not in LAYOUTS:
        return message[start:end]
    out, at = b"", start
    for part in LAYOUTS[rrtype]:
        if part in ("n", "p"):
            labels, at = name_at(message, at, end, plain=part == "p")
            out += name_octets(labels)
            continue
        if part == "*":
            size = end - at
        elif part == "s":
            size = 1 + message[at] if at < end else 1
        else:
            size = part
        if at + size > end:
            raise Unreadable("field")
        out += message[at : at + size]
        at += size
    if at != end:
        raise Unreadable("octets left over")
    return out


def a6_octets(message, start, end):
    """RFC 2874 section 3.1: prefix length, address suffix, prefix name unless the length is 0."""
    if start >= end or message[start] > 128:
        raise Unreadable("A6 prefix length")
    at = start + 1 + (128 - message[start] + 7) // 8
    if at > end:
        raise Unreadable("A6 suffix")
    out = message[start:at]
    if message[start]:
        labels, at = name_at(message, at, end)
        out += name_octets(labels)
    if at != end:
        raise Unreadable("octets left over")
    return out


class Record:
    """One resource record as it stands in a message; `at` and `data` are offsets, `end` is behind RDATA."""

    def __init__(self, message, at):
        self.at = at
        self.owner, at = name_at(message, at)
        if at + 10 > len(message):
            raise Unreadable("record header")
        self.type, self.cls, self.ttl, self.length = numbers(message[at : at + 10], 2, 2, 4, 2)
        self.data = at + 10
        self.end = self.data + self.length
        if self.end > len(message):
            raise Unreadable("RDLENGTH")


def numbers(octets, *sizes):
    out, at = [], 0
    for size in sizes:
        out.append(int.from_bytes(octets[at : at + size], "big"))
        at += size
    return out


class Message:
    """Header, questions and the records of the three sections as far as they can be read."""

    def __init__(self, octets):
        self.octets = octets
        if len(octets) < 12:
            raise Unreadable("header")
        self.id, flags, *self.counts = numbers(octets[:12], 2, 2, 2, 2, 2, 2)
        self.is_response = bool(flags & 0x8000)
        self.opcode = flags >> 11 & 15
        self.is_authoritative = bool(flags & 0x0400)
        self.is_truncated = bool(flags & 0x0200)
        self.wants_recursion = bool(flags & 0x0100)
        self.has_recursion = bool(flags & 0x0080)
        self.rcode = flags & 15
        self.questions, self.sections, self.rest_unreadable = None, [[], [], []], False

    def read_questions(self):
        self.questions, at = [], 12
        for _ in range(self.counts[0]):
            name, at = name_at(self.octets, at)
            if at + 4 > len(self.octets):
                raise Unreadable("question")
            self.questions.append((name, *numbers(self.octets[at : at + 4], 2, 2)))
            at += 4
        return at

    def read_records(self, at):
        for section, count in zip(self.sections, self.counts[1:]):
            for _ in range(count):
                try:
                    record = Record(self.octets, at)
                except Unreadable:
                    self.rest_unreadable = True
                    return
                section.append(record)
                at = record.end
