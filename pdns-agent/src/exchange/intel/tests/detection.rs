//! The format of files that have a single entry.

use super::check;
use crate::exchange::intel::{IntelFormat as Is, detect};

/// Formats, names and contents of files.
const FILES: &[(Is, &str, &str)] = &[
    (Is::Hosts, "", "local-zone: \"evil.com\" always_nxdomain\n"),
    (Is::Hosts, "", "server:\n  local-zone: \"evil.com.\" always_nxdomain\n"),
    (Is::Hosts, "", "server:\n\tlocal-zone: 'evil.com' static\n"),
    (Is::Hosts, "", "# ours\n\nserver:\nlocal-data: \"evil.com A 0.0.0.0\"\n"),
    (Is::Hosts, "", "local-zone: \"evil.com\" redirect\nlocal-data: \"evil.com A 0.0.0.0\"\n"),
    (
        Is::Hosts,
        "x.conf",
        "server:\n    do-ip6: no\n    verbosity: 1\n    local-zone: \"evil.com\" refuse\n",
    ),
    (Is::Hosts, "", "SERVER:\n  LOCAL-ZONE: \"evil.com.\" always_nxdomain\n"),
    (Is::Hosts, "", "address=/evil.com/\n"),
    (Is::Hosts, "", "address=/evil.com/0.0.0.0"),
    (Is::Hosts, "", "address=/evil.com/#\n"),
    (Is::Hosts, "", "local=/evil.com/\n"),
    (Is::Hosts, "", "server=/evil.com/\n"),
    (Is::Hosts, "", "bogus-priv\nno-resolv\ndomain-needed\naddress=/evil.com/\n"),
    (Is::Hosts, "", "port=5353\nno-resolv\nserver=9.9.9.9\naddress=/evil.com/\n"),
    (Is::Hosts, "", "0.0.0.0 evil.com\n"),
    (Is::Hosts, "", "127.0.0.1\tevil.com # why\n"),
    (Is::Hosts, "", ":: evil.com"),
    (
        Is::Hosts,
        "hosts",
        "127.0.0.1 localhost\n::1 localhost ip6-localhost\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n192.168.1.2 printer\n0.0.0.0 evil.com\n",
    ),
    (Is::Rpz, "", "evil.com CNAME .\n"),
    (Is::Rpz, "", "evil.com 60 IN CNAME .\n"),
    (Is::Rpz, "", "evil.com cname rpz-drop.\n"),
    (
        Is::Rpz,
        "",
        "@ SOA localhost. root.localhost. 1 2 3 4 5\n@ NS localhost.\nevil.com CNAME .\n",
    ),
    (
        Is::Rpz,
        "",
        "@ 300 IN SOA localhost. root.localhost. (\n 1 ; serial\n 2\n 3\n 4\n 5 )\n IN NS localhost.\nevil.com CNAME .\n",
    ),
    (
        Is::Rpz,
        "",
        "rpz.x.net. 300 IN soa ns.x.net. a.x.net. 1 2 3 4 5\nrpz.x.net. 300 IN ns ns.x.net.\nevil.com.rpz.x.net. IN CNAME .\n",
    ),
    (Is::Rpz, "", "; a comment\n$TTL 300\n@ SOA a. b. 1 2 3 4 5\n  NS a.\nevil.com CNAME .\n"),
    (Is::Rpz, "", "$ttl 300\nevil.com CNAME .\n"),
    (Is::Rpz, "", "evil.com A 127.0.0.1\n@ SOA a. b. 1 2 3 4 5\n"),
    (Is::Rpz, "", "32.3.100.51.198.rpz-ip CNAME .\n"),
    (
        Is::ZeekIntel,
        "",
        "#fields\tindicator\tindicator_type\tmeta.source\nevil.com\tIntel::DOMAIN\tx\n",
    ),
    (
        Is::ZeekIntel,
        "",
        "#fields indicator indicator_type meta.source\nevil.com\tIntel::DOMAIN\tx\n",
    ),
    (
        Is::ZeekIntel,
        "",
        "#separator \\x09\n#fields\tindicator\tindicator_type\nevil.com\tIntel::DOMAIN\n",
    ),
    (Is::SuricataIprep, "", "45.61.1.2,1,100\n"),
    (Is::SuricataIprep, "", "45.61.1.0/24,1,100\n"),
    (Is::SuricataIprep, "", "2a00:1450::1,1,100\n"),
    (Is::SuricataDataset, "", "ZXZpbC5jb20=\n"),
    (Is::SuricataDataset, "", "ZXZpbC5jb20\n"),
    (Is::SuricataDataset, "", "LmV2aWwuY29t\n"),
    (Is::SuricataDataset, "", "ZXZpbC5jb20=,80\n"),
    (Is::SuricataDataset, "", "YS5iYw==\n"),
    (Is::Adblock, "", "||evil.com^\n"),
    (Is::Adblock, "", "[Adblock Plus 2.0]\n! Title: x\n||evil.com^\n"),
    (Is::Adblock, "", "! Title: x\n! Expires: 1 day\n||evil.com^$third-party\n"),
    (Is::Adblock, "", "@@||good.com^\n"),
    (Is::List, "", "evil.com\n"),
    (Is::List, "", "45.61.1.0/24\n"),
    (Is::List, "", "2a00:1450::1\n"),
    (Is::List, "", "*.evil.com\n"),
    (Is::List, "", "# title\nhttp://evil.com/x\n"),
    (Is::Csv, "", "domain,malware\nevil.com,x\n"),
    (Is::Csv, "", "ip;first\n45.61.1.2;2024-01-01\n"),
    (Is::Csv, "", "domain\tmalware\nevil.com\tx\n"),
    (Is::Csv, "", "evil.com,malware,2024-01-01\n"),
    (Is::Csv, "", "\"2024-01-01 10:00:00\",\"evil.com\",\"botnet\"\n"),
    (Is::Csv, "", "evil.com|malware|2024\n"),
    (
        Is::Ipsum,
        "",
        "# IPsum Threat Intelligence Feed\n# (https://github.com/stamparm/ipsum)\n45.61.1.2\t5\n",
    ),
    (
        Is::Maltrail,
        "",
        "# Copyright (c) 2014-2026 Maltrail developers (https://github.com/stamparm/maltrail/)\n# Reference: https://x.com/y\n\nevil.com\n",
    ),
    (
        Is::Urlhaus,
        "",
        "# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\n\"1\",\"2024-01-01 10:00:00\",\"http://evil.com/x\",\"online\",\"\",\"malware\",\"\",\"https://urlhaus.abuse.ch/url/1/\",\"x\"\n",
    ),
    (
        Is::Threatfox,
        "",
        "# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"threat_type\"\n\"2024-01-01 10:00:00\", \"1\", \"evil.com\", \"domain\", \"botnet_cc\"\n",
    ),
    (
        Is::Feodo,
        "",
        "# x\n\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\n\"2024-01-01\",\"45.61.1.2\",\"443\",\"online\",\"2024-01-01\",\"x\"\n",
    ),
    (
        Is::Feodo,
        "",
        "first_seen_utc,dst_ip,dst_port,c2_status,last_online,malware\n2024-01-01,45.61.1.2,443,online,2024-01-01,x\n",
    ),
    (Is::Jsonl, "", "{\"domain\":\"evil.com\"}\n"),
    (Is::Jsonl, "", "[\"evil.com\"]"),
    (Is::Stix, "", "{\"type\":\"bundle\",\"objects\":[]}"),
    (
        Is::Stix,
        "",
        "{\"type\":\"indicator\",\"pattern\":\"[domain-name:value = 'evil.com']\",\"pattern_type\":\"stix\"}",
    ),
    (Is::Misp, "", "{\"Event\":{\"Attribute\":[]}}"),
    (
        Is::Misp,
        "",
        "{\"response\":{\"Attribute\":[{\"type\":\"domain\",\"to_ids\":true,\"value\":\"evil.com\"}]}}",
    ),
    (Is::Text, "", "The malware calls evil[.]com every hour.\n"),
    (Is::Text, "", "Seen on our server: evil.com and 45.61.1.2\n"),
    (Is::Text, "", "We saw hxxp://evil[.]com/a, which is new.\nMore is to come.\n"),
    (Is::Text, "", "It has a CNAME to evil.com.\n"),
    (Is::Html, "", "<html><body>evil.com</body></html>"),
];

#[test]
fn one_entry_is_enough() {
    let mut wrong = Vec::new();
    for &(format, name, text) in FILES {
        let found = detect(text.as_bytes(), name);
        if found != format {
            wrong.push(format!("{text:?} is {format}, not {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_around_rules_are_not_entries() {
    check(
        Is::Hosts,
        "SERVER:\n  do-ip6: no\n  Local-Zone: 'evil.com' redirect\n  local-data: 'evil.com A 45.6.7.8'\n  local-zone:\n",
        &[".evil.com", "! line 5: local-zone:: unknown type of local-zone"],
    );
    check(
        Is::Hosts,
        "no-resolv\nserver=9.9.9.9\naddress=/evil.com/\naddress=/two.com\nlocal=/three.com/\n",
        &[
            ".evil.com",
            "! line 4: address=/two.com: a name does not contain '/' (for the character itself, write \\047)",
            ".three.com",
        ],
    );
    check(
        Is::Rpz,
        "@ IN SOA localhost. root.localhost. (\n 1 2 3 4 5 )\n NS localhost.\nevil.com CNAME .\n",
        &["evil.com"],
    );
}
