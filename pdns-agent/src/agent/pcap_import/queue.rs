//! Files that wait for a thread.
//!
//! Under `pcap_import`. The files of one folder go to one thread, because they may be parts of one capture.
//! Copies of one capture, and states of it at different times, begin with the same packet. They are read one
//! after another: otherwise two threads would have to find out from the store what the other one has written.

use super::folder::{Folder, FolderFile};
use crate::agent::copies::FirstPaths;
use crate::source::Digest;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) path: PathBuf,
    /// The folder that contains it, and its index there.
    pub(super) folder: Arc<Folder>,
    pub(super) place: usize,
    /// True once it was moved behind all others.
    pub(super) postponed: bool,
}

#[derive(Default)]
struct QueueState {
    /// Groups of files, each read one after another by one thread.
    files: VecDeque<Vec<Waiting>>,
    /// First packets of the captures being read, and the files that wait for these captures.
    claimed: HashMap<Digest, Vec<Waiting>>,
}

/// The files that are not yet read.
pub(super) struct Queue {
    state: Mutex<QueueState>,
    /// First path of each capture.
    pub(super) paths: FirstPaths,
}

/// Exclusive right to read the captures that begin with one packet. When it is dropped, the files that waited
/// for it are next.
pub(super) struct Claim<'q> {
    queue: &'q Queue,
    head: Digest,
}

impl Queue {
    pub(super) fn new(folders: Vec<Arc<Folder>>) -> Self {
        let files = |folder: Arc<Folder>| -> Vec<Waiting> {
            let waiting = |(place, part): (usize, &FolderFile)| {
                let (path, folder) = (part.path.clone(), folder.clone());
                Waiting { path, folder, place, postponed: false }
            };
            folder.parts.iter().enumerate().map(waiting).collect()
        };
        let files = folders.into_iter().map(files).collect();
        Self {
            state: Mutex::new(QueueState { files, ..QueueState::default() }),
            paths: FirstPaths::default(),
        }
    }

    /// Removes the next group of files.
    pub(super) fn next(&self) -> Option<Vec<Waiting>> {
        self.state().files.pop_front()
    }

    /// Moves a file behind all others.
    pub(super) fn postpone(&self, file: Waiting) {
        self.state().files.push_back(vec![Waiting { postponed: true, ..file }]);
    }

    /// Claims the captures that begin with `head`. If another thread holds the claim, the file waits for it.
    pub(super) fn claim(&self, head: Digest, file: &Waiting) -> Option<Claim<'_>> {
        let mut state = self.state();
        if let Some(waiting) = state.claimed.get_mut(&head) {
            waiting.push(file.clone());
            return None;
        }
        state.claimed.insert(head, Vec::new());
        Some(Claim { queue: self, head })
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        for file in state.claimed.remove(&self.head).unwrap_or_default().into_iter().rev() {
            state.files.push_front(vec![file]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hasher;
    use std::time::Duration;

    #[test]
    fn files_that_begin_alike_are_handed_out_one_after_the_other() {
        let folder = |name: &str| {
            Folder::new(vec![name.into()], &Hasher::new(&[0; 16]), Duration::from_secs(10))
        };
        let queue = Queue::new(["a", "copy", "b"].map(folder).into());
        let next = || queue.next().map(|mut files| files.remove(0));
        let name = |file: &Waiting| file.path.display().to_string();
        let first = next().unwrap();
        let claim = queue.claim([1; 16], &first).unwrap();
        let copy = next().unwrap();
        assert!(queue.claim([1; 16], &copy).is_none());
        let other = next().unwrap();
        assert!(queue.claim([2; 16], &other).is_some());
        queue.postpone(other);
        drop(claim);
        let copy = next().unwrap();
        assert_eq!(name(&copy), "copy");
        assert!(queue.claim([1; 16], &copy).is_some());
        let last = next().unwrap();
        assert_eq!((name(&last).as_str(), last.postponed), ("b", true));
        assert!(next().is_none());
    }
}
