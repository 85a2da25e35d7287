//! What can be typed after `pdns export`.

use super::rows::{TimeArgs, number_of_rows, tag_filter};
use crate::exchange::{LISTS, List, PageUrl};
use crate::indicator::Tlp;
use crate::query::TagFilter;
use crate::render::Format;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;

pub(super) const EXPORT: &str = "\
For sensors. zeek-intel and the data sets of Suricata know names and no domains: for a tag on \
.example.com they list example.com and the names below it that the store has, at most 10000 of each \
domain, and say so when there are more. So does hosts. A name that a nearer tag says the opposite of \
is left out. suricata-dataset, suricata-ndjson and hosts leave out addresses, suricata-iprep leaves \
out names. In zeek-intel only what is tagged as a threat asks for a notice. --rules FILE writes rules \
that load a list into Suricata, --categories FILE the second file that suricata-iprep needs.

ip-descriptions needs no tag: of each IPv4 address with records it has the name that was counted \
most, but tagged addresses and names first, and takes --last-after and the other fences.

For resolvers. rpz, unbound and dnsmasq answer NXDOMAIN and always let trusted subjects pass. unbound \
and dnsmasq know only domains with all below: a threat on a single name is left out, and below a \
trusted name everything passes.

For others. stix and misp have the records of each subject, at most 50. csv, jsonl, stix and misp hold \
back what may not go to the community: TLP stronger than green. A tag has no TLP and counts as \
default_tlp of pdns.toml, which is amber unless set. --max-tlp amber includes it. identity in \
pdns.toml is the name under which stix and misp speak.

With --out, FILE is replaced by rename, and only when something changed, so that nobody who watches \
it reads it in vain. When nothing is found it is left with its head alone, or empty.

Examples:
  pdns export --tag threat --format zeek-intel --out threats.intel
  pdns export --tag threat --format zeek-intel --url https://pdns.example.net
  pdns export --tag threat --tag interest -f suricata-dataset --out pdns.lst
  pdns export --tag threat -f suricata-iprep --out ip.list --categories cat.txt
  pdns export --tag threat --format rpz --zone rpz.example.net --out rpz.zone
  pdns export --tag threat -f stix --seen --max-tlp amber --out threats.json
  pdns export --tag threat --format misp-feed --out /var/www/feed
  pdns export --format ip-descriptions --last-after 30d --limit 20000";

/// What `--format` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatArg {
    /// A way to write answers.
    Output(Format),
    /// A list for another program.
    List(List),
}

/// Conditions on the subjects of a list.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Subjects")]
pub struct ConditionArgs {
    /// Only what this source says; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only verdicts of at least this confidence, 0 to 100; what analysts tag has 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub confidence_min: Option<u8>,
    /// Only what was tagged or listed within this time, such as 30d
    #[arg(long, value_name = "AGE")]
    pub max_age: Option<String>,
    /// Only what the store has records of
    #[arg(long)]
    pub seen: bool,
    /// Hold back what has a stronger restriction: clear, green, amber, amber+strict or red [default: green
    /// of stix, misp, misp-feed, csv and jsonl, red of others]
    #[arg(long, value_name = "TLP")]
    pub max_tlp: Option<Tlp>,
}

impl ConditionArgs {
    /// The first flag that was given.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let flags = [
            ("--source", !self.source.is_empty()),
            ("--confidence-min", self.confidence_min.is_some()),
            ("--max-age", self.max_age.is_some()),
            ("--seen", self.seen),
            ("--max-tlp", self.max_tlp.is_some()),
        ];
        flags.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }
}

/// `pdns export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Subjects that are tagged so: threat, interest, trust or any; may be repeated
    #[arg(long, value_name = "KIND", value_parser = tag_filter(), hide_possible_values = true)]
    pub tag: Vec<TagFilter>,
    /// The format of the list
    #[arg(long, short = 'f', value_name = "LIST", value_parser = lists())]
    pub format: Option<FormatArg>,
    /// The most subjects; 0 for all [default: 100000 of zeek-intel, 500000 of suricata-* and hosts, 50000 of
    /// ip-descriptions, misp and misp-feed]
    #[arg(long, short = 'l', value_name = "N", allow_negative_numbers = true, value_parser = number_of_rows)]
    pub limit: Option<usize>,
    /// Write this file rather than standard output, which is -; of misp-feed the directory
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Link each subject of zeek-intel, suricata-ndjson, stix or jsonl to its page on this server
    #[arg(long = "url", value_name = "URL")]
    pub page: Option<PageUrl>,
    /// Name of the zone of rpz [default: rpz]
    #[arg(long, value_name = "NAME")]
    pub zone: Option<String>,
    /// Also write rules that load a suricata-* list from the file of --out
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Also write the categories of suricata-iprep
    #[arg(long, value_name = "FILE")]
    pub categories: Option<PathBuf>,
    /// Conditions on the subjects.
    #[command(flatten)]
    pub conditions: ConditionArgs,
    /// Times of the records that ip-descriptions is made of.
    #[command(flatten)]
    pub times: TimeArgs,
}

fn lists() -> impl TypedValueParser<Value = FormatArg> {
    let values = LISTS.iter().map(|info| PossibleValue::new(info.name).help(info.help));
    PossibleValuesParser::new(values).try_map(|name| name.parse().map(FormatArg::List))
}
