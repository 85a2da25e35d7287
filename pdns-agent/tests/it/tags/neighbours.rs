//! Nearness and relations, against the reference that walks all records with plain dictionaries.

use crate::corpus::zeek_logs;
use crate::redis::Redis;
use crate::reference::python_json;
use crate::run::{Home, run};
use pdns_agent::query::{MAX_SHARED, TagSet, near};
use pdns_agent::tag::{Tag, TagKind, TagSubject};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

/// A store with records, to which tags are given.
struct World {
    home: Home,
    server: Redis,
}

impl World {
    fn pdns(&self) -> Command {
        let mut command = self.home.pdns();
        command.env("PDNS_REDIS", self.server.url());
        command
    }

    /// The lines of an answer as JSON.
    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let common = ["--format", "json", "--limit", "0"];
        let shown = run(&mut self.pdns(), &[arguments, &common].concat()).with(&[0, 1]);
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Tags of all kinds on what there is, and near it.
    fn tag(&self, rows: &[Value], random: &mut fastrand::Rng, count: usize) {
        let mut list = String::from("subject,kind\n");
        for _ in 0..count {
            let row = random.choice(rows).unwrap();
            let name = row["rrname"].as_str().unwrap();
            let rdata = row["rdata"].as_str().unwrap();
            let is_address = matches!(row["rrtype"].as_str(), Some("A" | "AAAA"));
            let parent = name.split_once('.').map_or(name, |(_, parent)| parent);
            let subject = match random.u8(0..6) {
                0 | 1 if is_address => rdata.to_owned(),
                2 if is_address && rdata.contains(':') => format!("{rdata}/{}", random.u8(40..127)),
                2 if is_address => format!("{rdata}/{}", random.u8(20..32)),
                3 if !parent.contains('\\') && !parent.is_empty() => format!("*.{parent}"),
                _ => name.replace('*', "\\*"),
            };
            let kind = random.choice(["threat", "threat", "interest", "trust"]).unwrap();
            writeln!(list, "\"{}\",{kind}", subject.replace('"', "\"\"")).unwrap();
        }
        let file = self.home.write("tags.csv", list);
        // What cannot be tagged, such as all names, is told and passed over.
        run(self.pdns().args(["tag", "import"]), &[file]).with(&[0, 2]);
    }

    /// Asks both sides; how many relations there were.
    fn check(&self, rows: &[Value], random: &mut fastrand::Rng) -> usize {
        let tags = self.lines(&["tag", "list"]);
        let list = concat!(env!("CARGO_MANIFEST_DIR"), "/src/query/parked.txt");
        let mut questions = vec![
            json!({"contrast": null, "parked": list}),
            json!({"contrast": null, "parked": null}),
        ];
        for _ in 0..8 {
            let row = random.choice(rows).unwrap();
            let name = row["rrname"].as_str().unwrap();
            let rdata = row["rdata"].as_str().unwrap();
            match row["rrtype"].as_str() {
                Some("A" | "AAAA") => {
                    let kind = random.choice([None, Some("threat"), Some("trust")]).unwrap();
                    questions.push(json!({"near": rdata, "kind": kind}));
                    questions.push(json!({"contrast": rdata, "parked": list}));
                }
                _ if is_plain(name) => {
                    let dot = if random.bool() { "." } else { "" };
                    questions.push(json!({"contrast": format!("{dot}{name}"), "parked": list}));
                }
                _ => {}
            }
        }
        let asked = json!({
            "rows": rows, "tags": tags, "most": MAX_SHARED, "questions": questions,
        });
        let answers = python_json("near.py", &[], &serde_json::to_vec(&asked).unwrap());
        let mut relations = 0;
        for (question, want) in questions.iter().zip(answers.as_array().unwrap()) {
            if let Some(address) = question["near"].as_str() {
                let kind = question["kind"].as_str().unwrap_or("any");
                let got: Vec<Value> = self
                    .lines(&["near", address, "--kind", kind])
                    .iter()
                    .map(|line| {
                        let distance = line["distance"].as_f64().unwrap();
                        json!([
                            line["subject"],
                            line["kind"],
                            line["address"],
                            format!("{distance:.4}"),
                            line["shared_prefix"],
                        ])
                    })
                    .collect();
                assert_eq!(&Value::from(got), want, "{question}");
            } else {
                relations += self.check_relations(question, want);
            }
        }
        relations
    }

