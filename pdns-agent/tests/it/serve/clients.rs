//! The clients that people have: `dnsdbq` in all its modes, `PyPDNS`, the `dnsdb2` package, and misp-modules.
//!
//! `cargo xtask test` installs them.

use super::{PAGES, START, Site, wire};
use crate::corpus::{Rows, assert_alike, stored};
use crate::redis::Redis;
use crate::reference::python_json;
use crate::run::{Ended, Home, run};
use crate::store::{Log, Model, options};
use pdns_agent::name::NameBuf;
use pdns_agent::rdata::Rdata;
use pdns_agent::record::FactBuf;
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::Command;

/// `dnsdbq` for one of its systems, and nothing of the caller's environment.
fn dnsdbq(home: &Home, site: &Site, system: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new("dnsdbq");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        // A file it must have, or it does not look at the environment.
        .env("DNSDBQ_CONFIG_FILE", "/dev/null")
        .env("CIRCL_SERVER", site.url("/pdns/query"))
        .env("CIRCL_AUTH", "user:password")
        .env("DNSDB_SERVER", site.url(""))
        .env("DNSDB_API_KEY", "0123456789abcdef")
        .args(["-u", system]);
    run(&mut command, arguments)
}

/// What it prints as JSON, one object a line.
#[track_caller]
fn rows(site: &Site, system: &str, arguments: &[&str]) -> Vec<Value> {
    let ended = dnsdbq(&Home::new(), site, system, &[&["-j"], arguments].concat());
    assert_eq!(ended.stderr, "", "{arguments:?}");
    let shown = ended.with(&[0]);
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["rrname"].as_str().unwrap()).collect()
}

