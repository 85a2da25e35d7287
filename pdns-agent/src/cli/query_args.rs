//! Conversion of command line arguments to [`Query`] values, or to a one-sentence error.

use super::args::export::FormatArg;
use super::args::rows::{FenceArgs, ListOutputArgs, TimeArgs};
use super::args::{By, ByBelow, ByName, Find, OutcomeArg, RowOptions, SortArg, Subdomains};
use crate::query::{
    self, Fence, Filter, GateListError, GroupSort, Grouping, ListError, Pattern, PatternError,
    Purpose, Query, Reading, Sort, Subject, SubjectError, TagFilter, TagSubjectError, Text,
    TimeParseError, TimeSpec, TtlFence, What, Word, WordError, read_list,
};
use crate::render::Format;
use crate::store::Kind;
use crate::tag::{LongText, TagKind};
use std::io;

/// Maximum number of rows of a look-up or a search by default.
pub(super) const LIMIT: usize = 1_000;
/// Maximum number of rows of a ranking by default.
pub(super) const TOP_LIMIT: usize = 20;

/// The reason for which a command line is invalid.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Text that is not a valid subject.
    #[error("cannot tell what {text} is")]
    Subject {
        /// The text, quoted and of bounded length.
        text: String,
        /// The fault in it.
        #[source]
        cause: SubjectError,
    },
    /// An address or a pattern where a name is needed.
    #[error("{0} is not a name")]
    NotName(String),
    /// Several subjects where one is needed.
    #[error("{0:?} has several subjects: give one")]
    OneSubject(String),
    /// `pdns admin forget` without a condition.
    #[error("say what to forget: give a condition such as --last-before 400d, or --rules")]
    NothingToForget,
    /// `pdns admin forget --rules` without rules.
    #[error("there are no rules: write a section [retention] into pdns.toml")]
    NoRetention,
    /// `pdns admin forget` where nobody can be asked.
    #[error("nobody can be asked here: give --dry-run to see what would go, or --yes")]
    NotAsked,
    /// A sensor that the store does not know.
    #[error("no sensor {0:?} wrote to this store: `pdns status` lists them")]
    NoSensor(String),
    /// A budget of memory where the memory in use is unknown.
    #[error(
        "this user may not ask Redis how much memory it uses, which max_memory needs: give it +info"
    )]
    NoMemory,
    /// Subjects beside `--new`.
    #[error("--new scores what is new: give no subjects, or leave --new out")]
    NewAndSubjects,
    /// A subject that has no score.
    #[error(transparent)]
    NoScore(#[from] query::NoScore),
    /// An unknown command.
    #[error("{word:?} is not a command{}; to look it up as a name: pdns lookup {word}", meant(like.as_ref()))]
    Command {
        /// The word.
        word: String,
        /// A command with a similar name.
        like: Option<String>,
    },
    /// A command after subjects.
    #[error("{0} is a command and stands in front; to look it up as a name: pdns lookup {0}")]
    CommandBehind(String),
    /// The sign for standard input where only subjects are read.
    #[error("- reads subjects from standard input, which pdns lookup does, without other subjects")]
    Dash,
    /// A bad time.
    #[error("bad value for {flag}")]
    When {
        /// The flag.
        flag: &'static str,
        /// The fault in it.
        #[source]
        cause: TimeParseError,
    },
    /// An invalid word.
    #[error("bad value for {flag}")]
    Word {
        /// The flag.
        flag: &'static str,
        /// The fault in it.
        #[source]
        cause: WordError,
    },
    /// An invalid pattern.
    #[error("bad value for {flag}")]
    Pattern {
        /// The flag.
        flag: &'static str,
        /// The fault in it.
        #[source]
        cause: PatternError,
    },
    /// A look-up from which CNAMEs cannot be followed.
    #[error("--follow needs a name, an address or a range, not all names below one")]
    Follow,
    /// A domain is needed, and the text is not one.
    #[error("subdomains needs a domain name, and {0:?} is none")]
    Domain(String),
    /// A list that cannot be read.
    #[error("cannot read the list {path}")]
    ListFile {
        /// Its path.
        path: String,
        /// Cause of the failure.
        #[source]
        cause: io::Error,
    },
    /// A list with an invalid line.
    #[error("cannot use the list {path}")]
    List {
        /// Its path.
        path: String,
        /// The line, and the fault in it.
        #[source]
        cause: ListError,
    },
    /// A flag of a look-up before a command.
    #[error("{0} stands before the command: give it after the command, if the command has it")]
    FlagBeforeCommand(&'static str),
    /// A flag that does not apply to a list.
    #[error("{flag} does not apply to {command}")]
    Flag {
        /// The command.
        command: &'static str,
        /// The flag.
        flag: &'static str,
    },
    /// A sort order that totals do not have.
    #[error("{0} sorts by count, first, last or name: its rows have no TTL")]
    NoTtl(&'static str),
    /// Subjects before a command.
    #[error("a command takes no subject before it; look up several with pdns lookup")]
    SubjectBeforeCommand,
    /// Text that cannot be tagged.
    #[error("cannot tell what {text} is")]
    TagSubject {
        /// The text, quoted and of bounded length.
        text: String,
        /// The fault in it.
        #[source]
        cause: TagSubjectError,
    },
    /// A list of tags in a format that cannot be read line by line.
    #[error("{file} is {format}: tag import reads lists, one subject a line, and CSV with a head")]
    Format {
        /// The file.
        file: String,
        /// The format.
        format: &'static str,
    },
    /// A list without a kind for its lines.
    #[error("{0} does not say whether its lines are threats: give --kind, or a column kind")]
    NoKindOf(String),
    /// A column that is missing in a file.
    #[error("{file} has no column {column:?}: give its name in the head, or its number from 1")]
    NoColumn {
        /// The file.
        file: String,
        /// The column, as it was typed.
        column: String,
    },
    /// Neither subjects nor a source.
    #[error("say which tags are to be cleared: give subjects, or --source")]
    ClearWhat,
    /// A source to replace that is not named.
    #[error("--replace clears what a source no longer lists: name it with --source")]
    ReplaceWhat,
    /// A note, source or author that is too long.
    #[error(transparent)]
    LongText(LongText),
    /// A list for the quality gate.
    #[error("{path} is wrong")]
    GateList {
        /// The file.
        path: String,
        /// Line and reason.
        #[source]
        cause: GateListError,
    },
    /// A column of a file that is not a table.
    #[error("{0} has no columns: --column is for csv")]
    ColumnOfFormat(&'static str),
    /// An import without the name of its source.
    #[error("say whose indicators these are: --source NAME")]
    NoSource,
    /// The source of the verdicts of `pdns judge`.
    #[error("{0} is the source of the verdicts of pdns judge: give another --source")]
    JudgeSource(&'static str),
    /// A feed that the settings do not have.
    #[error("there is no feed {0:?} in the settings of feeds")]
    NoFeed(String),
    /// A kind without a subject.
    #[error(
        "say whose {0} tag is to be cleared; to clear the tags of the name {0}, write it with a final dot"
    )]
    ClearNothing(TagKind),
    /// A column that tags do not have.
    #[error(
        "{file} has a column {column:?} that no tag has: name them subject, kind, note, source, author, time"
    )]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// Text that is not an address.
    #[error("{0:?} is no address: near takes one, such as 192.0.2.7")]
    NoAddress(String),
    /// A missing list format.
    #[error(
        "say which list, such as pdns export --format zeek-intel, rpz or stix; pdns export --help has them all"
    )]
    NoList,
    /// Missing kinds of tags, without which there is nothing to list.
    #[error("say which tags the list is of, such as --tag threat; --tag any is all of them")]
    NoKind,
    /// More descriptions than the format allows.
    #[error("export --format ip-descriptions needs a limit of 1 to 200000")]
    Descriptions,
    /// A feed without a directory.
    #[error("export --format misp-feed writes several files: name their directory with --out")]
    NoDirectory,
    /// Rules for a list whose file has no name, or one that no rule can hold.
    #[error(
        "--rules needs the file of the list, such as --out pdns.lst: letters, digits and / . _ - only"
    )]
    RulesOf,
    /// Text that is not the name of a zone.
    #[error("{0} is not a valid name of a zone")]
    Zone(String),
}

