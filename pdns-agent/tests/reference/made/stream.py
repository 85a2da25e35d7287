"""DNS over TCP: segments in any order and shape, streams met in their middle, and ones that break."""

from .build import capture, ethernet, message, query, rr

ISN, BACK = 1000, 5000  # first sequence numbers of client and server


def framed(octets):
    return len(octets).to_bytes(2, "big") + octets


class Talk:
    """One connection; offsets are counted from the first octet of data in each direction."""

    def __init__(self, c, isn=ISN, back_isn=BACK, greet=True, ends=None, version=4):
        self.c, self.isn, self.back_isn = c, isn, back_isn
        self.ends = ends or c.ends(version=version)
        self.sent, self.received = 0, 0
        if greet:
            c.add(ethernet(self.ends.tcp(isn, flags="S", ack=0)))
            c.add(ethernet(self.ends.tcp(back_isn, back=True, flags="SA", ack=isn + 1)))
            c.add(ethernet(self.ends.tcp(isn + 1, flags="A", ack=back_isn + 1)))

    def to_server(self, data, at=None, flags="PA"):
        at = self.sent if at is None else at
        self.c.add(
            ethernet(self.ends.tcp(self.isn + 1 + at, data, flags=flags, ack=self.back_isn + 1 + self.received))
        )
        self.sent = max(self.sent, at + len(data))

    def to_client(self, data, at=None, flags="PA"):
        at = self.received if at is None else at
        self.c.add(
            ethernet(
                self.ends.tcp(
                    self.back_isn + 1 + at, data, back=True, flags=flags, ack=self.isn + 1 + self.sent
                )
            )
        )
        self.received = max(self.received, at + len(data))

    def ask(self, *owners):
        """Queries, ident by ident, in one segment."""
        self.to_server(b"".join(framed(query(owner, ident=at)) for at, owner in enumerate(owners, 1)))


def answer(owner, ident=1, address="192.0.2.7"):
    return framed(message(owner, answers=[rr(owner, "A", address)], ident=ident))


def expect(c, *owners):
    for owner in owners:
        c.expect(owner, "A", "192.0.2.7")


@capture()
def tcp(c):
    """As it should be: over IPv4 and IPv6, data in SYN and FIN, and a keepalive between."""
    for version in (4, 6):
        owner = f"plain{version}.example.com"
        talk = Talk(c, version=version)
        talk.ask(owner)
        talk.to_client(answer(owner))
        talk.to_client(b"", flags="FA")
        expect(c, owner)
    open_ends = c.ends()
    data = framed(query("open.example.com"))
    c.add(ethernet(open_ends.tcp(ISN, data, flags="S", ack=0)))
    talk = Talk(c, greet=False, ends=open_ends)
    talk.sent = len(data)
    c.add(ethernet(open_ends.tcp(BACK, back=True, flags="SA", ack=ISN + 1 + len(data))))
    talk.to_client(answer("open.example.com"), flags="FPA")
    expect(c, "open.example.com")
    talk = Talk(c)
    talk.ask("alive.example.com")
    data = answer("alive.example.com")
    talk.to_client(data[:20])
    talk.to_client(data[19:20], at=19, flags="A")
    talk.to_client(data[20:])
    expect(c, "alive.example.com")


@capture()
def tcp_order(c):
    talk = Talk(c)
    talk.ask("order.example.com", "second.example.com")
    data = answer("order.example.com") + answer("second.example.com", 2)
    cuts = [0, 10, 30, 60, len(data)]
    for at in (2, 1, 3, 0):
        talk.to_client(data[cuts[at] : cuts[at + 1]], at=cuts[at])
    expect(c, "order.example.com", "second.example.com")


@capture()
def tcp_retransmission(c):
    talk = Talk(c)
    talk.ask("again.example.com")
    talk.to_server(framed(query("again.example.com")), at=0)
    data = answer("again.example.com")
    for _ in range(3):
        talk.to_client(data, at=0)
    talk.to_client(answer("next.example.com", 2))
    expect(c, "again.example.com")
    c.expect("next.example.com", "A", "192.0.2.7", unsolicited=True)


@capture()
def tcp_overlap(c):
    talk = Talk(c)
    talk.ask("overlap.example.com")
    data = answer("overlap.example.com")
    talk.to_client(data[:40])
    talk.to_client(data[20:], at=20)
    expect(c, "overlap.example.com")


@capture()
def tcp_overlap_conflict(c):
    """Of two segments that disagree, the first is right."""
    talk = Talk(c)
    talk.ask("first.example.com")
    data = answer("first.example.com")
    talk.to_client(data[:40])
    talk.to_client(b"\xee" * 20 + data[40:], at=20)
    expect(c, "first.example.com")


