//! Stores that Redis Sentinel watches: the master is found, and a failover is followed without a loss or a double.

use crate::access::self_signed;
use crate::agent::{Agent, acknowledged, catches_up, ends_well, zeek_site};
use crate::redis::{Redis, free_port, until};
use crate::run::{Ended, Home, run};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Name of the master in the settings of the sentinels.
const NAME: &str = "pdns-store";
/// User that the replica has on the master, and its password.
const LINK: [&str; 2] = ["link", "x"];

/// A running sentinel.
pub(crate) struct Sentinel {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl Sentinel {
    /// One that watches the server on a port of loopback, with further lines of settings.
    fn start(watched: u16, more: &str) -> Self {
        let directory = TempDir::with_prefix("pdns-sentinel-").unwrap();
        let port = free_port();
        let file = directory.path().join("sentinel.conf");
        // A replica is fit for promotion unless it lost its master more than ten times down-after ago.
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nlogfile \"\"\n\
             sentinel monitor {NAME} 127.0.0.1 {watched} 1\n\
             sentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 5000\n{more}",
            directory.path().display()
        );
        std::fs::write(&file, settings).unwrap();
        let child = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server runs as a sentinel");
        let sentinel = Self { child, port, _directory: directory };
        until("the sentinel listens", || {
            std::net::TcpStream::connect(("127.0.0.1", sentinel.port)).is_ok()
        });
        sentinel
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of the store behind this sentinel.
    pub(crate) fn url(&self) -> String {
        url(&[self.host()])
    }

    fn ask(&self, command: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://{}", self.host()))?;
        let mut request = redis::Cmd::new();
        request.arg(command);
        request.query(&mut client.get_connection()?)
    }

    /// Has it make the replica the master. It refuses until the replica has told it of itself.
    pub(crate) fn fail_over(&self) {
        until("the sentinel begins a failover", || {
            self.ask(&["SENTINEL", "FAILOVER", NAME]).is_ok()
        });
    }

    /// Waits until it knows a replica that it may promote.
    pub(crate) fn wait_for_replica(&self) {
        until("the sentinel knows the replica", || {
            let known = self.ask(&["SENTINEL", "CKQUORUM", NAME]).is_ok();
            let replicas = self.ask(&["SENTINEL", "REPLICAS", NAME]).unwrap();
            known && format!("{replicas:?}").contains("master-link-status")
        });
    }

    /// Waits until it names this server as the master.
    pub(crate) fn wait_for_master(&self, server: &Redis) {
        until("the sentinel names the new master", || {
            let named = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).unwrap();
            let (_, port): (String, u16) = redis::from_redis_value(named).unwrap();
            port == server.port()
        });
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn url(hosts: &[String]) -> String {
    format!("redis+sentinel://{}/{NAME}", hosts.join(","))
}

/// A master and a replica that has all its data.
fn pair() -> (Redis, Redis) {
    let (master, replica) = (Redis::start_tcp(), Redis::start_tcp());
    let [user, password] = LINK;
    master.call(&["ACL", "SETUSER", user, "on", ">x", "+psync", "+replconf", "+ping"]);
    replica.call(&["CONFIG", "SET", "masteruser", user, "masterauth", password]);
    replica.call(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    until("the replica is in step", || {
        let info = replica.call(&["INFO", "replication"]);
        redis::from_redis_value::<String>(info).unwrap().contains("master_link_status:up")
    });
    (master, replica)
}

/// A pair as of [`pair`], and a sentinel that may promote the replica.
pub(crate) fn watched_pair() -> (Redis, Redis, Sentinel) {
    let (master, replica) = pair();
    let sentinel = Sentinel::start(master.port(), "");
    sentinel.wait_for_replica();
    (master, replica, sentinel)
}

/// Ends replication: from now on the replica falls behind.
fn cut_link(master: &Redis) {
    master.call(&["ACL", "SETUSER", LINK[0], "off"]);
    master.call(&["CLIENT", "KILL", "TYPE", "replica"]);
}

fn status(home: &Home, url: &str) -> Ended {
    run(home.pdns().args(["--redis", url]), &["status"])
}

/// A query over this URL fails with these words.
#[track_caller]
fn refused(home: &Home, url: &str, words: &[&str]) {
    let ended = status(home, url);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word} is missing: {}", ended.stderr);
    }
}

#[test]
fn an_import_goes_on_with_the_new_master_and_counts_each_answer_once() {
    let (home, folder, mut zeek) = zeek_site(31);
    let (mut master, replica, sentinel) = watched_pair();
    zeek.write(3 << 20);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &sentinel.url(), &folder);
    let part = zeek.octets() / 4;
    until("the agent is well under way", || acknowledged(&master) > part);
    master.kill9();
    assert!(acknowledged(&replica) < zeek.octets(), "the import had ended before the failover");
    catches_up(&mut agent, &replica, zeek.octets());
    // The old master comes back empty, and is made a replica of the new one.
    master.restart();
    zeek.write(1 << 16);
    zeek.finish_line();
    catches_up(&mut agent, &replica, zeek.octets());
    let top =
        |url: &str| run(home.pdns().args(["--redis", url, "top"]), &["--limit", "5"]).with(&[0]);
    assert_eq!(top(&sentinel.url()), top(&replica.url()));
    ends_well(agent, &home, &replica, &zeek);
}

