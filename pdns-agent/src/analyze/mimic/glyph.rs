//! Characters that look alike: Unicode letters as ASCII, and ASCII strings that pass for each other.

/// Pairs of ASCII strings that look alike in common fonts (dnstwist's glyph table, both directions).
const PAIRS: &[(&[u8], &[u8])] = &[
    (b"0", b"o"),
    (b"1", b"l"),
    (b"1", b"i"),
    (b"l", b"i"),
    (b"3", b"8"),
    (b"3", b"e"),
    (b"5", b"s"),
    (b"6", b"9"),
    (b"6", b"b"),
    (b"b", b"d"),
    (b"b", b"lb"),
    (b"c", b"e"),
    (b"d", b"cl"),
    (b"d", b"dl"),
    (b"g", b"q"),
    (b"h", b"lh"),
    (b"k", b"lc"),
    (b"m", b"n"),
    (b"m", b"nn"),
    (b"m", b"rn"),
    (b"m", b"rr"),
    (b"n", b"r"),
    (b"u", b"v"),
    (b"w", b"vv"),
];

/// Letters that the confusables of Unicode do not lead to an ASCII letter, although they look like one.
const LOOKALIKES: &[(char, u8)] = &[
    ('т', b't'),
    ('к', b'k'),
    ('м', b'm'),
    ('н', b'h'),
    ('в', b'b'),
    ('п', b'n'),
    ('г', b'r'),
    ('и', b'u'),
    ('я', b'r'),
    ('ь', b'b'),
    ('з', b'3'),
    ('ц', b'u'),
    ('ш', b'w'),
    ('α', b'a'),
    ('β', b'b'),
    ('ε', b'e'),
    ('η', b'n'),
    ('ι', b'i'),
    ('κ', b'k'),
    ('μ', b'u'),
    ('ν', b'v'),
    ('ρ', b'p'),
    ('τ', b't'),
    ('υ', b'u'),
    ('ω', b'w'),
    ('χ', b'x'),
    ('ꞵ', b'b'),
    ('ᴛ', b't'),
    ('ᴋ', b'k'),
    ('ᴍ', b'm'),
    ('ʜ', b'h'),
    ('ʙ', b'b'),
    ('ɢ', b'g'),
    ('ʟ', b'l'),
    ('ɴ', b'n'),
    ('ʀ', b'r'),
    ('ɪ', b'i'),
    ('ʏ', b'y'),
    ('ᴅ', b'd'),
    ('ᴇ', b'e'),
    ('ᴊ', b'j'),
    ('ᴘ', b'p'),
    ('ᴢ', b'z'),
    ('þ', b'p'),
    ('ð', b'd'),
    ('æ', b'a'),
    ('œ', b'o'),
    ('ß', b'b'),
    ('ŋ', b'n'),
];

/// Stands for a letter that looks like no ASCII one.
pub(super) const UNKNOWN: u8 = b'?';

/// A label in ASCII as it looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) text: Vec<u8>,
    /// True if a letter was not ASCII.
    pub(super) is_idn: bool,
    /// True if all letters are Cyrillic.
    pub(super) is_cyrillic: bool,
}

/// The appearance of a label, whose Unicode form is decoded first.
pub(super) fn looks(label: &[u8]) -> Looks {
    let ascii = Looks { text: label.to_vec(), is_idn: false, is_cyrillic: false };
    let Some(text) = std::str::from_utf8(label).ok().filter(|text| text.starts_with("xn--")) else {
        return ascii;
    };
    let (decoded, valid) = idna::domain_to_unicode(text);
    // A label that no browser decodes imitates nobody.
    if valid.is_err() || decoded.is_ascii() {
        return ascii;
    }
    let is_cyrillic = |letter: char| ('\u{400}'..='\u{52f}').contains(&letter);
    let mut looks =
        Looks { text: Vec::new(), is_idn: true, is_cyrillic: decoded.chars().all(is_cyrillic) };
    for letter in decoded.chars() {
        letter_looks(letter, &mut looks.text);
    }
    looks
}

/// Appends the ASCII letters that a letter looks like.
fn letter_looks(letter: char, out: &mut Vec<u8>) {
    if letter.is_ascii() {
        out.push(letter as u8);
        return;
    }
    if let Some(&(_, like)) = LOOKALIKES.iter().find(|(known, _)| *known == letter) {
        out.push(like);
        return;
    }
    let before = out.len();
    let mut text = [0; 4];
    for like in unicode_security::skeleton(letter.encode_utf8(&mut text)) {
        match like {
            _ if like.is_ascii_alphanumeric() => out.push(like.to_ascii_lowercase() as u8),
            // Marks above, below and across letters.
            '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' => {}
            _ => {
                let known = LOOKALIKES.iter().find(|(known, _)| *known == like);
                out.push(known.map_or(UNKNOWN, |(_, like)| *like));
            }
        }
    }
    // A letter that looks like two counts as one where only marks are left.
    if out.len() == before {
        out.push(UNKNOWN);
    }
}

