//! Names and addresses in prose, such as reports and mails, also in pages: often defanged.
//!
//! Prose has many words that look like names. A name counts only with a listed public suffix; one that could be a file
//! (`setup.sh`) only if it is defanged, part of a URL, or has more labels, and then with low confidence. An address
//! counts only if it is not a version.

use super::html::Page;
use super::item::{Place, SkipReason};
use super::lines::Lines;
use super::sink::{Details, Sink, Stop, shown};
use super::{BINARY, IntelError, IntelFormat, IntelItem, IntelOptions, text_head};
use crate::indicator::ListedIndicator;
use crate::name::suffix;
use crate::query::{WrittenAs, listed_subjects, refang};
use crate::render::escape;
use crate::source::has_binary;
use crate::tag::{TagKind, TagSubject};
use regex::Regex;
use std::collections::HashSet;
use std::io::{BufRead, Read as _};
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// Longest text of a line that is handed out, in characters.
const MAX_CONTEXT: usize = 300;
/// Usual and longest size of the parts in which a line is refanged, in bytes.
const PART: usize = 1 << 10;
const MAX_PART: usize = 16 << 10;
/// Confidence of a name that could be a file.
const LOW: u8 = 15;
/// Top-level domains that are extensions of files as well.
const EXTENSIONS: [&str; 24] = [
    "ai", "app", "bat", "bz", "cab", "cc", "cfg", "com", "doc", "gz", "info", "java", "md", "mov",
    "pl", "ps", "pub", "py", "rs", "sh", "so", "st", "vb", "zip",
];
/// Of them, those that are domains far more often.
const RATHER_DOMAINS: [&str; 6] = ["ai", "app", "cc", "com", "info", "st"];
/// Schemes as programs write them.
const FANGED: [&str; 8] = ["http", "https", "ftp", "ftps", "ws", "wss", "tcp", "udp"];
/// Words before the number of a version.
const VERSION: [&str; 7] = ["version", "ver", "v", "release", "build", "firmware", "section"];
/// Punctuation around words.
const AROUND: [char; 27] = [
    '.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '{', '}', '<', '>', '"', '\'', '`', '*', '|',
    '=', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{ab}', '\u{bb}', '\u{2026}',
];

fn pattern(source: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "a constant, compiled by a test")]
    Regex::new(source).expect("a valid pattern")
}

/// A URL up to a blank or a quote.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i-u:\b(?:https?|hxxps?|hxtps?|htxps?|h\*\*ps?|fxp|ftps?|meows?|wss?|tcp|udp)[ ]?:[ ]?(?:/{1,3}|\\{2,4}))[^\x00-\x20"'<>|`\x7f]+"#,
    )
});

/// The form in which something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A name, an address or a prefix by itself, maybe with a port.
    Subject,
    /// The host of a URL.
    Url,
    /// The domain of a mail address.
    Mail,
}

/// Something found in prose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The indicator; interest for the domain of a mail address.
    pub indicator: ListedIndicator,
    /// Form in which it was written.
    pub form: Form,
    /// True if it was defanged.
    pub is_defanged: bool,
    /// The words in question, refanged, escaped and shortened.
    pub text: String,
    /// Number of the line, from 1.
    pub line: u64,
    /// Text of the line, escaped and shortened around the words.
    pub context: String,
}

/// Finds names and addresses in prose, or in a page; every occurrence is handed out.
///
/// # Errors
/// [`IntelError`] when the input cannot be read, or is not text.
pub fn extract(
    input: &mut dyn BufRead,
    is_html: bool,
    each: &mut dyn FnMut(Extracted) -> ControlFlow<()>,
) -> Result<(), IntelError> {
    let options = IntelOptions::default();
    let ignored = &mut |_: IntelItem| ControlFlow::Continue(());
    let mut sink = Sink::new(&options, IntelFormat::Text, ignored);
    let head = text_head(input)?;
    if has_binary(&head) {
        return Err(IntelError::Binary(BINARY));
    }
    let mut input = head.as_slice().chain(input);
    let result = lines(&mut input, is_html, &mut sink, &mut |found, _| match each(found) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Stop::Caller),
    });
    match result {
        Ok(()) | Err(Stop::Caller) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Reads prose for an import.
pub(super) fn read(
    input: &mut dyn BufRead,
    is_html: bool,
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    lines(input, is_html, sink, &mut |found, sink| match found.form {
        Form::Mail => sink.skip(SkipReason::Mail),
        Form::Url if !sink.options.url_hosts => sink.skip(SkipReason::Url),
        _ => {
            let details = Details {
                confidence: found.indicator.confidence,
                note: found.context,
                is_conditional: found.indicator.is_conditional,
                ..Details::default()
            };
            sink.indicators(vec![(found.indicator.subject, false)], &details)
        }
    })
}

type Receiver<'r> = dyn FnMut(Extracted, &mut Sink<'_>) -> Result<(), Stop> + 'r;

