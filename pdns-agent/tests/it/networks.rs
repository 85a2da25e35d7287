//! Tables of addresses beside addresses: `MaxMind` DB files that another program wrote and read, and text.

use crate::cli::Site;
use crate::reference::python;
use crate::run::{Home, run};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const ADDRESSES: [&str; 9] = [
    "45.61.2.7",
    "45.61.1.1",
    "45.61.200.1",
    "45.62.0.1",
    "45.63.0.1",
    "45.64.0.1",
    "45.65.0.1",
    "2a00:1::7",
    "2a00:2::7",
];

/// Fixtures in a folder, and what the other reader finds: table, address, record.
fn fixtures(home: &Home) -> (PathBuf, Vec<Value>) {
    let folder = home.path().join("tables");
    std::fs::create_dir_all(&folder).unwrap();
    let mut words = vec![folder.as_os_str()];
    words.extend(ADDRESSES.iter().map(OsStr::new));
    let said = String::from_utf8(python("networks.py", &words, b"")).unwrap();
    (folder.clone(), said.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A store with a record for each address.
fn site() -> Site {
    let site = Site::new();
    let mut text = String::new();
    for (number, address) in ADDRESSES.iter().enumerate() {
        let rrtype = if address.contains(':') { "AAAA" } else { "A" };
        let line = json!({
            "rrname": format!("n{number}.networks.test"), "rrtype": rrtype, "rdata": address,
            "count": 2, "time_first": 1_700_000_000, "time_last": 1_700_000_010,
        });
        writeln!(text, "{line}").unwrap();
    }
    let file = site.home.write("records.cof", text);
    run(site.agent().args(["cof"]), &[file]).with(&[0]);
    site
}

/// Names these tables in the settings.
fn with_tables(site: &Site, tables: &[&Path]) {
    let settings = format!("address_tables = {}\n", json!(tables));
    site.home.write(".config/pdns/pdns.toml", settings);
}

/// Number, organisation and country that are shown beside an address.
fn beside(site: &Site, address: &str) -> Value {
    let said = run(&mut site.pdns(), &[address, "--format", "json"]).with(&[0]);
    let row: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    json!([row["as_number"], row["as_organization"], row["country_code"]])
}

/// The same three in a record of the other reader.
fn wanted(record: &Value) -> Value {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| match value {
        Value::String(text) => text.strip_prefix("AS").and_then(|digits| digits.parse().ok()),
        value => value.as_u64(),
    };
    let asn = number(&record["autonomous_system_number"]).or_else(|| number(&record["asn"]));
    let organisation = text(&record["autonomous_system_organization"])
        .or_else(|| text(&record["as_name"]))
        .map(|name| name.replace('\u{1b}', " "));
    let is_code = |text: &String| text.len() == 2;
    let country = text(&record["country"]["iso_code"])
        .or_else(|| text(&record["registered_country"]["iso_code"]))
        .or_else(|| text(&record["country_code"]))
        .or_else(|| text(&record["country"]).filter(is_code));
    json!([asn, organisation, country])
}

#[test]
fn databases_are_read_as_by_their_own_reader() {
    let site = site();
    let (folder, found) = fixtures(&site.home);
    assert_eq!(found.len(), 5 * ADDRESSES.len());
    for table in found.chunk_by(|a, b| a["table"] == b["table"]) {
        let path = folder.join(table[0]["table"].as_str().unwrap());
        with_tables(&site, &[&path]);
        for one in table {
            let address = one["address"].as_str().unwrap();
            assert_eq!(beside(&site, address), wanted(&one["record"]), "{one}");
        }
    }
}

#[test]
fn the_first_table_that_knows_counts() {
    let site = site();
    let (folder, _) = fixtures(&site.home);
    let text = site.home.write(
        "tables/ip2asn.tsv",
        "45.61.0.0\t45.61.255.255\t64496\tUS\tFrom text\n45.65.0.0\t45.65.0.255\t64502\tIT\tNew\n",
    );
    let at = |name: &str| folder.join(name);
    with_tables(&site, &[&at("country.mmdb"), &text, &at("asn.mmdb")]);
    // The organisation of a number comes from a table that has this number.
    assert_eq!(beside(&site, "45.61.2.7"), json!([64496, "From text", "DE"]));
    assert_eq!(beside(&site, "45.61.200.1"), json!([64496, "From text", "US"]));
    assert_eq!(beside(&site, "45.65.0.1"), json!([64502, "New", "IT"]));
    assert_eq!(beside(&site, "2a00:1::7"), json!([4_200_000_000_u64, "V6 \u{dc}", "SE"]));
    assert_eq!(beside(&site, "2a00:2::7"), json!([null, null, null]));
    // An escape sequence in a name does not reach a terminal.
    with_tables(&site, &[&at("asn.mmdb")]);
    let table = run(&mut site.pdns(), &["45.61.2.7", "--format", "table"]).with(&[0]);
    assert!(table.contains("NETWORK") && table.contains("AS64511 Inner"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table:?}");
    let shown = run(&mut site.pdns(), &["show", "45.61.1.1", "--format", "table"]).with(&[0]);
    assert!(shown.contains("Its network is AS64496 Example, Inc."), "{shown}");
    let top =
        run(&mut site.pdns(), &["top", "--by", "addresses", "--limit", "0", "--format", "json"])
            .with(&[0]);
    assert!(top.contains("\"as_number\":64511"), "{top}");
    // A table that is replaced is used the next time.
    site.home.write("tables/ip2asn.tsv", "45.61.0.0\t45.61.255.255\t7\tGB\tReplaced\n");
    with_tables(&site, &[&text]);
    assert_eq!(beside(&site, "45.61.2.7"), json!([7, "Replaced", "GB"]));
}

#[test]
fn a_table_that_cannot_be_used_is_named_and_the_answer_is_given() {
    let site = site();
    let (folder, _) = fixtures(&site.home);
    let whole = std::fs::read(folder.join("asn.mmdb")).unwrap();
    let cut = site.home.write("tables/cut.mmdb", &whole[whole.len() / 2..]);
    let wrong = site.home.write("tables/wrong.tsv", "45.61.0.0\t45.61.0.9\t1\tUS\tA\nnonsense\n");
    let missing = folder.join("missing.mmdb");
    with_tables(&site, &[&cut, &wrong, &missing, &folder.join("country.mmdb")]);
    let ended = run(&mut site.pdns(), &["45.61.2.7", "--format", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("\"country_code\":\"DE\""), "{ended:?}");
    for want in ["wrong.tsv: line 2: the first column is not an address", "missing.mmdb: "] {
        assert!(ended.stderr.contains(want), "{want}: {}", ended.stderr);
    }
    // Whatever is damaged in a database: an answer, or a word about it, and never a panic.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..20) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        let damaged = site.home.write("tables/damaged.mmdb", &bytes);
        with_tables(&site, &[&damaged]);
        let ended = run(&mut site.pdns(), &["find", "--limit", "0", "--format", "json"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.lines().count() >= ADDRESSES.len(), "{ended:?}");
    }
}
