//! Stores on a Redis Cluster: the same answers as on one server, and no loss and no double while slots move and masters
//! die. A node that is named as a single server is refused before anything is written.

use crate::access::{logged_in, rights, self_signed, set_user};
use crate::agent::{Agent, acknowledged, catches_up, ends_well, zeek_site};
use crate::cli::Site;
use crate::once::{capture, feed, pcap};
use crate::partitions::answers;
use crate::redis::{Redis, Served as _, free_port, until};
use crate::reference::python;
use crate::run::{Home, run};
use crate::six::{Cluster, id, is_up, slot};
use crate::store::{agrees, options};
use pdns_agent::store::Store;
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// `pdns` on a cluster.
fn pdns(home: &Home, cluster: &Cluster) -> Command {
    let mut command = home.pdns();
    command.env("PDNS_REDIS", cluster.store_url());
    command
}

/// A key of a partition's metadata.
fn meta(partition: u8) -> String {
    format!("pd:{{{partition:02x}}}m")
}

#[test]
fn a_cluster_answers_every_question_as_one_server_does() {
    let (site, cluster) = (Site::new(), Cluster::start());
    let home = &site.home;
    let odd = python("odd.py", &["5", "3000", "json"].map(OsStr::new), &[]);
    let odd = home.write("odd/dns.log", odd);
    run(site.agent().args(["zeek", "--once", "--sensor", "so-1"]), &[&odd]).with(&[0]);
    let mut agent = home.agent();
    agent.env("PDNS_REDIS", cluster.store_url()).args(["zeek", "--once", "--sensor", "so-1"]);
    run(&mut agent, &[&home.path().join("zeek/dns.log"), &odd]).with(&[0]);
    let urls = [site.server.url(), cluster.store_url()];
    let want = answers(home, &urls[0]);
    assert!(want.len() > 1_000, "too little in the store: {}", want.len());
    assert_eq!(answers(home, &urls[1]), want);
    let feed = home.write("feed.txt", "evil-site.com\n45.61.7.0/24\n");
    let feed = feed.to_str().unwrap();
    for words in [
        &["0.0.0.0/0", "--limit", "0"][..],
        &["*.example.com", "--format", "json"],
        &["top", "--by", "domains"],
        &["top", "--by", "addresses"],
        &["new", "--since", "2020-01-01", "--by", "domains"],
        &["unanswered"],
        &["parked"],
        &["subdomains", "example.com"],
        &["tag", "set", "threat", "example.com"],
        &["find", "--tag", "threat", "--limit", "0"],
        &["near", "192.0.2.1"],
        &["intel", "import", "--source", "feed", "--format", "text", feed],
        &["www.example.com", "--format", "json"],
        &["admin", "verify"],
        &["judge", "--once", "--all"],
        &["admin", "forget", "--rrtype", "AAAA", "--yes"],
        &["find", "--limit", "0", "--sort", "name"],
        &["admin", "verify"],
    ] {
        let said = urls.each_ref().map(|url| {
            let ended = run(home.pdns().env("PDNS_REDIS", url), words);
            let mut lines: Vec<String> = ended.stdout.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            assert!(ended.code.is_some_and(|code| code < 2), "{words:?}: {ended:?}");
            (ended.code, lines)
        });
        assert_eq!(said[0], said[1], "{words:?}");
    }
    let status = run(&mut pdns(home, &cluster), &["status"]).with(&[0]);
    assert!(status.contains("a cluster with 3 masters"), "{status}");
    // Each master has a part of it.
    for node in &cluster.nodes[..3] {
        let keys: u64 = redis::from_redis_value(node.call(&["DBSIZE"])).unwrap();
        assert!(keys > 50, "{keys} keys");
    }
}

#[test]
fn slots_that_move_while_an_agent_writes_cost_no_answer() {
    let (home, folder, mut zeek) = zeek_site(71);
    let cluster = Cluster::start();
    zeek.write(1 << 20);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &cluster.store_url(), &folder);
    until("the agent is under way", || acknowledged(&cluster) > 0);
    // The log table, the metadata of sensors, partitions and a /16 of addresses.
    let keys: Vec<String> = ["pd:src", "pd:sensors", "pd:schema"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..64).step_by(8).map(meta))
        .collect();
    for key in &keys {
        zeek.write(1 << 16);
        zeek.finish_line();
        let from = cluster.master_of(key);
        let number = slot(&cluster.nodes[from], key);
        cluster.move_slot(number, from, (from + 1) % 3, Duration::from_millis(20));
        // Readers follow.
        run(&mut pdns(&home, &cluster), &["top"]).with(&[0]);
    }
    catches_up(&mut agent, &cluster, zeek.octets());
    ends_well(agent, &home, &cluster, &zeek);
}

