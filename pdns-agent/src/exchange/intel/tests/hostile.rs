//! Input that somebody made to do harm, or that is damaged.

use super::{read_with, try_read};
use crate::exchange::intel::{
    FORMATS, IntelError, IntelFormat as Is, IntelOptions, SkipReason, extract, read_intel,
};
use proptest::prelude::*;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

fn options(format: Is) -> IntelOptions {
    IntelOptions { format: Some(format), url_hosts: true, ..IntelOptions::default() }
}

#[test]
fn truncated_json_is_an_error_behind_what_was_whole() {
    let one = |name: &str| format!("{{\"indicator\":\"{name}.example\"}}");
    let text = format!("[{},{},{{\"indic", one("a"), one("b"));
    let (items, result) = try_read(text.as_bytes(), &options(Is::Jsonl));
    assert_eq!(items.len(), 2);
    assert!(matches!(result, Err(IntelError::Json { line: 1, .. })), "{result:?}");
    for format in [Is::Stix, Is::Misp] {
        let (_, result) = try_read(b"{\"objects\":[{", &options(format));
        assert!(matches!(result, Err(IntelError::Json { .. })), "{result:?}");
    }
}

#[test]
fn depth_bombs_are_errors() {
    for (open, format) in [("[", Is::Stix), ("{\"a\":", Is::Misp), ("[", Is::Jsonl)] {
        let (_, result) = try_read(open.repeat(1_000_000).as_bytes(), &options(format));
        assert!(matches!(result, Err(IntelError::Json { .. })), "{format}: {result:?}");
    }
    let nested = format!("{{\"objects\":[{}]}}", "[".repeat(500_000));
    assert!(try_read(nested.as_bytes(), &options(Is::Stix)).1.is_err());
    let xml = format!("<ioc >{}", "<a>".repeat(1_000_000));
    assert!(matches!(
        try_read(xml.as_bytes(), &options(Is::OpenIoc)).1,
        Err(IntelError::Xml { .. })
    ));
    let pattern = format!("[{}a:b='c'", "(".repeat(500_000));
    assert!(crate::exchange::intel::parse_pattern(&pattern).is_err());
}

#[test]
fn wrong_types_do_not_end_a_file() {
    let text = br#"{"objects":[{"type":7,"id":{}},{"type":"indicator","id":5,"pattern":[],"labels":"x","confidence":"high","object_marking_refs":{}},
        null,"x",{"type":"indicator","id":"indicator--1","pattern":"[domain-name:value = 'evil.example']","labels":{"a":1},"confidence":-1,"valid_from":12,"revoked":"no"},
        {"type":"relationship","relationship_type":"indicates","source_ref":1,"target_ref":[]}],"more":"x","next":{}}"#;
    let read = read_with(text, &options(Is::Stix));
    assert_eq!(read.summary.indicators, 1);
    assert_eq!(read.summary.problems, 1);
    let text = br#"{"Event":{"info":[],"Orgc":"x","Tag":"y","Attribute":[7,null,{"type":["domain"],"value":{},"to_ids":true},{"type":"domain","value":"evil.example","to_ids":true,"Tag":[3]}],"Object":{"a":1}}}"#;
    assert_eq!(read_with(text, &options(Is::Misp)).summary.indicators, 1);
}

/// A repeated piece of text, between a head and a tail, that is never in memory as a whole.
struct Endless {
    head: Vec<u8>,
    piece: Vec<u8>,
    left: usize,
    tail: Vec<u8>,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let from = match (self.head.is_empty(), self.left) {
            (false, _) => &mut self.head,
            (true, 0) => &mut self.tail,
            _ => {
                self.left -= 1;
                self.head = self.piece.clone();
                &mut self.head
            }
        };
        let count = from.len().min(out.len());
        out[..count].copy_from_slice(&from[..count]);
        from.drain(..count);
        Ok(count)
    }
}

fn endless(head: &str, piece: &str, size: usize, tail: &str) -> impl BufRead {
    let [head, tail] = [head, tail].map(|text| text.as_bytes().to_vec());
    let piece = piece.repeat(65_536 / piece.len());
    let left = size / piece.len();
    BufReader::new(Endless { head, piece: piece.into(), left, tail })
}

