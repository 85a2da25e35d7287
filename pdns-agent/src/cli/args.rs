//! What can be typed after `pdns`: clap types, and nothing of what it means (see `query_args`).

pub(super) mod analyze;
pub(super) mod backup;
mod examples;
pub(super) mod export;
pub(super) mod forget;
mod groups;
pub(super) mod intel;
pub(super) mod judge;
pub(super) mod rows;
pub(super) mod tag;

pub(super) use groups::{By, ByBelow, ByName, New, Parked, Subdomains, Top, Unanswered};
pub(super) use rows::{RowOptions, SortArg};

use crate::config::Connection;
use crate::config::serve::Serve;
use crate::observation::Outcome;
use crate::render::Format;
use backup::{BackupArgs, FromStore, MergeArgs};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use export::Export;
use forget::{FORGET, ForgetArgs};
use intel::IntelCommand;
use rows::{ListOutputArgs, LookUpArgs, RowArgs};
use std::path::PathBuf;
use tag::{ContrastArgs, NearArgs, TagCommand, WatchArgs};

const EXAMPLES: &str = "\
Examples:
  pdns www.example.com          records, what points at it, failed questions
  pdns 192.0.2.0/24             names with an address in a prefix
  pdns '*.example.com' -t A     all names below; .example.com is the name, too
  pdns www.example.com --follow  CNAMEs to addresses, and those that lead here
  pdns find --contains login --seen-in 7d
  pdns find --regex '^[a-z0-9]{24,}\\.' --rrtype TXT
  pdns subdomains example.com   how many names lie below each name below it
  pdns top --by domains --last-after 24h
  pdns new --list yesterday --by domains
  pdns parked --kind loopback,private
  pdns unanswered --outcome nxdomain --by domains
  pdns lookup - < subjects.txt  one subject a line, answered in order
  pdns 192.0.2.7 --format csv > rows.csv

Times are an age (24h, 7d), a date (2026-01-31), RFC 3339, or seconds since 1970; all in UTC. \
--seen-in takes every row whose time from first to last sighting overlaps the span: with \
--seen-in 2026-01-01..2026-01-31 a record first seen in 2025 and last seen in February is in. \
Containment is --first-after 2026-01-01 --last-before 2026-02-01.

Names are shown and searched in lower case with \\DDD for each octet that is not printable ASCII. \
COF is the passive DNS Common Output Format, draft-dulaunoy-dnsop-passive-dns-cof.

Exit status: 0 found, 1 nothing found, 2 error.";

const FIND: &str = "\
All that is given must hold. Text is sought in names as they are shown: in lower case, with \\DDD \
for each octet that is not printable ASCII. Globs and expressions match in any case.

Examples:
  pdns find --starts login. --ends .example
  pdns find --glob '*-secure-*.example.*' --rrtype A,AAAA
  pdns find --regex '^(?:[0-9a-f]{2}-){5}[0-9a-f]{2}\\.' --limit 20
  pdns find --ttl-max 60 --last-after 24h --sort count";

const SUBDOMAINS: &str = "\
NAMES counts the names at and below each, RECORDS and COUNT their records and answers. Only records \
that pass --rrtype and the time fences count. Without --sort the one with most names comes first.

Examples:
  pdns subdomains example.com
  pdns subdomains example.com --depth 2 --sort count --limit 20
  pdns subdomains example.com --by depth --rrtype A,AAAA";

const PARKED: &str = "\
Kinds: unspecified, loopback, private, shared (100.64.0.0/10), link-local, documentation, \
parking-address, parking-name-server. Addresses of IPv4 are found within ::ffff:0:0/96, too.

Examples:
  pdns parked --kind loopback,unspecified
  pdns parked --kind parking-name-server --list my-parking.txt --format csv";

/// Ask a passive DNS store: which names had which records, when, and how often
///
/// A bare SUBJECT is a look-up: a name, '*.' and a name for all below it, '.' and a name for the name and
/// all below it, an address, a prefix, or a range of addresses. Of a URL the host counts; what reports do to
/// names (evil[.]example) is undone, and what was read is said. Unicode names are turned into their A-labels.
/// A name that is also a command is looked up with `pdns lookup`.
#[derive(Debug, Parser)]
#[command(
    name = "pdns",
    version,
    arg_required_else_help = true,
    after_help = "pdns --help teaches with examples. Exit status: 0 found, 1 nothing found, 2 error.",
    after_long_help = EXAMPLES,
    override_usage = "pdns [OPTIONS] <SUBJECT>...\n       pdns [OPTIONS] <COMMAND>",
    subcommand_help_heading = "Commands"
)]
pub struct Args {
    /// What is asked for.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Name, '*.NAME', .NAME, ADDRESS, ADDRESS/LENGTH or FROM-TO; commas between
    #[arg(value_name = "SUBJECT")]
    pub subjects: Vec<String>,

