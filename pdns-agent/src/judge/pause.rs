//! Patience with what does not work.

use std::time::Duration;

/// Longest pause after an error.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Growing pauses between attempts.
#[derive(Default)]
pub(super) struct Pause {
    count: u32,
}

impl Pause {
    pub(super) fn next(&mut self) -> Duration {
        let time = Duration::from_millis(100) * 2_u32.pow(self.count.min(8));
        self.count = self.count.saturating_add(1);
        time.min(LONGEST_PAUSE)
    }

    pub(super) fn is_first(&self) -> bool {
        self.count == 3
    }

    /// Ends a trouble; returns true if it was told.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.count) >= 3
    }
}
