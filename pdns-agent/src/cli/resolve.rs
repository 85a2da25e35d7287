//! From what was typed to what is meant: [`Query`] values, or one good sentence.

use super::args::export::FormatArg;
use super::args::rows::{FenceArgs, OutputArgs, TimeArgs};
use super::args::{By, ByBelow, ByName, Find, OutcomeArg, Rows, SortArg, Subdomains};
use crate::query::{
    self, Fence, Filter, GroupSort, Grouping, ListError, Moment, Pattern, PatternError, Purpose,
    Query, Reading, Sort, Subject, SubjectError, TagSubjectError, Text, TtlFence, What, WhenError,
    Word, WordError, read_list,
};
use crate::render::Format;
use crate::store::Kind;
use crate::tag::{LongText, TagKind};
use std::io;

/// Rows of a look-up or a search when no limit is given.
pub(super) const LIMIT: usize = 1_000;
/// Rows of a ranking when no limit is given.
pub(super) const TOP_LIMIT: usize = 20;

/// Why what was typed means nothing.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Text that is not a subject.
    #[error("cannot tell what {text} is")]
    Subject {
        /// The text, quoted and of bounded length.
        text: String,
        /// What is wrong.
        #[source]
        cause: SubjectError,
    },
    /// Several subjects where one is needed.
    #[error("{0:?} has several subjects: give one")]
    OneSubject(String),
    /// A word where a command stands.
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
        /// What is wrong.
        #[source]
        cause: WhenError,
    },
    /// A bad word.
    #[error("bad value for {flag}")]
    Word {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        #[source]
        cause: WordError,
    },
    /// A bad pattern.
    #[error("bad value for {flag}")]
    Pattern {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        #[source]
        cause: PatternError,
    },
    /// A look-up that CNAMEs cannot be followed from.
    #[error("--follow needs a name, an address or a range, not all names below one")]
    Follow,
    /// No domain where one is needed.
    #[error("subdomains needs a domain name, and {0:?} is none")]
    Domain(String),
    /// A list that cannot be read.
    #[error("cannot read the list {path}")]
    ListFile {
        /// Its path.
        path: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A list with something else in it.
    #[error("cannot use the list {path}")]
    List {
        /// Its path.
        path: String,
        /// Which line, and why.
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
    /// An order that sums do not have.
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
        /// What is wrong.
        #[source]
        cause: TagSubjectError,
    },
    /// A list of tags in a format that is not read line by line.
    #[error("{file} is {format}: tag import reads lists, one subject a line, and CSV with a head")]
    Format {
        /// The file.
        file: String,
        /// The format.
        format: &'static str,
    },
    /// A list that does not say what its lines are.
    #[error("{0} does not say whether its lines are threats: give --kind, or a column kind")]
    NoKindOf(String),
    /// A column that a file does not have.
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
    /// A source that is to be replaced, and not named.
    #[error("--replace clears what a source no longer lists: name it with --source")]
    ReplaceWhat,
    /// A note, source or author that is too long.
    #[error(transparent)]
    LongText(LongText),
    /// A kind alone.
    #[error(
        "say whose {0} tag is to be cleared; to clear the tags of the name {0}, write it with a final dot"
    )]
    ClearNothing(TagKind),
    /// A column that no tag has.
    #[error(
        "{file} has a column {column:?} that no tag has: name them subject, kind, note, source, author, time"
    )]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// Something else than an address.
    #[error("{0:?} is no address: near takes one, such as 192.0.2.7")]
    NoAddress(String),
    /// No list.
    #[error(
        "say which list: pdns export --format zeek-intel, suricata-dataset, ip-descriptions, csv or plain"
    )]
    NoList,
    /// Tags without which nothing can be listed.
    #[error("say which tags the list is of, such as --tag threat; --tag any is all of them")]
    NoKind,
    /// More descriptions than can be.
    #[error("export --format ip-descriptions needs a limit of 1 to 200000")]
    Descriptions,
}

/// A command that was perhaps meant, as a part of a sentence.
fn meant(like: Option<&String>) -> String {
    like.map_or_else(
        || " (pdns --help lists them)".to_owned(),
        |like| format!(" (did you mean `pdns {like}`?)"),
    )
}

