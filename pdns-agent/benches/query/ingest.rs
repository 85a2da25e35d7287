//! What questions cost those who write.

use crate::ask::pdns;
use crate::report::Report;
use crate::server::Server;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rows about names that the store knows, one in ten about a new one.
pub(crate) const LOG: &str = "two-of-ten-million.tsv";

/// The agent's rate alone, and while searches run without a pause.
pub(crate) fn beside_questions(server: &Server, folder: &Path, report: &mut Report) {
    let log = folder.join(LOG);
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    let mut answers = 0;
    // In turns, since the machine's speed drifts.
    for _ in 0..3 {
        alone.push(import(server, &log));
        let (time, asked) = beside_loop(server, || import(server, &log));
        beside.push(time);
        answers += asked;
    }
    alone.sort_unstable();
    beside.sort_unstable();
    let ratio = alone[1].as_secs_f64() / beside[1].as_secs_f64();
    report.number("an import alone, in seconds", alone[1].as_secs_f64());
    report.number("the same beside find --contains and top in a loop", beside[1].as_secs_f64());
    report.number("questions answered meanwhile", answers as f64 / 3.0);
    report.at_least("the rate beside questions, of that alone", ratio, 0.8);
}

/// Does something while two loops of questions run; how many were answered.
fn beside_loop(server: &Server, mut work: impl FnMut() -> Duration) -> (Duration, u64) {
    let stop = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    let time = std::thread::scope(|scope| {
        scope.spawn(|| {
            let questions = [["find", "--contains", "baba"].as_slice(), &["top"]];
            for question in questions.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let words: Vec<String> = question.iter().map(|&word| word.to_owned()).collect();
                let status = pdns(server, &words).status().expect("pdns starts");
                assert!(status.success(), "pdns {words:?}: {status}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        let time = work();
        stop.store(true, Ordering::Relaxed);
        time
    });
    (time, answered.into_inner())
}

/// Imports the log as if it had never been read.
fn import(server: &Server, log: &Path) -> Duration {
    server.forget_sources();
    let begin = Instant::now();
    let ended = Command::new(env!("CARGO_BIN_EXE_pdns-agent"))
        .args(["zeek", "--once", "--workers", "1", "--sensor", "bench"])
        .args(["--redis", &server.url()])
        .arg(log)
        .env_remove("PDNS_REDIS")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the agent starts");
    assert!(ended.success(), "the agent failed");
    begin.elapsed()
}
