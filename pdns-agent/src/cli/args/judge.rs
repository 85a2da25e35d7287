//! What can be typed of continuous judgement: clap types.

use crate::render::Format;
use clap::Args;
use std::path::PathBuf;

pub(in super::super) const JUDGE: &str = "\
Names that are new in the store are judged by their text, with the tags and indicators on them and on \
their addresses, and as sets: new on one day on one address, or failed (NXDOMAIN) in one burst across \
suffixes. Verdicts from a risk score of 30 on go to the store as indicators of the source pdns-judge, \
which are of kind interest and override nothing. About 50 a day become alerts; hits on threats of \
analysts and feeds always do.

Events are JSON lines in the fields of ECS: pdns.first_seen for new names, pdns.verdict for alerts. They go \
where the section [judge] of pdns.toml says (a file, the system log, a web hook), or to standard output.

One judge works on a store. Its position is in the store: it goes on where it was, with the latest names \
first. At its first start it begins with what is new from then on; --all judges what is there.

Examples:
  pdns judge
  pdns judge --once --all --first-seen none
  pdns judge --status

Exit status: 0 stopped or done, 2 error.";

/// `pdns judge`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct Judge {
    /// End when everything new is judged
    #[arg(long)]
    pub once: bool,
    /// First judge the names that the store has, by their text
    #[arg(long)]
    pub all: bool,
    /// Wait while another judge works on the store, and take over when it ends
    #[arg(long)]
    pub wait: bool,
    /// Show how far the judge is and what it did today, and end
    #[arg(long, conflicts_with_all = ["once", "all", "wait", "first_seen", "protect", "model", "listen"])]
    pub status: bool,
    /// Names that get an event of their own as new ones [default: names]
    #[arg(long, value_name = "WHICH", value_parser = ["names", "domains", "none"])]
    pub first_seen: Option<String>,
    /// List of protected names, the most important first [default: protected.toml and protected.txt in /etc/pdns, or
    /// well-known brands]
    #[arg(long, value_name = "FILE")]
    pub protect: Vec<PathBuf>,
    /// Model file of pdns train [default: the one that comes with pdns]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Address that serves metrics and health: an address and port, or the path of a Unix socket
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// How to write the status [default: table on a terminal, json elsewhere]
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = super::profile_formats(), requires = "status")]
    pub format: Option<Format>,
}
