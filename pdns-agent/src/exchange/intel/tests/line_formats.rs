//! Formats that are read line by line.

use super::{check, read_as, read_with, short, try_read};
use crate::exchange::intel::IntelFormat as Is;
use crate::exchange::intel::{ColumnRef, Columns, IntelError, IntelOptions};
use crate::indicator::Tlp;
use crate::query::Scope;
use crate::tag::TagKind;

#[test]
fn a_plain_list() {
    check(
        Is::List,
        "\u{feff}# a comment\r\n\
         evil.example\r\n\
         ; another\r\n\
         // and another\r\n\
         192.0.2.7 # inline\r\n\
         .below.example\r\n\
         *.also.example\r\n\
         evil[.]example[.]com\r\n\
         b\u{fc}cher.example.\r\n\
         e\u{200b}vil.example\r\n\
         192.0.2.1:443\r\n\
         host.example:8443\r\n\
         198.51.100.0/24\r\n\
         192.0.2.1-192.0.2.2\r\n\
         http://evil.example/x\r\n\
         d41d8cd98f00b204e9800998ecf8427e\r\n\
         foo*.example\r\n\
         someone@evil.example\r\n\
         /gate.php\r\n\
         nonsense\r\n\
         two words\r\n\
         a.example, b.example; c.example\r\n\
         0.0.0.0 sunk.example\r\n\
         2001:db8::1\r\n",
        &[
            "evil.example",
            "192.0.2.7",
            ".below.example",
            ".also.example",
            "evil.example.com",
            "xn--bcher-kva.example",
            "evil.example",
            "192.0.2.1 if",
            "host.example if",
            "198.51.100.0/24",
            "192.0.2.1",
            "192.0.2.2",
            "~ URLs",
            "~ hashes",
            "~ wildcards other than *. before a name",
            "~ mail addresses",
            "~ paths without a host",
            "! line 20: nonsense: it is a single label (for a top-level domain, write a dot before it)",
            "! line 21: two words: it has several words; give one name, address or prefix, or several with commas between",
            "a.example",
            "b.example",
            "c.example",
            "sunk.example",
            "2001:db8::1",
        ],
    );
}

#[test]
fn urls_stand_for_hosts_only_on_demand() {
    let options = IntelOptions {
        url_hosts: true,
        kind: Some(TagKind::Threat),
        scope: Some(Scope::Below),
        ..IntelOptions::default()
    };
    let read = read_with(b"hxxp://evil[.]example/x\nplain.example\n", &options);
    assert_eq!(read.short(), [".evil.example threat if", ".plain.example threat"]);
}

#[test]
fn a_hosts_file() {
    check(
        Is::Hosts,
        "# blocked\n\
         127.0.0.1 localhost\n\
         ::1 localhost ip6-localhost\n\
         0.0.0.0 0.0.0.0\n\
         0.0.0.0 a.example b.example # why\n\
         127.0.0.1\tc.example\n\
         192.168.1.4 printer.example\n\
         0.0.0.0 d.example.\n\
         0.0.0.0 e.example\n\
         0.0.0.0 192.0.2.1\n",
        &[
            "~ local names and addresses",
            "~ local names and addresses",
            "~ local names and addresses",
            "~ local names and addresses",
            "a.example",
            "b.example",
            "c.example",
            "~ local names and addresses",
            "d.example",
            "e.example",
            "! line 10: 192.0.2.1: it is an address, but the file calls it a name",
        ],
    );
    check(
        Is::Hosts,
        "address=/a.example/b.example/0.0.0.0\n\
         server=/c.example/\n\
         local-zone: \"d.example\" always_nxdomain\n\
         local-data: \"d.example A 127.0.0.1\"\n\
         local-zone: \"e.example.\" transparent\n",
        &[".a.example", ".b.example", ".c.example", ".d.example", ".e.example trust"],
    );
}