/// Formats a suggested command as a part of a sentence.
fn meant(like: Option<&String>) -> String {
    like.map_or_else(
        || " (pdns --help lists them)".to_owned(),
        |like| format!(" (did you mean `pdns {like}`?)"),
    )
}

/// Maximum number of characters of a text that an error quotes.
const MAX_QUOTED: usize = 120;

/// Quotes text, without control characters and shortened if necessary.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{:?} (shortened)", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Parses one subject of a query.
///
/// # Errors
/// [`UsageError::Subject`].
pub(super) fn subject(text: &str) -> Result<Subject, UsageError> {
    Subject::parse(text).map_err(|cause| UsageError::Subject { text: quoted(text), cause })
}

/// Parses the subjects of a query from a list, each with its text.
///
/// # Errors
/// [`UsageError::Subject`] for the first invalid one.
pub(super) fn subjects(text: &str) -> Result<Vec<(String, Reading)>, UsageError> {
    if text.trim() == "-" {
        return Err(UsageError::Dash);
    }
    let readings = read_list(text, Purpose::LookUp)
        .map_err(|(part, cause)| UsageError::Subject { text: quoted(&part), cause })?;
    Ok(readings.into_iter().map(|(part, reading)| (part.trim().to_owned(), reading)).collect())
}

impl From<SortArg> for Sort {
    fn from(typed: SortArg) -> Self {
        match typed {
            SortArg::Count => Self::Count,
            SortArg::First => Self::First,
            SortArg::Last => Self::Last,
            SortArg::Name => Self::Name,
            SortArg::Ttl => Self::Ttl,
        }
    }
}

