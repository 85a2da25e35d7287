//! The input of `pdns intel`: a file, standard input, or a document that was fetched; PDF documents as text.

use crate::cli::CliError;
use crate::source::open_unpacked;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// First bytes of a PDF document.
const PDF: &[u8] = b"%PDF-";

/// Opens a file, unpacked, and a PDF as text.
pub(super) fn open(path: &str) -> Result<Box<dyn BufRead>, CliError> {
    let failed = |cause| CliError::File { path: path.to_owned(), cause };
    let mut reader = BufReader::new(open_unpacked(Path::new(path)).map_err(failed)?);
    if !reader.fill_buf().map_err(failed)?.starts_with(PDF) {
        return Ok(Box::new(reader));
    }
    let mut pdf = tempfile::tempfile().map_err(failed)?;
    io::copy(&mut reader, &mut pdf).map_err(failed)?;
    pdf.rewind().map_err(failed)?;
    Ok(Box::new(text_of_pdf(pdf).map_err(failed)?))
}

/// Converts a PDF document to text with `pdftotext`.
pub(super) fn text_of_pdf(pdf: File) -> io::Result<BufReader<File>> {
    let mut text = tempfile::tempfile()?;
    let ended = Command::new("pdftotext")
        .args(["-q", "-layout", "-", "-"])
        .stdin(pdf)
        .stdout(text.try_clone()?)
        .stderr(Stdio::null())
        .status()
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                cause.kind(),
                "it is a PDF, and pdftotext is not installed (Debian: poppler-utils)",
            ),
            _ => cause,
        })?;
    if !ended.success() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "pdftotext cannot read it"));
    }
    text.rewind()?;
    Ok(BufReader::new(text))
}

/// Passes bytes on and keeps the digest of all of them.
pub(super) struct Digesting<'r> {
    inner: &'r mut dyn BufRead,
    digest: &'r mut ring::digest::Context,
}

impl<'r> Digesting<'r> {
    pub(super) fn new(inner: &'r mut dyn BufRead, digest: &'r mut ring::digest::Context) -> Self {
        Self { inner, digest }
    }
}

impl Read for Digesting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl BufRead for Digesting<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(buffer) = self.inner.fill_buf() {
            self.digest.update(buffer.get(..amount).unwrap_or_default());
        }
        self.inner.consume(amount);
    }
}
