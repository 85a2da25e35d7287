//! The Zeek package: its scripts, as far as they can be checked without Zeek, and that the agent counts what it
//! writes exactly once.
//!
//! `tests/reference/package.py` is the package's logic told again in Python. It writes the pdns.log and the marked
//! dns.log of a Zeek that saw a capture, or that wrote some dns.log of the past.

use crate::agent::{Agent, catches_up, zeek};
use crate::corpus::{self, Rows, as_written, assert_alike, import, stored, zeek_logs};
use crate::logs::{Lines, Rotation, Zeek, seed};
use crate::redis::Redis;
use crate::reference::{self, interpreter, python};
use crate::run::{Home, run};
use crate::store::{Model, agrees, contents, options};
use crate::support::skip;
use pdns_agent::store::Store;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Types whose RDATA the package writes in full.
const WHOLE: &[&str] = &[
    "A", "AAAA", "NS", "CNAME", "PTR", "SOA", "MX", "SRV", "TXT", "SPF", "NAPTR", "CAA", "DS",
    "DNSKEY", "SSHFP", "LOC",
];

/// Owner and type of rows that Zeek, for its own reasons, has otherwise than the packets do.
const OTHERWISE: &[(&str, &str)] = &[
    // A dot within a label is lost.
    ("example\\.com", "A"),
    ("example.com", "A"),
    ("www.example.com", "A"),
    // A public suffix as the zone is believed in nothing, while packets are by the name asked for.
    ("mail.example.co.uk", "A"),
    ("www.example.co.uk", "TXT"),
    ("ns.example.de", "A"),
    // An OPT record outside the additional section counts.
    ("misplaced.example.com", "A"),
];

/// The package.
fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../zeek")
}

/// Writes both logs into a folder, as the package makes them of a `capture` or a `log`.
fn write(what: &str, form: &str, folder: &Path, of: &Path) {
    write_as(&[], what, form, folder, of);
}

/// The same of a Zeek with the options of `package.py`: `--cluster`, `--killed`.
fn write_as(options: &[&str], what: &str, form: &str, folder: &Path, of: &Path) {
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    arguments.extend([what.as_ref(), form.as_ref(), folder.as_os_str(), of.as_os_str()]);
    python("package.py", &arguments, &[]);
}

#[test]
fn scripts_parse_and_use_what_zeek_declares() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/scripts.py");
    let mut command = Command::new(interpreter());
    let output = command.arg("-B").arg(script).arg(package()).output();
    let output = output.expect("cargo xtask test makes a Python");
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(3) {
        let test = "scripts_parse_and_use_what_zeek_declares";
        return skip(test, &format!("no parser of Zeek scripts: {said}"));
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, "");
}

#[test]
fn the_trace_of_the_packages_tests_is_the_one_that_is_made() {
    let home = Home::new();
    reference::made(home.path());
    let made = fs::read(home.path().join("package.pcap")).unwrap();
    let kept = fs::read(package().join("tests/Traces/answers.pcap")).unwrap();
    assert!(
        made == kept,
        "copy package.pcap, which captures.py makes, to zeek/tests/Traces/answers.pcap"
    );
}

#[test]
fn what_the_package_writes_of_a_capture_is_stored_as_its_packets_are() {
    let (home, server) = (Home::new(), Redis::start());
    let captures = home.path().join("captures");
    let made = reference::made(&captures);
    for title in [
        "package",
        "chains",
        "poison",
        "referral",
        "nodata",
        "rcodes",
        "ttls",
        "names",
        "types",
        "types-cased",
        "repeated",
        "case",
    ] {
        let options = reference::options_of(&made[title]);
        let capture = captures.join(format!("{title}.pcap"));
        let (records, negatives) = reference::imported(&home, &server, &options, &[&capture]);
        for (options, form) in [(&[][..], "tsv"), (&[], "json"), (&["--cluster"], "tsv")] {
            let folder = home.path().join(form).join(options.concat()).join(title);
            write_as(options, "capture", form, &folder, &capture);
            server.flush();
            import(&home, &server, &folder).with(&[0]);
            let (ours, our_negatives) = reference::stored_octets(&home, &server.url());
            let what = format!("{title} in {form} {}", options.concat());
            assert!(!ours.is_empty(), "{what}: nothing is stored");
            let records = alike(title, records.clone());
            assert_alike(&format!("{what}, records"), &alike(title, ours), &records);
            let negatives = alike(title, negatives.clone());
            assert_alike(&format!("{what}, negatives"), &alike(title, our_negatives), &negatives);
        }
    }
}