fn lines(
    input: &mut dyn BufRead,
    is_html: bool,
    sink: &mut Sink<'_>,
    each: &mut Receiver<'_>,
) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    let mut page = Page::default();
    let mut text = String::new();
    while let Some(piece) = lines.next_piece(sink)? {
        // The end of a file that begins as text may be something else, such as the archive behind a script.
        if piece.text.contains('\0') {
            sink.problem(Place::Line(piece.number), &piece.text, "it is not text")?;
            text.clear();
            continue;
        }
        match (is_html, text.is_empty()) {
            (true, _) => text.push_str(&page.line(&piece.text)),
            (false, true) => text = piece.text,
            (false, false) => text.push_str(&piece.text),
        }
        let rest = if piece.is_end { String::new() } else { text.split_off(boundary(&text, sink)) };
        line(&text, piece.number, sink, each)?;
        text = rest;
    }
    Ok(())
}

/// The place up to which the text of an unfinished line is read: between two words, so that none is cut.
fn boundary(text: &str, sink: &Sink<'_>) -> usize {
    let is_between = |at: usize| {
        let (head, tail) = text.split_at(at);
        head.ends_with(char::is_alphanumeric)
            && tail.trim_start().starts_with(char::is_alphanumeric)
    };
    let mut blanks = text.rmatch_indices(char::is_whitespace).map(|(at, _)| at);
    let found = blanks.clone().find(|&at| is_between(at)).or_else(|| blanks.next());
    // A word longer than a line is no name.
    let whole = if text.len() > sink.options.max_line { text.len() } else { 0 };
    found.unwrap_or(whole)
}

/// Reads the text of a line.
fn line(text: &str, number: u64, sink: &mut Sink<'_>, each: &mut Receiver<'_>) -> Result<(), Stop> {
    let plain = Refanged::new(text);
    let mut seen = HashSet::new();
    for found in candidates(&plain.text) {
        let Some((subject, form, is_conditional)) = found.read() else { continue };
        let as_written = plain.as_written(text, found.at, found.text.len());
        let is_defanged = found.has_defanged_scheme() || !as_written.contains(found.text);
        let confidence = match found.doubt(&subject, form, is_defanged) {
            Doubt::None => None,
            Doubt::Some => Some(LOW),
            Doubt::TooMuch => continue,
        };
        if !seen.insert((subject.clone(), form == Form::Subject)) {
            continue;
        }
        let extracted = Extracted {
            indicator: ListedIndicator {
                kind: (form == Form::Mail).then_some(TagKind::Interest),
                confidence,
                is_conditional,
                ..ListedIndicator::new(subject)
            },
            form,
            is_defanged,
            text: shown(found.text),
            line: number,
            context: context(&plain.text, found.at),
        };
        each(extracted, sink)?;
    }
    Ok(())
}

/// A line whose defanging is undone, part by part, so that what was written at a place is found without a search
/// through the whole line.
struct Refanged {
    text: String,
    /// Ends of the parts, here and in the line.
    ends: Vec<(usize, usize)>,
}

impl Refanged {
    fn new(line: &str) -> Self {
        let mut plain = Self { text: String::with_capacity(line.len()), ends: Vec::new() };
        let mut rest = line;
        while !rest.is_empty() {
            let (part, tail) = rest.split_at(part_end(rest));
            plain.text.push_str(&refang(part));
            plain.ends.push((plain.text.len(), line.len() - tail.len()));
            rest = tail;
        }
        plain
    }

