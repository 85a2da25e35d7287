//! Stores that are there and refuse: errors of a moment, lost rights, full, evicting, hung. The agent waits them out
//! and says so; nothing is lost or counted twice.

use crate::agent::{Agent, acknowledged, ask, catches_up, clean_import, zeek};
use crate::logs::{Lines, Rotation, Zeek};
use crate::proxy::{Fault, Proxy};
use crate::redis::{Redis, until};
use crate::run::{Home, run};
use crate::store::{agrees, contents, options};
use pdns_agent::store::Store;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The event of an outage.
const RETRYING: &str = "cannot write to the store, retrying";

/// A folder with a Zeek that writes into it, and a server.
struct Site {
    home: Home,
    server: Redis,
    folder: PathBuf,
    zeek: Zeek,
}

impl Site {
    fn new(seed: u64) -> Self {
        let (home, server) = (Home::new(), Redis::start());
        let folder = home.path().join("logs");
        let zeek = Zeek::new(&folder, Rotation::RenameAndGzip, seed, 3_000);
        Self { home, server, folder, zeek }
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("metrics")
    }

    /// `pdns-agent zeek` that follows the folder, and can be asked how it is.
    fn follows(&self, url: &str) -> Command {
        let mut command = zeek(&self.home, url);
        command.args(["--flush", "0.1", "--listen"]).arg(self.socket()).arg(&self.folder);
        command
    }

    /// Writes more of the log.
    fn write(&mut self, octets: usize) {
        self.zeek.write(octets);
        self.zeek.finish_line();
    }

    #[track_caller]
    fn catches_up(&self, agent: &mut Agent) {
        catches_up(agent, &self.server, self.zeek.octets());
    }

    /// Waits until health says this, with 503, or is well again if it is nothing.
    #[track_caller]
    fn health_says(&self, words: &str) {
        until(&format!("health says {words:?}"), || {
            if !self.socket().exists() {
                return false;
            }
            let health = ask(&self.socket(), "/health");
            if words.is_empty() {
                health.contains(" 200 ") && health.ends_with("\r\n\r\nok\n")
            } else {
                health.contains(" 503 ") && health.contains(words)
            }
        });
    }

    /// The agent ends well when asked, and the store holds what one undisturbed import does.
    #[track_caller]
    fn ends_well(&self, agent: Agent) {
        let (code, said) = agent.terminate();
        assert_eq!(code, Some(0), "{said}");
        self.agrees();
    }

    #[track_caller]
    fn agrees(&self) {
        let written = self.home.path().join("written");
        self.zeek.copy_to(&written);
        let model = clean_import(&self.home, &written);
        agrees(&mut store(&self.server), &model);
        let verify = ["admin", "verify", "--redis", &self.server.url()];
        run(&mut self.home.pdns(), &verify).with(&[0]);
    }
}

fn store(server: &Redis) -> Store {
    Store::open(&options(server)).expect("the server is there")
}

