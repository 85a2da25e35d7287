//! The store that is asked: filled from the log, or from the snapshot of when it was.

use crate::server::Server;
use std::path::Path;
use std::process::{Command, Stdio};

/// The log that it is filled from.
pub(crate) const LOG: &str = "ten-million.tsv";
/// The snapshot; to be deleted when the store's format changes.
const SNAPSHOT: &str = "ten-million.rdb";

/// A server that holds the names of the log.
pub(crate) fn filled(folder: &Path) -> Server {
    let server = Server::start_with(folder, Some(SNAPSHOT));
    if server.store().reader().summary().expect("the store tells its state").names > 0 {
        return server;
    }
    eprintln!("filling the store; this takes some minutes");
    let ended = Command::new(env!("CARGO_BIN_EXE_pdns-agent"))
        .args(["zeek", "--once", "--sensor", "bench", "--redis", &server.url()])
        .arg(folder.join(LOG))
        .env_remove("PDNS_REDIS")
        .stdin(Stdio::null())
        .status()
        .expect("the agent starts");
    assert!(ended.success(), "the agent failed");
    server.save();
    server
}
