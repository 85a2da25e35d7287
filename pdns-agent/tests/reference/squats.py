#!/usr/bin/env python3
"""Names that would imitate domains, by dnstwist.

    squats.py DOMAIN...

prints {DOMAIN: {KIND: [NAME, ...]}}. Dictionaries, which dnstwist has in files of their own, are left out.
"""

import json
import sys
from collections import defaultdict

import dnstwist


def squats(domain):
    fuzzer = dnstwist.Fuzzer(domain)
    fuzzer.generate()
    kinds = defaultdict(list)
    for made in fuzzer.domains:
        if made["fuzzer"] != "*original" and made["domain"] != domain:
            kinds[made["fuzzer"]].append(made["domain"])
    return kinds


print(json.dumps({domain: squats(domain) for domain in sys.argv[1:]}))
