//! A network namespace with a pair of interfaces: what tcpreplay sends into one comes out of the other.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The interface that captures see, and the one that is sent into.
pub(crate) const SEEN: &str = "cap";
const SENT: &str = "cap-out";
/// The processor that sends: in a real sensor the network card does it.
const SENDER: &str = "0";
/// Packets between two looks of the sender at the clock, so that it takes no more of its processor than it must.
const BURST: &str = "--pps-multi=32";

/// The namespace; gone at the end.
pub(crate) struct Network {
    name: String,
}

/// What tcpreplay sent.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) time: Duration,
}

impl Sent {
    pub(crate) fn per_second(self) -> f64 {
        self.packets as f64 / self.time.as_secs_f64()
    }
}

impl Network {
    /// A namespace of its own.
    pub(crate) fn new() -> Self {
        let network = Self { name: format!("pdns-bench-{}", std::process::id()) };
        must(Command::new("ip").args(["netns", "add", &network.name]));
        // So that the kernel sends nothing of its own.
        let settings = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
        must(network.command("sysctl").arg("-qw").args(settings));
        let ip = |words: &[&str]| must(Command::new("ip").args(["-n", &network.name]).args(words));
        ip(&["link", "add", SEEN, "type", "veth", "peer", "name", SENT]);
        ip(&["link", "set", SEEN, "up"]);
        ip(&["link", "set", SENT, "up"]);
        network
    }

    /// A program in the namespace; it has the process that is started.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Sends a capture over and over at a rate, or as fast as it can.
    pub(crate) fn replay(&self, capture: &Path, times: u64, rate: Option<f64>) -> Sent {
        let mut command = self.command("taskset");
        command.args(["-c", SENDER, "tcpreplay", "--quiet", "--preload-pcap", "-i", SENT]);
        command.arg(format!("--loop={times}"));
        match rate {
            Some(rate) => command.arg(format!("--pps={rate:.0}")).arg(BURST),
            None => command.arg("--topspeed"),
        };
        let said = must(command.arg(capture));
        let number = |before: &str| -> f64 {
            let rest = said.split_once(before).map(|(_, rest)| rest.trim_start());
            let word = rest.and_then(|rest| rest.split_whitespace().next());
            let number = word.and_then(|word| word.parse().ok());
            number.unwrap_or_else(|| panic!("tcpreplay does not tell {before:?}: {said}"))
        };
        assert!(number("Failed packets:") < 1.0, "tcpreplay could not send all: {said}");
        let time = Duration::from_secs_f64(number("bytes) sent in"));
        // A whole number below 2^53.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Sent { packets: number("Successful packets:") as u64, time }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Takes its interfaces with it.
        Command::new("ip").args(["netns", "del", &self.name]).status().ok();
    }
}

/// Runs a command that must succeed; what it printed.
fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}