/// A number of the agent's metrics.
fn metric(socket: &Path, name: &str) -> u64 {
    let text = ask(socket, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a whole number")
}

/// The server's memory in use.
fn used_memory(server: &Redis) -> u64 {
    store(server).capacity().unwrap().expect("everybody may ask for it").used
}

#[test]
fn one_error_of_any_kind_is_waited_out() {
    let mut site = Site::new(61);
    let proxy = Proxy::before(&site.server);
    site.write(100_000);
    let mut agent = Agent::start(&mut site.follows(&proxy.url()));
    site.catches_up(&mut agent);
    for error in [
        "NOPERM User test has no permissions to run the 'fcall' command",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOAUTH Authentication required.",
        "MOVED 3999 127.0.0.1:6381",
        "EXECABORT Transaction discarded because of previous errors.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Redis is configured to save RDB snapshots",
        "ERR internal error",
        "ERR max number of clients reached",
    ] {
        for (holds, applies) in
            [(&b"_upsert_"[..], false), (b"_upsert_", true), (b"HSET", false), (b"HMGET", true)]
        {
            proxy.inject(Fault { error, holds, times: 1, applies });
            site.write(20_000);
            let held = String::from_utf8_lossy(holds);
            until(&format!("{error} was answered to {held}"), || proxy.left() == 0);
            site.catches_up(&mut agent);
        }
    }
    site.health_says("");
    // Nobody else wrote.
    assert!(!agent.said().contains("another agent"), "{}", agent.said());
    site.ends_well(agent);
}

#[test]
fn a_refusal_that_passes_is_told_once() {
    let mut site = Site::new(78);
    let proxy = Proxy::before(&site.server);
    site.write(20_000);
    let mut agent = Agent::start(&mut site.follows(&proxy.url()));
    site.catches_up(&mut agent);
    let passed = "the store refused a request and took it when tried again";
    let told = |agent: &Agent| agent.said().lines().filter(|line| line.contains("WARN")).count();
    for (number, error) in [
        "NOPERM User test has no permissions to run the 'fcall' command",
        "ERR internal error",
        "EXECABORT Transaction discarded because of previous errors.",
    ]
    .into_iter()
    .enumerate()
    {
        proxy.inject(Fault { error, holds: b"HMGET", times: 1, applies: false });
        until(&format!("{error} was answered"), || {
            site.write(2_000);
            proxy.left() == 0
        });
        site.catches_up(&mut agent);
        agent.says(passed, number + 1);
        assert_eq!(told(&agent), number + 1, "{}", agent.said());
    }
    let said = agent.said();
    assert!(said.contains("run the 'fcall' command") && said.contains("internal error"), "{said}");
    site.ends_well(agent);
}

#[test]
fn a_schema_that_is_gone_alone_is_not_taken_for_another_store() {
    let mut site = Site::new(79);
    site.write(50_000);
    let mut agent = Agent::start(&mut site.follows(&site.server.url()));
    site.catches_up(&mut agent);
    site.server.call(&["DEL", "pd:schema"]);
    agent.says("pd:schema, which identifies the store, is missing or damaged", 1);
    agent.says("pd:schema in the store is damaged or missing", 1);
    assert!(!agent.said().contains("emptied or replaced"), "{}", agent.said());
    let repair = ["admin", "verify", "--repair", "--redis", &site.server.url()];
    run(&mut site.home.pdns(), &repair).with(&[0]);
    site.write(50_000);
    site.catches_up(&mut agent);
    site.ends_well(agent);
}

#[test]
fn a_server_without_room_for_connections_is_waited_for_and_told_once() {
    let mut site = Site::new(62);
    site.write(100_000);
    let mut agent = Agent::start(&mut site.follows(&site.server.url()));
    site.catches_up(&mut agent);
    // Taken before there is room for one alone.
    let mut own = site.server.connection();
    let () = redis::cmd("CONFIG").arg(&["SET", "maxclients", "1"]).query(&mut own).unwrap();
    let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    let _killed: u64 = redis::cmd("CLIENT").arg(&kill).query(&mut own).unwrap();
    site.write(100_000);
    agent.says(RETRYING, 1);
    site.health_says("takes no more connections (maxclients)");
    let () = redis::cmd("CONFIG").arg(&["SET", "maxclients", "1000"]).query(&mut own).unwrap();
    site.catches_up(&mut agent);
    agent.says("writing to the store again", 1);
    assert_eq!(agent.said().matches(RETRYING).count(), 1, "{}", agent.said());
    site.health_says("");
    site.ends_well(agent);
}

#[test]
fn a_password_may_change_before_its_file_does() {
    let mut site = Site::new(63);
    let set = |password: &str| {
        let rights = ["on", &format!(">{password}"), "~*", "+@all"];
        site.server.call(&[&["ACL", "SETUSER", "agent", "resetpass"], &rights[..]].concat());
    };
    set("old");
    let file = site.home.write("password", "old\n");
    let as_agent = |mut command: Command| {
        command.env("PDNS_REDIS_USER", "agent").arg("--redis-password-file").arg(&file);
        command
    };
    let mut agent = Agent::start(&mut as_agent(site.follows(&site.server.url())));
    let mut serve = site.home.pdns();
    let listen = site.home.path().join("serve");
    serve.args(["serve", "--redis", &site.server.url(), "--listen"]);
    serve.arg(format!("unix:{}", listen.display()));
    let mut server = Agent::start(&mut as_agent(serve));
    until("the server answers", || listen.exists() && ask(&listen, "/healthz").contains(" 200 "));
    set("new");
    site.server.call(&["CLIENT", "KILL", "USER", "agent"]);
    site.write(100_000);
    agent.says(RETRYING, 1);
    site.health_says("user or password is wrong");
    until("the server is refused", || !ask(&listen, "/healthz").contains(" 200 "));
    fs::write(&file, "new\n").unwrap();
    site.catches_up(&mut agent);
    until("the server answers again", || ask(&listen, "/healthz").contains(" 200 "));
    assert!(server.is_alive(), "{}", server.said());
    site.ends_well(agent);
}

/// A log about one domain that no other log knows.
fn log_about(home: &Home, name: &str, domain: &str, seed: u64) -> PathBuf {
    let log =
        Lines::new(seed, 200).log(2_000).replace(".example\t", &format!(".{domain}.example\t"));
    home.write(&format!("logs/{name}"), log)
}

#[test]
fn a_log_that_is_rejected_again_and_again_is_set_aside_until_it_is_not() {
    let site = Site::new(64);
    let proxy = Proxy::before(&site.server);
    let bad = log_about(&site.home, "dns.1.log", "rejected", 1);
    let good = log_about(&site.home, "dns.2.log", "taken", 2);
    let sizes = [&bad, &good].map(|path| fs::metadata(path).unwrap().len());
    let error = "ERR internal error";
    proxy.inject(Fault { error, holds: b"rejected.example", times: usize::MAX, applies: false });
    // One thread, so that it is the one that meets both.
    let mut agent = Agent::start(site.follows(&proxy.url()).args(["--workers", "1"]));
    site.health_says(&format!("batch of {} rejected", bad.display()));
    site.health_says("internal error");
    agent.says("setting its log aside", 1);
    until("the other log is stored", || acknowledged(&site.server) >= sizes[1]);
    fs::write(&good, fs::read_to_string(&good).unwrap() + &Lines::new(3, 100).line()).unwrap();
    let size = fs::metadata(&good).unwrap().len();
    until("the other log is read on", || acknowledged(&site.server) >= size);
    assert_eq!(metric(&site.socket(), "pdns_store_rejected_logs"), 1);
    proxy.clear();
    catches_up(&mut agent, &site.server, sizes[0] + size);
    agent.says("batch accepted, reading its log on", 1);
    site.health_says("");
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    agrees(&mut store(&site.server), &clean_import(&site.home, &site.folder));
}

#[test]
fn an_import_with_a_log_that_is_rejected_imports_the_others_and_says_so() {
    let site = Site::new(65);
    log_about(&site.home, "dns.1.log", "rejected", 1);
    let good = log_about(&site.home, "dns.2.log", "taken", 2);
    let elsewhere = fs::read_to_string(&good).unwrap().replace("10.0.", "10.9.");
    fs::write(&good, &elsewhere).unwrap();
    let model = clean_import(&site.home, &site.folder);
    // The set of who has an address in 10.0.0.0/16 is of a kind that nobody expects.
    let mut connection = site.server.connection();
    let import = || {
        let mut command = zeek(&site.home, &site.server.url());
        run(command.args(["--once", "--workers", "1"]), &[&site.folder])
    };
    let () = redis::cmd("SET").arg("pd:{4:0a00}").arg("x").query(&mut connection).unwrap();
    let ended = import();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("pd:{4:0a00} in the store is damaged"), "{}", ended.stderr);
    assert!(ended.stderr.contains("not all of them are stored"), "{}", ended.stderr);
    assert!(ended.stderr.contains("index entries not written"), "{}", ended.stderr);
    let entries = ended.stderr.lines().find_map(|line| {
        line.split_once("\"entries\":")?.1.split([',', '}']).next()?.parse::<usize>().ok()
    });
    assert!(acknowledged(&site.server) >= elsewhere.len() as u64, "{}", ended.stderr);
    let () = redis::cmd("DEL").arg("pd:{4:0a00}").query(&mut connection).unwrap();
    let ended = import();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // What the first import had in memory alone is told, and can be made again of the records.
    let repair = ["admin", "verify", "--repair", "--redis", &site.server.url()];
    run(&mut site.home.pdns(), &repair).with(&[0]);
    agrees(&mut store(&site.server), &model);
    // Those of the other sets had been written.
    let members: usize = redis::cmd("SCARD").arg("pd:{4:0a00}").query(&mut connection).unwrap();
    assert!(
        entries.is_some_and(|entries| (1..=members).contains(&entries)),
        "{entries:?} of {members}"
    );
}

