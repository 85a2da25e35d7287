#!/usr/bin/env python3
"""Independent reference: what Zeek DNS logs say, as a plain dictionary.

Written from Zeek's log format and the rules of inference alone, not from the Rust code, which it
checks. Slow and simple on purpose; but for the public suffixes, the standard library alone.

    zeek.py [--baseline] [--keep-multicast] LOG...

prints one JSON object:
    records    [{rrname, rrtype, rdata, partial, count, time_first, time_last, ttl_min, ttl_max, ttl_last}]
    negatives  [{rrname, rrtype, outcome, count, time_first, time_last}]
    lines      {total, counted, directive, blank, other, filtered: {reason: n}, rejected: {reason: n}}
    left_out   {reason: n}: answers and outcomes of counted lines that no record stands for

`--baseline` reads the golden logs of Zeek's own tests: their first line is dropped and their blanked-out
times stand for 1300000000.
"""

import datetime
import ipaddress
import json
import re
import sys
import zlib
from collections import Counter
from decimal import Decimal, InvalidOperation

import suffixes

# IANA "Resource Record (RR) TYPEs".
TYPES = {
    1: "A", 2: "NS", 3: "MD", 4: "MF", 5: "CNAME", 6: "SOA", 7: "MB", 8: "MG", 9: "MR", 10: "NULL",
    11: "WKS", 12: "PTR", 13: "HINFO", 14: "MINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 19: "X25",
    20: "ISDN", 21: "RT", 22: "NSAP", 23: "NSAP-PTR", 24: "SIG", 25: "KEY", 26: "PX", 27: "GPOS",
    28: "AAAA", 29: "LOC", 30: "NXT", 31: "EID", 32: "NIMLOC", 33: "SRV", 34: "ATMA", 35: "NAPTR",
    36: "KX", 37: "CERT", 38: "A6", 39: "DNAME", 40: "SINK", 41: "OPT", 42: "APL", 43: "DS", 44: "SSHFP",
    45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM",
    52: "TLSA", 53: "SMIMEA", 55: "HIP", 56: "NINFO", 57: "RKEY", 58: "TALINK", 59: "CDS", 60: "CDNSKEY",
    61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 66: "DSYNC", 99: "SPF",
    100: "UINFO", 101: "UID", 102: "GID", 103: "UNSPEC", 104: "NID", 105: "L32", 106: "L64", 107: "LP",
    108: "EUI48", 109: "EUI64", 128: "NXNAME", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR",
    253: "MAILB", 254: "MAILA", 255: "ANY", 256: "URI", 257: "CAA", 258: "AVC", 259: "DOA",
    260: "AMTRELAY", 261: "RESINFO", 262: "WALLET", 263: "CLA", 264: "IPN", 32768: "TA", 32769: "DLV",
}
TYPE_NUMBERS = {name: number for number, name in TYPES.items()} | {"*": 255, "NB": 32, "NBSTAT": 33}

# IANA "DNS RCODEs"; what a question without a record came to.
OUTCOMES = {
    0: "NODATA", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
    7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI", 16: "BADVERS", 17: "BADKEY",
    18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", 23: "BADCOOKIE",
}
RCODE_NUMBERS = {name: number for number, name in OUTCOMES.items()} | {"NOERROR": 0}

NS, CNAME, SOA, PTR, MX, TXT, SRV, DNAME, SPF, ANY = 2, 5, 6, 12, 15, 16, 33, 39, 99, 255
# Zeek logs nothing at all for answers of these types: HINFO, WKS, SVCB, HTTPS, TKEY, TSIG, CAA.
UNLOGGED = {13, 11, 64, 65, 249, 250, 257}
MULTICAST_PORTS = {137, 5353, 5355}
MAX_TTL = 2**31 - 1


class Rejected(Exception):
    """The whole line is not counted."""


# --- bytes to lines ---------------------------------------------------------------------------


def gunzip(data):
    """All members of a gzip file; what comes before a break when it is broken."""
    out = []
    while data[:2] == b"\x1f\x8b":
        member = zlib.decompressobj(31)
        try:
            # A small step at a time, so that a break loses as little as possible.
            for at in range(0, len(data), 64):
                out.append(member.decompress(data[at : at + 64]))
                if member.eof:
                    data = member.unused_data + data[at + 64 :]
                    break
            else:
                break
        except zlib.error:
            break
    return b"".join(out)


