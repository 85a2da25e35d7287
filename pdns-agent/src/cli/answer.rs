//! Commands that print rows: look-ups, searches, rankings, new names.

mod held;

use super::args::RowOptions;
use super::lists::next_text;
use super::query_args::{self, LIMIT, TOP_LIMIT, UsageError};
use super::{CliError, Found, Terminal, cannot, open};
use crate::causes::with_causes;
use crate::config::score::ScoreFiles;
use crate::enrich::NetworkTables;
use crate::name::{NameBuf, display::unicode};
use crate::query::{
    self, AssessError, By, Certainty, Group, GroupKey, GroupSort, Grouping, MAX_FOLLOWED,
    MAX_SORTED, NameSum, Page, Query, Reading, Scorer, TagSet, Trail,
};
use crate::render::{Format, Item, Mark, NameScores, RenderOptions, Renderer, escape};
use crate::store::{Kind, NameTotal, Options, Reader, Store, StoreError};
use crate::tag::TagSubject;
use held::HeldItem;
use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Items held back until their tags are looked up together.
const TOGETHER: usize = 1_000;
/// Time after which they are shown, however few they are.
const HELD: Duration = Duration::from_millis(300);
/// Time for which a store without tags is taken to have none.
const UNTAGGED: Duration = Duration::from_secs(1);
/// Number of scores that are kept for further rows.
const MAX_KNOWN: usize = 100_000;

/// Reads what renderers need of the store: the names of the sensors.
pub(super) fn render_options(
    store: &mut Reader<'_>,
    terminal: &Terminal<'_>,
) -> Result<RenderOptions, CliError> {
    let sensors = store.sensors().map_err(cannot("read the names of the sensors"))?;
    Ok(terminal.look(sensors))
}

/// Output in progress: the renderer, the first error of the writer, and the notes to print.
pub(super) struct Output<'a, 't> {
    renderer: Box<dyn Renderer>,
    pub(super) terminal: &'a mut Terminal<'t>,
    failed: Option<io::Error>,
    items: u64,
    /// True if a look-up found only negative answers, which are not shown by default.
    has_hidden: bool,
    /// The store over a second connection, for the tags of items that arrive while the first is busy.
    twin: Store,
    /// All tags, if some part of the answer needs them all.
    all_tags: Option<Arc<TagSet>>,
    /// The time when the store was last found to have neither tags nor indicators.
    untagged_at: Option<Instant>,
    /// Items whose tags are not looked up yet.
    pending: Vec<HeldItem>,
    /// The time when the first of them was held back.
    held_since: Instant,
    /// Scores of owner names, if they were asked for.
    scores: Option<NameScorer>,
    /// Error of a look-up of tags.
    lost: Option<StoreError>,
    /// Tables of addresses, of which some may prove damaged.
    networks: Option<Arc<NetworkTables>>,
    /// Notes to print below the answer.
    pub(super) notes: Vec<String>,
}

impl<'a, 't> Output<'a, 't> {
    pub(super) fn new(
        store: &mut Reader<'_>,
        asked: Option<Format>,
        elsewhere: Format,
        terminal: &'a mut Terminal<'t>,
    ) -> Result<Self, CliError> {
        let look = render_options(store, terminal)?;
        Ok(Self {
            networks: look.networks.clone(),
            renderer: terminal.format(asked, elsewhere).renderer(look),
            terminal,
            failed: None,
            items: 0,
            has_hidden: false,
            twin: store.twin(),
            all_tags: None,
            untagged_at: None,
            pending: Vec::new(),
            held_since: Instant::now(),
            scores: None,
            lost: None,
            notes: Vec::new(),
        })
    }

    /// Writes an item, or holds it back until its tags are looked up; breaks if the writer or a look-up fails.
    pub(super) fn item(&mut self, item: &Item<'_>) -> ControlFlow<()> {
        self.items += 1;
        if self.all_tags.is_none()
            && self.untagged_at.is_none_or(|at| at.elapsed() >= UNTAGGED)
            && let Some(held) = HeldItem::of(item)
        {
            if self.pending.is_empty() {
                self.held_since = Instant::now();
            }
            self.pending.push(held);
            if self.pending.len() >= TOGETHER || self.held_since.elapsed() >= HELD {
                return self.release();
            }
            return ControlFlow::Continue(());
        }
        self.release()?;
        self.score(&[item_name(item)])?;
        self.write(item)
    }

