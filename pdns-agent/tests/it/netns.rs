//! A network of its own for a test of the live capture: a namespace with pairs of interfaces, what is sent into
//! one end comes out of the other and nothing else does. Gone when the test ends, also when it fails.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Namespaces of one process are told apart by this.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace.
pub(crate) struct Network {
    name: String,
}

/// Whether this process may make namespaces; if not, one clear line that says so.
pub(crate) fn is_root(test: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        crate::support::skip(test, "needs root");
    }
    is_root
}

/// Runs a command that must succeed.
#[track_caller]
fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

impl Network {
    /// A namespace without interfaces. IPv6 is off in it: the kernel sends nothing of its own.
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pdns-test-{}-{number}", std::process::id());
        must(Command::new("ip").args(["netns", "add", &name]));
        let network = Self { name };
        let settings = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
        must(network.command("sysctl").arg("-qw").args(settings));
        network
    }

    /// Adds a pair of interfaces: what is sent on `{name}-out` arrives on `{name}`. Large enough for packets that
    /// segmentation offload left whole.
    pub(crate) fn pair(&self, name: &str) {
        let peer = format!("{name}-out");
        let words = ["mtu", "65535", "type", "veth", "peer", "name", &peer, "mtu", "65535"];
        self.ip(&[&["link", "add", name], &words[..]].concat());
        self.ip(&["link", "set", name, "up"]);
        self.ip(&["link", "set", &peer, "up"]);
    }

    /// `ip` in the namespace.
    pub(crate) fn ip(&self, arguments: &[&str]) {
        must(Command::new("ip").args(["-n", &self.name]).args(arguments));
    }

    /// Has `tc` shape what an interface sends; false if this kernel cannot.
    pub(crate) fn shape(&self, interface: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new("tc");
        command.args(["-n", &self.name, "qdisc", "replace", "dev", interface, "root"]);
        command.args(arguments).output().expect("tc comes with ip").status.success()
    }

    /// What stands before a command that runs in the namespace.
    pub(crate) fn entry(&self) -> [&str; 3] {
        ["netns", "exec", &self.name]
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(self.entry()).arg(program);
        command
    }

    /// Replays a capture into the interface `name`, in order, and gives the number of packets that were sent.
    ///
    /// `pace` are arguments of tcpreplay. One processor does it, so that no packet overtakes another.
    pub(crate) fn replay(&self, name: &str, capture: &Path, pace: &[&str]) -> u64 {
        let mut command = self.command("taskset");
        command.args(["-c", "0", "tcpreplay", "--quiet", "-i", &format!("{name}-out")]);
        let said = must(command.args(pace).arg(capture));
        let number = |word: &str| -> u64 {
            let line = said.lines().find(|line| line.trim_start().starts_with(word));
            let line = line.unwrap_or_else(|| panic!("tcpreplay does not tell {word:?}: {said}"));
            line.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or_default()
        };
        assert_eq!(number("Failed packets:"), 0, "tcpreplay could not send all: {said}");
        number("Successful packets:")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Takes its interfaces with it.
        let removed = Command::new("ip").args(["netns", "del", &self.name]).status();
        if !removed.is_ok_and(|status| status.success()) {
            println!("the network namespace {} is left behind", self.name);
        }
    }
}

#[test]
fn what_is_sent_arrives_and_the_network_is_gone_at_the_end() {
    if !is_root("what_is_sent_arrives_and_the_network_is_gone_at_the_end") {
        return;
    }
    let folder = tempfile::TempDir::with_prefix("pdns-captures-").unwrap();
    crate::reference::made(folder.path());
    let network = Network::new();
    network.pair("cap");
    network.replay("cap", &folder.path().join("tags.pcap"), &["--pps=1000"]);
    let shown = must(network.command("cat").arg("/sys/class/net/cap/statistics/rx_packets"));
    assert_eq!(shown.trim(), "12", "six exchanges were sent, and nothing else");
    let name = network.name.clone();
    drop(network);
    assert!(!must(Command::new("ip").args(["netns", "list"])).contains(&name));
}
