//! The form that sets and clears tags.
//!
//! Part of the page. Only `POST /tag` changes anything. A tag records its author, time and reason, and the
//! store's history keeps these, also for cleared tags.

use super::parse_value::path_of;
use crate::query::{Scope, Subject, tag_subject};
use crate::render::percent;
use crate::serve::http_error::HttpError;
use crate::serve::part;
use crate::tag::{Tag, TagChange, TagKind, TagOutcome, TagSubject};

/// Source of tags that are set on the page.
const SOURCE: &str = "page";

/// A requested change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) token: String,
    pub(super) change: TagChange,
    /// The page to go back to.
    back: String,
}

impl Wish {
    /// Parses a form's body, sent by `author` at `now`.
    ///
    /// # Errors
    /// 400 for a body that none of our forms sends.
    pub(super) fn read(body: &[u8], author: &str, now: u32) -> Result<Self, HttpError> {
        let body = std::str::from_utf8(body).map_err(|_| HttpError::bad("the form is not text"))?;
        // A line break in a note becomes a blank.
        let mut body = body.to_owned();
        for line_break in ["%0D%0A", "%0d%0a", "%0A", "%0a", "%0D", "%0d", "%09"] {
            body = body.replace(line_break, "+");
        }
        let fields = part::parameters(Some(&body))?;
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.trim()).unwrap_or_default()
        };
        let scope = (field("below") == "yes").then_some(Scope::Below);
        let typed = field("subject");
        let subject = tag_subject(typed, scope)
            .map_err(|error| HttpError::bad(format!("cannot tell what {typed:?} is: {error}")))?;
        let kind =
            |text: &str| text.parse::<TagKind>().map_err(|error| HttpError::bad(error.to_string()));
        let (kind, is_set) = match (field("set"), field("clear")) {
            (set, "") => (kind(set)?, true),
            ("", clear) => (kind(clear)?, false),
            _ => return Err(HttpError::bad("give either set or clear")),
        };
        let tag = Tag {
            subject,
            kind,
            note: field("note").to_owned(),
            source: SOURCE.to_owned(),
            author: author.to_owned(),
            time: now,
            listing: None,
        };
        tag.check().map_err(|error| HttpError::bad(error.to_string()))?;
        let back = path_of(&back(&tag.subject, scope.is_some(), typed));
        let change = if is_set { TagChange::Set(tag) } else { TagChange::Clear(tag) };
        Ok(Self { token: field("token").to_owned(), change, back })
    }

    /// Returns the page to redirect to after the change.
    pub(super) fn done(&self, outcome: TagOutcome) -> String {
        let (TagChange::Set(tag) | TagChange::Clear(tag)) = &self.change;
        let word = match outcome {
            TagOutcome::Same => "same",
            TagOutcome::New => "set",
            TagOutcome::Changed => "changed",
            TagOutcome::Displaced => "displaced",
            TagOutcome::Cleared => "cleared",
        };
        let joint = if self.back.contains('?') { '&' } else { '?' };
        format!("{}{joint}done={word}&kind={}", self.back, percent(tag.kind.name()))
    }
}

/// Returns the subject of the page on which a tag was set. The page of a name can also set tags on everything
/// below it.
fn back(subject: &TagSubject, is_below: bool, typed: &str) -> Subject {
    match subject {
        TagSubject::Name(name) => Subject::Name(name.clone()),
        TagSubject::Below(apex) if is_below => Subject::Name(apex.clone()),
        TagSubject::Below(apex) if typed.starts_with('.') => Subject::AtOrBelow(apex.clone()),
        TagSubject::Below(apex) => Subject::Below(apex.clone()),
        TagSubject::Net(net) => Subject::from(*net),
    }
}

/// Returns a message about the change, from the words that [`Wish::done`] put into the page's URL.
pub(super) fn told(word: &str, kind: &str) -> Option<String> {
    let kind = kind.parse::<TagKind>().ok()?;
    Some(match word {
        "set" => format!("The tag {kind} is set."),
        "changed" => format!("The tag {kind} was there; its note is changed."),
        "displaced" => {
            format!("The tag {kind} is set; {} ended with it.", kind.opposite()?)
        }
        "cleared" => format!("The tag {kind} is cleared."),
        "same" => format!("Nothing was to be done: the tag {kind} was so before."),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<(String, String, String), HttpError> {
        let wish = Wish::read(body.as_bytes(), "alice", 5)?;
        let (TagChange::Set(tag) | TagChange::Clear(tag)) = &wish.change;
        assert_eq!((tag.author.as_str(), tag.time), ("alice", 5));
        let act = if matches!(wish.change, TagChange::Set(_)) { "set" } else { "clear" };
        let done = wish.done(TagOutcome::New);
        Ok((format!("{act} {} {}", tag.kind, tag.subject), tag.note.clone(), done))
    }

    #[test]
    fn forms_are_read() {
        let check = |body: &str, what: &str, note: &str, done: &str| {
            assert_eq!(read(body), Ok((what.to_owned(), note.to_owned(), done.to_owned())));
        };
        check(
            "token=x&subject=evil.example&note=a%0D%0Ab%3C&set=threat",
            "set threat evil.example",
            "a b<",
            "/context/evil.example?done=set&kind=threat",
        );
        check(
            "subject=evil.example&below=yes&note=&set=interest",
            "set interest .evil.example",
            "",
            "/context/evil.example?done=set&kind=interest",
        );
        check(
            "subject=192.0.2.0%2F24&clear=trust",
            "clear trust 192.0.2.0/24",
            "",
            "/context/192.0.2.0%2F24?done=set&kind=trust",
        );
        for body in [
            "",
            "subject=a",
            "subject=a&set=harm",
            "subject=a&set=threat&clear=trust",
            "set=threat",
            "subject=a..b&set=threat",
            "subject=a&set=threat&note=%00",
            "%zz",
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        assert!(read(&format!("subject=a&set=threat&note={}", "x".repeat(1_001))).is_err());
    }

    #[test]
    fn only_our_words_are_told() {
        assert_eq!(
            told("displaced", "trust").as_deref(),
            Some("The tag trust is set; threat ended with it.")
        );
        assert_eq!(told("<b>", "threat"), None);
        assert_eq!(told("set", "<b>"), None);
    }
}