    /// The part of the line that became the words at a place.
    fn as_written<'t>(&self, line: &'t str, at: usize, length: usize) -> &'t str {
        let first = self.ends.partition_point(|(end, _)| *end <= at);
        let last = self.ends.partition_point(|(end, _)| *end < at + length);
        let start = first.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = start.map_or(0, |(_, end)| *end);
        let end = self.ends.get(last).map_or(line.len(), |(_, end)| *end);
        line.get(start..end).unwrap_or_default()
    }
}

/// The end of the part that a line begins with: where no brackets and blanks that belong together are split, unless the
/// text has no such place for long.
fn part_end(line: &str) -> usize {
    if line.len() <= PART {
        return line.len();
    }
    let start = line.floor_char_boundary(PART / 2);
    let most = line.floor_char_boundary(MAX_PART);
    let (head, tail) = line.split_at(start);
    let mut before = head.chars().next_back();
    let mut letters = tail.get(..most - start).unwrap_or_default().char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let after = letters.peek().map(|(_, letter)| *letter);
        let is_between = letter.is_whitespace()
            && [before, after].iter().all(|one| one.is_some_and(char::is_alphanumeric));
        if is_between || ",;\"'`|=".contains(letter) {
            return start + at;
        }
        before = Some(letter);
    }
    most
}

/// Words that may be a name or an address.
struct Candidate<'t> {
    text: &'t str,
    /// Offset in the line.
    at: usize,
    /// Character before it.
    before: Option<char>,
    /// Character behind it.
    after: Option<char>,
    /// Word before it, without punctuation.
    previous: &'t str,
    is_url: bool,
}

/// The candidates of a line: URLs, then words in what is left.
fn candidates(line: &str) -> Vec<Candidate<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    for url in URL.find_iter(line) {
        words(line, start, url.start(), &mut found);
        let text = url.as_str().trim_end_matches(AROUND);
        let (at, is_url) = (url.start(), true);
        found.push(Candidate { text, at, before: None, after: None, previous: "", is_url });
        start = url.end();
    }
    words(line, start, line.len(), &mut found);
    found
}

/// Adds the words between two places.
fn words<'t>(line: &'t str, start: usize, end: usize, found: &mut Vec<Candidate<'t>>) {
    let is_end = |letter: char| {
        letter.is_whitespace()
            || letter.is_control()
            || ",;\"'`<>|(){}=\u{2018}\u{2019}\u{201c}\u{201d}".contains(letter)
    };
    let (mut from, mut previous) = (start, "");
    for word in line.get(start..end).unwrap_or_default().split_inclusive(is_end) {
        let text = word.trim_end_matches(is_end);
        let mut bare = text.trim_matches(AROUND);
        let mut at = from + text.len() - text.trim_start_matches(AROUND).len();
        from += word.len();
        if !bare.is_empty() && line.get(..at).is_some_and(|head| head.ends_with("*.")) {
            // The star means everything below the name.
            at -= 2;
            bare = line.get(at..at + 2 + bare.len()).unwrap_or(bare);
        }
        if bare.contains(['.', ':']) {
            let before = line.get(..at).and_then(|head| head.chars().next_back());
            let after = line.get(at + bare.len()..).and_then(|tail| tail.chars().next());
            found.push(Candidate { text: bare, at, before, after, previous, is_url: false });
        }
        if !bare.is_empty() {
            previous = bare;
        }
    }
}

/// Doubt that a reading is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    None,
    Some,
    TooMuch,
}