def lines_of(path, baseline):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gunzip(data)
    lines = data.split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    if baseline:
        if lines and lines[0].startswith(b"### BTest"):
            del lines[0]
        lines = [line.replace(b"XXXXXXXXXX.XXXXXX", b"1300000000.000000") for line in lines]
    return [line[:-1] if line.endswith(b"\r") else line for line in lines]


# --- lines to fields --------------------------------------------------------------------------


def unescape_tsv(text):
    """Zeek's ASCII writer: a backslash is doubled, other octets are \\xHH."""
    return re.sub(
        rb"\\(\\|x[0-9A-Fa-f]{2})",
        lambda hit: b"\\" if hit[1] == b"\\" else bytes([int(hit[1][1:], 16)]),
        text,
    )


def octets_of_json(text):
    """A JSON string's octets: \\xHH (escape policy HEX) and U+F0000 + octet (policy PUA)."""
    out = b""
    for part in re.split(r"(\\x[0-9A-Fa-f]{2}|[\U000F0000-\U000F00FF])", text):
        if len(part) == 4 and part.startswith("\\x"):
            out += bytes([int(part[2:], 16)])
        elif len(part) == 1 and 0xF0000 <= ord(part) <= 0xF00FF:
            out += bytes([ord(part) - 0xF0000])
        else:
            try:
                out += part.encode()
            except UnicodeEncodeError:
                raise Rejected("json") from None
    return out


def is_dns_path(path):
    return path in ("dns", "pdns") or path.startswith(("dns_", "pdns_", "json_streaming_dns", "json_streaming_pdns"))


class Header:
    """What the directives of a TSV log say of the lines that follow."""

    def __init__(self):
        self.separator = b"\t"
        self.set_separator = b","
        self.empty = b"(empty)"
        self.unset = b"-"
        self.path = None
        self.columns = None
        self.bare = None

    def directive(self, line):
        if line.startswith(b"#separator "):
            self.__init__()
            self.separator = unescape_tsv(line[len(b"#separator ") :]) or b"\t"
            return
        key, *values = line.split(self.separator)
        if not values:
            return
        if key == b"#set_separator":
            self.set_separator = unescape_tsv(values[0]) or b","
        elif key == b"#empty_field":
            self.empty = unescape_tsv(values[0])
        elif key == b"#unset_field":
            self.unset = unescape_tsv(values[0])
        elif key == b"#path":
            self.path = values[0].decode("latin-1")
        elif key == b"#fields":
            self.columns = [value.decode("latin-1") for value in values]

    def row(self, line):
        """A row's fields; None when it is of another log."""
        if self.path is not None and not is_dns_path(self.path):
            return None
        if self.columns is None:
            raise Rejected("no_header")
        if "ts" not in self.columns or not {"query", "rrname"} & set(self.columns):
            if self.path is None:
                return None
            raise Rejected("no_header")
        values = line.split(self.separator)
        if len(values) != len(self.columns):
            raise Rejected("columns")
        return {name: Tsv(value, self) for name, value in zip(self.columns, values)}


class Tsv:
    """One field of a TSV row."""

    def __init__(self, raw, header):
        self.raw, self.header = raw, header

    def is_set(self):
        return self.raw != self.header.unset

    def octets(self):
        return b"" if self.raw == self.header.empty else unescape_tsv(self.raw)

    def vector(self):
        if self.raw == self.header.empty:
            return []
        parts = self.raw.split(self.header.set_separator)
        return [Tsv(part, self.header) for part in parts]

    def number(self):
        return self.octets().decode("latin-1")

    def true(self):
        return self.raw == b"T"


class Json:
    """One value of a JSON object."""

    def __init__(self, value):
        self.value = value

    def is_set(self):
        return self.value is not None

    def octets(self):
        if not isinstance(self.value, str):
            raise Rejected("json")
        return octets_of_json(self.value)

    def vector(self):
        if not isinstance(self.value, list):
            raise Rejected("json")
        return [Json(value) for value in self.value]

    def number(self):
        if isinstance(self.value, bool) or not isinstance(self.value, (int, Decimal, str)):
            raise Rejected("json")
        return str(self.value)

    def true(self):
        return self.value is True


