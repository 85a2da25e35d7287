//! The text of a page: without tags, scripts and styles, and with its character references resolved.
//!
//! Not a parser of HTML: what browsers hide by other means stays. Tags within a line of text leave nothing, so that a
//! name with a part in bold is read; all others are a blank.

/// Tags that do not separate words.
const INLINE: [&str; 17] = [
    "a", "abbr", "b", "bdi", "code", "em", "font", "i", "kbd", "mark", "small", "span", "strong",
    "sub", "sup", "u", "wbr",
];
/// Longest tag name that matters.
const MAX_NAME: usize = 10;
/// Named character references that appear around indicators.
const NAMED: [(&str, &str); 24] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("ensp", " "),
    ("emsp", " "),
    ("thinsp", " "),
    ("shy", ""),
    ("zwnj", ""),
    ("zwj", ""),
    ("ZeroWidthSpace", ""),
    ("period", "."),
    ("comma", ","),
    ("colon", ":"),
    ("sol", "/"),
    ("bsol", "\\"),
    ("commat", "@"),
    ("lbrack", "["),
    ("lsqb", "["),
    ("rbrack", "]"),
    ("rsqb", "]"),
    ("hyphen", "-"),
];

/// Place in a page between two lines.
#[derive(Debug, Default)]
enum Within {
    #[default]
    Text,
    /// A tag, with the start of its name and the open quote.
    Tag(String, Option<char>),
    Comment,
    /// `script` or `style`, up to its end tag.
    Raw(&'static str),
}

/// Reader of a page, line by line.
#[derive(Debug, Default)]
pub(super) struct Page {
    within: Within,
}

impl Page {
    /// The text of the next line.
    pub(super) fn line(&mut self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while !rest.is_empty() {
            rest = match std::mem::take(&mut self.within) {
                Within::Text => self.text(rest, &mut out),
                Within::Comment => match rest.split_once("-->") {
                    Some((_, after)) => after,
                    None => self.stay(Within::Comment),
                },
                Within::Raw(name) => match end_of(name, rest) {
                    Some(after) => after,
                    None => self.stay(Within::Raw(name)),
                },
                Within::Tag(name, quote) => self.tag(name, quote, rest, &mut out),
            };
        }
        if let Within::Tag(..) = self.within {
            out.push(' ');
        }
        out
    }

    fn stay(&mut self, within: Within) -> &'static str {
        self.within = within;
        ""
    }

    fn text<'t>(&mut self, text: &'t str, out: &mut String) -> &'t str {
        let Some(at) = text.find(['<', '&']) else {
            out.push_str(text);
            return "";
        };
        let (head, tail) = text.split_at(at);
        out.push_str(head);
        if let Some(comment) = tail.strip_prefix("<!--") {
            self.within = Within::Comment;
            return comment;
        }
        if tail.starts_with('&') {
            let (letters, after) = reference(tail);
            out.push_str(&letters);
            return after;
        }
        let rest = tail.get(1..).unwrap_or_default();
        if rest.starts_with(|first: char| first.is_ascii_alphabetic() || "/!?".contains(first)) {
            self.within = Within::Tag(String::new(), None);
        } else {
            out.push('<');
        }
        rest
    }

    fn tag<'t>(
        &mut self,
        mut name: String,
        mut quote: Option<char>,
        text: &'t str,
        out: &mut String,
    ) -> &'t str {
        let mut is_named = name.ends_with(' ') || name.len() > MAX_NAME;
        for (at, letter) in text.char_indices() {
            match (letter, quote) {
                (_, Some(open)) => quote = quote.filter(|_| letter != open),
                ('"' | '\'', None) if is_named => quote = Some(letter),
                ('>', None) => {
                    self.end_tag(name.trim_end(), out);
                    return text.get(at + 1..).unwrap_or_default();
                }
                (letter, None) if !is_named => {
                    if letter.is_whitespace() || letter == '/' && !name.is_empty() {
                        name.push(' ');
                        is_named = true;
                    } else {
                        name.push(letter.to_ascii_lowercase());
                        is_named = name.len() > MAX_NAME;
                    }
                }
                _ => {}
            }
        }
        if !is_named {
            name.push(' ');
        }
        self.within = Within::Tag(name, quote);
        ""
    }

    fn end_tag(&mut self, name: &str, out: &mut String) {
        let bare = name.trim_start_matches('/');
        if !INLINE.contains(&bare) {
            out.push(' ');
        }
        match name {
            "script" => self.within = Within::Raw("script"),
            "style" => self.within = Within::Raw("style"),
            _ => {}
        }
    }
}

/// The text after the end tag of an element without markup in it.
fn end_of<'t>(name: &str, text: &'t str) -> Option<&'t str> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("</") {
        let start = from + at + 2;
        // Other text may go on in the middle of a character there.
        let found = text.get(start..).and_then(|rest| rest.split_at_checked(name.len()));
        match found {
            Some((it, after)) if it.eq_ignore_ascii_case(name) => {
                return Some(after.split_once('>').map_or("", |(_, after)| after));
            }
            _ => from = start,
        }
    }
    None
}

/// The characters of a reference at the start of text, and what follows; `&` itself if it is none.
fn reference(text: &str) -> (String, &str) {
    let none = || ("&".to_owned(), text.get(1..).unwrap_or_default());
    let Some(end) = text.bytes().take(40).position(|octet| octet == b';') else { return none() };
    let (name, after) = (text.get(1..end).unwrap_or_default(), text.get(end + 1..));
    let Some(after) = after else { return none() };
    let code = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    if let Some(letter) = code.and_then(char::from_u32) {
        return (letter.to_string(), after);
    }
    match NAMED.iter().find(|(known, _)| *known == name) {
        Some((_, letters)) => ((*letters).to_owned(), after),
        None => none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], want: &str) {
        let mut page = Page::default();
        let text: Vec<String> = lines.iter().map(|line| page.line(line)).collect();
        let text = text.join("\n");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), want);
    }

    #[test]
    fn the_text_of_a_page_stays() {
        check(
            &["<p>evil<b>[.]</b>example&#46;com</p><td>x</td><td>y</td>"],
            "evil[.]example.com x y",
        );
        check(&["a<!-- b", "c --> d <script>e('</x>')", "f</SCRIPT >g"], "a d g");
        check(
            &["<a href=\"http://x/?a>b\"", " title='>'>link</a> 1 < 2 &bogus; &amp;"],
            "link 1 < 2 &bogus; &",
        );
        check(&["evil&lt;.&gt;example &#x2e; &#xffffffff; &"], "evil<.>example . &#xffffffff; &");
        check(&["<style>a.b{}</style>c<br/>d"], "c d");
        check(&["<script>'</x\u{e9}\u{e9}\u{e9}';</script>c<style></x</style>d"], "c d");
    }
}
