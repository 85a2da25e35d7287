//! What can be typed after `pdns export`.

use super::rows::{TimeArgs, number_of_rows, tag_filter};
use crate::exchange::{LISTS, List, PageUrl};
use crate::query::TagFilter;
use crate::render::Format;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;

pub(super) const EXPORT: &str = "\
zeek-intel and suricata-dataset know names and no domains: for a tag on .example.com they list
example.com and the names below it that the store has, at most 10000 of each domain, and say so when
there are more. A name that a nearer tag says the opposite of is left out. suricata-dataset leaves
out addresses. In zeek-intel only what is tagged as a threat asks for a notice.

ip-descriptions needs no tag: of each IPv4 address with records it has the name that was counted
most, but tagged addresses and names first, and takes --last-after and the other fences.

With --out, FILE is replaced by rename, and only when something changed, so that nobody who watches
it reads it in vain. When nothing is found it is left with its head alone, or empty.

Examples:
  pdns export --tag threat --format zeek-intel --out /var/lib/pdns-export/threats.intel
  pdns export --tag threat --format zeek-intel --url https://pdns.example.net
  pdns export --tag threat --tag interest --format suricata-dataset --out pdns-threat.lst
  pdns export --format ip-descriptions --last-after 30d --limit 20000";

/// What `--format` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatArg {
    /// A way to write answers.
    Output(Format),
    /// A list for another program.
    List(List),
}

/// `pdns export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Subjects that are tagged so: threat, interest, trust or any; may be repeated
    #[arg(long, value_name = "KIND", value_parser = tag_filter(), hide_possible_values = true)]
    pub tag: Vec<TagFilter>,
    /// The list
    #[arg(long, short = 'f', value_name = "LIST", value_parser = lists())]
    pub format: Option<FormatArg>,
    /// The most lines; 0 for all [default: 100000 of zeek-intel, 500000 of suricata-dataset, 50000 of
    /// ip-descriptions]
    #[arg(long, short = 'l', value_name = "N", allow_negative_numbers = true, value_parser = number_of_rows)]
    pub limit: Option<usize>,
    /// Write this file rather than standard output, which is -
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Link each indicator of zeek-intel to its page on this server
    #[arg(long = "url", value_name = "URL")]
    pub page: Option<PageUrl>,
    /// Times of the records that ip-descriptions is made of.
    #[command(flatten)]
    pub times: TimeArgs,
}

fn lists() -> impl TypedValueParser<Value = FormatArg> {
    let values = LISTS.iter().map(|info| PossibleValue::new(info.name).help(info.help));
    PossibleValuesParser::new(values).try_map(|name| name.parse().map(FormatArg::List))
}
