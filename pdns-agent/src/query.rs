//! Queries against the store, answered with rows.
//!
//! Sits between `store`, which it reads, and `render`, `cli` and `serve`, which call it. It knows nothing about
//! flags or output formats.
//!
//! There are four ways to answer a query. A *look-up* goes straight to the rows of a name or an address. A
//! *search* walks all names in text order and looks up those that match. A *scan* walks the statistics of all
//! rows, keeps the best, and only then resolves their names and RDATA. *Sums* by domain, address, type or label
//! read every row that may count, with its name. None of them holds more than a bounded number of rows: a
//! longer answer takes several passes, each of which continues after the last item of the previous one.

mod addresses;
mod contrast;
mod extent;
mod filter;
mod follow;
mod gate;
mod groups;
mod ip_labels;
mod names;
mod near;
mod order;
mod owner;
mod page;
mod parked;
mod pattern;
mod profile;
#[cfg(test)]
pub(crate) mod rows;
mod score;
mod score_lists;
mod sightings;
mod squats;
mod stats;
mod subject;
mod tag_export;
mod tags;
mod text;
mod time_spec;
mod top;
mod walk;
mod watch;
mod word;

pub use addresses::{MAX_SHARED_DOMAINS, on_addresses};
pub use contrast::{
    Contrast, ContrastQuery, Limits, MAX_SHARED, Neighbour, Relation, RelationKind,
    UnknownRelation, contrast,
};
pub use extent::Extent;
pub use filter::{Fence, Filter, TtlFence};
pub use follow::{MAX_FOLLOWED, MAX_STEPS, Trail, follow};
pub use gate::{Gate, GateListError, GateReason};
pub use groups::{
    By, Group, GroupKey, GroupSort, Grouping, MAX_GROUPS, Totals, days, groups, groups_in,
};
pub use ip_labels::{Described, MAX_DESCRIBED, described};
pub use near::{MAX_ON_ADDRESS, Near, NearThreat, OnAddress, Threats, near, on_address};
pub use order::{Each, MAX_SORTED, Passes, Sort};
pub use owner::Owner;
pub use page::{Cursor, MAX_PAGE, Pager, Rows};
pub(crate) use parked::is_reserved;
pub use parked::{ListError, ParkedList, WHYS, Why, parked};
pub use pattern::{Pattern, PatternError};
pub use profile::{
    AppliedTag, Depth, NearestThreat, Neighbourhood, NewName, Profile, ProfileQuery, Section,
    SectionReading, Sections, TagChanges, own_subjects, own_tag_subject, profile, read_section,
    wider,
};
pub use score::{
    AddressFacts, AddressUse, AssessError, Assessment, Facts, NewScores, NoScore, Reach, ScoredNew,
    Scorer, assess, assess_stored, score_new, scored_subject,
};
pub(crate) use score_lists::is_host_text;
pub use score_lists::{ScoreLists, TopList, TopListError};
pub use sightings::sightings;
pub use squats::{SeenSquat, SeenSquats, SquatQuery, seen_squats};
pub use subject::{
    Certainty, ListedSubjects, MAX_LISTED, Purpose, Reading, Readings, Scope, Subject,
    SubjectError, TagSubjectError, TaggedParts, WrittenAs, is_comment, listed_subjects, parts,
    printed, printed_name, read_list, refang, tag_subject, tag_subject_for, tag_subjects,
    typed_name, typed_tag, without_comment,
};
pub use tag_export::{
    Exception, ExportConditions, ExportDetail, ExportItem, ExportSpec, ExportSummary, MAX_BELOW,
    MAX_FOUND, MAX_RECORDS, export_tags,
};
pub use tags::{End, RowTags, TagFilter, TagRules, TagSet, UnknownTagFilter, subjects_of_row};
pub use text::Text;
pub use time_spec::{DAY, TimeParseError, TimeSpec, parse_age};
pub use top::{NameSum, top_names};
pub use walk::{EachNames, Walk, walk};
pub use watch::{Polled, Watch};
pub use word::{Word, WordError};

