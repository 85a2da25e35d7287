#!/usr/bin/env python3
"""Writes MaxMind DB files in the layouts that are common, and prints what MaxMind's own reader finds in them.

    networks.py FOLDER ADDRESS...

One JSON object per line: the file, the address, and its record, or null.
"""

import json
import sys
from pathlib import Path

import maxminddb
from mmdb_writer import MMDBWriter
from netaddr import IPSet

TABLES = {
    # MaxMind and DB-IP: numbers of autonomous systems.
    "asn.mmdb": [
        ("45.61.0.0/16", {"autonomous_system_number": 64496, "autonomous_system_organization": "Example, Inc."}),
        ("45.61.2.0/24", {"autonomous_system_number": 64511, "autonomous_system_organization": "Inner\x1b[31m Ltd"}),
        ("2a00:1::/32", {"autonomous_system_number": 4200000000, "autonomous_system_organization": "V6 \u00dc"}),
    ],
    # MaxMind: countries.
    "country.mmdb": [
        ("45.61.0.0/17", {"country": {"iso_code": "DE", "names": {"en": "Germany"}}, "continent": {"code": "EU"}}),
        ("45.62.0.0/16", {"registered_country": {"iso_code": "FR"}}),
        ("2a00:1::/32", {"country": {"iso_code": "SE"}}),
    ],
    # IPinfo.
    "ipinfo.mmdb": [
        ("45.61.0.0/16", {"asn": "AS64496", "as_name": "Example", "country": "United States", "country_code": "US"}),
        ("45.63.0.0/16", {"asn": "AS64500", "as_name": "Older", "country": "NL", "country_name": "Netherlands"}),
    ],
    # ip-location-db, flat.
    "flat.mmdb": [
        ("45.61.0.0/16", {"country_code": "JP"}),
        ("45.64.0.0/16", {"country_code": "BR", "autonomous_system_number": 64501}),
    ],
    # A record about something else altogether.
    "other.mmdb": [("45.61.0.0/16", {"is_proxy": True, "asn": {"nested": 1}, "country": 7})],
}


def main() -> None:
    folder, addresses = Path(sys.argv[1]), sys.argv[2:]
    for name, rows in TABLES.items():
        writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=name)
        for prefix, record in rows:
            writer.insert_network(IPSet([prefix]), record)
        writer.to_db_file(str(folder / name))
        with maxminddb.open_database(str(folder / name)) as reader:
            for address in addresses:
                print(json.dumps({"table": name, "address": address, "record": reader.get(address)}))


main()
