//! STIX, MISP, OpenIOC and JSON records.

use super::{check, read_as, read_with, try_read};
use crate::exchange::intel::IntelFormat as Is;
use crate::exchange::intel::{IntelError, IntelOptions, Pointers};
use crate::indicator::Tlp;
use crate::tag::TagKind;

/// A bundle around these objects.
fn bundle(objects: &str) -> String {
    format!("{{\"type\":\"bundle\",\"id\":\"bundle--1\",\"objects\":[{objects}]}}")
}

/// An indicator with a pattern and more members.
fn indicator(id: &str, pattern: &str, more: &str) -> String {
    let pattern = serde_json::to_string(pattern).unwrap();
    format!(
        "{{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--{id}\",\
         \"pattern_type\":\"stix\",\"pattern\":{pattern},\"valid_from\":\"2026-01-02T00:00:00.000Z\"{more}}}"
    )
}

#[track_caller]
fn check_pattern(pattern: &str, want: &[&str]) {
    check(Is::Stix, &bundle(&indicator("1", pattern, "")), want);
}

#[test]
fn patterns_become_subjects() {
    check_pattern("[domain-name:value = 'evil.example']", &["evil.example"]);
    check_pattern("[ipv4-addr:value = '192.0.2.1']", &["192.0.2.1"]);
    check_pattern("[ipv4-addr:value = '198.51.100.0/24']", &["198.51.100.0/24"]);
    check_pattern("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", &["198.51.100.0/24"]);
    check_pattern(
        "[ipv6-addr:value IN ('2001:db8::1', '2001:db8::2')]",
        &["2001:db8::1", "2001:db8::2"],
    );
    check_pattern("[domain-name:value LIKE '%.evil.example']", &[".evil.example"]);
    check_pattern("[domain-name:value LIKE 'evil.example']", &["evil.example"]);
    check_pattern(
        "[domain-name:value LIKE '%evil.example']",
        &["~ wildcards other than *. before a name"],
    );
    check_pattern("[ipv4-addr:value LIKE '192.0.2.%']", &["192.0.2.0/24"]);
    check_pattern("[network-traffic:dst_ref.value = '192.0.2.1']", &["192.0.2.1"]);
    check_pattern("[url:value = 'http://evil.example/']", &["~ URLs"]);
    check_pattern("[file:hashes.'SHA-256' = 'aa']", &["~ hashes"]);
    check_pattern("[email-addr:value = 'a@b.example']", &["~ mail addresses"]);
    check_pattern("[mutex:name = 'x']", &["~ other types of indicators"]);
    check_pattern("[domain-name:value != 'evil.example']", &["~ negated comparisons"]);
    check_pattern("[domain-name:value NOT = 'evil.example']", &["~ negated comparisons"]);
    check_pattern("[domain-name:value MATCHES '^evil']", &["~ regular expressions"]);
    check_pattern(
        "[ipv4-addr:value = 'evil.example']",
        &["! indicator--1: evil.example: it is a name, but the file calls it an address"],
    );
    check_pattern(
        "[domain-name:value = 'a.example' OR domain-name:value = 'b.example'] OR [ipv4-addr:value = '192.0.2.1']",
        &["a.example", "b.example", "192.0.2.1"],
    );
}

#[test]
fn further_conditions_are_told() {
    check_pattern(
        "[domain-name:value = 'a.example' AND domain-name:resolves_to_refs[*].value = '192.0.2.1']",
        &["a.example if", "192.0.2.1 if"],
    );
    check_pattern(
        "[domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']",
        &["a.example if", "b.example if"],
    );
    check_pattern(
        "([domain-name:value = 'a.example'] AND [domain-name:value = 'b.example']) OR [domain-name:value = 'c.example']",
        &["a.example if", "b.example if", "c.example"],
    );
    check_pattern(
        "[domain-name:value = 'a.example'] REPEATS 5 TIMES WITHIN 60 SECONDS",
        &["a.example if"],
    );
    check_pattern(
        "[network-traffic:dst_ref.value = '192.0.2.1' AND network-traffic:dst_port = 443]",
        &["~ other types of indicators", "192.0.2.1 if"],
    );
    check_pattern(
        "[domain-name:value = 'a.example'",
        &[
            "! indicator--1: [domain-name:value = 'a.example': not a STIX pattern: ] is missing at character 33",
        ],
    );
}

