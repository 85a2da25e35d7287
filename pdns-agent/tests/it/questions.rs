//! Questions at random, typed as a person types them, against an independent reader of the same logs.
//!
//! `tests/reference/questions.py` makes them up and answers them with plain loops; it shares no code and no language
//! with the programs.

use crate::corpus::{files_below, zeek_logs};
use crate::redis::Redis;
use crate::reference::{python, python_json};
use crate::run::{Home, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What identifies a row.
fn identity(row: &Value) -> String {
    let part = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let partial = row["partial"].as_bool().unwrap_or(false).to_string();
    let parts = ["rrname", "rrtype", "rdata", "outcome", "why"].map(part);
    [parts.join("\t"), partial].join("\t")
}

/// What is wrong with an answer in rows.
fn rows_differ(got: &[Value], want: &[Value], limit: usize) -> Option<String> {
    let fits = if limit == 0 { want.len() } else { limit.min(want.len()) };
    if got.len() != fits {
        return Some(format!("{} rows, not {fits}", got.len()));
    }
    let mut places: BTreeMap<String, &Value> =
        want.iter().map(|entry| (identity(&entry["row"]), &entry["place"])).collect();
    for (row, entry) in got.iter().zip(want) {
        match places.remove(&identity(row)) {
            None => return Some(format!("{row} is too much, or comes twice")),
            Some(place) if *place != entry["place"] => {
                return Some(format!("{row} stands where {} should", entry["row"]));
            }
            Some(_) => {}
        }
    }
    None
}

/// What is wrong with an answer in sums or days.
fn sums_differ(got: &[Value], want: &[Value], limit: usize, exact: bool) -> Option<String> {
    let fits = if limit == 0 { want.len() } else { limit.min(want.len()) };
    let bare = |value: &Value| {
        let fields = value.as_object().expect("an object").clone();
        let fields = fields.into_iter().filter(|(name, _)| !name.ends_with("_iso"));
        fields.map(|(name, value)| (name, value.to_string())).collect::<BTreeMap<_, _>>()
    };
    let mut got: Vec<_> = got.iter().map(bare).collect();
    let mut want: Vec<_> = want.iter().take(fits).map(bare).collect();
    if !exact {
        got.sort();
        want.sort();
    }
    let differs = (0..got.len().max(want.len())).find(|&at| got.get(at) != want.get(at))?;
    Some(format!("at {differs}: {:?}, not {:?}", got.get(differs), want.get(differs)))
}

fn ask_all(logs: &[PathBuf], seed: u64, count: usize) {
    let (home, server) = (Home::new(), Redis::start());
    let url = server.url();
    run(home.agent().args(["zeek", "--once", "--redis", &url]), logs).with(&[0]);
    let numbers = [crate::logs::seed(seed).to_string(), count.to_string()];
    let mut words: Vec<&OsStr> = numbers.iter().map(OsStr::new).collect();
    words.extend(logs.iter().map(|log| log.as_os_str()));
    let questions = python_json("questions.py", &words, &[]);
    let mut wrong = Vec::new();
    let mut answered = 0;
    for question in questions.as_array().expect("an array") {
        let typed: Vec<&str> =
            question["args"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
        let mut words = typed.clone();
        let list = question["list"].as_str().map(|list| home.write("list.txt", list));
        let list = list.as_deref().map(Path::to_string_lossy);
        words.extend(list.iter().flat_map(|list| ["--list", list]));
        words.extend(["--redis", &url, "--format", "json"]);
        let ended = run(&mut home.pdns(), &words);
        let want = question["all"].as_array().expect("an array");
        let limit = usize::try_from(question["limit"].as_u64().unwrap()).unwrap();
        let exact = question["exact"] == true;
        let mut got: Vec<Value> =
            ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        if question["kind"] == "days" {
            // Days between without anything new have a line, too.
            got.retain(|day| day["names"] != 0 && day["domains"] != 0);
        }
        let differs = if question["kind"] == "rows" {
            rows_differ(&got, want, limit)
        } else {
            sums_differ(&got, want, limit, exact)
        };
        answered += usize::from(!want.is_empty());
        let only_negatives = ended.stderr.contains("no records, but negative answers");
        if only_negatives {
            words.push("--negative");
            let negatives = run(&mut home.pdns(), &words);
            assert!(got.is_empty() && !negatives.stdout.is_empty(), "{typed:?}");
        }
        let code = i32::from(got.is_empty() && !only_negatives);
        let cut = limit != 0 && want.len() > limit;
        // A scan that knows no types may not be sure whether there is more.
        let told = ended.stderr.contains("cut off after") == cut || !exact;
        if differs.is_some() || ended.code != Some(code) || !told {
            wrong.push(format!(
                "pdns {typed:?}\n  {differs:?}\n  {:?} {}",
                ended.code, ended.stderr
            ));
        }
    }
    assert!(answered * 2 > count, "only {answered} of {count} have an answer");
    let number = wrong.len();
    wrong.truncate(8);
    assert!(number == 0, "{number} of {count} differ:\n{}", wrong.join("\n"));
}

#[test]
fn questions_about_odd_logs_are_answered_as_the_reference_answers_them() {
    let home = Home::new();
    let odd = python("odd.py", &["3", "3000", "tsv"].map(OsStr::new), &[]);
    ask_all(&[home.write("dns.log", odd)], 1, 280);
}

#[test]
fn questions_about_real_logs_are_answered_as_the_reference_answers_them() {
    let mut logs = Vec::new();
    files_below(&zeek_logs().folder.join("rita/archive-72h"), &mut logs);
    ask_all(&logs, 2, 280);
}
