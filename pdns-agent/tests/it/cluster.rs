//! Servers that cannot hold a store are refused before anything is written, in words that say why.

use crate::once::capture;
use crate::redis::{Redis, until};
use crate::run::{Home, run};

#[test]
fn a_node_of_a_cluster_is_refused_and_left_as_it_was() {
    let home = Home::new();
    let (path, _) = capture(&home, 30);
    let nodes = [Redis::start_cluster(), Redis::start_cluster()];
    nodes[0].call(&["CLUSTER", "DELSLOTSRANGE", "0", "8191"]);
    nodes[1].call(&["CLUSTER", "DELSLOTSRANGE", "8192", "16383"]);
    nodes[0].meet(&nodes[1]);
    for node in &nodes {
        until("the nodes know each other", || {
            let info = node.call(&["CLUSTER", "INFO"]);
            let info: String = redis::from_redis_value(info).unwrap();
            info.contains("cluster_size:2") && info.contains("cluster_slots_assigned:16384")
        });
    }
    for node in &nodes {
        let url = node.url();
        let agent = run(home.agent().args(["pcap", "--redis", &url]), &[&path]);
        // What no later attempt can change.
        assert_eq!(agent.code, Some(78), "{}", agent.stderr);
        let asked = run(home.pdns().args(["--redis", &url]), &["www.example.com"]);
        assert_eq!(asked.code, Some(2), "{}", asked.stderr);
        for said in [agent.stderr, asked.stderr] {
            assert!(said.contains("is a node of a Redis Cluster"), "{said}");
        }
        let keys: u64 = redis::from_redis_value(node.call(&["DBSIZE"])).unwrap();
        assert_eq!(keys, 0, "keys were written");
    }
}

#[test]
fn a_number_sign_in_a_url_that_should_be_encoded_is_told() {
    let home = Home::new();
    for url in [
        "redis://user:se#cret@127.0.0.1:1",
        "redis://:123#x@127.0.0.1:1",
        "redis+unix:///nonexistent/redis.sock?pass=se#cret",
    ] {
        let ended = run(home.pdns().env("PDNS_REDIS", url), &["www.example.com"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("write %23 for a #"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("cret"), "{}", ended.stderr);
    }
}
