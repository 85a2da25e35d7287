"""Questions and answers: which belong together, which are missing, which nobody asked for."""

from .build import USUAL, capture, ethernet, message, query, rr


@capture()
def unsolicited(c):
    def forged(owner, ends, ident, address="203.0.113.66", **fields):
        c.add(
            ethernet(
                ends.udp(message(owner, answers=[rr(owner, "A", address)], ident=ident, **fields), back=True)
            )
        )
        c.expect(owner, "A", address, unsolicited=True)

    forged("nobody.example.com", c.ends(), 1)
    # Each of these misses the open query in one part.
    ends = c.ends()
    c.add(ethernet(ends.udp(query("asked.example.com", ident=7))))
    forged("other-name.example.com", ends, 7)
    forged("asked.example.com", ends, 8)
    forged("asked.example.com", c.ends(), 7, "203.0.113.67")
    other_server = c.ends(server_host=54)
    other_server.client = ends.client
    forged("asked.example.com", other_server, 7, "203.0.113.68")
    c.add(
        ethernet(
            ends.udp(
                message(
                    "asked.example.com",
                    "AAAA",
                    answers=[rr("asked.example.com", "AAAA", "2001:db8::66")],
                    ident=7,
                ),
                back=True,
            )
        )
    )
    c.expect("asked.example.com", "AAAA", "2001:db8::66", unsolicited=True)
    tcp = ends.tcp(
        5001,
        (lambda octets: len(octets).to_bytes(2, "big") + octets)(
            message("asked.example.com", answers=[rr("asked.example.com", "A", "203.0.113.69")], ident=7)
        ),
        back=True,
    )
    c.add(ethernet(tcp))
    c.expect("asked.example.com", "A", "203.0.113.69", unsolicited=True)
    # The right one, and the same again later: one query, one answer.
    for _ in range(2):
        c.wait(0.06)
        c.add(
            ethernet(
                ends.udp(
                    message("asked.example.com", answers=[rr("asked.example.com", "A", "192.0.2.7")], ident=7),
                    back=True,
                )
            )
        )
    c.expect("asked.example.com", "A", "192.0.2.7", 2)
    # The second answer alone is unsolicited.
    c.add(ethernet(ends.udp(message("asked.example.com", ident=7, flags=USUAL | 3), back=True)))
    c.expect_negative("asked.example.com", "A", "NXDOMAIN", unsolicited=True)


@capture(options=["--drop-unsolicited"])
def unsolicited_dropped(c):
    c.add(
        ethernet(
            c.ends().udp(
                message("nobody.example.com", answers=[rr("nobody.example.com", "A", "203.0.113.66")]),
                back=True,
            )
        )
    )
    c.answered("asked.example.com")


@capture()
def unanswered(c):
    silent = c.ends()
    for _ in range(3):
        c.add(ethernet(silent.udp(query("silent.example.com", ident=1))))
        c.wait(2)
    c.expect_negative("silent.example.com", "A", "UNANSWERED")
    # Asked three times, answered twice: both are answers.
    twice = c.ends()
    for _ in range(3):
        c.add(ethernet(twice.udp(query("twice.example.com", ident=1))))
        c.wait(0.06)
    for _ in range(2):
        c.wait(0.06)
        c.add(
            ethernet(
                twice.udp(
                    message("twice.example.com", answers=[rr("twice.example.com", "A", "192.0.2.7")], ident=1),
                    back=True,
                )
            )
        )
    c.expect("twice.example.com", "A", "192.0.2.7", 2)
    c.wait(20)
    # Ten seconds later to the microsecond is in time; one microsecond more is not.
    for owner, wait in (("in-time.example.com", 10), ("too-late.example.com", 10.000001)):
        ends = c.ends()
        c.add(ethernet(ends.udp(query(owner, ident=1))))
        c.wait(wait - 0.001)
        c.add(ethernet(ends.udp(message(owner, answers=[rr(owner, "A", "192.0.2.7")], ident=1), back=True)))
    c.expect("in-time.example.com", "A", "192.0.2.7")
    c.expect("too-late.example.com", "A", "192.0.2.7", unsolicited=True)
    c.expect_negative("too-late.example.com", "A", "UNANSWERED")
    # The same key after its time is another query.
    ends = c.ends()
    for _ in range(2):
        c.add(ethernet(ends.udp(query("again.example.com", ident=1))))
        c.wait(11)
    c.expect_negative("again.example.com", "A", "UNANSWERED", 2)
    # Retransmissions do not prolong the wait: it runs from the first.
    ends = c.ends()
    for _ in range(3):
        c.add(ethernet(ends.udp(query("patient.example.com", ident=1))))
        c.wait(4)
    c.add(
        ethernet(
            ends.udp(
                message("patient.example.com", answers=[rr("patient.example.com", "A", "192.0.2.7")], ident=1),
                back=True,
            )
        )
    )
    c.expect("patient.example.com", "A", "192.0.2.7", unsolicited=True)
    c.expect_negative("patient.example.com", "A", "UNANSWERED")
    # The capture ends before the time of this one is over.
    c.add(ethernet(c.ends().udp(query("open.example.com", ident=1))))


