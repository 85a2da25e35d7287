//! `pdns admin forget`: clap types.

use crate::name::NameBuf;
use crate::rr::RrType;
use clap::{Args, ValueEnum};
use ipnet::IpNet;

pub(in super::super) const FORGET: &str = "\
All conditions have to hold. Records with a tag or an indicator on either end are kept, unless --tagged \
is given. What goes is written on standard error, and asked about. It takes some seconds at least; agents \
and queries go on meanwhile, and it may be interrupted and run again.

Examples:
  pdns admin forget --last-before 400d --dry-run
  pdns admin forget --last-before 30d --negative --most-count 1
  pdns admin forget --below example.net --tagged --yes
  pdns admin forget --rules --yes

Exit status: 0 forgotten, or nothing to forget, 2 error or interrupted.";

/// Origins of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OriginArg {
    /// A source gave owner name and type
    Exact,
    /// Owner name or type were inferred, and never given
    Inferred,
    /// They were only imported by `pdns-agent cof`
    Imported,
}

/// `pdns admin forget`.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct ForgetArgs {
    /// Last seen before this time: a date, or 400d for so long ago
    #[arg(long, value_name = "TIME")]
    pub last_before: Option<String>,
    /// Of these types; of negative answers, the type of the question
    #[arg(long, short = 't', value_name = "TYPE", value_delimiter = ',')]
    pub rrtype: Vec<RrType>,
    /// Names at or below this one; may be repeated
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub below: Vec<NameBuf>,
    /// Records of an address, or of those in a network; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = net)]
    pub address: Vec<IpNet>,
    /// Known in this way
    #[arg(long, value_enum, value_name = "HOW")]
    pub origin: Option<OriginArg>,
    /// Counted at most so often
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub most_count: Option<u64>,
    /// Seen by this sensor and no other
    #[arg(long, value_name = "NAME")]
    pub only_sensor: Option<String>,
    /// Negative answers alone
    #[arg(long, conflicts_with = "records")]
    pub negative: bool,
    /// Records alone
    #[arg(long)]
    pub records: bool,
    /// Follow the section [retention] of pdns.toml instead
    #[arg(long, conflicts_with_all = ["last_before", "rrtype", "below", "address", "origin", "most_count", "only_sensor", "negative", "records", "tagged"])]
    pub rules: bool,
    /// Tagged records, too
    #[arg(long)]
    pub tagged: bool,
    /// Only show what would go, and about how much memory that frees
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short = 'y', conflicts_with = "dry_run")]
    pub yes: bool,
}

fn name(text: &str) -> Result<NameBuf, String> {
    if text.starts_with('*') {
        return Err("give the name alone: what lies below it goes, too".to_owned());
    }
    // Nothing, as of a variable that is not set, would be all names.
    let below = text.trim_start_matches('.');
    if below.is_empty() {
        return Err("give a name".to_owned());
    }
    if !below.is_ascii() {
        return Err("give the form of the name in ASCII, which begins with xn--".to_owned());
    }
    NameBuf::parse(below).map_err(|error| error.to_string())
}

fn net(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    let net = text.parse::<IpNet>().or_else(|_| address());
    net.map(|net| net.trunc())
        .map_err(|_| "give an address, or a network such as 192.0.2.0/24".to_owned())
}
