"""What is in a response: chains, negative answers, bailiwick, every type."""

from .build import (
    ASKED,
    AUTHORITATIVE,
    OFFERED,
    RESPONSE,
    TRUNCATED,
    USUAL,
    capture,
    ethernet,
    message,
    name,
    opt,
    rr,
)

SOA = "ns1.example.com. root.example.com. 1 7200 3600 1209600 300"
DIRECT = RESPONSE | ASKED  # from a server that is neither recursive nor an authority


@capture()
def chains(c):
    links = [
        rr("www.example.com", "CNAME", "a.cdn.example.net."),
        rr("a.cdn.example.net", "CNAME", "b.cdn.example.net."),
    ]
    # In any order.
    c.exchange("www.example.com", answers=[rr("b.cdn.example.net", "A", "192.0.2.7"), *reversed(links)])
    c.expect("b.cdn.example.net", "A", "192.0.2.7")
    # The end of the chain does not exist: both responses hold the links.
    soa = rr("cdn.example.net", "SOA", SOA)
    c.exchange("www.example.com", answers=links, authority=[soa], flags=USUAL | 3)
    c.expect_negative("b.cdn.example.net", "A", "NXDOMAIN")
    # It exists and has no such type.
    c.exchange("www.example.com", "AAAA", answers=links, authority=[soa])
    c.expect_negative("b.cdn.example.net", "AAAA", "NODATA")
    # A part of a chain, and nothing that tells more.
    c.exchange("www.example.com", "MX", answers=links[:1])
    c.expect("www.example.com", "CNAME", "a.cdn.example.net.", 4)
    c.expect("a.cdn.example.net", "CNAME", "b.cdn.example.net.", 3)
    c.expect("cdn.example.net", "SOA", SOA, 2)
    # A loop ends where it began; the query for the CNAME itself is answered by it.
    loop = [
        rr("loop.example.com", "CNAME", "pool.example.com."),
        rr("pool.example.com", "CNAME", "loop.example.com."),
    ]
    c.exchange("loop.example.com", answers=loop)
    c.exchange("loop.example.com", "CNAME", answers=loop[:1])
    # A chain of 70 links is followed for 64 names; what is behind them is left out.
    long = [rr(f"l{at}.example.com", "CNAME", f"l{at + 1}.example.com.") for at in range(70)]
    c.exchange("l0.example.com", answers=[*long, rr("l70.example.com", "A", "192.0.2.7")])
    for at in range(64):
        c.expect(f"l{at}.example.com", "CNAME", f"l{at + 1}.example.com.")
    c.expect("loop.example.com", "CNAME", "pool.example.com.", 2)
    c.expect("pool.example.com", "CNAME", "loop.example.com.")