#[test]
fn what_other_objects_say_of_an_indicator_is_found_before_and_behind_it() {
    let text = bundle(&[
        "{\"type\":\"relationship\",\"id\":\"relationship--1\",\"relationship_type\":\"indicates\",\"source_ref\":\"indicator--1\",\"target_ref\":\"malware--1\"}".to_owned(),
        indicator("1", "[domain-name:value = 'evil.example']",
            ",\"confidence\":85,\"labels\":[\"c2\",\"malicious-activity\"],\"valid_until\":\"9999-12-31T00:00:00Z\",\"created_by_ref\":\"identity--2\",\
             \"object_marking_refs\":[\"marking-definition--x\",\"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da\"],\
             \"external_references\":[{\"source_name\":\"x\"},{\"url\":\"https://r.example/\"}],\"name\":\"n\",\"description\":\"line\\none\\u0007\""),
        indicator("2", "[domain-name:value = 'good.example']",
            ",\"indicator_types\":[\"benign\"],\"valid_until\":\"2026-02-01T00:00:00Z\",\"object_marking_refs\":[\"marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003\"]"),
        indicator("3", "[domain-name:value = 'gone.example']", ",\"revoked\":true"),
        indicator("4", "rule x {}", ",\"revoked\":true"),
        "{\"type\":\"domain-name\",\"id\":\"domain-name--1\",\"value\":\"seen.example\"}".to_owned(),
        "{\"type\":\"malware\",\"id\":\"malware--1\",\"name\":\"Emotet\"}".to_owned(),
        "{\"type\":\"identity\",\"id\":\"identity--1\",\"name\":\"First\"}".to_owned(),
        "{\"type\":\"identity\",\"id\":\"identity--2\",\"name\":\"Acme CERT\"}".to_owned(),
        "{\"type\":\"marking-definition\",\"id\":\"marking-definition--x\",\"extensions\":{\"e\":{\"extension_type\":\"property-extension\",\"tlp_2_0\":\"red\"}}}".to_owned(),
    ].join(","));
    let read = read_as(Is::Stix, &text);
    assert_eq!(
        read.short(),
        [
            "- gone.example indicator--3",
            "-  indicator--4",
            "evil.example 85% tlp:red [Emotet, c2]",
            "good.example trust tlp:amber+strict",
        ]
    );
    let indicators = read.indicators();
    let first = indicators[0];
    assert_eq!(first.first_listed, Some(1_767_312_000));
    assert_eq!(first.valid_until, None);
    assert_eq!(first.note, "line one");
    assert_eq!(first.reference, "https://r.example/");
    assert_eq!(first.id.as_deref(), Some("indicator--1"));
    assert_eq!(indicators[1].valid_until, Some(1_769_904_000));
    assert_eq!(read.summary.producer.as_deref(), Some("Acme CERT"));
    assert_eq!((read.summary.indicators, read.summary.revoked), (2, 2));
}

