//! Who may do what in Redis, and over which connection: users with the rights that `docs/operate.md` gives them, and
//! TLS with a certificate of one's own.

use crate::cli::Site;
use crate::redis::{Redis, until};
use crate::run::{Ended, Home, run};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rights of a user in the document.
pub(crate) fn rights(user: &str) -> Vec<String> {
    let document =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operate.md")).unwrap();
    let line = document.lines().find(|line| line.starts_with(&format!("ACL SETUSER {user} ")));
    let words = line.expect("the document has such a user").split_whitespace().skip(3);
    words.map(|word| word.replace("PASSWORD", "word")).collect()
}

pub(crate) fn set_user(server: &Redis, user: &str, rights: &[String]) {
    let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
    server.call(&[&["ACL", "SETUSER", user, "reset"], rights.as_slice()].concat());
}

/// A program that logs in.
pub(crate) fn logged_in(mut command: Command, url: &str, user: &str) -> Command {
    command.env("PDNS_REDIS", url).env("PDNS_REDIS_USER", user).env("PDNS_REDIS_PASSWORD", "word");
    command
}

/// Everything that an analyst asks; the first error, if there is one.
fn ask_everything(site: &Site, user: &str) -> Option<String> {
    [
        &["www.example.com", "--negative"][..],
        &["192.0.2.7"],
        &["192.0.2.0/24"],
        &["2001:db8::/32"],
        &["wide.example"],
        &["find", "--contains", "log"],
        &["find", "--limit", "2"],
        &["top", "--by", "names"],
        &["new", "--list", "2023-11-15"],
        &["unanswered", "--outcome", "any"],
        &["status"],
        &["tag", "list"],
        &["tag", "history"],
        &["near", "192.0.2.7"],
        &["contrast", "192.0.2.7"],
        &["admin", "verify"],
    ]
    .iter()
    .find_map(|arguments| {
        let mut pdns = logged_in(site.home.pdns(), &site.server.url(), user);
        let ended = run(&mut pdns, arguments);
        (ended.code == Some(2)).then_some(ended.stderr)
    })
}

/// A log whose one name has more records than its entry takes, so that they go to a hash of their own.
fn wide_log(home: &Home) -> PathBuf {
    let line = |number: u32| {
        let answers: Vec<String> =
            (0..250).map(|host| format!("\"10.{number}.0.{host}\"")).collect();
        let ttls = vec!["60.0"; answers.len()];
        format!(
            concat!(
                r#"{{"ts":1700000000.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"#,
                r#""id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"wide.example","#,
                r#""qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"#,
                r#""rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"#,
                r#""answers":[{}],"TTLs":[{}],"rejected":false}}"#
            ),
            answers.join(","),
            ttls.join(",")
        )
    };
    let lines: Vec<String> = (0..4).map(line).collect();
    home.write("wide/dns.log", lines.join("\n") + "\n")
}

fn feed(site: &Site, user: &str, log: &Path) -> Ended {
    let mut agent = logged_in(site.home.agent(), &site.server.url(), user);
    run(agent.args(["zeek", "--once", "--sensor", user]), &[log])
}

#[test]
fn the_analyst_of_the_document_may_read_all_and_needs_each_right() {
    let site = Site::new();
    let rights = rights("analyst");
    set_user(&site.server, "analyst", &rights);
    site.server.call(&["ACL", "SETUSER", "sensor", "on", ">word", "~*", "+@all"]);
    feed(&site, "sensor", &wide_log(&site.home)).with(&[0]);
    assert_eq!(ask_everything(&site, "analyst"), None);
    needs_each(&site, "analyst", &rights, || ask_everything(&site, "analyst"));
}

/// Takes each right away alone: what the user asks then fails, in one line that names it.
fn needs_each(site: &Site, user: &str, rights: &[String], ask: impl Fn() -> Option<String>) {
    for right in rights.iter().filter(|right| right.starts_with('+')) {
        let fewer: Vec<String> = rights.iter().filter(|other| *other != right).cloned().collect();
        set_user(&site.server, user, &fewer);
        let error = ask().unwrap_or_else(|| panic!("{right} is not needed"));
        assert!(error.contains("Redis refuses access: ") && error.lines().count() == 1, "{error}");
        assert!(error.contains(&right[1..]), "{right}: {error}");
    }
}

