//! Measures how a store forgets: `cargo xtask bench forget`.
//!
//! A store of ten million names forgets half of them: what memory is left, beside a store that only ever had the rest;
//! and what it costs those who write and ask meanwhile.

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

use pdns_agent::name::NameBuf;
use pdns_agent::store::{ForgetTally, Forgetting, Store};
use report::Report;
use server::Server;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Lines of the log that is imported meanwhile, each with a name of its own.
const LINES: u64 = 2_000_000;
/// The second of its answers.
const START: u64 = 1_767_700_000;
/// Milliseconds that the slowest hundredth of look-ups may take.
const SLOWEST: f64 = 20.0;
fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench forget`");
        return;
    };
    let all = folder.join("ten-million.tsv");
    let out = folder.join("forget.tsv");
    let folder = folder.join("forget");
    let of_rest = folder.join("rest");
    std::fs::create_dir_all(&of_rest).expect("the folder can be made");
    let mut report = Report::new();
    let server = Server::start(&folder);
    // All these names are new within days. The counters of new names, which go with their days, would be a tenth of the
    // memory, and an import of COF has none.
    server.import_with(&all, &["--new-names", "0"]);
    report.number("records", server.records() as f64);
    let before = server.memory();
    let begin = Instant::now();
    let tally = forget(&mut server.store(), &|name| is_kept(name));
    report.number("seconds to forget half of the names, alone", begin.elapsed().as_secs_f64());
    report.number("records forgotten", tally.records as f64);
    report.number("MiB before", before as f64 / f64::from(1 << 20));
    report.number("MiB afterwards", server.memory() as f64 / f64::from(1 << 20));
    let ratio = server.memory() as f64 / memory_of_rest(&server, &of_rest) as f64;
    report.at_most("the same, of a store that only ever had the rest", ratio, 1.1);
    beside_others(&server, &folder, &mut report);
    report.write(&out);
}

/// Every other name.
fn is_kept(name: &str) -> bool {
    name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    }) >> 20
        & 1
        == 0
}

/// Memory of a new store into which all records of another one are imported.
fn memory_of_rest(server: &Server, folder: &Path) -> u64 {
    let path = folder.join("rest.cof");
    let file = std::fs::File::create(&path).expect("the list can be made");
    let listed = Command::new(env!("CARGO_BIN_EXE_pdns"))
        .args(["find", "--limit", "0", "--format", "cof", "--redis", &server.url()])
        .stdout(file)
        .status();
    assert!(listed.is_ok_and(|status| status.success()), "the records can be listed");
    let rest = Server::start(folder);
    let imported = Command::new(env!("CARGO_BIN_EXE_pdns-agent"))
        .args(["cof", "--redis", &rest.url()])
        .arg(&path)
        .status();
    assert!(imported.is_ok_and(|status| status.success()), "the list can be imported");
    std::fs::remove_file(&path).expect("the list is there");
    assert_eq!(rest.records(), server.records(), "the list is not all");
    rest.memory()
}

fn forget(store: &mut Store, keep: &dyn Fn(&str) -> bool) -> ForgetTally {
    let mut how = Forgetting {
        keep: &|one| keep(one.rrname.as_str()),
        keep_sum: &|_| true,
        is_trial: false,
        holder: "a measurement",
        clock: &|| 1_767_700_000,
        is_stopped: &|| false,
        progress: &mut |_, _| {},
    };
    let mut tally = ForgetTally::default();
    store.forget(&mut how, &mut tally).expect("the store forgets");
    tally
}

/// A log of names that nobody has, one in ten below a domain of its own.
fn write_new(folder: &Path, part: &str) -> PathBuf {
    let path = folder.join(format!("{part}.log"));
    let mut log = BufWriter::new(std::fs::File::create(&path).expect("the log can be made"));
    let mut line = String::new();
    for number in 0..LINES {
        line.clear();
        let domain = if number.is_multiple_of(10) { number } else { number % 4_999 };
        let second = START + number / 10_000;
        let address = std::net::Ipv4Addr::from_bits(0x2d00_0000 + (number % 0xff_ffff) as u32);
        writeln!(
            line,
            r#"{{"ts":{second}.5,"id.orig_h":"10.0.0.1","id.resp_p":53,"query":"h{number}.{part}{domain}.com","qtype":1,"rcode":0,"RD":true,"RA":true,"answers":["{address}"],"TTLs":[300.0]}}"#
        )
        .expect("text can be made");
        log.write_all(line.as_bytes()).expect("the log can be written");
    }
    log.flush().expect("the log can be written");
    path
}

/// Forgets half of what is left, while a log is imported and names are looked up.
fn beside_others(server: &Server, folder: &Path, report: &mut Report) {
    let is_left = |name: &str| name.len().is_multiple_of(2);
    let mut names = Vec::new();
    server
        .store()
        .reader()
        .names(None, &mut |block| {
            let lines = block.split(|&octet| octet == b'\n').step_by(4_999);
            let texts = lines.filter_map(|line| std::str::from_utf8(line).ok());
            let texts = texts.filter(|text| text.len() > 1 && is_left(text));
            names.extend(texts.filter_map(|text| NameBuf::parse(text).ok()));
            ControlFlow::Continue(())
        })
        .expect("the names can be read");
    let logs = ["alone", "beside"].map(|part| write_new(folder, part));
    let [alone, beside] = &logs;
    let is_over = AtomicBool::new(false);
    let asked = |work: &mut dyn FnMut()| {
        is_over.store(false, Ordering::Relaxed);
        std::thread::scope(|threads| {
            let asking =
                threads.spawn(|| server.look_up(&names, &|_| is_over.load(Ordering::Relaxed)));
            work();
            is_over.store(true, Ordering::Relaxed);
            asking.join().expect("look-ups do not fail")
        })
    };
    let mut time_alone = Duration::ZERO;
    let times = asked(&mut || {
        let begin = Instant::now();
        server.import(alone);
        time_alone = begin.elapsed();
    });
    report.clock("new names imported, a second", LINES, time_alone);
    report.milliseconds("look-ups meanwhile", &times, Some(SLOWEST));
    let (mut time_beside, mut is_forgetting) = (Duration::ZERO, false);
    let times = asked(&mut || {
        std::thread::scope(|threads| {
            let is_new = |name: &str| name.contains(".beside") || name.contains(".alone");
            let keep = move |name: &str| is_left(name) || is_new(name);
            let forgetting = threads.spawn(move || forget(&mut server.store(), &keep));
            let begin = Instant::now();
            server.import(beside);
            time_beside = begin.elapsed();
            is_forgetting = !forgetting.is_finished();
            forgetting.join().expect("the store forgets");
        });
    });
    for log in logs {
        std::fs::remove_file(log).expect("the log is there");
    }
    report.clock("new names imported while half is forgotten, a second", LINES, time_beside);
    let slower = time_beside.as_secs_f64() / time_alone.as_secs_f64();
    let until = if is_forgetting { "all of the time" } else { "a part of the time" };
    report.at_most(&format!("time of that import, of one alone ({until})"), slower, 1.1);
    report.milliseconds("look-ups meanwhile and until all is forgotten", &times, Some(SLOWEST));
}