def json_row(line):
    try:
        row = json.loads(line.decode(), parse_float=Decimal)
    except (ValueError, RecursionError):
        raise Rejected("json") from None
    path = row.get("_path")
    if isinstance(path, str):
        if not is_dns_path(path):
            return None
    elif not any(key in row for key in ("query", "qtype", "qtype_name", "rcode", "rcode_name", "rrname")):
        return None
    if isinstance(row.get("id"), dict):
        row |= {"id." + key: value for key, value in row["id"].items()}
    return {key: Json(value) for key, value in row.items()}


def field(row, *names):
    """The first of the fields that is there and set."""
    for name in names:
        if name in row and row[name].is_set():
            return row[name]
    return None


def whole(value):
    """An unsigned number of at most 16 bits."""
    text = value.number()
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 0xFFFF:
        raise Rejected("number")
    return int(text)


# --- time, names, RDATA -----------------------------------------------------------------------


def seconds_of(value):
    """Whole seconds since the epoch, rounded down."""
    text = value.number()
    iso = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(?:[Zz]|([+-]\d\d):?(\d\d))", text, re.ASCII
    )
    try:
        if iso:
            at = datetime.datetime.fromisoformat(f"{iso[1]}T{iso[2]}+00:00")
            offset = datetime.timedelta()
            if iso[3]:
                minutes = int(iso[4]) * (-1 if iso[3][0] == "-" else 1)
                offset = datetime.timedelta(hours=int(iso[3]), minutes=minutes)
            epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
            seconds = (at - offset - epoch) // datetime.timedelta(seconds=1)
        else:
            number = Decimal(text)
            if not number.is_finite():
                raise Rejected("time")
            if number >= 2**63:
                number -= 2**64  # a negative number of milliseconds, written unsigned
            if abs(number) > 10**11:
                number /= 1000  # milliseconds
            seconds = int(number.to_integral_value("ROUND_FLOOR"))
    except (InvalidOperation, ValueError, OverflowError):
        raise Rejected("time") from None
    if not 0 <= seconds < 2**32:
        raise Rejected("time")
    return seconds


def ttl_of(value):
    """Whole seconds, or None."""
    if not value.is_set():
        return None
    try:
        ttl = Decimal(value.number())
    except (InvalidOperation, Rejected):
        return None
    if not ttl.is_finite() or ttl < 0:
        return None
    return min(int(ttl), MAX_TTL)


def name_of(octets):
    """Canonical text of label octets joined with dots; None when they are no name."""
    if octets.endswith(b"."):
        octets = octets[:-1]
    if octets == b"":
        return "."
    labels = octets.split(b".")
    if any(not 1 <= len(label) <= 63 for label in labels):
        return None
    if sum(len(label) + 1 for label in labels) + 1 > 255:
        return None
    return ".".join("".join(map(label_text, label.lower())) for label in labels)


def label_text(octet):
    if chr(octet) in '.\\";()@$':
        return "\\" + chr(octet)
    return chr(octet) if 0x21 <= octet <= 0x7E else f"\\{octet:03}"


def string_text(octets):
    """A character-string in quotes (RFC 1035 section 5.1)."""
    out = ""
    for octet in octets:
        if octet in b'"\\':
            out += "\\" + chr(octet)
        else:
            out += chr(octet) if 0x20 <= octet <= 0x7E else f"\\{octet:03}"
    return f'"{out}"'


def address_of(octets):
    """(type, text) of a strict address, or None."""
    text = octets.decode("latin-1")
    try:
        return "A", str(ipaddress.IPv4Address(text))
    except ValueError:
        pass
    if "%" in text:
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    if address.ipv4_mapped:
        return "AAAA", f"::ffff:{address.ipv4_mapped}"
    return "AAAA", address.compressed


def strings_of(octets, word):
    """The strings of `TXT <len> <octets>`, repeated, joined by a space; None when it is not that."""
    strings = []
    while True:
        head = re.match(rb"%s ([0-9]+) " % word, octets)
        if not head or int(head[1]) > 255:
            return None
        end = head.end() + int(head[1])
        if end > len(octets):
            return None
        strings.append(octets[head.end() : end])
        octets = octets[end:]
        if octets == b"":
            return strings
        if octets[:1] != b" ":
            return None
        octets = octets[1:]


