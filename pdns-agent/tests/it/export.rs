//! `pdns export`: each list, against what plain code makes of the same tags and records.

#[cfg(test)]
mod formats;

use crate::cli::{Site, golden};
use crate::run::run;
use crate::tags::tagged;
use pdns_agent::query::MAX_BELOW;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

/// A Zeek log of A records, a second after one another from 1700000000 on.
pub(crate) fn log<'r>(records: impl IntoIterator<Item = (&'r str, &'r str)>) -> String {
    let mut log = String::new();
    for (second, (name, address)) in (1_700_000_000..).zip(records) {
        writeln!(
            log,
            r#"{{"ts":{second}.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"{name}","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["{address}"],"TTLs":[300.0],"rejected":false}}"#
        )
        .unwrap();
    }
    log
}

/// Imports a log into a site.
fn import(site: &Site, log: &str) {
    let file = site.home.write("more/dns.log", log);
    run(site.agent().args(["zeek", "--once", "--sensor", "so-1"]), &[file]).with(&[0]);
}

/// The lines of an export.
fn lines(site: &Site, arguments: &[&str]) -> Vec<String> {
    let shown = run(&mut site.pdns(), &[&["export"], arguments].concat()).with(&[0, 1]);
    shown.lines().map(str::to_owned).collect()
}

#[test]
fn every_list_is_as_it_should_be() {
    let site = tagged();
    for line in [
        "tag set threat a\\027]0\\;x\\007.example.net 198.51.100.0/24 --author anna",
        "tag set interest {{7\\*7}}.example 192.0.2.8 \\*.example.net --author anna",
        "tag set trust login.example.com --author anna",
    ] {
        run(&mut site.pdns(), &line.split_whitespace().collect::<Vec<_>>()).with(&[0]);
    }
    let note = "=cmd()|'/C calc'!A0\t\"x\"\r\n\u{1b}[2J{{ pillar }} \\x41 \u{202e}";
    run(&mut site.pdns(), &["tag", "set", "threat", "198.51.100.1", "--note", note]).with(&[0]);
    let mut text = String::new();
    for list in ["zeek-intel", "suricata-dataset", "ip-descriptions", "plain"] {
        for kinds in ["--tag threat", "--tag interest", "--tag any"] {
            text += &site.typed(&format!("export {kinds} --format {list}"));
        }
    }
    text += &site.typed("export --tag threat --tag trust --format plain --limit 2");
    text += &site.typed("export --tag threat --format zeek-intel --url https://pdns.example.net/");
    text += &site.typed("export --format ip-descriptions");
    text += &site.typed("export --format ip-descriptions --last-after 2023-11-16");
    text += &site.typed("export --format ip-descriptions --limit 3");
    // A list without lines still has its head.
    run(&mut site.pdns(), &["tag", "clear", "trust", "login.example.com", "2001:db8::7"])
        .with(&[0]);
    for list in ["zeek-intel", "suricata-dataset", "ip-descriptions", "plain", "csv"] {
        text += &site.typed(&format!("export --tag trust --format {list}"));
    }
    golden("export.txt", &text);
    let listed = run(&mut site.pdns(), &["tag", "list", "--format", "csv"]).with(&[0]);
    // Tags have no TLP and count as amber, which is not for sharing unless asked for.
    let held = run(&mut site.pdns(), &["export", "--tag", "any", "--format", "csv"]);
    assert!(
        held.stderr.contains("held back because of TLP; --max-tlp amber includes"),
        "{}",
        held.stderr
    );
    assert_eq!(held.with(&[1]), "");
    let all = ["export", "--tag", "any", "--format", "csv", "--max-tlp", "amber"];
    let exported = run(&mut site.pdns(), &all).with(&[0]);
    // The columns of indicators are empty for tags, and subjects are written as one can type them.
    let subject = |text: &str| pdns_agent::query::tag_subject(text, None).unwrap();
    let mut pairs = exported.lines().zip(listed.lines());
    let (columns, first) = pairs.next().unwrap();
    assert!(columns.starts_with(&format!("{first},confidence,labels,")), "{columns}");
    for (one, other) in pairs {
        let (one, other) = (one.strip_suffix(",,,,,,,").unwrap(), other);
        let ((one, of_one), (other, of_other)) =
            (one.split_once(',').unwrap(), other.split_once(',').unwrap());
        assert_eq!((subject(one), of_one), (subject(other), of_other));
    }
    assert_eq!(exported.lines().count(), listed.lines().count());
}

