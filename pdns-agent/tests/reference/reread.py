"""Reads lines of type, RDATA in hex and its text, and prints those whose text dnspython reads otherwise."""

import sys

import dns.rdata
import dns.rdataclass
import dns.rdatatype

# What dnspython has against RDATA that is well formed: numbers that mean nothing, digests of another length
# than their algorithm's, types that it does not know yet, and zeros that should not be there.
OBJECTIONS = (
    "reserved",
    "inconsistent with",
    "DNS resource record type is unknown",
    "trailing zero octet",
)

failed = 0
for line in sys.stdin:
    mnemonic, octets, text = line.rstrip("\n").split("\t")
    rdtype = dns.rdatatype.from_text(mnemonic)
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, relativize=False)
        read = rdata.to_wire().hex()
    except Exception as error:  # whatever it has against the text
        read = repr(error)
        if any(objection in read for objection in OBJECTIONS):
            continue
    if read != octets:
        failed += 1
        if failed <= 60:
            print(mnemonic, text, octets, read, sep="\n  ")
sys.exit(failed > 0)
