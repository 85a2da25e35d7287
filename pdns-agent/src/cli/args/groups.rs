//! What can be typed after `pdns subdomains`, `parked`, `top`, `new` and `unanswered`.

use super::OutcomeArg;
use super::rows::{RowArgs, SumArgs};
use crate::query::{WHYS, Why};
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;

/// `pdns subdomains`.
#[derive(Debug, clap::Args)]
pub struct Subdomains {
    /// The domain: NAME or '*.NAME'
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Count by this many labels below the domain
    ///
    /// With --depth 1 all of a.b.example.com counts under b.example.com, with --depth 2 under itself.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=127))]
    pub depth: u8,
    /// What a line is: a name below the domain with all below it, or a number of labels
    #[arg(long, value_enum, default_value = "child")]
    pub by: ByBelow,
    /// Which rows, and how they are written.
    #[command(flatten)]
    pub rows: SumArgs,
}

/// What `pdns subdomains` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByBelow {
    /// Each name directly below the domain, with all names below it
    Child,
    /// How many names lie one label below the domain, how many two, and so on
    Depth,
}

/// `pdns parked`.
#[derive(Debug, clap::Args)]
pub struct Parked {
    /// Only with these reasons
    ///
    /// Addresses are found by the index. For parking-name-server all records are read, after everything else.
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = whys(), hide_possible_values = true)]
    pub kind: Vec<Why>,
    /// Name servers' domains, addresses and prefixes of parked domains, one a line [default:
    /// /etc/pdns/parked.txt, or a list that comes with pdns]
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Which rows, and how they are written.
    #[command(flatten)]
    pub rows: RowArgs,
}

/// `pdns top`.
#[derive(Debug, clap::Args)]
pub struct Top {
    /// Group by; every grouping except records scans the whole store
    #[arg(long, value_enum, default_value = "records")]
    pub by: By,
    /// Which rows, and how they are written.
    #[command(flatten)]
    pub rows: RowArgs,
}

/// `pdns unanswered`.
#[derive(Debug, clap::Args)]
pub struct Unanswered {
    /// How they ended: unanswered, nodata, an RCODE such as nxdomain or servfail, or any [default:
    /// unanswered]
    #[arg(long, value_name = "OUTCOME", value_parser = super::outcome)]
    pub outcome: Option<OutcomeArg>,
    /// Each question on its own, or all of a registrable domain together
    #[arg(long, value_enum, default_value = "names")]
    pub by: ByName,
    /// Which rows, and how they are written.
    #[command(flatten)]
    pub rows: SumArgs,
}

/// What `pdns top` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// All records of a name together
    Names,
    /// Each record on its own
    Records,
    /// All records of a registrable domain together
    Domains,
    /// All names of an address together
    Addresses,
    /// All records of a type together
    Rrtypes,
}

/// `pdns new`.
#[derive(Debug, clap::Args)]
pub struct New {
    /// The first day to show: an age or a date
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub since: String,
    /// List the names that were new on a day: a date, today or yesterday
    #[arg(long, value_name = "DAY", conflicts_with = "since")]
    pub list: Option<String>,
    /// Full names, or registrable domains: new on the day that the first name of each was
    #[arg(long, value_enum, default_value = "names")]
    pub by: ByName,
    /// Which rows, and how they are written.
    #[command(flatten)]
    pub rows: SumArgs,
}

/// Full names or registrable domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByName {
    /// Full names
    Names,
    /// Registrable domains, by the Public Suffix List
    Domains,
}

fn whys() -> impl TypedValueParser<Value = Why> {
    let values = WHYS.iter().map(|&(_, name)| PossibleValue::new(name));
    PossibleValuesParser::new(values).map(|name| {
        // The parser lets through nothing else.
        WHYS.iter().find(|(_, known)| *known == name).map_or(Why::Unspecified, |&(why, _)| why)
    })
}