#[test]
fn a_slot_that_moves_is_read_and_not_written() {
    let (home, folder, mut zeek) = zeek_site(72);
    let cluster = Cluster::start();
    zeek.write(1 << 19);
    zeek.finish_line();
    let url = cluster.store_url();
    run(crate::agent::zeek(&home, &url).arg("--once"), &[&folder]).with(&[0]);
    let want = answers(&home, &url);
    // Half of the keys of a partition have moved. Which partitions names are in differs from store to store; one
    // with many keys has names that are in the next lines, too.
    let keys_of = |key: &String| -> usize {
        let node = &cluster.nodes[cluster.master_of(key)];
        let number = slot(node, key).to_string();
        let count = node.call(&["CLUSTER", "COUNTKEYSINSLOT", &number]);
        redis::from_redis_value(count).unwrap()
    };
    let key = (0..64).map(meta).max_by_key(keys_of).unwrap();
    let from = cluster.master_of(&key);
    let to = (from + 1) % 3;
    let (source, target) = (&cluster.nodes[from], &cluster.nodes[to]);
    let (number, port) = (slot(source, &key).to_string(), target.port().to_string());
    target.call(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &id(source)]);
    source.call(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &id(target)]);
    let keys: Vec<String> =
        redis::from_redis_value(source.call(&["CLUSTER", "GETKEYSINSLOT", &number, "1000"]))
            .unwrap();
    let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
    words.extend(keys.iter().step_by(2).map(String::as_str));
    source.call(&words);
    assert_eq!(answers(&home, &url), want);
    // Not even a client that follows ASK can run a function there.
    let functions = format!("{:?}", target.call(&["FUNCTION", "LIST"]));
    let at = functions.find("pdns_mark_").expect("the functions are on every master");
    let function: String =
        functions[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let mut connection = target.connection();
    redis::cmd("ASKING").exec(&mut connection).unwrap();
    let answer = redis::cmd("FCALL")
        .arg(&[&function, "2", key.trim_end_matches('m'), &key, "epoch---", "identity"])
        .query::<redis::Value>(&mut connection);
    let refused = answer.expect_err("a function ran on a part of its keys").to_string();
    assert!(refused.to_lowercase().contains("tryagain"), "{refused}");
    // The agent waits, and goes on when the slot has moved.
    zeek.write(1 << 17);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &url, &folder);
    agent.says("slot", 1);
    assert!(acknowledged(&cluster) < zeek.octets(), "it wrote to a slot that moves");
    cluster.move_slot(number.parse().unwrap(), from, to, Duration::ZERO);
    catches_up(&mut agent, &cluster, zeek.octets());
    ends_well(agent, &home, &cluster, &zeek);
}

#[test]
fn masters_that_die_while_an_agent_writes_cost_no_answer() {
    let (home, folder, mut zeek) = zeek_site(73);
    let mut cluster = Cluster::start();
    cluster.notice_soon();
    zeek.write(1 << 20);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &cluster.store_url(), &folder);
    // The one with the log table, and then one without it.
    for round in 0..2 {
        let part = acknowledged(&cluster);
        zeek.write(1 << 20);
        zeek.finish_line();
        until("the agent is well under way", || acknowledged(&cluster) > part);
        let table = cluster.master_of("pd:src");
        let master = match round {
            0 => table,
            _ => (0..64)
                .map(|n| cluster.master_of(&meta(n)))
                .find(|master| *master != table)
                .unwrap(),
        };
        cluster.nodes[master].kill9();
        catches_up(&mut agent, &cluster, zeek.octets());
        cluster.nodes[master].restart();
        cluster.notice_soon();
        cluster.wait_for_replicas(3);
    }
    ends_well(agent, &home, &cluster, &zeek);
}

#[test]
fn packets_count_once_though_a_master_dies() {
    let (home, mut cluster) = (Home::new(), Cluster::start());
    cluster.notice_soon();
    let (path, model) = capture(&home, 60_000);
    let url = cluster.store_url();
    let mut agent = Agent::start(pcap(&home, &url).arg("-").stdin(Stdio::piped()));
    feed(&mut agent, &path, 8, |number| {
        std::thread::sleep(Duration::from_millis(300));
        if number == 3 {
            let master = cluster.master_of(&meta(1));
            cluster.nodes[master].kill9();
        }
    });
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    agrees(&mut Store::open(&options(&cluster)).unwrap(), &model);
}

