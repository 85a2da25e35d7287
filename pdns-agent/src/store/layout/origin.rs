//! Points of two successive editions of a partition that correspond, for those who remember how far they have read.
//!
//! A new edition has the names and rows of the one before in the same order, without what was forgotten. Each pair is a
//! position in the name log, or a number of a row, in the edition before, and the place in this one at which the first
//! that is left from there on begins. The last pairs are of neighbours, so that who had read nearly everything finds the
//! exact place; farther back one in [`STEP`] is kept, and a reader between two of them reads some again.
//!
//! Octets: the number of the edition before (u32), the number of pairs of names (u32), those pairs, and the pairs of rows; each number is a u32, big-endian.

/// Distance of the pairs that are kept of all but the last.
const STEP: usize = 512;
/// Number of neighbours that are kept at the end.
const LAST: usize = 128;

/// Pairs of places in an edition and in the next one, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Number of the edition before.
    edition: u32,
    names: Vec<(u32, u32)>,
    rows: Vec<(u32, u32)>,
}

impl Origin {
    /// Keeps some of all pairs of places; both have to end with the pair of the ends.
    pub(crate) fn of(edition: u32, names: &[(u32, u32)], rows: &[(u32, u32)]) -> Self {
        Self { edition, names: some_of(names), rows: some_of(rows) }
    }

    /// Returns the number of the edition before.
    pub(crate) fn edition(&self) -> u32 {
        self.edition
    }

    /// Returns the position in the name log that corresponds to one in the edition before.
    pub(crate) fn name(&self, before: u32) -> u32 {
        place(&self.names, before)
    }

    /// Returns the row that corresponds to one in the edition before.
    pub(crate) fn row(&self, before: u32) -> u32 {
        place(&self.rows, before)
    }

    /// Decodes the octets; `None` if they are no pairs in order.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let (words, []) = octets.as_chunks::<4>() else { return None };
        let ([edition, count], words) = words.split_first_chunk::<2>()?;
        let edition = u32::from_be_bytes(*edition);
        let (pairs, []) = words.as_chunks::<2>() else { return None };
        let pair = |&[from, to]: &[[u8; 4]; 2]| (u32::from_be_bytes(from), u32::from_be_bytes(to));
        let pairs: Vec<(u32, u32)> = pairs.iter().map(pair).collect();
        let (names, rows) = pairs.split_at_checked(u32::from_be_bytes(*count) as usize)?;
        let is_sorted = |pairs: &[(u32, u32)]| {
            pairs.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1)
        };
        (is_sorted(names) && is_sorted(rows)).then(|| Self {
            edition,
            names: names.to_vec(),
            rows: rows.to_vec(),
        })
    }

    /// Encodes the pairs.
    pub(crate) fn to_octets(&self) -> Vec<u8> {
        let count = u32::try_from(self.names.len()).unwrap_or(0);
        let pairs = self.names.iter().chain(&self.rows).flat_map(|&(from, to)| [from, to]);
        [self.edition, count].into_iter().chain(pairs).flat_map(u32::to_be_bytes).collect()
    }
}

fn some_of(pairs: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let exact = pairs.len().saturating_sub(LAST);
    let kept = pairs.iter().enumerate().filter(|(at, _)| *at >= exact || at % STEP == 0);
    kept.map(|(_, pair)| *pair).collect()
}

fn place(pairs: &[(u32, u32)], before: u32) -> u32 {
    let at = pairs.partition_point(|&(from, _)| from <= before);
    at.checked_sub(1).and_then(|at| pairs.get(at)).map_or(0, |&(_, to)| to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_near_the_end_are_exact_and_others_earlier() {
        // Of rows 0 to 9,999, every third is left.
        let left: Vec<(u32, u32)> = (0..10_000).step_by(3).zip(0..).collect();
        let mut pairs = left.clone();
        pairs.push((10_000, 3_334));
        let origin = Origin::of(7, &[(0, 0)], &pairs);
        assert_eq!(Origin::read(&origin.to_octets()), Some(origin.clone()));
        assert_eq!(origin.edition(), 7);
        for row in 0..=10_000 {
            let exact = u32::try_from(left.partition_point(|&(from, _)| from < row)).unwrap();
            let found = origin.row(row);
            assert!(found <= exact && exact - found <= 513, "{row}: {found} for {exact}");
            if row > 9_700 {
                assert!(exact - found <= 1, "{row}: {found} for {exact}");
            }
        }
        assert_eq!((origin.row(10_000), origin.row(20_000)), (3_334, 3_334));
    }

    #[test]
    fn octets_that_are_no_pairs_are_refused() {
        assert_eq!(Origin::read(&[]), None);
        assert_eq!(Origin::read(&[0, 0, 0, 1]), None);
        assert_eq!(Origin::read(&[0, 0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(Origin::read(&[0, 0, 0, 0, 0, 0, 0, 0, 1]), None);
        let unsorted = Origin { edition: 0, names: vec![(5, 1), (4, 2)], rows: Vec::new() };
        assert_eq!(Origin::read(&unsorted.to_octets()), None);
    }
}