/// The most characters of text that an error shows.
const MAX_QUOTED: usize = 120;

/// Text in quotes, without control characters and not too long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{:?} (shortened)", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Reads one subject that is asked about.
///
/// # Errors
/// [`UsageError::Subject`].
pub(super) fn subject(text: &str) -> Result<Subject, UsageError> {
    Subject::parse(text).map_err(|cause| UsageError::Subject { text: quoted(text), cause })
}

/// Reads the subjects of a list that are asked about, each with its text.
///
/// # Errors
/// [`UsageError::Subject`] for the first that cannot be read.
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

/// Conditions on the text of names.
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
        // Names are kept without their final dot.
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
    /// The fence that they are.
    ///
    /// # Errors
    /// [`UsageError::When`].
    pub(in crate::cli) fn fence(&self, now: u32) -> Result<Fence, UsageError> {
        let start = |flag, typed: &Option<String>| match typed {
            None => Ok(None),
            Some(text) => match Moment::parse(text, now) {
                Ok(moment) => Ok(Some(moment.start)),
                Err(cause) => Err(UsageError::When { flag, cause }),
            },
        };
        let seen_in = self.seen_in.as_deref().map(|text| Moment::parse_span(text, now)).transpose();
        Ok(Fence {
            first_after: start("--first-after", &self.first_after)?,
            first_before: start("--first-before", &self.first_before)?,
            last_after: start("--last-after", &self.last_after)?,
            last_before: start("--last-before", &self.last_before)?,
            seen_in: seen_in.map_err(|cause| UsageError::When { flag: "--seen-in", cause })?,
        })
    }
}

impl OutputArgs {
    /// The format that was asked for.
    #[must_use]
    pub(in crate::cli) fn format(self) -> Option<Format> {
        Rows { format: self.format, ..Rows::default() }.format()
    }
}

impl Rows {
    /// The format that was asked for.
    #[must_use]
    pub(in crate::cli) fn format(&self) -> Option<Format> {
        match self.format {
            Some(FormatArg::Answer(format)) => Some(format),
            // Only `pdns export` takes the name of a list, and asks for it in its own words.
            Some(FormatArg::List(_)) | None => None,
        }
    }

    /// The filter on rows.
    ///
    /// # Errors
    /// [`UsageError::When`].
    pub(in crate::cli) fn filter(&self, now: u32) -> Result<Filter, UsageError> {
        let FenceArgs { rrtype, times, tag } = &self.fences;
        Ok(Filter {
            rrtypes: rrtype.clone(),
            fence: times.fence(now)?,
            tag: *tag,
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

    /// The look-up of one subject.
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

    /// A search.
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

    /// The records that were counted most.
    ///
    /// # Errors
    /// [`UsageError`] for a flag.
    pub(in crate::cli) fn top(&self, now: u32) -> Result<Query, UsageError> {
        let mut query = self.query(What::Records, TOP_LIMIT, now)?;
        query.sort = Some(query.sort.unwrap_or(Sort::Count));
        Ok(query)
    }

    /// The negative answers that were counted most.
    ///
    /// # Errors
    /// [`UsageError`] for a flag, or an order that there is not.
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

    /// Rows of one kind added up, with the order that was asked for.
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

    /// Names below a domain, added up.
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

    /// The domains, addresses or types that were counted most; `None` for what is no sum by those.
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
            // Names that were counted most have a faster way.
            By::Names if !matches!(self.sort, None | Some(SortArg::Count)) => query::By::Names,
            By::Names | By::Records => return Ok(None),
        };
        let (grouping, sort) = self.grouping(by, Kind::Record, "top", now)?;
        Ok(Some((grouping, sort.unwrap_or(GroupSort::Count))))
    }

    /// Names or domains by the time of their first record.
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

    /// Negative answers added up by registrable domain.
    ///
    /// # Errors
    /// [`UsageError`] for a flag, or an order that there is not.
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

    /// Parked names; what the query is about does not matter.
    ///
    /// # Errors
    /// [`UsageError`] for a flag.
    pub(in crate::cli) fn parked(&self, now: u32) -> Result<Query, UsageError> {
        self.query(What::Records, LIMIT, now)
    }
}
