//! Lines of a file, each with its number, and none longer than the limit.

use super::IntelOptions;
use super::item::Place;
use super::sink::{Sink, Stop};
use std::collections::VecDeque;
use std::io::{BufRead, Read as _};

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) text: String,
}

impl Line {
    pub(super) fn place(&self) -> Place {
        Place::Line(self.number)
    }
}

/// A line of prose, or a part of one that is too long to be read at once.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) number: u64,
    pub(super) text: String,
    /// True if the line ends behind it.
    pub(super) is_end: bool,
}

/// Reader of lines. Those that are too long or not UTF-8 are reported and left out.
pub(super) struct Lines<'r> {
    input: &'r mut dyn BufRead,
    most: usize,
    number: u64,
    returned: VecDeque<Line>,
    /// Start of the next piece of a line.
    carried: Vec<u8>,
    /// True if the last piece was not the end of its line.
    is_within: bool,
}

impl<'r> Lines<'r> {
    pub(super) fn new(input: &'r mut dyn BufRead, options: &IntelOptions) -> Self {
        Self {
            input,
            most: options.max_line,
            number: 0,
            returned: VecDeque::new(),
            carried: Vec::new(),
            is_within: false,
        }
    }

    /// The next line, without its end; `None` at the end of the file.
    pub(super) fn next(&mut self, sink: &mut Sink<'_>) -> Result<Option<Line>, Stop> {
        if let Some(line) = self.returned.pop_front() {
            return Ok(Some(line));
        }
        loop {
            let mut octets = Vec::new();
            let most = u64::try_from(self.most).unwrap_or(u64::MAX).saturating_add(1);
            (&mut *self.input).take(most).read_until(b'\n', &mut octets)?;
            if octets.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if octets.len() > self.most && octets.last() != Some(&b'\n') {
                self.input.skip_until(b'\n')?;
                let reason = format!("the line has more than {} bytes", self.most);
                let start = octets.get(..200).unwrap_or_default();
                sink.problem(Place::Line(number), &String::from_utf8_lossy(start), reason)?;
                continue;
            }
            match String::from_utf8(octets) {
                Ok(text) => {
                    let text =
                        if number == 1 { text.trim_start_matches('\u{feff}') } else { &text };
                    let text = text.trim_end_matches(['\n', '\r']).to_owned();
                    return Ok(Some(Line { number, text }));
                }
                // What is only a comment does not matter.
                Err(error) if error.as_bytes().starts_with(b"#") => {}
                Err(error) => {
                    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    sink.problem(Place::Line(number), &text, "it is not UTF-8")?;
                }
            }
        }
    }

    /// The next line, or a part of one that is longer than the limit: a page without line breaks is one line. It is cut
    /// before a tag if it has one, else behind a blank, else anywhere.
    pub(super) fn next_piece(&mut self, sink: &mut Sink<'_>) -> Result<Option<Piece>, Stop> {
        let mut octets = std::mem::take(&mut self.carried);
        let most = (self.most + 1).saturating_sub(octets.len()).max(1) as u64;
        (&mut *self.input).take(most).read_until(b'\n', &mut octets)?;
        if octets.is_empty() {
            return Ok(None);
        }
        self.number += u64::from(!self.is_within);
        let is_end = octets.last() == Some(&b'\n') || octets.len() <= self.most;
        if !is_end {
            self.carried = octets.split_off(cut(&octets));
        }
        self.is_within = !is_end;
        let number = self.number;
        match String::from_utf8(octets) {
            Ok(text) => {
                let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
                Ok(Some(Piece { number, text: text.to_owned(), is_end }))
            }
            Err(error) => {
                let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
                sink.problem(Place::Line(number), &shown, "it is not UTF-8")?;
                Ok(Some(Piece { number, text: String::new(), is_end }))
            }
        }
    }

    /// Puts lines back before those that follow.
    pub(super) fn put_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.returned.push_front(line);
        }
    }
}

/// The place at which a part of a line ends; never its start.
fn cut(octets: &[u8]) -> usize {
    let last = |wanted: &dyn Fn(u8) -> bool| octets.iter().rposition(|&octet| wanted(octet));
    let tag = last(&|octet| octet == b'<').filter(|&at| at > 0);
    let blank = || last(&|octet| octet.is_ascii_whitespace() || octet == b'>').map(|at| at + 1);
    // The start of a character in UTF-8.
    let letter = || last(&|octet| octet & 0xc0 != 0x80).filter(|&at| at > 0);
    tag.or_else(blank).or_else(letter).unwrap_or(octets.len())
}
