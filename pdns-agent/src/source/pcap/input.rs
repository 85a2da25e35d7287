//! Input below the decompressor, which records the read errors.
//!
//! Under `pcap`. Decompressors replace read errors with errors of their own. A failing disk must not be
//! mistaken for a corrupt file: retrying a corrupt file is futile, but a failed read may succeed later.

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// Reads a file from its beginning, independently of other readers.
pub(super) struct Disk {
    file: Arc<File>,
    at: u64,
}

impl Disk {
    pub(super) fn new(file: &Arc<File>) -> Self {
        Self { file: Arc::clone(file), at: 0 }
    }
}

impl Read for Disk {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = std::os::unix::fs::FileExt::read_at(&*self.file, out, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

/// The first error of an [`Input`].
#[derive(Clone, Default)]
pub(super) struct ReadFailure(Arc<Mutex<Option<io::Error>>>);

impl ReadFailure {
    /// Takes the error, if there was one.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, error: &io::Error) {
        let same = match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(same);
    }
}

/// Data of a file or a pipe.
pub(super) struct Input<R> {
    reader: R,
    failure: ReadFailure,
}

impl<R> Input<R> {
    pub(super) fn new(reader: R) -> (Self, ReadFailure) {
        let failure = ReadFailure::default();
        (Self { reader, failure: failure.clone() }, failure)
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(out);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failure.note(error);
        }
        result
    }
}