impl Candidate<'_> {
    /// True for a URL whose scheme only people read, such as `hxxp`.
    fn has_defanged_scheme(&self) -> bool {
        let scheme = self.text.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.is_url && !FANGED.contains(&scheme.as_str())
    }

    /// The subject, how it is written, and whether there is a port.
    fn read(&self) -> Option<(TagSubject, Form, bool)> {
        if !self.is_url && self.text.contains('@') {
            let (user, host) = self.text.rsplit_once('@')?;
            if user.is_empty() {
                return None;
            }
            let mut listed = listed_subjects(host, None).ok()?;
            return Some((listed.subjects.pop()?, Form::Mail, false));
        }
        let listed = listed_subjects(self.text, None).ok()?;
        let form = match listed.written_as {
            WrittenAs::Url => Form::Url,
            _ if self.is_url => Form::Url,
            _ => Form::Subject,
        };
        // A range of addresses in prose is more likely something else.
        let [subject] = <[TagSubject; 1]>::try_from(listed.subjects).ok()?;
        let is_conditional = listed.written_as != WrittenAs::Subject || self.is_url;
        Some((subject, form, is_conditional))
    }

    /// Choice of a reading that is meant.
    fn doubt(&self, subject: &TagSubject, form: Form, is_defanged: bool) -> Doubt {
        match subject {
            TagSubject::Net(net) => {
                let is_single = net.prefix_len() == net.max_prefix_len();
                let is_fine = match net.addr() {
                    _ if self.is_url || is_defanged => true,
                    std::net::IpAddr::V4(_) => !self.is_version(),
                    std::net::IpAddr::V6(_) => self.is_plainly_v6(),
                };
                // `1.2.3.4/path` is as good as a URL, but a product has its version there.
                if is_fine && (is_single || net.prefix_len() >= 8) {
                    Doubt::None
                } else {
                    Doubt::TooMuch
                }
            }
            TagSubject::Below(name) | TagSubject::Name(name) => {
                if !suffix::has_listed(name.as_name()) || suffix::is_public(name.as_name()) {
                    return Doubt::TooMuch;
                }
                let labels = name.as_name().labels().count();
                let top = name.as_name().labels().next_back().unwrap_or_default().to_owned();
                if self.is_url || is_defanged || form == Form::Mail {
                    return Doubt::None;
                }
                // A path without a scheme: `lib/foo.rs`, `C:\x\setup.sh`.
                if matches!(self.before, Some('/' | '\\' | '~' | '$' | '%' | '@'))
                    || self.text.starts_with(['/', '\\', '.'])
                {
                    return Doubt::TooMuch;
                }
                let is_file =
                    EXTENSIONS.contains(&top.as_str()) && !RATHER_DOMAINS.contains(&top.as_str());
                match (is_file, labels) {
                    (true, ..3) => Doubt::TooMuch,
                    (true, _) => Doubt::Some,
                    // `foo.com()` and `System.Net.` are code.
                    (false, _) if self.after == Some('(') => Doubt::TooMuch,
                    (false, _) => Doubt::None,
                }
            }
        }
    }

    /// True for numbers that are part of a version, a section or a longer number.
    fn is_version(&self) -> bool {
        let is_joined = |letter: Option<char>| {
            letter.is_some_and(|letter| letter.is_alphanumeric() || "_/-\\".contains(letter))
        };
        // `Name/1.2.3.4`: the word began before the address.
        let head = self.text.split(|letter: char| letter.is_ascii_digit()).next();
        let previous = self.previous.to_ascii_lowercase();
        VERSION.contains(&previous.as_str())
            || is_joined(self.before)
            || head.is_some_and(|head| head.contains(['/', '\\']))
    }

    /// True for an IPv6 address that is not a time, a label of code or a MAC address.
    fn is_plainly_v6(&self) -> bool {
        let text = self.text.split('/').next().unwrap_or_default();
        let first = text.split(':').next().unwrap_or_default();
        text.contains(|letter: char| letter.is_ascii_digit())
            && (text.matches(':').count() >= 3 || first.len() >= 3)
    }
}

/// The text of a line around a place: escaped, and shortened at both ends.
fn context(line: &str, at: usize) -> String {
    // Backwards from the place: the line may be long, and have many.
    let head = line.get(..at).unwrap_or_default();
    let half = MAX_CONTEXT / 2;
    let near = head.len().checked_sub(half).and_then(|from| head.get(from..));
    let before = match near.filter(|near| near.is_ascii()) {
        Some(near) => near.len(),
        None => head.chars().rev().take(half).map(char::len_utf8).sum(),
    };
    let from = head.len() - before;
    let shown = line.get(from..).unwrap_or_default();
    let mut rest = shown.chars();
    rest.nth(MAX_CONTEXT - 1);
    let end = shown.len() - rest.as_str().len();
    escape(shown.get(..end).unwrap_or_default().trim()).into_owned()
}

#[cfg(test)]
mod tests;
