//! `pdns export`: lists of tagged subjects, and of names by address, for other programs.

mod notes;
mod request;

use super::args::export::Export;
use super::{CliError, Found, Terminal, cannot, open};
use crate::atomic_file::AtomicFile;
use crate::config::Sharing;
use crate::exchange::{self, List, ListOptions, Writer};
use crate::query::{self, ExportItem, ExportSpec, Filter, TagSet};
use crate::store::{Options, Reader};
use notes::notes;
use request::ExportRequest;
use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// File mode of a new list.
const MODE: u32 = 0o644;

/// Result of writing a list.
struct Written {
    lines: u64,
    notes: Vec<String>,
}

/// Writes a list.
pub(super) fn run(
    args: &Export,
    options: &Options,
    sharing: &Sharing,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let asked = ExportRequest::new(args, sharing, terminal.now)?;
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let sensors = store.sensors().map_err(cannot("read the names of the sensors"))?;
    let mut writer = Writer::new(asked.list, ListOptions { sensors, ..asked.options.clone() });
    // `-` is standard output, as in all commands.
    let written = match args.out.as_ref().filter(|path| path.as_os_str() != "-") {
        None => {
            let written = write(&asked, &mut store, &mut writer, terminal.out, &CliError::Output)?;
            terminal.out.flush().map_err(CliError::Output)?;
            written
        }
        Some(directory) if asked.list == List::MispFeed => {
            feed(directory, &asked, &mut store, &mut writer, terminal)?
        }
        Some(path) => list_file(path, &asked, &mut store, &mut writer, terminal)?,
    };
    if let (Some(rules), Some(list)) = (&args.rules, &args.out) {
        let list = list.display().to_string();
        side_file(rules, &mut |out| exchange::suricata_rules(asked.list, &list, out).map(|_| ()))?;
    }
    if let Some(categories) = &args.categories {
        side_file(categories, &mut |out| exchange::iprep_categories(out))?;
    }
    for note in &written.notes {
        terminal.say(format_args!("{note}"));
    }
    Ok(if written.lines > 0 { Found::Something } else { Found::Nothing })
}

/// Writes a list to a file, and says whether anything changed.
fn list_file(
    path: &Path,
    asked: &ExportRequest,
    store: &mut Reader<'_>,
    writer: &mut Writer,
    terminal: &mut Terminal<'_>,
) -> Result<Written, CliError> {
    let shown = path.display().to_string();
    let failed = |cause| CliError::Write { path: shown.clone(), cause };
    let mut file = AtomicFile::create(path, MODE).map_err(failed)?;
    let written = write(asked, store, writer, &mut file, &failed)?;
    let is_new = file.commit().map_err(failed)?;
    let lines = if written.lines == 1 { "line" } else { "lines" };
    let how = if is_new { "has" } else { "is as it was:" };
    terminal.say(format_args!("{shown} {how} {} {lines}", written.lines));
    Ok(written)
}

/// Writes the files of a MISP feed; the manifest last, since readers begin with it.
fn feed(
    directory: &Path,
    asked: &ExportRequest,
    store: &mut Reader<'_>,
    writer: &mut Writer,
    terminal: &mut Terminal<'_>,
) -> Result<Written, CliError> {
    fs::create_dir_all(directory)
        .map_err(|cause| CliError::Write { path: directory.display().to_string(), cause })?;
    let event = directory.join(exchange::misp_file_name(&asked.options.identity));
    let written = list_file(&event, asked, store, writer, terminal)?;
    side_file(&directory.join("hashes.csv"), &mut |out| writer.misp_hashes(out))?;
    side_file(&directory.join("manifest.json"), &mut |out| writer.misp_manifest(out))?;
    Ok(written)
}

/// Writes a file that goes with a list.
fn side_file(
    path: &Path,
    content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    let mut write = || {
        let mut file = AtomicFile::create(path, MODE)?;
        content(&mut file)?;
        file.commit().map(drop)
    };
    write().map_err(|cause| CliError::Write { path: path.display().to_string(), cause })
}

/// Writes the whole list.
fn write(
    asked: &ExportRequest,
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
    let admits = |listed: &ExportItem<'_>| asked.list.admits(listed);
    let wanted = ExportSpec {
        kinds: &asked.kinds,
        adds_trusted: asked.list.has_exceptions(),
        expand: asked.list.expands(),
        split: asked.list.splits(),
        takes_conditional: asked.list.takes_conditional(),
        admits: &admits,
        conditions: &asked.conditions,
        detail: asked.list.detail(),
        limit: asked.limit,
    };
    let mut ended = Ok(());
    let listing = query::export_tags(store, &tags, &wanted, &mut |listed| {
        ended = writer.subject(listed, out);
        if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(cannot("read the store"))?;
    ended.map_err(failed)?;
    writer.end(out).map_err(failed)?;
    let too_long = writer.too_long();
    let lines = listing.shown.saturating_sub(too_long);
    Ok(Written { lines, notes: notes(&listing, too_long) })
}

/// Writes a name for each address.
fn descriptions(
    asked: &ExportRequest,
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