#[test]
fn keys_of_a_wrong_kind_leave_no_half_a_batch() {
    let mut site = Site::new(70);
    site.write(50_000);
    let mut agent = Agent::start(&mut site.follows(&site.server.url()));
    site.catches_up(&mut agent);
    // The agent knows many rows by now, and new names belong in buckets that are not there yet.
    let mut connection = site.server.connection();
    let mut made = Vec::new();
    for bucket in (0..64)
        .flat_map(|partition| (0..64).map(move |bucket| format!("pd:{{{partition:02x}}}b{bucket}")))
    {
        let mut set = redis::cmd("SET");
        set.arg(&bucket).arg("x").arg("NX");
        if set.query::<Option<String>>(&mut connection).unwrap().is_some() {
            made.push(bucket);
        }
    }
    assert!(made.len() > 1_000, "{} buckets", made.len());
    site.write(50_000);
    site.health_says(" in the store is damaged");
    agent.says("setting its log aside", 1);
    let failed = metric(&site.socket(), "pdns_store_attempts_total{result=\"failed\"}");
    until("it has tried again", || {
        metric(&site.socket(), "pdns_store_attempts_total{result=\"failed\"}") > failed + 3
    });
    let () = redis::cmd("DEL").arg(&made).query(&mut connection).unwrap();
    site.catches_up(&mut agent);
    site.health_says("");
    site.ends_well(agent);
}