/// The names that a list of names should have, by rules written down once more: the nearest tag with a say decides.
fn names_of(
    tags: &BTreeMap<(String, bool), BTreeSet<&str>>,
    stored: &BTreeSet<String>,
    kind: &str,
) -> BTreeSet<String> {
    let opposite = match kind {
        "threat" => "trust",
        "trust" => "threat",
        _ => "",
    };
    // The tag that decides on a name: whether it is on the name and all below it.
    let decides = |name: &str| {
        let mut at = Some(name);
        let mut exact = true;
        while let Some(suffix) = at {
            for below in [false, true].into_iter().filter(|below| exact || *below) {
                let kinds = tags.get(&(suffix.to_owned(), below));
                if kinds.is_some_and(|kinds| kinds.contains(kind)) {
                    return true;
                }
                if kinds.is_some_and(|kinds| kinds.contains(opposite)) {
                    return false;
                }
            }
            exact = false;
            at = suffix.split_once('.').map(|(_, rest)| rest);
        }
        false
    };
    let tagged = tags.iter().filter(|(_, kinds)| kinds.contains(kind)).map(|((name, _), _)| name);
    tagged.chain(stored).filter(|name| decides(name)).cloned().collect()
}

#[test]
fn lists_of_names_agree_with_a_model() {
    let site = Site::new();
    let mut random = fastrand::Rng::with_seed(6);
    let mut label = || random.choice(["a", "b", "c", "d", "e"]).unwrap();
    let names: Vec<String> = (0..400)
        .map(|number| {
            let depth = number % 4;
            let labels: Vec<&str> = (0..=depth).map(|_| label()).chain(["example"]).collect();
            labels.join(".")
        })
        .collect();
    import(&site, &log(names.iter().map(|name| (name.as_str(), "192.0.2.99"))));
    let shown = run(&mut site.pdns(), &["find", "--format", "json", "--limit", "0"]).with(&[0]);
    let stored: BTreeSet<String> = shown
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["rrname"].as_str().unwrap().to_owned()
        })
        .collect();
    for _ in 0..6 {
        let mut tags: BTreeMap<(String, bool), BTreeSet<&str>> = BTreeMap::new();
        let mut list = String::from("subject,kind\n");
        for _ in 0..40 {
            let name = random.choice(&names).unwrap();
            let below = random.bool();
            let kind = random.choice(["threat", "trust", "interest"]).unwrap();
            let kinds = tags.entry((name.clone(), below)).or_default();
            if kind != "interest" {
                kinds.retain(|known| *known == "interest");
            }
            kinds.insert(kind);
            writeln!(list, "{}{name},{kind}", if below { "." } else { "" }).unwrap();
        }
        let file = site.home.write("tags.csv", list);
        run(site.pdns().args(["tag", "import"]), &[&file]).with(&[0]);
        for kind in ["threat", "trust", "interest"] {
            let want = names_of(&tags, &stored, kind);
            let shown = lines(&site, &["--tag", kind, "--format", "zeek-intel"]);
            let got: Vec<String> = shown
                .iter()
                .skip(1)
                .map(|line| line.split('\t').next().unwrap().to_owned())
                .collect();
            let unique: BTreeSet<String> = got.iter().cloned().collect();
            assert_eq!(unique, want, "{kind}");
            assert_eq!(got.len(), unique.len(), "each name once");
            let again = lines(&site, &["--tag", kind, "--format", "zeek-intel"]);
            assert_eq!(again, shown, "the same order each time");
            let dataset = lines(&site, &["--tag", kind, "--format", "suricata-dataset"]);
            assert_eq!(dataset.len(), want.len());
        }
        for (name, below) in tags.keys() {
            let reach = if *below { "--below" } else { "--exact" };
            run(&mut site.pdns(), &["tag", "clear", reach, name]).with(&[0, 1]);
        }
    }
}