    /// Flags of a look-up.
    #[command(flatten)]
    pub rows: LookUpArgs,

    /// Where the store is.
    #[command(flatten)]
    pub connection: Connection,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look up subjects; the same as subjects without a command
    #[command(after_long_help = examples::LOOKUP)]
    Lookup {
        /// Subjects as of pdns itself, answered one after the other; - reads them from standard input
        #[arg(value_name = "SUBJECT", required = true)]
        subjects: Vec<String>,
        /// Flags of a look-up.
        #[command(flatten)]
        rows: LookUpArgs,
    },
    /// All that is known about a subject: records, negative answers, neighbours, tags
    #[command(after_long_help = examples::SHOW)]
    Show(Show),
    /// Find records by text in their names, or by TTL; without either, every record
    #[command(after_long_help = FIND)]
    Find(Box<Find>),
    /// How many names lie below a domain, by the next label or by depth
    #[command(after_long_help = SUBDOMAINS)]
    Subdomains(Box<Subdomains>),
    /// The records, names, domains, addresses or types that were counted most
    #[command(after_long_help = examples::TOP)]
    Top(Box<Top>),
    /// Names that resolve to local or parking addresses
    #[command(after_long_help = PARKED)]
    Parked(Box<Parked>),
    /// How many names or domains were new on each day, or which
    #[command(after_long_help = examples::NEW)]
    New(Box<New>),
    /// Failed queries, most frequent first
    #[command(after_long_help = examples::UNANSWERED)]
    Unanswered(Box<Unanswered>),
    /// Tag names and addresses as threat, interest or trust
    #[command(subcommand)]
    Tag(TagCommand),
    /// Import and show what feeds and partners say of names and addresses
    #[command(subcommand)]
    Intel(IntelCommand),
    /// The tagged addresses nearest to one, by the Euclidean distance of their octets
    #[command(after_long_help = examples::NEAR)]
    Near(NearArgs),
    /// Untagged names and addresses that share infrastructure with a threat
    #[command(after_long_help = examples::CONTRAST)]
    Contrast(ContrastArgs),
    /// Judge whether names look generated, by their text alone
    #[command(after_long_help = analyze::CLASSIFY)]
    Classify(Box<analyze::Classify>),
    /// How probable it is that names and addresses are threats, with reasons
    #[command(after_long_help = analyze::SCORE)]
    Score(Box<analyze::Score>),
    /// Protected names that a name imitates, by its text alone
    #[command(after_long_help = analyze::MIMICS)]
    Mimics(Box<analyze::Mimics>),
    /// Names seen here that imitate a domain
    #[command(after_long_help = analyze::SQUATS)]
    Squats(Box<analyze::Squats>),
    /// Train a model for classify from lists of good and bad names
    #[command(after_long_help = analyze::TRAIN)]
    Train(Box<analyze::Train>),
    /// Judge new names all the time: verdicts into the store, events for a SIEM
    #[command(after_long_help = judge::JUDGE)]
    Judge(judge::Judge),
    /// Show what is new, as it is first seen
    #[command(after_long_help = examples::WATCH)]
    Watch(Box<WatchArgs>),
    /// Write lists for sensors, resolvers and partners
    #[command(after_long_help = export::EXPORT)]
    Export(Box<Export>),
    /// The state of the store and of the logs that feed it
    #[command(after_long_help = examples::STATUS)]
    Status {
        /// Also version, store, and what was counted on each log: all that a bug report needs
        #[arg(long, short)]
        verbose: bool,
        /// How it is written.
        #[command(flatten)]
        output: ListOutputArgs,
    },
    /// Answer over HTTP: CIRCL's COF and DNSDB's API
    #[command(
        after_help = "Exit status: 0 stopped, 2 failed while it ran, or wrong usage, 78 the settings never worked."
    )]
    Serve(Box<Serve>),
    /// Maintain the store
    #[command(subcommand)]
    Admin(Admin),
}

/// `pdns show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// A name, '*.NAME', .NAME, address or prefix
    #[arg(value_name = "SUBJECT")]
    pub subject: String,
    /// How to write the profile [default: table on a terminal, json elsewhere]
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = profile_formats())]
    pub format: Option<Format>,
    /// Stop reading after this time, and say so
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,
}

fn profile_formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["table", "json"]).try_map(|name| name.parse::<Format>())
}

