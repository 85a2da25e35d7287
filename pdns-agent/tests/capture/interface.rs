//! An interface that comes and goes, and a capture that has given up its privileges.

use crate::network::{Sender, ip, pair};
use crate::packets::{UDP, V4, dns, ethernet, v4};
use crate::tunnel::Tunnel;
use crate::{RING, capture, isolated, taken};
use pdns_agent::source::capture::{Capture, CaptureOptions, State, drop_privileges};
use std::time::{Duration, Instant};

/// Waits until the interface is so. Whether there is a carrier is told with some delay.
#[track_caller]
fn becomes(capture: &mut Capture, state: State) {
    let started = Instant::now();
    while capture.follow() != state {
        assert!(started.elapsed() < Duration::from_secs(20), "the interface is not {state:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends one response, and says whether it was captured.
fn arrives(capture: &mut Capture) -> bool {
    Sender::open("cap-out").send(&ethernet(V4, &v4(UDP, 0, 0, &dns())));
    taken(capture).len() == 1
}

#[test]
fn down_and_up_again() {
    isolated("down_and_up_again", || {
        pair("cap");
        let mut capture = capture("cap");
        becomes(&mut capture, State::Up);
        assert!(arrives(&mut capture));
        ip(&["link", "set", "cap", "down"]);
        becomes(&mut capture, State::Down);
        ip(&["link", "set", "cap", "up"]);
        becomes(&mut capture, State::Up);
        assert!(arrives(&mut capture));
        // The other end goes away: no carrier.
        ip(&["link", "set", "cap-out", "down"]);
        becomes(&mut capture, State::Down);
    });
}

/// Deletes the interface, makes it anew, and captures on.
fn comes_back(capture: &mut Capture) {
    assert!(arrives(capture));
    ip(&["link", "del", "cap"]);
    assert_eq!(capture.follow(), State::Gone);
    assert_eq!(capture.follow(), State::Gone);
    pair("cap");
    becomes(capture, State::Up);
    assert!(arrives(capture));
    assert_eq!(capture.counters().seen, 2, "the counters go on");
}

#[test]
fn deleted_and_made_anew() {
    isolated("deleted_and_made_anew", || {
        pair("cap");
        comes_back(&mut capture("cap"));
    });
}

#[test]
fn made_anew_as_another_kind_it_is_not_captured() {
    isolated("made_anew_as_another_kind_it_is_not_captured", || {
        pair("cap");
        let mut capture = capture("cap");
        ip(&["link", "del", "cap"]);
        let _tunnel = Tunnel::new("cap");
        assert_eq!(capture.follow(), State::Gone);
    });
}

#[test]
fn without_privileges_the_capture_goes_on() {
    isolated("without_privileges_the_capture_goes_on", || {
        pair("cap");
        let mut capture = capture("cap");
        assert!(arrives(&mut capture));
        // Privileges are a thread's own: this one keeps them, so that it can send and make interfaces.
        let (mut capture, status) = std::thread::spawn(move || {
            drop_privileges().unwrap();
            becomes(&mut capture, State::Up);
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let again = Capture::open(&CaptureOptions {
                interface: "cap".to_owned(),
                ports: &[53],
                ring: RING,
                promiscuous: false,
            });
            let error = again.err().expect("nothing can be opened any more").to_string();
            assert!(error.contains("CAP_NET_RAW"), "{error}");
            (capture, status)
        })
        .join()
        .unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).to_owned()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        assert!(arrives(&mut capture));
        // The interface is made anew by one who may; the thread that follows it may nothing.
        ip(&["link", "del", "cap"]);
        pair("cap");
        let mut capture = std::thread::spawn(move || {
            drop_privileges().unwrap();
            becomes(&mut capture, State::Up);
            capture
        })
        .join()
        .unwrap();
        assert!(arrives(&mut capture));
    });
}

#[test]
fn an_interface_that_is_not_there_or_of_another_kind() {
    isolated("an_interface_that_is_not_there_or_of_another_kind", || {
        pair("cap");
        let refused = |name: &str| {
            let interface = name.to_owned();
            let options = CaptureOptions { interface, ports: &[53], ring: RING, promiscuous: true };
            Capture::open(&options).err().expect("it cannot be captured").to_string()
        };
        let said = refused("cup");
        assert!(said.contains("cup") && said.contains("cap-out"), "{said}");
        assert!(refused("a-name-longer-than-any-interface-has").contains("there is no interface"));
    });
}

#[test]
fn a_closed_capture_gives_what_it_had() {
    isolated("a_closed_capture_gives_what_it_had", || {
        pair("cap");
        let mut capture = capture("cap");
        let sender = Sender::open("cap-out");
        let packet = ethernet(V4, &v4(UDP, 0, 0, &dns()));
        sender.send(&packet);
        capture.close();
        sender.send(&packet);
        assert_eq!(taken(&mut capture).len(), 1);
        assert_eq!(capture.counters().seen, 1);
        assert_eq!(capture.follow(), State::Gone);
    });
}
