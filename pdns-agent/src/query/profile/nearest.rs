//! The tagged threat nearest to the addresses of a subject.

use super::SectionReading;
use crate::query::{Near, Subject, TagSet, near};
use crate::tag::{Tag, TagKind};
use std::cmp::Reverse;
use std::net::IpAddr;

/// Maximum number of addresses of a name to compare; with 500,000 tags they take half a second.
const MAX_COMPARED: usize = 256;

/// The threat that is nearest to one of a subject's addresses.
#[derive(Clone, Debug)]
pub struct NearestThreat {
    /// The address of the subject that the threat is nearest to.
    pub from: IpAddr,
    /// The threat.
    pub tag: Tag,
    /// Its address, or the nearest address of its prefix.
    pub address: IpAddr,
    /// The square of the distance.
    pub square: u64,
    /// Number of leading bits that the two addresses share.
    pub shared: u8,
    /// Number of addresses of the subject that were compared.
    pub compared: usize,
    /// Number of addresses of the subject that were found.
    pub addresses: usize,
}

impl NearestThreat {
    /// Returns the threat with its distance.
    #[must_use]
    pub fn near(&self) -> Near<'_> {
        let &Self { ref tag, address, square, shared, .. } = self;
        Near { tag, address, square, shared }
    }
}

/// Finds the nearest threat.
pub(super) fn nearest(
    subject: &Subject,
    records: &SectionReading,
    tags: &TagSet,
) -> Option<NearestThreat> {
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
    Some(NearestThreat {
        from,
        tag: near.tag.clone(),
        address: near.address,
        square: near.square,
        shared: near.shared,
        compared: addresses.min(MAX_COMPARED),
        addresses,
    })
}