@capture(options=["--timeout", "2"])
def timeout(c):
    ends = c.ends()
    c.add(ethernet(ends.udp(query("slow.example.com", ident=1))))
    c.wait(3)
    c.add(
        ethernet(
            ends.udp(
                message("slow.example.com", answers=[rr("slow.example.com", "A", "192.0.2.7")], ident=1),
                back=True,
            )
        )
    )
    c.expect("slow.example.com", "A", "192.0.2.7", unsolicited=True)
    c.expect_negative("slow.example.com", "A", "UNANSWERED")


@capture()
def case(c):
    """0x20: the case of names is for the resolver, not for us."""
    c.exchange(
        "WwW.ExAmPlE.cOm",
        answers=[rr("WwW.ExAmPlE.cOm", "CNAME", "HOST.Example.COM."), rr("host.EXAMPLE.com", "A", "192.0.2.7")],
    )
    c.expect("www.example.com", "CNAME", "host.example.com.")
    c.expect("host.example.com", "A", "192.0.2.7")
    ends = c.ends()
    c.add(ethernet(ends.udp(query("MiXeD.example.com", ident=1))))
    c.add(
        ethernet(
            ends.udp(
                message("mIxEd.EXAMPLE.com", answers=[rr("mixed.example.com", "A", "192.0.2.8")], ident=1),
                back=True,
            )
        )
    )
    c.expect("mixed.example.com", "A", "192.0.2.8")


@capture()
def no_question(c):
    """Responses with no question: taken for an answer to the one query that is open on that flow with that ident."""
    ends = c.ends()
    c.add(ethernet(ends.udp(query("one.example.com", ident=1))))
    c.add(
        ethernet(ends.udp(message(None, answers=[rr("one.example.com", "A", "192.0.2.7")], ident=1), back=True))
    )
    c.expect("one.example.com", "A", "192.0.2.7")
    # Two are open: whose is it?
    ends = c.ends()
    for owner in ("two.example.com", "three.example.com"):
        c.add(ethernet(ends.udp(query(owner, ident=1))))
    c.add(
        ethernet(ends.udp(message(None, answers=[rr("two.example.com", "A", "192.0.2.8")], ident=1), back=True))
    )
    # None is open.
    c.add(ethernet(c.ends().udp(message(None, flags=USUAL | 2), back=True)))
    ends = c.ends()
    c.add(ethernet(ends.udp(query("refused.example.com", "MX", ident=1))))
    c.add(ethernet(ends.udp(message(None, flags=USUAL | 5, ident=1), back=True)))
    c.expect_negative("refused.example.com", "MX", "REFUSED")


def address(owner, last=7, ident=1, **fields):
    return message(owner, answers=[rr(owner, "A", f"192.0.2.{last}")], ident=ident, **fields)


@capture()
def early(c):
    """Responses that were captured before their queries."""
    for owner, wait in (("early.example.com", 0), ("latest.example.com", 0.099), ("too-early.example.com", 0.1)):
        ends = c.ends()
        c.add(ethernet(ends.udp(address(owner), back=True)))
        c.wait(wait)
        c.add(ethernet(ends.udp(query(owner, ident=1))))
        c.expect(owner, "A", "192.0.2.7", unsolicited=owner.startswith("too"))
    c.expect_negative("too-early.example.com", "A", "UNANSWERED")
    # One that repeats no question, and one for another name, which waits for nothing.
    ends = c.ends()
    c.add(ethernet(ends.udp(message(None, flags=USUAL | 5, ident=1), back=True)))
    c.add(ethernet(ends.udp(address("else.example.com"), back=True)))
    c.add(ethernet(ends.udp(query("bare.example.com", ident=1))))
    c.expect_negative("bare.example.com", "A", "REFUSED")
    c.expect("else.example.com", "A", "192.0.2.7", unsolicited=True)
    c.wait(20)
    # At the end of the capture it waits no more.
    c.add(ethernet(c.ends().udp(address("last.example.com"), back=True)))
    c.expect("last.example.com", "A", "192.0.2.7", unsolicited=True)