#[test]
fn answers_that_the_replica_lacked_are_read_again() {
    let (home, folder, mut zeek) = zeek_site(32);
    let (mut master, replica, sentinel) = watched_pair();
    zeek.write(1 << 20);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &sentinel.url(), &folder);
    catches_up(&mut agent, &master, zeek.octets());
    let before = zeek.octets();
    until("the replica is in step", || acknowledged(&replica) == before);
    cut_link(&master);
    zeek.write(1 << 19);
    zeek.finish_line();
    catches_up(&mut agent, &master, zeek.octets());
    assert_eq!(acknowledged(&replica), before, "the replica got what the test wants it to lack");
    master.kill9();
    // No log grows: the agent itself notices that the new master has less.
    catches_up(&mut agent, &replica, zeek.octets());
    ends_well(agent, &home, &replica, &zeek);
}

#[test]
fn a_failover_of_a_master_that_lives_is_followed() {
    let (home, folder, mut zeek) = zeek_site(33);
    let (master, replica, sentinel) = watched_pair();
    zeek.write(1 << 20);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &sentinel.url(), &folder);
    let part = zeek.octets() / 4;
    until("the agent is well under way", || acknowledged(&master) > part);
    sentinel.fail_over();
    sentinel.wait_for_master(&replica);
    catches_up(&mut agent, &replica, zeek.octets());
    ends_well(agent, &home, &replica, &zeek);
}

#[test]
fn a_sentinel_that_does_not_answer_is_passed_over() {
    let (home, master) = (Home::new(), Redis::start_tcp());
    let sentinel = Sentinel::start(master.port(), "");
    let dead = format!("127.0.0.1:{}", free_port());
    let log = home.write("dns.log", crate::logs::Lines::new(34, 50).log(100));
    let both = url(&[dead.clone(), sentinel.host()]);
    let agent = run(home.agent().args(["zeek", "--once", "--redis", &both]), &[&log]);
    agent.with(&[0]);
    assert!(acknowledged(&master) > 0);
    status(&home, &both).with(&[0]);
    // A plain Redis is not a sentinel, and says so in its way.
    let plain = url(&[format!("127.0.0.1:{}", master.port()), sentinel.host()]);
    status(&home, &plain).with(&[0]);

    let plain = format!("127.0.0.1:{}", master.port());
    let none = url(&[dead.clone(), plain.clone()]);
    let refusal = format!("{dead} cannot be reached: ");
    let other = format!("{plain} is not a sentinel");
    refused(&home, &none, &["no sentinel leads to a master", &refusal, &other]);
}

#[test]
fn a_master_that_no_sentinel_knows_is_told() {
    let (home, master) = (Home::new(), Redis::start_tcp());
    let sentinel = Sentinel::start(master.port(), "");
    let wrong = format!("redis+sentinel://{}/other", sentinel.host());
    refused(&home, &wrong, &[&wrong, "knows no master named \"other\""]);
    // What no later attempt is likely to change.
    let log = home.write("dns.log", crate::logs::Lines::new(35, 50).log(10));
    let agent = run(home.agent().args(["zeek", "--once", "--redis", &wrong]), &[&log]);
    assert_eq!(agent.code, Some(78), "{}", agent.stderr);
}