    fn write(&mut self, item: &Item<'_>) -> ControlFlow<()> {
        match self.renderer.item(item, self.terminal.out) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Writes the items that were held back, with their tags.
    fn release(&mut self) -> ControlFlow<()> {
        if self.pending.is_empty() {
            return ControlFlow::Continue(());
        }
        let pending = std::mem::take(&mut self.pending);
        match self.tags_of(&pending) {
            Ok(tags) => {
                self.untagged_at = (!tags.is_of_tagged_store()).then(Instant::now);
                self.renderer.set_tags(&Arc::new(tags));
            }
            Err(error) => {
                self.lost = Some(error);
                return ControlFlow::Break(());
            }
        }
        let names: Vec<Option<&NameBuf>> =
            pending.iter().map(|held| item_name(&held.item())).collect();
        self.score(&names)?;
        pending.iter().try_for_each(|held| self.write(&held.item()))
    }

    /// Reads the tags of items. Whether the store has any is asked first, which is quick: most subjects cost more.
    fn tags_of(&mut self, items: &[HeldItem]) -> Result<TagSet, StoreError> {
        let mut store = self.twin.reader();
        let tags = TagSet::of_subjects(&mut store, &[])?;
        if !tags.is_of_tagged_store() {
            return Ok(tags);
        }
        let subjects: BTreeSet<TagSubject> =
            items.iter().flat_map(HeldItem::tag_subjects).collect();
        let subjects: Vec<TagSubject> = subjects.into_iter().collect();
        TagSet::of_subjects(&mut store, &subjects)
    }

    /// Scores the owner names of the items that follow, if the flags say so.
    fn with_scores(mut self, rows: &RowOptions) -> Result<Self, CliError> {
        if rows.score {
            let mut scorer = ScoreFiles::default().scorer()?;
            let mut store = self.twin.reader();
            scorer.refresh(&mut store).map_err(cannot("read the tags"))?;
            self.scores = Some(NameScorer { scorer, known: Arc::default() });
            if self.terminal.format(rows.format(), Format::Cof) == Format::Table {
                self.notes.push("scores are in cof, json and csv; see pdns score".to_owned());
            }
        }
        Ok(self)
    }

    /// Scores names, if that was asked for.
    fn score(&mut self, names: &[Option<&NameBuf>]) -> ControlFlow<()> {
        let Some(scores) = &mut self.scores else { return ControlFlow::Continue(()) };
        let known = Arc::make_mut(&mut scores.known);
        if known.len() > MAX_KNOWN {
            known.clear();
        }
        for &name in names.iter().flatten() {
            if known.contains_key(name) {
                continue;
            }
            let subject = query::Subject::Name(name.clone());
            let now = self.terminal.now;
            match query::assess(&mut self.twin.reader(), &scores.scorer, &subject, now) {
                Ok(assessed) => {
                    known.insert(name.clone(), assessed.ledger.score);
                }
                // The root has no score.
                Err(AssessError::NoScore(_)) => {}
                Err(AssessError::Store(error)) => {
                    self.lost = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        self.renderer.set_scores(&scores.known);
        ControlFlow::Continue(())
    }

    /// Writes the rows of one query; `subject` is what it is about, if there are several.
    fn ask(
        &mut self,
        store: &mut Reader<'_>,
        query: &Query,
        follow: bool,
        subject: Option<&str>,
    ) -> Result<(), CliError> {
        let query = self.with_tags(store, query)?;
        let mut each = |row| match subject {
            None => self.item(&Item::Record(&row)),
            Some(mark) => self.item(&Item::Marked { row: &row, name: Mark::Subject, mark }),
        };
        let (page, trail) = if follow {
            query::follow(store, &query, &mut each)
        } else {
            query::run(store, &query, &mut each).map(|page| (page, Trail::default()))
        }
        .map_err(cannot("read the store"))?;
        self.check()?;
        self.note(page, query.sort.is_some(), subject);
        let about = about(subject);
        if trail.too_long {
            let note = "CNAMEs go on behind the last that is shown; look that up to follow them";
            self.notes.push(format!("{about}{note}"));
        }
        if trail.too_many {
            self.notes.push(format!(
                "{about}more than {MAX_FOLLOWED} names lead there; the others were not followed"
            ));
        }
        Ok(())
    }

    /// Returns true if a query finds anything.
    fn is_answered(&mut self, store: &mut Reader<'_>, query: &Query) -> Result<bool, CliError> {
        let query = self.with_tags(store, &Query { limit: 1, ..query.clone() })?;
        let mut is_answered = false;
        query::run(store, &query, &mut |_| {
            is_answered = true;
            ControlFlow::Break(())
        })
        .map_err(cannot("read the store"))?;
        Ok(is_answered)
    }

    /// Returns a query that can filter by tag, with all tags if it does.
    fn with_tags(&mut self, store: &mut Reader<'_>, query: &Query) -> Result<Query, CliError> {
        let mut query = query.clone();
        if query.filter.tag.is_some() {
            query.filter.tags = self.all_tags(store)?;
        }
        Ok(query)
    }

    /// Writes what was held back, and returns the first error of the writer or of a look-up.
    pub(super) fn check(&mut self) -> Result<(), CliError> {
        if self.failed.is_none() && self.lost.is_none() && self.release().is_break() {
            // The error is returned below.
            self.pending.clear();
        }
        if let Some(cause) = self.lost.take() {
            return Err(cannot("read the tags")(cause));
        }
        match self.failed.take() {
            Some(error) => Err(CliError::Output(error)),
            None => Ok(()),
        }
    }

    /// Notes facts about a result that its rows do not show.
    pub(super) fn note(&mut self, page: Page, sorted: bool, subject: Option<&str>) {
        let about = about(subject);
        if let Some(read) = page.extent.first() {
            self.notes.push(format!(
                "{about}only the first {read} of more rows were read, and the {} shown are among those; use --sort last for the true latest",
                page.shown
            ));
        } else if page.cut {
            let rows = if page.shown == 1 { "row" } else { "rows" };
            self.notes.push(format!(
                "{about}cut off after {} {rows}, there may be more; --limit N or --limit 0 shows them",
                page.shown
            ));
        }
        if page.unsorted && sorted {
            self.notes.push(format!(
                "{about}more than {MAX_SORTED} rows, so they are not sorted; --limit N sorts"
            ));
        }
    }

    /// Notes evicted keys if nothing was found: what is sought may be among them.
    fn note_evictions(&mut self, store: &mut Reader<'_>) -> Result<(), CliError> {
        if self.items == 0 && !self.has_hidden {
            let warnings = store.eviction_warnings();
            self.notes.extend(warnings.map_err(cannot("read the state of the store"))?);
        }
        Ok(())
    }

    /// Returns the number of items.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Prints a message immediately.
    pub(super) fn say(&mut self, text: std::fmt::Arguments<'_>) {
        self.terminal.say(text);
    }

    /// Returns all tags and indicators of the store, and shows items with these.
    pub(super) fn all_tags(&mut self, store: &mut Reader<'_>) -> Result<Arc<TagSet>, CliError> {
        self.check()?;
        if let Some(tags) = &self.all_tags {
            return Ok(Arc::clone(tags));
        }
        let tags = Arc::new(TagSet::load(store).map_err(cannot("read the tags"))?);
        self.set_tags(&tags);
        Ok(tags)
    }

    /// Replaces the tags for the items that follow; they are all that the store has.
    pub(super) fn set_tags(&mut self, tags: &Arc<TagSet>) {
        self.renderer.set_tags(tags);
        self.all_tags = Some(Arc::clone(tags));
    }

    /// Writes out everything so far, including rows that the renderer held back: for output that goes on.
    pub(super) fn page(&mut self) -> Result<(), CliError> {
        self.check()?;
        self.renderer.end(self.terminal.out).map_err(CliError::Output)?;
        self.flush()
    }

    /// Adds a note to print below the answer.
    pub(super) fn remark(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Writes out everything so far, and prints the notes on it.
    fn flush(&mut self) -> Result<(), CliError> {
        self.check()?;
        self.terminal.out.flush().map_err(CliError::Output)?;
        for note in self.notes.drain(..) {
            self.terminal.say(format_args!("{note}"));
        }
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<Found, CliError> {
        self.check()?;
        self.renderer.end(self.terminal.out).map_err(CliError::Output)?;
        self.terminal.say_problems(self.networks.as_deref());
        self.flush()?;
        let left_out = self.renderer.left_out();
        if left_out > 0 {
            self.terminal.say(format_args!(
                "{left_out} negative answers and sums of names not kept have no form in COF and are left out; \
                 --format json has them"
            ));
        }
        let is_found = self.items > 0 || self.has_hidden;
        Ok(if is_found { Found::Something } else { Found::Nothing })
    }
}

/// A scorer, with the scores of names so far.
struct NameScorer {
    scorer: Scorer,
    known: Arc<NameScores>,
}

/// Returns the owner name of a row.
fn item_name<'i>(item: &Item<'i>) -> Option<&'i NameBuf> {
    match *item {
        Item::Record(row) | Item::Marked { row, .. } => Some(&row.rrname),
        _ => None,
    }
}

/// Returns the subject of a note, if there are several answers.
fn about(subject: Option<&str>) -> String {
    subject.map(|subject| format!("{}: ", escape(subject))).unwrap_or_default()
}

/// Prints the rows of one query.
pub(super) fn rows(
    store: &mut Reader<'_>,
    query: &Query,
    rows: &RowOptions,
    elsewhere: Format,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut answer = Output::new(store, rows.format(), elsewhere, terminal)?.with_scores(rows)?;
    answer.ask(store, query, false, None)?;
    answer.note_evictions(store)?;
    answer.end()
}

/// Looks up subjects, one after the other.
pub(super) fn look_up(
    subjects: &[String],
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let format = terminal.format(rows.format(), Format::Cof);
    let negative = rows.negative || format == Format::Table;
    let now = terminal.now;
    if let ["-"] = subjects.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // Invalid flags are reported before the first line is read.
        rows.filter(now)?;
        return batch(rows, negative, options, terminal);
    }
    // All subjects must be valid before the first one is looked up.
    let mut asked = Vec::new();
    for text in subjects {
        asked.extend(LookUp::all_of(text, rows, negative, now)?);
    }
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer =
        Output::new(&mut store, rows.format(), Format::Cof, terminal)?.with_scores(rows)?;
    let is_marked = asked.len() > 1;
    for look_up in &asked {
        look_up.answer(&mut store, rows.follow, is_marked, &mut answer)?;
    }
    answer.note_evictions(&mut store)?;
    answer.end()
}

/// One look-up as typed.
struct LookUp {
    text: String,
    reading: Reading,
    query: Query,
    /// The same query with negative answers, if the query leaves them out.
    with_negatives: Option<Query>,
}

impl LookUp {
    /// Parses the subjects in a text.
    fn all_of(
        text: &str,
        rows: &RowOptions,
        negative: bool,
        now: u32,
    ) -> Result<Vec<Self>, UsageError> {
        let read = |(text, reading): (String, Reading)| {
            let query = |negative| rows.look_up(&reading.subject, negative, now);
            let with_negatives = if negative { None } else { Some(query(true)?) };
            Ok(Self { query: query(negative)?, with_negatives, text, reading })
        };
        query_args::subjects(text)?.into_iter().map(read).collect()
    }

    /// Writes the results, and notes if there are none. `is_marked` tells rows and notes of several look-ups apart.
    fn answer(
        &self,
        store: &mut Reader<'_>,
        follow: bool,
        is_marked: bool,
        answer: &mut Output<'_, '_>,
    ) -> Result<(), CliError> {
        taken_for(&self.text, &self.reading, answer.terminal);
        let subject = is_marked.then_some(self.text.as_str());
        let before = answer.items();
        answer.ask(store, &self.query, follow, subject)?;
        if answer.items() > before {
            return Ok(());
        }
        if let Some(query) = &self.with_negatives
            && answer.is_answered(store, query)?
        {
            answer.has_hidden = true;
            let note = "no records, but negative answers: --negative shows them";
            answer.notes.push(format!("{}{note}", about(subject)));
        } else if is_marked {
            answer.notes.push(format!("{}nothing found", about(subject)));
        }
        Ok(())
    }
}

/// Reports what a text was read as, if that is not obvious, and whether the name imitates another.
pub(super) fn taken_for(text: &str, reading: &Reading, terminal: &mut Terminal<'_>) {
    let subject = &reading.subject;
    if reading.certainty != Certainty::AsTyped {
        let text = query_args::quoted(text);
        terminal.say(format_args!("read {text} as {subject} ({})", subject.sort()));
    }
    let form = subject.name().and_then(|name| unicode(name.as_name()));
    if let Some(warning) = form.and_then(|form| form.warning) {
        terminal.say(format_args!("{subject} {warning}: it may imitate another name"));
    }
}

/// Looks up the subjects on standard input, one per line. An invalid line is reported and skipped, so that it does
/// not lose the rest of a long list.
fn batch(
    rows: &RowOptions,
    negative: bool,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let now = terminal.now;
    let mut answer =
        Output::new(&mut store, rows.format(), Format::Cof, terminal)?.with_scores(rows)?;
    let (mut number, mut passed_over) = (0_u64, 0_u64);
    while let Some(line) = next_text(answer.terminal.input, &mut number)? {
        let text = without_comment(&line);
        if text.is_empty() {
            continue;
        }
        match LookUp::all_of(text, rows, negative, now) {
            Ok(asked) => {
                for look_up in asked {
                    look_up.answer(&mut store, rows.follow, true, &mut answer)?;
                }
                // The writer of the lines may wait for each answer before sending the next line.
                answer.flush()?;
            }
            Err(error @ (UsageError::Subject { .. } | UsageError::Follow | UsageError::Dash)) => {
                passed_over += 1;
                let why = with_causes(&error);
                answer.terminal.say(format_args!("line {number} skipped: {why}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let found = answer.end()?;
    if passed_over > 0 { Err(CliError::Lines(passed_over)) } else { Ok(found) }
}

/// Returns a line of a list without its comment; empty if it has nothing else. A semicolon separates subjects here.
fn without_comment(line: &str) -> &str {
    if query::is_comment(line) {
        return "";
    }
    line.split(" #").next().unwrap_or_default().trim_end()
}

/// Prints the names with the highest counts.
pub(super) fn top_names(
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let limit = rows.limit.unwrap_or(TOP_LIMIT);
    let filter = rows.filter(terminal.now)?;
    let mut opened = open(options)?;
    let mut store = opened.reader();
    if limit == 0 || limit > MAX_SORTED {
        // In several passes, like all groupings with more totals than fit in memory.
        let grouping = Grouping { by: By::Names, kind: Kind::Record, filter, first_on: None };
        let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
        let (page, _) =
            query::groups(&mut store, &grouping, GroupSort::Count, limit, &mut |group| {
                let Group { key, records, count, time_first, time_last, is_least, .. } =
                    group.clone();
                let GroupKey::Name(rrname) = key else { return ControlFlow::Continue(()) };
                let sum = NameTotal { records, count, time_first, time_last, is_least };
                answer.item(&Item::Sum(&NameSum { rrname, sum }))
            })
            .map_err(cannot("read the store"))?;
        answer.check()?;
        answer.note(page, true, None);
        return answer.end();
    }
    let (sums, cut) =
        query::top_names(&mut store, &filter, limit).map_err(cannot("read the store"))?;
    let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
    for sum in &sums {
        if answer.item(&Item::Sum(sum)).is_break() {
            break;
        }
    }
    answer.check()?;
    answer.note(Page { shown: sums.len() as u64, cut, ..Page::default() }, true, None);
    answer.end()
}

/// Prints the names that were new on a day.
pub(super) fn new_names(
    day: u32,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let page = query::new_names(&mut store, day, limit, &mut |name, time_first| {
        answer.item(&Item::New { rrname: name.as_str(), time_first })
    })
    .map_err(cannot("read the new names of a day"))?;
    answer.check()?;
    answer.note(page, false, None);
    answer.end()
}