#[test]
fn rules_of_an_ad_blocker() {
    check(
        Is::Adblock,
        "[Adblock Plus 2.0]\n\
         ! Title: rules\n\
         ||evil.example^\n\
         ||third.example^$third-party\n\
         ||*.wild.example^$important\n\
         @@||good.example^\n\
         ||path.example/x.js\n\
         ||ba*d.example^\n\
         example.com##.ad\n\
         /banner[0-9]+/\n\
         |http://exact.example/|\n\
         &ad_box_\n\
         plain.example\n",
        &[
            ".evil.example",
            ".third.example if",
            ".wild.example",
            ".good.example trust",
            "~ URLs",
            "~ wildcards other than *. before a name",
            "~ rules about parts of pages",
            "~ regular expressions",
            "~ URLs",
            "! line 12: &ad_box_: a name does not contain '&' (for the character itself, write \\038)",
            "plain.example",
        ],
    );
}

#[test]
fn a_file_of_zeeks_intel_framework() {
    let text = "#separator \\x09\n\
        #fields\tmeta.source\tindicator_type\tindicator\tmeta.desc\tmeta.url\n\
        Acme\tIntel::DOMAIN\tevil.example\tdrops \\x41\thttps://acme.example/1\n\
        Acme\tIntel::ADDR\t192.0.2.1\t-\t-\n\
        Acme\tIntel::SUBNET\t198.51.100.0/24\t-\t-\n\
        Acme\tIntel::URL\tevil.example/x\t-\t-\n\
        Acme\tIntel::FILE_HASH\td41d8cd98f00b204e9800998ecf8427e\t-\t-\n\
        Acme\tIntel::EMAIL\ta@evil.example\t-\t-\n\
        Acme\tIntel::ADDR\tevil.example\t-\t-\n\
        Acme\tIntel::NEW\tevil.example\t-\t-\n\
        Acme Intel::ADDR 192.0.2.1\n";
    let read = read_as(Is::ZeekIntel, text);
    assert_eq!(
        read.short(),
        [
            "evil.example",
            "192.0.2.1",
            "198.51.100.0/24",
            "~ URLs",
            "~ hashes",
            "~ mail addresses",
            "! line 9: evil.example: it is a name, but the file calls it an address",
            "! line 10: Intel::NEW: unknown type of indicator",
            "! line 11: Acme Intel::ADDR 192.0.2.1: it lacks the indicator or its type (are there tabs?)",
        ]
    );
    let indicators = read.indicators();
    assert_eq!(indicators[0].note, "drops A");
    assert_eq!(indicators[0].reference, "https://acme.example/1");
    assert_eq!(indicators[1].note, "");
    assert_eq!(read.summary.producer.as_deref(), Some("Acme"));
    let options = IntelOptions { format: Some(Is::ZeekIntel), ..IntelOptions::default() };
    for text in ["evil.example\tIntel::DOMAIN\n", "#fields\tindicator\tother\n"] {
        let (_, result) = try_read(text.as_bytes(), &options);
        assert!(matches!(result, Err(IntelError::Format { .. })), "{text}");
    }
}

#[test]
fn data_sets_and_reputation_lists_of_suricata() {
    // evil.example, .below.example, with a reputation, not text, a digest.
    check(
        Is::SuricataDataset,
        "ZXZpbC5leGFtcGxl\nLmJlbG93LmV4YW1wbGU=\nZXZpbC5leGFtcGxl,5\n\
         ZXZpbC5leGFtcGxl\nZXZpbC5leGFtcGxl\n////\n192.0.2.1\n",
        &[
            "evil.example",
            ".below.example",
            "evil.example",
            "evil.example",
            "evil.example",
            "! line 6: ////: it is not the Base64 of text",
            "192.0.2.1",
        ],
    );
    check(
        Is::SuricataIprep,
        "# ip,category,score\n192.0.2.1,1,127\n198.51.100.0/24,3,64\n2001:db8::1,3,0\n192.0.2.2,2,128\n192.0.2.3,1\n192.0.2.4,1,1\n192.0.2.5,1,1\n192.0.2.6,1,1\n192.0.2.7,1,1\n192.0.2.8,1,1\n",
        &[
            "192.0.2.1 100%",
            "198.51.100.0/24 50%",
            "2001:db8::1 0%",
            "! line 5: 192.0.2.2,2,128: the score is not a number from 0 to 127",
            "! line 6: 192.0.2.3,1: it is not an address, a category and a score",
            "192.0.2.4 0%",
            "192.0.2.5 0%",
            "192.0.2.6 0%",
            "192.0.2.7 0%",
            "192.0.2.8 0%",
        ],
    );
}

