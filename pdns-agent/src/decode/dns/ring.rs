//! Names of open questions, stored and released in the order in which they were asked.

use crate::name::Name;

/// Texts in a ring buffer. Each text is contiguous.
pub(super) struct TextRing {
    // Invariant: the length is a power of two.
    octets: Box<[u8]>,
    /// Position of the next text and of the oldest one, counted over all rounds.
    head: u64,
    tail: u64,
}

/// Position of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextAt {
    at: u64,
    length: u16,
}

impl TextRing {
    /// An empty ring of at least `size` octets. Memory is only touched as it is used.
    pub(super) fn new(size: usize) -> Self {
        Self { octets: vec![0; size.next_power_of_two()].into_boxed_slice(), head: 0, tail: 0 }
    }

    /// Stores a text if there is room.
    pub(super) fn push(&mut self, text: &str) -> Option<TextAt> {
        let length = u16::try_from(text.len()).ok()?;
        let size = self.octets.len() as u64;
        let place = self.place(self.head);
        // If the text does not fit into the remainder of the ring, the remainder stays unused.
        let skip = if place + u64::from(length) > size { size - place } else { 0 };
        let at = self.head + skip;
        if at + u64::from(length) - self.tail > size {
            return None;
        }
        self.range(TextAt { at, length })
            .and_then(|range| self.octets.get_mut(range))?
            .copy_from_slice(text.as_bytes());
        self.head = at + u64::from(length);
        Some(TextAt { at, length })
    }

    /// A text that is still stored.
    pub(super) fn get(&self, text: TextAt) -> &[u8] {
        self.range(text).and_then(|range| self.octets.get(range)).unwrap_or_default()
    }

    /// The name with this text.
    pub(super) fn name(&self, text: TextAt) -> Name<'_> {
        // Only complete names are stored.
        std::str::from_utf8(self.get(text)).map_or(Name::ROOT, Name::trusted)
    }

    /// Releases the oldest text.
    pub(super) fn pop(&mut self, oldest: TextAt) {
        self.tail = oldest.at + u64::from(oldest.length);
    }

    /// Index of a position in the ring, whose length is a power of two.
    fn place(&self, at: u64) -> u64 {
        at & (self.octets.len() as u64 - 1)
    }

    fn range(&self, text: TextAt) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.place(text.at)).ok()?;
        Some(start..start + usize::from(text.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn texts_come_back_over_many_rounds() {
        let mut ring = TextRing::new(40);
        let mut kept: VecDeque<(TextAt, String)> = VecDeque::new();
        for number in 0..1000_usize {
            let text = "x".repeat(number * 7 % 17) + &number.to_string();
            let at = loop {
                if let Some(at) = ring.push(&text) {
                    break at;
                }
                let (oldest, _) = kept.pop_front().unwrap();
                ring.pop(oldest);
            };
            kept.push_back((at, text));
            for (at, text) in &kept {
                assert_eq!(ring.get(*at), text.as_bytes());
            }
        }
    }

    #[test]
    fn what_never_fits_is_refused() {
        let mut ring = TextRing::new(4);
        assert_eq!(ring.push("longer"), None);
        assert!(ring.push("four").is_some());
        assert_eq!(ring.push("x"), None);
    }
}