/// Builds the conditions on the text of names.
///
/// # Errors
/// [`UsageError::Word`].
pub(super) fn text(
    starts: Option<&str>,
    ends: Option<&str>,
    contains: &[String],
) -> Result<Text, UsageError> {
    let word =
        |flag, typed: &str| Word::parse(typed).map_err(|cause| UsageError::Word { flag, cause });
    let ends = ends.map(|typed| match typed.strip_suffix('.') {
        // Names are stored without their final dot.
        Some(head) if !head.is_empty() && !head.ends_with(['\\', '.']) => head,
        _ => typed,
    });
    let contains = contains.iter().map(|typed| word("--contains", typed));
    Ok(Text {
        starts: starts.map(|typed| word("--starts", typed)).transpose()?,
        ends: ends.map(|typed| word("--ends", typed)).transpose()?,
        contains: contains.collect::<Result<_, _>>()?,
        ..Text::default()
    })
}

impl TimeArgs {
    /// Converts the flags to a fence.
    ///
    /// # Errors
    /// [`UsageError::When`].
    pub(in crate::cli) fn fence(&self, now: u32) -> Result<Fence, UsageError> {
        let start = |flag, typed: &Option<String>| match typed {
            None => Ok(None),
            Some(text) => match TimeSpec::parse(text, now) {
                Ok(moment) => Ok(Some(moment.start)),
                Err(cause) => Err(UsageError::When { flag, cause }),
            },
        };
        let seen_in =
            self.seen_in.as_deref().map(|text| TimeSpec::parse_span(text, now)).transpose();
        Ok(Fence {
            first_after: start("--first-after", &self.first_after)?,
            first_before: start("--first-before", &self.first_before)?,
            last_after: start("--last-after", &self.last_after)?,
            last_before: start("--last-before", &self.last_before)?,
            seen_in: seen_in.map_err(|cause| UsageError::When { flag: "--seen-in", cause })?,
        })
    }
}

impl ListOutputArgs {
    /// Returns the requested format.
    #[must_use]
    pub(in crate::cli) fn format(self) -> Option<Format> {
        RowOptions { format: self.format, ..RowOptions::default() }.format()
    }
}