#[test]
fn a_response_policy_zone() {
    check(
        Is::Rpz,
        "$TTL 60\n\
         @ IN SOA localhost. root.localhost. (\n  1 ; serial\n  2 3 4 5 )\n  IN NS localhost.\n\
         evil.example CNAME .\n\
         *.evil.example CNAME .\n\
         walled.example 300 IN A 192.0.2.1\n\
         walled.example 300 IN AAAA 2001:db8::1\n\
         good.example CNAME rpz-passthru.\n\
         drop.example CNAME rpz-drop. ; comment\n\
         32.7.2.0.192.rpz-ip CNAME .\n\
         24.0.100.51.198.rpz-ip CNAME *.\n\
         128.1.zz.db8.2001.rpz-ip CNAME .\n\
         32.zz.db8.2001.rpz-ip CNAME .\n\
         ns.evil.example.rpz-nsdname CNAME .\n\
         32.7.2.0.192.rpz-nsip CNAME .\n\
         zz.rpz-ip CNAME .\n",
        &[
            "evil.example",
            ".evil.example",
            "walled.example",
            "good.example trust",
            "drop.example",
            "192.0.2.7",
            "198.51.100.0/24",
            "2001:db8::1",
            "2001:db8::/32",
            "~ RPZ triggers on name servers or clients",
            "~ RPZ triggers on name servers or clients",
            "! line 18: zz.rpz-ip: it is not an rpz-ip trigger",
        ],
    );
    // Absolute owners, and an origin below the zone.
    check(
        Is::Rpz,
        "rpz.example. 60 IN SOA a. b. 1 2 3 4 5\n\
         rpz.example. NS a.\n\
         evil.test.rpz.example. CNAME .\n\
         $ORIGIN test.RPZ.example.\n\
         other CNAME .\n\
         \tTXT \"a ; b\"\n\
         $ORIGIN rpz.example.\n\
         third.test CNAME .\n",
        &["evil.test", "other.test", "third.test"],
    );
}

#[test]
fn csv_with_and_without_a_header() {
    let read = read_as(
        Is::Csv,
        "Domain;Malware;Confidence;First Seen;TLP;Comment\n\
         evil.example;Emotet;80;2026-01-02;amber;\"a; b\nc\"\n\
         other.example;;high;;;\n\
         \"open;x;;;;\n\
         ;Emotet;;;;\n\
         last.example;None;0.5;;;\n",
    );
    assert_eq!(
        read.short(),
        [
            "evil.example 80% tlp:amber [Emotet]",
            "other.example 85%",
            "! line 5: \"open;x;;;;: a quoted value does not end",
            "! line 6: ;Emotet;;;;: it has no subject",
            "last.example 50%",
        ]
    );
    let first = read.indicators()[0];
    assert_eq!(first.note, "a; b c");
    assert_eq!(first.first_listed, Some(1_767_312_000));
    assert_eq!(first.tlp, Some(Tlp::Amber));
    check(
        Is::Csv,
        "2026-01-01,192.0.2.1,C2\n2026-01-02,evil.example,C2\n",
        &["192.0.2.1", "evil.example"],
    );
    check(Is::Csv, "a.example\tx y\nb.example\tz\n", &["a.example", "b.example"]);
}

