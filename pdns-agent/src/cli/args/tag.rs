//! What can be typed of tags, and of what lies close to a tagged threat: clap types.

use super::examples;
use super::rows::{FenceArgs, PagingArgs};
use crate::query::{RelationKind, Scope};
use crate::tag::TagKind;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

/// Commands on tags.
#[derive(Debug, Subcommand)]
pub enum TagCommand {
    /// Tag names, addresses or prefixes as a threat, as trusted, or as of interest
    ///
    /// A subject is either a threat or trusted: setting one ends the other. .example.com is the name with all names
    /// below it; tags cover a name and all below it together, so '*.example.com' is taken for the same, and said.
    /// Text that could be taken for more than one subject, or that no host name contains, is refused.
    #[command(after_long_help = examples::TAG_SET)]
    Set {
        /// What it is
        #[arg(value_parser = kinds())]
        kind: TagKind,
        /// Names, .NAME, addresses, prefixes; URLs as of pdns itself
        #[arg(value_name = "SUBJECT", required = true)]
        subjects: Vec<String>,
        /// What is said beside it.
        #[command(flatten)]
        words: TagWords,
        /// Which names are meant.
        #[command(flatten)]
        reach: Reach,
    },
    /// Take tags off: those of one kind, or all
    ///
    /// example.com takes the tags off the name and off the name with all below it; --exact and --below
    /// choose one of them.
    #[command(after_long_help = examples::TAG_CLEAR)]
    Clear {
        /// A kind, if only tags of that kind are to go; then subjects
        #[arg(value_name = "[KIND] SUBJECT", required_unless_present = "source")]
        words: Vec<String>,
        /// Only tags from this source; without subjects, all of them
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Why, for the history
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        note: String,
        /// Who does it [default: you]
        #[arg(long, value_name = "NAME")]
        author: Option<String>,
        /// Which names are meant.
        #[command(flatten)]
        reach: Reach,
    },
    /// List tags
    #[command(after_long_help = examples::TAG_LIST)]
    List {
        /// Only tags of this kind
        #[arg(value_parser = kinds())]
        kind: Option<TagKind>,
        /// Only tags on this name and below it, or on addresses of this prefix
        #[arg(long, value_name = "SUBJECT")]
        under: Option<String>,
        /// Only tags from this source
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// How many, and how they are written.
        #[command(flatten)]
        paging: PagingArgs,
    },
    /// Who set and cleared which tags, and when; the latest first
    #[command(after_long_help = examples::TAG_HISTORY)]
    History {
        /// Only what happened to this subject and what lies below it or in it
        #[arg(value_name = "SUBJECT")]
        subject: Option<String>,
        /// How many, and how they are written.
        #[command(flatten)]
        paging: PagingArgs,
    },
    /// Set a tag on each line of a file
    ///
    /// A line is a subject, several with commas between, or a subject in front of other columns; # ; // and ! begin a
    /// comment, and a hosts file is read by its names. With a head, columns are separated by commas, semicolons or
    /// tabs: subject, and any of kind, note, source, author and time, as pdns tag list --format csv has them; or a column
    /// that feeds call domain, host, ip, url, ioc, indicator and the like. A bad line is reported and skipped; then the
    /// exit status is 2. A tag that is there with the same words stays as it is.
    #[command(after_long_help = examples::TAG_IMPORT)]
    Import {
        /// The file; - is standard input
        #[arg(value_name = "FILE")]
        file: String,
        /// The kind of all tags, where the file does not say it
        #[arg(long, value_parser = kinds())]
        kind: Option<TagKind>,
        /// The column with the subjects: its name in the head, or its number from 1
        #[arg(long, value_name = "COLUMN")]
        column: Option<String>,
        /// Say what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Then clear the tags from --source that the file does not list
        #[arg(long)]
        replace: bool,
        /// What is said of lines that do not say it themselves.
        #[command(flatten)]
        words: TagWords,
        /// Which names are meant.
        #[command(flatten)]
        reach: Reach,
    },
}

/// The words of a tag.
#[derive(Clone, Debug, Default, Args)]
pub struct TagWords {
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
    /// Where the judgement comes from, such as the name of a feed
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub source: String,
    /// Who says it [default: you]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
}

/// Whether a name alone is meant, or all below it as well.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Reach {
    /// Names stand for themselves and all names below them
    #[arg(long, conflicts_with = "exact")]
    below: bool,
    /// Names stand for themselves alone
    #[arg(long)]
    exact: bool,
}

impl Reach {
    /// What was said of plain names.
    #[must_use]
    pub fn scope(self) -> Option<Scope> {
        match (self.below, self.exact) {
            (true, _) => Some(Scope::Below),
            (_, true) => Some(Scope::Exact),
            _ => None,
        }
    }
}

/// What `pdns near` is asked.
#[derive(Debug, Args)]
pub struct NearArgs {
    /// The address
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// Only tags of this kind
    #[arg(long, visible_alias = "tag", default_value = "threat", value_name = "KIND", value_parser = kind_or_any())]
    pub kind: AnyKind,
    /// Only tags and indicators from this source; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// How many, and how they are written.
    #[command(flatten)]
    pub paging: PagingArgs,
}

/// What `pdns contrast` is asked.
#[derive(Debug, Args)]
pub struct ContrastArgs {
    /// Whose neighbours: a name, '*.NAME', address or prefix [default: all that is tagged as a threat]
    #[arg(value_name = "SUBJECT")]
    pub subject: Option<String>,
    /// Only relations of this kind
    #[arg(long, alias = "tie", value_name = "KIND", value_parser = relations())]
    pub relation: Option<RelationKind>,
    /// Follow local and parking addresses and parking name servers as well
    ///
    /// What leads to 127.0.0.1, to a private address or to a parking service is related to a threat by nothing else. These
    /// are left out, and counted. The list of parking services is that of pdns parked.
    #[arg(long)]
    pub include_parked: bool,
    /// Only threats from this source; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// How many, and how they are written.
    #[command(flatten)]
    pub paging: PagingArgs,
}

/// What `pdns watch` is asked.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Only names that start with this text
    #[arg(long, value_name = "TEXT")]
    pub starts: Option<String>,
    /// Only names that end with this text
    #[arg(long, value_name = "TEXT")]
    pub ends: Option<String>,
    /// Only names that hold this text; may be repeated, and all must be there
    #[arg(long, value_name = "TEXT")]
    pub contains: Vec<String>,
    /// Also new records of names that are known
    #[arg(long)]
    pub records: bool,
    /// Seconds between two looks: 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub interval: u32,
    /// Which rows.
    #[command(flatten)]
    pub fences: FenceArgs,
    /// How many, and how they are written.
    #[command(flatten)]
    pub paging: PagingArgs,
}

/// A kind of tag, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyKind(pub Option<TagKind>);

fn kinds() -> impl TypedValueParser<Value = TagKind> {
    let names = TagKind::ALL.map(TagKind::name);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<TagKind>())
}

fn kind_or_any() -> impl TypedValueParser<Value = AnyKind> {
    let names = TagKind::ALL.map(TagKind::name).into_iter().chain(["any"]);
    PossibleValuesParser::new(names).map(|name| AnyKind(name.parse().ok()))
}

fn relations() -> impl TypedValueParser<Value = RelationKind> {
    PossibleValuesParser::new(RelationKind::ALL.map(RelationKind::name))
        .try_map(|name| name.parse::<RelationKind>())
}
