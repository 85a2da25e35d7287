//! Invariants of the decoder: escapes round-trip, every line is classified, TSV and JSON agree.

use super::*;
use proptest::prelude::*;

/// Octets as escaped by Zeek's ASCII writer, with `also` escaped within a vector.
fn escape(octets: &[u8], also: &[u8]) -> Vec<u8> {
    let marker = matches!(octets, b"-" | b"(empty)");
    let mut out = Vec::new();
    for (at, &octet) in octets.iter().enumerate() {
        let plain = (b' '..0x7f).contains(&octet) && !also.contains(&octet);
        if octet == b'\\' {
            out.extend_from_slice(b"\\\\");
        } else if plain && !(marker && at == 0) {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("\\x{octet:02x}").as_bytes());
        }
    }
    out
}

/// Octets as written by Zeek's JSON writer, except a backslash, which policy HEX leaves ambiguous.
fn json_string(octets: &[u8], pua: bool) -> String {
    let text: String = octets
        .iter()
        .map(|&octet| match octet {
            b' '..=b'~' if octet != b'\\' => char::from(octet).to_string(),
            _ if pua => char::from_u32(0xf_0000 + u32::from(octet)).unwrap().to_string(),
            _ => format!("\\x{octet:02x}"),
        })
        .collect();
    serde_json::to_string(&text).unwrap()
}

/// Octets that are likely to be misinterpreted.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(prop::sample::select(b"ab.,-\\x0123(empty)".to_vec()), 0..12),
        prop::sample::select(vec![
            "b.example",
            "c.example",
            "192.0.2.1",
            "2001:db8::1",
            "TXT 1 a",
            "TXT 3 a",
            "RRSIG 5 x",
            "NAPTR 1 2 s x b.example",
            "x.in-addr.arpa",
            "-",
            "(empty)",
            "pre: x",
            "SPF 0 ",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #[test]
    fn escapes_read_back(octets in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut out = Vec::new();
        tsv::unescape(&escape(&octets, b","), &mut out);
        prop_assert_eq!(out, octets);
    }

    #[test]
    fn any_line_ends_in_some_way(
        lines in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            prop::collection::vec(text(), 15).prop_map(|cells| cells.join(&b'\t')),
            prop::sample::select(vec![
                FIELDS, "#separator \\x09", "#separator ", "#path\tdns", "#set_separator\t",
                "ts\tquery", "{\"ts\":1,\"query\":\"a\"}",
            ]).prop_map(|line| line.as_bytes().to_vec()),
        ], 0..12)
    ) {
        let mut decoder = Decoder::new(Options::default());
        let mut emitted = 0;
        for line in &lines {
            decoder.skim(line);
            if decoder.line(line, &mut |_| emitted += 1).is_err() {
                prop_assert!(!decoder.tally().rejected.is_empty());
            }
        }
        let tally = decoder.tally();
        prop_assert_eq!((tally.lines, tally.endings()), (lines.len() as u64, lines.len() as u64));
        prop_assert_eq!(tally.records + tally.negatives, emitted);
    }

    #[test]
    fn both_formats_say_the_same(
        query in text(),
        answers in prop::collection::vec(prop::option::weighted(0.9, text()), 0..6),
        ttls in prop::collection::vec(prop::option::weighted(0.9, 0u32..4), 0..6),
        qtype in prop::option::of(prop::sample::select(vec![1u16, 2, 5, 6, 12, 15, 16, 33, 35, 39, 65, 255])),
        rcode in prop::option::of(0u16..6),
        flags in prop::collection::vec(any::<bool>(), 4),
        pua in any::<bool>(),
    ) {
        // In TSV, a vector of a single empty or unset element is itself empty or unset.
        prop_assume!(answers != [Some(Vec::new())] && answers != [None] && ttls != [None]);
        let vector = |parts: Vec<Vec<u8>>| {
            if parts.is_empty() { b"(empty)".to_vec() } else { parts.join(&b',') }
        };
        let bit = |flag: bool| if flag { "T" } else { "F" };
        let number = |number: Option<u16>| number.map_or("-".to_owned(), |number| number.to_string());
        let row: Vec<Vec<u8>> = vec![
            b"1300000000.000000".to_vec(),
            b"1024".to_vec(),
            b"53".to_vec(),
            b"-".to_vec(),
            if query.is_empty() { b"(empty)".to_vec() } else { escape(&query, b"") },
            b"1".to_vec(),
            number(qtype).into(),
            number(rcode).into(),
            bit(flags[0]).into(),
            bit(flags[1]).into(),
            bit(flags[2]).into(),
            vector(answers.iter().map(|answer| match answer {
                None => b"-".to_vec(),
                Some(text) if text.is_empty() => b"(empty)".to_vec(),
                Some(text) => escape(text, b","),
            }).collect()),
            vector(ttls.iter().map(|ttl| ttl.map_or(b"-".to_vec(), |ttl| format!("{ttl}.000000").into())).collect()),
            bit(flags[3]).into(),
            b"0".to_vec(),
        ];
        let json = format!(
            r#"{{"ts":1300000000.0,"id.orig_p":1024,"id.resp_p":53,"query":{},"qclass":1,"qtype":{},"rcode":{},"AA":{},"RD":{},"RA":{},"answers":[{}],"TTLs":[{}],"rejected":{}}}"#,
            json_string(&query, pua),
            number(qtype).replace('-', "null"),
            number(rcode).replace('-', "null"),
            flags[0], flags[1], flags[2],
            answers.iter().map(|answer| answer.as_ref().map_or("null".to_owned(), |text| json_string(text, pua))).collect::<Vec<_>>().join(","),
            ttls.iter().map(|ttl| ttl.map_or("null".to_owned(), |ttl| format!("{ttl}.0"))).collect::<Vec<_>>().join(","),
            flags[3],
        );
        let decode = |line: &[u8]| {
            let mut decoder = Decoder::new(Options::default());
            decoder.skim(FIELDS.as_bytes());
            let mut seen = Vec::new();
            let ending = decoder.line(line, &mut |observation| seen.push(show(&observation)));
            (ending, seen, decoder.take_tally())
        };
        prop_assert_eq!(decode(&row.join(&b'\t')), decode(json.as_bytes()));
    }
}
