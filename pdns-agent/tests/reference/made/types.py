"""Every type: what each may hold, in capitals, compressed, and as it must be kept."""

import dns.name
import dns.rdata
from zeek import TYPES

from .build import capture, name, rr

SOA = "ns1.example.com. root.example.com. 1 7200 3600 1209600 300"
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


NUMBERS = {mnemonic: number for number, mnemonic in TYPES.items()}


def numbered(rrtype):
    return NUMBERS[rrtype] if rrtype in NUMBERS else int(rrtype.removeprefix("TYPE"))


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
