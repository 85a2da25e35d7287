//! Measures what judging a name by its text costs: `cargo xtask bench names`.
//!
//! Half of the names are made of two words of the dictionary, half by algorithms of malware. Each is judged on one thread.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a program that prints times and ratios"
)]

#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/report.rs"]
mod report;

use pdns_agent::analyze::{MimicIndex, Model, brands, generate};
use pdns_agent::name::NameBuf;
use report::Report;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Names of each half.
const HALF: usize = 100_000;
/// Popular names that are protected beside the brands: for the time, and for the memory.
const POPULAR: usize = 10_000;
const MANY: usize = 100_000;
/// Rounds, of which the best counts: the machine is shared.
const ROUNDS: usize = 5;

fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench names`");
        return;
    };
    let mut report = Report::new();
    let model = Model::embedded().expect("the model is whole");
    let words = Words(model.words());
    let names = names(&words);
    let rate = |judge: &dyn Fn(&NameBuf)| {
        let times = (0..ROUNDS).map(|_| {
            let begin = Instant::now();
            names.iter().for_each(judge);
            begin.elapsed()
        });
        let best = times.min().unwrap_or_default();
        names.len() as f64 / best.as_secs_f64() / 1e3
    };
    let classify = rate(&|name| {
        black_box(model.classify(name.as_name()));
    });
    report.at_least("thousand probabilities a second and core", classify, 150.0);
    let explain = rate(&|name| {
        black_box(model.explain(name.as_name()));
    });
    report.at_least("the same with reasons", explain, 40.0);
    let bayes = rate(&|name| {
        let label = name.as_str().split('.').next().unwrap_or_default();
        black_box(model.bayes(label));
    });
    report.at_least("the same by Bayes alone", bayes, 1_000.0);
    mimics(&mut report, &words, &names);
    report.write(&folder.join("names.tsv"));
}

/// The dictionary, of which words are taken again and again.
struct Words(Vec<String>);

impl Words {
    fn at(&self, at: usize) -> &str {
        self.0.get(at % self.0.len()).map_or("", String::as_str)
    }
}

/// Names of words, and of algorithms.
fn names(words: &Words) -> Vec<NameBuf> {
    let chosen =
        (0..HALF).map(|at| format!("{}{}.com", words.at(at * 7_919), words.at(at * 104_729 + 1)));
    let each = HALF.div_ceil(generate(1, &words.0, 1).len());
    let made = generate(each, &words.0, 1).into_iter().map(|one| format!("{}.net", one.label));
    chosen.chain(made.take(HALF)).map(|name| NameBuf::parse(&name).expect("a name")).collect()
}

/// The brands and so many popular names. The labels of real lists have nine letters on average.
fn protected(words: &Words, popular: usize) -> Vec<NameBuf> {
    let more = (0..popular).map(|at| {
        let name = format!("{}{}.org", words.at(at * 6_151 + 3), at % 10);
        NameBuf::parse(&name).expect("a name")
    });
    brands().into_iter().chain(more).collect()
}

/// Cost of comparing names with protected ones.
fn mimics(report: &mut Report, words: &Words, names: &[NameBuf]) {
    let index = MimicIndex::new(&protected(words, POPULAR));
    let mut times: Vec<Duration> = names
        .iter()
        .map(|name| {
            let begin = Instant::now();
            black_box(index.find(name.as_name()));
            begin.elapsed()
        })
        .collect();
    let mean = times.iter().sum::<Duration>().as_secs_f64() * 1e6 / times.len() as f64;
    report.at_most("us for a name compared with 10,000 protected ones, mean", mean, 10.0);
    times.sort_unstable();
    report.milliseconds("the same", &times, Some(1.0));
    let many = protected(words, MANY);
    let before = resident();
    let index = MimicIndex::new(&many);
    report.at_most("MB of an index of 100,000 protected names", (resident() - before) / 1e6, 100.0);
    black_box(index);
}

/// Memory of this process, in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.expect("a number of pages") * 4_096.0
}