@capture()
def chains_cut(c):
    """Aliases out of the domain of a server that is no resolver: what it says of others is not taken."""
    alias = rr("www.evil.test", "CNAME", "www.victim.example.net.")
    answers = [alias, rr("www.victim.example.net", "A", "203.0.113.66")]
    authority = [rr("example.net", "NS", "ns.evil.test."), rr("evil.test", "NS", "ns.evil.test.")]
    additional = [rr("ns.evil.test", "A", "192.0.2.53"), rr("mail.example.net", "A", "203.0.113.67")]
    told = {"answers": answers, "authority": authority, "additional": additional}
    c.exchange("www.evil.test", wants=0, flags=RESPONSE | AUTHORITATIVE, **told)
    # It may claim to be one: its client, a resolver, wanted none.
    c.exchange("www.evil.test", wants=0, flags=USUAL, **told)
    # One that was asked for recursion and has none to offer.
    c.exchange("www.evil.test", flags=DIRECT | AUTHORITATIVE, **told)
    c.expect("evil.test", "NS", "ns.evil.test.", 3)
    c.expect("ns.evil.test", "A", "192.0.2.53", 3)
    # Neither that a name does not exist, nor that it has no such record.
    soa = rr("example.net", "SOA", SOA)
    c.exchange("www.evil.test", wants=0, answers=[alias], authority=[soa], flags=RESPONSE | AUTHORITATIVE | 3)
    c.exchange("www.evil.test", "MX", wants=0, answers=[alias], authority=[soa], flags=RESPONSE)
    # The alias itself was asked for.
    c.exchange("www.evil.test", "CNAME", wants=0, answers=[alias], flags=RESPONSE | AUTHORITATIVE)
    c.expect("www.evil.test", "CNAME", "www.victim.example.net.", 6)
    # Within one registrable domain it speaks for all.
    inside = [
        rr("a.b.example.co.uk", "CNAME", "c.example.co.uk."),
        rr("c.example.co.uk", "CNAME", "example.co.uk."),
        rr("example.co.uk", "CNAME", "other.co.uk."),
        rr("other.co.uk", "A", "203.0.113.68"),
    ]
    c.exchange("a.b.example.co.uk", wants=0, answers=inside, flags=RESPONSE | AUTHORITATIVE)
    c.expect("a.b.example.co.uk", "CNAME", "c.example.co.uk.")
    c.expect("c.example.co.uk", "CNAME", "example.co.uk.")
    c.expect("example.co.uk", "CNAME", "other.co.uk.")
    # A public suffix has none: what is below it.
    suffix = [
        rr("co.uk", "CNAME", "x.co.uk."),
        rr("x.co.uk", "CNAME", "uk."),
        rr("uk", "A", "203.0.113.69"),
    ]
    c.exchange("co.uk", wants=0, answers=suffix, flags=RESPONSE)
    c.expect("co.uk", "CNAME", "x.co.uk.")
    c.expect("x.co.uk", "CNAME", "uk.")
    # A resolver that answers from a zone of its own has AA as well.
    served = [
        rr("www.example.org", "CNAME", "cdn.example.edu."),
        rr("cdn.example.edu", "A", "192.0.2.7"),
    ]
    c.exchange("www.example.org", answers=served, flags=USUAL | AUTHORITATIVE)
    c.expect("www.example.org", "CNAME", "cdn.example.edu.")
    c.expect("cdn.example.edu", "A", "192.0.2.7")
    # Nobody asked: its own flags are all there is.
    for flags, host in ((USUAL, "whole"), (DIRECT, "cut")):
        links = [
            rr(f"{host}.example.com", "CNAME", f"{host}.example.net."),
            rr(f"{host}.example.net", "A", "192.0.2.7"),
        ]
        c.add(ethernet(c.ends().udp(message(f"{host}.example.com", answers=links, flags=flags), back=True)))
        c.expect(f"{host}.example.com", "CNAME", f"{host}.example.net.", unsolicited=True)
    c.expect("whole.example.net", "A", "192.0.2.7", unsolicited=True)


@capture()
def dname(c):
    answers = [
        rr("example.com", "DNAME", "example.net."),
        rr("www.example.com", "CNAME", "www.example.net.", ttl=0),
        rr("www.example.net", "A", "192.0.2.7"),
        rr("com", "DNAME", "org."),
        rr("beside.example.com", "DNAME", "example.org."),
    ]
    c.exchange("www.example.com", answers=answers)
    c.expect("example.com", "DNAME", "example.net.")
    c.expect("www.example.com", "CNAME", "www.example.net.")
    c.expect("www.example.net", "A", "192.0.2.7")
    # Above a name of the chain too, whatever it may be worth.
    c.expect("com", "DNAME", "org.")