/// One text for all texts that look alike by their commonest pairs, to look them up.
pub(super) fn folded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let (folded, length) = match (first, tail.first()) {
            (b'r' | b'n', Some(b'n')) => (b'm', 2),
            (b'v', Some(b'v')) => (b'w', 2),
            (b'c', Some(b'l')) => (b'd', 2),
            (b'l', Some(b'c')) => (b'k', 2),
            (b'0', _) => (b'o', 1),
            (b'1' | b'i', _) => (b'l', 1),
            (b'3' | b'e', _) => (b'c', 1),
            (b'5', _) => (b's', 1),
            (b'q', _) => (b'g', 1),
            (b'v', _) => (b'u', 1),
            _ => (first, 1),
        };
        out.push(folded);
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// True if each difference between two texts is a pair that looks alike, or a letter that looks like no ASCII one.
pub(super) fn look_alike(a: &[u8], b: &[u8]) -> bool {
    // Of each place in `b`, whether what precedes it can be matched with what precedes the place in `a`.
    let width = b.len() + 1;
    let mut reached = vec![false; (a.len() + 1) * width];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if reached.get(i * width + j) != Some(&true) {
                continue;
            }
            let (left, right) = (a.get(i..).unwrap_or_default(), b.get(j..).unwrap_or_default());
            let mut reach = |di: usize, dj: usize| {
                if let Some(place) = reached.get_mut((i + di) * width + j + dj) {
                    *place = true;
                }
            };
            if let (Some(x), Some(y)) = (left.first(), right.first())
                && (x == y || *x == UNKNOWN)
            {
                reach(1, 1);
            }
            for (x, y) in PAIRS {
                if left.starts_with(x) && right.starts_with(y) {
                    reach(x.len(), y.len());
                }
                if left.starts_with(y) && right.starts_with(x) {
                    reach(y.len(), x.len());
                }
            }
        }
    }
    reached.last() == Some(&true)
}

/// A class for each byte: two bytes have the same if one takes part in a pair that looks alike in which the other does, by
/// any number of steps. Texts that look alike have the same classes in the same order, apart from repetitions.
pub(super) fn look_alike_classes() -> [u8; 256] {
    let mut classes = [0; 256];
    for (byte, class) in (0..=u8::MAX).zip(&mut classes) {
        *class = byte;
    }
    for (left, right) in PAIRS {
        let class_of = |byte: &u8| classes.get(usize::from(*byte)).copied().unwrap_or(*byte);
        let mut bytes = left.iter().chain(*right).map(class_of);
        let Some(kept) = bytes.next() else { continue };
        for merged in bytes.collect::<Vec<_>>() {
            for class in &mut classes {
                if *class == merged {
                    *class = kept;
                }
            }
        }
    }
    classes
}

/// A text by its sound in English: equal texts are homophones, roughly.
pub(super) fn sound(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let next = tail.first().copied().unwrap_or(0);
        let (sound, length): (&[u8], usize) = match (first, next) {
            (b'p', b'h') => (b"f", 2),
            (b'c', b'k') => (b"k", 2),
            (b'c', b'h') => (b"c", 2),
            (b'w' | b'r' | b'g', b'h') => (std::slice::from_ref(&first), 2),
            (b'k' | b'g', b'n') if out.is_empty() => (b"n", 2),
            (b'c', b'e' | b'i' | b'y') | (b'z', _) => (b"s", 1),
            (b'c' | b'q', _) => (b"k", 1),
            (b'x', _) => (b"ks", 1),
            (b'y', _) => (b"i", 1),
            (b'a' | b'e' | b'i' | b'o' | b'u', _) => (b"", 1),
            _ => (std::slice::from_ref(&first), 1),
        };
        let is_vowel = matches!(first, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
        if is_vowel && out.is_empty() {
            out.push(b'a');
        }
        for &octet in sound {
            if !is_vowel && out.last() != Some(&octet) {
                out.push(octet);
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_is_read_as_it_looks() {
        let text = |label: &str| String::from_utf8(looks(label.as_bytes()).text).unwrap();
        assert_eq!(text("paypal"), "paypal");
        // In Cyrillic: dhl, costco.
        assert_eq!(text("xn--74a4b2i"), "dhl");
        assert_eq!(text("xn--n1aahbe7i"), "costco");
        assert!(looks(b"xn--74a4b2i").is_cyrillic);
        assert_eq!(text("xn--bcher-kva"), "bucher");
        // Not a valid label.
        assert_eq!(text("xn--"), "xn--");
    }

    #[test]
    fn look_alikes_of_several_letters() {
        assert!(look_alike(b"rnicros0ft", b"microsoft"));
        assert!(look_alike(b"paypa1", b"paypal"));
        assert!(look_alike(b"?aypal", b"paypal"));
        assert!(!look_alike(b"paypax", b"paypal"));
        assert_eq!(folded(b"rnicr0soft"), folded(b"microsoft"));
        assert_eq!(sound(b"fasebuk"), sound(b"facebook"));
        assert_eq!(sound(b"phacebook"), sound(b"facebook"));
    }
}
