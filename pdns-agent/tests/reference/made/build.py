"""What made captures are built of: DNS messages, packets around them, a file of them, and expectations."""

import struct

import dns.rdata
from scapy.all import IP, TCP, UDP, Ether, IPv6, Raw

START = 1_700_000_000 * 10**6  # microseconds since the epoch
STEP = 1_000
TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "DNAME": 39,
    "OPT": 41, "DS": 43, "RRSIG": 46, "NSEC": 47, "NSEC3": 50, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252,
    "ANY": 255,
}  # fmt: skip

RESPONSE, AUTHORITATIVE, TRUNCATED, ASKED, OFFERED = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
USUAL = RESPONSE | ASKED | OFFERED


def number(rrtype):
    if isinstance(rrtype, int):
        return rrtype
    return TYPES[rrtype] if rrtype in TYPES else int(dns.rdatatype.from_text(rrtype))


def name(text):
    """Wire form, in the case it is written in."""
    if isinstance(text, bytes):
        return text
    labels = [label.encode("latin-1") for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def rr(owner, rrtype, rdata, ttl=300, cls=1, length=None):
    """A record; RDATA as octets or as the text of a master file."""
    if isinstance(rdata, str):
        rdata = dns.rdata.from_text(
            "IN", number(rrtype), rdata, origin=dns.name.root, relativize=False
        ).to_wire()
    length = len(rdata) if length is None else length
    return name(owner) + struct.pack("!HHIH", number(rrtype), cls, ttl, length) + rdata


def opt(extended_rcode=0, options=b""):
    return rr(".", "OPT", options, ttl=extended_rcode << 24, cls=1232)


def message(
    qname, qtype="A", answers=(), authority=(), additional=(), ident=1, flags=USUAL, qclass=1, counts=None
):
    """A message; `counts` instead of the true ones. A QNAME of None is no question at all."""
    sections = [list(part) for part in (answers, authority, additional)]
    question = b"" if qname is None else name(qname) + struct.pack("!HH", number(qtype), qclass)
    counts = counts or [qname is not None, *map(len, sections)]
    return struct.pack("!6H", ident, flags, *counts) + question + b"".join(b"".join(part) for part in sections)


def query(qname, qtype="A", ident=1, flags=ASKED, **more):
    return message(qname, qtype, ident=ident, flags=flags, **more)


def ethernet(packet):
    """In an Ethernet frame, as an ordinary interface has it."""
    kind = 0x86DD if isinstance(packet, IPv6) else 0x0800
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind) / packet


class Ends:
    """A client's address and port, and a server's."""

    def __init__(self, client_port, version=4, server_port=53, server_host=53):
        self.version = version
        prefix = ("192.0.2.", "198.51.100.") if version == 4 else ("2001:db8::", "2001:db8:1::")
        self.client, self.server = (f"{prefix[0]}1", client_port), (f"{prefix[1]}{server_host}", server_port)

    def ip(self, back, **fields):
        source, target = (self.server, self.client) if back else (self.client, self.server)
        header = IP if self.version == 4 else IPv6
        return header(src=source[0], dst=target[0], **fields), source[1], target[1]

    def udp(self, payload, back=False, **fields):
        header, source, target = self.ip(back, **fields)
        return header / UDP(sport=source, dport=target) / Raw(payload)

    def tcp(self, seq, payload=b"", back=False, flags="PA", ack=1, **fields):
        header, source, target = self.ip(back, **fields)
        segment = TCP(sport=source, dport=target, seq=seq % 2**32, ack=ack % 2**32, flags=flags, window=65000)
        return header / segment / Raw(payload) if payload else header / segment


class Capture:
    """Packets with their times, and what they must lead to."""

    def __init__(self, title, ports=(), options=(), link=1):
        self.title, self.ports, self.options, self.link = title, list(ports), list(options), link
        self.packets, self.now, self.next_port = [], START, 20_000
        self.records, self.negatives, self.differs, self.apart, self.optional = [], [], [], [], []

    # --- packets ------------------------------------------------------------------------------

    def add(self, frame, cut=None):
        """The next packet; `cut` is how many octets of it the capture kept."""
        octets = bytes(frame)
        self.packets.append((self.now, octets[:cut], len(octets)))
        self.now += STEP

    def wait(self, seconds):
        self.now += int(seconds * 10**6)

    def ends(self, **fields):
        self.next_port += 1
        return Ends(self.next_port, **fields)

    def exchange(
        self, qname, qtype="A", wrap=ethernet, version=4, ident=None, asked=None, ends=None, wants=ASKED, **fields
    ):
        """A query with the flags `wants` and its response over UDP, each packet in what `wrap` puts around it."""
        ends = ends or self.ends(version=version)
        ident = self.next_port & 0xFFFF if ident is None else ident
        self.add(wrap(ends.udp(query(asked or qname, qtype, ident, wants))))
        self.add(wrap(ends.udp(message(qname, qtype, ident=ident, **fields), back=True)))
        return ends, ident

    def answered(self, qname, address="192.0.2.7", rrtype="A", **fields):
        """An exchange that brings one record, and that record."""
        self.exchange(qname, rrtype, answers=[rr(qname, rrtype, address)], **fields)
        self.expect(qname, rrtype, address)

    def write(self, path):
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, self.link))
            for at, octets, length in self.packets:
                out.write(struct.pack("<IIII", at // 10**6, at % 10**6, len(octets), length) + octets)

    # --- expectations -------------------------------------------------------------------------

    def expect(self, owner, rrtype, text, count=1, unsolicited=False):
        """A record that must be stored; what is not named must not be."""
        self.records.append([owner, rrtype, text, count, unsolicited])

    def expect_negative(self, owner, rrtype, outcome, count=1, unsolicited=False):
        self.negatives.append([owner, rrtype, outcome, count, unsolicited])

    def may(self, owner):
        """Rows of this owner may be there or not: a choice that the rules leave open."""
        self.optional.append(owner)

    def says(self, reason, *sentences):
        """What packets.py says of this capture under `differs`, and why that is right."""
        self.differs += [[sentence, reason] for sentence in sentences]

    def tshark(self, reason, lacks=(), adds=()):
        """Rows, by owner, that tshark does not see, or sees though they must not be."""
        self.apart.append({"reason": reason, "lacks": list(lacks), "adds": list(adds)})


CAPTURES = {}


def capture(**fields):
    """Registers a function that fills a capture under the function's name."""

    def register(fill):
        CAPTURES[fill.__name__.replace("_", "-")] = (fill, fields)
        return fill

    return register


def made(title):
    fill, fields = CAPTURES[title]
    result = Capture(title, **fields)
    fill(result)
    return result
