//! The part of the available data that was read for an answer.
//!
//! Part of `query`. If an answer is based on a part, every number of it carries this extent to the output, so
//! that nothing claims "first", "latest" or "in all" for a part.

/// The part of the available data that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    #[default]
    Whole,
    /// Only this many items; more exist.
    First(u64),
}

impl Extent {
    /// Returns the extent of `read` items; `more` is true if others were left unread.
    #[must_use]
    pub fn new(read: usize, more: bool) -> Self {
        if more { Self::First(read as u64) } else { Self::Whole }
    }

    /// Returns true if everything was read.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::Whole
    }

    /// Returns the number of items read if more exist.
    #[must_use]
    pub fn first(self) -> Option<u64> {
        match self {
            Self::Whole => None,
            Self::First(read) => Some(read),
        }
    }

    /// Combines the extents of two reads that an answer is based on.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.is_whole() { other } else { self }
    }
}