#[test]
fn csv_with_columns_that_are_given() {
    let name = |text: &str| Some(ColumnRef::Name(text.to_owned()));
    let options = IntelOptions {
        format: Some(Is::Csv),
        columns: Columns {
            subject: name("Bad Thing"),
            kind: name("judgement"),
            labels: Some(ColumnRef::Number(3)),
            ..Columns::default()
        },
        ..IntelOptions::default()
    };
    let text = b"Bad-thing|judgement|what\nevil.example|interest|a,b\n";
    assert_eq!(read_with(text, &options).short(), ["evil.example interest [a, b]"]);
    let (items, result) = try_read(b"x|y\nevil.example|1\n", &options);
    assert!(items.iter().map(short).next().is_none());
    assert!(matches!(result, Err(IntelError::NoColumn(_))));
    let columns = Columns { subject: Some(ColumnRef::Number(2)), ..Columns::default() };
    let options = IntelOptions { format: Some(Is::Csv), columns, ..IntelOptions::default() };
    assert_eq!(read_with(b"1,evil.example\n", &options).short(), ["evil.example"]);
}

#[test]
fn files_of_abuse_ch() {
    check(
        Is::Urlhaus,
        "################\r\n# abuse.ch URLhaus #\r\n\
         # id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\r\n\
         \"3\",\"2026-01-02 03:04:05\",\"http://evil.example/x\",\"online\",\"\",\"malware_download\",\"elf,mozi\",\"https://urlhaus.abuse.ch/url/3/\",\"x\"\r\n",
        &["~ URLs"],
    );
    let options = IntelOptions { url_hosts: true, ..IntelOptions::default() };
    let text = "# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\r\n\
         \"3\",\"2026-01-02 03:04:05\",\"http://evil.example/x\",\"online\",\"2026-01-03 00:00:00\",\"malware_download\",\"elf,mozi\",\"https://urlhaus.abuse.ch/url/3/\",\"x\"\r\n";
    let read = read_with(text.as_bytes(), &options);
    assert_eq!(read.short(), ["evil.example [elf, malware_download, mozi] if"]);
    let indicator = read.indicators()[0].clone();
    assert_eq!(indicator.first_listed, Some(1_767_323_045));
    assert_eq!(indicator.last_listed, Some(1_767_398_400));
    assert_eq!(indicator.reference, "https://urlhaus.abuse.ch/url/3/");
    assert_eq!(indicator.id.as_deref(), Some("3"));
    check(
        Is::Threatfox,
        "# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"threat_type\",\"fk_malware\",\"malware_alias\",\"malware_printable\",\"last_seen_utc\",\"confidence_level\",\"reference\",\"tags\",\"anonymous\",\"reporter\"\r\n\
         \"2026-01-02 03:04:05\", \"1\", \"192.0.2.1:443\", \"ip:port\", \"botnet_cc\", \"win.x\", \"None\", \"X\", \"\", \"75\", \"None\", \"c2\", \"0\", \"y\"\r\n\
         \"2026-01-02 03:04:05\", \"2\", \"evil.example\", \"domain\", \"botnet_cc\", \"win.x\", \"None\", \"X\", \"\", \"100\", \"https://x.example/1\", \"\", \"0\", \"y\"\r\n\
         \"2026-01-02 03:04:05\", \"3\", \"d41d8cd98f00b204e9800998ecf8427e\", \"md5_hash\", \"payload\", \"win.x\", \"None\", \"X\", \"\", \"100\", \"\", \"\", \"0\", \"y\"\r\n",
        &["192.0.2.1 75% [X, c2] if", "evil.example 100% [X]", "~ hashes"],
    );
    check(
        Is::Feodo,
        "# first_seen_utc,dst_ip,dst_port,c2_status,last_online,malware\n\
         2026-01-02 03:04:05,192.0.2.1,443,online,2026-01-03,QakBot\n",
        &["192.0.2.1 [QakBot] if"],
    );
}

