//! The system log of this machine: a datagram socket such as `/dev/log`, in the form of RFC 3164.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Severity "notice" (RFC 5424 §6.2.1).
const NOTICE: u8 = 5;
/// Longest wait for a daemon that does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection to the system log, made when it is needed.
pub(super) struct Syslog {
    path: PathBuf,
    /// `<PRIORITY>` and the tag.
    head: String,
    socket: Option<UnixDatagram>,
    dropped: u64,
    is_failing: bool,
}

impl Syslog {
    pub(super) fn new(path: &Path, facility: u8) -> Self {
        let priority = u16::from(facility) * 8 + u16::from(NOTICE);
        // The daemon adds the time.
        let head = format!("<{priority}>pdns-judge[{}]: ", std::process::id());
        Self { path: path.to_owned(), head, socket: None, dropped: 0, is_failing: false }
    }

    /// Sends a line. If the daemon is away, the line is dropped and counted.
    pub(super) fn send(&mut self, line: &str) {
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
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(socket = %self.path.display(), %error, "the system log takes no events");
                    }
                }
            }
        }
        self.dropped += 1;
    }

    fn try_send(&mut self, message: &[u8]) -> std::io::Result<()> {
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