#[test]
fn the_analyst_of_the_document_may_not_write() {
    let site = Site::new();
    set_user(&site.server, "analyst", &rights("analyst"));
    let url = site.server.url();
    // What is missing from the index would have to be written.
    site.server.call(&["DEL", "pd:{4:c000}"]);
    let mut pdns = logged_in(site.home.pdns(), &url, "analyst");
    let ended = run(&mut pdns, &["admin", "verify", "--repair"]);
    assert_eq!(ended.code, Some(2));
    let start = "pdns: cannot verify the store: Redis refuses access: ";
    assert!(ended.stderr.starts_with(start), "{}", ended.stderr);
    let ended = feed(&site, "analyst", &site.home.write("more/dns.log", "1700000000.0\tx\n"));
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("Redis refuses access: "), "{}", ended.stderr);
    // Other keys are none of his business.
    site.server.call(&["SET", "other", "secret"]);
    let client = redis::Client::open(format!("{url}?user=analyst&pass=word")).unwrap();
    let mut connection = client.get_connection().unwrap();
    let read: redis::RedisResult<String> = redis::cmd("GET").arg("other").query(&mut connection);
    assert!(read.is_err());
}

#[test]
fn the_keeper_of_the_document_may_forget_and_has_no_right_that_it_does_not_need() {
    let site = Site::new();
    let rights = rights("keeper");
    set_user(&site.server, "keeper", &rights);
    site.server.call(&["ACL", "SETUSER", "sensor", "on", ">word", "~*", "+@all"]);
    // A name with very many records, of which a part goes; one with two records that lead to the same name; and a domain of
    // which not all names are kept.
    feed(&site, "sensor", &wide_log(&site.home)).with(&[0]);
    let line = |query: &str, qtype: u16, answers: &str, ttls: &str| {
        format!(
            "{{\"ts\":1700000000.5,\"id.orig_h\":\"10.0.0.1\",\"id.resp_p\":53,\"query\":\"{query}\",\"qtype\":{qtype},\"rcode\":0,\
             \"RD\":true,\"RA\":true,\"answers\":[{answers}],\"TTLs\":[{ttls}]}}\n"
        )
    };
    let mut lines = line("two.example", 15, "\"same.example\"", "60.0");
    lines += &line("two.example", 1, "\"same.example\",\"192.0.2.1\"", "60.0,60.0");
    for number in 0..9 {
        lines += &line(&format!("t{number}.flood.example"), 16, "\"TXT 1 x\"", "60.0");
    }
    let log = site.home.write("more/dns.log", lines);
    let mut agent = logged_in(site.home.agent(), &site.server.url(), "sensor");
    run(agent.args(["zeek", "--once", "--new-names", "2"]), &[log]).with(&[0]);
    run(site.pdns().args(["tag", "set", "interest", "wide.example"]), &[] as &[&str]).with(&[0]);
    // As after a process that was killed.
    site.server.call(&["HSET", "pd:{00}m", "y", "1000"]);
    site.server.call(&["SET", "pd:{00}1000s0", "x"]);
    site.server.call(&["CONFIG", "RESETSTAT"]);
    let keeper = || logged_in(site.home.pdns(), &site.server.url(), "keeper");
    for words in [
        &["--address", "10.0.0.0/17", "--dry-run"][..],
        &["--address", "10.0.0.0/17", "--tagged", "--yes"],
        &["--rrtype", "MX", "--yes"],
        &["--below", "flood.example", "--yes"],
    ] {
        run(keeper().args(["admin", "forget"]), words).with(&[0]);
    }
    let mut connection = site.server.connection();
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut connection).unwrap();
    let used: BTreeSet<&str> = stats
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next())
        // Those of the connection, and of this test.
        .filter(|command| !matches!(*command, "auth" | "hello" | "select" | "config|resetstat"))
        .filter(|command| !command.starts_with("client"))
        .collect();
    let may: BTreeSet<&str> = rights.iter().filter_map(|right| right.strip_prefix('+')).collect();
    assert_eq!(used, may);
    let left = run(site.pdns().arg("wide.example"), &["--limit", "0"]).with(&[0]);
    assert_eq!(left.lines().count(), 750, "{left}");
    let left = run(site.pdns().arg("same.example"), &["--format", "json"]).with(&[0]);
    assert!(left.contains("CNAME") && !left.contains("MX"), "{left}");
    run(site.pdns().arg(".flood.example"), &[] as &[&str]).with(&[1]);
    run(site.pdns().args(["admin", "verify"]), &[] as &[&str]).with(&[0]);
}