#[test]
fn a_marking_that_is_not_understood_is_the_strongest() {
    let check = |own: &str, defined: &str, want: Option<Tlp>| {
        let one = indicator("1", "[domain-name:value = 'evil.example']", own);
        for text in [
            format!("{one}{defined}"),
            format!(
                "{}{one}",
                defined.replacen(',', "", 1) + if defined.is_empty() { "" } else { "," }
            ),
        ] {
            let read = read_as(Is::Stix, &bundle(&text));
            assert_eq!(read.indicators()[0].tlp, want, "{text}");
        }
    };
    let marked =
        |ids: &[&str]| format!(",\"object_marking_refs\":{}", serde_json::to_string(ids).unwrap());
    let definition = |more: &str| {
        format!(",{{\"type\":\"marking-definition\",\"id\":\"marking-definition--x\",{more}}}")
    };
    let unknown = "marking-definition--00000000-0000-4000-8000-000000000000";
    check("", "", None);
    check(&marked(&[unknown]), "", Some(Tlp::Red));
    // Known without a definition: TLP 1 and TLP 2.0.
    for (id, tlp) in [
        ("613f2e26-407d-48c7-9eca-b8e91df99dc9", Tlp::Clear),
        ("34098fce-860f-48ae-8e50-ebd3cc5e41da", Tlp::Green),
        ("f88d31f6-486f-44da-b317-01333bde0b82", Tlp::Amber),
        ("5e57c739-391a-4eb3-b6be-7d15ca92d5ed", Tlp::Red),
        ("94868c89-83c2-464b-929b-a1a8aa3c8487", Tlp::Clear),
        ("bab4a63c-aed9-4cf5-a766-dfca5abac2bb", Tlp::Green),
        ("55d920b0-5e8b-4f79-9ee9-91f868d9b421", Tlp::Amber),
        ("939a9414-2ddd-4d32-a0cd-375ea402b003", Tlp::AmberStrict),
        ("e828b379-4e03-4974-9ac4-e53a884c97c1", Tlp::Red),
    ] {
        check(&marked(&[&format!("marking-definition--{id}")]), "", Some(tlp));
    }
    let x = marked(&["marking-definition--x"]);
    let statement = "\"definition_type\":\"statement\",\"definition\":{\"statement\":\"(c) Acme\"}";
    check(&x, &definition(statement), None);
    check(
        &x,
        &definition("\"definition_type\":\"tlp\",\"definition\":{\"tlp\":\"purple\"}"),
        Some(Tlp::Red),
    );
    check(
        &x,
        &definition("\"definition_type\":\"iep\",\"definition\":{\"iep\":1}"),
        Some(Tlp::Red),
    );
    let part = ",\"granular_markings\":[{\"lang\":\"en\",\"selectors\":[\"name\"]}]";
    check(part, "", None);
    let part = format!(
        ",\"granular_markings\":[{{\"marking_ref\":\"{unknown}\",\"selectors\":[\"name\"]}}]"
    );
    check(&part, "", Some(Tlp::Red));
    // Behind many weak ones, and of a wrong type.
    let mut many = vec!["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9".to_owned(); 20];
    many.extend((0..20).map(|number| format!("marking-definition--{number}")));
    many.push("marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed".to_owned());
    check(&marked(&many.iter().map(String::as_str).collect::<Vec<_>>()), "", Some(Tlp::Red));
    check(",\"object_marking_refs\":\"marking-definition--x\"", "", Some(Tlp::Red));
    check(",\"object_marking_refs\":[7]", "", Some(Tlp::Red));
    let event = |tag: &str| {
        format!(
            "{{\"Event\":{{\"Tag\":[{{\"name\":\"{tag}\"}}],\"Attribute\":[{{\"type\":\"domain\",\"value\":\"evil.example\",\"to_ids\":true}}]}}}}"
        )
    };
    for (tag, want) in
        [("TLP:Green", Tlp::Green), ("tlp:unclear", Tlp::Red), ("tlp:ex:chr", Tlp::Red)]
    {
        assert_eq!(read_as(Is::Misp, &event(tag)).indicators()[0].tlp, Some(want), "{tag}");
    }
}

