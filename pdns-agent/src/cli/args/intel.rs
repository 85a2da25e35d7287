//! What can be typed after `pdns intel`: clap types.

use super::rows::{ListOutputArgs, PagingArgs};
use crate::exchange::intel::{FORMATS, IntelFormat};
use crate::indicator::Tlp;
use crate::query::parse_age;
use crate::tag::TagKind;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const IMPORT: &str = "\
What the source no longer lists ends: at once, or after --lifetime. --add keeps it. Of each import its \
source keeps when it was, what it changed, and the digest of the file: pdns intel history NAME.

Not accepted as threats are names and addresses for special use, public suffixes, names of the top list, \
what is in never.txt, and what analysts trust; they are counted and shown.

Examples:
  pdns intel import report.json --source partner
  pdns intel import list.txt --source blocklist --confidence 60 --lifetime 7d
  pdns intel import https://feeds.example.net/urls.csv --source urls --url-hosts
  pdftotext report.pdf - | pdns intel import - --source report --format text

Exit status: 0 done, 1 done with rejected lines, 2 nothing imported.";

const REFRESH: &str = "\
feeds.toml says which feeds there are, and how often each is fetched. Feeds that are not due are left \
alone. A feed that has lost more than half of its lines ends nothing until it is confirmed.

Examples:
  pdns intel refresh
  pdns intel refresh blocklist --now
  pdns intel refresh blocklist --confirm

Exit status: 0 done, 1 done with rejected lines or failed feeds, 2 nothing imported.";

const SHOW: &str = "\
Indicators of domains above and of prefixes around the subject apply to it, too. Their confidence halves \
with age. What an analyst trusts silences them, which is shown beside.

Examples:
  pdns intel show login.evil.example
  pdns intel show 192.0.2.7 --format json

Exit status: 0 found, 1 nothing found, 2 error.";

const EXTRACT: &str = "\
Nothing is stored. Defanged text is undone: hxxp, [.], (dot) and the like.

Examples:
  pdns intel extract report.html
  pdftotext report.pdf - | pdns intel extract -

Exit status: 0 found, 1 nothing found, 2 error.";

const SOURCES: &str = "\
Examples:
  pdns intel sources
  pdns intel sources --format json";

const WITHDRAW: &str = "\
Its history stays. When it is imported again, it begins anew.

Examples:
  pdns intel withdraw blocklist";

const HISTORY: &str = "\
Examples:
  pdns intel history blocklist
  pdns intel history blocklist --subjects --limit 20";

/// Commands on indicators.
#[derive(Debug, Subcommand)]
pub enum IntelCommand {
    /// The sources of indicators, with their number and last refresh
    #[command(after_long_help = SOURCES)]
    Sources {
        /// How it is written.
        #[command(flatten)]
        output: ListOutputArgs,
    },
    /// Import what a file or URL lists, and say what of it was seen here
    #[command(after_long_help = IMPORT)]
    Import(Box<ImportArgs>),
    /// Fetch the feeds that are due
    #[command(after_long_help = REFRESH)]
    Refresh(RefreshArgs),
    /// Remove all that a source lists
    #[command(after_long_help = WITHDRAW)]
    Withdraw {
        /// Name of the source
        #[arg(value_name = "SOURCE")]
        source: String,
        /// Who does it [default: you]
        #[arg(long, value_name = "NAME")]
        author: Option<String>,
    },
    /// Every indicator that applies to a subject
    #[command(after_long_help = SHOW)]
    Show {
        /// Name, .NAME, address or prefix
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// How it is written.
        #[command(flatten)]
        output: ListOutputArgs,
    },
    /// What imports of a source changed, latest first
    #[command(after_long_help = HISTORY)]
    History {
        /// Name of the source
        #[arg(value_name = "SOURCE")]
        source: String,
        /// The subjects that changed rather than the imports
        #[arg(long)]
        subjects: bool,
        /// How many, and how they are written.
        #[command(flatten)]
        paging: PagingArgs,
    },
    /// Show the names and addresses in a text, each with its line
    #[command(after_long_help = EXTRACT)]
    Extract {
        /// The file, text or HTML; - is standard input
        #[arg(value_name = "FILE")]
        file: String,
        /// How it is written.
        #[command(flatten)]
        output: ListOutputArgs,
    },
}

