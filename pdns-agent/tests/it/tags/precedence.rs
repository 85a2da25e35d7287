//! Precedence among tags: the table of examples in `docs/tags-and-intel.md`, each put to everything that goes by tags.

use crate::redis::Redis;
use crate::run::{Home, run};
use crate::serve::{add, wire};
use crate::store::options;
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// A line of the table: tags, a record, and the kinds in effect on its two ends.
struct Example {
    tags: Vec<(String, String)>,
    rrname: String,
    rrtype: RrType,
    rdata: String,
    ends: [Vec<String>; 2],
}

fn examples() -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tags-and-intel.md");
    let text = std::fs::read_to_string(path).expect("the document is there");
    let (_, table) = text.split_once("| tags | record | rrname | rdata |\n").expect("a table");
    let lines = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    lines.map(example).collect()
}

fn example(line: &str) -> Example {
    let cells: Vec<String> = line
        .trim_matches('|')
        .split('|')
        .map(|cell| cell.replace('`', "").trim().to_owned())
        .collect();
    let [tags, record, rrname, rdata] = cells.try_into().expect("four cells");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let kinds =
        |cell: &str| cell.split(", ").filter(|kind| *kind != "-").map(str::to_owned).collect();
    let tags = tags.split(", ").map(|tag| match words(tag).as_slice() {
        [kind, subject] => (kind.clone(), subject.clone()),
        other => panic!("no tag: {other:?}"),
    });
    let [owner, rrtype, right] = words(&record).try_into().expect("three words");
    let rrtype = if rrtype == "A" { RrType::A } else { RrType::CNAME };
    let ends = [kinds(&rrname), kinds(&rdata)];
    Example { tags: tags.collect(), rrname: owner, rrtype, rdata: right, ends }
}

struct Site {
    home: Home,
    redis: Redis,
}

impl Site {
    fn pdns(&self) -> Command {
        let mut command = self.home.pdns();
        command.env("PDNS_REDIS", self.redis.url());
        command
    }

    fn ask(&self, words: &[&str]) -> String {
        run(&mut self.pdns(), words).with(&[0, 1])
    }
}

#[test]
fn nearer_goes_before_wider_everywhere() {
    let examples = examples();
    assert!(examples.len() > 6, "{}", examples.len());
    for example in &examples {
        let site = Site { home: Home::new(), redis: Redis::start() };
        let mut store = Store::open(&options(&site.redis)).unwrap();
        let octets = match example.rrtype {
            RrType::A => example.rdata.parse::<Ipv4Addr>().unwrap().octets().to_vec(),
            _ => wire(&example.rdata),
        };
        add(&mut store, 1, &[(example.rrname.clone(), example.rrtype, octets, 0)]);
        for (kind, subject) in &example.tags {
            run(&mut site.pdns(), &["tag", "set", kind, subject]).with(&[0]);
        }
        check(&site, example);
    }
}

fn check(site: &Site, example: &Example) {
    let about = format!("{:?} on {} {}", example.tags, example.rrname, example.rdata);
    let object = |format: &str| -> Value {
        let shown = site.ask(&["find", "--format", format]);
        serde_json::from_str(&shown).unwrap()
    };
    let sorted = |mut kinds: Vec<String>| {
        kinds.sort();
        kinds.dedup();
        kinds
    };
    let both = sorted(example.ends.concat());
    // JSON names the end of each tag, COF the kinds of each end and of both, a table each end.
    let json = object("json");
    let cof = object("cof");
    let texts = |value: &Value| -> Vec<String> {
        let kinds = value.as_array().cloned().unwrap_or_default();
        sorted(kinds.iter().map(|kind| kind.as_str().unwrap().to_owned()).collect())
    };
    let table = site.ask(&["find", "--format", "table"]);
    for (end, kinds) in ["rrname", "rdata"].into_iter().zip(&example.ends) {
        let tags = json["tags"].as_array().cloned().unwrap_or_default();
        let here = tags.iter().filter(|tag| tag["end"] == end);
        let here = here.map(|tag| tag["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(sorted(here), sorted(kinds.clone()), "{about}: {json}");
        assert_eq!(
            texts(&cof[format!("pdns_{end}_tags")]),
            sorted(kinds.clone()),
            "{about}: {cof}"
        );
        assert_eq!(table.contains(&format!("{end}:")), !kinds.is_empty(), "{about}: {table}");
    }
    assert_eq!(texts(&cof["pdns_tags"]), both, "{about}: {cof}");
    // Filters, of rows and of sums, and new names by tag.
    let today = "2023-11-14";
    for kind in ["threat", "trust", "interest", "any", "none"] {
        let is_wanted = match kind {
            "any" => !both.is_empty(),
            "none" => both.is_empty(),
            kind => both.iter().any(|known| known == kind),
        };
        for words in [&["find"][..], &["top"], &["top", "--by", "names"], &["new", "--list", today]]
        {
            let words = [words, &["--tag", kind, "--format", "plain"]].concat();
            assert_eq!(!site.ask(&words).is_empty(), is_wanted, "{about}: {words:?}");
        }
    }
    // A list of threats for Zeek has the owner's name if it is one.
    let words = ["export", "--tag", "threat", "--format", "zeek-intel"];
    let listed = site
        .ask(&words)
        .lines()
        .any(|line| line.split('\t').next() == Some(example.rrname.as_str()));
    let is_threat = example.ends[0].iter().any(|kind| kind == "threat");
    assert_eq!(listed, is_threat, "{about}");
    // What is trusted is nobody's threat: it has no neighbours.
    if both.iter().all(|kind| kind == "trust") {
        assert_eq!(site.ask(&["contrast", "--format", "plain"]), "", "{about}");
    }
}