impl RowOptions {
    /// Returns the requested format.
    #[must_use]
    pub(in crate::cli) fn format(&self) -> Option<Format> {
        match self.format {
            Some(FormatArg::Output(format)) => Some(format),
            // Only `pdns export` accepts the name of a list, and it reads that itself.
            Some(FormatArg::List(_)) | None => None,
        }
    }

    /// Builds the filter on rows.
    ///
    /// # Errors
    /// [`UsageError::When`].
    pub(in crate::cli) fn filter(&self, now: u32) -> Result<Filter, UsageError> {
        let FenceArgs { rrtype, times, tag, source, exclude_imported } = &self.fences;
        Ok(Filter {
            rrtypes: rrtype.clone(),
            fence: times.fence(now)?,
            tag: tag.or_else(|| (!source.is_empty()).then_some(TagFilter::Any)),
            sources: source.clone(),
            excludes_imported: *exclude_imported,
            ..Filter::default()
        })
    }

    fn query(&self, what: What, limit: usize, now: u32) -> Result<Query, UsageError> {
        Ok(Query {
            what,
            filter: self.filter(now)?,
            limit: self.limit.unwrap_or(limit),
            sort: self.sort.map(Sort::from),
        })
    }

    /// Builds the look-up of one subject.
    ///
    /// # Errors
    /// [`UsageError`] for a flag.
    pub(in crate::cli) fn look_up(
        &self,
        subject: &Subject,
        negative: bool,
        now: u32,
    ) -> Result<Query, UsageError> {
        if self.follow && matches!(subject, Subject::Below(_) | Subject::AtOrBelow(_)) {
            return Err(UsageError::Follow);
        }
        self.query(What::of(subject.clone(), negative), LIMIT, now)
    }

    /// Builds a search.
    ///
    /// # Errors
    /// [`UsageError`] for a word or a flag.
    pub(in crate::cli) fn find(&self, find: &Find, now: u32) -> Result<Query, UsageError> {
        let mut text = text(find.starts.as_deref(), find.ends.as_deref(), &find.contains)?;
        let globs = find.glob.iter().map(|typed| {
            Pattern::glob(typed).map_err(|cause| UsageError::Pattern { flag: "--glob", cause })
        });
        let expressions = find.regex.iter().map(|typed| {
            Pattern::regex(typed).map_err(|cause| UsageError::Pattern { flag: "--regex", cause })
        });
        text.patterns = globs.chain(expressions).collect::<Result<_, _>>()?;
        let what =
            if text.is_empty() { What::Records } else { What::Names { text, negative: false } };
        let mut query = self.query(what, LIMIT, now)?;
        query.filter.ttl = TtlFence { exactly: find.ttl, least: find.ttl_min, most: find.ttl_max };
        Ok(query)
    }

    /// Builds the query for the records with the highest counts.
    ///
    /// # Errors
    /// [`UsageError`] for a flag.
    pub(in crate::cli) fn top(&self, now: u32) -> Result<Query, UsageError> {
        let mut query = self.query(What::Records, TOP_LIMIT, now)?;
        query.sort = Some(query.sort.unwrap_or(Sort::Count));
        Ok(query)
    }

    /// Builds the query for the negative answers with the highest counts.
    ///
    /// # Errors
    /// [`UsageError`] for a flag, or an unsupported sort order.
    pub(in crate::cli) fn unanswered(
        &self,
        outcome: OutcomeArg,
        now: u32,
    ) -> Result<Query, UsageError> {
        let mut query = self.query(What::Negatives, TOP_LIMIT, now)?;
        query.sort = Some(query.sort.unwrap_or(Sort::Count));
        if query.sort == Some(Sort::Ttl) {
            return Err(UsageError::NoTtl("unanswered"));
        }
        query.filter.outcome = match outcome {
            OutcomeArg::Any => None,
            OutcomeArg::Only(outcome) => Some(outcome),
        };
        Ok(query)
    }

