//! Judgement of names: features as `tests/reference/judgement.py` has them, a forest as good as scikit-learn's, the same
//! file from the same lists, and the program as it is typed.
//!
//! The lists in `tests/data/judgement` are small: what they show is agreement, not quality.

#![expect(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "a few hundred names, and scores that tie exactly"
)]

use crate::redis::Redis;
use crate::reference::python_json;
use crate::run::{Home, run};
use pdns_agent::analyze::{Labelled, Model, Report, TrainOptions, squats, train};
use pdns_agent::name::NameBuf;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The lines of a list of names, without comments.
fn lines(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/judgement").join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// A list of names, and their labels.
fn list(file: &str) -> (Vec<Labelled>, Vec<String>) {
    let named = lines(file).into_iter().map(|line| {
        let (name, group) = line.split_once('\t').unwrap_or((&line, "list"));
        let label = name.split('.').next().unwrap().to_owned();
        (Labelled { name: NameBuf::parse(name).unwrap(), group: group.to_owned() }, label)
    });
    named.unzip()
}

/// Options under which scikit-learn's forest has the same labels.
fn options() -> TrainOptions {
    TrainOptions { trees: 200, generated: 0, unseen: false, ..TrainOptions::default() }
}

fn half<T: Clone>(all: &[T], odd: bool) -> Vec<T> {
    let picked = all.iter().enumerate().filter(|(at, _)| (at % 2 == 1) == odd);
    picked.map(|(_, one)| one.clone()).collect()
}

/// The share of pairs in which the bad label scores higher.
fn auc(bad: &[f64], good: &[f64]) -> f64 {
    let pairs = bad.iter().flat_map(|bad| good.iter().map(move |good| (bad, good)));
    let wins = pairs
        .map(|(bad, good)| if bad > good { 1.0 } else { f64::from(u8::from(bad == good)) / 2.0 });
    wins.sum::<f64>() / (bad.len() * good.len()) as f64
}

#[test]
fn features_and_forest_agree_with_the_reference() {
    let ((good, good_labels), (bad, bad_labels)) = (list("good.txt"), list("bad.txt"));
    let words = lines("words.txt");
    let halves = |odd| (half(&good, odd), half(&bad, odd));
    let (good_half, bad_half) = halves(false);
    let (bytes, _) = train(&good_half, &bad_half, &words, &options()).unwrap();
    let model = Model::from_bytes(&bytes).unwrap();

    let row = |labels: &[String], is_bad: bool| -> Vec<Value> {
        half(labels, false).iter().map(|label| json!([label, is_bad])).collect()
    };
    let (tested_good, tested_bad) = (half(&good_labels, true), half(&bad_labels, true));
    let odd = ["-", "a", "7", "a-b--c", "0x1f", "zzzz9999", "deadbeef7"].map(str::to_owned);
    let both = [row(&bad_labels, true), row(&good_labels, false)].concat();
    let tested = [&tested_good[..], &tested_bad[..], &odd[..]].concat();
    let task = json!({
        "train": both,
        "test": tested,
        "words": words,
    });
    let said = python_json("judgement.py", &[], task.to_string().as_bytes());

    let features = said["features"].as_object().unwrap();
    assert!(features.len() > 500, "{}", features.len());
    for (label, theirs) in features {
        for ((name, ours), theirs) in model.features(label).iter().zip(theirs.as_array().unwrap()) {
            let (ours, theirs) = (f64::from(*ours), theirs.as_f64().unwrap());
            let near = 1e-4 * theirs.abs().max(1.0);
            assert!((ours - theirs).abs() < near, "{label}: {name} is {ours}, not {theirs}");
        }
    }
    let score = |label: &String| {
        let name = NameBuf::parse(&format!("{label}.com")).unwrap();
        (model.classify(name.as_name()).scores.forest, said["forest"][label].as_f64().unwrap())
    };
    let (ours_bad, theirs_bad): (Vec<f64>, Vec<f64>) = tested_bad.iter().map(score).unzip();
    let (ours_good, theirs_good): (Vec<f64>, Vec<f64>) = tested_good.iter().map(score).unzip();
    let (ours, theirs) = (auc(&ours_bad, &ours_good), auc(&theirs_bad, &theirs_good));
    assert!(ours > 0.9 && (ours - theirs).abs() < 0.02, "AUC {ours}, scikit-learn {theirs}");
    let apart = |ours: &[f64], theirs: &[f64]| {
        ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).sum::<f64>() / ours.len() as f64
    };
    let apart = apart(&ours_bad, &theirs_bad).max(apart(&ours_good, &theirs_good));
    assert!(apart < 0.08, "scores are {apart} apart on average");
}