#[test]
fn a_trusted_address_is_left_out_of_its_prefix() {
    let site = Site::new();
    import(&site, &log([("www.bad.example", "192.0.2.99"), ("good.bad.example", "192.0.2.99")]));
    for line in [
        "tag set threat 192.0.2.0/29 .bad.example",
        "tag set interest 192.0.2.0/29 .bad.example",
        "tag set trust 192.0.2.5 good.bad.example",
        "tag set threat 2001:db8::/127",
        "tag set trust 2001:db8::1",
    ] {
        run(&mut site.pdns(), &line.split(' ').collect::<Vec<_>>()).with(&[0]);
    }
    let list = |arguments: &[&str]| -> Vec<(String, String)> {
        let lines = lines(&site, &[arguments, &["--format", "zeek-intel"]].concat());
        let read = |line: &String| {
            let mut fields = line.split('\t');
            let indicator = fields.next().unwrap().to_owned();
            (indicator, fields.next_back().unwrap().to_owned())
        };
        lines.iter().skip(1).map(read).collect()
    };
    let wanted = |lines: &[(&str, &str)]| -> Vec<(String, String)> {
        lines.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
    };
    let split = ["192.0.2.0/30", "192.0.2.4", "192.0.2.6/31", "2001:db8::"];
    assert_eq!(
        list(&["--tag", "threat"]),
        wanted(&[
            ("bad.example", "T"),
            (split[0], "T"),
            (split[1], "T"),
            (split[2], "T"),
            (split[3], "T"),
            ("www.bad.example", "T")
        ])
    );
    // What is trusted is of interest all the same, and asks for no notice.
    assert_eq!(
        list(&["--tag", "threat", "--tag", "interest"]),
        wanted(&[
            ("bad.example", "T"),
            (split[0], "T"),
            (split[1], "T"),
            (split[2], "T"),
            ("192.0.2.5", "F"),
            (split[3], "T"),
            ("good.bad.example", "F"),
            ("www.bad.example", "T")
        ])
    );
    // Interest in a part of a threat leaves it a threat.
    for line in ["tag set interest www.bad.example 192.0.2.0/30", "tag set interest bad.example"] {
        run(&mut site.pdns(), &line.split(' ').collect::<Vec<_>>()).with(&[0]);
    }
    let both = list(&["--tag", "any"]);
    for threat in ["bad.example", "www.bad.example", split[0], split[1], split[2]] {
        let found: Vec<_> = both.iter().filter(|(indicator, _)| indicator == threat).collect();
        assert_eq!(found.len(), 1, "{threat}: {both:?}");
        assert_eq!(found[0].1, "T", "{threat}");
    }
    for (format, kinds, note) in [
        (
            "plain",
            &["--tag", "threat"][..],
            "pdns: .bad.example is listed whole, although good.bad.example within it is tagged trust; 2 other \
             subjects likewise\n",
        ),
        ("csv", &["--tag", "any", "--max-tlp", "amber"], ""),
        ("suricata-dataset", &["--tag", "trust"], "pdns: 2 subjects have no form in this list\n"),
    ] {
        let ended = run(&mut site.pdns(), &[&["export", "--format", format], kinds].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), note), "{format}");
    }
    // Nobody saw the tagged addresses, so they were not seen lately.
    let seen = ["--format", "ip-descriptions", "--tag", "any", "--last-after", "2000-01-01"];
    let all = ["--format", "ip-descriptions", "--tag", "any"];
    assert_eq!(lines(&site, &all).len(), 4);
    assert_eq!(
        lines(&site, &seen),
        [
            "IP,Description",
            "192.0.2.7,\"[threat] [interest] address; www.example.com\"",
            "192.0.2.99,[threat] [interest] www.bad.example"
        ]
    );
}

