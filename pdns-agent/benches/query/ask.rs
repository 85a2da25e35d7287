//! The questions, and what their answers take.

use crate::report::Report;
use crate::server::Server;
use crate::subjects::Subjects;
use pdns_agent::name::NameBuf;
use pdns_agent::query::{self, Filter, Query, What};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a question is put that is answered from an index, and one that reads all of the store.
const OFTEN: usize = 200;
const SELDOM: usize = 15;

/// One question: its words for subject number so and so.
struct Question {
    what: &'static str,
    runs: usize,
    /// Milliseconds that it may take, without the process's own start; `None` where nobody said.
    target: Option<f64>,
    words: fn(&Subjects, usize) -> Vec<String>,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn prefix(address: IpAddr, v4: u8, v6: u8) -> String {
    match address {
        IpAddr::V4(_) => format!("{address}/{v4}"),
        IpAddr::V6(_) => format!("{address}/{v6}"),
    }
}

const QUESTIONS: &[Question] = &[
    Question {
        what: "a name: pdns NAME",
        runs: OFTEN,
        target: None,
        words: |subjects, run| vec![subjects.names[run].clone()],
    },
    Question {
        what: "an address: pdns ADDRESS",
        runs: OFTEN,
        target: None,
        words: |subjects, run| vec![subjects.addresses[run].to_string()],
    },
    Question {
        what: "an IPv4 /24 or IPv6 /48",
        runs: OFTEN,
        target: None,
        words: |subjects, run| vec![prefix(subjects.addresses[run], 24, 48)],
    },
    Question {
        what: "an IPv4 /16",
        runs: 50,
        target: Some(10.0),
        words: |subjects, run| {
            let mut v4 = subjects.addresses.iter().filter(|address| address.is_ipv4());
            vec![prefix(*v4.nth(run).expect("half of them are"), 16, 32)]
        },
    },
    Question {
        what: "all below a domain: pdns '*.DOMAIN'",
        runs: OFTEN,
        target: Some(10.0),
        words: |subjects, run| vec![format!("*.{}", subjects.domains[run])],
    },
    Question {
        what: "pdns subdomains DOMAIN",
        runs: OFTEN,
        target: Some(10.0),
        words: |subjects, run| vec!["subdomains".to_owned(), subjects.domains[run].clone()],
    },
    Question {
        what: "one name in ten: pdns subdomains in-addr.arpa --depth 4",
        runs: 3,
        target: None,
        words: |_, _| words(&["subdomains", "in-addr.arpa", "--depth", "4"]),
    },
    Question {
        what: "one name in ten: pdns '*.in-addr.arpa'",
        runs: SELDOM,
        target: Some(150.0),
        words: |_, _| words(&["*.in-addr.arpa"]),
    },
    Question {
        what: "pdns NAME --follow",
        runs: OFTEN,
        target: None,
        words: |subjects, run| vec![subjects.names[run].clone(), "--follow".to_owned()],
    },
    Question {
        what: "find --regex",
        runs: SELDOM,
        target: Some(600.0),
        words: |_, _| words(&["find", "--regex", "^[a-z]{4,}[0-9]+\\.(baba|lo).*e$"]),
    },
    Question {
        what: "find --contains",
        runs: SELDOM,
        target: Some(150.0),
        words: |subjects, run| {
            let name = &subjects.names[run];
            let part = name.get(..name.len().min(6)).unwrap_or(name);
            words(&["find", "--contains", part])
        },
    },
    Question {
        what: "find --starts",
        runs: SELDOM,
        target: Some(150.0),
        words: |_, _| words(&["find", "--starts", "login.ba"]),
    },
    Question {
        what: "find --ends",
        runs: SELDOM,
        target: Some(150.0),
        words: |_, _| words(&["find", "--ends", "baba.example"]),
    },
    Question {
        what: "find --ttl-max 1",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["find", "--ttl-max", "1"]),
    },
    Question {
        what: "find --rrtype TXT",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["find", "--rrtype", "TXT"]),
    },
    Question {
        what: "find --rrtype MX --ttl-max 60 --sort count",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["find", "--rrtype", "MX", "--ttl-max", "60", "--sort", "count"]),
    },
    Question {
        what: "find --first-after",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["find", "--first-after", "2026-01-05T23:59:00Z"]),
    },
    Question {
        what: "find --last-before",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["find", "--last-before", "2026-01-05T00:01:00Z"]),
    },
    Question {
        what: "top (records)",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["top"]),
    },
    Question {
        what: "top --by names",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["top", "--by", "names"]),
    },
    Question {
        what: "top --by domains",
        runs: 3,
        target: None,
        words: |_, _| words(&["top", "--by", "domains"]),
    },
    Question {
        what: "top --by addresses",
        runs: 3,
        target: None,
        words: |_, _| words(&["top", "--by", "addresses"]),
    },
    Question {
        what: "top --by rrtypes",
        runs: 3,
        target: None,
        words: |_, _| words(&["top", "--by", "rrtypes"]),
    },
    Question {
        what: "new --list DAY",
        runs: 3,
        target: None,
        words: |_, _| words(&["new", "--list", "2026-01-05"]),
    },
    Question {
        what: "new --by domains",
        runs: 3,
        target: None,
        words: |_, _| words(&["new", "--since", "2026-01-01", "--by", "domains"]),
    },
    Question {
        what: "squats DOMAIN",
        runs: 3,
        target: Some(1_000.0),
        words: |subjects, run| vec!["squats".to_owned(), subjects.domains[run].clone()],
    },
    Question { what: "parked", runs: 3, target: None, words: |_, _| words(&["parked"]) },
    Question {
        what: "unanswered",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["unanswered"]),
    },
    Question {
        what: "new",
        runs: SELDOM,
        target: Some(300.0),
        words: |_, _| words(&["new", "--since", "2026-01-01"]),
    },
];

