//! The order of tags: by subject and kind, as [`Tag`]s compare.
//!
//! Used by `store/tags.rs`. Comparing two tags means reading both, and moving one moves a hundred octets. So the sort
//! is done on one number for each, which tells nearly all of them apart.

use crate::tag::{Tag, TagSubject};
use ipnet::IpNet;

/// Sorts tags.
pub(in crate::store) fn sorted(tags: Vec<Tag>) -> Vec<Tag> {
    let mut order: Vec<(u128, usize)> = tags.iter().map(rank).zip(0..).collect();
    order.sort_unstable_by(|(rank, at), (other_rank, other)| {
        rank.cmp(other_rank).then_with(|| tags.get(*at).cmp(&tags.get(*other)))
    });
    let mut tags: Vec<Option<Tag>> = tags.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(tags.len());
    sorted.extend(order.into_iter().filter_map(|(_, at)| tags.get_mut(at)?.take()));
    sorted
}

/// Computes a number that is lower for a lower tag; equal numbers say nothing. The type of the subject is the highest
/// octet, followed by the beginning of the rest.
fn rank(tag: &Tag) -> u128 {
    let (sort, rest) = match &tag.subject {
        TagSubject::Name(name) => (0, head(name.as_str())),
        TagSubject::Below(name) => (1, head(name.as_str())),
        TagSubject::Net(IpNet::V4(net)) => {
            let address = u128::from(net.addr().to_bits());
            (2, address << 16 | u128::from(net.prefix_len()) << 8 | tag.kind as u128)
        }
        TagSubject::Net(IpNet::V6(net)) => (3, net.addr().to_bits() >> 8),
    };
    sort << 120 | rest
}

/// Returns the first fifteen octets of a text as a number.
fn head(text: &str) -> u128 {
    let mut octets = [0; 16];
    for (octet, place) in text.bytes().zip(octets.iter_mut().skip(1)) {
        *place = octet;
    }
    u128::from_be_bytes(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;
    use crate::tag::TagKind;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn the_order_is_that_of_tags() {
        let mut random = fastrand::Rng::with_seed(3);
        let tags: Vec<Tag> = (0..5_000)
            .map(|_| {
                let labels = ["a", "a-very-long-label", "a-very-long-label2", "b", "\\000"];
                let labels: Vec<&str> =
                    (0..3).map(|_| random.choice(labels).unwrap_or_default()).collect();
                let name = NameBuf::parse(&labels.join(".")).unwrap();
                let (few, length) = (random.u32(0..4) << 30 | random.u32(0..3), random.u8(0..=32));
                let subject = match random.u8(0..4) {
                    0 => TagSubject::Name(name),
                    1 => TagSubject::Below(name),
                    2 => TagSubject::Net(IpNet::new(Ipv4Addr::from(few).into(), length).unwrap()),
                    _ => {
                        let address = Ipv6Addr::from(u128::from(few) << 96 | u128::from(few));
                        TagSubject::Net(IpNet::new(address.into(), 96 + length).unwrap())
                    }
                };
                let mut tag = Tag::new(random.choice(TagKind::ALL).unwrap(), subject);
                tag.time = random.u32(..);
                tag
            })
            .collect();
        let mut want = tags.clone();
        want.sort();
        assert_eq!(sorted(tags), want);
    }
}