@capture()
def poison(c):
    """What Kaminsky and others put beside the answer."""
    ours = rr("www.example.com", "A", "192.0.2.7")
    evil = rr("www.victim.test", "A", "203.0.113.66")
    c.exchange(
        "www.example.com",
        answers=[ours, evil],
        authority=[rr("victim.test", "NS", "ns.evil.test."), evil],
        additional=[evil],
    )
    c.expect("www.example.com", "A", "192.0.2.7")
    # A delegation of what is above, with an address for a name beside it.
    c.exchange(
        "1.example.com",
        answers=[rr("1.example.com", "A", "192.0.2.8")],
        authority=[rr("example.com", "NS", "www.example.com.")],
        additional=[rr("www.example.com", "A", "203.0.113.67"), rr("www.example.org", "A", "203.0.113.68")],
    )
    c.expect("1.example.com", "A", "192.0.2.8")
    c.expect("example.com", "NS", "www.example.com.")
    c.expect("www.example.com", "A", "203.0.113.67")
    # NS of a public suffix: it is filed, and what is below it only as far as the registrable domain reaches.
    c.exchange(
        "2.example.co.uk",
        answers=[rr("2.example.co.uk", "A", "192.0.2.9")],
        authority=[
            rr("co.uk", "NS", "ns1.nic.uk."),
            rr("www.example.co.uk", "TXT", '"below"'),
            rr("other.co.uk", "TXT", '"beside"'),
        ],
        additional=[rr("mail.example.co.uk", "A", "192.0.2.10"), rr("bank.co.uk", "A", "203.0.113.69")],
    )
    c.expect("2.example.co.uk", "A", "192.0.2.9")
    c.expect("co.uk", "NS", "ns1.nic.uk.")
    c.expect("www.example.co.uk", "TXT", '"below"')
    c.expect("mail.example.co.uk", "A", "192.0.2.10")
    # No registrable domain, no bailiwick.
    c.exchange(
        "com",
        "NS",
        answers=[rr("com", "NS", "a.gtld.test.")],
        additional=[rr("a.gtld.test", "A", "192.0.2.11"), rr("x.com", "A", "203.0.113.70")],
    )
    c.expect("com", "NS", "a.gtld.test.")
    # The root's own: what a root server says of all names is not taken.
    c.exchange(
        "www.example.de",
        authority=[rr(".", "NS", "a.root.test."), rr("de", "NS", "a.nic.de.")],
        additional=[rr("a.nic.de", "A", "203.0.113.71"), rr("ns.example.de", "A", "192.0.2.12")],
        flags=DIRECT,
    )
    c.expect(".", "NS", "a.root.test.")
    c.expect("de", "NS", "a.nic.de.")
    c.expect("ns.example.de", "A", "192.0.2.12")
    # The apex is known before any record is filed, and an NS record that cannot be read gives one too.
    below = rr("early.example.com", "TXT", '"before"')
    broken = rr("example.com", "NS", b"\xff")
    c.exchange(
        "www.example.com",
        "AAAA",
        answers=[rr("www.example.com", "AAAA", "2001:db8::7")],
        authority=[below, broken],
    )
    c.expect("www.example.com", "AAAA", "2001:db8::7")
    c.expect("early.example.com", "TXT", '"before"')
    # A dot within a label parts no labels: this one is not below com.
    odd = b"\x0bexample.com\x00"
    c.exchange(
        odd, answers=[rr(odd, "A", "192.0.2.15")], additional=[rr("www.example.com", "A", "203.0.113.73")]
    )
    c.expect("example\\.com", "A", "192.0.2.15")
    # The names at the end of a chain decide; what is below its start is outside.
    c.exchange(
        "start.example.com",
        answers=[
            rr("start.example.com", "CNAME", "end.example.net."),
            rr("end.example.net", "A", "192.0.2.13"),
        ],
        additional=[rr("ns.example.com", "A", "203.0.113.72"), rr("ns.example.net", "A", "192.0.2.14")],
    )
    c.expect("start.example.com", "CNAME", "end.example.net.")
    c.expect("end.example.net", "A", "192.0.2.13")
    c.expect("ns.example.net", "A", "192.0.2.14")