#[test]
fn stix_2_0_and_envelopes_and_other_languages() {
    check(
        Is::Stix,
        "{\"type\":\"bundle\",\"id\":\"bundle--1\",\"spec_version\":\"2.0\",\"objects\":[\
         {\"type\":\"marking-definition\",\"id\":\"marking-definition--y\",\"definition_type\":\"tlp\",\"definition\":{\"tlp\":\"amber\"}},\
         {\"type\":\"indicator\",\"id\":\"indicator--1\",\"labels\":[\"benign\"],\"pattern\":\"[domain-name:value = 'evil.example']\",\"object_marking_refs\":[\"marking-definition--y\"]},\
         {\"type\":\"observed-data\",\"id\":\"observed-data--1\",\"objects\":{\"0\":{\"type\":\"domain-name\",\"value\":\"seen.example\"}}}]}",
        &["evil.example trust tlp:amber"],
    );
    let text = format!(
        "{{\"more\":true,\"next\":\"abc\",\"objects\":[{},{}]}}",
        indicator("1", "[domain-name:value = 'evil.example']", ""),
        indicator("2", "x", ",\"pattern_type\":\"yara\"").replacen(
            "\"pattern_type\":\"stix\",",
            "",
            1
        ),
    );
    let read = read_as(Is::Stix, &text);
    assert_eq!(read.short(), ["~ patterns in other languages than STIX", "evil.example"]);
    assert!(read.summary.more);
    assert_eq!(read.summary.next.as_deref(), Some("abc"));
    // A list, and documents behind each other.
    let one = indicator("1", "[domain-name:value = 'evil.example']", "");
    check(Is::Stix, &format!("[{one}]"), &["evil.example"]);
    check(Is::Stix, &format!("{}\n{}", bundle(&one), bundle(&one)), &["evil.example"; 2]);
    check(Is::Stix, &format!("[{}]", bundle(&one)), &["evil.example"]);
    let (_, result) = try_read(
        b"<?xml version=\"1.0\"?>\n<stix:STIX_Package xmlns:stix=\"http://stix.mitre.org/stix-1\"/>",
        &IntelOptions::default(),
    );
    assert!(matches!(result, Err(IntelError::Stix1)));
}

/// An event of MISP; what is said of all its attributes follows them.
const EVENT: &str = r#"{"response":[{"Event":{"uuid":"e-1","info":"Report","Orgc":{"name":"Acme"},
  "Attribute":[
    {"uuid":"a-1","type":"domain","to_ids":true,"value":"evil.example","comment":"c2","timestamp":"1767312000"},
    {"uuid":"a-2","type":"ip-dst|port","to_ids":"1","value":"192.0.2.1|443","first_seen":"2026-01-02T00:00:00.000000+00:00","last_seen":"2026-01-03T00:00:00+00:00"},
    {"uuid":"a-3","type":"domain|ip","to_ids":true,"value":"both.example|192.0.2.2"},
    {"uuid":"a-4","type":"hostname","to_ids":false,"value":"context.example"},
    {"uuid":"a-5","type":"url","to_ids":true,"value":"http://evil.example/"},
    {"uuid":"a-6","type":"sha256","to_ids":true,"value":"aa"},
    {"uuid":"a-7","type":"mutex","to_ids":true,"value":"x"},
    {"uuid":"a-8","type":"domain","to_ids":true,"value":"gone.example","deleted":true},
    {"uuid":"a-9","type":"ip-src","to_ids":true,"value":"evil.example"},
    {"uuid":"a-10","type":"domain","to_ids":true,"value":"own.example","Tag":[{"name":"tlp:red"},{"name":"misp:confidence-level=\"usually-confident\""}]}
  ],
  "RelatedEvent":[{"Event":{"info":"other","uuid":"e-0"}}],
  "Object":[{"name":"domain-ip","Attribute":[{"uuid":"o-1","type":"domain","to_ids":true,"value":"object.example"},{"type":"ip-dst","to_ids":false,"value":"192.0.2.3"}]}],
  "Galaxy":[{"type":"mitre-attack-pattern","GalaxyCluster":[{"value":"Phishing - T1566"}]},{"type":"malpedia","GalaxyCluster":[{"value":"Emotet"}]}],
  "Tag":[{"name":"tlp:green"},{"name":"misp-galaxy:malpedia=\"Emotet\""},{"name":"type:OSINT"},{"name":"heodo"}]
}},{"Event":{"uuid":"e-2","info":"Second","Attribute":[{"uuid":"b-1","type":"hostname","to_ids":true,"value":"www.second.example"}]}}]}"#;

