//! The tagged threat nearest to the addresses of a subject.

use super::SectionReading;
use crate::query::{Near, Subject, TagSet, near};
use crate::tag::TagKind;
use std::cmp::Reverse;
use std::net::IpAddr;

/// Maximum number of addresses of a name to compare; with 500,000 tags they take half a second.
const MAX_COMPARED: usize = 256;

/// The threat that is nearest to one of a subject's addresses.
#[derive(Debug)]
pub struct NearestThreat<'t> {
    /// The address of the subject that the threat is nearest to.
    pub from: IpAddr,
    /// The threat.
    pub near: Near<'t>,
    /// Number of addresses of the subject that were compared.
    pub compared: usize,
    /// Number of addresses of the subject that were found.
    pub addresses: usize,
}

/// Finds the nearest threat.
pub(super) fn nearest<'t>(
    subject: &Subject,
    records: &SectionReading,
    tags: &'t TagSet,
) -> Option<NearestThreat<'t>> {
    let from: Vec<IpAddr> = match subject {
        Subject::Addresses(from, to) if from == to => vec![*from],
        Subject::Name(_) | Subject::AtOrBelow(_) => records.addresses.iter().copied().collect(),
        _ => Vec::new(),
    };
    let addresses = from.len();
    let found = from.into_iter().take(MAX_COMPARED).filter_map(|address| {
        let (nearest, _) = near(tags, address, Some(TagKind::Threat), 1);
        nearest.into_iter().next().map(|near| (address, near))
    });
    let (from, near) =
        found.min_by_key(|(address, near)| (near.square, Reverse(near.shared), *address))?;
    Some(NearestThreat { from, near, compared: addresses.min(MAX_COMPARED), addresses })
}