use crate::name::NameBuf;
use crate::store::{Kind, Reader, StoreError};
use addresses::prefix_around;
use order::{Sorter, TopN};
use std::borrow::Cow;
use std::ops::ControlFlow;

/// A query that is answered with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The subject of the query.
    pub what: What,
    /// Conditions that rows must meet.
    pub filter: Filter,
    /// Maximum number of rows to return; 0 means no limit.
    pub limit: usize,
    /// Sort order; `None` selects the natural one: look-ups and scans return the latest seen first, searches
    /// sort by name.
    pub sort: Option<Sort>,
}

/// Subject of a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A name: its records, then the records that point at it, then (if `negative`) its negative answers.
    Name {
        /// The name.
        name: NameBuf,
        /// True to include negative answers.
        negative: bool,
    },
    /// Records with an address in a range, like [`Subject::Addresses`].
    Addresses(std::net::IpAddr, std::net::IpAddr),
    /// Records of all names that match this text, and (if `negative`) their negative answers.
    Names {
        /// The text.
        text: Text,
        /// True to include negative answers.
        negative: bool,
    },
    /// Every record.
    Records,
    /// Every negative answer.
    Negatives,
}

/// Summary of a finished answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Number of rows returned.
    pub shown: u64,
    /// True if the limit left rows out, or if it was reached and the search for one more row was given up.
    pub cut: bool,
    /// True if there were too many rows to sort ([`MAX_SORTED`]), so that they came in the order they were
    /// read.
    pub unsorted: bool,
    /// The part of a section that was read if no sort order was given and the section has more than
    /// [`MOST_READ`] rows. The rows shown are then the latest of that part, not of the whole section.
    pub extent: Extent,
}

/// Maximum number of rows of a section to read in search of its latest, if no sort order is given and the limit
/// is not higher. Reading them takes a second; an address may have millions of names.
pub const MOST_READ: usize = 200_000;

impl Query {
    /// Returns the query with the tags of the store, if it filters by tag and has none loaded yet.
    fn with_tags(&self, store: &mut Reader<'_>) -> Result<Cow<'_, Self>, StoreError> {
        Ok(match self.filter.with_tags(store)? {
            Cow::Borrowed(_) => Cow::Borrowed(self),
            Cow::Owned(filter) => Cow::Owned(Self { filter, ..self.clone() }),
        })
    }
}

impl What {
    /// Returns the subject for a look-up of `subject`.
    #[must_use]
    pub fn of(subject: Subject, negative: bool) -> Self {
        match subject {
            Subject::Name(name) => Self::Name { name, negative },
            Subject::Below(apex) => {
                Self::Names { text: Text { below: Some(apex), ..Text::default() }, negative }
            }
            Subject::AtOrBelow(apex) => {
                Self::Names { text: Text { at_or_below: Some(apex), ..Text::default() }, negative }
            }
            Subject::Addresses(from, to) => Self::Addresses(from, to),
        }
    }
}

/// Passes the rows that answer `query` to `each`, until it breaks.
///
/// # Errors
/// [`StoreError`] when the store cannot be read; rows may have been returned before.
pub fn run(store: &mut Reader<'_>, query: &Query, each: &mut Each<'_>) -> Result<Page, StoreError> {
    run_in(store, query, Passes::default(), each)
}

/// Like [`run`], but with passes of another size; the answer is the same.
///
/// # Errors
/// As [`run`].
pub fn run_in(
    store: &mut Reader<'_>,
    query: &Query,
    passes: Passes,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let query = &*query.with_tags(store)?;
    match &query.what {
        What::Name { name, negative } => {
            let sections = Sections::name(store, name, *negative)?;
            look_up(store, query, &sections, *negative, each)
        }
        What::Addresses(from, to) => {
            look_up(store, query, &Sections::Addresses(*from, *to), false, each)
        }
        What::Names { text, negative } => {
            let both = [Kind::Record, Kind::Negative];
            let kinds = if *negative { &both[..] } else { &both[..1] };
            names::run(store, query, text, kinds, passes, each)
        }
        What::Records if query.sort == Some(Sort::Name) => {
            names::run(store, query, &Text::default(), &[Kind::Record], passes, each)
        }
        What::Negatives if query.sort == Some(Sort::Name) => {
            names::run(store, query, &Text::default(), &[Kind::Negative], passes, each)
        }
        What::Records => stats::run(store, query, Kind::Record, passes, each),
        What::Negatives => stats::run(store, query, Kind::Negative, passes, each),
    }
}

/// Reads the sections of one name or of addresses, in order.
fn look_up(
    store: &mut Reader<'_>,
    query: &Query,
    sections: &Sections,
    negative: bool,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let mut answer = SectionedAnswer::new(query, each);
    for section in Section::ALL {
        if section != Section::Negatives || negative {
            answer.section(|most, take| sections.rows(store, section, most, take))?;
        }
    }
    Ok(answer.page)
}

/// An answer in several sections, each sorted, that share one limit.
struct SectionedAnswer<'q, 'e, 'f> {
    query: &'q Query,
    each: &'e mut Each<'f>,
    page: Page,
    over: bool,
}