/// Commands that look after the store.
#[derive(Clone, Debug, Subcommand)]
pub enum Admin {
    /// Check that the parts of the store agree with each other; exit status 1 when they do not
    Verify {
        /// Rebuild what can be; remove and list what cannot, which makes exit status 1, too
        #[arg(long)]
        repair: bool,
    },
    /// Create an empty store, for another number of partitions than agents choose
    ///
    /// A store keeps its number of partitions for good. More of them are for a cluster of more servers, or for a store of
    /// some hundreds of millions of names; each takes memory and time of its own.
    Create {
        /// Number of partitions, from 64 to 256
        #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u16).range(64..=256))]
        partitions: u16,
    },
    /// Bring a store of an older version up to date
    Migrate,
    /// Save the store to a file, as of one moment, while agents write to it
    Backup(BackupArgs),
    /// Restore a store from a backup, where there is none
    ///
    /// The whole file is checked first. If this is interrupted, the store is unusable until it is run again.
    Restore {
        /// The file that `pdns admin backup` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Copy another store, as of one moment, to where there is none
    ///
    /// If this is interrupted, the copy is unusable until it is run again, which starts over.
    Copy(FromStore),
    /// Add another store to this one: records, sensors, tags and the positions of logs
    ///
    /// Counts add up. A store is merged once, however often this is run or interrupted. No agent may be writing to the
    /// other store, and no log may have been read into both. While this runs, the Redis of this store also holds a copy
    /// of the other one.
    Merge(MergeArgs),
    /// Forget records and negative answers for good, and free their memory
    #[command(after_long_help = FORGET)]
    Forget(ForgetArgs),
    /// Stop the managed Redis; the next command or agent that needs it starts it again
    Stop,
    /// Forget how far a log or capture was read, so that it is read again from its start
    ///
    /// What was counted of it stays in the store: if it is read again, its answers count twice.
    ForgetSource {
        /// The file, or the path that it had when it was read
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a torn final write from a Redis append-only file
    ///
    /// Redis 7.0 would run half a transaction at a later start, which doubles counts. To be run before Redis starts, as
    /// pdns-redis.service does; the managed Redis has it done. Refused while a server uses the directory.
    MendAof {
        /// Redis' data directory, in which appendonlydir is
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Write man pages of pdns, its commands, and pdns-agent
    Man {
        /// The folder that they go to, such as /usr/local/share/man/man1
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print completions for a shell
    ///
    /// Such as `pdns admin completions bash > /etc/bash_completion.d/pdns`.
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
        /// Which program's
        #[arg(long, value_enum, default_value = "pdns")]
        program: Program,
    },
}

impl Admin {
    /// Whether it has to know where the store is.
    pub(super) fn needs_store(&self) -> bool {
        match self {
            Self::Verify { .. }
            | Self::Create { .. }
            | Self::Migrate
            | Self::Forget(_)
            | Self::ForgetSource { .. }
            | Self::Restore { .. }
            | Self::Copy(_)
            | Self::Merge(_) => true,
            Self::Backup(args) => !args.verify,
            Self::Stop | Self::MendAof { .. } | Self::Man { .. } | Self::Completions { .. } => {
                false
            }
        }
    }
}

/// A program of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// This one
    Pdns,
    /// The sensor
    PdnsAgent,
}

/// Conditions on text and TTL.
#[derive(Debug, Default, clap::Args)]
pub struct Find {
    /// The name starts with this text
    #[arg(long, value_name = "TEXT")]
    pub starts: Option<String>,
    /// The name ends with this text: example.com also finds anexample.com, .example.com does not
    #[arg(long, value_name = "TEXT")]
    pub ends: Option<String>,
    /// The name holds this text; may be repeated, and all must be there
    #[arg(long, value_name = "TEXT")]
    pub contains: Vec<String>,
    /// The whole name matches: * is any text, ? one character of a label, [a-f] one of several
    #[arg(long, value_name = "PATTERN")]
    pub glob: Vec<String>,
    /// The regular expression matches somewhere in the name; ^ and $ are its ends
    #[arg(long, value_name = "REGEX")]
    pub regex: Vec<String>,
    /// This TTL in seconds was seen: the smallest, the largest or the last
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    pub ttl: Option<u32>,
    /// The largest TTL seen is at least this
    ///
    /// Behind a resolver a TTL counts down while it is cached, so the largest one is nearest to what
    /// the zone publishes.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    pub ttl_min: Option<u32>,
    /// The largest TTL seen is at most this
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    pub ttl_max: Option<u32>,
    /// Score each owner name, as pdns score does: `pdns_score` in COF, `score` in json and csv
    #[arg(long, hide_short_help = true)]
    pub score: bool,
    /// Which rows, and how they are written.
    #[command(flatten)]
    pub rows: RowArgs,
}

/// An outcome, or `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeArg {
    /// Every outcome.
    Any,
    /// This one.
    Only(Outcome),
}

impl Default for OutcomeArg {
    fn default() -> Self {
        Self::Only(Outcome::UNANSWERED)
    }
}

fn seconds(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "give a number of seconds")
}

pub(super) fn outcome(text: &str) -> Result<OutcomeArg, crate::observation::UnknownOutcome> {
    if text.eq_ignore_ascii_case("any") {
        return Ok(OutcomeArg::Any);
    }
    text.parse().map(OutcomeArg::Only)
}
