//! A Redis Cluster of six nodes: three masters, each with a replica.

use crate::redis::{Redis, Served, until};
use redis::Value;
use std::time::Duration;

/// Number of masters, and the first slot of each.
const FIRST: [u16; 3] = [0, 5461, 10_923];
/// Number of slots.
const SLOTS: u16 = 16_384;

/// A running cluster. Which of its nodes is a master may change.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts one, and waits until all of it is in step.
    pub(crate) fn start() -> Self {
        let nodes: Vec<Redis> = (0..2 * FIRST.len()).map(|_| Redis::start_node()).collect();
        let ends = FIRST.iter().skip(1).copied().chain([SLOTS]);
        for ((node, first), end) in nodes.iter().zip(FIRST).zip(ends) {
            let (first, last) = (first.to_string(), (end - 1).to_string());
            node.call(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        let cluster = Self { nodes };
        for node in cluster.nodes.iter().skip(1) {
            cluster.nodes[0].meet(node);
        }
        let size = cluster.nodes.len();
        until("the nodes know each other", || {
            let known =
                |node| nodes_of(node).lines().filter(|line| !line.contains("handshake")).count();
            cluster.nodes.iter().all(|node| known(node) == size)
        });
        for (replica, master) in cluster.nodes.iter().skip(FIRST.len()).zip(&cluster.nodes) {
            replica.call(&["CLUSTER", "REPLICATE", &id(master)]);
        }
        cluster.wait_for_replicas(FIRST.len());
        cluster
    }

    /// Has the nodes notice within a second that one of them is gone.
    pub(crate) fn notice_soon(&self) {
        for node in &self.nodes {
            node.call(&["CONFIG", "SET", "cluster-node-timeout", "1000"]);
        }
    }

    /// Waits until every node sees all slots served, and so many replicas in step.
    pub(crate) fn wait_for_replicas(&self, count: usize) {
        until("the replicas are in step", || {
            let linked = self
                .alive()
                .filter(|node| info(node, "replication").contains("master_link_status:up"));
            linked.count() >= count && self.alive().all(|node| served(node) == SLOTS && is_up(node))
        });
    }

    /// The nodes that run.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// Number of the master of the slot that a key lies in.
    pub(crate) fn master_of(&self, key: &str) -> usize {
        let asked = self.alive().next().expect("a node runs");
        let slot = slot(asked, key);
        let ranges = slots(asked);
        let range = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        let port = range.expect("the slot is served").2;
        self.nodes.iter().position(|node| node.port() == port).expect("the node is one of these")
    }

    /// Number of keys in the cluster.
    pub(crate) fn keys(&self) -> u64 {
        let size =
            |node: &Redis| -> u64 { redis::from_redis_value(node.call(&["DBSIZE"])).unwrap() };
        self.nodes.iter().filter(|node| is_master(node)).map(size).sum()
    }

    /// Moves a slot from one master to another as `redis-cli --cluster reshard` does, some keys at a time, and rests
    /// in between.
    pub(crate) fn move_slot(&self, slot: u16, from: usize, to: usize, rest: Duration) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let (number, port) = (slot.to_string(), to.port().to_string());
        to.call(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &id(from)]);
        from.call(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &id(to)]);
        loop {
            std::thread::sleep(rest);
            let keys = from.call(&["CLUSTER", "GETKEYSINSLOT", &number, "2"]);
            let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
            if keys.is_empty() {
                break;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            from.call(&words);
        }
        for node in [to, from].into_iter().chain(self.nodes.iter().filter(|node| is_master(node))) {
            node.call(&["CLUSTER", "SETSLOT", &number, "NODE", &id(to)]);
        }
    }
}

impl Served for Cluster {
    /// Names two nodes only: they lead to the others.
    fn store_url(&self) -> String {
        let hosts: Vec<String> = [0, 4].map(|node: usize| self.nodes[node].host()).to_vec();
        format!("redis-cluster://{}", hosts.join(","))
    }
}

/// The slot that a key lies in.
pub(crate) fn slot(node: &Redis, key: &str) -> u16 {
    redis::from_redis_value(node.call(&["CLUSTER", "KEYSLOT", key])).unwrap()
}

/// The identifier of a node.
pub(crate) fn id(node: &Redis) -> String {
    redis::from_redis_value(node.call(&["CLUSTER", "MYID"])).unwrap()
}

fn nodes_of(node: &Redis) -> String {
    redis::from_redis_value(node.call(&["CLUSTER", "NODES"])).unwrap()
}

fn info(node: &Redis, section: &str) -> String {
    redis::from_redis_value(node.call(&["INFO", section])).unwrap()
}

/// True if a node says that the cluster works.
pub(crate) fn is_up(node: &Redis) -> bool {
    let info: String = redis::from_redis_value(node.call(&["CLUSTER", "INFO"])).unwrap();
    info.contains("cluster_state:ok")
}

fn is_master(node: &Redis) -> bool {
    node.is_running() && info(node, "replication").contains("role:master")
}

/// Number of slots that a node sees served.
fn served(node: &Redis) -> u16 {
    slots(node).iter().map(|(first, last, _)| last - first + 1).sum()
}

/// Ranges of slots, each with the port of its master.
fn slots(node: &Redis) -> Vec<(u16, u16, u16)> {
    let Value::Array(ranges) = node.call(&["CLUSTER", "SLOTS"]) else { panic!("no list of slots") };
    let read = |range: Value| {
        let Value::Array(mut parts) = range else { panic!("no range of slots") };
        let Value::Array(master) = parts.remove(2) else { panic!("no node") };
        let number = |value: &Value| -> u16 { redis::from_redis_value(value.clone()).unwrap() };
        (number(&parts[0]), number(&parts[1]), number(&master[1]))
    };
    ranges.into_iter().map(read).collect()
}