    /// Builds a grouping of rows of one kind, with the requested sort order.
    fn grouping(
        &self,
        by: query::By,
        kind: Kind,
        command: &'static str,
        now: u32,
    ) -> Result<(Grouping, Option<GroupSort>), UsageError> {
        let sort = match self.sort {
            None => None,
            Some(SortArg::Count) => Some(GroupSort::Count),
            Some(SortArg::First) => Some(GroupSort::First),
            Some(SortArg::Last) => Some(GroupSort::Last),
            Some(SortArg::Name) => Some(GroupSort::Key),
            Some(SortArg::Ttl) => return Err(UsageError::NoTtl(command)),
        };
        Ok((Grouping { by, kind, filter: self.filter(now)?, first_on: None }, sort))
    }

    /// Builds the grouping of names below a domain.
    ///
    /// # Errors
    /// [`UsageError`] for the domain or a flag.
    pub(in crate::cli) fn subdomains(
        &self,
        asked: &Subdomains,
        now: u32,
    ) -> Result<(Grouping, GroupSort), UsageError> {
        let subject = subject(&asked.name)?;
        let apex = subject.name().ok_or_else(|| UsageError::Domain(asked.name.clone()))?.clone();
        let (by, otherwise) = match asked.by {
            ByBelow::Child => (query::By::Children(apex, asked.depth.into()), GroupSort::Names),
            ByBelow::Depth => (query::By::Depths(apex), GroupSort::Key),
        };
        let (grouping, sort) = self.grouping(by, Kind::Record, "subdomains", now)?;
        Ok((grouping, sort.unwrap_or(otherwise)))
    }

    /// Builds the grouping of domains, addresses or types with the highest counts; `None` if it is not a grouping by
    /// those.
    ///
    /// # Errors
    /// [`UsageError`] for a flag.
    pub(in crate::cli) fn top_by(
        &self,
        by: By,
        now: u32,
    ) -> Result<Option<(Grouping, GroupSort)>, UsageError> {
        let by = match by {
            By::Domains => query::By::Domains,
            By::Addresses => query::By::Addresses,
            By::Rrtypes => query::By::RrTypes,
            // There is a faster way to find the names with the highest counts.
            By::Names if !matches!(self.sort, None | Some(SortArg::Count)) => query::By::Names,
            By::Names | By::Records => return Ok(None),
        };
        let (grouping, sort) = self.grouping(by, Kind::Record, "top", now)?;
        Ok(Some((grouping, sort.unwrap_or(GroupSort::Count))))
    }

    /// Builds the grouping of names or domains by the time of their first record.
    ///
    /// # Errors
    /// [`UsageError`] for a flag.
    pub(in crate::cli) fn new_by(
        &self,
        by: ByName,
        now: u32,
    ) -> Result<(Grouping, Option<GroupSort>), UsageError> {
        let by = match by {
            ByName::Names => query::By::Names,
            ByName::Domains => query::By::Domains,
        };
        self.grouping(by, Kind::Record, "new", now)
    }

    /// Builds the grouping of negative answers by registrable domain.
    ///
    /// # Errors
    /// [`UsageError`] for a flag, or an unsupported sort order.
    pub(in crate::cli) fn unanswered_domains(
        &self,
        outcome: OutcomeArg,
        now: u32,
    ) -> Result<(Grouping, GroupSort), UsageError> {
        let (mut grouping, sort) =
            self.grouping(query::By::Domains, Kind::Negative, "unanswered --by domains", now)?;
        grouping.filter.outcome = match outcome {
            OutcomeArg::Any => None,
            OutcomeArg::Only(outcome) => Some(outcome),
        };
        Ok((grouping, sort.unwrap_or(GroupSort::Count)))
    }

    /// Builds the query for parked names; its subject does not matter.
    ///
    /// # Errors
    /// [`UsageError`] for a flag.
    pub(in crate::cli) fn parked(&self, now: u32) -> Result<Query, UsageError> {
        self.query(What::Records, LIMIT, now)
    }
}