#[test]
fn a_domain_with_too_many_names_is_cut_and_told() {
    let site = Site::new();
    let names: Vec<String> = (0..MAX_BELOW + 7).map(|n| format!("n{n:06}.big.example")).collect();
    let few = ["a.small.example", "b.small.example"];
    let all = names.iter().map(String::as_str).chain(few).map(|name| (name, "192.0.2.99"));
    import(&site, &log(all));
    let tag = ["tag", "set", "threat", "*.big.example", "*.small.example", "192.0.2.99"];
    run(&mut site.pdns(), &tag).with(&[0]);
    let ended = run(&mut site.pdns(), &["export", "--tag", "threat", "--format", "zeek-intel"]);
    assert_eq!(
        ended.stderr,
        "pdns: below big.example there are more names than are listed; no more than 10000 of each can be\n"
    );
    let shown = ended.with(&[0]);
    let got: Vec<&str> =
        shown.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
    let mut want = vec!["big.example", "small.example", "192.0.2.99"];
    want.extend(names.iter().take(MAX_BELOW).map(String::as_str));
    want.extend(few);
    assert_eq!(got, want);
    // With a limit each domain has its share, and what tags name goes first.
    let limited = ["export", "--tag", "threat", "--format", "suricata-dataset", "--limit", "100"];
    let ended = run(&mut site.pdns(), &limited);
    assert!(ended.stderr.contains("1 subject has no form in this list"), "{}", ended.stderr);
    assert!(ended.stderr.contains("below big.example there are more names"), "{}", ended.stderr);
    // 98 places, of which no domain may have more than half.
    assert_eq!(ended.with(&[0]).lines().count(), 2 + 49 + 2);
}

#[test]
fn descriptions_agree_with_a_model() {
    let site = Site::new();
    let mut random = fastrand::Rng::with_seed(9);
    let names: Vec<String> = (0..60).map(|n| format!("n{n}.d{}.example", n % 7)).collect();
    let addresses: Vec<String> = (0..40).map(|n| format!("198.51.100.{n}")).collect();
    let records: Vec<(&str, &str)> = (0..900)
        .map(|_| {
            let name = random.choice(&names).unwrap().as_str();
            (name, random.choice(&addresses).unwrap().as_str())
        })
        .collect();
    import(&site, &log(records));
    for tag in [
        &["tag", "set", "threat", "n3.d3.example", "*.n5.d5.example"][..],
        &["tag", "set", "interest", "198.51.100.7", "198.51.100.32/29", "203.0.113.200"],
    ] {
        run(&mut site.pdns(), tag).with(&[0]);
    }
    let shown =
        run(&mut site.pdns(), &["find", "--rrtype", "A", "--format", "json", "--limit", "0"]);
    let mut best: BTreeMap<std::net::Ipv4Addr, Vec<(bool, i64, i64, String)>> = BTreeMap::new();
    let mut counts: BTreeMap<std::net::Ipv4Addr, i64> = BTreeMap::new();
    for line in shown.with(&[0]).lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = row["rrname"].as_str().unwrap().to_owned();
        let is_threat = name == "n3.d3.example" || name == "n5.d5.example";
        let number = |key: &str| row[key].as_i64().unwrap();
        let address = row["rdata"].as_str().unwrap().parse().unwrap();
        *counts.entry(address).or_default() += number("count");
        best.entry(address).or_default().push((
            !is_threat,
            -number("count"),
            -number("time_last"),
            name,
        ));
    }
    let is_of_interest = |address: &std::net::Ipv4Addr| {
        let last = address.octets()[3];
        address.octets()[0] == 198 && (last == 7 || (32..40).contains(&last))
    };
    let mut want = Vec::new();
    for (address, names) in &mut best {
        names.sort();
        let (untagged, _, _, name) = &names[0];
        let threat = if *untagged { "" } else { "[threat] " };
        let interest = if is_of_interest(address) { "[interest] address; " } else { "" };
        let said = format!("{interest}{threat}{name}");
        let quote = if said.contains(';') { "\"" } else { "" };
        want.push(format!("{address},{quote}{said}{quote}"));
    }
    want.push("203.0.113.200,[interest] address".to_owned());
    let head = || vec!["IP,Description".to_owned()];
    let got = lines(&site, &["--format", "ip-descriptions"]);
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(got.clone()), sorted([head(), want.clone()].concat()));
    let order: Vec<std::net::Ipv4Addr> =
        got[1..].iter().map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(order.is_sorted());
    let tagged: Vec<String> = want.iter().filter(|line| line.contains('[')).cloned().collect();
    let got = lines(&site, &["--format", "ip-descriptions", "--tag", "any"]);
    assert_eq!(sorted(got), sorted([head(), tagged.clone()].concat()));
    // The tagged ones go first where not all fit, then those counted most.
    let room = tagged.len() + 3;
    let ended = run(
        &mut site.pdns(),
        &["export", "--format", "ip-descriptions", "--limit", &room.to_string()],
    );
    assert!(ended.stderr.contains("there are more addresses"), "{}", ended.stderr);
    let got: Vec<String> = ended.with(&[0]).lines().skip(1).map(str::to_owned).collect();
    assert_eq!(got.len(), room);
    assert!(tagged.iter().all(|line| got.contains(line)));
    let count = |line: &String| counts[&line.split(',').next().unwrap().parse().unwrap()];
    let least = got.iter().filter(|line| !line.contains('[')).map(count).min().unwrap();
    let out = want.iter().filter(|line| !got.contains(line)).map(count).max().unwrap();
    assert!(least >= out, "{least} {out}");
}