# A regular expression of RFC 3402 section 3.2 (delimiter, pattern, delimiter, replacement, delimiter,
# flag), perhaps with a name after it.
EXPRESSION = re.compile(rb"(([^A-Za-z0-9_-])(?:\\.|(?!\2|\\).)*\2(?:\\.|(?!\2|\\).)*\2i*)(?: (.*))?", re.DOTALL)


def naptr_of(octets):
    """Text of `NAPTR order preference flags service`, regexp, replacement; None when it is not that.

    Of the last two Zeek's dns_NAPTR_reply leaves out what is empty, with its space.
    """
    fields = octets.split(b" ", 5)[1:]
    if len(fields) != 5:
        return None
    order, preference, flags, service, rest = fields
    for number in (order, preference):
        if not re.fullmatch(rb"[0-9]+", number) or int(number) > 0xFFFF:
            return None
    expression = EXPRESSION.fullmatch(rest)
    if expression:
        regexp, replacement = expression[1], expression[3] or b""
    elif re.fullmatch(rb"([A-Za-z0-9_-][A-Za-z0-9_.-]*)?", rest):
        regexp, replacement = b"", rest
    else:
        return None
    name = name_of(replacement)
    if name is None or any(len(string) > 255 for string in (flags, service, regexp)):
        return None
    strings = " ".join(map(string_text, (flags, service, regexp)))
    return f"{int(order)} {int(preference)} {strings} {name}"


# --- one line ---------------------------------------------------------------------------------

# What Zeek puts in place of RDATA that it does not log.
STANDS_FOR = (
    b"RRSIG ", b"DNSKEY ", b"DS ", b"NSEC ", b"SSHFP:", b"LOC:", b"BIND9 signing signal", b"<unknown type=",
)  # fmt: skip
BARE = (b"", b"NSEC3", b"NSEC3PARAM")


def kind_of(answer):
    """What one element of `answers` is: ("data", type, text), ("name", text or None) or ("out", reason)."""
    if not answer.is_set():
        return "out", "rdata_not_in_log"
    octets = answer.octets()
    address = address_of(octets)
    if address:
        return "data", *address
    for word, rrtype in ((b"TXT", "TXT"), (b"SPF", "SPF")):
        if octets.startswith(word + b" "):
            strings = strings_of(octets, word)
            if strings is None:
                return "out", "undecodable"
            return "data", rrtype, " ".join(map(string_text, strings))
    if octets.startswith(b"NAPTR "):
        text = naptr_of(octets)
        return ("data", "NAPTR", text) if text else ("out", "undecodable")
    if octets in BARE or octets.startswith(STANDS_FOR):
        return "out", "rdata_not_in_log"
    if octets.startswith((b"pre:", b"del:", b"add:")):
        return "out", "dynamic_update"
    return "name", name_of(octets)


def is_reverse(name):
    return any(("." + name).endswith(zone) for zone in (".in-addr.arpa", ".ip6.arpa"))


def domain_of(query):
    """The domain of a name, in canonical text, that its servers speak for: its registrable domain, or itself."""
    labels = [label.encode("latin-1") for label in re.findall(r"(?:\\.|[^.\\])+", query)]
    found = suffixes.registrable(tuple(labels))
    return found and ".".join(label.decode("latin-1") for label in found) or query


def is_at_or_below(name, apex):
    return apex == "." or name == apex or name.endswith("." + apex)