#[test]
fn dnsdbq_speaks_circl() {
    let site = Site::new();
    let ask = |arguments: &[&str]| rows(&site, "circl", arguments);
    let found = ask(&["-r", "www.example.com"]);
    assert_eq!(names(&found).len(), 4);
    assert_eq!(found[1]["rdata"], json!(["192.0.2.8"]));
    assert_eq!(ask(&["-n", "mail.example.com"])[0]["rrname"], "example.com");
    assert_eq!(names(&ask(&["-r", "*.deep.example.com"])), ["a.deep.example.com"]);
    for value in ["192.0.2.0/24", "192.0.2.0,24", "192.0.2.7-192.0.2.99"] {
        assert_eq!(ask(&["-i", value]).len(), 4, "{value}");
    }
    assert_eq!(names(&ask(&["-i", "2001:db8::7"])), ["www.example.com"]);
    assert_eq!(ask(&["-r", "*.pages.example.org", "-l", "3"]).len(), 3);
    assert_eq!(ask(&["-r", "nothing.example"]), Vec::<Value>::new());
    // A type that is a number is passed over with a word, as the draft and PyPDNS want it.
    let ended = dnsdbq(&Home::new(), &site, "circl", &["-r", "unknown.example.org"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(!ended.stderr.is_empty());
    // Hostile text is text.
    let found = ask(&["-i", "203.0.113.9"]);
    assert!(names(&found)[0].contains("\\027]0"), "{found:?}");
}

#[test]
fn dnsdbq_speaks_dnsdb_2() {
    let site = Site::new();
    let ask = |arguments: &[&str]| rows(&site, "dnsdb2", arguments);
    let found = ask(&["-r", "www.example.com"]);
    assert_eq!(found[0]["rdata"], json!(["192.0.2.7", "192.0.2.8"]));
    assert_eq!(found[0]["bailiwick"], "example.com.");
    assert_eq!(ask(&["-r", "www.example.com/AAAA"]).len(), 1);
    assert_eq!(ask(&["-t", "A,AAAA", "-r", "www.example.com"]).len(), 2);
    assert_eq!(ask(&["-r", "*.example.com/ANY/deep.example.com"]).len(), 2);
    assert_eq!(ask(&["-b", "deep.example.com", "-r", "*.example.com"]).len(), 2);
    assert_eq!(names(&ask(&["-r", "www.example.*/A"])).len(), 3);
    assert_eq!(ask(&["-R", "03777777076578616d706c6503636f6d00"]).len(), 2);
    assert_eq!(names(&ask(&["-n", "www.example.com"])), ["login.example.com."]);
    assert_eq!(ask(&["-n", "*.example.net/NS"]).len(), 2);
    assert_eq!(ask(&["-N", "c0000207"]).len(), 2);
    for value in ["192.0.2.0/24", "192.0.2.0,24", "192.0.2.7-192.0.2.99"] {
        assert_eq!(ask(&["-i", value]).len(), 4, "{value}");
    }
    assert_eq!(names(&ask(&["-i", "2001:db8::7"])), ["www.example.com."]);
    assert_eq!(ask(&["-r", "unknown.example.org"])[0]["rrtype"], "TYPE65280");
    assert_eq!(ask(&["-r", "signed.example.org/ANY-DNSSEC"])[0]["rrtype"], "DS");
    assert_eq!(ask(&["-g", "-r", "www.example.net"]).len(), 1);
    // Fences, and with -c complete ones.
    let pages =
        |arguments: &[&str]| ask(&[arguments, &["-r", "*.pages.example.org"]].concat()).len();
    let at = (START + 10_050).to_string();
    assert_eq!((pages(&["-A", &at]), pages(&["-B", &at])), (70, 51));
    assert_eq!(pages(&["-c", "-A", &at, "-B", &at]), 1);
    assert_eq!(pages(&["-B", "1d"]), usize::from(PAGES));
    let ended = dnsdbq(&Home::new(), &site, "dnsdb2", &["-A", "1d", "-r", "*.pages.example.org"]);
    assert_eq!(ended.stdout, "");
    // Pages.
    let page = |offset: &str| {
        let ended = dnsdbq(
            &Home::new(),
            &site,
            "dnsdb2",
            &["-j", "-l", "50", "-O", offset, "-r", "*.pages.example.org"],
        );
        ended.with(&[0]).lines().count()
    };
    assert_eq!((page("0"), page("100")), (50, 20));
    // Summaries.
    let sum = ask(&["-V", "summarize", "-r", "*.pages.example.org"]);
    assert_eq!((&sum[0]["count"], &sum[0]["num_results"]), (&json!(120), &json!(120)));
    let sum = ask(&["-V", "summarize", "-M", "7", "-r", "*.pages.example.org"]);
    assert_eq!(sum[0]["count"], 7);
    let shown = dnsdbq(&Home::new(), &site, "dnsdb2", &["-I"]).with(&[0]);
    assert!(shown.contains("results_max: 10000") && shown.contains("burst rate: 200"), "{shown}");
    let ended = dnsdbq(&Home::new(), &site, "dnsdb2", &["-r", "nothing.example"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(!ended.stderr.contains("rror:"), "{}", ended.stderr);
    let ended = dnsdbq(&Home::new(), &site, "dnsdb2", &["-r", "example.com/NONSENSE"]);
    assert!(ended.stderr.contains("NONSENSE"), "{}", ended.stderr);
    let ended = dnsdbq(&Home::new(), &site, "dnsdb2", &["-O", "90001", "-r", "example.com"]);
    assert!(ended.stderr.contains("the offset is at most 90000"), "{}", ended.stderr);
}

#[test]
fn dnsdbq_asks_many_at_once_and_speaks_version_1() {
    let site = Site::new();
    let home = Home::new();
    let list = home.write(
        "batch",
        "rrset/name/www.example.com\nrdata/ip/192.0.2.0,24\nrrset/name/nothing.example\n",
    );
    // Batches come on standard input.
    let mut command = Command::new("sh");
    command
        .env("DNSDBQ_CONFIG_FILE", "/dev/null")
        .env("DNSDB_SERVER", site.url(""))
        .env("DNSDB_API_KEY", "0123456789abcdef")
        .env("LIST", &list);
    let shown = run(&mut command, &["-c", "dnsdbq -u dnsdb2 -j -ff < \"$LIST\""]).with(&[0]);
    assert_eq!(shown.lines().filter(|line| line.starts_with('{')).count(), 6, "{shown}");
    let found = rows(&site, "dnsdb1", &["-r", "www.example.com"]);
    assert_eq!((found.len(), &found[0]["rdata"]), (2, &json!(["192.0.2.7", "192.0.2.8"])));
    assert_eq!(rows(&site, "dnsdb1", &["-i", "192.0.2.0/24"]).len(), 4);
    let ended = dnsdbq(&home, &site, "dnsdb1", &["-r", "nothing.example"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
}

/// What `PyPDNS` makes of questions.
fn pypdns(site: &Site, questions: &Value) -> Vec<Value> {
    let url = site.url("/pdns/query");
    let said = python_json("circl.py", &[OsStr::new(&url)], questions.to_string().as_bytes());
    said.as_array().unwrap().clone()
}

#[test]
fn pypdns_reads_every_answer() {
    let site = Site::new();
    let said = pypdns(
        &site,
        &json!([
            {"do": "rfc", "q": "www.example.com"},
            {"do": "rfc", "q": "www.example.com", "rrtype": "AAAA"},
            {"do": "rfc", "q": "nothing.example"},
            {"do": "rfc", "q": "unknown.example.org"},
            {"do": "rfc", "q": "192.0.2.0/24"},
            {"do": "rfc", "q": "2001:db8::7"},
            {"do": "iter", "q": "*.example.org"},
            {"do": "iter", "q": "nothing.example"},
            {"do": "iter", "q": "www.example.com", "rrtype": "NONSENSE"},
            {"do": "rfc", "q": "a..b"},
        ]),
    );
    let count = |at: usize| said[at]["rows"].as_array().map_or(usize::MAX, Vec::len);
    let counts: Vec<usize> = (0..9).map(count).collect();
    assert_eq!(counts, [4, 1, 0, 1, 4, 1, usize::from(PAGES) + 7, 0, 0], "{said:?}");
    assert_eq!(said[3]["types"], json!(["TYPE65280"]));
    assert_eq!(said[9]["error"], "PDNSError");
    assert!(said.iter().take(9).all(|said| said["errors"] == json!({})), "{said:?}");
}

#[test]
fn pypdns_knows_who_is_refused() {
    let home = Home::new();
    let key = run(&mut home.pdns(), &["serve", "user", "add", "alice", "--users", "users.toml"])
        .with(&[0]);
    let key = key.trim();
    let flags = ["--users", "HOME/users.toml", "--rate", "1", "--burst", "6"];
    let site = Site::of(home, &flags);
    let ask = |login: Value, token: Value| json!({"do": "rfc", "q": "www.example.com", "login": login, "token": token});
    let said = pypdns(
        &site,
        &json!([
            ask(json!(["alice", key]), json!(null)),
            ask(json!(null), json!(key)),
            ask(json!(null), json!(format!("Bearer {key}"))),
            ask(json!(["alice", "wrong"]), json!(null)),
            ask(json!(null), json!("wrong")),
            ask(json!(null), json!(null)),
        ]),
    );
    for said in &said[..3] {
        assert_eq!(said["rows"].as_array().map(Vec::len), Some(4), "{said}");
    }
    for said in &said[3..] {
        assert_eq!(said["error"], "UnauthorizedError");
    }
    let many = vec![ask(json!(null), json!(key)); 12];
    let said = pypdns(&site, &json!(many));
    assert!(said.iter().any(|said| said["error"] == "RateLimitError"), "{said:?}");
}

/// What the `dnsdb2` package makes of questions.
fn dnsdb2(site: &Site, key: &str, questions: &Value) -> Vec<Value> {
    let url = site.url("");
    let arguments = [OsStr::new(&url), OsStr::new(key)];
    let said = python_json("dnsdb.py", &arguments, questions.to_string().as_bytes());
    said.as_array().unwrap().clone()
}

#[test]
fn the_dnsdb2_package_reads_every_answer() {
    let site = Site::new();
    let pages = "*.pages.example.org";
    let questions = [
        (json!(["ping", [], {}]), 1, None),
        (json!(["rate_limit", [], {}]), 1, None),
        (json!(["lookup_rrset", ["www.example.com"], {}]), 2, None),
        (
            json!(["lookup_rrset", ["www.example.com"], {"rrtype": "AAAA", "bailiwick": "example.com"}]),
            1,
            None,
        ),
        (json!(["lookup_rrset", [pages], {"limit": 7}]), 7, Some("QueryLimited")),
        (json!(["lookup_rrset", [pages], {"limit": 7, "ignore_limited": true}]), 7, None),
        (json!(["lookup_rrset", [pages], {"offset": 115}]), 5, None),
        (json!(["lookup_rrset", [pages], {"offset": 99_999}]), 0, Some("OffsetError")),
        (
            json!(["lookup_rrset", [pages], {"time_last_after": START + 10_100, "humantime": true, "aggr": false}]),
            20,
            None,
        ),
        (json!(["lookup_rrset", ["nothing.example"], {}]), 0, None),
        (json!(["lookup_rdata_name", ["www.example.com"], {}]), 1, None),
        (json!(["lookup_rdata_ip", ["192.0.2.0/24"], {}]), 4, None),
        (json!(["lookup_rdata_raw", ["C0000207"], {}]), 2, None),
        (json!(["summarize_rrset", ["www.example.com"], {"max_count": 1}]), 1, None),
        (json!(["summarize_rdata_name", ["www.example.com"], {}]), 1, None),
        (json!(["summarize_rdata_ip", ["192.0.2.7"], {}]), 1, None),
        (json!(["summarize_rdata_raw", ["C0000207"], {}]), 1, None),
        (
            json!(["flex_rrnames_regex", ["^www\\.example\\."], {"rrtype": "A", "exclude": "uk\\.$"}]),
            2,
            None,
        ),
        (json!(["flex_rrnames_glob", ["www.*"], {"verbose": false}]), 4, None),
        (json!(["flex_rdata_regex", ["spf1"], {"rrtype": "TXT"}]), 1, None),
        (json!(["flex_rdata_glob", ["*.example.net."], {}]), 2, None),
        (json!(["flex_rrnames_regex", ["("], {}]), 0, Some("QueryError")),
    ];
    let asked: Vec<&Value> = questions.iter().map(|(question, ..)| question).collect();
    let said = dnsdb2(&site, "any", &json!(asked));
    for ((question, rows, error), said) in questions.iter().zip(said) {
        assert_eq!(said["rows"].as_array().map(Vec::len), Some(*rows), "{question}: {said}");
        assert_eq!(said["error"].as_str(), *error, "{question}: {said}");
    }
}

#[test]
fn the_dnsdb2_package_and_dnsdbq_know_who_is_refused() {
    let home = Home::new();
    let key = run(&mut home.pdns(), &["serve", "user", "add", "alice", "--users", "users.toml"])
        .with(&[0]);
    let flags = ["--users", "HOME/users.toml", "--rate", "1", "--burst", "3"];
    let site = Site::of(home, &flags);
    let question = json!(["lookup_rrset", ["www.example.com"], {}]);
    let said = dnsdb2(&site, "wrong", &json!([question]));
    assert_eq!(said[0]["error"], "AccessDenied");
    let said = dnsdb2(&site, key.trim(), &json!(vec![question; 8]));
    assert_eq!(said[0]["rows"].as_array().map(Vec::len), Some(2));
    assert!(said.iter().any(|said| said["error"] == "QuotaExceeded"), "{said:?}");
    let ended = dnsdbq(&Home::new(), &site, "dnsdb2", &["-r", "www.example.com"]);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("the key or the login is wrong"), "{}", ended.stderr);
}

/// What `circl_passivedns` and `farsight_passivedns` of misp-modules make of questions.
fn misp(site: &Site, login: [&str; 2], key: &str, questions: &Value) -> Vec<Value> {
    let url = site.url("");
    let arguments = [&url, login[0], login[1], key].map(OsStr::new);
    let said = python_json("misp.py", &arguments, questions.to_string().as_bytes());
    said.as_array().unwrap().clone()
}

#[test]
fn the_modules_of_misp_read_every_answer() {
    let home = Home::new();
    let key = run(&mut home.pdns(), &["serve", "user", "add", "alice", "--users", "users.toml"])
        .with(&[0]);
    let key = key.trim();
    let site = Site::of(home, &["--users", "HOME/users.toml"]);
    let mut store = Store::open(&options(&site.redis)).unwrap();
    // A host without its preference, as dns.log has it.
    let mut log = Log::new(&mut store, 2);
    let owner = NameBuf::parse("partial.example.org").unwrap();
    let mail = [&[0, 0], wire("mail.example.com").as_slice()].concat();
    let partial = Rdata { rrtype: RrType::MX, octets: &mail, partial: true }.to_buf();
    log.add(&mut Model::new(), &owner, &FactBuf::Record(partial), START, Some(300));
    log.flush(&mut store).unwrap();

    let questions = [
        (json!(["circl", "hostname", "www.example.com"]), 4),
        (json!(["circl", "domain", "partial.example.org"]), 1),
        (json!(["circl", "ip-dst", "192.0.2.7"]), 2),
        (json!(["circl", "hostname", "unknown.example.org"]), 1),
        (json!(["circl", "hostname", "txt.example.org"]), 2),
        (json!(["farsight", "hostname", "www.example.com"]), 6),
        (json!(["farsight", "domain", "partial.example.org"]), 2),
        (json!(["farsight", "ip-src", "192.0.2.7"]), 2),
        (json!(["farsight", "text", "spf1"]), 1),
    ];
    let asked: Vec<&Value> = questions.iter().map(|(question, _)| question).collect();
    let said = misp(&site, ["alice", key], key, &json!(asked));
    for ((question, objects), said) in questions.iter().zip(&said) {
        let found = said["objects"].as_array();
        assert_eq!(found.map(Vec::len), Some(*objects), "{question}: {said}");
    }
    let first = &said[2]["objects"][0];
    assert_eq!(first["origin"], json!([site.url("/pdns/")]));
    // COF has RDATA in an array, and the module takes it as one value.
    assert_eq!(first["rdata"], json!([["192.0.2.7"]]));
    let refused =
        misp(&site, ["alice", "wrong"], "wrong", &json!([questions[0].0, questions[5].0]));
    assert!(refused.iter().all(|said| said["error"].is_string()), "{refused:?}");

    // Keys of our own come on request.
    let path = "/dnsdb/v2/lookup/rrset/name/partial.example.org";
    let bearing = [("X-API-Key", key)];
    let asked = site.get_with(&format!("{path}?pdns_keys=t"), &bearing).lines();
    assert_eq!(asked[1]["obj"]["pdns_partial"], true);
    assert_eq!(site.get_with(path, &bearing).lines()[1]["obj"]["pdns_partial"], Value::Null);
}

/// The names, types and RDATA of records.
fn keys(rows: Rows) -> BTreeSet<[String; 3]> {
    rows.into_keys().map(|(rrname, rrtype, rdata, _)| [rrname, rrtype, rdata]).collect()
}

#[test]
fn what_dnsdbq_prints_can_be_imported() {
    let site = Site::new();
    let (ours, _) = stored(&site.home, &site.redis.url());
    let of_addresses = |(key, _): &(_, _)| {
        let (_, rrtype, rdata, _): &(String, String, String, bool) = key;
        rrtype == "A" && rdata.starts_with("192.0.2.")
    };
    let home = Home::new();
    let import = |content: &str| {
        let server = Redis::start();
        let file = home.write("dnsdbq.json", content);
        let url = server.url();
        let ended = run(home.agent().args(["cof", "--redis", &url]), &[file]);
        assert!(!ended.stderr.contains("not taken"), "{}", ended.stderr);
        ended.with(&[0]);
        stored(&home, &url).0
    };
    let print = |arguments: &[&str]| {
        dnsdbq(&home, &site, "dnsdb2", &[&["-j", "-l", "0"], arguments].concat()).with(&[0])
    };
    // Single records keep their numbers, except TTLs.
    let mut addresses: Rows = ours.clone().into_iter().filter(of_addresses).collect();
    for numbers in addresses.values_mut() {
        numbers.retain(|name, _| ["count", "time_first", "time_last"].contains(name));
    }
    assert_eq!(addresses.len(), 4);
    assert_alike("by address", &import(&print(&["-i", "192.0.2.0/24"])), &addresses);
    // The server's own framing, with times in words.
    let path = "/dnsdb/v2/lookup/rdata/ip/192.0.2.0,24?humantime=t";
    let framed = site.get_with(path, &[("X-API-Key", "0123456789abcdef")]);
    assert!(framed.body.contains("{\"cond\":\"begin\"}") && framed.body.contains("Z\""));
    assert_alike("framed", &import(&framed.body), &addresses);
    // RRsets are taken apart.
    let sets = print(&["-r", "*.example.org"]) + &print(&["-r", "*.example.org/ANY-DNSSEC"]);
    let below = |key: &[String; 3]| key[0].ends_with("example.org");
    let want: BTreeSet<_> = keys(ours).into_iter().filter(below).collect();
    assert!(want.len() > 120, "{want:?}");
    assert_eq!(keys(import(&sets)), want);
}