#[test]
fn a_replica_that_a_sentinel_names_is_not_used() {
    let (home, (master, replica)) = (Home::new(), pair());
    // It was told to watch what is not the master, as one that has not heard of a failover.
    let stale = Sentinel::start(replica.port(), "");
    let told = format!("names 127.0.0.1:{}, which is a replica", replica.port());
    refused(&home, &stale.url(), &["no sentinel leads to a master", &told]);
    let sentinel = Sentinel::start(master.port(), "");
    let log = home.write("dns.log", crate::logs::Lines::new(36, 50).log(100));
    let both = url(&[stale.host(), sentinel.host()]);
    let agent = run(home.agent().args(["zeek", "--once", "--redis", &both]), &[&log]);
    agent.with(&[0]);
    assert!(acknowledged(&master) > 0);
}

#[test]
fn sentinels_and_the_master_have_passwords_of_their_own() {
    let (home, master) = (Home::new(), Redis::start_tcp());
    let log = home.write("dns.log", crate::logs::Lines::new(37, 50).log(100));
    let words = home.write("words", "of-sentinels\n");
    run(home.agent().args(["zeek", "--once", "--redis", &master.url()]), &[&log]).with(&[0]);
    // An analyst of the documentation, who may not run ROLE.
    let analyst =
        ["on", ">of-master", "%R~pd:*", "-@all", "+get", "+getrange", "+hget", "+hgetall"];
    let more = ["+hmget", "+hscan", "+lrange", "+smembers", "+sscan", "+sismember", "+info"];
    master.call(&[&["ACL", "SETUSER", "analyst"][..], &analyst, &more].concat());
    let sentinel = Sentinel::start(master.port(), "requirepass of-sentinels\n");
    let url = |login: &str, query: &str| {
        format!("redis+sentinel://{login}{}/{NAME}{query}", sentinel.host())
    };
    let shows = |url: &str| {
        let mut pdns = home.pdns();
        run(pdns.env("PDNS_REDIS", url), &["status"])
    };
    let file = format!("?sentinel_password_file={}", words.display());
    for query in ["?sentinel_password=of-sentinels", &file] {
        shows(&url("analyst:of-master@", query)).with(&[0]);
    }
    for (login, query, told) in [
        ("", "", "asks for a password: give sentinel_password_file"),
        ("", "?sentinel_password=of-others", "refuses sentinel_user or its password"),
        ("analyst:of-others@", &file, "user or password is wrong"),
    ] {
        let ended = shows(&url(login, query));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
        assert!(!ended.stderr.contains("of-others"), "{}", ended.stderr);
    }
}

#[test]
fn tls_protects_the_way_to_the_sentinel_and_to_the_master() {
    let (home, master) = (Home::new(), Redis::start_tcp());
    let log = home.write("dns.log", crate::logs::Lines::new(38, 50).log(100));
    let (certificate, key) = self_signed(&home, false);
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let (port, of_sentinel) = (free_port(), free_port());
    let tls = [
        ("tls-cert-file", certificate),
        ("tls-key-file", key),
        ("tls-ca-cert-file", certificate),
        ("tls-auth-clients", "no"),
    ];
    let mut settings: Vec<&str> = vec!["CONFIG", "SET"];
    settings.extend(tls.iter().flat_map(|(name, value)| [*name, *value]));
    let text = port.to_string();
    settings.extend(["tls-port", &text]);
    master.call(&settings);
    let lines = tls.map(|(name, value)| format!("{name} {value}\n")).concat();
    let more = format!("tls-port {of_sentinel}\ntls-replication yes\n{lines}");
    let _sentinel = Sentinel::start(port, &more);
    let url = format!("rediss+sentinel://127.0.0.1:{of_sentinel}/{NAME}");
    let mut agent = home.agent();
    agent.args(["zeek", "--once", "--redis", &url]);
    run(agent.env("SSL_CERT_FILE", certificate), &[&log]).with(&[0]);
    assert!(acknowledged(&master) > 0);
    let trusted = "its certificate is signed by nobody whom this machine trusts";
    refused(&home, &url, &["cannot be reached: ", trusted]);
}