def infer(query, qtype, kinds, ttls, is_resolved=True):
    """Gives every answer its owner and type.

    Returns records [(rrname, rrtype, rdata, partial, ttl)], the reasons of what is left out, and the
    owner at the end of the CNAME chain; None when that cannot be told. Unless a resolver made the response, what
    follows an alias that leaves the query's domain is left out.
    """
    names = [at for at, kind in enumerate(kinds) if kind[0] == "name"]
    # An address or text, be it broken.
    data = [at for at, kind in enumerate(kinds) if kind[0] == "data" or kind == ("out", "undecodable")]
    rule = qtype
    if qtype is None:
        if is_reverse(query):
            rule = PTR
        elif data and all(name < data[0] for name in names):
            rule = CNAME
        else:
            rule = ANY
    one_rrset = len({ttls[at] for at in names}) <= 1
    records, left_out, owner, name_seen = [], [], query, False
    for at, (kind, ttl) in enumerate(zip(kinds, ttls)):
        is_cut = owner is not None and not is_resolved and not is_at_or_below(owner, domain_of(query))
        if kind[0] == "out":
            left_out.append(kind[1])
        elif kind[0] == "data":
            if owner is None or name_seen and rule in (NS, MX, SRV, SOA, PTR, DNAME, ANY):
                left_out.append("ambiguous")
            elif is_cut:
                left_out.append("out_of_bailiwick")
            else:
                records.append((owner, kind[1], kind[2], False, ttl))
        else:
            name_seen = True
            target = kind[1]
            if owner is None or rule in (DNAME, ANY) or rule in (NS, MX, SRV) and not one_rrset:
                left_out.append("ambiguous")
                owner = None
            elif is_cut and target is not None:
                left_out.append("out_of_bailiwick")
            elif rule in (NS, MX, SRV):
                rdata = {NS: "", MX: "0 ", SRV: "0 0 0 "}[rule]
                add_named(records, left_out, (owner, TYPES[rule], rdata, rule != NS, ttl), target)
            elif rule == SOA and at == names[-1]:
                add_named(records, left_out, (owner, "SOA", "", True, ttl), target, " . 0 0 0 0 0")
            elif rule == PTR and not (target and is_reverse(target) and at + 1 < len(kinds)):
                add_named(records, left_out, (owner, "PTR", "", False, ttl), target)
            else:
                # What follows a link that is no name belongs to nobody known.
                add_named(records, left_out, (owner, "CNAME", "", False, ttl), target)
                owner = target
    return records, left_out, owner


def add_named(records, left_out, record, target, rest=""):
    """Adds a record of which the log tells a name; of MX, SRV and SOA the other fields are zero."""
    owner, rrtype, start, partial, ttl = record
    if target is None:
        left_out.append("bad_name")
    else:
        records.append((owner, rrtype, start + target + rest, partial, ttl))


def numbered(row, number, name, numbers, prefix):
    """A code from its number field, else from its name field."""
    value = field(row, number)
    if value:
        return whole(value)
    value = field(row, name)
    if not value:
        return None
    text = value.octets().decode("latin-1")
    if text.startswith(prefix) and text[len(prefix) :].isdigit():
        return int(text[len(prefix) :])
    if text not in numbers:
        raise Rejected("number")
    return numbers[text]


def filter_of(row, keep_multicast):
    """Why a line is left aside, or None."""
    if "rrname" in row:
        return None if whole(row["rrclass"]) == 1 else "class"
    if "pdns" in row and row["pdns"].is_set() and row["pdns"].true():
        return "in_pdns_log"
    opcode = field(row, "opcode")
    if opcode and whole(opcode) != 0:
        return "opcode"
    ports = [field(row, f"id.{side}_p", f"id_{side}_p") for side in ("orig", "resp")]
    client, server = [whole(port) if port else None for port in ports]
    # A client may have chosen such a port for an ordinary query.
    multicast = server in MULTICAST_PORTS or (client in MULTICAST_PORTS and server != 53)
    if not keep_multicast and multicast:
        return "port"
    qclass = field(row, "qclass")
    if qclass and whole(qclass) != 1:
        return "class"
    return None


def negative(row, query_type, answered, owner, query, left_out):
    """(rrname, outcome) when the question brought no record and that is sure."""
    rcode = numbered(row, "rcode", "rcode_name", RCODE_NUMBERS, "rcode-")
    if rcode == 0 and answered or rcode is None and answered:
        return None
    if query_type is None:
        left_out.append("no_qtype")
        return None
    if rcode is None:
        return query, "UNANSWERED"
    if rcode != 0 and owner is None:
        left_out.append("ambiguous")
        return None
    if rcode != 0 and not is_of_resolver(row) and not is_at_or_below(owner, domain_of(query)):
        left_out.append("chain_cut")
        return None
    if rcode != 0:
        return owner, OUTCOMES.get(rcode, f"RCODE{rcode}")
    true = {key: key in row and row[key].true() for key in ("AA", "RA", "RD", "rejected")}
    if field(row, "rtt") or true["AA"] or true["RA"] or query_type in UNLOGGED:
        left_out.append("answer_not_in_log")
        return None
    # A message without records may be truncated, unless it came over a stream; with some, a referral.
    proto = field(row, "proto")
    if not true["rejected"] or not proto or proto.octets() != b"tcp":
        left_out.append("nodata_or_referral")
        return None
    return owner, "NODATA"