/// Puts all questions to `pdns`, with a process for each.
pub(crate) fn all(server: &Server, subjects: &Subjects, report: &mut Report) {
    let start = times(OFTEN, |_| timed(server, &words(&["--version"])));
    report.milliseconds("pdns --version: a process that asks nothing", &start, None);
    for question in QUESTIONS {
        let times = times(question.runs, |run| timed(server, &(question.words)(subjects, run)));
        report.milliseconds(question.what, &times, question.target);
    }
    let most = QUESTIONS.iter().map(|question| resident(server, &(question.words)(subjects, 0)));
    let most = most.max().unwrap_or(0);
    let everything = words(&["find", "--limit", "0", "--format", "cof"]);
    let begin = Instant::now();
    let all = resident(server, &everything);
    report.number("find --limit 0, all records, in seconds", begin.elapsed().as_secs_f64());
    report.at_most("the most memory of all of them, MB", most.max(all) as f64 / 1e6, 100.0);
}

/// Looks up names and addresses on one connection.
pub(crate) fn inside(server: &Server, subjects: &Subjects, report: &mut Report) {
    let mut store = server.store();
    let mut timed = |what: What, limit: usize| {
        let query = Query { what, filter: Filter::default(), limit, sort: None };
        let begin = Instant::now();
        query::run(&mut store.reader(), &query, &mut |_| ControlFlow::Continue(()))
            .expect("it is there");
        begin.elapsed()
    };
    let names: Vec<NameBuf> = subjects
        .names
        .iter()
        .map(|name| NameBuf::parse(name).expect("a name of our own making"))
        .collect();
    let times_of = |timed: &mut dyn FnMut(usize) -> Duration| times(subjects.names.len(), timed);
    let around =
        times_of(&mut |run| timed(What::Name { name: names[run].clone(), negative: false }, 0));
    let addresses = times_of(&mut |run| {
        let address = subjects.addresses[run];
        timed(What::Addresses(address, address), 1000)
    });
    let own = times_of(&mut |run| {
        let begin = Instant::now();
        store
            .reader()
            .records_by_name(names[run].as_name(), &mut |_| ControlFlow::Continue(()))
            .expect("it is there");
        begin.elapsed()
    });
    let mut connection = server.connection();
    let ping = times_of(&mut |_| {
        let begin = Instant::now();
        let () = redis::cmd("PING").exec(&mut connection).expect("the server is there");
        begin.elapsed()
    });
    report.milliseconds("a question of Redis that reads nothing, there and back", &ping, None);
    report.milliseconds("inside the library: the records of a name", &own, Some(0.2));
    report.milliseconds("and with those that point at it", &around, None);
    report.milliseconds(
        "inside the library: an address, 1,000 rows at most",
        &addresses,
        Some(10.0),
    );
}

pub(crate) fn times(runs: usize, mut each: impl FnMut(usize) -> Duration) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..runs).map(&mut each).collect();
    times.sort_unstable();
    times
}

/// `pdns` with these words.
pub(crate) fn pdns(server: &Server, words: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pdns"));
    command.args(words).env("PDNS_REDIS", server.url());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What a process takes from its start to its end.
pub(crate) fn timed(server: &Server, words: &[String]) -> Duration {
    let begin = Instant::now();
    let status = pdns(server, words).status().expect("pdns starts");
    let time = begin.elapsed();
    assert!(matches!(status.code(), Some(0 | 1)), "pdns {words:?}: {status}");
    time
}

/// The largest resident memory of a process, in octets; looked at every millisecond.
pub(crate) fn resident(server: &Server, words: &[String]) -> u64 {
    let mut child = pdns(server, words).spawn().expect("pdns starts");
    let mut most = 0;
    while child.try_wait().expect("our own child can be waited for").is_none() {
        most = most.max(largest(child.id()));
        std::thread::sleep(Duration::from_millis(1));
    }
    most
}

/// The largest resident memory that a running process had, in octets.
pub(crate) fn largest(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