#[test]
fn long_lines_and_strings_are_cut() {
    const SIZE: usize = 64 << 20;
    let mut each = |_| ControlFlow::Continue(());
    let mut lines = endless("a.example\n", "x", SIZE, "\nb.example\n");
    let summary = read_intel(&mut lines, &options(Is::List), &mut each).unwrap();
    assert_eq!((summary.indicators, summary.problems), (2, 1));
    let mut json = endless("[{\"note\":\"", "xyz ", SIZE, "\",\"indicator\":\"a.example\"}]");
    let summary = read_intel(&mut json, &options(Is::Jsonl), &mut each).unwrap();
    assert_eq!(summary.indicators, 1);
    // Without a place to cut it.
    let mut json = endless("[{\"note\":\"", "\\u0041", SIZE, "\",\"indicator\":\"a.example\"}]");
    let error = read_intel(&mut json, &options(Is::Jsonl), &mut each).unwrap_err();
    assert!(matches!(error, IntelError::Io(_)), "{error:?}");
    let mut xml = endless("<ioc >", "x", SIZE, "</ioc>");
    assert!(read_intel(&mut xml, &options(Is::OpenIoc), &mut each).is_err());
    // An object of any size.
    let mut json =
        endless("{\"objects\":[{\"type\":\"indicator\",\"labels\":[\"x\"", ",\"x\"", SIZE, "]}]}");
    let summary = read_intel(&mut json, &options(Is::Stix), &mut each).unwrap();
    assert_eq!(summary.problems, 1);
}

#[test]
fn a_page_may_be_one_line() {
    const LINE: usize = 4_096;
    // Each host is split by a tag somewhere, and the places of the cuts vary.
    let hosts = 3_000;
    let page: String = (0..hosts)
        .map(|number| match number % 4 {
            0 => format!("<p>host{number}<b>[.]</b>evil<i>.com</i></p>"),
            1 => format!("<td class=\"x\">host{number}.evil.com</td>"),
            2 => format!("host{number} . evil[.]com, ").replace(" . ", "[.]"),
            _ => format!("<script>{}</script>h\u{f6}st{number}.evil.com ", "x".repeat(number % 97)),
        })
        .collect();
    for format in [Is::Html, Is::Text] {
        let small = IntelOptions { max_line: LINE, ..options(format) };
        let wide = IntelOptions { max_line: page.len() + 1, ..options(format) };
        let names = |options: &IntelOptions| -> Vec<String> {
            let read = read_with(page.as_bytes(), options);
            assert_eq!(read.summary.problems, 0, "{format}");
            read.indicators().iter().map(|one| one.subject.to_string()).collect()
        };
        let want = names(&wide);
        assert!(want.len() >= if format == Is::Html { hosts } else { hosts / 2 });
        assert_eq!(names(&small), want, "{format}");
    }
    // Of any size, and without a place to cut it.
    let mut each = |_| ControlFlow::Continue(());
    for piece in ["x", "<", "< ", "x<", "evil.com ", "<p>evil.com</p>", "\u{f6}"] {
        let mut page = endless("<html>a.evil.com ", piece, 2 << 20, " b.evil.com");
        let summary = read_intel(&mut page, &options(Is::Html), &mut each).unwrap();
        assert!(summary.indicators >= 1, "{piece}");
        assert_eq!(summary.problems, 0, "{piece}");
    }
}

#[test]
fn nul_and_invalid_utf8_are_problems() {
    let read = read_with(
        b"evil\0.example\n\xff\xfe\x00evil.example\n# \xe9t\xe9\nok.example\n",
        &options(Is::List),
    );
    assert_eq!((read.summary.indicators, read.summary.problems), (1, 2));
    let (_, result) = try_read(b"{\"objects\":[{\"type\":\"\xff\"}]}", &options(Is::Stix));
    assert!(result.is_err());
}

#[test]
fn files_of_other_encodings_are_refused() {
    let refused = |input: &[u8]| try_read(input, &IntelOptions::default()).1.unwrap_err();
    assert!(matches!(refused(b"\x1f\x8b\x08"), IntelError::Compressed));
    assert!(matches!(refused(b"\xff\xfee\0v\0"), IntelError::Utf16));
    assert!(matches!(refused(b"%PDF-1.7\n"), IntelError::Pdf));
    let program = b"\x7fELF\x02\x01\x01\0evil.example";
    for input in [&b"PK\x03\x04\x14\0evil.example"[..], program, b"evil.example\0\n"] {
        assert!(matches!(refused(input), IntelError::Binary(_)));
        let found = extract(&mut &*input, false, &mut |_| ControlFlow::Continue(()));
        assert!(matches!(found, Err(IntelError::Binary(_))));
    }
    // A named format does not make text of it.
    let (_, result) = try_read(program, &options(Is::List));
    assert!(matches!(result, Err(IntelError::Binary("an ELF program"))), "{result:?}");
    // Behind the first bytes, a line.
    let text = format!("a.evil.com\n{}\nb.evil.com\0c.evil.com\nd.evil.com", "x ".repeat(20_000));
    let read = read_with(text.as_bytes(), &options(Is::Text));
    assert_eq!((read.summary.indicators, read.summary.problems), (2, 1));
}

