//! The files that wait for a thread.
//!
//! Under `captured`. Copies of one capture, and states of it at several times, begin with the same packet. They are
//! read one after the other: two threads would have to find out from the store what the other one has written.

use crate::source::Digest;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) path: PathBuf,
    /// True once it was put behind all others.
    pub(super) postponed: bool,
}

#[derive(Default)]
struct State {
    files: VecDeque<Waiting>,
    /// By what they begin with: captures that are being read, and the files that wait for that.
    claimed: HashMap<Digest, Vec<Waiting>>,
}

/// The files that are not yet read.
pub(super) struct Queue(Mutex<State>);

/// The right to read captures that begin with one packet. When it is dropped, those that waited for it are next.
pub(super) struct Claim<'q> {
    queue: &'q Queue,
    head: Digest,
}

impl Queue {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let files = files.into_iter().map(|path| Waiting { path, postponed: false }).collect();
        Self(Mutex::new(State { files, ..State::default() }))
    }

    /// Takes the next file.
    pub(super) fn next(&self) -> Option<Waiting> {
        self.state().files.pop_front()
    }

    /// Puts a file behind all others.
    pub(super) fn postpone(&self, file: Waiting) {
        self.state().files.push_back(Waiting { postponed: true, ..file });
    }

    /// Claims the captures that begin with `head`. If another thread has them, the file waits for it.
    pub(super) fn claim(&self, head: Digest, file: &Waiting) -> Option<Claim<'_>> {
        let mut state = self.state();
        if let Some(waiting) = state.claimed.get_mut(&head) {
            waiting.push(file.clone());
            return None;
        }
        state.claimed.insert(head, Vec::new());
        Some(Claim { queue: self, head })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        for file in state.claimed.remove(&self.head).unwrap_or_default().into_iter().rev() {
            state.files.push_front(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_begin_alike_are_handed_out_one_after_the_other() {
        let queue = Queue::new(["a", "copy", "b"].map(PathBuf::from).into());
        let name = |file: &Waiting| file.path.display().to_string();
        let first = queue.next().unwrap();
        let claim = queue.claim([1; 16], &first).unwrap();
        let copy = queue.next().unwrap();
        assert!(queue.claim([1; 16], &copy).is_none());
        let other = queue.next().unwrap();
        assert!(queue.claim([2; 16], &other).is_some());
        queue.postpone(other);
        drop(claim);
        let copy = queue.next().unwrap();
        assert_eq!(name(&copy), "copy");
        assert!(queue.claim([1; 16], &copy).is_some());
        let last = queue.next().unwrap();
        assert_eq!((name(&last).as_str(), last.postponed), ("b", true));
        assert!(queue.next().is_none());
    }
}
