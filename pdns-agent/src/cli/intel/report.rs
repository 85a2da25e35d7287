//! Tells others what was seen here: STIX sightings in a file, sightings of a MISP server.

use super::importer::Reading;
use super::seen::SeenHere;
use crate::atomic_file::AtomicFile;
use crate::cli::args::intel::ImportArgs;
use crate::cli::{CliError, Terminal};
use crate::config::Sharing;
use crate::exchange::stix::{SightingBundle, SightingOf};
use crate::intel_feeds::{Feed, FeedClient};
use crate::render::counted;
use crate::tag::TagKind;
use std::io;
use std::path::Path;

/// File mode of a new file with sightings.
const MODE: u32 = 0o644;

/// Writes and posts the sightings that the arguments ask for.
pub(super) fn sightings(
    args: &ImportArgs,
    reading: &Reading,
    seen: &SeenHere,
    sharing: &Sharing,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    if let Some(path) = &args.sightings {
        let shown = path.display().to_string();
        stix(path, reading, seen, sharing)
            .map_err(|cause| CliError::Write { path: shown.clone(), cause })?;
        let count = counted(seen.sightings().len() as u64, "sighting", "sightings");
        terminal.say(format_args!("{shown} has {count}"));
    }
    if let Some(url) = &args.misp {
        misp(url, args.allow_private, seen, terminal)?;
    }
    Ok(())
}

fn stix(path: &Path, reading: &Reading, seen: &SeenHere, sharing: &Sharing) -> io::Result<()> {
    let mut file = AtomicFile::create(path, MODE)?;
    let tlp = reading.tlp.map_or(sharing.default_tlp, |tlp| tlp.max(sharing.default_tlp));
    let mut bundle = SightingBundle::new(&sharing.identity, tlp);
    bundle.begin(&mut file)?;
    for (subject, sighting) in seen.sightings() {
        let known = reading.ids.as_ref().and_then(|ids| ids.get(subject));
        let (kind, id) = known.map_or((TagKind::Threat, None), |(kind, id)| (*kind, id.as_deref()));
        bundle.sighting(&SightingOf { id, subject, kind }, sighting, &mut file)?;
    }
    bundle.end(&mut file)?;
    file.commit().map(drop)
}

fn misp(
    url: &str,
    allow_private: bool,
    seen: &SeenHere,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    let feed = Feed::of_misp(url, allow_private);
    let failed = |cause| CliError::Feed { feed: "the MISP server".to_owned(), cause };
    let client = FeedClient::new(&feed, terminal.env).map_err(failed)?;
    let (mut told, mut unknown) = (0_u64, 0_u64);
    for (subject, sighting) in seen.sightings() {
        let values = [subject.to_string().trim_start_matches('.').to_owned()];
        let is_known = client.post_sighting(&values, sighting.time_last, "pdns").map_err(failed)?;
        if is_known {
            told += 1;
        } else {
            unknown += 1;
        }
    }
    let told = counted(told, "sighting", "sightings");
    terminal.say(format_args!("the MISP server took {told}, {unknown} it does not know"));
    Ok(())
}