#[test]
fn the_caller_can_stop_every_reader() {
    let files = [
        (Is::List, "a.example\nb.example\n"),
        (Is::Jsonl, "[\"a.example\",\"b.example\"]"),
        (Is::Misp, r#"{"Attribute":[{"type":"mutex"},{"type":"mutex"}]}"#),
        (Is::OpenIoc, "<ioc ><IndicatorItem/><IndicatorItem/></ioc>"),
    ];
    for (format, text) in files {
        let mut count = 0;
        let summary = read_intel(&mut text.as_bytes(), &options(format), &mut |_| {
            count += 1;
            ControlFlow::Break(())
        });
        assert_eq!(count, 1, "{format}");
        assert!(summary.unwrap().is_stopped, "{format}");
    }
}

#[test]
fn empty_files_have_nothing() {
    for info in FORMATS {
        for input in [&b""[..], b"\n", b"\xef\xbb\xbf"] {
            let (items, result) = try_read(input, &options(info.format));
            assert!(items.is_empty(), "{}", info.name);
            let is_json = matches!(info.format, Is::Stix | Is::Misp);
            assert_eq!(result.is_err(), is_json, "{}: {input:?} {result:?}", info.name);
        }
        assert_eq!(info.name.parse(), Ok(info.format));
    }
    assert!("pdf".parse::<Is>().is_err());
}

#[test]
fn all_addresses_are_not_an_indicator() {
    let read = read_with(b"0.0.0.0/0\n::/0\nlocalhost\n", &options(Is::List));
    assert_eq!(read.summary.problems, 2);
    assert_eq!(read.summary.skipped.get(&SkipReason::Local), Some(&1));
}

/// Pieces of the formats, so that what is made of them goes deep.
const PIECES: &str = r#"(?s)(\{"objects":\[|\{"type":"indicator","id":"indicator--1","pattern":"\[domain-name:value = 'evil.example'\]"\}|\]|\}|,|\{"Event":\{"Attribute":\[|\{"type":"domain\|ip","to_ids":true,"value":"a.example\|192.0.2.1"\}|#fields\tindicator\tindicator_type\n|evil.example|192\.0\.2\.1|\t|\n|\$ORIGIN |@ SOA|CNAME \.|\|\||\^|"|;|0\.0\.0\.0 |\[\.\]|hxxp://|<ioc >|<Indicator operator="AND">|<IndicatorItem condition="is">|</|<!--|&#46;|<script>|.){0,24}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nothing_panics(text in PIECES, octets in prop::collection::vec(any::<u8>(), 0..200)) {
        for info in FORMATS {
            drop(try_read(text.as_bytes(), &options(info.format)));
            drop(try_read(&octets, &options(info.format)));
        }
        drop(try_read(text.as_bytes(), &IntelOptions::default()));
        drop(try_read(&octets, &IntelOptions::default()));
    }

    #[test]
    fn all_that_is_told_is_printable(text in "(?s).{0,200}") {
        for info in FORMATS {
            let (items, _) = try_read(text.as_bytes(), &options(info.format));
            for item in items {
                if let crate::exchange::intel::IntelItem::Problem(problem) = item {
                    prop_assert!(problem.text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{problem}");
                }
            }
        }
    }
}

#[test]
fn a_long_line_gives_as_many_as_short_ones() {
    for (format, piece) in [
        (
            Is::Html,
            "<tr><td class=\"ioc\">host{}[.]evil{}.com</td><td>seen, again &amp; again</td>\n",
        ),
        (Is::Text, "{\"time\":\"2026-01-02\",\"name\":\"host{}[.]evil{}.com\",\"next\":[1,2]},\n"),
    ] {
        let of = |number: u32| piece.replace("{}", &number.to_string());
        let lines: String = (0..12_000).map(of).collect();
        let line = lines.replace('\n', " ");
        let found = |text: &str| read_with(text.as_bytes(), &options(format)).summary.indicators;
        assert_eq!((found(&lines), found(&line)), (12_000, 12_000), "{format}");
    }
}