#[test]
fn misp_events() {
    let read = read_as(Is::Misp, EVENT);
    assert_eq!(
        read.short(),
        [
            "~ attributes not meant for detection (to_ids)",
            "~ URLs",
            "~ hashes",
            "~ other types of indicators",
            "- gone.example a-8",
            "! a-9: evil.example: it is a name, but the file calls it an address",
            "~ attributes not meant for detection (to_ids)",
            "evil.example tlp:green [Emotet, heodo]",
            "192.0.2.1 tlp:green [Emotet, heodo] if",
            "both.example tlp:green [Emotet, heodo] if",
            "192.0.2.2 tlp:green [Emotet, heodo] if",
            "own.example 75% tlp:red [Emotet, heodo]",
            "object.example tlp:green [Emotet, heodo]",
            "www.second.example",
        ]
    );
    assert_eq!(read.summary.producer.as_deref(), Some("Acme"));
    let indicators = read.indicators();
    assert_eq!((indicators[0].note.as_str(), indicators[0].reference.as_str()), ("c2", "e-1"));
    assert_eq!(indicators[0].first_listed, Some(1_767_312_000));
    assert_eq!(indicators[1].first_listed, Some(1_767_312_000));
    assert_eq!(indicators[1].last_listed, Some(1_767_398_400));
    assert_eq!(indicators[1].note, "Report");
    assert_eq!(indicators[0].id.as_deref(), Some("a-1"));
    assert_eq!((indicators[6].note.as_str(), indicators[6].reference.as_str()), ("Second", "e-2"));
    let options = IntelOptions { all_attributes: true, url_hosts: true, ..IntelOptions::default() };
    let all = read_with(EVENT.as_bytes(), &options);
    assert_eq!(all.summary.indicators, read.summary.indicators + 3);
}

