//! Two stores become what one would be that has read the logs of both.

use super::{admin, content, folder, import, same, save, server};
use crate::agent::Agent;
use crate::logs::{Lines, gzip, seed};
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::{Log, Model, a, name};
use std::process::Command;
use std::time::Instant;

/// Two stores whose records overlap, their logs, and a store that has read both.
struct Two {
    home: Home,
    server: Redis,
    whole: super::Content,
}

impl Two {
    fn new(seed: u64, lines: usize) -> Self {
        let (home, server) = (Home::new(), server());
        let (a, b) = (folder(&home, "a", seed, lines), folder(&home, "b", seed + 1, lines));
        for (prefix, logs) in [("whole:", [&a, &b].as_slice()), ("a:", &[&a]), ("b:", &[&b])] {
            for log in logs {
                let sensor = if *log == &a { "s-a" } else { "s-b" };
                import(&home, &server, prefix, sensor, log);
            }
        }
        let whole = content(&server, "whole:");
        Self { home, server, whole }
    }

    fn merge(&self) -> Command {
        let mut command = admin(&self.home, &self.server, "a:");
        command.args(["merge", "--from-prefix", "b:", &self.server.url()]);
        command
    }

    /// Checks that nothing is left of the copy.
    #[track_caller]
    fn is_merged(&self) {
        same(&content(&self.server, "a:"), &self.whole);
        let left = self.server.call(&["KEYS", "a:merge:*"]);
        assert_eq!(left, redis::Value::Array(Vec::new()));
    }
}

#[test]
fn two_stores_that_overlap_become_what_one_would_be() {
    let two = Two::new(seed(31), 3_000);
    // More sensors than a row has bits for, so that names have other numbers there, of both kinds.
    let mut store = super::store(&two.server, "a:");
    for number in 0..40 {
        store.writer().sensor(&format!("other-{number}")).unwrap();
    }
    run(&mut two.merge(), &[] as &[&str]).with(&[0]);
    two.is_merged();
    let again = run(&mut two.merge(), &[] as &[&str]);
    assert!(again.stderr.contains("merged before"), "{}", again.stderr);
    again.with(&[0]);
    two.is_merged();
    // The logs of the other one are not read again.
    for (sensor, folder) in [("s-a", "a"), ("s-b", "b")] {
        import(&two.home, &two.server, "a:", sensor, &two.home.path().join(folder));
    }
    two.is_merged();
    // One of them has grown, one was packed, and one has another path.
    let mut lines = Lines::new(seed(32), 500);
    let more: String = (0..300).map(|_| lines.line()).collect();
    let log = two.home.path().join("b/dns.0.log");
    let grown = std::fs::read_to_string(&log).unwrap() + &more;
    std::fs::write(&log, grown).unwrap();
    let rotated = std::fs::read(two.home.path().join("b/dns.1.log")).unwrap();
    std::fs::remove_file(two.home.path().join("b/dns.1.log")).unwrap();
    two.home.write("b/2026/dns.gz", gzip(&rotated));
    for prefix in ["a:", "whole:"] {
        import(&two.home, &two.server, prefix, "s-b", &two.home.path().join("b"));
    }
    assert_ne!(content(&two.server, "a:"), two.whole);
    same(&content(&two.server, "a:"), &content(&two.server, "whole:"));
}