#[test]
fn a_full_store_is_told_and_waited_out() {
    let mut site = Site::new(66);
    site.write(3 << 20);
    let url = site.server.url();
    run(&mut site.home.pdns(), &["tag", "set", "threat", "evil.example", "--redis", &url]);
    run(zeek(&site.home, &url).arg("--once"), &["/dev/null"]);
    run(&mut site.home.pdns(), &["tag", "set", "threat", "evil.example", "--redis", &url])
        .with(&[0]);
    let limit = used_memory(&site.server) + (1 << 20);
    site.server.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    let import = || {
        let mut command = zeek(&site.home, &url);
        command.args(["--once", "--listen"]).arg(site.socket()).arg(&site.folder);
        Agent::start(&mut command)
    };
    let mut agent = import();
    agent.says(RETRYING, 1);
    site.health_says("the store is full, nothing is being written");
    assert_eq!(metric(&site.socket(), "pdns_store_memory_limit_bytes"), limit);
    assert_eq!(metric(&site.socket(), "pdns_store_up"), 0);
    let status = run(&mut site.home.pdns(), &["status", "--redis", &url]).with(&[0]);
    assert!(status.contains("the store is full, nothing is being written"), "{status}");
    let listen = site.home.path().join("serve");
    let mut serve = site.home.pdns();
    serve.args(["serve", "--redis", &url, "--listen", &format!("unix:{}", listen.display())]);
    let server = Agent::start(&mut serve);
    until("the start page says it", || {
        ask(&listen, "/").contains("the store is full, nothing is being written")
    });
    drop(server);
    let clear = ["tag", "clear", "threat", "evil.example", "--redis", &url];
    run(&mut site.home.pdns(), &clear).with(&[0]);
    let history = ["tag", "history", "evil.example", "--redis", &url];
    let history = run(&mut site.home.pdns(), &history).with(&[0]);
    assert!(history.contains("cleared"), "{history}");
    let counted = metric(&site.socket(), "pdns_store_answers_total");
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.matches(RETRYING).count(), 1, "{said}");
    let stored: u64 = contents(&mut store(&site.server)).values().map(|seen| seen.count).sum();
    let report = said.lines().find(|line| line.contains("observations stored"));
    let told = report.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    // Batches that are stored in part, too.
    assert_eq!((told, counted), (Some(stored), stored), "{said}");
    assert!(said.lines().any(|line| line.contains("not all") && line.contains("full")), "{said}");
    // Started while it is full it waits, too.
    let mut agent = import();
    agent.says("retrying", 1);
    site.server.call(&["CONFIG", "SET", "maxmemory", "0"]);
    until("the import ends", || !agent.is_alive());
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    site.agrees();
}

