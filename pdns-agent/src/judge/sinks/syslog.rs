//! The system log of this machine: a datagram socket such as `/dev/log`, in the form of RFC 3164.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Severity "notice" (RFC 5424 §6.2.1).
const NOTICE: u8 = 5;
/// Longest wait for a daemon that does not read.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time for which such a daemon is not waited for again: else each event would cost the judge its patience.
const PAUSE: Duration = Duration::from_secs(10);

/// A connection to the system log, made when it is needed.
pub(super) struct Syslog {
    path: PathBuf,
    /// `<PRIORITY>` and the tag.
    head: String,
    socket: Option<UnixDatagram>,
    dropped: u64,
    is_failing: bool,
    /// Until then, lines are dropped without an attempt.
    paused: Option<Instant>,
}

impl Syslog {
    pub(super) fn new(path: &Path, facility: u8) -> Self {
        let priority = u16::from(facility) * 8 + u16::from(NOTICE);
        // The daemon adds the time.
        let head = format!("<{priority}>pdns-judge[{}]: ", std::process::id());
        Self {
            path: path.to_owned(),
            head,
            socket: None,
            dropped: 0,
            is_failing: false,
            paused: None,
        }
    }

    /// Sends a line. If the daemon is away, the line is dropped and counted.
    pub(super) fn send(&mut self, line: &str) {
        if self.paused.is_some_and(|until| Instant::now() < until) {
            self.dropped += 1;
            return;
        }
        self.paused = None;
        let message = self.head.clone() + line.trim_end();
        // The daemon may have been restarted since the last line: a second attempt connects anew.
        for _ in 0..2 {
            match self.try_send(message.as_bytes()) {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("the system log takes events again");
                    }
                    return;
                }
                Err(error) => {
                    self.socket = None;
                    if error.kind() == io::ErrorKind::WouldBlock {
                        self.paused = Some(Instant::now() + PAUSE);
                    }
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(socket = %self.path.display(), %error, "the system log takes no events");
                    }
                    if self.paused.is_some() {
                        break;
                    }
                }
            }
        }
        self.dropped += 1;
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = if let Some(socket) = &self.socket {
            socket
        } else {
            let socket = UnixDatagram::unbound()?;
            socket.connect(&self.path)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            self.socket.insert(socket)
        };
        socket.send(message).map(drop)
    }

    pub(super) fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each attempt takes a second: the thousands of lines of a step must not wait one after the other.
    #[test]
    fn a_daemon_that_does_not_read_is_waited_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, 16);
        let mut sent = 0;
        while !syslog.has_dropped() {
            syslog.send("a line\n");
            sent += 1;
        }
        for _ in 0..5_000 {
            syslog.send("a line\n");
        }
        assert_eq!(syslog.take_dropped(), 5_001);
        // What it took before is there, and it gets lines again when the pause is over.
        syslog.paused = None;
        let mut octets = [0; 100];
        for _ in 0..sent - 1 {
            daemon.recv(&mut octets).unwrap();
        }
        syslog.send("another line\n");
        let length = daemon.recv(&mut octets).unwrap();
        assert!(octets[..length].ends_with(b"another line"));
        assert!(!syslog.has_dropped() && !syslog.is_failing);
    }
}
