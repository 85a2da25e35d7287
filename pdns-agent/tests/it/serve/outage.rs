//! Redis goes away, and comes back.

use super::{Site, listens, serve};
use crate::redis::{Redis, until};
use crate::reference::python_json;
use crate::run::Home;
use serde_json::json;
use std::ffi::OsStr;

#[test]
fn while_redis_is_away_requests_are_refused_and_then_answered_again() {
    let mut site = Site::new();
    let paths =
        ["/pdns/query/www.example.com", "/dnsdb/v2/lookup/rrset/name/www.example.com", "/healthz"];
    let statuses = |site: &Site| paths.map(|path| site.get(path).status);
    assert_eq!(statuses(&site), [200; 3]);
    site.redis.stop();
    until("health is told anew", || site.get("/healthz").status == 503);
    for path in paths {
        let reply = site.get(path);
        assert_eq!(reply.refused(503), "the store cannot be reached at the moment");
        assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    }
    assert!(site.get("/metrics").body.contains("pdns_serve_store_up 0\n"));
    site.redis.restart();
    until("all is well again", || site.get("/healthz").status == 200);
    assert_eq!(statuses(&site), [200; 3]);
    assert_eq!(site.get(paths[0]).lines().len(), 4);
    // Another store in its place is asked as it is.
    site.redis.flush();
    super::fill(&site.redis);
    assert_eq!(site.get(paths[0]).lines().len(), 4);
}

#[test]
fn it_starts_without_redis_and_waits_for_it() {
    let home = Home::new();
    let mut redis = Redis::start_durable();
    super::fill(&redis);
    redis.stop();
    let process = serve(&home, &redis, &["--listen", "127.0.0.1:0"]);
    let address = listens(&process);
    let ask = || super::request(&address, "GET", "/pdns/query/www.example.com", &[]);
    ask().refused(503);
    redis.restart();
    until("it is answered", || ask().status == 200);
    assert!(process.said().contains("cannot open the store"), "{}", process.said());
}

#[test]
fn a_store_that_fails_within_an_answer_is_told_of() {
    let site = Site::new();
    let mut redis = site.redis.connection();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis).unwrap();
    // All that is found behind the schema is of a kind that nobody expects.
    for key in keys.iter().filter(|key| !key.ends_with("schema") && !key.ends_with("sensors")) {
        redis::cmd("DEL").arg(key).exec(&mut redis).unwrap();
        redis::cmd("RPUSH").arg(key).arg("nonsense").exec(&mut redis).unwrap();
    }
    let said = "the store failed; the server's log says how";
    assert_eq!(site.get("/pdns/query/www.example.com").refused(500), said);
    assert_eq!(site.get("/dnsdb/v1/lookup/rrset/name/www.example.com").refused(500), said);
    let lines = site.get("/dnsdb/v2/lookup/rrset/name/www.example.com").lines();
    assert_eq!(lines, [json!({"cond": "begin"}), json!({"cond": "failed", "msg": said})]);
    let url = site.url("");
    let question = json!([["lookup_rrset", ["www.example.com"], {}]]).to_string();
    let answer =
        python_json("dnsdb.py", &[OsStr::new(&url), OsStr::new("any")], question.as_bytes());
    assert_eq!(answer[0]["error"], "QueryFailed");
    // The log has the cause, and the client has not.
    assert!(site.process.said().contains("a query failed"), "{}", site.process.said());
}
