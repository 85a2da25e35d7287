//! Stores with another number of partitions than agents choose.

use crate::cli::Site;
use crate::redis::Redis;
use crate::reference::python;
use crate::run::{Home, run};
use std::ffi::OsStr;

/// All that a store answers, sorted: its order is that of the partitions.
pub(crate) fn answers(home: &Home, url: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for words in [&["find", "--limit", "0"][..], &["*", "--negative", "--limit", "0"]] {
        let mut command = home.pdns();
        command.env("PDNS_REDIS", url).args(words);
        let said = run(&mut command, &["--sort", "name", "--format", "json"]).with(&[0]);
        lines.extend(said.lines().map(str::to_owned));
    }
    lines
}

#[test]
fn a_store_can_have_64_to_256_partitions() {
    let site = Site::new();
    let odd = python("odd.py", &["5", "3000", "json"].map(OsStr::new), &[]);
    let log = site.home.write("odd/dns.log", odd);
    run(site.agent().args(["zeek", "--once", "--sensor", "so-2"]), &[&log]).with(&[0]);
    let first = site.home.path().join("zeek/dns.log");
    let want = answers(&site.home, &site.server.url());
    assert!(want.len() > 1_000, "too little in the store: {}", want.len());
    for partitions in ["100", "256"] {
        let server = Redis::start();
        let pdns = |words: &[&str]| {
            run(site.home.pdns().env("PDNS_REDIS", server.url()).args(["admin"]), words)
        };
        for wrong in ["63", "257", "many"] {
            assert_eq!(pdns(&["create", "--partitions", wrong]).code, Some(2), "{wrong}");
        }
        let ended = pdns(&["create", "--partitions", partitions]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("with {partitions} partitions")), "{ended:?}");
        let ended = pdns(&["create"]);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(&format!("already, with {partitions}")), "{ended:?}");
        for (log, sensor) in [(&first, "so-1"), (&log, "so-2")] {
            let mut agent = site.home.agent();
            agent.env("PDNS_REDIS", server.url()).args(["zeek", "--once", "--sensor", sensor]);
            run(&mut agent, &[log]).with(&[0]);
        }
        assert_eq!(answers(&site.home, &server.url()), want);
        pdns(&["verify"]).with(&[0]);
        // The last partition is used, too.
        let last = partitions.parse::<u32>().unwrap() - 1;
        assert!(server.call(&["HGET", &format!("pd:{{{last:02x}}}m"), "e"]) != redis::Value::Nil);
    }
}