def is_of_resolver(row):
    """Whether the query wanted recursion, and the server offers it."""
    return all(key in row and row[key].true() for key in ("RD", "RA"))


def observe(row):
    """All that one row tells: time, records, negative answer, reasons of what it leaves out."""
    at = field(row, "ts")
    if not at:
        raise Rejected("time")
    at = seconds_of(at)
    query = field(row, "query")
    if not query:
        raise Rejected("no_query")
    query = name_of(query.octets())
    if query is None:
        raise Rejected("bad_name")
    qtype = numbered(row, "qtype", "qtype_name", TYPE_NUMBERS, "query-")
    answers = field(row, "answers")
    answers = answers.vector() if answers else []
    ttls = field(row, "TTLs")
    ttls = ttls.vector() if ttls else []
    ttls = [ttl_of(ttl) for ttl in ttls] if len(ttls) == len(answers) else [None] * len(answers)
    records, left_out, owner = infer(query, qtype, [kind_of(answer) for answer in answers], ttls, is_of_resolver(row))
    outcome = negative(row, qtype, bool(answers), owner, query, left_out)
    once = {}
    for rrname, rrtype, rdata, partial, ttl in records:
        once.setdefault((rrname, rrtype, rdata, partial), ttl)
    negatives = [(outcome[0], TYPES.get(qtype, f"TYPE{qtype}"), outcome[1])] if outcome else []
    return at, once, negatives, left_out


# --- one line of pdns.log ---------------------------------------------------------------------


def package_octets(text):
    """Octets of the Zeek package's text: each %hh is one, % alone is nothing."""
    if text == b"%":
        return b""
    return re.sub(rb"%([0-9a-f]{2})", lambda hit: bytes([int(hit[1], 16)]), text)


def package_rdata(rrtype, fields):
    """(text, whether parts are unknown) of RDATA; None for a type that the package does not take apart."""
    names = {2: [0], 5: [0], 12: [0], 6: [0, 1], 15: [1], 33: [3], 35: [5], 64: [1], 65: [1]}
    quoted = {16: range(len(fields)), 99: range(len(fields)), 35: [2, 3, 4], 257: [2]}
    texts = []
    for at, field in enumerate(fields):
        octets = package_octets(field)
        if at in names.get(rrtype, ()):
            cased = name_of(octets)
            # These keep their case.
            texts.append(octets.decode("latin-1") if rrtype in (64, 65) and cased != "." else cased)
        elif at in quoted.get(rrtype, ()):
            texts.append(string_text(octets))
        else:
            texts.append(octets.decode("latin-1"))
    if rrtype in (1, 28):
        return address_of(package_octets(fields[0]))[1], False
    if rrtype in names or rrtype in quoted:
        return " ".join(texts), rrtype in (64, 65) and texts[0] != "0"
    return None


def observe_package(row):
    """All that one line of pdns.log tells: first and last time, count, TTLs, key, whether it is a record."""
    first, last = seconds_of(row["ts"]), seconds_of(field(row, "last") or row["ts"])
    count = int(row["seen"].number())
    ttls = [ttl_of(row[name]) if field(row, name) else None for name in ("ttl_min", "ttl_max", "ttl")]
    rrname = name_of(package_octets(row["rrname"].octets()))
    rrtype = whole(row["rrtype"])
    shown_type = TYPES.get(rrtype, f"TYPE{rrtype}")
    outcome, section, qname = (field(row, name) for name in ("outcome", "section", "qname"))
    if qname and (section is None or section.octets() == b"answer"):
        # The answer of a server that is no resolver to its client.
        if not is_at_or_below(rrname, domain_of(name_of(package_octets(qname.octets())))):
            return first, last, count, ttls, None, True
    if outcome:
        return first, last, count, ttls, (rrname, shown_type, outcome.octets().decode()), False
    rdata = field(row, "rdata")
    told = rdata and package_rdata(rrtype, [one.octets() for one in rdata.vector()])
    key = (rrname, shown_type, *told) if told else None
    return first, last, count, ttls, key, True


