//! `pdns-agent ebpf` on an interface, with real packets: what it stores is what `pdns-agent pcap` stores of the
//! same packets, and no packet is lost in silence.
//!
//! Needs root: each test has a network namespace of its own, tcpreplay sends on one end of a pair of interfaces.

use crate::agent::Agent;
use crate::corpus::{Rows, assert_alike, files_below, stored};
use crate::netns::{Network, is_root};
use crate::redis::{Redis, until};
use crate::reference::{import, made, python, python_json};
use crate::run::{Home, run};
use crate::support::Data;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// One packet a millisecond, as the joined captures have them: a query comes before its response.
pub(crate) const PACED: &[&str] = &["--pps=1000"];
/// As fast as one processor can.
pub(crate) const FAST: &[&str] = &["--topspeed", "--preload-pcap"];

/// Captures that no interface can send, and why.
const NOT_SENT: &[(&str, &str)] = &[
    ("dns.pcap.xz", "tshark cannot read it"),
    ("ppp_ip_udp_dns.pcap", "PPP"),
    ("dns-inverse-query.pcap", "FDDI"),
];

/// A running capture.
pub(crate) struct Live {
    pub(crate) agent: Agent,
    metrics: PathBuf,
    pid: u32,
}

impl Live {
    /// Starts one and waits until it captures.
    pub(crate) fn start(home: &Home, network: &Network, url: &str, arguments: &[&str]) -> Self {
        Self::start_as(home, network, url, arguments, |_| {})
    }

    /// The same, with a change of the command that starts the agent.
    pub(crate) fn start_as(
        home: &Home,
        network: &Network,
        url: &str,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let metrics = home.path().join("metrics");
        let mut command = home.agent_by("ip", &network.entry());
        command.args(["ebpf", "--redis", url, "--flush", "0.1", "--listen"]).arg(&metrics);
        change(&mut command);
        let mut agent = Agent::start(command.args(arguments));
        until("the capture listens", || {
            assert!(agent.is_alive(), "the agent ended: {}", agent.said());
            scrape(&metrics).is_some_and(|text| text.contains("pdns_capture_packets_seen_total"))
        });
        let pid = agent.id();
        Self { agent, metrics, pid }
    }

    /// A counter of an interface.
    pub(crate) fn counter(&self, name: &str, interface: &str) -> u64 {
        let text = scrape(&self.metrics).expect("the agent listens");
        let start = format!("pdns_capture_packets_{name}_total{{");
        let label = format!("interface=\"{interface}\"");
        let line = text.lines().find(|line| line.starts_with(&start) && line.contains(&label));
        let line = line.unwrap_or_else(|| panic!("no {start}{label}}} in:\n{text}"));
        line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a whole number")
    }

    /// Waits until so many packets were seen on an interface.
    pub(crate) fn sees(&self, interface: &str, packets: u64) {
        until(&format!("{packets} packets are seen on {interface}"), || {
            self.counter("seen", interface) >= packets
        });
        assert_eq!(self.counter("seen", interface), packets, "more than was sent");
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid.to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }
}

/// The metrics, once there is somebody to tell them.
fn scrape(socket: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Rows without what depends on when the packets came.
fn timeless(rows: Rows) -> Rows {
    let kept = |name: &str| !matches!(name, "time_first" | "time_last" | "ttl_last");
    let of = |(key, mut numbers): (_, std::collections::BTreeMap<&'static str, u64>)| {
        numbers.retain(|name, _| kept(name));
        (key, numbers)
    };
    rows.into_iter().map(of).collect()
}

/// What `pdns-agent pcap` stores of a capture.
fn from_file(home: &Home, capture: &Path) -> (Rows, Rows) {
    let server = Redis::start();
    import(home, &server.url(), &[], &[capture]).with(&[0]);
    stored(home, &server.url())
}

/// Joins captures into one that an interface can send, and gives the number of its packets.
fn joined(out: &Path, captures: &[PathBuf]) -> u64 {
    let mut arguments: Vec<&OsStr> = vec![out.as_os_str()];
    arguments.extend(captures.iter().map(|capture| capture.as_os_str()));
    let said = python_json("replay.py", &arguments, &[]);
    for (path, reason) in said["skipped"].as_object().expect("capture and reason") {
        let name = Path::new(path).file_name().and_then(OsStr::to_str).expect("a file");
        let known = NOT_SENT.iter().find(|(capture, _)| *capture == name);
        assert_eq!(known.map(|(_, reason)| *reason), reason.as_str(), "{path} is not sent");
    }
    said["packets"].as_u64().expect("a number")
}

/// Sends captures through an interface and compares what is stored with what the file brings.
fn check_joined(what: &str, captures: &[PathBuf], least: u64) {
    let (home, network, server) = (Home::new(), Network::new(), Redis::start());
    network.pair("cap");
    let file = home.path().join("joined.pcap");
    let packets = joined(&file, captures);
    assert!(packets > least, "{what}: only {packets} packets");
    let live = Live::start(&home, &network, &server.url(), &["--interface", "cap"]);
    // At the times in the file.
    assert_eq!(network.replay("cap", &file, &[]), packets);
    live.sees("cap", packets);
    assert_eq!(live.counter("lost", "cap"), 0);
    let (code, said) = live.agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" rejected, 0 lost;") || said.contains(" lost: "), "{said}");
    assert!(!said.contains("no room in the ring buffer"), "{said}");
    let (records, negatives) = stored(&home, &server.url());
    let (file_records, file_negatives) = from_file(&home, &file);
    assert_alike(&format!("{what}, records"), &timeless(records), &timeless(file_records));
    assert_alike(&format!("{what}, negatives"), &timeless(negatives), &timeless(file_negatives));
}