impl<'q, 'e, 'f> SectionedAnswer<'q, 'e, 'f> {
    fn new(query: &'q Query, each: &'e mut Each<'f>) -> Self {
        Self { query, each, page: Page::default(), over: false }
    }

    /// Reads one section with `read`, unless the answer has ended. `read` receives the number of rows that are
    /// likely to be enough.
    fn section(
        &mut self,
        read: impl FnOnce(usize, &mut Each<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.over {
            return Ok(());
        }
        let Some(limit) = left(self.query.limit, self.page.shown) else {
            // No more rows fit, but the page has to report whether more exist.
            let mut more = false;
            read(1, &mut |row| {
                more = self.query.filter.admits(&row);
                if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            self.page.cut |= more;
            self.over = more;
            return Ok(());
        };
        let mut sorter = Sorter::new(self.query.sort.unwrap_or(Sort::Last), limit);
        let most = match (self.query.sort, limit) {
            (None, 1..) => limit.max(MOST_READ),
            _ => usize::MAX,
        };
        let (mut admitted, mut flow) = (0, ControlFlow::Continue(()));
        read(most.saturating_add(1), &mut |row| {
            if self.query.filter.admits(&row) {
                admitted += 1;
                if admitted > most {
                    return ControlFlow::Break(());
                }
                flow = sorter.offer(row, self.each);
            }
            flow
        })?;
        if admitted > most {
            self.page.extent = self.page.extent.and(Extent::First(most as u64));
            self.page.cut = true;
        }
        self.over = flow.is_break();
        if self.over {
            // Either the limit was reached while streaming, or `each` wants no more rows.
            let (end, _) = sorter.finish(&mut |_| ControlFlow::Break(()));
            self.count(end);
            return Ok(());
        }
        let (end, flow) = sorter.finish(self.each);
        self.over = flow.is_break();
        self.count(end);
        Ok(())
    }

    fn count(&mut self, end: order::Sorted) {
        self.page.shown += end.shown as u64;
        self.page.cut |= end.cut;
        self.page.unsorted |= end.unsorted;
    }
}

/// Returns the rest of a limit after `shown` rows: 0 if there is no limit, `None` if it is used up.
fn left(limit: usize, shown: u64) -> Option<usize> {
    if limit == 0 {
        return Some(0);
    }
    let shown = usize::try_from(shown).unwrap_or(usize::MAX);
    limit.checked_sub(shown).filter(|&left| left > 0)
}

/// Passes the names first seen on `day` (counted from 1970-01-01) to `each`, with the second of their first
/// sighting: at most `limit` of them in text order, or all in store order if `limit` is 0 or above
/// [`MAX_SORTED`].
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn new_names(
    store: &mut Reader<'_>,
    day: u32,
    limit: usize,
    each: &mut dyn FnMut(NameBuf, u32) -> ControlFlow<()>,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    if limit == 0 || limit > MAX_SORTED {
        page.unsorted = true;
        store.new_on(day, &mut |name, first| {
            if left(limit, page.shown).is_none() {
                page.cut = true;
                return ControlFlow::Break(());
            }
            page.shown += 1;
            each(name.to_buf(), first)
        })?;
        return Ok(page);
    }
    let mut kept: TopN<(NameBuf, u32)> = TopN::new(limit);
    store.new_on(day, &mut |name, first| {
        match kept.worst() {
            Some((worst, _)) if worst.as_name() < name => kept.refuse(),
            _ => kept.offer((name.to_buf(), first)),
        }
        ControlFlow::Continue(())
    })?;
    page.cut = kept.overflowed();
    for (name, first) in kept.into_sorted() {
        page.shown += 1;
        if each(name, first).is_break() {
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Outcome;
    use crate::record::StoredRecord;
    use crate::rr::RrType;
    use rows::{a, negative};

    fn query(limit: usize) -> Query {
        Query { what: What::Records, filter: Filter::default(), limit, sort: None }
    }

    /// Returns the answer to a query over sections with these rows.
    fn answer(query: &Query, sections: &[Vec<StoredRecord>]) -> (Vec<StoredRecord>, Page) {
        let mut out = Vec::new();
        let mut each = |row| {
            out.push(row);
            ControlFlow::Continue(())
        };
        let mut answer = SectionedAnswer::new(query, &mut each);
        for section in sections {
            answer
                .section(|_, take| {
                    for row in section {
                        if take(row.clone()).is_break() {
                            break;
                        }
                    }
                    Ok(())
                })
                .unwrap();
        }
        let page = answer.page;
        (out, page)
    }

    #[test]
    fn sections_share_one_limit_and_keep_their_order() {
        let sections = [vec![a("b", 1), a("b", 2)], vec![a("a", 1)], vec![]];
        let (out, page) = answer(&query(0), &sections);
        let names: Vec<_> = out.iter().map(|row| row.rrname.as_str()).collect();
        assert_eq!(names, ["b", "b", "a"]);
        assert_eq!(page, Page { shown: 3, cut: false, unsorted: false, ..Page::default() });
        let (out, page) = answer(&query(2), &sections);
        assert_eq!((out.len(), page.cut), (2, true));
        let (out, page) = answer(&query(3), &sections);
        assert_eq!((out.len(), page.cut), (3, false));
        let (out, page) = answer(&query(1), &sections);
        assert_eq!((out.len(), page.cut), (1, true));
    }

    #[test]
    fn of_too_many_rows_the_first_are_read_unless_an_order_is_asked_for() {
        let sections = [(0..=MOST_READ).map(|at| a(&format!("n{at}"), 1)).collect()];
        let mut query = query(2);
        let (out, page) = answer(&query, &sections);
        assert_eq!((out.len(), page.cut, page.extent), (2, true, Extent::First(MOST_READ as u64)));
        query.sort = Some(Sort::Last);
        let (out, page) = answer(&query, &sections);
        assert_eq!((out.len(), page.cut, page.extent), (2, true, Extent::Whole));
        (query.sort, query.limit) = (None, 0);
        let (out, page) = answer(&query, &sections);
        assert_eq!((out.len(), page.cut, page.extent), (MOST_READ + 1, false, Extent::Whole));
    }

    #[test]
    fn the_filter_is_applied_before_the_limit() {
        let rows = vec![negative("a", RrType::MX, Outcome::NODATA), a("a", 1)];
        let mut query = query(1);
        query.filter.rrtypes = vec![RrType::A];
        let (out, page) = answer(&query, &[rows]);
        assert_eq!(out, [a("a", 1)]);
        assert!(!page.cut);
    }

    #[test]
    fn a_taker_that_has_enough_gets_no_more() {
        let mut taken = 0;
        let mut each = |_| {
            taken += 1;
            ControlFlow::Break(())
        };
        let query = query(0);
        let mut answer = SectionedAnswer::new(&query, &mut each);
        for _ in 0..2 {
            answer
                .section(|_, take| {
                    let _ = take(a("a", 1)).is_break() || take(a("a", 2)).is_break();
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(taken, 1);
    }
}