/// The rows of a made capture in which packets and the package do not differ: of types that it writes in full.
fn alike(title: &str, mut rows: Rows) -> Rows {
    let is_odd = matches!(title, "poison" | "nodata" | "rcodes");
    rows.retain(|(owner, rrtype, _, _), _| {
        WHOLE.contains(&rrtype.as_str())
            && !(is_odd && OTHERWISE.contains(&(owner.as_str(), rrtype.as_str())))
            && !(title == "names" && owner.contains("\\."))
    });
    rows
}

#[test]
fn a_real_log_counts_the_same_with_the_package_as_without() {
    let folder = zeek_logs().folder;
    let (home, server) = (Home::new(), Redis::start());
    for (number, log) in [
        "zeek-pdns/dns_json.log",
        "zeek-pdns/reddit_dns_2016-04-01.log",
        "zeek-btest-baseline/scripts.base.protocols.dns.multiple-txt-strings__dns.log",
    ]
    .iter()
    .enumerate()
    {
        let log = as_written(&home, &folder.join(log));
        server.flush();
        import(&home, &server, &log).with(&[0]);
        let (records, negatives) = stored(&home, &server.url());
        let form = ["tsv", "json"][number % 2];
        let pair = home.path().join(format!("pair-{number}"));
        write("log", form, &pair, &log);
        server.flush();
        // Twice: the second time there is nothing new.
        for _ in 0..2 {
            import(&home, &server, &pair).with(&[0]);
            let (ours, our_negatives) = stored(&home, &server.url());
            assert_alike(&format!("{}, records", log.display()), &ours, &told_whole(&records));
            assert_alike(&format!("{}, negatives", log.display()), &our_negatives, &negatives);
            let both = [pair.join("dns.log"), pair.join("pdns.log")];
            let (theirs, their_negatives) =
                corpus::reference(&both.each_ref().map(PathBuf::as_path));
            assert_alike("the reference, records", &ours, &theirs);
            assert_alike("the reference, negatives", &our_negatives, &their_negatives);
        }
    }
}

/// Records of which dns.log lacks a part, as the package tells them: in full.
fn told_whole(rows: &Rows) -> Rows {
    rows.iter()
        .map(|((name, rrtype, rdata, _), numbers)| {
            ((name.clone(), rrtype.clone(), rdata.clone(), false), numbers.clone())
        })
        .collect()
}

/// The two logs of a Zeek with the package that saw some made-up answers: dns.log, pdns.log.
fn pair(home: &Home, seed: u64, lines: usize) -> [String; 2] {
    let log = home.write("without/dns.log", Lines::new(seed, 300).log(lines));
    let folder = home.path().join("with");
    write("log", "tsv", &folder, &log);
    ["dns.log", "pdns.log"].map(|name| fs::read_to_string(folder.join(name)).unwrap())
}

/// What pdns.log amounts to by itself.
fn alone(log: &str) -> Model {
    let (home, server) = (Home::new(), Redis::start());
    let path = home.write("pdns.log", log);
    run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    contents(&mut store(&server))
}

fn store(server: &Redis) -> Store {
    Store::open(&options(server)).unwrap()
}

#[test]
fn the_order_in_which_the_two_logs_come_makes_no_difference() {
    let home = Home::new();
    let [dns, pdns] = pair(&home, 41, 2_000);
    let model = alone(&pdns);
    for order in [["dns", "pdns"], ["pdns", "dns"]] {
        let server = Redis::start();
        let folder = home.path().join(order[0]);
        for name in order {
            let log = if name == "dns" { &dns } else { &pdns };
            home.write(&format!("{}/{name}.log", order[0]), log);
            let ended = run(zeek(&home, &server.url()).arg("--once"), &[&folder]);
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            let lacks = ended.stderr.contains("there is no pdns.log");
            assert_eq!(lacks, order[0] == "dns" && name == "dns", "{}", ended.stderr);
        }
        agrees(&mut store(&server), &model);
    }
}

