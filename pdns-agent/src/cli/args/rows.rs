//! Flags that choose rows and say how they are written. Each command has those that it can use.

use super::export::FormatArg;
use crate::query::TagFilter;
use crate::render::{FORMATS, Format};
use crate::rr::RrType;
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// The heading of these flags in help.
const HEADING: &str = "Rows";

/// What an answer is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortArg {
    /// Most counted first
    Count,
    /// Latest first sighting first
    First,
    /// Latest last sighting first
    Last,
    /// By name
    Name,
    /// Lowest TTL first
    Ttl,
}

/// What sums are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SumSortArg {
    /// Most counted first
    Count,
    /// Latest first sighting first
    First,
    /// Latest last sighting first
    Last,
    /// By name
    Name,
}

impl From<SumSortArg> for SortArg {
    fn from(sort: SumSortArg) -> Self {
        match sort {
            SumSortArg::Count => Self::Count,
            SumSortArg::First => Self::First,
            SumSortArg::Last => Self::Last,
            SumSortArg::Name => Self::Name,
        }
    }
}

/// The row flags of one command; those that it does not have are at their defaults.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct RowOptions {
    /// Conditions on rows.
    pub fences: FenceArgs,
    /// The most rows.
    pub limit: Option<usize>,
    /// The order of rows.
    pub sort: Option<SortArg>,
    /// Whether negative answers are wanted.
    pub negative: bool,
    /// Whether CNAMEs are followed.
    pub follow: bool,
    /// True if owner names are scored.
    pub score: bool,
    /// The format.
    pub format: Option<FormatArg>,
}

/// Conditions on the times of rows.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TimeArgs {
    /// First seen at this time or later
    #[arg(long, value_name = "TIME", hide_short_help = true, help_heading = HEADING)]
    pub first_after: Option<String>,

    /// First seen before this time
    #[arg(long, value_name = "TIME", hide_short_help = true, help_heading = HEADING)]
    pub first_before: Option<String>,

    /// Last seen at this time or later
    #[arg(long, value_name = "TIME", hide_short_help = true, help_heading = HEADING)]
    pub last_after: Option<String>,

    /// Last seen before this time
    #[arg(long, value_name = "TIME", hide_short_help = true, help_heading = HEADING)]
    pub last_before: Option<String>,

    /// Seen in a span of time: 7d, a date, or FROM..TO; more fences with --help
    ///
    /// A row passes when the time from its first to its last sighting overlaps the span.
    #[arg(long, value_name = "SPAN", help_heading = HEADING)]
    pub seen_in: Option<String>,
}

impl TimeArgs {
    /// The flags with their values.
    fn flags(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("--first-after", &self.first_after),
            ("--first-before", &self.first_before),
            ("--last-after", &self.last_after),
            ("--last-before", &self.last_before),
            ("--seen-in", &self.seen_in),
        ]
    }

    /// The first flag that was given.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        self.flags().into_iter().find(|(_, value)| value.is_some()).map(|(flag, _)| flag)
    }
}

/// Conditions on rows.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FenceArgs {
    /// Only records of these types
    #[arg(long, short = 't', value_name = "TYPE", value_delimiter = ',', help_heading = HEADING)]
    pub rrtype: Vec<RrType>,

    /// When they were seen.
    #[command(flatten)]
    pub times: TimeArgs,

    /// Only rows tagged so on either end: threat, interest, trust, any or none
    #[arg(long, value_name = "KIND", value_parser = tag_filter(), hide_possible_values = true, help_heading = HEADING)]
    pub tag: Option<TagFilter>,

    /// Only rows with a tag or an indicator from this source; may be repeated
    #[arg(long, value_name = "NAME", hide_short_help = true, help_heading = HEADING)]
    pub source: Vec<String>,

    /// Only rows that a sensor saw, not those that were only imported by `pdns-agent cof`
    #[arg(long, hide_short_help = true, help_heading = HEADING)]
    pub exclude_imported: bool,
}

impl FenceArgs {
    /// Whether every row passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.first_given().is_none()
    }

    fn first_given(&self) -> Option<&'static str> {
        let tag = self.tag.map(|_| "--tag");
        let rrtype = (!self.rrtype.is_empty()).then_some("--rrtype");
        let source = (!self.source.is_empty()).then_some("--source");
        let imported = self.exclude_imported.then_some("--exclude-imported");
        rrtype.or_else(|| self.times.first_given()).or(tag).or(source).or(imported)
    }
}

/// A limit.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// The most rows to show; 0 for all [default: 1000, of rankings 20]
    #[arg(long, short = 'l', value_name = "N", allow_negative_numbers = true, value_parser = number_of_rows, help_heading = HEADING)]
    pub limit: Option<usize>,
}

/// An order.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct OrderArgs {
    /// The order of rows
    ///
    /// Ties go by name, type and RDATA. The default is by name for names below a domain and for searches, by count for
    /// top, and the latest seen first otherwise. With --limit 0 an answer of more than 200000 rows comes unsorted. A
    /// look-up without --sort reads the first 200000 rows, and says so when there are more; with --sort it reads all.
    #[arg(long, short = 's', value_name = "ORDER", help_heading = HEADING)]
    pub sort: Option<SortArg>,
}