#[test]
fn misp_events_in_other_wrappers() {
    let attribute = r#"{"type":"domain","to_ids":true,"value":"evil.example"}"#;
    for text in [
        format!(r#"{{"Event":{{"info":"x","Attribute":[{attribute}]}}}}"#),
        format!(r#"[{{"Event":{{"info":"x","Attribute":[{attribute}]}}}}]"#),
        format!(r#"{{"response":{{"Attribute":[{attribute}]}}}}"#),
        format!(r#"{{"info":"x","Orgc":{{"name":"y"}},"Attribute":[{attribute}]}}"#),
    ] {
        assert_eq!(read_as(Is::Misp, &text).short(), ["evil.example"], "{text}");
    }
}

#[test]
fn openioc() {
    let read = read_as(
        Is::OpenIoc,
        r#"<?xml version="1.0"?><!DOCTYPE ioc [<!ENTITY x "evil">]>
<ioc xmlns="http://schemas.mandiant.com/2010/ioc" id="ioc-1" last-modified="2026-01-02T00:00:00">
  <short_description>Things &amp; more</short_description><authored_by>Acme</authored_by>
  <definition><Indicator operator="OR" id="0">
    <IndicatorItem id="1" condition="is"><Context document="Network" search="Network/DNS" type="mir"/><Content type="string">evil.example</Content></IndicatorItem>
    <IndicatorItem id="2" condition="contains"><Context search="Network/DNS"/><Content>a&#46;example</Content></IndicatorItem>
    <IndicatorItem id="3" condition="isnot"><Context search="Network/DNS"/><Content>b.example</Content></IndicatorItem>
    <IndicatorItem id="4" condition="is"><Context search="FileItem/Md5sum"/><Content>aa</Content></IndicatorItem>
    <IndicatorItem id="5" condition="is"><Context search="PortItem/remoteIP"/><Content>&x;.example</Content></IndicatorItem>
    <Indicator operator="AND">
      <IndicatorItem id="6" condition="is"><Context search="PortItem/remoteIP"/><Content>192.0.2.1</Content></IndicatorItem>
      <IndicatorItem id="7" condition="is"><Context search="PortItem/remotePort"/><Content>443</Content></IndicatorItem>
    </Indicator>
    <IndicatorItem id="8" condition="is"><Context search="UrlHistoryItem/URL"/><Content><![CDATA[http://evil.example/]]></Content></IndicatorItem>
  </Indicator></definition></ioc>"#,
    );
    assert_eq!(
        read.short(),
        [
            "evil.example",
            ".a.example",
            "~ negated comparisons",
            "~ hashes",
            "! 5: .example: it is a name, but the file calls it an address",
            "192.0.2.1 if",
            "~ other types of indicators",
            "~ URLs",
        ]
    );
    let first = read.indicators()[0];
    assert_eq!(first.note, "Things & more");
    assert_eq!(first.reference, "ioc-1");
    assert_eq!(first.first_listed, Some(1_767_312_000));
    assert_eq!(read.summary.producer.as_deref(), Some("Acme"));
    let (_, result) = try_read(b"<ioc ><definition></ioc>", &IntelOptions::default());
    assert!(matches!(result, Err(IntelError::Xml { .. })));
}

#[test]
fn json_records() {
    check(
        Is::Jsonl,
        "{\"indicator\":\"evil.example\",\"confidence\":0.9,\"tags\":[\"a\",\"b\"],\"tlp\":\"TLP:AMBER\"}\n\
         not json\n\n\
         {\"Domain Name\":\"other.example\",\"tags\":null}\n\
         {\"name\":\"x\"}\n",
        &[
            "evil.example 90% tlp:amber [a, b]",
            "! line 2: not json: invalid JSON: expected ident",
            "other.example",
            "! line 5: {\"name\":\"x\"}: it has no subject",
        ],
    );
    check(
        Is::Jsonl,
        "[\n {\"ip\": \"192.0.2.1\", \"port\": 443},\n \"evil.example\", 7 ]",
        &["192.0.2.1 if", "evil.example", "! object 3: 7: it has no subject"],
    );
    let pointers = Pointers {
        subject: Some("/data/hosts".to_owned()),
        labels: Some("/data/~1x".to_owned()),
        ..Pointers::default()
    };
    let options =
        IntelOptions { pointers, kind: Some(TagKind::Interest), ..IntelOptions::default() };
    let text = br#"{"data":{"hosts":["a.example","b.example"],"/x":"y"}}"#;
    assert_eq!(
        read_with(text, &options).short(),
        ["a.example interest [y]", "b.example interest [y]"]
    );
    check(
        Is::Threatfox,
        r#"{"12":[{"ioc_value":"192.0.2.1:443","ioc_type":"ip:port","malware_printable":"X","confidence_level":75,"first_seen_utc":"2026-01-02 00:00:00","tags":"a,b"}],
            "13":[{"ioc_value":"aa","ioc_type":"md5_hash"}]}"#,
        &["192.0.2.1 75% [X, a, b] if", "~ hashes"],
    );
    let feodo = r#"[{"ip_address":"192.0.2.1","port":443,"status":"online","hostname":null,"malware":"QakBot","first_seen":"2026-01-02 00:00:00","last_online":"2026-01-03"}]"#;
    check(Is::Feodo, feodo, &["192.0.2.1 [QakBot] if"]);
    let read = read_as(Is::Feodo, feodo);
    assert_eq!(read.indicators()[0].tlp, None::<Tlp>);
    assert_eq!(read.indicators()[0].last_listed, Some(1_767_398_400));
}