#[test]
fn dns_log_is_read_in_full_when_the_packages_log_is_not_wanted() {
    let (home, server) = (Home::new(), Redis::start());
    pair(&home, 42, 1_000);
    let read = |server: &Redis, folder: &str| {
        let folder = home.path().join(folder);
        run(zeek(&home, &server.url()).args(["--once", "--no-pdns-log"]), &[&folder]).with(&[0]);
        stored(&home, &server.url())
    };
    let without = read(&server, "without");
    server.flush();
    assert!(!without.0.is_empty());
    // The marked log lacks columns that tell no data from a referral.
    assert_alike("records", &read(&server, "with").0, &without.0);
}

#[test]
fn a_cluster_that_is_killed_has_written_all_that_it_marked() {
    let (home, server) = (Home::new(), Redis::start());
    let log = home.write("without/dns.log", Lines::new(47, 300).log(5_000));
    import(&home, &server, &log).with(&[0]);
    let (records, negatives) = stored(&home, &server.url());
    server.flush();
    let pair = home.path().join("with");
    write_as(&["--cluster", "--killed"], "log", "tsv", &pair, &log);
    import(&home, &server, &pair).with(&[0]);
    let (ours, our_negatives) = stored(&home, &server.url());
    assert_alike("records", &ours, &told_whole(&records));
    assert_alike("negatives", &our_negatives, &negatives);
}

#[test]
fn lines_of_a_cluster_count_once_in_whatever_order_and_files_they_come() {
    let home = Home::new();
    let log = home.write("without/dns.log", Lines::new(49, 300).log(2_000));
    let folder = home.path().join("with");
    write_as(&["--cluster"], "log", "tsv", &folder, &log);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (dns, pdns) = (read("dns.log"), read("pdns.log"));
    // A worker whose clock is far ahead, which says nothing about the lines of the others.
    let row = pdns.lines().rfind(|line| !line.starts_with('#')).unwrap();
    let (_, rest) = row.split_once('\t').unwrap();
    let (_, rest) = rest.split_once('\t').unwrap();
    let pdns = format!("{pdns}4000000000.000000\t4000000000.000000\t{rest}\n");
    let model = alone(&pdns);
    let mut random = fastrand::Rng::with_seed(seed(50));
    // Workers are not in step, one may come back late, and the logger rotates between any two lines.
    let mut parts = |name: &str, log: &str| -> Vec<(String, String)> {
        let (head, mut rows): (Vec<&str>, Vec<&str>) =
            log.lines().partition(|line| line.starts_with('#'));
        random.shuffle(&mut rows);
        let part = |(number, rows): (usize, &[&str])| {
            let text = [&head, rows].concat().join("\n") + "\n";
            (format!("{name}.{number}.log"), text)
        };
        rows.chunks(rows.len().div_ceil(4)).enumerate().map(part).collect()
    };
    let mut files = parts("dns", &dns);
    files.extend(parts("pdns", &pdns));
    for _ in 0..3 {
        random.shuffle(&mut files);
        let (home, server) = (Home::new(), Redis::start());
        for (name, text) in &files {
            home.write(&format!("logs/{name}"), text);
            // Some files come alone, others with those before them.
            if random.bool() {
                import(&home, &server, &home.path().join("logs")).with(&[0]);
            }
        }
        import(&home, &server, &home.path().join("logs")).with(&[0]);
        agrees(&mut store(&server), &model);
    }
}