    fn check_relations(&self, question: &Value, want: &Value) -> usize {
        let subject: Vec<&str> = question["contrast"].as_str().into_iter().collect();
        let parked = question["parked"].is_null().then_some("--include-parked");
        let arguments = [&["contrast"], subject.as_slice(), parked.as_slice()].concat();
        let lines = self.lines(&arguments);
        // The reference keeps names as they are stored.
        let shown = |value: &Value| {
            let text = value.as_str().unwrap();
            if text.starts_with("\\*") { text[1..].to_owned() } else { text.to_owned() }
        };
        // Most specific first, then most relations, then by subject.
        let order = |line: &Value| {
            let relations = line["relations"].as_array().unwrap();
            (relations[0]["shared_by"].as_u64().unwrap(), Reverse(relations.len()))
        };
        assert!(lines.is_sorted_by_key(order), "{question}");
        let (mut got, mut count) = (BTreeMap::new(), 0);
        for line in &lines {
            let relations = line["relations"].as_array().unwrap();
            count += relations.len();
            assert!(
                relations.is_sorted_by_key(|relation| relation["shared_by"].as_u64().unwrap()),
                "{line}"
            );
            let mut relations: Vec<Value> = relations
                .iter()
                .map(|relation| {
                    json!([
                        relation["shared_by"],
                        relation["relation"],
                        shown(&relation["via"]),
                        relation["threat"],
                        relation["threats"],
                    ])
                })
                .collect();
            let least = relations[0][0].as_f64().unwrap();
            assert!((line["score"].as_f64().unwrap() - 1.0 / least).abs() < 0.0001, "{line}");
            relations.sort_by_key(ToString::to_string);
            assert!(got.insert(shown(&line["subject"]), relations).is_none(), "{line} comes twice");
        }
        let mut wanted = BTreeMap::new();
        for (subject, relations) in want[0].as_object().unwrap() {
            let mut relations = relations.as_array().unwrap().clone();
            relations.sort_by_key(ToString::to_string);
            wanted.insert(subject.clone(), relations);
        }
        let differ =
            wanted.iter().find(|(subject, relations)| got.get(*subject) != Some(*relations));
        let extra = got.keys().find(|subject| !wanted.contains_key(*subject));
        assert!(
            differ.is_none() && extra.is_none(),
            "{question}: {} and not {}\nmissing {differ:#?} got {:#?}\nextra {extra:#?}",
            got.len(),
            wanted.len(),
            differ.map(|(subject, _)| got.get(subject)),
        );
        // A limit takes the first of them, and values that are left out are counted.
        let limited = [arguments.as_slice(), &["--limit", "3", "--format", "json"]].concat();
        let ended = run(&mut self.pdns(), &limited);
        let first: Vec<Value> =
            ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(first, lines[..lines.len().min(3)], "{question}");
        assert_eq!(ended.stderr.contains("cut off after 3 rows"), lines.len() > 3);
        for (number, words) in
            [(&want[1], "shared by more than 1000"), (&want[2], "local or parked")]
        {
            let said = match number.as_u64().unwrap() {
                0 => None,
                1 => Some(format!("1 value is {words}")),
                more => Some(format!("{more} values are {words}")),
            };
            assert_eq!(said.is_some(), ended.stderr.contains(words), "{question}: {ended:?}");
            assert!(said.is_none_or(|said| ended.stderr.contains(&said)), "{question}: {ended:?}");
        }
        count
    }
}

/// Whether a name is typed as it is shown, and is nothing else than a name.
fn is_plain(name: &str) -> bool {
    let letter = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    name.bytes().all(letter) && name.bytes().any(|octet| octet.is_ascii_alphabetic())
}

fn feed(world: &World, path: &std::path::Path) {
    // Some of the real logs are broken on purpose.
    run(world.home.agent().args(["zeek", "--once", "--redis", &world.server.url()]), &[path])
        .with(&[0, 1, 2]);
}