#[test]
fn a_server_that_evicts_is_not_written_to() {
    let mut site = Site::new(67);
    site.write(100_000);
    let url = site.server.url();
    let evicts = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
    site.server.call(&evicts);
    let ended = run(zeek(&site.home, &url).arg("--once"), &[&site.folder]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("maxmemory-policy is allkeys-lru; set it to"),
        "{}",
        ended.stderr
    );
    assert_eq!(acknowledged(&site.server), 0);
    site.server.call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let mut agent = Agent::start(&mut site.follows(&url));
    site.catches_up(&mut agent);
    site.server.call(&evicts);
    // Although nothing is to be written.
    site.health_says("maxmemory-policy is allkeys-lru");
    // Its memory is shown as it is, whether there is something to write or not.
    let grows = |site: &Site, key: &str| {
        let before = metric(&site.socket(), "pdns_store_memory_bytes");
        site.server.call(&["SET", key, &"x".repeat(5 << 20)]);
        until("the memory in use is known", || {
            metric(&site.socket(), "pdns_store_memory_bytes") > before + (4 << 20)
        });
    };
    grows(&site, "one");
    let before = acknowledged(&site.server);
    site.write(50_000);
    agent.says(RETRYING, 1);
    grows(&site, "two");
    let status = run(&mut site.home.pdns(), &["status", "--redis", &url]).with(&[0]);
    assert!(status.contains("Redis may evict records"), "{status}");
    // Nor by others than agents.
    let tag = |act: &str| {
        run(&mut site.home.pdns(), &["tag", act, "threat", "evil.example", "--redis", &url])
    };
    let refused = tag("set");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("set it to noeviction"), "{}", refused.stderr);
    tag("clear").with(&[1]);
    assert_eq!(acknowledged(&site.server), before);
    site.server.call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    site.catches_up(&mut agent);
    site.health_says("");
    site.ends_well(agent);
}

#[test]
fn a_server_that_hangs_is_told_long_before_it_is_given_up() {
    let mut site = Site::new(68);
    site.write(100_000);
    let mut agent = Agent::start(&mut site.follows(&site.server.url()));
    site.catches_up(&mut agent);
    let signal = |name: &str| {
        let pid = site.server.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("kill is there");
        assert!(sent.success());
    };
    signal("-STOP");
    site.health_says("store: no answer for ");
    agent.says("Redis gives no answer, waiting", 1);
    assert_eq!(metric(&site.socket(), "pdns_store_up"), 0);
    signal("-CONT");
    site.write(50_000);
    site.catches_up(&mut agent);
    site.health_says("");
    agent.says("Redis answers again", 1);
    assert_eq!(agent.said().matches("gives no answer").count(), 1, "{}", agent.said());
    site.ends_well(agent);
}

