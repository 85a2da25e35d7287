"""What is in a response: chains, negative answers, bailiwick, every type."""

import dns.rdata
import dns.rdatatype

from .build import ASKED, AUTHORITATIVE, OFFERED, RESPONSE, TRUNCATED, USUAL, capture, ethernet, message, name, opt, rr

SOA = "ns1.example.com. root.example.com. 1 7200 3600 1209600 300"
DIRECT = RESPONSE | ASKED  # from a server that is neither recursive nor an authority


@capture()
def chains(c):
    links = [rr("www.example.com", "CNAME", "a.cdn.example.net."), rr("a.cdn.example.net", "CNAME", "b.cdn.example.net.")]
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
    loop = [rr("loop.example.com", "CNAME", "pool.example.com."), rr("pool.example.com", "CNAME", "loop.example.com.")]
    c.exchange("loop.example.com", answers=loop)
    c.exchange("loop.example.com", "CNAME", answers=loop[:1])
    c.expect("loop.example.com", "CNAME", "pool.example.com.", 2)
    c.expect("pool.example.com", "CNAME", "loop.example.com.")


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
    c.exchange("www.example.com", answers=[ours, evil], authority=[rr("victim.test", "NS", "ns.evil.test."), evil], additional=[evil])
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
        authority=[rr("co.uk", "NS", "ns1.nic.uk."), rr("www.example.co.uk", "TXT", '"below"'), rr("other.co.uk", "TXT", '"beside"')],
        additional=[rr("mail.example.co.uk", "A", "192.0.2.10"), rr("bank.co.uk", "A", "203.0.113.69")],
    )
    c.expect("2.example.co.uk", "A", "192.0.2.9")
    c.expect("co.uk", "NS", "ns1.nic.uk.")
    c.expect("www.example.co.uk", "TXT", '"below"')
    c.expect("mail.example.co.uk", "A", "192.0.2.10")
    # No registrable domain, no bailiwick.
    c.exchange("com", "NS", answers=[rr("com", "NS", "a.gtld.test.")], additional=[rr("a.gtld.test", "A", "192.0.2.11"), rr("x.com", "A", "203.0.113.70")])
    c.expect("com", "NS", "a.gtld.test.")
    # The root's own: what a root server says of all names is not taken.
    c.exchange("www.example.de", authority=[rr(".", "NS", "a.root.test."), rr("de", "NS", "a.nic.de.")], additional=[rr("a.nic.de", "A", "203.0.113.71"), rr("ns.example.de", "A", "192.0.2.12")], flags=DIRECT)
    c.expect(".", "NS", "a.root.test.")
    c.expect("de", "NS", "a.nic.de.")
    c.expect("ns.example.de", "A", "192.0.2.12")
    # The names at the end of a chain decide; what is below its start is outside.
    c.exchange(
        "start.example.com",
        answers=[rr("start.example.com", "CNAME", "end.example.net."), rr("end.example.net", "A", "192.0.2.13")],
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
    c.exchange("www.example.com", authority=[ns, signer], additional=[glue, rr("ns.example.org", "A", "203.0.113.66"), opt()], flags=DIRECT)
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
    c.expect_negative("chaos.example.com", "A", "NODATA")
    # An answer that is left out because it cannot be read is an answer.
    c.exchange("broken.example.com", "MX", answers=[rr("broken.example.com", "MX", b"\0")], authority=[])
    # ANY is answered by whatever comes.
    c.exchange("any.example.com", "ANY", answers=[rr("any.example.com", "HINFO", '"RFC8482" ""')])
    c.expect("any.example.com", "HINFO", '"RFC8482" ""')
    # Cut short: perhaps there was more.
    c.exchange("tc.example.com", flags=USUAL | TRUNCATED)
    c.exchange("tc.example.com", "TXT", answers=[rr("tc.example.com", "TXT", '"first"')], flags=USUAL | TRUNCATED)
    c.expect("tc.example.com", "TXT", '"first"')
    # ... but an error is an error.
    c.exchange("tc.example.com", "MX", flags=USUAL | TRUNCATED | 2)
    c.expect_negative("tc.example.com", "MX", "SERVFAIL")


@capture()
def rcodes(c):
    for rcode, outcome in ((1, "FORMERR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (4, "NOTIMP"), (5, "REFUSED"), (9, "NOTAUTH"), (15, "RCODE15")):
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


TEXTS = {
    "A": "192.0.2.1", "NS": "ns.example.com.", "CNAME": "host.example.com.",
    "SOA": SOA, "WKS": "192.0.2.1 6 25 80",
    "PTR": "host.example.com.", "HINFO": '"PDP-11" "UNIX"', "MX": "10 mail.example.com.",
    "TXT": '"one" "two;\\"\\\\\\255" ""', "RP": "mbox.example.com. txt.example.com.", "AFSDB": "1 afs.example.com.",
    "X25": '"311061700956"', "ISDN": '"150862028003217" "004"', "RT": "10 relay.example.com.",
    "NSAP": "0x47000580005a0000000001e133ffffff00016100", "NSAP-PTR": "nsap.example.com.",
    "PX": "10 ma.example.com. mx.example.com.", "GPOS": '"-32.6882" "116.8652" "10.0"', "AAAA": "2001:db8::1",
    "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m", "SRV": "1 2 5060 sip.example.com.",
    "NAPTR": '100 50 "s" "SIP+D2U" "" _sip._udp.example.com.', "KX": "10 kx.example.com.",
    "CERT": "1 12345 8 YWJj", "DNAME": "example.net.", "APL": "1:192.0.2.0/24 !2:2001:db8::/32",
    "DS": "12345 8 2 " + "ab" * 32, "SSHFP": "4 2 " + "cd" * 32, "IPSECKEY": "10 1 2 192.0.2.38 YWJj",
    "RRSIG": "A 8 3 300 20300101000000 20200101000000 12345 example.com. YWJj", "NSEC": "next.example.com. A NS RRSIG TYPE1234",
    "DNSKEY": "257 3 8 YWJjZA==", "DHCID": "YWJj", "NSEC3": "1 1 12 aabbccdd 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG",
    "NSEC3PARAM": "1 0 12 aabbccdd", "TLSA": "3 1 1 " + "ef" * 32, "SMIMEA": "3 1 1 " + "01" * 32,
    "HIP": "2 200100107B1A74DF365639CC39F1D578 YWJj rvs.example.com.", "NINFO": '"zs" "status"', "CDS": "0 0 0 00",
    "CDNSKEY": "0 3 0 AA==", "OPENPGPKEY": "YWJj", "CSYNC": "66 3 A NS AAAA", "ZONEMD": "2018031900 1 1 " + "ab" * 48,
    "SVCB": '1 svc.example.com. alpn="h2,h3" port=8443 ipv4hint=192.0.2.1 key65280="x"', "HTTPS": "0 alias.example.com.",
    "SPF": '"v=spf1 -all"', "NID": "10 0014:4fff:ff20:ee64", "L32": "10 10.1.2.0", "L64": "10 2001:0DB8:1140:1000",
    "LP": "10 l64.example.com.", "EUI48": "00-00-5e-00-53-2a", "EUI64": "00-00-5e-ef-10-00-00-2a",
    "URI": '10 1 "ftp://ftp.example.com/public"', "CAA": '0 issue "ca.example.net; policy=ev"', "AVC": '"app-name:x"',
    "AMTRELAY": "10 0 3 relay.example.com.", "RESINFO": '"qnamemin" "exterr=15"', "WALLET": '"ETH" "0x00"',
    "DSYNC": "CDS NOTIFY 5359 cds.example.com.", "TYPE65280": "\\# 3 010203", "TYPE1000": "\\# 0", "TA": "\\# 4 00010203", "DLV": "\\# 7 30390802abcdef",
    "NULL": "\\# 5 0102030405", "SINK": "\\# 2 4001", "EID": "\\# 3 616263", "NIMLOC": "\\# 3 616263",
    "ATMA": "\\# 3 016162", "RKEY": "\\# 6 000003086162", "UINFO": "\\# 2 0161", "UID": "\\# 4 00000001",
    "GID": "\\# 4 00000001", "UNSPEC": "\\# 1 61", "DOA": "\\# 10 00000001000000020100", "TALINK": "\\# 6 016100016200",
    "CLA": "\\# 4 03434c41", "IPN": "\\# 8 0000000000000001",
}  # fmt: skip
# Types with names that dnspython does not write (RFC 1035 section 3.3, RFC 2535, RFC 2874).
OCTETS = {
    "MD": name("md.example.com"), "MF": name("mf.example.com"), "MB": name("mb.example.com"), "MG": name("mg.example.com"),
    "MR": name("mr.example.com"), "MINFO": name("r.example.com") + name("e.example.com"),
    "SIG": bytes.fromhex("0001 08 03 0000012c 70dbd880 5e0be100 3039") + name("example.com") + b"abc",
    "KEY": bytes.fromhex("0101 03 08") + b"abcd", "NXT": name("next.example.com") + bytes.fromhex("62000080"),
    "A6": bytes([64]) + bytes(8) + name("prefix.example.com"),
}  # fmt: skip


def numbered(rrtype):
    from zeek import TYPES as NAMES

    return next((number for number, title in NAMES.items() if title == rrtype), None) or int(rrtype.removeprefix("TYPE"))


@capture()
def types(c):
    """Every type of IANA's registry, and two that it does not know."""
    for rrtype, text in TEXTS.items():
        owner = f"{rrtype}.types.example.com".lower()
        number = numbered(rrtype)
        octets = bytes.fromhex("".join(text.split()[2:])) if text.startswith("\\#") else text
        if isinstance(octets, str):
            octets = dns.rdata.from_text("IN", number, text, origin=dns.name.root, relativize=False).to_wire()
        c.exchange(owner, number, answers=[rr(owner, number, octets)])
        c.expect(owner, rrtype, text)
    for rrtype, octets in OCTETS.items():
        owner, number = f"{rrtype}.types.example.com".lower(), numbered(rrtype)
        c.exchange(owner, number, answers=[rr(owner, number, octets)])
        c.expect(owner, rrtype, f"\\# {len(octets)} {octets.hex()}")


@capture()
def types_cased(c):
    """Names in RDATA, in capitals and compressed, are stored in lower case and whole; all other octets as they are."""
    pointer = b"\xc0\x0c"  # to QNAME
    upper, lower = "HOST.Types.EXAMPLE.com", "host.types.example.com."
    compressed = {
        "NS": pointer, "CNAME": pointer, "PTR": pointer, "DNAME": pointer, "MX": b"\0\x0a" + pointer, "AFSDB": b"\0\1" + pointer,
        "RT": b"\0\x0a" + pointer, "KX": b"\0\x0a" + pointer, "SRV": b"\0\1\0\2\0\3" + pointer, "RP": pointer + pointer,
        "PX": b"\0\x0a" + pointer + pointer, "NAPTR": b"\0\1\0\2\1s\1x\0" + pointer, "SOA": pointer + pointer + bytes(20),
    }  # fmt: skip
    texts = {
        "MX": "10 " + lower, "AFSDB": "1 " + lower, "RT": "10 " + lower, "KX": "10 " + lower, "SRV": "1 2 3 " + lower,
        "RP": f"{lower} {lower}", "PX": f"10 {lower} {lower}", "NAPTR": f'1 2 "s" "x" "" {lower}', "SOA": f"{lower} {lower} 0 0 0 0 0",
    }  # fmt: skip
    for rrtype, octets in compressed.items():
        number = numbered(rrtype)
        c.exchange(upper, number, answers=[rr(pointer, number, octets)])
        c.expect(lower[:-1], rrtype, texts.get(rrtype, lower))
    # RFC 3597 section 4: in newer types names keep their case; a pointer in them is no pointer.
    kept = b"\0\1" + name("Svc.Example.COM")
    c.exchange(upper, "SVCB", answers=[rr(pointer, "SVCB", kept)])
    c.expect(lower[:-1], "SVCB", f"\\# {len(kept)} {kept.hex()}")
    # RRSIG and NSEC hold plain names, in lower case here.
    signed = bytes.fromhex("0001 08 03 0000012c 70dbd880 5e0be100 3039")
    c.exchange(upper, "RRSIG", answers=[rr(pointer, "RRSIG", signed + name("Example.COM") + b"abc")])
    c.expect(lower[:-1], "RRSIG", "A 8 3 300 20300101000000 20200101000000 12345 example.com. YWJj")
    c.exchange(upper, "NSEC", answers=[rr(pointer, "NSEC", name("Next.Example.COM") + bytes.fromhex("000140"))])
    c.expect(lower[:-1], "NSEC", "next.example.com. A")
    c.exchange(upper, "NSEC", answers=[rr(pointer, "NSEC", pointer + bytes.fromhex("000140"))])


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
    c.add(ethernet(ends.udp(message(longest + "x", answers=[rr("a.example.com", "A", "192.0.2.8")]), back=True)))
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
        c.exchange("www.example.com", answers=[again, again, rr("WWW.example.com", "A", "192.0.2.7", ttl=60)], additional=[again])
    c.expect("www.example.com", "A", "192.0.2.7", 2)


@capture()
def meta(c):
    """What is no record: OPT, TSIG, TKEY, SIG(0), types that only a question may have."""
    sig0 = bytes(18) + name("key.example.com") + b"abc"
    owner = "meta.example.com"
    extra = [opt(), rr(owner, "TKEY", name("alg") + bytes(16)), rr(owner, 255, b""), rr(owner, 251, b""), rr(owner, 128, b""), rr(".", "SIG", sig0), rr(owner, "TSIG", name("alg") + bytes(16))]
    c.exchange(owner, answers=[rr(owner, "A", "192.0.2.7")], authority=[rr("example.com", "NS", "ns.example.com.")], additional=extra)
    c.expect(owner, "A", "192.0.2.7")
    c.expect("example.com", "NS", "ns.example.com.")
    # SIG that covers something is a record; other classes are none.
    real = bytes.fromhex("0001") + bytes(16) + name("example.com") + b"abc"
    c.exchange(owner, "SIG", answers=[rr(owner, "SIG", real), rr(owner, "SIG", real, cls=3), rr(owner, "SIG", real, cls=254)])
    c.expect(owner, "SIG", f"\\# {len(real)} {real.hex()}")