@capture()
def unusable(c):
    """Responses that cannot be used show that somebody answers."""
    question = query("unusable.example.com")[12:]
    responses = {
        "two": lambda owner: message(owner, counts=[2, 0, 0, 0]) + question,
        "broken": lambda owner: message(owner)[:20],
        "class": lambda owner: message(owner, qclass=0x8001),
        "short": lambda owner: message(owner)[:11],
        "opcode": lambda owner: message(owner, flags=USUAL | 4 << 11),
        "other": lambda owner: address("other." + owner),
    }
    for kind, response in responses.items():
        for when in ("before", "after"):
            owner = f"{kind}-{when}.example.com"
            ends = c.ends()
            asked = ethernet(ends.udp(query(owner, ident=1)))
            answer = ethernet(ends.udp(response(owner), back=True))
            for packet in (answer, asked) if when == "before" else (asked, answer):
                c.add(packet)
            if kind == "other":
                c.expect("other." + owner, "A", "192.0.2.7", unsolicited=True)
    # What comes later is read as ever.
    ends = c.ends()
    c.add(ethernet(ends.udp(query("later.example.com", ident=1))))
    c.add(ethernet(ends.udp(responses["two"]("later.example.com"), back=True)))
    c.add(ethernet(ends.udp(address("later.example.com"), back=True)))
    c.expect("later.example.com", "A", "192.0.2.7")
    # Answers of another class are no lack of data.
    ends = c.ends()
    odd = rr("odd.example.com", "A", "192.0.2.7", cls=0x8001)
    c.add(ethernet(ends.udp(query("odd.example.com", ident=1))))
    c.add(ethernet(ends.udp(message("odd.example.com", answers=[odd], ident=1), back=True)))
    c.wait(20)
    c.answered("end.example.com")


@capture()
def copies(c):
    """A mirror port that shows both directions, another that shows two VLANs."""

    def tagged(packet):
        frame = bytes(ethernet(packet))
        return frame[:12] + b"\x81\0\0\x0b" + frame[12:]

    ends = c.ends()
    asked, answer = ends.udp(query("twice.example.com", ident=1)), ends.udp(address("twice.example.com"), back=True)
    for packet in (asked, answer):
        c.add(ethernet(packet))
        c.add(tagged(packet))
    c.expect("twice.example.com", "A", "192.0.2.7")
    # Each out of order.
    ends = c.ends()
    asked, answer = ends.udp(query("mixed.example.com", ident=1)), ends.udp(address("mixed.example.com"), back=True)
    for packet in (answer, answer, asked, asked, answer):
        c.add(ethernet(packet))
    c.expect("mixed.example.com", "A", "192.0.2.7")
    # Copies of what nobody asked for, and of what nobody answers.
    stray = c.ends().udp(address("stray.example.com"), back=True)
    for wait in (0.049, 0.05, 0):
        c.add(ethernet(stray))
        c.wait(wait)
    # The second is in time of the first, the third is not, and is no copy of the second.
    c.expect("stray.example.com", "A", "192.0.2.7", 2, unsolicited=True)
    silent = c.ends().udp(query("silent.example.com", ident=1))
    for _ in range(2):
        c.add(ethernet(silent))
    c.expect_negative("silent.example.com", "A", "UNANSWERED")
    # A client that asks again, is answered again.
    ends = c.ends()
    for _ in range(2):
        c.add(ethernet(ends.udp(query("again.example.com", ident=1))))
        c.add(ethernet(ends.udp(address("again.example.com"), back=True)))
        c.wait(0.06)
    c.expect("again.example.com", "A", "192.0.2.7", 2)
    c.wait(20)
    c.answered("end.example.com")


@capture()
def wrong_length(c):
    """A record of a known type that does not have its length is malformed."""
    for rrtype, rdata in (("A", b"\xc0\0\2\7\0"), ("A", b"\xc0\0\2"), ("AAAA", b"\x20" * 15)):
        owner = f"l{len(rdata)}-{rrtype.lower()}.example.com"
        good = rr(owner, "A", "192.0.2.7")
        c.exchange(owner, answers=[rr(owner, rrtype, rdata), good])
        c.expect(owner, "A", "192.0.2.7")