#[test]
fn settings_that_never_worked_end_with_another_status_than_failures() {
    let (home, server) = (Home::new(), Redis::start());
    let log = home.write("dns.log", Lines::new(69, 10).log(10));
    let import = |url: &str, flags: &[&str]| {
        run(zeek(&home, url).arg("--once").args(flags).arg(&log), &[] as &[&str])
    };
    let nowhere = format!("redis+unix://{}/nowhere", home.path().display());
    let told = |code: i32, ended: crate::run::Ended| {
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    };
    told(0, import(&server.url(), &[]));
    told(78, import(&nowhere, &[]));
    told(78, import(&server.url(), &["--flush", "0"]));
    told(78, import(&server.url(), &["--config", "/nonexistent"]));
    told(78, import(&server.url(), &["--redis-password-file", "/nonexistent"]));
    told(2, import(&server.url(), &["--no-such-flag"]));
    for source in ["zeek", "suricata"] {
        let agent = |flags: &[&str]| {
            run(
                home.agent().args([source, "--redis", &server.url(), "--config", "/dev/null"]),
                flags,
            )
        };
        // An import without logs is typed wrongly; a service without logs must not be started again.
        told(2, agent(&["--once"]));
        told(78, agent(&[]));
    }
    told(2, run(home.agent().args(["pcap", "--redis", &server.url()]), &[] as &[&str]));
    // All of them are in the help, and so in the manual.
    let help = run(&mut home.agent(), &["--help"]).with(&[0]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, statuses) = help.split_once("Exit status: ").expect("the help lists them");
    let numbers = statuses.split([' ', ';']).filter_map(|word| word.parse::<u8>().ok());
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 2, 78], "{help}");
    told(2, run(zeek(&home, &server.url()).arg("--once"), &["/nonexistent"]));
    server.call(&["CONFIG", "SET", "requirepass", "secret"]);
    told(78, import(&server.url(), &[]));
    let serve = ["serve", "--redis", &server.url(), "--listen", "127.0.0.1:0"];
    told(78, run(&mut home.pdns(), &serve));
    told(78, run(&mut home.pdns(), &["serve", "--listen", "nowhere"]));
    told(2, run(&mut home.pdns(), &["status", "--redis", &server.url()]));
}

/// The rights of a sensor, but for some keys.
fn sensor_with(server: &Redis, keys: &[&str]) {
    let rights = ["on", ">secret", "resetkeys", "+@all"];
    server.call(&[&["ACL", "SETUSER", "sensor"], &rights[..], keys].concat());
}

fn as_sensor(command: &mut Command) -> &mut Command {
    command.env("PDNS_REDIS_USER", "sensor").env("PDNS_REDIS_PASSWORD", "secret")
}

#[test]
fn a_log_that_cannot_be_loaded_is_named_with_the_key_and_told_again_when_it_can() {
    let mut site = Site::new(71);
    site.write(20_000);
    // The list of logs is missing among its keys.
    sensor_with(&site.server, &["~pd:schema", "~pd:sensors", "~pd:{*"]);
    let mut command = site.follows(&site.server.url());
    let mut agent = Agent::start(as_sensor(&mut command));
    let log = site.folder.join("dns.log");
    site.health_says(&format!("batch of {} rejected", log.display()));
    site.health_says("(key pd:src)");
    agent.says("setting its log aside", 1);
    sensor_with(&site.server, &["~pd:*"]);
    site.catches_up(&mut agent);
    agent.says("batch accepted, reading its log on", 1);
    site.health_says("");
    site.ends_well(agent);
}

#[test]
fn a_right_that_is_missing_for_one_set_costs_one_log() {
    let site = Site::new(72);
    log_about(&site.home, "dns.1.log", "rejected", 1);
    let good = log_about(&site.home, "dns.2.log", "taken", 2);
    let elsewhere = fs::read_to_string(&good).unwrap().replace("10.0.", "10.9.");
    fs::write(&good, &elsewhere).unwrap();
    // All sets but that of who has an address in 10.0.0.0/16.
    let all_but = [
        "~pd:[^{]*",
        "~pd:{[^4]*",
        "~pd:{4[^:]*",
        "~pd:{4:[^0]*",
        "~pd:{4:0[^a]*",
        "~pd:{4:0a[^0]*",
        "~pd:{4:0a0[^0]*",
    ];
    sensor_with(&site.server, &all_but);
    let mut command = zeek(&site.home, &site.server.url());
    as_sensor(&mut command).args(["--once", "--workers", "1"]);
    let ended = run(&mut command, &[&site.folder]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("setting its log aside").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("(key pd:{4:0a00}"), "{}", ended.stderr);
    assert!(acknowledged(&site.server) >= elsewhere.len() as u64, "{}", ended.stderr);
}