#[test]
fn real_neighbours_are_those_that_the_reference_finds() {
    let folder = zeek_logs().folder;
    let world = World { home: Home::new(), server: Redis::start() };
    feed(&world, &folder);
    let rows = world.lines(&["find"]);
    assert!(rows.len() > 500, "too little in {}", folder.display());
    let mut random = fastrand::Rng::with_seed(1);
    let mut relations = 0;
    for _ in 0..3 {
        world.tag(&rows, &mut random, 25);
        relations += world.check(&rows, &mut random);
    }
    assert!(relations > 100, "{relations}");
}

/// Few names, addresses, targets and servers, so that all of them meet often; and one address that too many
/// names share.
fn made_up(random: &mut fastrand::Rng) -> String {
    let mut log = String::new();
    let mut line = |query: &str, qtype: (u16, &str), answer: &str| {
        writeln!(
            log,
            r#"{{"ts":1700000000.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"{query}","qclass":1,"qclass_name":"C_INTERNET","qtype":{},"qtype_name":"{}","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["{answer}"],"TTLs":[60.0],"rejected":false}}"#,
            qtype.0, qtype.1
        )
        .unwrap();
    };
    let domains = ["a.com", "b.co.uk", "c.github.io", "d.example", "com", "e.com"];
    let labels = ["", "www.", "mail.", "x.y."];
    let name = |random: &mut fastrand::Rng| {
        format!("{}{}", random.choice(labels).unwrap(), random.choice(domains).unwrap())
    };
    for _ in 0..150 {
        let owner = name(random);
        let (high, low) = (random.u8(0..3), random.u8(0..6));
        match random.u8(0..6) {
            0 | 1 => {
                let local = ["127.0.0.1", "10.1.2.3", "103.224.182.9", "103.224.184.9"];
                let address = match random.u8(0..6) {
                    0 => (*random.choice(&local).unwrap()).to_owned(),
                    _ => format!("192.0.{high}.{low}"),
                };
                line(&owner, (1, "A"), &address);
            }
            2 => line(&owner, (28, "AAAA"), &format!("2001:db8:{high}::{low}")),
            3 => line(&owner, (5, "CNAME"), &name(random)),
            4 if low == 0 => line(&owner, (2, "NS"), "ns1.sedoparking.com"),
            4 => line(&owner, (2, "NS"), &format!("ns{low}.h.example")),
            _ => line(&owner, (16, "TXT"), "TXT 1 x"),
        }
    }
    for number in 0..=MAX_SHARED {
        line(&format!("n{number}.hot.example"), (1, "A"), "192.0.2.200");
    }
    log
}

#[test]
fn made_up_neighbours_are_those_that_the_reference_finds() {
    let mut random = fastrand::Rng::with_seed(2);
    let mut relations = 0;
    for _ in 0..3 {
        let world = World { home: Home::new(), server: Redis::start() };
        feed(&world, &world.home.write("dns.log", made_up(&mut random)));
        let all = world.lines(&["find"]);
        let is_hot = |row: &&Value| row["rrname"].as_str().unwrap().ends_with("hot.example");
        let rows: Vec<Value> = all.iter().filter(|row| !is_hot(row)).cloned().collect();
        world.tag(&rows, &mut random, 8);
        relations += world.check(&all, &mut random);
        let ended = run(world.pdns().args(["contrast", "--relation", "address"]), &["192.0.2.200"]);
        assert!(ended.stderr.contains("1 value is shared by more than 1000 names"), "{ended:?}");
    }
    assert!(relations > 200, "{relations}");
}

#[test]
fn the_nearest_of_many_is_found_in_no_time() {
    let mut random = fastrand::Rng::with_seed(4);
    let tag = |random: &mut fastrand::Rng| {
        let address = Ipv4Addr::from_bits(random.u32(..));
        Tag::new(TagKind::Threat, TagSubject::address(address.into()))
    };
    let tags = TagSet::new((0..50_000).map(|_| tag(&mut random)).collect());
    let best = (0..20)
        .map(|_| {
            let address = Ipv4Addr::from_bits(random.u32(..));
            let began = Instant::now();
            let (found, cut) = near(&tags, address.into(), Some(TagKind::Threat), 20);
            assert!(cut && found.len() == 20);
            began.elapsed()
        })
        .min()
        .unwrap();
    println!("nearest 20 of 50000: {best:?}");
    // Without optimization; with it, a millisecond is plenty.
    assert!(best < Duration::from_millis(200), "{best:?}");
}
