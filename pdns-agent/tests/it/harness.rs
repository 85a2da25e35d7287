//! Tests of the harness itself: what the other tests lean on.

use crate::redis::Redis;
use redis::Commands as _;

#[test]
fn a_durable_server_keeps_what_it_acknowledged() {
    let mut server = Redis::start_durable();
    let _: () = server.connection().set("key", "value").unwrap();
    server.kill9();
    server.restart();
    assert_eq!(server.connection().get::<_, String>("key").unwrap(), "value");
    server.stop();
    server.restart();
    assert_eq!(server.connection().get::<_, String>("key").unwrap(), "value");
}

#[test]
fn a_server_without_a_disk_forgets() {
    let mut server = Redis::start();
    assert!(server.url().starts_with("redis+unix:///"));
    let _: () = server.connection().set("key", "value").unwrap();
    server.restart();
    assert_eq!(server.connection().get::<_, Option<String>>("key").unwrap(), None);
    let _: () = server.connection().set("key", "value").unwrap();
    server.flush();
    assert_eq!(server.connection().get::<_, Option<String>>("key").unwrap(), None);
}

#[test]
fn a_cluster_serves_every_slot_before_and_after_a_restart() {
    let mut server = Redis::start_cluster();
    assert!(server.url().starts_with("redis://127.0.0.1:"));
    for key in ["{a}", "{b}", "{c}"] {
        let _: () = server.connection().set(key, "value").unwrap();
    }
    server.kill9();
    server.restart();
    assert_eq!(server.connection().get::<_, String>("{b}").unwrap(), "value");
}

#[test]
fn each_server_is_another() {
    let (first, second) = (Redis::start(), Redis::start());
    let _: () = first.connection().set("key", "value").unwrap();
    assert_eq!(second.connection().get::<_, Option<String>>("key").unwrap(), None);
}