#[test]
fn a_master_that_joins_gets_the_functions() {
    let (home, folder, mut zeek) = zeek_site(74);
    let mut cluster = Cluster::start();
    zeek.write(1 << 19);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &cluster.store_url(), &folder);
    catches_up(&mut agent, &cluster, zeek.octets());
    let node = Redis::start_node();
    cluster.nodes[0].meet(&node);
    cluster.nodes.push(node);
    let new = cluster.nodes.len() - 1;
    until("the new node is known", || {
        let known = |node: &Redis| -> String {
            redis::from_redis_value(node.call(&["CLUSTER", "NODES"])).unwrap()
        };
        let id = id(&cluster.nodes[new]);
        cluster.nodes.iter().all(|node| {
            let known = known(node);
            known.contains(&id)
                && !known.contains("handshake")
                && known.lines().count() == new + 1
                && is_up(node)
        })
    });
    for partition in [3, 30, 60] {
        let key = meta(partition);
        let from = cluster.master_of(&key);
        let number = slot(&cluster.nodes[from], &key);
        cluster.move_slot(number, from, new, Duration::ZERO);
    }
    zeek.write(1 << 18);
    zeek.finish_line();
    catches_up(&mut agent, &cluster, zeek.octets());
    ends_well(agent, &home, &cluster, &zeek);
}