/// The captures of one folder of the real data.
fn check_folder(test: &str, folder: &str) {
    if !is_root(test) {
        return;
    }
    let data = Data::of("pcaps");
    let mut captures = Vec::new();
    files_below(&data.folder.join(folder), &mut captures);
    check_joined(test, &captures, data.pick(50, 5));
}

#[test]
fn captures_of_dnscap_live() {
    check_folder("captures_of_dnscap_live", "dnscap");
}

#[test]
fn captures_of_suricata_verify_live() {
    check_folder("captures_of_suricata_verify_live", "suricata-verify");
}

#[test]
fn captures_of_tcpdump_live() {
    check_folder("captures_of_tcpdump_live", "tcpdump");
}

#[test]
fn captures_of_zeek_live() {
    check_folder("captures_of_zeek_live", "zeek");
}

#[test]
fn made_captures_live() {
    if !is_root("made_captures_live") {
        return;
    }
    let folder = TempDir::with_prefix("pdns-captures-").unwrap();
    let captures = made(folder.path());
    let paths: Vec<PathBuf> =
        captures.keys().map(|title| folder.path().join(format!("{title}.pcap"))).collect();
    check_joined("made_captures_live", &paths, 50);
}

/// A capture of so many responses with one record each, for a tenth as many names.
pub(crate) fn responses(home: &Home, packets: u64) -> PathBuf {
    let path = home.path().join(format!("{packets}.pcap"));
    python("million.py", &[path.as_os_str(), OsStr::new(&packets.to_string())], &[]);
    path
}

/// The sum of the counts of all records.
pub(crate) fn sightings(home: &Home, server: &Redis) -> u64 {
    stored(home, &server.url()).0.values().map(|numbers| numbers["count"]).sum()
}

#[test]
fn a_million_packets_at_full_speed_are_all_seen_and_none_is_lost() {
    if !is_root("a_million_packets_at_full_speed_are_all_seen_and_none_is_lost") {
        return;
    }
    let (home, network, server) = (Home::new(), Network::new(), Redis::start());
    network.pair("cap");
    let packets = 1_000_000;
    let file = responses(&home, packets);
    // Room for all of them: this build is not made for speed, and the test is of loss.
    let arguments = ["--interface", "cap", "--ring", "512", "--new-names", "0"];
    let live = Live::start(&home, &network, &server.url(), &arguments);
    assert_eq!(network.replay("cap", &file, FAST), packets);
    live.sees("cap", packets);
    assert_eq!(live.counter("dns", "cap"), packets);
    assert_eq!(live.counter("lost", "cap"), 0);
    // A build that is not made for speed takes its time to read them: as long as it goes on, all is well.
    let mut left = packets;
    while left > 0 {
        let before = left;
        until("the agent takes packets from the ring", || {
            let text = scrape(&live.metrics).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("pdns_capture_packets_waiting"));
            left = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(before);
            left < before
        });
    }
    let (code, said) = live.agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(sightings(&home, &server), packets);
}