/// `pdns intel import`.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags that people type")]
pub struct ImportArgs {
    /// The file or URL; - is standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Name of the source [default: the name of the file without its ending]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// The kind of all that the file does not judge itself: threat, interest or trust [default: threat]
    #[arg(long, value_name = "KIND", value_parser = kinds(), hide_possible_values = true)]
    pub kind: Option<TagKind>,
    /// Format of the file; detected if it is not given
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = formats())]
    pub format: Option<IntelFormat>,
    /// Confidence of what the file gives none: 0 to 100
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub confidence: u8,
    /// How long an indicator counts after it was last listed, such as 7d [default: 0, as long as it is listed]
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub lifetime: Option<u32>,
    /// Time in which confidence halves [default: 30d]
    #[arg(long, value_name = "AGE", value_parser = half_life)]
    pub half_life: Option<u32>,
    /// Restriction on sharing of what the file gives none: clear, green, amber, amber+strict or red
    #[arg(long, value_name = "TLP")]
    pub tlp: Option<Tlp>,
    /// Label of all indicators, such as a malware family; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub label: Vec<String>,
    /// Add to what the source lists, and end nothing
    #[arg(long)]
    pub add: bool,
    /// Take a URL for its host: other sites may share that host
    #[arg(long)]
    pub url_hosts: bool,
    /// Names stand for themselves and all names below them
    #[arg(long)]
    pub below: bool,
    /// Also MISP attributes that are not meant for detection
    #[arg(long)]
    pub all_attributes: bool,
    /// CSV: the column with the subjects, its name or its number from 1
    #[arg(long, value_name = "COLUMN")]
    pub column: Option<String>,
    /// JSON: a pointer (RFC 6901) to the subject of each record
    #[arg(long, value_name = "POINTER")]
    pub pointer: Option<String>,
    /// Names that are never threats, one a line or behind a rank and a comma [default: /etc/pdns/top.txt if it exists]
    #[arg(long, value_name = "FILE")]
    pub top: Option<PathBuf>,
    /// Subjects that are never threats, one a line [default: /etc/pdns/never.txt if it exists]
    #[arg(long, value_name = "FILE")]
    pub never: Option<PathBuf>,
    /// Say what would be imported and what of it was seen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write STIX sightings of what was seen here to this file
    #[arg(long, value_name = "FILE")]
    pub sightings: Option<PathBuf>,
    /// Tell this MISP server what was seen here; its key is in `PDNS_MISP_KEY`
    #[arg(long, value_name = "URL")]
    pub misp: Option<String>,
    /// Permit URLs on private and loopback addresses
    #[arg(long)]
    pub allow_private: bool,
    /// Who imports [default: you]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// How what was seen is written.
    #[command(flatten)]
    pub output: SeenOutputArgs,
}

/// `pdns intel refresh`.
#[derive(Clone, Debug, Args)]
pub struct RefreshArgs {
    /// Names of feeds [default: all that are due]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The settings of the feeds
    #[arg(long, value_name = "FILE", default_value = crate::config::DEFAULT_FEEDS)]
    pub feeds: PathBuf,
    /// Fetch feeds that are not due, too
    #[arg(long)]
    pub now: bool,
    /// End what a feed no longer lists, even if that is more than half of it
    #[arg(long, requires = "names")]
    pub confirm: bool,
    /// Names that are never threats, one a line or behind a rank and a comma [default: /etc/pdns/top.txt if it exists]
    #[arg(long, value_name = "FILE")]
    pub top: Option<PathBuf>,
    /// Subjects that are never threats, one a line [default: /etc/pdns/never.txt if it exists]
    #[arg(long, value_name = "FILE")]
    pub never: Option<PathBuf>,
}

/// The format of what was seen: `--format` is that of the file.
#[derive(Clone, Debug, Default, Args)]
pub struct SeenOutputArgs {
    /// How what was seen is written: table, json, csv or plain [default: table on a terminal, json elsewhere]
    #[arg(long, value_name = "FORMAT", value_parser = output_formats())]
    pub output: Option<crate::render::Format>,
}

fn output_formats() -> impl TypedValueParser<Value = crate::render::Format> {
    PossibleValuesParser::new(["table", "json", "csv", "plain"])
        .try_map(|name| name.parse::<crate::render::Format>())
}

fn kinds() -> impl TypedValueParser<Value = TagKind> {
    PossibleValuesParser::new(TagKind::ALL.map(TagKind::name))
        .try_map(|name| name.parse::<TagKind>())
}

fn formats() -> impl TypedValueParser<Value = IntelFormat> {
    let values = FORMATS.iter().map(|info| PossibleValue::new(info.name).help(info.help));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<IntelFormat>())
}

fn age(text: &str) -> Result<u32, &'static str> {
    let seconds = if text == "0" { Some(0) } else { parse_age(text) };
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or("give an age such as 12h, 7d or 30d")
}

fn half_life(text: &str) -> Result<u32, &'static str> {
    age(text).ok().filter(|&seconds| seconds > 0).ok_or("give an age such as 7d or 30d")
}
