//! What can be typed of the judgement of names: clap types.

use super::ByName;
use super::rows::LimitArgs;
use crate::analyze::{KINDS, MimicKind};
use crate::config::score::ScoreFiles;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;

pub(in super::super) const CLASSIFY: &str = "\
The label that the owner of a domain chose is scored: of www.example.co.uk it is example. P is the \
probability that it is generated if as many names are generated as are not; BAYES and FOREST are its two \
parts. dga is said of a label that scores as high as 1 in 100 ordinary names, unsure up to 1 in 20; \
too_short of five characters and less, idn of internationalised labels, which are not scored.

Names of new dictionary algorithms look like names that people choose and are not found. Names of \
advertising, tracking and CDNs look generated, and so do initials and pinyin. One name is a hint, \
several are evidence: give names that belong together as a set, an empty line after each.

Examples:
  pdns classify kdjfhgqwz.com www.example.com
  pdns new --list yesterday --by domains -f plain | cut -f1 | pdns classify -
  printf '%s\\n' kdjfhg.com qpzmvw.net ljxwkq.org | pdns classify --sets -
  pdns classify --model my.model --format json - < names.txt

Exit status: 0 judged, 2 error.";

pub(in super::super) const SCORE: &str = "\
A score is a sum of evidence in nats (natural log-odds), from a prior of 1 threat in 100 names, made a \
number from 0 to 100. Bands: low up to 29, watch up to 59, suspicious up to 84, bad from 85. The ledger \
shows what each piece of evidence adds, why, and whose word it is; what is not known adds nothing and is \
listed as unknown. Nothing outside the store is asked. Verdicts of the judge (pdns-judge) do not count.

Weights are set by hand, not fitted: a score sorts what to look at first, it proves nothing. TTLs, TLDs \
and nearness are weak evidence; age is that of the first sighting here, not of the registration.

--new ranks names by text, tags and lists, and reads the store for the 1,000 that stand out and for 50 \
domains with many new names. With --by domains, a domain counts as new with its first name.

Examples:
  pdns score paypa1-login.com 192.0.2.7
  pdns score --new --since 1d --min-score 60
  pdns score --new --since 7d --by domains --limit 20 --format json
  pdns score --weights my-weights.toml - < names.txt

Exit status: 0 scored, 1 nothing is new, 2 error.";

pub(in super::super) const TRAIN: &str = "\
A line is a name, and behind a tab or comma its family or source; the name of \
the file is taken where there is none. The verdict dga is said of 1 in 100 of all ordinary names at most, and of 1.2 in \
100 of those of each source that has a twentieth of them. # begins a comment, and a first line that starts with domain, name \
or host is a header. The same lists and options give the same file, octet by octet.

Labels in the shapes of published algorithms are added to the bad names; --generated 0 adds none.

--from-tags takes the tags of analysts alone, neither feeds nor the judge. A threat need not be generated: \
tag for this purpose, or check the names first (pdns tag list).

Examples:
  pdns train --good top-sites.txt --bad dga.tsv --out my.model
  pdns train --good a.tsv b.tsv --bad dga.tsv --out my.model -f json > rep.json
  pdns train --from-tags --good top-sites.txt --bad dga.tsv --out my.model
  pdns classify --model my.model kdjfhgqwz.com

Exit status: 0 trained, 2 error.";

/// `pdns classify`.
#[derive(Debug, Args)]
pub struct Classify {
    /// Names; - reads them from standard input, one a line
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Judge the names together; on standard input an empty line ends a set
    #[arg(long)]
    pub sets: bool,
    /// Model file of pdns train [default: the one that comes with pdns]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// How to write verdicts [default: table on a terminal, json elsewhere]
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = super::profile_formats())]
    pub format: Option<crate::render::Format>,
}

pub(in super::super) const MIMICS: &str = "\
A name is compared with protected ones: by characters that look or sound alike, one or two edits, words \
around the name, other suffixes, and the name as a label of another domain. The score says how alike both \
are, from 0 to 100; from 80 on it is worth a look. It says nothing about who owns the name: many honest \
names are alike. A protected name and all below it imitate nobody.

Examples:
  pdns mimics paypa1.com login.paypal.com.host17.top
  pdns mimics --protect our-names.txt --top-list top.csv - < new-names.txt
  pdns new --list yesterday --by domains -f plain | cut -f1 | pdns mimics -

Exit status: 0 compared, 2 error.";

pub(in super::super) const SQUATS: &str = "\
All names in the store are compared with the domain, as pdns mimics does; those that are 80 and more alike \
are shown, the likeliest first, and those that never resolved last. Names below a domain that is an \
imitation itself are counted with it. Names of the same owner are left out: all addresses and CNAME targets \
of the name are those of the domain, and few domains have them, or a CNAME of the domain leads to it.