#[test]
fn a_file_is_replaced_whole_and_only_when_it_changes() {
    let site = tagged();
    let folder = site.home.path().join("lists");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("threats.intel");
    let shown = path.to_str().unwrap().to_owned();
    let export = |codes: &[i32]| {
        let arguments = ["export", "--tag", "threat", "--format", "zeek-intel", "--out", &shown];
        let ended = run(&mut site.pdns(), &arguments);
        let said = ended.stderr.clone();
        assert_eq!(ended.with(codes), "");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        said
    };
    assert_eq!(export(&[0]), format!("pdns: {shown} has 3 lines\n"));
    let first = fs::metadata(&path).unwrap();
    assert_eq!(first.permissions().mode() & 0o777, 0o644);
    let text = fs::read_to_string(&path).unwrap();
    let printed = run(&mut site.pdns(), &["export", "--tag", "threat", "--format", "zeek-intel"]);
    assert_eq!(text, printed.with(&[0]));
    // Nobody has to read it again.
    assert_eq!(export(&[0]), format!("pdns: {shown} is as it was: 3 lines\n"));
    let second = fs::metadata(&path).unwrap();
    assert_eq!((first.ino(), first.mtime_nsec()), (second.ino(), second.mtime_nsec()));
    // A new one has the mode of the old, and is another file: who reads the old one goes on.
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    run(&mut site.pdns(), &["tag", "clear", "threat", "www.example.com"]).with(&[0]);
    export(&[0]);
    let third = fs::metadata(&path).unwrap();
    assert_eq!(third.permissions().mode() & 0o777, 0o640);
    assert_ne!(third.ino(), first.ino());
    // Nothing found: the head stays, and the exit code says it.
    run(&mut site.pdns(), &["tag", "clear", "evil.example.net", "192.0.2.0/25"]).with(&[0]);
    assert_eq!(export(&[1]), format!("pdns: {shown} has 0 lines\n"));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    // A store that fails leaves the file alone.
    site.server.call(&["HSET", "pd:{tags}t", "threat =A", "1 {}"]);
    assert!(export(&[2]).contains("damaged"));
    assert_eq!(fs::metadata(&path).unwrap().ino(), fs::metadata(&path).unwrap().ino());
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    site.server.call(&["HDEL", "pd:{tags}t", "threat =A"]);
    // Behind a link it is the file that is replaced.
    let link = site.home.path().join("link");
    symlink(&path, &link).unwrap();
    run(&mut site.pdns(), &["tag", "set", "threat", "new.example"]).with(&[0]);
    let arguments = ["export", "--tag", "threat", "--format", "plain", "--out", "link"];
    run(&mut site.pdns(), &arguments).with(&[0]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "new.example\n");
    // What is no file stays what it is.
    for out in ["/dev/null", "lists"] {
        let ended =
            run(&mut site.pdns(), &["export", "--tag", "any", "--format", "plain", "--out", out]);
        assert_eq!(ended.code, Some(2), "{out}");
        assert!(ended.stderr.contains("not a regular file"), "{}", ended.stderr);
    }
}

#[test]
fn every_plain_line_can_be_imported_again() {
    let site = tagged();
    run(&mut site.pdns(), &["tag", "set", "interest", "\\*.example", "a\\000\\.b\\\".example"])
        .with(&[0]);
    let shown = lines(&site, &["--tag", "any", "--format", "plain"]);
    let file = site.home.write("plain.txt", shown.join("\n"));
    let import = ["tag", "import", file.to_str().unwrap(), "--kind", "interest"];
    let ended = run(&mut site.pdns(), &import);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let again = lines(&site, &["--tag", "interest", "--format", "plain"]);
    assert_eq!(again, shown);
}
