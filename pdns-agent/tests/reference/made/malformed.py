"""Messages that are broken, each at another place, and what stands all the same."""

from .build import ASKED, USUAL, capture, ethernet, message, query, rr


def told(c, octets, owner, **fields):
    """A query, and whatever comes back."""
    ends = c.ends()
    c.add(ethernet(ends.udp(query(owner, ident=1, **fields))))
    c.add(ethernet(ends.udp(octets, back=True)))


@capture()
def headers(c):
    """Broken before any record."""
    good = rr("a.example.com", "A", "192.0.2.66")
    for length in (0, 1, 11):
        c.add(ethernet(c.ends().udp(bytes(length), back=True)))
    c.says(
        "too short for a header",
        "frame 1: no DNS for tshark, but udp",
        "frame 2: no DNS for tshark, but _ws.malformed",
    )
    # Questions: two, one that is cut, one of another class, and a count without any.
    two = message("a.example.com", answers=[good], counts=[2, 1, 0, 0])
    c.add(ethernet(c.ends().udp(two, back=True)))
    c.add(ethernet(c.ends().udp(message("a.example.com")[:-2], back=True)))
    c.add(ethernet(c.ends().udp(message("a.example.com", answers=[good], qclass=3), back=True)))
    c.add(ethernet(c.ends().udp(message(None, counts=[1, 1, 0, 0]), back=True)))
    c.add(ethernet(c.ends().udp(query(None))))
    for opcode in (1, 2, 4, 5, 6, 15):
        c.add(
            ethernet(
                c.ends().udp(message("a.example.com", answers=[good], flags=USUAL | opcode << 11), back=True)
            )
        )
    # Records in a query are not told.
    c.add(ethernet(c.ends().udp(message("a.example.com", answers=[good], flags=ASKED))))
    # Octets behind the last counted record.
    told(
        c,
        message("trailing.example.com", answers=[rr("trailing.example.com", "A", "192.0.2.7")]) + good,
        "trailing.example.com",
    )
    c.expect("trailing.example.com", "A", "192.0.2.7")
    c.wait(11)
    c.answered("last.example.com")
    c.expect_negative("a.example.com", "A", "UNANSWERED")


@capture()
def rest(c):
    """A record that cannot be read: what came before it stands, what follows is given up."""

    def spoilt(kind, octets, counts):
        owner = f"{kind}.example.com"
        first = rr(owner, "TXT", '"before"')
        told(
            c,
            message(owner, ident=1, answers=[first, octets, rr(owner, "TXT", '"behind"')], counts=[1, *counts]),
            owner,
        )
        c.expect(owner, "TXT", '"before"')

    three = [3, 0, 0]
    spoilt("cut-header", b"\0\0\1\0\1", [2, 0, 0])
    spoilt("long", rr(".", "TXT", b"\1x", length=60000), three)
    spoilt("label-type", b"\x40abc", three)
    spoilt("label-type-80", b"\x80abc", three)
    # Fewer records than are counted.
    spoilt("missing", b"", [9, 9, 9])
    c.expect("missing.example.com", "TXT", '"behind"')


@capture()
def pointers(c):
    """Compression pointers that lead nowhere good."""

    def with_owner(kind, owner_octets):
        owner = f"{kind}.example.com"
        first = rr(owner, "TXT", '"before"')
        told(c, message(owner, ident=1, answers=[first, rr(owner_octets, "TXT", '"behind"')]), owner)
        c.expect(owner, "TXT", '"before"')

    def offset(kind):
        """Where the second record of such a message begins."""
        owner = f"{kind}.example.com"
        return 12 + len(owner) + 2 + 4 + len(rr(owner, "TXT", '"before"'))

    at = offset("self")
    with_owner("self", (0xC000 | at).to_bytes(2, "big"))
    at = offset("forward")
    with_owner("forward", (0xC000 | at + 2).to_bytes(2, "big"))
    at = offset("loop")
    with_owner("loop", b"\1x" + (0xC000 | at).to_bytes(2, "big"))
    with_owner("end", b"\xff\xff")
    c.says(
        "a pointer leads to what stands before it (RFC 1035 section 4.1.4)",
        "frame 2, answer at 69: only tshark reads it",
        "frame 4, answer at 75: only tshark reads it",
        "frame 6, answer at 69: only tshark reads it",
    )
    # Good ones: to a name that ends in a pointer itself, and into the middle of one.
    owner = "good.example.com"
    answers = [rr(b"\1a\xc0\x0c", "TXT", '"one"'), rr(owner, "CNAME", b"\1a\xc0\x0c")]
    told(c, message(owner, ident=1, answers=answers), owner)
    c.expect("a.good.example.com", "TXT", '"one"')
    c.expect("good.example.com", "CNAME", "a.good.example.com.")


@capture()
def rdata(c):
    """RDATA that is not what its type wants: names make it unreadable, octets alone are kept as they are."""
    kept = {
        "A": b"\1\2\3",
        "AAAA": b"\1\2\3\4",
        "TXT": b"\5abc",
        "HINFO": b"\1a",
        "DS": b"\1",
        "LOC": b"\0\1\2",
        "CAA": b"\0",
        "SVCB": b"\0",
        "NSEC3": b"\1",
    }
    for rrtype, octets in kept.items():
        owner = f"{rrtype}.example.com".lower()
        c.exchange(owner, rrtype, answers=[rr(owner, rrtype, octets)])
        # What has a fixed form has it, or is malformed.
        if rrtype not in ("A", "AAAA"):
            c.expect(owner, rrtype, f"\\# {len(octets)} {octets.hex()}")
    c.exchange("empty.example.com", "A", answers=[rr("empty.example.com", "A", b"")])
    # With a good record behind each, so that it is seen to go on.
    spoilt = {
        "MX": [b"", b"\0\1", b"\0\1\3abc", b"\0\1\1a\0x"], "NS": [b"", b"\0\0", b"\xc0"], "SOA": [b"\1a\0\1b\0" + bytes(19), b"\1a\0\1b\0" + bytes(21)],
        "SRV": [bytes(6)], "NAPTR": [bytes(4) + b"\1a\1b\5cd\0"], "RRSIG": [bytes(18) + b"\xc0\x0c" + b"abc", bytes(17)], "NSEC": [b"\xc0\x0c\0\1\x40"],
        "PTR": [b"\3www\xc0\xff"],
    }  # fmt: skip
    for rrtype, kinds in spoilt.items():
        for at, octets in enumerate(kinds):
            owner = f"{rrtype}{at}.bad.example.com".lower()
            c.exchange(owner, rrtype, answers=[rr(owner, rrtype, octets), rr(owner, "TXT", '"behind"')])
            c.expect(owner, "TXT", '"behind"')
    wheres = ("34, answer at 69", "42, answer at 86", "46, answer at 91", "50, answer at 76")
    c.says(
        "tshark gives a message up where it fails to read RDATA",
        *(f"frame {where}: only the rules read it" for where in wheres),
    )