#[test]
fn the_tagger_of_the_document_may_import_indicators_and_an_analyst_may_not() {
    let site = Site::new();
    for user in ["tagger", "analyst"] {
        set_user(&site.server, user, &rights(user));
    }
    let feed = site.home.write("more/feed.txt", "bad-host.com\n45.9.9.0/24\n");
    let feed = feed.to_str().unwrap();
    let ask = |user: &str, arguments: &[&str]| {
        run(&mut logged_in(site.home.pdns(), &site.server.url(), user), arguments)
    };
    ask("tagger", &["intel", "import", feed]).with(&[0]);
    ask("analyst", &["intel", "sources"]).with(&[0]);
    ask("analyst", &["intel", "show", "bad-host.com"]).with(&[0]);
    let refused = ask("analyst", &["intel", "withdraw", "feed"]);
    assert!(refused.stderr.contains("Redis refuses access: "), "{}", refused.stderr);
    ask("tagger", &["intel", "withdraw", "feed"]).with(&[0]);
}

/// Sets, changes and clears tags.
fn tag_everything(site: &Site, user: &str) -> Option<String> {
    [
        &["tag", "set", "threat", "192.0.2.7"][..],
        &["tag", "set", "trust", "192.0.2.7"],
        &["tag", "clear", "192.0.2.7"],
    ]
    .iter()
    .find_map(|arguments| {
        let mut pdns = logged_in(site.home.pdns(), &site.server.url(), user);
        let ended = run(&mut pdns, arguments);
        (ended.code == Some(2)).then_some(ended.stderr)
    })
}

#[test]
fn the_tagger_of_the_document_may_tag_and_needs_each_right() {
    let site = Site::new();
    let rights = rights("tagger");
    set_user(&site.server, "tagger", &rights);
    site.server.call(&["ACL", "SETUSER", "sensor", "on", ">word", "~*", "+@all"]);
    feed(&site, "sensor", &wide_log(&site.home)).with(&[0]);
    assert_eq!(tag_everything(&site, "tagger"), None);
    assert_eq!(ask_everything(&site, "tagger"), None);
    // Nor may he put another function into the place of one that sensors call, with their rights.
    let client =
        redis::Client::open(format!("{}?user=tagger&pass=word", site.server.url())).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut refusal = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let error = command.query::<redis::Value>(&mut connection).unwrap_err();
        let text = error.to_string();
        let refused =
            ["permission", "can't run", "can't access"].iter().any(|word| text.contains(word));
        assert!(refused, "{words:?}: {text}");
    };
    refusal(&["FUNCTION", "LOAD", "REPLACE", "#!lua name=pdns\nlocal x"]);
    refusal(&["FCALL", "pdns_upsert", "0"]);
    for script in
        ["return redis.call('DEL', 'pd:schema')", "return redis.call('HSET', 'pd:x', 1, 2)"]
    {
        refusal(&["EVAL", script, "0"]);
    }
    // He may not write records.
    site.server.call(&["DEL", "pd:{4:c000}"]);
    let mut pdns = logged_in(site.home.pdns(), &site.server.url(), "tagger");
    let ended = run(&mut pdns, &["admin", "verify", "--repair"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("Redis refuses access: "), "{}", ended.stderr);
    needs_each(&site, "tagger", &rights, || {
        tag_everything(&site, "tagger").or_else(|| ask_everything(&site, "tagger"))
    });
}