#[test]
fn sums_of_a_flood_are_not_left_out_unasked() {
    let (home, server) = (Home::new(), server());
    let logs = [folder(&home, "a", seed(35), 200), folder(&home, "b", seed(36), 200)];
    import(&home, &server, "a:", "s-a", &logs[0]);
    let mut agent = home.agent();
    agent.args(["zeek", "--once", "--sensor", "s-b", "--new-names", "1", "--prefix", "b:"]);
    run(agent.args(["--redis", &server.url()]), &[&logs[1]]).with(&[0]);
    let before = content(&server, "a:");
    let merge = |words: &[&str]| {
        let mut command = admin(&home, &server, "a:");
        command.args(["merge", "--from-prefix", "b:", &server.url()]);
        run(&mut command, words)
    };
    let refused = merge(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--leave-out-sums"), "{}", refused.stderr);
    same(&content(&server, "a:"), &before);
    merge(&["--leave-out-sums"]).with(&[0]);
    assert_ne!(content(&server, "a:"), before);
    let copied = {
        let mut command = admin(&home, &server, "c:");
        command.args(["copy", "--from-prefix", "b:", &server.url()]);
        run(&mut command, &[] as &[&str])
    };
    copied.with(&[0]);
    let sums = |prefix: &str| {
        let mut store = super::store(&server, prefix);
        let mut reader = store.reader();
        let domains = reader.unkept_domains(None).unwrap();
        reader.unkept(&domains, &[pdns_agent::store::Kind::Record]).unwrap()
    };
    assert!(!sums("b:").is_empty());
    assert_eq!(sums("c:"), sums("b:"));
}

#[test]
fn records_of_many_sensors_are_merged() {
    let (home, server) = (Home::new(), server());
    let mut whole = super::store(&server, "whole:");
    for prefix in ["a:", "b:"] {
        let mut store = super::store(&server, prefix);
        for number in 0..70_u8 {
            // The numbers of the same sensors differ.
            let sensor = if prefix == "a:" { number } else { 90 - number };
            let id = [prefix.as_bytes()[0], number];
            for store in [&mut store, &mut whole] {
                let sensor = store.writer().sensor(&format!("s{sensor}")).unwrap();
                let id: Vec<u8> = id.into_iter().cycle().take(16).collect();
                let mut log = Log::open(store, id.try_into().unwrap(), sensor);
                for name_of in 0..=number / 10 {
                    let name = name(&format!("n{name_of}.example"));
                    let at = 1_700_000_000 + u32::from(number) * 7;
                    log.add(&mut Model::new(), &name, &a([192, 0, 2, 7]), at, Some(number.into()));
                }
                log.flush(store).unwrap();
                log.acknowledge(store);
            }
        }
    }
    let merged =
        run(admin(&home, &server, "a:").args(["merge", "--from-prefix", "b:"]), &[server.url()]);
    merged.with(&[0]);
    same(&content(&server, "a:"), &content(&server, "whole:"));
}

#[test]
fn a_merge_that_is_killed_again_and_again_counts_each_answer_once() {
    let seed = seed(33);
    let two = Two::new(seed, 3_000);
    let saved = two.home.path().join("saved");
    save(&two.home, &two.server, "a:", &saved).with(&[0]);
    let other = two.home.path().join("other");
    save(&two.home, &two.server, "b:", &other).with(&[0]);
    let begin = Instant::now();
    run(&mut two.merge(), &[] as &[&str]).with(&[0]);
    let time = begin.elapsed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    for round in 0..4 {
        for key in keys(&two.server, "a:*") {
            two.server.call(&["DEL", &key]);
        }
        super::restore(&two.home, &two.server, "a:", &saved).with(&[0]);
        let command = || {
            let mut command = admin(&two.home, &two.server, "a:");
            // From a server and from a file.
            if round % 2 == 0 {
                command.args(["merge", "--from-prefix", "b:", &two.server.url()]);
            } else {
                command.arg("merge").arg(&other);
            }
            command
        };
        for _ in 0..8 {
            let process = Agent::start(&mut command());
            kills += usize::from(process.kill9_after(time.mul_f64(random.f64())).is_none());
        }
        run(&mut command(), &[] as &[&str]).with(&[0]);
        two.is_merged();
    }
    assert!(kills > 0, "seed {seed}: nothing was killed");
}

fn keys(server: &Redis, pattern: &str) -> Vec<String> {
    redis::cmd("KEYS").arg(pattern).query(&mut server.connection()).unwrap()
}

#[test]
fn what_would_count_twice_is_refused_and_nothing_is_changed() {
    let (home, server) = (Home::new(), server());
    let folder = folder(&home, "a", seed(34), 300);
    import(&home, &server, "a:", "s", &folder);
    import(&home, &server, "b:", "s", &folder);
    let before = content(&server, "a:");
    let merge = |from: &str| {
        let mut command = admin(&home, &server, "a:");
        let ended = run(command.args(["merge", "--from-prefix", from]), &[server.url()]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        same(&content(&server, "a:"), &before);
        ended.stderr
    };
    let said = merge("b:");
    assert!(said.contains("both stores have read") && said.contains("dns.0.log"), "{said}");
    let said = merge("a:");
    assert!(said.contains("this one or a copy of it"), "{said}");
    run(admin(&home, &server, "c:").args(["copy", "--from-prefix", "a:"]), &[server.url()])
        .with(&[0]);
    let said = merge("c:");
    assert!(said.contains("this one or a copy of it"), "{said}");
    let said = merge("a:merge:");
    assert!(said.contains("prefix of copies"), "{said}");
    let said = merge("none:");
    assert!(said.contains("no store with the prefix none:"), "{said}");
    assert_eq!(keys(&server, "a:merge:*"), Vec::<String>::new());
}

#[test]
fn the_later_tag_stays() {
    let two = Two::new(seed(35), 200);
    let tag = |prefix: &str, arguments: &[&str]| {
        let mut pdns = two.home.pdns();
        pdns.args(["--redis", &two.server.url(), "--prefix", prefix, "tag"]).env("USER", prefix);
        run(&mut pdns, arguments).with(&[0])
    };
    tag("b:", &["set", "threat", "both.example", "--note", "theirs"]);
    tag("b:", &["set", "interest", "theirs.example", "--note", "theirs"]);
    super::next_second();
    tag("a:", &["set", "trust", "both.example", "--note", "ours"]);
    run(&mut two.merge(), &[] as &[&str]).with(&[0]);
    let tags = tag("a:", &["list", "--format", "csv"]);
    assert!(tags.contains("ours") && tags.contains("theirs.example"), "{tags}");
    assert_eq!(tags.matches("both.example").count(), 1, "{tags}");
}