# --- sums -------------------------------------------------------------------------------------


def add(sums, key, at, ttl):
    """Merges one sighting: count, first and last time, smallest, largest and last TTL."""
    seen = sums.setdefault(key, {"count": 0, "time_first": at, "time_last": at, "ttls": []})
    seen["count"] += 1
    seen["time_first"] = min(seen["time_first"], at)
    seen["time_last"] = max(seen["time_last"], at)
    seen["ttls"].append((at, ttl))


def add_sum(sums, key, first, last, count, ttls):
    """Merges what the package has gathered: as many sightings, the first and last of which are known."""
    smallest, largest, latest = ttls
    seen = sums.setdefault(key, {"count": 0, "time_first": first, "time_last": last, "ttls": []})
    seen["count"] += count
    seen["time_first"] = min(seen["time_first"], first)
    seen["time_last"] = max(seen["time_last"], last)
    # The smallest and the largest came at some time before the end.
    seen["ttls"] += [(-1, smallest), (-1, largest), (last, latest)]


def shown(seen):
    ttls = seen.pop("ttls")
    values = [ttl for _, ttl in ttls if ttl is not None]
    if values:
        seen |= {"ttl_min": min(values), "ttl_max": max(values)}
    # The TTL of the latest second, the largest one told there; none if none was told there.
    last = [ttl for at, ttl in ttls if at == seen["time_last"] and ttl is not None]
    if last:
        seen["ttl_last"] = max(last)
    return seen


def read(path, options, records, negatives, lines, left_out):
    header = Header()
    for line in lines_of(path, options["baseline"]):
        lines["total"] += 1
        try:
            if line.strip() == b"":
                lines["blank"] += 1
                continue
            if line.startswith(b"#"):
                header.directive(line)
                lines["directive"] += 1
                continue
            if line.lstrip().startswith(b"{"):
                row = json_row(line)
            else:
                names = line.split(b"\t")
                if line == header.bare or header.columns is None and {b"ts", b"query"} <= set(names):
                    # The writer's tsv mode: one bare line of names.
                    header.columns = [name.decode("latin-1") for name in names]
                    header.bare = line
                    lines["directive"] += 1
                    continue
                row = header.row(line)
            if row is None:
                lines["other"] += 1
                continue
            reason = filter_of(row, options["keep_multicast"])
            if reason:
                lines["filtered"][reason] += 1
                continue
            if "rrname" in row:
                *numbers, key, is_record = observe_package(row)
                if key:
                    add_sum(records if is_record else negatives, key, *numbers)
                lines["counted"] += 1
                continue
            at, once, found, reasons = observe(row)
        except Rejected as rejection:
            lines["rejected"][str(rejection)] += 1
            continue
        lines["counted"] += 1
        left_out.update(reasons)
        for key, ttl in once.items():
            add(records, key, at, ttl)
        for key in found:
            add(negatives, key, at, None)


def main(arguments):
    options = {"baseline": "--baseline" in arguments, "keep_multicast": "--keep-multicast" in arguments}
    paths = [argument for argument in arguments if not argument.startswith("--")]
    records, negatives, left_out = {}, {}, Counter()
    lines = dict.fromkeys(("total", "counted", "directive", "blank", "other"), 0)
    lines |= {"filtered": Counter(), "rejected": Counter()}
    for path in paths:
        read(path, options, records, negatives, lines, left_out)
    record_keys = ("rrname", "rrtype", "rdata", "partial")
    negative_keys = ("rrname", "rrtype", "outcome")
    result = {
        "records": [dict(zip(record_keys, key)) | shown(seen) for key, seen in sorted(records.items())],
        "negatives": [dict(zip(negative_keys, key)) | shown(seen) for key, seen in sorted(negatives.items())],
        "lines": lines,
        "left_out": left_out,
    }
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
