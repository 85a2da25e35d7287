//! `pdns export`: lists of tagged subjects, and of names by address, for other programs.

use super::args::export::{Export, FormatArg};
use super::query_args::UsageError;
use super::{CliError, Found, Terminal, cannot, open};
use crate::atomic_file::AtomicFile;
use crate::exchange::{List, Writer};
use crate::query::{
    self, Exception, ExportSpec, ExportSummary, Filter, MAX_BELOW, MAX_DESCRIBED, TagFilter, TagSet,
};
use crate::render::counted;
use crate::store::{Options, Reader};
use crate::tag::TagKind;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

/// File mode of a new list.
const MODE: u32 = 0o644;

/// Parsed arguments.
struct ExportQuery {
    list: List,
    kinds: Vec<TagKind>,
    limit: usize,
    /// For descriptions only.
    filter: Filter,
}

/// Result of writing a list.
struct Written {
    lines: u64,
    notes: Vec<String>,
}

/// Writes a list.
pub(super) fn run(
    args: &Export,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let asked = asked(args, terminal.now)?;
    let mut writer = Writer::new(asked.list, args.page.clone());
    let mut opened = open(options)?;
    let mut store = opened.reader();
    // `-` is standard output, as in all commands.
    let written = match args.out.as_ref().filter(|path| path.as_os_str() != "-") {
        None => {
            let written = write(&asked, &mut store, &mut writer, terminal.out, &CliError::Output)?;
            terminal.out.flush().map_err(CliError::Output)?;
            written
        }
        Some(path) => {
            let shown = path.display().to_string();
            let failed = |cause| CliError::Write { path: shown.clone(), cause };
            let mut file = AtomicFile::create(path, MODE).map_err(failed)?;
            let written = write(&asked, &mut store, &mut writer, &mut file, &failed)?;
            let is_new = file.commit().map_err(failed)?;
            let lines = if written.lines == 1 { "line" } else { "lines" };
            let how = if is_new { "has" } else { "is as it was:" };
            terminal.say(format_args!("{shown} {how} {} {lines}", written.lines));
            written
        }
    };
    for note in &written.notes {
        terminal.say(format_args!("{note}"));
    }
    Ok(if written.lines > 0 { Found::Something } else { Found::Nothing })
}

/// Parses the arguments.
fn asked(args: &Export, now: u32) -> Result<ExportQuery, UsageError> {
    let list = match args.format {
        Some(FormatArg::List(list)) => list,
        Some(FormatArg::Output(_)) | None => return Err(UsageError::NoList),
    };
    let command = list.info().command;
    let mut kinds = Vec::new();
    for filter in &args.tag {
        match filter {
            TagFilter::Kind(kind) => kinds.push(*kind),
            TagFilter::Any => kinds.extend(TagKind::ALL),
            TagFilter::None => return Err(UsageError::NoKind),
        }
    }
    if list != List::IpDescriptions {
        if let Some(flag) = args.times.first_given() {
            return Err(UsageError::Flag { command, flag });
        }
        if kinds.is_empty() {
            return Err(UsageError::NoKind);
        }
    }
    if args.page.is_some() && list != List::ZeekIntel {
        return Err(UsageError::Flag { command, flag: "--url" });
    }
    let limit = args.limit.unwrap_or(list.info().most);
    if list == List::IpDescriptions && !(1..=MAX_DESCRIBED).contains(&limit) {
        return Err(UsageError::Descriptions);
    }
    let filter = Filter { fence: args.times.fence(now)?, ..Filter::default() };
    Ok(ExportQuery { list, kinds, limit, filter })
}

/// Writes the whole list.
fn write(
    asked: &ExportQuery,
    store: &mut Reader<'_>,
    writer: &mut Writer,
    out: &mut dyn Write,
    failed: &dyn Fn(io::Error) -> CliError,
) -> Result<Written, CliError> {
    let tags = Arc::new(TagSet::load(store).map_err(cannot("read the tags"))?);
    writer.begin(out).map_err(failed)?;
    if asked.list == List::IpDescriptions {
        return descriptions(asked, store, &tags, writer, out, failed);
    }
    let admits = |subject: &_| asked.list.admits(subject);
    let wanted = ExportSpec {
        kinds: &asked.kinds,
        expand: asked.list.expands(),
        admits: &admits,
        limit: asked.limit,
    };
    let mut ended = Ok(());
    let listing = query::export_tags(store, &tags, &wanted, &mut |listed| {
        ended = writer.subject(listed, out);
        if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(cannot("read the store"))?;
    ended.map_err(failed)?;
    Ok(Written { lines: listing.shown, notes: notes(&listing) })
}

/// Returns notes on facts that the list itself does not show.
fn notes(listing: &ExportSummary) -> Vec<String> {
    let mut notes = Vec::new();
    if listing.left_out > 0 {
        let have = if listing.left_out == 1 { "subject has" } else { "subjects have" };
        notes.push(format!("{} {have} no form in this list", listing.left_out));
    }
    if listing.cut {
        notes.push(format!(
            "cut off after {} lines; --limit N or --limit 0 lists more",
            listing.shown
        ));
    }
    if let Some((subjects, one)) = &listing.exceptions {
        let Exception { listed, within, kind } = one;
        let more = match subjects - 1 {
            0 => String::new(),
            more => format!("; {} likewise", counted(more, "other subject", "other subjects")),
        };
        notes.push(format!(
            "{listed} is listed whole, although {within} within it is tagged {kind}{more}"
        ));
    }
    if let Some((domains, one)) = &listing.too_many {
        let domains = match domains {
            1 => format!("below {one} there are more names than are listed"),
            more => {
                format!("below {more} domains such as {one} there are more names than are listed")
            }
        };
        notes.push(format!("{domains}; no more than {MAX_BELOW} of each can be"));
    }
    notes
}

fn descriptions(
    asked: &ExportQuery,
    store: &mut Reader<'_>,
    tags: &Arc<TagSet>,
    writer: &Writer,
    out: &mut dyn Write,
    failed: &dyn Fn(io::Error) -> CliError,
) -> Result<Written, CliError> {
    let filter = Filter { tags: Arc::clone(tags), ..asked.filter.clone() };
    let (described, cut) = query::described(store, &filter, &asked.kinds, asked.limit)
        .map_err(cannot("read the store"))?;
    let mut written = Written { lines: 0, notes: Vec::new() };
    for described in &described {
        written.lines += u64::from(writer.described(described, tags, out).map_err(failed)?);
    }
    if cut {
        written.notes.push(format!(
            "there are more addresses; these {} are tagged, or were counted most",
            described.len()
        ));
    }
    Ok(written)
}