#[test]
fn equal_lists_make_equal_files_whatever_the_number_of_threads() {
    let ((good, _), (bad, _)) = (list("good.txt"), list("bad.txt"));
    let words = lines("words.txt");
    let small = TrainOptions { trees: 8, generated: 5, ..TrainOptions::default() };
    let (first, report) = train(&good, &bad, &words, &small).unwrap();
    let one = TrainOptions { threads: 1, ..small.clone() };
    assert_eq!(train(&good, &bad, &words, &one).unwrap().0, first);
    let seed = TrainOptions { seed: 2, ..small };
    assert_ne!(train(&good, &bad, &words, &seed).unwrap().0, first);
    let Report { trained, unseen, groups, .. } = report;
    assert!(trained.auc > 0.9, "{}", trained.auc);
    assert!(unseen.is_some_and(|unseen| unseen.auc > 0.7 && unseen.auc < trained.auc + 0.02));
    assert!(groups.iter().any(|group| group.name == "qakbot" && group.is_bad && group.at_1 > 0.5));
}

/// Ends of a program that reads a list.
fn typed(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let home = Home::new();
    let mut child = home
        .pdns()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn names_get_verdicts_with_reasons() {
    let input = "www.google.com\n\n# a comment\nkq7xv2jz9wpl4mt.biz\nhp.com\nxn--bcher-kva.example\nevil[.]example\n";
    let (code, out, err) = typed(&["classify", "-"], input);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let said = objects(&out);
    let verdicts: Vec<_> =
        said.iter().map(|one| (one["name"].as_str(), one["verdict"].as_str())).collect();
    assert_eq!(
        verdicts,
        [
            (Some("www.google.com"), Some("benign")),
            (Some("kq7xv2jz9wpl4mt.biz"), Some("dga")),
            (Some("hp.com"), Some("too_short")),
            (Some("xn--bcher-kva.example"), Some("idn")),
            (Some("evil.example"), Some("too_short")),
        ]
    );
    assert_eq!(said[0]["registrable"], "google.com");
    for one in &said {
        for score in ["p", "bayes", "forest"] {
            assert!((0.0..=1.0).contains(&one[score].as_f64().unwrap()), "{one}");
        }
        assert!(!one["reasons"].as_array().unwrap().is_empty(), "{one}");
    }
}

#[test]
fn names_that_belong_together_get_one_verdict() {
    let input = "wqmfrk.com\nbxzkjpd.net\n\n\ntvhqzrl.org\nkjwxq.info\ngcfmzbt.biz\nqpdlrx.cc\n\nexample.com\nwikipedia.org\ndebian.org\n";
    let (code, out, err) = typed(&["classify", "--sets", "-"], input);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let said = objects(&out);
    let sets: Vec<_> = said
        .iter()
        .map(|one| (one["set"].as_u64(), one["n"].as_u64(), one["verdict"].as_str()))
        .collect();
    assert_eq!(
        sets,
        [
            (Some(1), Some(2), Some("dga")),
            (Some(2), Some(4), Some("dga")),
            (Some(3), Some(3), Some("benign")),
        ]
    );
    // What a set has beyond the bound is told once, not name by name.
    let input = format!("{}\nexample.com\n", "example.org\n".repeat(100_003));
    let (code, out, err) = typed(&["classify", "--sets", "-"], &input);
    assert_eq!((code, objects(&out).len(), &objects(&out)[0]["n"]), (Some(2), 2, &100_000.into()));
    assert_eq!(err, "pdns: 3 names were left out, because a set has more than 100000\n");
}

#[test]
fn bad_lines_and_bad_models_are_reported() {
    let (code, out, err) =
        typed(&["classify", "-"], "a b\n192.0.2.1\nexample.com\n\u{1b}[31m.com\n");
    assert_eq!(code, Some(2), "{err}");
    assert_eq!(objects(&out).len(), 1);
    assert_eq!(err.lines().filter(|line| line.contains("skipped: ")).count(), 3, "{err}");
    assert!(err.bytes().all(|octet| octet == b'\n' || (b' '..=b'~').contains(&octet)), "{err:?}");

    let home = Home::new();
    // A pipe that nobody writes to is not waited for.
    let pipe = home.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (command, option) in [
        ("classify", "--model"),
        ("mimics", "--protect"),
        ("score", "--weights"),
        ("score", "--top-list"),
        ("intel", "list"),
    ] {
        let ended = match command {
            "intel" => run(home.pdns().args(["intel", "import", "--dry-run"]).arg(&pipe), &[""; 0]),
            _ => run(home.pdns().args([command, option]).arg(&pipe), &["example.com"]),
        };
        assert_eq!(ended.code, Some(2), "{command} {option}");
        let why = "it is a FIFO, not a regular file";
        assert!(ended.stderr.contains(why), "{command} {option}: {}", ended.stderr);
    }
    let path = home.write("model", "PDNSDGA1 and no more");
    let ended = run(home.pdns().args(["classify", "--model"]).arg(&path), &["example.com"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("damaged: the checksum does not match"), "{}", ended.stderr);
}

#[test]
fn a_model_is_trained_and_used() {
    let home = Home::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/judgement");
    let path = |file: &str| data.join(file).display().to_string();
    let out = home.path().join("model").display().to_string();
    let (good, bad) = (path("good.txt"), path("bad.txt"));
    let arguments = [
        "--good",
        &good,
        "--bad",
        &bad,
        "--out",
        &out,
        "--trees",
        "4",
        "--generated",
        "5",
        "--quick",
    ];
    let ended = run(home.pdns().arg("train"), &arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["good"], 700);
    let table = run(home.pdns().arg("train").args(["--format", "table"]), &arguments);
    assert!(table.stdout.lines().all(|line| line.len() <= 100), "{}", table.stdout);
    let ended = run(home.pdns().args(["classify", "--model"]).arg(&out), &["kq7xv2jz9wpl4mt.biz"]);
    assert_eq!(objects(&ended.stdout)[0]["verdict"], "dga");
}

#[test]
fn a_model_is_trained_from_the_tags_of_analysts_alone() {
    let (home, server) = (Home::new(), Redis::start());
    let url = server.url();
    let file = |name: &str, names: &[String]| home.write(name, names.join("\n"));
    let first = |file: &str| -> Vec<String> {
        let name = |line: &String| line.split('\t').next().unwrap_or_default().to_owned();
        lines(file).iter().map(name).collect()
    };
    let (good, bad) = (first("good.txt"), first("bad.txt"));
    // What a feed says does not count.
    let (by_analysts, by_feed) = good.split_at(400);
    for (kind, list) in
        [("trust", file("trust.txt", by_analysts)), ("threat", file("threat.txt", &bad))]
    {
        let import = ["tag", "import", "--kind", kind, "--redis", &url];
        run(home.pdns().args(import), &[list]).with(&[0]);
    }
    let import = ["intel", "import", "--source", "feed", "--kind", "trust", "--redis", &url];
    run(home.pdns().args(import), &[file("feed.txt", by_feed)]).with(&[0, 1]);
    let out = home.path().join("model").display().to_string();
    let train = ["train", "--from-tags", "--trees", "4", "--generated", "0", "--quick", "--out"];
    let ended = run(home.pdns().args(train), &[&out, "--redis", &url]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["good"], 400, "{report}");

    // And without tags there is nothing to train from.
    server.flush();
    let ended = run(home.pdns().args(train), &[&out, "--redis", &url]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("0 distinct labels of good names"), "{}", ended.stderr);
}

#[test]
fn imitations_of_protected_names_are_found() {
    let input = "paypa1.com\nwww.paypal.com\nlogin.paypal.com.host17.top\nwikipedia.org\nxn--80aa0cbo65f.com\n";
    let (code, out, err) = typed(&["mimics", "-"], input);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let said: Vec<_> = objects(&out)
        .iter()
        .map(|one| {
            (
                one["target"].as_str().map(str::to_owned),
                one["kind"].as_str().map(str::to_owned),
                one["is_mimic"].as_bool(),
            )
        })
        .collect();
    let paypal = |kind: &str| (Some("paypal.com".to_owned()), Some(kind.to_owned()), Some(true));
    let none = (None, None, Some(false));
    assert_eq!(
        said,
        [paypal("homoglyph"), none.clone(), paypal("levelsquat"), none, paypal("cyrillic")]
    );

    let home = Home::new();
    let list = home.write("ours", "# ours\nexample.org\n");
    let ended =
        run(home.pdns().args(["mimics", "--protect"]).arg(&list), &["exmaple.org", "paypa1.com"]);
    let said = objects(&ended.stdout);
    assert_eq!(
        (said[0]["target"].as_str(), said[0]["kind"].as_str()),
        (Some("example.org"), Some("transposition"))
    );
    assert_eq!(said[1]["score"], 0);
    // A list of popular names, with a public suffix in it as such lists have; the operator's own come first.
    let top = home.write("top.csv", "1,paypal.com\n2,blogspot.com\n3,co.uk\n4,example.net\n");
    let mut pdns = home.pdns();
    pdns.args(["mimics", "--protect"]).arg(&list).arg("--top-list").arg(&top);
    let ended = run(&mut pdns, &["paypa1.com", "exmaple.org"]);
    let said = objects(&ended.stdout);
    assert_eq!(
        (&said[0]["target"], &said[1]["target"]),
        (&json!("paypal.com"), &json!("example.org"))
    );
    assert!(ended.stderr.contains("left out of ") && ended.code == Some(0), "{}", ended.stderr);
    let list = home.write("ours", "bücher.example\n");
    let ended = run(home.pdns().args(["mimics", "--protect"]).arg(&list), &["bucher.example"]);
    assert_eq!(objects(&ended.stdout)[0]["target"], "xn--bcher-kva.example");
    let list = home.write("ours", "example.org\n\nnot a name\n");
    let ended = run(home.pdns().args(["mimics", "--protect"]).arg(&list), &["exmaple.org"]);
    assert!(ended.code == Some(2) && ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr.contains("ours: line 3: not the name of a host"), "{ended:?}");
}

#[test]
fn names_are_read_as_they_are_printed() {
    let mut input = String::new();
    let mut wanted = Vec::new();
    let symbols = (b'!'..=b'~').filter(|octet| !octet.is_ascii_alphanumeric());
    for symbol in symbols.map(char::from) {
        let name = NameBuf::parse(&format!("pay\\{symbol}pal.com")).unwrap().to_string();
        writeln!(input, "{name}").unwrap();
        wanted.push(name);
    }
    for (typed, name) in [
        ("pay\\000pal.com", "pay\\000pal.com"),
        ("*.paypa1.com", "*.paypa1.com"),
        ("\\034paypal.com", "\\\"paypal.com"),
        // What is pasted is read as before.
        ("hxxp://evil.example.com/a/b.com", "evil.example.com"),
        ("evil.example.com/run.sh", "evil.example.com"),
        ("\"evil.example.com\"", "evil.example.com"),
    ] {
        writeln!(input, "{typed}").unwrap();
        wanted.push(name.to_owned());
    }
    for command in ["mimics", "classify"] {
        let (code, out, err) = typed(&[command, "-"], &input);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{command}");
        let names: Vec<_> =
            objects(&out).iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, wanted, "{command}");
    }
    let (code, _, err) =
        typed(&["mimics", "-"], "192.0.2.0/24\n192.0.2.1\na b.com\nhttp:///a.com\n");
    assert_eq!((code, err.matches("skipped").count()), (Some(2), 4), "{err}");
}

#[test]
fn all_that_dnstwist_makes_is_listed() {
    let domains = [
        "paypal.com",
        "my-bank.de",
        "bbc.co.uk",
        "microsoft.com",
        "t-online.de",
        "google.com",
        "example.org",
        "1und1.de",
        "deutsche-bank.de",
        "rolls-royce.com",
    ];
    let said = python_json("squats.py", &domains.map(OsStr::new), &[]);
    let mut kinds = BTreeSet::new();
    for domain in domains {
        let name = NameBuf::parse(domain).unwrap();
        let ours: BTreeSet<String> = squats(name.as_name())
            .unwrap()
            .all
            .iter()
            .map(|squat| squat.name.to_string())
            .collect();
        for (kind, names) in said[domain].as_object().unwrap() {
            kinds.insert(kind.clone());
            let missing: Vec<&Value> = names
                .as_array()
                .unwrap()
                .iter()
                .filter(|name| !ours.contains(name.as_str().unwrap()))
                .collect();
            assert!(missing.is_empty(), "{kind} of {domain}: {missing:?}");
        }
    }
    assert_eq!(kinds.len(), 14, "{kinds:?}");
}

#[test]
fn squats_that_are_possible_are_listed() {
    let home = Home::new();
    let possible = |words: &[&str]| run(home.pdns().args(["squats", "--possible"]), words);
    let ended = possible(&["paypal.com", "--kind", "vowel-swap,tld-swap"]);
    assert_eq!(ended.code, Some(0));
    let said = objects(&ended.stdout);
    assert!(said.iter().any(|one| one["name"] == "peypal.com" && one["kind"] == "vowel-swap"));
    assert!(
        said.iter().all(|one| ["vowel-swap", "tld-swap"].contains(&one["kind"].as_str().unwrap()))
    );
    let ended = possible(&["www.paypal.com", "--limit", "3"]);
    assert_eq!((ended.code, objects(&ended.stdout).len()), (Some(0), 3));
    assert_eq!(
        ended.stderr,
        "pdns: names that imitate paypal.com, the domain of www.paypal.com\n\
         pdns: cut off after 3 names, there are more; --limit N or --limit 0 shows them\n"
    );
    // What is beyond the bound is not left out in silence.
    let long = format!("{}.com", "b".repeat(45));
    let ended = possible(&[&long]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 200_000));
    assert!(ended.stderr.contains("not all are listed"), "{}", ended.stderr);
    let ended = possible(&[&long, "--kind", "omission"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let ended = possible(&["com"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("com is not a domain that can be imitated"), "{}", ended.stderr);
    // Nothing ends without a name and without a reason.
    for (words, why) in [
        (&["paypal.com", "--kind", "levelsquat"][..], "the other domain may be any"),
        (&["paypal.com", "--kind", "two-edits,levelsquat"], "there are too many"),
        (&["xn--a.com"], "not a valid internationalized one"),
        (&["xn--fiqs8s.com"], "look like none of a to z"),
        (&["a\\000b.com"], "characters that no host name has"),
    ] {
        let ended = possible(words);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(ended.stderr.contains(why), "{words:?}: {}", ended.stderr);
    }
    let ended = possible(&["paypal.com", "--kind", "levelsquat,tld-swap", "--limit", "1"]);
    assert_eq!((ended.code, objects(&ended.stdout).len()), (Some(0), 1));
    assert!(ended.stderr.contains("levelsquat names cannot be listed"), "{}", ended.stderr);
}

/// Those who made what is compiled in want to be named, or it is said that it was made for pdns.
#[test]
fn each_list_within_the_programs_is_in_the_notice() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let notice = fs::read_to_string(root.join("NOTICE")).unwrap();
    let (mut due, mut lists) = (vec![root.join("src")], 0);
    while let Some(path) = due.pop() {
        if path.is_dir() {
            due.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let ends = path.extension().and_then(OsStr::to_str);
        if matches!(ends, Some("txt" | "bin")) {
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            assert!(notice.contains(&shown), "{shown} is not in NOTICE");
            lists += 1;
        }
    }
    assert!(lists > 8, "{lists}");
    for other in ["data/words.txt", "Public Suffix List", "unicode-security"] {
        assert!(notice.contains(other), "{other} is not in NOTICE");
    }
}
