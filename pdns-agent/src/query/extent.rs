//! How much of what there is was read for an answer.
//!
//! Part of `query`. Where an answer stands on a part, every number of it carries this along to what is shown, so that nothing
//! says "first", "latest" or "in all" of a part.

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Everything there is.
    #[default]
    Whole,
    /// Only so many, and there are more.
    First(u64),
}

impl Extent {
    /// The extent of `read` things, where `more` says whether others were left unread.
    #[must_use]
    pub fn new(read: usize, more: bool) -> Self {
        if more { Self::First(read as u64) } else { Self::Whole }
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::Whole
    }

    /// How many were read, where there are more.
    #[must_use]
    pub fn first(self) -> Option<u64> {
        match self {
            Self::Whole => None,
            Self::First(read) => Some(read),
        }
    }

    /// The extent of an answer that stands on two readings.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.is_whole() { other } else { self }
    }
}