#[test]
fn lines_that_a_killed_zeek_never_wrote_are_reported() {
    let (home, server) = (Home::new(), Redis::start());
    let log = home.write("without/dns.log", Lines::new(48, 300).log(5_000));
    let pair = home.path().join("with");
    let report = || {
        let ended = import(&home, &server, &pair);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let rows = ended.stderr.lines().find(|line| line.contains("may be missing in pdns.log"));
        rows.map(|line| line.split_whitespace().next().unwrap().to_owned())
    };
    write_as(&["--killed"], "log", "tsv", &pair, &log);
    let seconds = |name: &str| -> Vec<u64> {
        let text = fs::read_to_string(pair.join(name)).unwrap();
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        let time = |line: &str| line.split('\t').next()?.split('.').next()?.parse().ok();
        rows.map(|line| time(line).expect("each row has a time")).collect()
    };
    // What was first seen by then was written.
    let end = seconds("pdns.log").into_iter().max().expect("a window has passed");
    let newer = seconds("dns.log").into_iter().filter(|&at| at > end).count();
    assert!(newer > 500, "only {newer} lines are newer");
    assert_eq!(report(), Some(newer.to_string()));
    // An orderly end writes them.
    server.flush();
    write("log", "tsv", &pair, &log);
    assert_eq!(report(), None);
}

/// Follows both logs with an agent that is killed again and again while they grow and rotate, each on its own.
fn follow(rotation: Rotation, seed: u64, kills: usize) {
    let (home, server) = (Home::new(), Redis::start_durable());
    let [dns, pdns] = pair(&home, seed, 6_000);
    let folder = home.path().join("logs");
    let mut logs = [("dns", dns), ("pdns", pdns.clone())]
        .map(|(name, text)| Zeek::again(&folder, name, rotation, seed, &text));
    let mut random = fastrand::Rng::with_seed(seed);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // The package's log comes late.
            let mut round = 0;
            while !logs.iter().all(Zeek::is_over) {
                round += 1;
                logs[0].go_on();
                if round > 100 {
                    logs[1].go_on();
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
        for kill in 0..kills {
            let life = Duration::from_millis(700).mul_f64(random.f64());
            let code = Agent::follow(&home, &server.url(), &folder).kill9_after(life);
            assert_eq!(code, None, "seed {seed}: the agent ended by itself before kill {kill}");
        }
        writer.join().unwrap();
    });
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    catches_up(&mut agent, &server, logs.iter().map(Zeek::octets).sum());
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "seed {seed}: {said}");
    agrees(&mut store(&server), &alone(&pdns));
    let [dns, pdns] = logs.each_ref().map(Zeek::rotated);
    println!("dns.log was put away {dns} times, pdns.log {pdns} times");
}

#[test]
fn two_logs_that_rotate_while_agents_are_killed_are_counted_once() {
    follow(Rotation::RenameAndGzip, seed(43), 20);
}

#[test]
fn two_logs_that_are_copied_and_cut_while_agents_are_killed_are_counted_once() {
    follow(Rotation::CopyTruncate, seed(44), 20);
}

#[test]
fn a_log_of_the_package_is_followed_from_its_first_line() {
    let (home, server) = (Home::new(), Redis::start());
    let [dns, pdns] = pair(&home, 45, 500);
    let folder = home.path().join("logs");
    home.write("logs/dns.log", &dns);
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    catches_up(&mut agent, &server, dns.len() as u64);
    assert!(contents(&mut store(&server)).is_empty());
    home.write("logs/pdns.log", &pdns);
    catches_up(&mut agent, &server, (dns.len() + pdns.len()) as u64);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("there is no pdns.log"), "{said}");
    agrees(&mut store(&server), &alone(&pdns));
}

#[test]
fn status_tells_how_many_lines_were_passed_over() {
    let (home, server) = (Home::new(), Redis::start());
    let [dns, _] = pair(&home, 46, 300);
    let rows = dns.lines().filter(|line| !line.starts_with('#')).count();
    let folder = home.path().join("with");
    import(&home, &server, &folder).with(&[0]);
    let url = server.url();
    let arguments = ["status", "--redis", &url, "--format", "json"];
    let said = run(&mut home.pdns(), &arguments).with(&[0]);
    assert!(said.contains(&format!("\"in_pdns_log\":{rows}")), "{said}");
}