@capture()
def referral(c):
    ns = rr("example.com", "NS", "ns1.example.com.")
    glue = rr("ns1.example.com", "A", "192.0.2.53")
    signer = rr("example.com", "DS", "12345 8 2 " + "ab" * 32)
    c.exchange(
        "www.example.com",
        authority=[ns, signer],
        additional=[glue, rr("ns.example.org", "A", "203.0.113.66"), opt()],
        flags=DIRECT,
    )
    c.expect("example.com", "NS", "ns1.example.com.", 2)
    c.expect("ns1.example.com", "A", "192.0.2.53")
    c.expect("example.com", "DS", "12345 8 2 " + "ab" * 32)
    # The same with AA is no referral: the name has no such record.
    c.exchange("www.example.com", "MX", authority=[ns], flags=DIRECT | AUTHORITATIVE)
    c.expect_negative("www.example.com", "MX", "NODATA")
    # NS records from beside the name are no referral either.
    c.exchange("www.example.com", "TXT", authority=[rr("other.com", "NS", "ns.other.com.")], flags=DIRECT)
    c.expect_negative("www.example.com", "TXT", "NODATA")


@capture()
def nodata(c):
    soa = rr("example.com", "SOA", SOA)
    c.exchange("soa.example.com", authority=[soa])
    c.expect("example.com", "SOA", SOA)
    c.expect_negative("soa.example.com", "A", "NODATA")
    c.exchange("nothing.example.com")
    c.expect_negative("nothing.example.com", "A", "NODATA")
    c.exchange("edns.example.com", additional=[opt()])
    c.expect_negative("edns.example.com", "A", "NODATA")
    # An answer of another type alone is neither; nor is one of another class.
    c.exchange("other.example.com", answers=[rr("other.example.com", "TXT", '"a"')])
    c.expect("other.example.com", "TXT", '"a"')
    c.exchange("chaos.example.com", answers=[rr("chaos.example.com", "TXT", '"a"', cls=3)])
    # There is an answer, though none that counts.
    # An answer that is left out because it cannot be read is an answer.
    c.exchange("broken.example.com", "MX", answers=[rr("broken.example.com", "MX", b"\0")], authority=[])
    # ANY is answered by whatever comes.
    c.exchange("any.example.com", "ANY", answers=[rr("any.example.com", "HINFO", '"RFC8482" ""')])
    c.expect("any.example.com", "HINFO", '"RFC8482" ""')
    # Cut short: perhaps there was more.
    c.exchange("tc.example.com", flags=USUAL | TRUNCATED)
    c.exchange(
        "tc.example.com", "TXT", answers=[rr("tc.example.com", "TXT", '"first"')], flags=USUAL | TRUNCATED
    )
    c.expect("tc.example.com", "TXT", '"first"')
    # ... but an error is an error.
    c.exchange("tc.example.com", "MX", flags=USUAL | TRUNCATED | 2)
    c.expect_negative("tc.example.com", "MX", "SERVFAIL")