#[test]
fn a_node_that_is_gone_is_named() {
    let (home, mut cluster) = (Home::new(), Cluster::start());
    let log = home.write("dns.log", crate::logs::Lines::new(75, 50).log(200));
    let url = cluster.store_url();
    run(home.agent().args(["zeek", "--once", "--redis", &url]), &[&log]).with(&[0]);
    // A master and its replica.
    let gone = [1, 4].map(|node| cluster.nodes[node].host());
    cluster.nodes[4].kill9();
    cluster.nodes[1].kill9();
    for words in [&["www.example.com"][..], &["top"], &["status"]] {
        let ended = run(&mut pdns(&home, &cluster), words);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let said = &ended.stderr;
        assert!(gone.iter().any(|node| said.contains(node)) && !said.contains("panic"), "{said}");
    }
    // No node that is named can be reached, but others were met before.
    let none = "redis-cluster://127.0.0.1:1";
    let ended = run(home.pdns().env("PDNS_REDIS", none), &["status"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("node 127.0.0.1:1 of the cluster"), "{}", ended.stderr);
}

#[test]
fn a_store_moves_from_a_server_to_a_cluster_and_back() {
    let (site, cluster) = (Site::new(), Cluster::start());
    let url = site.server.url();
    let want = answers(&site.home, &url);
    run(&mut pdns(&site.home, &cluster), &["admin", "copy", &url]).with(&[0]);
    assert_eq!(answers(&site.home, &cluster.store_url()), want);
    run(&mut pdns(&site.home, &cluster), &["admin", "verify"]).with(&[0]);
    let file = site.home.path().join("backup.pdns");
    run(site.home.pdns().env("PDNS_REDIS", &url).args(["admin", "backup"]), &[&file]).with(&[0]);
    let other = Cluster::start();
    run(pdns(&site.home, &other).args(["admin", "restore"]), &[&file]).with(&[0]);
    assert_eq!(answers(&site.home, &other.store_url()), want);
    assert_eq!(other.keys(), cluster.keys());
    // And back.
    let server = Redis::start();
    let back = |words: &[&str]| {
        run(site.home.pdns().env("PDNS_REDIS", server.url()).arg("admin"), words).with(&[0])
    };
    back(&["copy", &other.store_url()]);
    assert_eq!(answers(&site.home, &server.url()), want);
    back(&["verify"]);
}

#[test]
fn the_users_of_the_document_need_few_more_rights_in_a_cluster() {
    let (site, cluster) = (Site::new(), Cluster::start());
    let (home, url) = (&site.home, cluster.store_url());
    let set = |user: &str, more: &[&str]| {
        let mut rights = rights(user);
        rights.extend(more.iter().map(|right| (*right).to_owned()));
        for node in &cluster.nodes {
            set_user(node, user, &rights);
        }
    };
    let slots = "+cluster|slots";
    set("sensor", &[slots, "+wait"]);
    set("analyst", &[slots]);
    set("tagger", &[slots]);
    set("backup", &[slots, "+cluster|nodes"]);
    set("restorer", &[slots, "+wait"]);
    let log = home.path().join("zeek/dns.log");
    let mut agent = logged_in(home.agent(), &url, "sensor");
    run(agent.args(["zeek", "--once", "--sensor", "so-1"]), &[&log]).with(&[0]);
    let file = home.path().join("backup.pdns");
    let file = file.to_str().unwrap();
    for (user, words) in [
        ("analyst", &["find", "--limit", "0"][..]),
        ("analyst", &["192.0.2.0/24"]),
        ("analyst", &["status"]),
        ("analyst", &["admin", "verify"]),
        ("tagger", &["tag", "set", "threat", "example.com"]),
        ("backup", &["admin", "backup", file]),
        ("restorer", &["admin", "restore", file, "--prefix", "pd:again:"]),
    ] {
        let ended = run(&mut logged_in(home.pdns(), &url, user), words);
        assert!(ended.code.is_some_and(|code| code < 2), "{user} {words:?}: {ended:?}");
    }
    set("analyst", &[]);
    let ended = run(&mut logged_in(home.pdns(), &url, "analyst"), &["status"]);
    assert_eq!(ended.code, Some(2));
    let told = "Redis refuses access: ";
    assert!(ended.stderr.contains(told) && ended.stderr.contains("cluster|slots"), "{ended:?}");
}

#[test]
fn tls_protects_the_way_to_the_nodes() {
    let (home, node) = (Home::new(), Redis::start_cluster());
    let log = home.write("dns.log", crate::logs::Lines::new(76, 50).log(100));
    let (certificate, key) = self_signed(&home, false);
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let port = free_port().to_string();
    let tls = [
        ("tls-cert-file", certificate),
        ("tls-key-file", key),
        ("tls-ca-cert-file", certificate),
        ("tls-auth-clients", "no"),
        ("tls-port", &port),
        ("tls-cluster", "yes"),
    ];
    let mut settings: Vec<&str> = vec!["CONFIG", "SET"];
    settings.extend(tls.iter().flat_map(|(name, value)| [*name, *value]));
    node.call(&settings);
    // It has told its port of the time before.
    node.call(&["CONFIG", "SET", "cluster-announce-tls-port", &port]);
    let url = format!("rediss-cluster://127.0.0.1:{port}");
    let mut agent = home.agent();
    agent.args(["zeek", "--once", "--redis", &url]).env("SSL_CERT_FILE", certificate);
    run(&mut agent, &[&log]).with(&[0]);
    let mut asked = home.pdns();
    asked.env("PDNS_REDIS", &url).env("SSL_CERT_FILE", certificate);
    assert!(run(&mut asked, &["top"]).with(&[0]).lines().count() > 3);
    let ended = run(home.pdns().env("PDNS_REDIS", &url), &["top"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let told = "its certificate is signed by nobody whom this machine trusts";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn a_server_that_is_no_cluster_is_told() {
    let (home, server) = (Home::new(), Redis::start_tcp());
    let url = format!("redis-cluster://{}", server.host());
    let ended = run(home.pdns().env("PDNS_REDIS", url), &["status"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("is not a node of a cluster: give redis://"), "{}", ended.stderr);
}

#[test]
fn a_node_of_a_cluster_is_refused_and_left_as_it_was() {
    let (home, cluster) = (Home::new(), Cluster::start());
    let (path, _) = capture(&home, 30);
    let node = &cluster.nodes[1];
    let url = node.url();
    let agent = run(home.agent().args(["pcap", "--redis", &url]), &[&path]);
    // What no later attempt can change.
    assert_eq!(agent.code, Some(78), "{}", agent.stderr);
    let asked = run(home.pdns().args(["--redis", &url]), &["www.example.com"]);
    assert_eq!(asked.code, Some(2), "{}", asked.stderr);
    for said in [agent.stderr, asked.stderr] {
        assert!(said.contains("is a node of a Redis Cluster"), "{said}");
    }
    assert_eq!(cluster.keys(), 0, "keys were written");
}

#[test]
fn a_number_sign_in_a_url_that_should_be_encoded_is_told() {
    let home = Home::new();
    for url in [
        "redis://user:se#cret@127.0.0.1:1",
        "redis://:123#x@127.0.0.1:1",
        "redis+unix:///nonexistent/redis.sock?pass=se#cret",
        "redis-cluster://user:se#cret@127.0.0.1:1",
    ] {
        let ended = run(home.pdns().env("PDNS_REDIS", url), &["www.example.com"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("write %23 for a #"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("cret"), "{}", ended.stderr);
    }
}