#[test]
fn ipsum_and_maltrail() {
    check(
        Is::Ipsum,
        "# IPsum Threat Intelligence Feed\n#\n192.0.2.1\t10\n192.0.2.2\t3\n192.0.2.3\tx\n192.0.2.4\t1\n192.0.2.5\t1\n",
        &[
            "192.0.2.1 100%",
            "192.0.2.2 37%",
            "! line 5: 192.0.2.3\\u{9}x: the second column is not a number of lists",
            "192.0.2.4 12%",
            "192.0.2.5 12%",
        ],
    );
    let read = read_as(
        Is::Maltrail,
        "# Aliases: Emotet, Heodo\n\
         # Reference: https://one.example/\n\
         # Reference: https://two.example/\n\n\
         192.0.2.1:443\n\
         evil.example # why\n\n\
         # Reference: https://three.example/\n\
         /gate.php\n\
         other.example/gate.php\n\
         [a-z]+\\.example\n\
         198.51.100.0/24\n",
    );
    assert_eq!(
        read.short(),
        [
            "192.0.2.1 [Emotet, Heodo] if",
            "evil.example [Emotet, Heodo]",
            "~ paths without a host",
            "~ URLs",
            "~ regular expressions",
            "198.51.100.0/24 [Emotet, Heodo]",
        ]
    );
    let references: Vec<&str> =
        read.indicators().iter().map(|indicator| indicator.reference.as_str()).collect();
    assert_eq!(
        references,
        ["https://one.example/", "https://one.example/", "https://three.example/"]
    );
}

#[test]
fn nothing_of_a_zone_is_skipped_in_silence() {
    check(
        Is::Rpz,
        "$TTL 60\n\
         $ORIGIN rpz.\n\
         @ SOA a. b. ( 1 2\n\
         3 4 5 )\n\
         $INCLUDE more.zone\n\
         $GENERATE 1-9 bad$ CNAME .\n\
         $ORIGIN\n\
         $FOO 1\n\
         evil.test CNAME .\n\
         text.test is no record\n\
         empty.test CNAME\n\
         bare.test\n\
         open.test TXT ( \"x\"\n\
         next.test CNAME .\n",
        &[
            "! line 5: $INCLUDE more.zone: other files are not included: import them one by one",
            "! line 6: $GENERATE 1-9 bad$ CNAME .: generated records are not supported",
            "! line 7: $ORIGIN: the directive has no value",
            "! line 8: $FOO 1: unknown directive",
            "evil.test",
            "! line 10: text.test is no record: it has no valid record type",
            "! line 11: empty.test CNAME: the record has no data",
            "! line 12: bare.test: it has no record type",
            "! line 13: open.test TXT ( \"x\": a parenthesis is not closed",
            "next.test",
        ],
    );
}

#[test]
fn rules_of_resolvers_mean_what_the_resolver_does() {
    check(
        Is::Hosts,
        "address=/a.test/\n\
         address=/b.test/0.0.0.0\n\
         address=/c.test/#\n\
         address=/router.test/192.168.1.1\n\
         server=/good.test/#\n\
         server=/forwarded.test/10.0.0.53\n\
         conf-file=/etc/more.conf\n\
         server:\n\
         local-zone: \"d.test.\" static\n\
         local-zone: \"e.test\" inform\n\
         local-zone: \"f.test\"\n\
         local-data: \"g.test. 60 IN A 0.0.0.0\"\n\
         local-data: \"printer.test A 10.1.2.3\"\n\
         local-data: \"d.test AAAA ::\"\n\
         include: more.conf\n",
        &[
            ".a.test",
            ".b.test",
            ".c.test",
            "~ local names and addresses",
            ".good.test trust",
            "~ local names and addresses",
            "! line 7: conf-file=/etc/more.conf: other files are not included: import them one by one",
            ".d.test",
            "~ other types of indicators",
            "! line 11: local-zone: \"f.test\": unknown type of local-zone",
            "g.test",
            "~ local names and addresses",
            "d.test",
            "! line 15: include: more.conf: other files are not included: import them one by one",
        ],
    );
}

#[test]
fn included_lists_and_restricted_indicators_are_told() {
    check(
        Is::Adblock,
        "||a.test^\n!#include more.txt\n! a comment\n||b.test^\n",
        &[
            ".a.test",
            "! line 2: !#include more.txt: other lists are not included: import them one by one",
            ".b.test",
        ],
    );
    check(
        Is::ZeekIntel,
        "#fields\tindicator\tindicator_type\tmeta.source\tmeta.if_in\n\
         a.test\tIntel::DOMAIN\tx\t-\n\
         b.test\tIntel::DOMAIN\tx\tHTTP::IN_HOST_HEADER\n",
        &["a.test", "b.test if"],
    );
}