@capture()
def rcodes(c):
    for rcode, outcome in (
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (3, "NXDOMAIN"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
        (9, "NOTAUTH"),
        (15, "RCODE15"),
    ):
        c.exchange(f"r{rcode}.example.com", flags=USUAL | rcode)
        c.expect_negative(f"r{rcode}.example.com", "A", outcome)
    for rcode, outcome in ((16, "BADVERS"), (23, "BADCOOKIE"), (3841, "RCODE3841")):
        c.exchange(f"x{rcode}.example.com", additional=[opt(rcode >> 4)], flags=USUAL | rcode & 15)
        c.expect_negative(f"x{rcode}.example.com", "A", outcome)
    # An error with an answer in it: both are told.
    c.exchange("both.example.com", answers=[rr("both.example.com", "A", "192.0.2.7")], flags=USUAL | 5)
    c.expect("both.example.com", "A", "192.0.2.7")
    c.expect_negative("both.example.com", "A", "REFUSED")
    # The first OPT counts, and one outside the additional section does not.
    c.exchange("two.example.com", additional=[opt(1), opt(2)], flags=USUAL)
    c.expect_negative("two.example.com", "A", "BADVERS")
    c.exchange("misplaced.example.com", authority=[opt(1)], flags=USUAL)
    c.expect_negative("misplaced.example.com", "A", "NODATA")


@capture()
def ttls(c):
    """Least, greatest and last; a TTL with its top bit set is 0 (RFC 2181 section 8)."""
    for ttl in (300, 60, 86400, 7):
        c.exchange("ttl.example.com", answers=[rr("ttl.example.com", "A", "192.0.2.7", ttl=ttl)])
        c.wait(1)
    c.expect("ttl.example.com", "A", "192.0.2.7", 4)
    for ttl in (2**31 - 1, 2**31, 2**32 - 1):
        c.exchange(f"ttl{ttl}.example.com", answers=[rr(f"ttl{ttl}.example.com", "A", "192.0.2.7", ttl=ttl)])
        c.expect(f"ttl{ttl}.example.com", "A", "192.0.2.7")


@capture()
def names(c):
    """Owners that are odd: each octet, the longest, the root, wildcards."""
    odd = [bytes([octet]) for octet in range(256)]
    for at in range(0, 256, 32):
        labels = odd[at : at + 32]
        owner = b"".join(b"\x02" + b"x" + label for label in labels) + name("example.com")
        text = ".".join("x" + escaped(label.lower()) for label in labels) + ".example.com"
        c.exchange(owner, answers=[rr(owner, "A", "192.0.2.7")])
        c.expect(text, "A", "192.0.2.7")
    longest = ".".join(["l" * 63, "m" * 63, "n" * 63, "o" * 61])
    c.answered(longest)
    c.answered("*.example.com")
    c.exchange(".", "NS", answers=[rr(".", "NS", "a.root-servers.net.")])
    c.expect(".", "NS", "a.root-servers.net.")
    c.answered("_dmarc.a-b_c.example.com")
    c.answered("xn--bcher-kva.example.com")
    # One octet more than a name may have: the question cannot be read.
    ends = c.ends()
    c.add(
        ethernet(ends.udp(message(longest + "x", answers=[rr("a.example.com", "A", "192.0.2.8")]), back=True))
    )
    c.says("RFC 1035 section 2.3.4: at most 255 octets", "frame 27: rejected (label), tshark reads 1 records")


def escaped(label):
    octet = label[0]
    if chr(octet) in '.\\";()@$':
        return "\\" + chr(octet)
    return chr(octet) if 0x21 <= octet <= 0x7E else f"\\{octet:03}"


@capture()
def repeated(c):
    """A record twice in one message is one; in two messages it is two."""
    again = rr("www.example.com", "A", "192.0.2.7")
    for _ in range(2):
        c.exchange(
            "www.example.com",
            answers=[again, again, rr("WWW.example.com", "A", "192.0.2.7", ttl=60)],
            additional=[again],
        )
    c.expect("www.example.com", "A", "192.0.2.7", 2)


@capture()
def meta(c):
    """What is no record: OPT, TSIG, TKEY, SIG(0), types that only a question may have."""
    sig0 = bytes(18) + name("key.example.com") + b"abc"
    owner = "meta.example.com"
    extra = [
        opt(),
        rr(owner, "TKEY", name("alg") + bytes(16)),
        rr(owner, 255, b""),
        rr(owner, 251, b""),
        rr(owner, 128, b""),
        rr(".", "SIG", sig0),
        rr(owner, "TSIG", name("alg") + bytes(16)),
    ]
    c.exchange(
        owner,
        answers=[rr(owner, "A", "192.0.2.7")],
        authority=[rr("example.com", "NS", "ns.example.com.")],
        additional=extra,
    )
    c.expect(owner, "A", "192.0.2.7")
    c.expect("example.com", "NS", "ns.example.com.")
    # SIG that covers something is a record; other classes are none.
    real = bytes.fromhex("0001") + bytes(16) + name("example.com") + b"abc"
    c.exchange(
        owner,
        "SIG",
        answers=[rr(owner, "SIG", real), rr(owner, "SIG", real, cls=3), rr(owner, "SIG", real, cls=254)],
    )
    c.expect(owner, "SIG", f"\\# {len(real)} {real.hex()}")
