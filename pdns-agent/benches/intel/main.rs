//! Measures two million indicators from twenty sources: `cargo xtask bench intel`.
//!
//! A store gets some names from a made-up log by the real agent, and is asked before and after the indicators are there.
//! Ten of the sources give each indicator a reference of its own. Then a feed of half a million lines is imported again,
//! with one line in a hundred changed, by the real `pdns`.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a program that prints times and ratios"
)]

#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/report.rs"]
mod report;
#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/server.rs"]
mod server;

use pdns_agent::indicator::ListedIndicator;
use pdns_agent::name::NameBuf;
use pdns_agent::store::ImportSpec;
use pdns_agent::tag::TagSubject;
use report::Report;
use server::Server;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Sources.
const SOURCES: u32 = 20;
/// Indicators of each source.
const EACH: u32 = 100_000;
/// Names in the store.
const NAMES: u32 = 20_000;
/// Lines of the feed that is imported again.
const FEED: u32 = 500_000;
/// Number of times each question is asked.
const OFTEN: usize = 200;
/// The first second of the log.
const START: u32 = 1_767_571_200;

fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench intel`");
        return;
    };
    let folder = folder.join("intel");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let mut report = Report::new();
    let server = Server::start(&folder);
    fill(&server, &folder);
    let name = ask(&server, &|run| vec![format!("h{run}.name{}.com", run % 499)]);
    let rows = ask(&server, &|_| vec!["find".to_owned(), "--limit".to_owned(), "1000".to_owned()]);
    for (from, has_reference, most) in [(0, false, 64.0), (SOURCES / 2, true, 120.0)] {
        let before = server.memory();
        let begin = Instant::now();
        for source in from..from + SOURCES / 2 {
            list(&server, source, has_reference);
        }
        let count = u64::from(SOURCES / 2 * EACH);
        let each = (server.memory() - before) as f64 / count as f64;
        let what = if has_reference { ", each with a reference of its own" } else { "" };
        report.at_most(&format!("octets of memory an indicator{what}"), each, most);
        report.clock(&format!("indicators imported{what}"), count, begin.elapsed());
    }
    let name_after = ask(&server, &|run| vec![format!("h{run}.name{}.com", run % 499)]);
    let rows_after =
        ask(&server, &|_| vec!["find".to_owned(), "--limit".to_owned(), "1000".to_owned()]);
    report.milliseconds("pdns NAME, without indicators", &name, None);
    report.milliseconds("pdns NAME, beside 2,000,000 indicators", &name_after, None);
    report.at_most("slower by, ms (median)", slower(&name, &name_after), 1.0);
    report.milliseconds("an answer of 1,000 rows, without indicators", &rows, None);
    report.milliseconds("an answer of 1,000 rows, beside 2,000,000 indicators", &rows_after, None);
    report.at_most("slower by, ms (median)", slower(&rows, &rows_after), 15.0);
    refresh(&server, &folder, &mut report);
    report.write(&folder.parent().unwrap_or(&folder).join("intel.tsv"));
}

/// Names from a log of the real agent.
fn fill(server: &Server, folder: &Path) {
    let mut log = String::new();
    for at in 0..NAMES {
        let (second, domain) = (START + at, at % 499);
        let address = std::net::Ipv4Addr::from(0x2d00_0000 + at * 7);
        writeln!(
            log,
            r#"{{"ts":{second}.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"h{at}.name{domain}.com","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["{address}"],"TTLs":[300.0],"rejected":false}}"#
        )
        .expect("text can be made");
    }
    let path = folder.join("dns.log");
    std::fs::write(&path, log).expect("the log can be written");
    server.import(&path);
}

/// The indicators of one source: names, domains and addresses; a few of them are in the store.
fn list(server: &Server, source: u32, has_reference: bool) {
    let mut store = server.store();
    let spec = ImportSpec::new(&format!("source-{source}"), START);
    let mut import = store.indicators().import(spec).expect("the import begins");
    for at in 0..EACH {
        let number = source * EACH + at;
        let text = match at % 1_000 {
            0 => format!("h{}.name{}.com", at / 1_000, at / 1_000 % 499),
            _ => format!("w{number:x}.bad-{:x}.net", number.wrapping_mul(2_654_435_761)),
        };
        let subject = match at % 10 {
            0..6 => TagSubject::Name(NameBuf::parse(&text).expect("a name")),
            6 | 7 => TagSubject::Below(NameBuf::parse(&text).expect("a name")),
            _ => TagSubject::address(std::net::Ipv4Addr::from(number.wrapping_mul(40_503)).into()),
        };
        let mut listed = ListedIndicator::new(subject);
        listed.labels = vec![format!("family-{}", number % 300)];
        if has_reference {
            listed.reference = format!("https://feeds.example.net/ioc/{number}");
        }
        import.add(&listed).expect("it is collected");
    }
    import.commit(&mut |_| ()).expect("the import ends");
}

/// Times of `pdns`, sorted.
fn ask(server: &Server, arguments: &dyn Fn(usize) -> Vec<String>) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..OFTEN)
        .map(|run| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pdns"));
            command.args(arguments(run)).args(["--format", "json"]);
            command.env("PDNS_REDIS", server.url()).stdout(Stdio::null()).stderr(Stdio::null());
            let begin = Instant::now();
            assert!(command.status().expect("pdns runs").success(), "pdns finds nothing");
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

/// Milliseconds between two medians.
fn slower(before: &[Duration], after: &[Duration]) -> f64 {
    let median = |times: &[Duration]| times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64);
    (median(after) - median(before)) * 1e3
}

/// A feed that is imported again with one line in a hundred changed.
fn refresh(server: &Server, folder: &Path, report: &mut Report) {
    let path = folder.join("feed.txt");
    let write = |offset: u32| {
        let mut text = String::new();
        for at in 0..FEED {
            let number = if at % 100 == 0 { at + offset } else { at };
            writeln!(text, "f{number:x}.feed-{:x}.org", number % 65_521).expect("text can be made");
        }
        std::fs::write(&path, text).expect("the feed can be written");
    };
    let import = || {
        let begin = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_pdns"))
            .args(["intel", "import", "--source", "feed", "--output", "plain"])
            .arg(&path)
            .env("PDNS_REDIS", server.url())
            .output()
            .expect("pdns runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        begin.elapsed().as_secs_f64()
    };
    write(0);
    report.number("a feed of 500,000 lines, first import, in seconds", import());
    write(FEED);
    report.at_most("the same with 1 % changed, in seconds", import(), 10.0);
}
