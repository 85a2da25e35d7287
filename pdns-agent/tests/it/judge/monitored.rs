//! Metrics and health of a judge, as a monitoring system reads them.

use super::{Running, feed_names, generated, once, set};
use crate::agent::ask;
use crate::cli::Site;
use crate::redis::until;

#[test]
fn metrics_and_health_follow_the_judge() {
    let site = Site::new();
    set(&site.home, "[judge]\ninterval = '1s'\nlisten = 'judge.sock'\n");
    once(&site, &["--listen", site.home.path().join("once.sock").to_str().unwrap()]).with(&[0]);
    let socket = site.home.path().join("judge.sock");
    let listen = ["--listen", socket.to_str().unwrap()];
    let judge = Running::start(&site, &listen);
    judge.wait_for_lease(&site);
    let odd = format!("{}.com", generated(1));
    feed_names(&site, "1", &["paypa1-login.com", &odd, "garden.example"]);
    let mut text = String::new();
    until("the names are counted", || {
        text = ask(&socket, "/metrics");
        text.contains("\npdns_judge_names_total 3\n")
    });
    for line in [
        "pdns_judge_up 1",
        "pdns_judge_left_bytes 0",
        "pdns_judge_first_seen_total 3",
        "pdns_judge_alerts_total 2",
        "pdns_judge_webhook_dropped_total 0",
        "pdns_judge_verdicts_today{class=\"mimic\",raised=\"yes\"} 1",
        "pdns_judge_verdicts_today{class=\"generated\",raised=\"no\"} 0",
        "pdns_judge_threshold{class=\"generated\"} 30",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    assert!(!text.contains("paypa1"), "{text}");
    assert!(ask(&socket, "/health").ends_with("\r\n\r\nok\n"));
    // One that waits is well, and does not judge.
    let waiting = site.home.path().join("waiting.sock");
    let second = Running::start(&site, &["--wait", "--listen", waiting.to_str().unwrap()]);
    until("it waits", || second.said().contains("waiting for another judge"));
    assert!(ask(&waiting, "/metrics").contains("\npdns_judge_up 0\n"));
    assert!(ask(&waiting, "/health").ends_with("\r\n\r\nok\n"));
    // Two cannot listen on one socket.
    let third = once(&site, &listen);
    assert_eq!(third.code, Some(2));
    assert!(third.stderr.contains("for metrics: give --listen another"), "{}", third.stderr);
}