#[test]
fn an_import_waits_for_a_connection_and_for_an_error_of_a_moment() {
    let mut site = Site::new(73);
    site.write(50_000);
    let mut own = site.server.connection();
    let mut set = |clients: &str| {
        let () = redis::cmd("CONFIG").arg(&["SET", "maxclients", clients]).query(&mut own).unwrap();
    };
    set("1");
    let mut agent =
        Agent::start(zeek(&site.home, &site.server.url()).arg("--once").arg(&site.folder));
    agent.says("Redis takes no more connections (maxclients)", 1);
    set("1000");
    until("the import ends", || !agent.is_alive());
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("Broken pipe"), "{said}");
    site.agrees();
    // One answer of a moment while the store is opened.
    let proxy = Proxy::before(&site.server);
    for error in ["ERR internal error", "WRONGPASS invalid username-password pair"] {
        proxy.inject(Fault { error, holds: b"HGETALL", times: 1, applies: false });
        run(zeek(&site.home, &proxy.url()).arg("--once"), &[&site.folder]).with(&[0]);
        assert_eq!(proxy.left(), 0);
    }
    site.agrees();
}

#[test]
fn eviction_is_named_where_the_schema_is_gone() {
    let mut site = Site::new(74);
    site.write(50_000);
    let url = site.server.url();
    let import = || run(zeek(&site.home, &url).arg("--once"), &[&site.folder]);
    import().with(&[0]);
    let set = |policy: &str, limit: &str| {
        site.server.call(&["CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", limit]);
    };
    set("allkeys-random", "1");
    // The command for which room is made.
    let mut connection = site.server.connection();
    drop(redis::cmd("SET").arg(&["x", "y"]).query::<()>(&mut connection));
    set("allkeys-random", "0");
    let find = || run(&mut site.home.pdns(), &["find", "--redis", &url]);
    let ended = find();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("maxmemory-policy is allkeys-random"), "{}", ended.stderr);
    set("noeviction", "0");
    import().with(&[0]);
    site.server.call(&["DEL", "pd:schema"]);
    for command in ["find", "status"] {
        let ended = run(&mut site.home.pdns(), &[command, "--redis", &url]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("pd:schema in the store is damaged"), "{}", ended.stderr);
        assert!(ended.stderr.contains("Redis has evicted"), "{}", ended.stderr);
        // Which has been done.
        assert!(!ended.stderr.contains("set maxmemory-policy"), "{}", ended.stderr);
    }
}