#[test]
fn no_user_of_the_document_can_remove_a_key_read_a_setting_or_act_as_another_user() {
    let site = Site::new();
    site.server.call(&["SET", "other", "secret"]);
    for user in ["analyst", "tagger", "sensor"] {
        set_user(&site.server, user, &rights(user));
        let url = format!("{}?user={user}&pass=word", site.server.url());
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let mut is_refused = |line: &str| {
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            words.for_each(|word| {
                command.arg(word);
            });
            let error = command.query::<redis::Value>(&mut connection).unwrap_err().to_string();
            assert!(error.contains("permission"), "{user}, {line}: {error}");
        };
        for line in [
            "DEL pd:schema",
            "UNLINK pd:schema",
            "RENAME pd:schema pd:x",
            "COPY pd:schema pd:x",
            "MOVE pd:schema 1",
            "EXPIRE pd:schema 1",
            "SET pd:schema x",
            "GETDEL pd:schema",
            "RESTORE pd:x 0 x",
            "DUMP pd:schema",
            "FLUSHALL",
            "FLUSHDB",
            "SWAPDB 0 1",
            "KEYS *",
            "HGET other f",
            "CONFIG GET requirepass",
            "CONFIG GET masterauth",
            "CONFIG SET requirepass x",
            "ACL LIST",
            "ACL GETUSER sensor",
            "ACL SETUSER sensor nopass",
            "CLIENT LIST",
            "MONITOR",
            "FUNCTION DUMP",
            "FUNCTION DELETE pdns",
            "FUNCTION FLUSH",
            "SCRIPT FLUSH",
            "REPLICAOF 127.0.0.1 1",
            "SHUTDOWN NOSAVE",
        ] {
            is_refused(line);
        }
        if user != "sensor" {
            for line in [
                "FUNCTION LOAD x",
                "FCALL x 0",
                "HSET pd:schema v 9",
                "HDEL pd:schema v",
                "SPOP pd:{4:c000}",
                "SETRANGE pd:schema 0 x",
            ] {
                is_refused(line);
            }
        }
    }
    let kept: String = redis::cmd("GET").arg("other").query(&mut site.server.connection()).unwrap();
    assert_eq!(kept, "secret");
}

#[test]
fn packages_give_their_users_the_rights_of_the_document() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(project.join(path)).unwrap();
    let debian = read("xtask/deb/store-users");
    // Python joins the parts of a text.
    let security_onion = read("securityonion/installer/manager.py").replace("\"\n    \"", "");
    for (user, name) in [("sensor", "SENSOR_RIGHTS"), ("tagger", "ANALYST_RIGHTS")] {
        let rights = rights(user).split_off(2).join(" ");
        assert!(debian.contains(&format!("\n{user}='{rights}'\n")), "{rights}");
        assert!(security_onion.contains(&format!("{name} = (\n    \"{rights}\"\n)")), "{rights}");
    }
}

#[test]
fn an_analyst_may_not_tag() {
    let site = Site::new();
    set_user(&site.server, "analyst", &rights("analyst"));
    let error = tag_everything(&site, "analyst").unwrap();
    assert!(error.starts_with("pdns: cannot set the tags: Redis refuses access: "), "{error}");
}