@capture()
def tcp_wrap(c):
    talk = Talk(c, isn=2**32 - 21, back_isn=2**32 - 31)
    talk.ask("wrap.example.com", "wrapped.example.com")
    data = answer("wrap.example.com") + answer("wrapped.example.com", 2)
    talk.to_client(data[:50])
    talk.to_client(data[50:])
    expect(c, "wrap.example.com", "wrapped.example.com")


@capture()
def tcp_many(c):
    owners = [f"many{at}.example.com" for at in range(20)]
    talk = Talk(c)
    talk.ask(*owners)
    talk.to_client(b"".join(answer(owner, ident) for ident, owner in enumerate(owners, 1)))
    expect(c, *owners)


@capture()
def tcp_octets(c):
    talk = Talk(c)
    talk.ask("octets.example.com")
    for octet in answer("octets.example.com"):
        talk.to_client(bytes([octet]))
    expect(c, "octets.example.com")


@capture()
def tcp_middle(c):
    """No SYN: once from the border of a message on, once from within one."""
    talk = Talk(c, greet=False)
    talk.ask("border.example.com")
    talk.to_client(answer("border.example.com"))
    expect(c, "border.example.com")
    talk = Talk(c, greet=False)
    talk.ask("lost.example.com", "found.example.com")
    talk.to_client(answer("lost.example.com")[30:])
    talk.to_client(answer("found.example.com", 2))
    expect(c, "found.example.com")
    c.tshark(
        "tshark takes the first two octets that it sees of a stream for a length", lacks=["found.example.com"]
    )


@capture()
def tcp_gap(c):
    """A segment that the capture missed: what it held is lost, what follows may be found again."""
    talk = Talk(c)
    talk.ask("before.example.com", "gone.example.com", "after.example.com")
    talk.to_client(answer("before.example.com"))
    talk.received += len(answer("gone.example.com", 2))
    talk.to_client(answer("after.example.com", 3))
    expect(c, "before.example.com")
    c.expect("after.example.com", "A", "192.0.2.7")
    c.may("after.example.com")
    c.wait(120)
    c.answered("much-later.example.com")
    c.expect_negative("gone.example.com", "A", "UNANSWERED")
    c.may("gone.example.com")


@capture()
def tcp_reset(c):
    """A message that is not whole before the reset; then the same ports again, with new numbers."""
    talk = Talk(c)
    talk.ask("reset.example.com")
    talk.to_client(answer("reset.example.com")[:30])
    talk.to_client(b"", flags="R")
    again = Talk(c, isn=70_000, back_isn=90_000, ends=talk.ends)
    again.to_server(framed(query("reused.example.com", ident=2)))
    again.to_client(answer("reused.example.com", 2))
    expect(c, "reused.example.com")
    # And again without a reset before.
    third = Talk(c, isn=500_000, back_isn=600_000, ends=talk.ends)
    third.to_server(framed(query("third.example.com", ident=3)))
    third.to_client(answer("third.example.com", 3))
    expect(c, "third.example.com")


@capture()
def tcp_not_dns(c):
    """A length below that of a header: no DNS from there on."""
    talk = Talk(c)
    talk.ask("good.example.com")
    talk.to_client(answer("good.example.com"))
    talk.to_client(b"\x00\x05hello")
    talk.to_client(answer("never.example.com", 9))
    expect(c, "good.example.com")
    c.tshark("a stream whose framing broke is given up; tshark goes on", adds=["never.example.com"])
    talk = Talk(c)
    talk.to_server(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
    talk.to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@capture()
def axfr(c):
    """A zone in three messages; the later ones have a question too, or none."""
    soa = rr("example.com", "SOA", "ns1.example.com. root.example.com. 1 2 3 4 5")
    talk = Talk(c)
    talk.to_server(framed(query("example.com", "AXFR")))
    fields = {"flags": 0x8400, "ident": 1}
    first = [soa, rr("example.com", "NS", "ns1.example.com."), rr("ns1.example.com", "A", "192.0.2.53")]
    second = [rr("a.b.example.com", "A", "192.0.2.7"), rr("outside.test", "A", "192.0.2.66")]
    third = [rr("example.com", "MX", "10 mail.example.com."), soa]
    talk.to_client(framed(message("example.com", "AXFR", answers=first, **fields)))
    talk.to_client(framed(message("example.com", "AXFR", answers=second, **fields)))
    talk.to_client(framed(message(None, answers=third, **fields)))
    # All three answer the one query.
    c.expect("example.com", "SOA", "ns1.example.com. root.example.com. 1 2 3 4 5", 2)
    c.expect("example.com", "NS", "ns1.example.com.")
    c.expect("ns1.example.com", "A", "192.0.2.53")
    c.expect("a.b.example.com", "A", "192.0.2.7")
    c.expect("example.com", "MX", "10 mail.example.com.")