/// A number in a JSON document, by its name, wherever it stands.
fn number(value: &Value, name: &str) -> Option<u64> {
    match value {
        Value::Object(fields) => {
            let own = fields.get(name).and_then(Value::as_u64);
            own.or_else(|| fields.values().find_map(|field| number(field, name)))
        }
        Value::Array(values) => values.iter().find_map(|value| number(value, name)),
        _ => None,
    }
}

#[test]
fn what_a_reader_that_stands_still_loses_is_counted_exactly() {
    if !is_root("what_a_reader_that_stands_still_loses_is_counted_exactly") {
        return;
    }
    let (home, network, server) = (Home::new(), Network::new(), Redis::start());
    network.pair("cap");
    let packets = 50_000;
    let file = responses(&home, packets);
    let arguments = ["--interface", "cap", "--ring", "1"];
    let live = Live::start(&home, &network, &server.url(), &arguments);
    live.signal("-STOP");
    assert_eq!(network.replay("cap", &file, FAST), packets);
    live.signal("-CONT");
    live.sees("cap", packets);
    let mut last = (0, 0);
    until("all that was handed over is stored", || {
        let now = (sightings(&home, &server), live.counter("copied", "cap"));
        let rests = now == last && now.0 == now.1;
        last = now;
        rests
    });
    let (dns, copied, lost) =
        (live.counter("dns", "cap"), live.counter("copied", "cap"), live.counter("lost", "cap"));
    assert_eq!(dns, packets);
    assert_eq!(copied + lost, dns);
    assert!(lost > 0 && copied > 0, "{copied} copied, {lost} lost");
    // Each packet that was handed over is a good response with one record.
    assert_eq!(sightings(&home, &server), copied);
    let status = run(&mut home.pdns(), &["status", "--redis", &server.url(), "--format", "json"]);
    let status: Value = serde_json::from_str(&status.with(&[0])).unwrap();
    assert_eq!(number(&status, "lost"), Some(lost), "{status}");
    assert_eq!(number(&status, "seen"), Some(packets), "{status}");
    let (code, said) = live.agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    let told = format!("{lost} packets lost: no room in the ring buffer");
    assert!(said.contains(&told), "the report does not tell {lost} lost: {said}");
}

#[test]
fn packets_are_kept_while_redis_takes_no_connections() {
    if !is_root("packets_are_kept_while_redis_takes_no_connections") {
        return;
    }
    let (home, network, server) = (Home::new(), Network::new(), Redis::start());
    network.pair("cap");
    let file = responses(&home, 1_000);
    let mut live = Live::start(&home, &network, &server.url(), &["--interface", "cap"]);
    network.replay("cap", &file, PACED);
    live.sees("cap", 1_000);
    let mut own = server.connection();
    let () = redis::cmd("CONFIG").arg(&["SET", "maxclients", "1"]).query(&mut own).unwrap();
    let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    let _killed: u64 = redis::cmd("CLIENT").arg(&kill).query(&mut own).unwrap();
    network.replay("cap", &file, PACED);
    live.sees("cap", 2_000);
    live.agent.says("cannot write to the store, retrying", 1);
    let () = redis::cmd("CONFIG").arg(&["SET", "maxclients", "1000"]).query(&mut own).unwrap();
    until("all that was kept is stored", || sightings(&home, &server) == 2_000);
    let (code, said) = live.agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("cannot write to the store").count(), 1, "{said}");
    assert_eq!(sightings(&home, &server), 2_000);
}

#[test]
fn each_interface_has_its_sensor() {
    if !is_root("each_interface_has_its_sensor") {
        return;
    }
    let (home, network, server) = (Home::new(), Network::new(), Redis::start());
    network.pair("cap");
    network.pair("tap");
    let (few, more) = (responses(&home, 10), responses(&home, 20));
    let arguments = ["--interface", "cap=left", "--interface", "tap=right"];
    let live = Live::start(&home, &network, &server.url(), &arguments);
    network.replay("cap", &few, PACED);
    network.replay("tap", &more, PACED);
    live.sees("cap", 10);
    live.sees("tap", 20);
    let (code, said) = live.agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    // The first name was seen on both, the second on the right alone.
    let sensors = |rrname: &str| -> Value {
        let common = ["--redis", &server.url(), "--format", "json"];
        let shown = run(&mut home.pdns(), &[&[rrname], &common[..]].concat()).with(&[0]);
        let row: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
        // In the order in which the store met them, which is left to chance.
        let mut sensors = row["sensors"].as_array().unwrap().clone();
        sensors.sort_by_key(ToString::to_string);
        Value::Array(sensors)
    };
    assert_eq!(sensors("0000000000.bulk.example.com"), serde_json::json!(["left", "right"]));
    assert_eq!(sensors("0000000001.bulk.example.com"), serde_json::json!(["right"]));
    assert_eq!(sightings(&home, &server), 30);
}

