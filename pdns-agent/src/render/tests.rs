//! Tests of each format with rows that could break it.

use super::*;
use crate::name::NameBuf;
use crate::observation::{Outcome, Seen};
use crate::query::GroupKey;
use crate::query::rows::{a, negative, record};
use crate::record::FactBuf;
use crate::rr::RrType;
use crate::store::{Capacity, NameTotal, SourceState, Summary};

fn render(format: Format, look: RenderOptions, items: &[Item<'_>]) -> String {
    let mut renderer = format.renderer(look);
    let mut out = Vec::new();
    for item in items {
        renderer.item(item, &mut out).unwrap();
    }
    renderer.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn hostile() -> Vec<StoredRecord> {
    let mut partial = record("example.com", RrType::MX, b"\x00\x00\x04mail\x07example\x03com\x00");
    if let FactBuf::Record(rdata) = &mut partial.fact {
        rdata.partial = true;
    }
    partial.seen.flags = Seen::INFERRED;
    partial.seen.ttl_min = Seen::NO_TTL;
    let mut unsolicited =
        record("=cmd\\|x.example", RrType::TXT, b"\x0e\x1b[2J\r\n\"<b>,\x00\xffz");
    unsolicited.seen.flags = Seen::UNSOLICITED;
    vec![
        a("www.example.com", 7),
        unsolicited,
        record("-x\\009.example", RrType(65280), &[0xab, 0xcd]),
        partial,
        negative("nx.example", RrType::AAAA, Outcome::NXDOMAIN),
    ]
}

fn all(format: Format, look: RenderOptions) -> String {
    let rows = hostile();
    render(format, look, &rows.iter().map(Item::Record).collect::<Vec<_>>())
}

#[test]
fn cof_is_what_clients_take() {
    let text = all(Format::Cof, RenderOptions::default());
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        r#"{"rrname":"www.example.com","rrtype":"A","rdata":["192.0.2.7"],"time_first":1795486978,"time_last":1795486978,"count":1,"ttl_min":300,"ttl_max":300,"ttl_last":300}"#
    );
    assert!(text.ends_with("}\n") && !text.contains("\n\n"));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "a negative answer has no COF");
    assert_eq!(lines[1]["rdata"][0], r#""\027[2J\013\010\"<b>,\000\255z""#);
    assert_eq!(lines[2]["rrtype"], 65280);
    assert_eq!(lines[2]["rdata"][0], "\\# 2 abcd");
    assert_eq!(lines[3]["pdns_partial"], true);
    assert_eq!(lines[3]["pdns_inferred"], true);
    assert_eq!(lines[1]["pdns_unsolicited"], true);
    assert!(lines[3].get("ttl_min").is_none());
}

#[test]
fn imported_rows_say_so_in_each_format_but_plain() {
    let mut row = a("www.example.com", 7);
    row.seen.flags = 0;
    let look = RenderOptions::default;
    let text = |format| render(format, look(), &[Item::Record(&row)]);
    assert!(text(Format::Cof).contains(r#""pdns_imported":true"#));
    assert!(text(Format::Json).contains(r#""inferred":false,"unsolicited":false,"imported":true"#));
    assert!(text(Format::Csv).contains("imported"));
    assert!(text(Format::Table).contains(" 1 imported "), "{}", text(Format::Table));
    assert!(!text(Format::Plain).contains("imported"));
    row.seen.flags = Seen::EXACT;
    let own = render(Format::Cof, look(), &[Item::Record(&row)]);
    assert!(!own.contains("imported"));
}

#[test]
fn cof_counts_what_it_leaves_out_and_names_sensors() {
    let look = RenderOptions {
        sensors: vec!["so-1".into(), "b\u{e9}\n".into()],
        ..RenderOptions::default()
    };
    let mut renderer = Format::Cof.renderer(look);
    let mut out = Vec::new();
    let mut row = a("www.example.com", 1);
    row.sensors = [0, 1, 7].into_iter().collect();
    renderer.item(&Item::Record(&row), &mut out).unwrap();
    renderer.item(&Item::Record(&negative("x", RrType::A, Outcome::NODATA)), &mut out).unwrap();
    assert_eq!(renderer.left_out(), 1);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("\"sensor_id\":\"so-1,b\\u00e9\\n\"") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn json_has_outcomes_and_both_times() {
    let text = all(Format::Json, RenderOptions::default());
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["outcome"], "NXDOMAIN");
    assert_eq!(last["time_first"], 1_795_486_978);
    assert_eq!(last["time_first_iso"], "2026-11-24T02:22:58Z");
    assert!(last.get("rdata").is_none());
    assert!(text.contains("\"rrtype\":\"TYPE65280\""));
}

#[test]
fn csv_cells_are_no_formulas() {
    let text = all(Format::Csv, RenderOptions::default());
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    assert_eq!(&reader.headers().unwrap()[0], "rrname");
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(&rows[1][0], "'=cmd|x.example");
    assert_eq!(&rows[2][0], "'-x\\009.example");
    assert_eq!(&rows[0][5], "2026-11-24 02:22:58");
    assert_eq!(&rows[4][3], "NXDOMAIN");
    for cell in rows.iter().flat_map(|row| row.iter()) {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
    }
    for cell in ["=1", "+1", "-1", "@x", "\tx", "\rx"] {
        assert!(csv::safe(cell).starts_with(['\'', '\\']), "{cell}");
    }
}

#[test]
fn plain_is_three_columns() {
    let text = all(Format::Plain, RenderOptions::default());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "www.example.com\tA\t192.0.2.7");
    assert_eq!(lines[4], "nx.example\tAAAA\t(NXDOMAIN)");
    assert!(lines.iter().all(|line| line.split('\t').count() == 3));
}

#[test]
fn a_table_fits_its_width_and_holds_only_printable_ascii() {
    let sensors = vec!["a\u{1b}]0;x\u{7}".to_owned(), "b".to_owned()];
    for width in [None, Some(40), Some(80), Some(200)] {
        let text = all(
            Format::Table,
            RenderOptions { width, sensors: sensors.clone(), ..RenderOptions::default() },
        );
        assert!(
            text.bytes().all(|octet| octet == b'\n' || octet == b' ' || octet.is_ascii_graphic()),
            "{text}"
        );
        if width.is_some_and(|width| width >= 80) {
            let widest = text.lines().map(str::len).max().unwrap();
            assert!(widest <= usize::from(width.unwrap()), "{widest} > {width:?}\n{text}");
        }
    }
    let text = all(Format::Table, RenderOptions::default());
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(head.join(" "), "RRNAME TYPE RDATA COUNT FIRST (UTC) LAST (UTC) TTL");
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        row.join(" "),
        "www.example.com A 192.0.2.7 1 2026-11-24 02:22:58Z 2026-11-24 02:22:58Z 300"
    );
    assert!(text.contains(" mail.example.com "), "a partial MX is its host\n{text}");
    assert!(text.contains("(NXDOMAIN)"));
}

#[test]
fn only_the_head_is_bold() {
    let text = all(Format::Table, RenderOptions { bold: true, ..RenderOptions::default() });
    assert_eq!(text.matches('\u{1b}').count(), 2);
    assert!(text.starts_with("\u{1b}[1mRRNAME"));
}

#[test]
fn days_have_bars() {
    let day = |day, names| Item::Day { day, of: "names", names, most: 80 };
    let text = render(
        Format::Table,
        RenderOptions::default(),
        &[day(20_000, 80), day(20_001, 1), day(20_002, 0)],
    );
    let bars: Vec<usize> = text.lines().skip(1).map(|line| line.matches('#').count()).collect();
    assert_eq!(bars, [40, 1, 0]);
    assert!(text.contains("2024-10-04"));
    let json = render(Format::Cof, RenderOptions::default(), &[day(20_000, 80)]);
    assert_eq!(json, "{\"day\":\"2024-10-04\",\"names\":80}\n");
    assert_eq!(
        render(Format::Plain, RenderOptions::default(), &[day(20_000, 80)]),
        "2024-10-04\t80\n"
    );
}

#[test]
fn bars_fit_the_terminal() {
    let day = Item::Day { day: 20_000, of: "domains", names: 80, most: 80 };
    for width in [30, 40, 80, 200] {
        let look = RenderOptions { width: Some(width), ..RenderOptions::default() };
        let text = render(Format::Table, look, &[day]);
        assert!(text.lines().all(|line| line.len() <= usize::from(width)), "{text}");
        assert!(text.contains("NEW DOMAINS") && text.contains('#'), "{text}");
    }
    let json = render(Format::Json, RenderOptions::default(), &[day]);
    assert_eq!(json, "{\"day\":\"2024-10-04\",\"domains\":80}\n");
}

#[test]
fn a_mark_stands_beside_its_row_and_cannot_break_out() {
    let row = a("www.example.com", 7);
    let marked = Item::Marked { row: &row, name: Mark::Subject, mark: "=\u{1b}[2J" };
    let why = Item::Marked { row: &row, name: Mark::Why, mark: "loopback" };
    let cof = render(Format::Cof, RenderOptions::default(), &[marked]);
    assert!(cof.ends_with(",\"pdns_subject\":\"=\\u001b[2J\"}\n"), "{cof}");
    assert!(
        render(Format::Json, RenderOptions::default(), &[why])
            .ends_with(",\"why\":\"loopback\"}\n")
    );
    let csv = render(Format::Csv, RenderOptions::default(), &[marked]);
    assert!(csv.ends_with(",'=\\u{1b}[2J\n"), "{csv}");
    let plain = "www.example.com\tA\t192.0.2.7";
    assert_eq!(render(Format::Plain, RenderOptions::default(), &[marked]), format!("{plain}\n"));
    assert_eq!(
        render(Format::Plain, RenderOptions::default(), &[why]),
        format!("{plain}\tloopback\n")
    );
    let table = render(
        Format::Table,
        RenderOptions { width: Some(120), ..RenderOptions::default() },
        &[marked],
    );
    assert!(table.contains("SUBJECT") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn groups_have_every_format() {
    let group = |key| Group {
        key,
        names: 2,
        records: 3,
        count: 4,
        time_first: 0,
        time_last: 86_400,
        is_least: false,
    };
    let domain = group(GroupKey::Name(NameBuf::parse("example.com").unwrap()));
    let item = Item::Group { group: &domain, by: "domain" };
    assert_eq!(
        render(Format::Csv, RenderOptions::default(), &[item]),
        "domain,names,records,count,time_first,time_last,tags\n\
         example.com,2,3,4,1970-01-01 00:00:00,1970-01-02 00:00:00,\n"
    );
    let plain = "2\t3\t4\t1970-01-01 00:00:00\t1970-01-02 00:00:00\n";
    for (key, by, head, text) in [
        (GroupKey::Address("2001:db8::1".parse().unwrap()), "address", "ADDRESS", "2001:db8::1"),
        (GroupKey::RrType(RrType(65_280)), "rrtype", "TYPE", "TYPE65280"),
        (GroupKey::Depth(3), "depth", "LABELS", "3"),
    ] {
        let group = group(key);
        let item = Item::Group { group: &group, by };
        assert_eq!(
            render(Format::Plain, RenderOptions::default(), &[item]),
            format!("{text}\t{plain}")
        );
        assert!(
            render(Format::Table, RenderOptions::default(), &[item]).trim_start().starts_with(head)
        );
        let json: serde_json::Value =
            serde_json::from_str(&render(Format::Cof, RenderOptions::default(), &[item])).unwrap();
        assert_eq!((&json["names"], &json["count"]), (&2.into(), &4.into()));
        assert!(json.get(by).is_some());
    }
}

#[test]
fn sums_and_new_names_have_every_format() {
    let sum = NameSum {
        rrname: NameBuf::parse("example.com").unwrap(),
        sum: NameTotal {
            records: 3,
            count: 5_000_000_000,
            time_first: 0,
            time_last: 86_400,
            is_least: false,
        },
    };
    let csv = render(Format::Csv, RenderOptions::default(), &[Item::Sum(&sum)]);
    assert_eq!(
        csv,
        "rrname,records,count,time_first,time_last,tags\n\
         example.com,3,5000000000,1970-01-01 00:00:00,1970-01-02 00:00:00,\n"
    );
    let new = Item::New { rrname: "example.com", time_first: 0 };
    assert_eq!(
        render(Format::Plain, RenderOptions::default(), &[new]),
        "example.com\t1970-01-01 00:00:00\n"
    );
    let json = render(Format::Json, RenderOptions::default(), &[new]);
    assert_eq!(
        json,
        "{\"rrname\":\"example.com\",\"time_first\":0,\"time_first_iso\":\"1970-01-01T00:00:00Z\"}\n"
    );
}

#[test]
fn nothing_is_no_output_in_any_format() {
    for info in FORMATS {
        assert_eq!(render(info.format, RenderOptions::default(), &[]), "", "{}", info.name);
        assert_eq!(info.name.parse(), Ok(info.format));
        assert_eq!(info.format.info().name, info.name);
    }
    assert!("xml".parse::<Format>().is_err());
}

#[test]
fn status_has_every_format_and_escapes() {
    let summary = Summary {
        schema: 1,
        partitions: 64,
        names: 10,
        capacity: Capacity { used: 1_610_612_736, limit: 1_610_612_736, ..Capacity::default() },
        sensors: vec!["so-1".to_owned()],
        sources: vec![(
            [0xab; 16],
            SourceState {
                path: "/nsm/\u{1b}[2J\u{9b}\u{7f}\u{1f600}/dns.log".to_owned(),
                tally: serde_json::json!({"lines": 3}),
                updated: 1_795_486_978,
                ..SourceState::default()
            },
        )],
        advice: vec!["=set appendonly yes".to_owned()],
        ..Summary::default()
    };
    let facts = [("store", "redis://u:***@h".to_owned())];
    for info in FORMATS {
        for verbose in [false, true] {
            let mut out = Vec::new();
            status(&summary, &facts, verbose, info.format, &RenderOptions::default(), &mut out)
                .unwrap();
            let text = String::from_utf8(out).unwrap();
            let printable = |letter: char| letter == '\n' || letter == '\t' || !letter.is_control();
            assert!(text.chars().all(printable), "{text}");
            assert!(text.contains("redis://u:***@h"), "{text}");
            assert!(text.contains("the store is full, nothing is being written"), "{text}");
            match info.format {
                Format::Table => {
                    assert!(text.contains("1.5 GiB") && text.contains("\\u{1b}[2J"));
                    assert_eq!(text.contains("lines 3"), verbose, "{text}");
                }
                Format::Csv => assert!(text.contains("advice,'=set appendonly yes")),
                Format::Plain => assert!(text.contains("source.0.tally\t{\"lines\":3}")),
                Format::Json | Format::Cof => {
                    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(value["sources"][0]["tally"]["lines"], 3);
                }
            }
        }
    }
}

#[test]
fn status_stays_short_however_many_logs_there_are() {
    let source = |number: u8| {
        let path = format!("/nsm/zeek/logs/2026-11-24/dns.{number}.log.gz");
        ([number; 16], SourceState { path, ..SourceState::default() })
    };
    let summary = Summary { sources: (0..30).map(source).collect(), ..Summary::default() };
    let show = |format, verbose| {
        let mut out = Vec::new();
        status(&summary, &[], verbose, format, &RenderOptions::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    for format in FORMATS.iter().map(|info| info.format) {
        let (short, long) = (show(format, false), show(format, true));
        assert_eq!(short.matches("/nsm/").count(), 10, "{short}");
        assert_eq!(long.matches("/nsm/").count(), 30, "{long}");
        assert!(
            short.contains("20") && short.contains("dns.9.log") && !short.contains("dns.10.log")
        );
    }
    let table = show(Format::Table, false);
    assert!(table.contains("and 20 more") && table.lines().count() < 25, "{table}");
}