--possible lists names that would imitate the domain, seen or not, and does not read the store. The kinds \
are those of dnstwist, and combosquat, plural and soundsquat. Names that have the domain as a label \
(levelsquat), and those that differ in two characters (two-edits), are not listed.

Examples:
  pdns squats example.com
  pdns squats example.com --kind homoglyph,cyrillic
  pdns squats example.com --own --limit 0 --format json
  pdns squats example.com --possible -f json | jq -r .name > watch-list.txt

Exit status: 0 found, 1 nothing found, 2 error.";

/// `pdns mimics`.
#[derive(Debug, Args)]
pub struct Mimics {
    /// Names; - reads them from standard input, one a line
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// List of protected names, the most important first; may be repeated [default: protected.toml and
    /// protected.txt in /etc/pdns, or well-known brands]
    #[arg(long, value_name = "FILE")]
    pub protect: Vec<PathBuf>,
    /// Popular names, the most popular first, which are protected, too: of two that are as like, those of --protect
    /// are given first
    #[arg(long, value_name = "FILE")]
    pub top_list: Option<PathBuf>,
    /// How to write what is found [default: table on a terminal, json elsewhere]
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = super::profile_formats())]
    pub format: Option<crate::render::Format>,
}

/// `pdns score`.
#[derive(Debug, Args)]
pub struct Score {
    /// Names and addresses; - reads them from standard input, one a line
    #[arg(value_name = "SUBJECT", required_unless_present = "new")]
    pub subjects: Vec<String>,
    /// Score what is new, the most probable threats first
    #[arg(long)]
    pub new: bool,
    /// With --new: first seen since this time, an age or a date
    #[arg(long, value_name = "TIME", default_value = "1d", requires = "new")]
    pub since: String,
    /// With --new: full names, or registrable domains
    #[arg(long, value_enum, default_value = "names", requires = "new")]
    pub by: ByName,
    /// With --new: the most scores, from 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 100, requires = "new", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
    /// Leave out lower scores
    #[arg(long = "min-score", value_name = "SCORE", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub least: u8,
    /// In tables, one line for each subject
    #[arg(long)]
    pub brief: bool,
    /// Files that scores rest on.
    #[command(flatten)]
    pub files: ScoreFiles,
    /// How to write scores [default: table on a terminal, json elsewhere]
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = super::profile_formats())]
    pub format: Option<crate::render::Format>,
}

/// `pdns squats`.
#[derive(Debug, Args)]
pub struct Squats {
    /// The domain
    #[arg(value_name = "DOMAIN")]
    pub domain: String,
    /// Only these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true)]
    pub kind: Vec<MimicKind>,
    /// Also names that belong to the owner of the domain
    #[arg(long)]
    pub own: bool,
    /// Names that would imitate the domain, seen or not; the store is not read
    #[arg(long, conflicts_with = "own")]
    pub possible: bool,
    /// The most names.
    #[command(flatten)]
    pub limit: LimitArgs,
    /// How to write the names [default: table on a terminal, json elsewhere]
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = super::profile_formats())]
    pub format: Option<crate::render::Format>,
}

fn kinds() -> impl TypedValueParser<Value = MimicKind> {
    let find = |name: String| {
        KINDS.iter().copied().find(|kind| kind.as_str() == name).ok_or("unknown kind")
    };
    PossibleValuesParser::new(KINDS.iter().map(|kind| kind.as_str())).try_map(find)
}

/// `pdns train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Files with ordinary names
    #[arg(long, value_name = "FILE", required_unless_present = "from_tags", num_args = 1..)]
    pub good: Vec<PathBuf>,
    /// Files with generated names
    #[arg(long, value_name = "FILE", required_unless_present = "from_tags", num_args = 1..)]
    pub bad: Vec<PathBuf>,
    /// Also take names that analysts tagged in the store: trust as ordinary, threat as generated
    #[arg(long)]
    pub from_tags: bool,
    /// The model file to write
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// File with one word a line [default: the words of the model that comes with pdns]
    #[arg(long, value_name = "FILE")]
    pub words: Option<PathBuf>,
    /// Seed of all random choices
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Number of trees
    #[arg(long, value_name = "NUMBER", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub trees: u16,
    /// Labels added in the shape of each published algorithm
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub generated: u32,
    /// Assumed share of generated names among the names that are judged, which probabilities rest on
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub prior: f64,
    /// Do not measure families that were left out of training, which takes as long as training
    #[arg(long)]
    pub quick: bool,
    /// Text that the model keeps, such as the origin of the lists
    #[arg(long, value_name = "TEXT")]
    pub note: Vec<String>,
    /// How to write the report [default: table on a terminal, json elsewhere]
    #[arg(long, short = 'f', value_name = "FORMAT", value_parser = super::profile_formats())]
    pub format: Option<crate::render::Format>,
}