#[test]
fn an_interface_goes_down_and_comes_back() {
    if !is_root("an_interface_goes_down_and_comes_back") {
        return;
    }
    let (home, network, server) = (Home::new(), Network::new(), Redis::start());
    network.pair("cap");
    let file = responses(&home, 100);
    let live = Live::start(&home, &network, &server.url(), &["--interface", "cap"]);
    network.replay("cap", &file, PACED);
    live.sees("cap", 100);
    network.ip(&["link", "set", "cap", "down"]);
    network.ip(&["link", "set", "cap", "up"]);
    network.replay("cap", &file, PACED);
    live.sees("cap", 200);
    // Made anew, it is another interface of the same name.
    network.ip(&["link", "del", "cap"]);
    network.pair("cap");
    until("the new interface is captured", || {
        network.replay("cap", &file, PACED);
        live.counter("dns", "cap") > 200
    });
    let (code, said) = live.agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    // How many were sent before the new interface was found is left to chance, but none is lost in silence.
    let seen = format!("{} packets on 1 interface: 0 without DNS", sightings(&home, &server));
    assert!(said.contains(&seen), "{seen} is not in: {said}");
}

#[test]
fn without_capabilities_it_says_which_it_needs() {
    if !is_root("without_capabilities_it_says_which_it_needs") {
        return;
    }
    // A server that another user can reach.
    let (home, server) = (Home::new(), Redis::start_cluster());
    let with = |capabilities: &str| {
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let given = format!("-all{capabilities}");
        let sets = [format!("--inh-caps={given}"), format!("--ambient-caps={given}")];
        let words = [&nobody[..], &[&sets[0], &sets[1]]].concat();
        let mut command = home.agent_by("setpriv", &words);
        command.current_dir("/").env("HOME", "/nonexistent").env_remove("XDG_DATA_HOME");
        command.args(["ebpf", "--redis", &server.url(), "--sensor", "test", "--interface", "lo"]);
        command
    };
    for (capabilities, missing) in [("", "CAP_NET_RAW"), (",+net_raw", "CAP_BPF")] {
        let ended = run(&mut with(capabilities), &["--flush", "0.1"]);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        let told: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
        assert_eq!(told.len(), 1, "one sentence: {}", ended.stderr);
        assert!(told[0].contains(missing), "it does not name {missing}: {}", ended.stderr);
    }
    // With these two it captures, and then has none of them.
    let mut command = with(",+net_raw,+bpf");
    let agent = Agent::start(command.args(["--flush", "0.1", "--listen", "127.0.0.1:0"]));
    let is_without = || {
        // Each thread has its own.
        let threads = std::fs::read_dir(format!("/proc/{}/task", agent.id())).unwrap();
        let statuses: Vec<String> = threads
            .filter_map(|thread| {
                std::fs::read_to_string(thread.unwrap().path().join("status")).ok()
            })
            .collect();
        // What it may never have again takes CAP_SETPCAP to bound; no_new_privs does the same.
        let sets = statuses
            .iter()
            .flat_map(|status| status.lines())
            .filter(|line| line.starts_with("Cap") && !line.starts_with("CapBnd"));
        statuses.len() > 1
            && sets
                .map(|line| line.split_whitespace().nth(1).unwrap())
                .all(|set| set == "0000000000000000")
    };
    until("the agent has given up its capabilities", is_without);
    until("the agent writes", || crate::agent::acknowledged(&server) > 0);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn an_interface_that_is_not_there_is_told_with_those_that_are() {
    if !is_root("an_interface_that_is_not_there_is_told_with_those_that_are") {
        return;
    }
    let (home, network, server) = (Home::new(), Network::new(), Redis::start());
    network.pair("cap");
    let mut command = home.agent_by("ip", &network.entry());
    command.args(["ebpf", "--redis", &server.url(), "--sensor", "test"]);
    let ended = run(&mut command, &["--interface", "cup"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("cup") && ended.stderr.contains("cap-out"), "{}", ended.stderr);
}