/// An order of sums.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct SumOrderArgs {
    /// The order of rows; ties go by name
    #[arg(long, short = 's', value_name = "ORDER", help_heading = HEADING)]
    pub sort: Option<SumSortArg>,
}

/// A format of answers that are no records, such as tags and indicators.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ListOutputArgs {
    /// How to write the answer
    ///
    /// The default is a table on a terminal, and json elsewhere.
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = list_formats(), help_heading = HEADING)]
    pub format: Option<FormatArg>,
}

/// A format of records.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct OutputArgs {
    /// How to write the answer
    ///
    /// The default is a table on a terminal, and cof elsewhere.
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = formats(), help_heading = HEADING)]
    pub format: Option<FormatArg>,
}

/// The flags of commands that answer with any number of rows in some order.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RowArgs {
    /// Which rows.
    #[command(flatten)]
    pub fences: FenceArgs,
    /// How many.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which order.
    #[command(flatten)]
    pub order: OrderArgs,
    /// How they are written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The flags of commands that answer with sums.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SumArgs {
    /// Which rows are added up.
    #[command(flatten)]
    pub fences: FenceArgs,
    /// How many sums.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// In which order.
    #[command(flatten)]
    pub order: SumOrderArgs,
    /// How they are written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The flags of a look-up.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LookUpArgs {
    /// Which rows, and how they are written.
    #[command(flatten)]
    pub rows: RowArgs,

    /// Negative answers too, also where the output is not a table
    #[arg(long, hide_short_help = true, help_heading = HEADING)]
    pub negative: bool,

    /// Follow CNAMEs: from a name to its addresses, and back from what leads to it
    #[arg(long, help_heading = HEADING)]
    pub follow: bool,

    /// Score each owner name, as pdns score does: `pdns_score` in COF, `score` in json and csv
    #[arg(long, hide_short_help = true, help_heading = HEADING)]
    pub score: bool,
}

impl LookUpArgs {
    /// The first flag that was given.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let rows = &self.rows;
        let others = [
            ("--limit", rows.limit.limit.is_some()),
            ("--sort", rows.order.sort.is_some()),
            ("--format", rows.output.format.is_some()),
            ("--negative", self.negative),
            ("--follow", self.follow),
            ("--score", self.score),
        ];
        let other = others.into_iter().find(|&(_, is_given)| is_given).map(|(flag, _)| flag);
        rows.fences.first_given().or(other)
    }
}

/// The flags of commands that have a limit and a format.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct PagingArgs {
    /// How many rows.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// How they are written.
    #[command(flatten)]
    pub output: ListOutputArgs,
}

impl From<&LookUpArgs> for RowOptions {
    fn from(flags: &LookUpArgs) -> Self {
        let LookUpArgs { rows, negative, follow, score } = flags;
        Self { negative: *negative, follow: *follow, score: *score, ..Self::from(rows) }
    }
}

impl From<&RowArgs> for RowOptions {
    fn from(flags: &RowArgs) -> Self {
        let RowArgs { fences, limit, order, output } = flags;
        Self {
            fences: fences.clone(),
            limit: limit.limit,
            sort: order.sort,
            format: output.format,
            ..Self::default()
        }
    }
}

impl From<&SumArgs> for RowOptions {
    fn from(flags: &SumArgs) -> Self {
        let SumArgs { fences, limit, order, output } = flags;
        Self {
            fences: fences.clone(),
            limit: limit.limit,
            sort: order.sort.map(SortArg::from),
            format: output.format,
            ..Self::default()
        }
    }
}

impl From<&PagingArgs> for RowOptions {
    fn from(flags: &PagingArgs) -> Self {
        let PagingArgs { limit, output } = flags;
        Self { limit: limit.limit, format: output.format, ..Self::default() }
    }
}

fn formats() -> impl TypedValueParser<Value = FormatArg> {
    let values = FORMATS.iter().map(|info| PossibleValue::new(info.name).help(info.help));
    PossibleValuesParser::new(values).try_map(|name| name.parse().map(FormatArg::Output))
}

fn list_formats() -> impl TypedValueParser<Value = FormatArg> {
    let values = FORMATS.iter().map(|info| {
        let value = PossibleValue::new(info.name);
        match info.format {
            // The same as json, since there are no records; understood, but of no use.
            Format::Cof => value.hide(true),
            Format::Plain => value.help("the values with tabs between"),
            _ => value.help(info.help),
        }
    });
    PossibleValuesParser::new(values).try_map(|name| name.parse().map(FormatArg::Output))
}

/// Reads a kind of tag, `any` or `none`.
pub(super) fn tag_filter() -> impl TypedValueParser<Value = TagFilter> {
    PossibleValuesParser::new(["threat", "interest", "trust", "any", "none"])
        .try_map(|name| name.parse::<TagFilter>())
}

/// Reads a number of rows.
///
/// # Errors
/// A sentence for anything else.
pub(super) fn number_of_rows(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| "give a number of rows, or 0 for all")
}