#[test]
fn eviction_is_named_where_a_key_of_an_open_store_is_gone_and_stops_a_repair() {
    let mut site = Site::new(75);
    site.write(50_000);
    let url = site.server.url();
    run(zeek(&site.home, &url).arg("--once"), &[&site.folder]).with(&[0]);
    let listen = site.home.path().join("serve");
    let mut serve = site.home.pdns();
    serve.args(["serve", "--redis", &url, "--listen", &format!("unix:{}", listen.display())]);
    let mut server = Agent::start(&mut serve);
    assert!(ask(&listen, "/").contains(" 200 "));
    // One key that expires is evicted, and no other one.
    site.server.call(&["SET", "x", "y", "EX", "1000"]);
    site.server.call(&["CONFIG", "SET", "maxmemory-policy", "volatile-random", "maxmemory", "1"]);
    let mut connection = site.server.connection();
    drop(redis::cmd("SET").arg(&["x", "y"]).query::<()>(&mut connection));
    site.server.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "0"]);
    site.server.call(&["DEL", "pd:{00}m"]);
    let pdns = |words: &[&str]| run(site.home.pdns().args(["--redis", &url]), words);
    let damage = "pd:{00}m in the store is damaged";
    for question in [&["status"][..], &["find", "--limit", "0"], &["top", "--by", "names"]] {
        let ended = pdns(question);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        for words in [damage, "has evicted 1 key since", "maxmemory-policy is allkeys-lru"] {
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
    }
    assert!(ask(&listen, "/").contains(" 500 "));
    server.says("has evicted 1 key since", 1);
    // A server that was started anew has not counted what it evicted before.
    site.server.call(&["CONFIG", "RESETSTAT"]);
    let ended = pdns(&["status"]);
    assert!(ended.stderr.contains(damage), "{}", ended.stderr);
    let may = "may evict keys (maxmemory-policy is allkeys-lru, evicted_keys 0)";
    assert!(ended.stderr.contains(may), "{}", ended.stderr);
    let ended = pdns(&["admin", "verify"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("maxmemory-policy is allkeys-lru"), "{}", ended.stderr);
    // What a repair writes could be evicted, too.
    let size = || redis::cmd("DBSIZE").query::<u64>(&mut site.server.connection()).unwrap();
    for gone in ["", "pd:schema"] {
        site.server.call(&["COPY", "pd:schema", "kept", "REPLACE"]);
        site.server.call(&["DEL", gone]);
        let before = size();
        let ended = pdns(&["admin", "verify", "--repair"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("set it to noeviction"), "{}", ended.stderr);
        assert_eq!(size(), before);
        site.server.call(&["COPY", "kept", "pd:schema", "REPLACE"]);
        site.server.call(&["DEL", "kept"]);
    }
    site.server.call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    pdns(&["admin", "verify", "--repair"]).with(&[0, 1]);
    pdns(&["admin", "verify"]).with(&[0]);
}

#[test]
fn a_partition_that_loses_its_numbers_is_named_and_nothing_else_is_said() {
    let mut site = Site::new(76);
    site.write(100_000);
    let url = site.server.url();
    let mut agent = Agent::start(&mut site.follows(&url));
    site.catches_up(&mut agent);
    for (times, kind) in ["", "n"].into_iter().enumerate() {
        let mut connection = site.server.connection();
        let keys = redis::cmd("KEYS").arg(format!("pd:{{*}}{kind}m")).query(&mut connection);
        let keys: Vec<String> = keys.unwrap();
        // The one that is written to most.
        let mut rows = |key: &String| -> u64 {
            redis::cmd("HGET").arg(key).arg("r").query(&mut connection).unwrap()
        };
        let key = keys.iter().max_by_key(|key| rows(key)).unwrap();
        site.server.call(&["RENAME", key, "kept"]);
        site.write(200_000);
        let told = format!("{key} in the store is damaged or missing: run `pdns admin verify`");
        site.health_says(&told);
        agent.says("setting its log aside", times + 1);
        let said = agent.said();
        assert!(said.contains(&told) && said.contains("with --repair to mend it"), "{said}");
        site.server.call(&["RENAME", "kept", key]);
        site.catches_up(&mut agent);
        site.health_says("");
    }
    // A repair that numbers rows anew is not another store.
    let rows =
        redis::cmd("KEYS").arg("pd:{*}s0").query::<Vec<String>>(&mut site.server.connection());
    let rows = rows.unwrap().remove(0);
    site.server.call(&["DEL", &rows]);
    let repair = ["admin", "verify", "--repair", "--redis", &url];
    run(&mut site.home.pdns(), &repair).with(&[0, 1]);
    site.write(50_000);
    site.catches_up(&mut agent);
    agent.says("the store was repaired, and its records have other numbers now", 1);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    for wrong in ["connection to the store lost", "emptied or replaced", "another agent"] {
        assert!(!said.contains(wrong), "{said}");
    }
}

#[test]
fn an_agent_that_is_stopped_while_the_store_is_full_says_so() {
    let mut site = Site::new(77);
    site.write(200_000);
    let url = site.server.url();
    let mut agent = Agent::start(&mut site.follows(&url));
    site.catches_up(&mut agent);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    site.write(100_000);
    let limit = used_memory(&site.server) - 1_000;
    site.server.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    let mut agent = Agent::start(&mut site.follows(&url));
    agent.says("retrying", 1);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(2), "{said}");
    let report = said.lines().last().unwrap();
    assert!(report.contains("not all of them are stored"), "{said}");
    assert!(report.contains("the store is full, nothing is being written"), "{said}");
    site.server.call(&["CONFIG", "SET", "maxmemory", "0"]);
    let mut agent = Agent::start(&mut site.follows(&url));
    site.catches_up(&mut agent);
    site.ends_well(agent);
}