#[test]
fn an_analyst_who_comes_before_the_sensors_is_told() {
    let (home, server) = (Home::new(), Redis::start());
    set_user(&server, "analyst", &rights("analyst"));
    let ended = run(&mut logged_in(home.pdns(), &server.url(), "analyst"), &["www.example.com"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (
            Some(2),
            "pdns: cannot open the store: there is no store with the prefix pd: yet, and this user, who \
             may not run function|load, cannot make one: a sensor's agent has to write first\n"
        )
    );
}

#[test]
fn the_sensor_of_the_document_may_feed_an_empty_redis_and_needs_each_right() {
    let rights = rights("sensor");
    let feed_empty = |rights: &[String]| {
        let site = Site { home: Home::new(), server: Redis::start() };
        set_user(&site.server, "sensor", rights);
        let ended = feed(&site, "sensor", &wide_log(&site.home));
        if ended.code == Some(0) {
            // An older log makes the name older; a hot address is spread over several sets.
            let text = fs::read_to_string(wide_log(&site.home)).unwrap();
            let older = site.home.write("older/dns.log", text.replace("1700000000", "1600000000"));
            let ended = feed(&site, "sensor", &older);
            if ended.code == Some(0) {
                return hot_address(&site);
            }
            return ended;
        }
        ended
    };
    let ended = feed_empty(&rights);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut idle = Vec::new();
    for right in rights.iter().filter(|right| right.starts_with('+')) {
        let fewer: Vec<String> = rights.iter().filter(|other| *other != right).cloned().collect();
        let ended = feed_empty(&fewer);
        if ended.code == Some(0) {
            idle.push(right.as_str());
        } else {
            assert!(ended.stderr.contains(&right[1..]), "{right}: {}", ended.stderr);
        }
    }
    // Who may not ask whether the server was started anew reads the logs again after each lost connection.
    assert_eq!(idle, ["+info"], "not needed");
}

/// Feeds so many names on one address that its set is divided.
fn hot_address(site: &Site) -> Ended {
    let text = fs::read_to_string(wide_log(&site.home)).unwrap();
    let line = text.lines().next().unwrap();
    let head = line.split_once("\"answers\"").unwrap().0;
    let lines: Vec<String> = (0..9_000)
        .map(|number| {
            let head = head.replace("wide.example", &format!("n{number}.example"));
            format!("{head}\"answers\":[\"192.0.2.1\"],\"TTLs\":[60.0],\"rejected\":false}}")
        })
        .collect();
    feed(site, "sensor", &site.home.write("hot/dns.log", lines.join("\n") + "\n"))
}

/// Makes a certificate for this machine that nobody has signed but itself.
pub(crate) fn self_signed(home: &Home, authority: bool) -> (PathBuf, PathBuf) {
    let name = |end: &str| home.path().join(format!("redis-{authority}.{end}"));
    let (certificate, key) = (name("crt"), name("key"));
    let constraint = if authority { "CA:TRUE" } else { "CA:FALSE" };
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "30", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", &format!("basicConstraints=critical,{constraint}")])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl is installed (cargo xtask test does)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

#[test]
fn tls_needs_a_certificate_that_is_trusted() {
    let site = Site::new();
    let (certificate, key) = self_signed(&site.home, false);
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let mut port = String::new();
    until("a port is free", || {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(&["tls-cert-file", certificate, "tls-key-file", key]);
        set.arg(&["tls-auth-clients", "no", "tls-port", &port]);
        set.query::<()>(&mut site.server.connection()).is_ok()
    });
    let ask = |host: &str, trusted: Option<&str>| {
        let mut pdns = site.home.pdns();
        pdns.env("PDNS_REDIS", format!("rediss://{host}:{port}"));
        pdns.envs(trusted.map(|path| ("SSL_CERT_FILE", path)));
        run(&mut pdns, &["2001:db8::7", "--format", "plain"])
    };
    for host in ["localhost", "127.0.0.1"] {
        let shown = ask(host, Some(certificate)).with(&[0]);
        assert_eq!(shown, "www.example.com\tAAAA\t2001:db8::7\n");
    }
    let ended = ask("localhost", None);
    assert_eq!(
        (ended.code, ended.stderr),
        (
            Some(2),
            format!(
                "pdns: cannot open the store: cannot reach rediss://localhost:{port}: its certificate is \
                 signed by nobody whom this machine trusts: name a file with the certificate, or its \
                 authority's, in SSL_CERT_FILE\n"
            )
        )
    );
    // The certificate is for other names.
    let ended = ask("127.0.0.2", Some(certificate));
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("certificate") && ended.stderr.lines().count() == 1,
        "{}",
        ended.stderr
    );
    // What `openssl req -x509` makes unless it is told otherwise.
    let (authority, its_key) = self_signed(&site.home, true);
    let (authority, its_key) = (authority.to_str().unwrap(), its_key.to_str().unwrap());
    site.server.call(&["CONFIG", "SET", "tls-cert-file", authority, "tls-key-file", its_key]);
    let ended = ask("localhost", Some(authority));
    assert!(
        ended.stderr.ends_with("make one with basicConstraints CA:FALSE\n"),
        "{}",
        ended.stderr
    );
    // Neither side speaks what the other expects.
    let mut plain = site.home.pdns();
    let ended = run(plain.env("PDNS_REDIS", format!("redis://127.0.0.1:{port}")), &["2001:db8::7"]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{}", ended.stderr);
}
