//! From a name to the protected names that it imitates.

use super::glyph::{Looks, UNKNOWN, folded, look_alike, looks, sound};
use super::index::{Space, TWO_EDITS, behind_label, deletes, edits, hash, suffix};
use super::words::{look_alike_with_words, runs, within_label, without_hyphens};
use super::{HOST_WORDS, KEYWORDS, MIMIC_LIMIT, Mimic, MimicIndex, MimicKind};
use crate::analyze::subject::{Label, Scored};
use crate::name::Name;

/// Largest number of protected labels that a name is compared with.
const MAX_CANDIDATES: usize = 4_096;
/// Largest number of protected labels that may sound alike.
const MAX_HEARD: usize = 64;
/// Longest difference in which look-alikes are sought.
pub(super) const MAX_MIDDLE: usize = 12;
/// Largest number of answers.
const MAX_ANSWERS: usize = 10;
/// Labels below this length resemble too many others for an edit, or another suffix, to be worth a look: `bing` is one
/// letter from `ing`. Their likeness stays below [`MIMIC_LIMIT`].
const SHORT: usize = 4;
/// Labels from this length on are sought among words as what they look like, too.
pub(super) const LOOKED_FOR: usize = 5;

/// A name that is compared with protected ones.
pub(super) struct Seen<'n> {
    pub(super) looks: Looks,
    /// The label as it looks, without hyphens.
    pub(super) plain: Vec<u8>,
    suffix: &'n str,
    /// Labels before the registrable domain, left to right.
    above: Vec<&'n str>,
    /// All labels but the suffix in one piece, if there are several.
    joined: Vec<u8>,
    whole: &'n str,
    /// The registrable domain.
    domain: &'n str,
    /// The sound of the label.
    sound: Vec<u8>,
}

/// A kind with its score.
pub(super) type Likeness = (MimicKind, u8);

impl<'n> Seen<'n> {
    fn new(name: Name<'n>) -> Option<Self> {
        let scored = Scored::new(name);
        let domain = scored.registrable;
        if scored.label.is_empty() || suffix(domain).is_empty() {
            return None;
        }
        let looks = looks(Label::new(scored.label).octets());
        let plain = looks.text.iter().copied().filter(|octet| *octet != b'-').collect();
        let above_count = name.labels().count().saturating_sub(domain.labels().count());
        let above: Vec<&str> = name.labels().take(above_count).collect();
        let mut joined = Vec::new();
        if !above.is_empty() {
            joined.extend(above.iter().flat_map(|label| label.bytes()));
            joined.extend(&looks.text);
        }
        Some(Self {
            sound: sound(&looks.text),
            looks,
            plain,
            suffix: suffix(domain),
            above,
            joined,
            whole: name.as_str(),
            domain: domain.as_str(),
        })
    }
}

impl MimicIndex {
    /// The protected names that a name imitates, the likeliest first, at most ten. A protected name and all below it
    /// imitate nobody.
    #[must_use]
    pub fn find(&self, name: Name<'_>) -> Vec<Mimic<'_>> {
        let Some(seen) = Seen::new(name) else { return Vec::new() };
        let (mut candidates, mut heard, mut found) =
            (self.candidates(&seen), Vec::new(), Vec::new());
        self.lookup(hash(Space::Sound, seen.sound.iter().copied()), &mut heard);
        heard.truncate(MAX_HEARD);
        candidates.extend(&heard);
        candidates.sort_unstable();
        candidates.dedup();
        candidates.truncate(MAX_CANDIDATES);
        for number in candidates {
            let Some(group) = self.groups.get(number as usize) else { continue };
            let target = |place: &&u32| self.names.get(**place as usize);
            // The one with the same suffix, else the most important.
            let same = group
                .names
                .iter()
                .find(|place| target(place).is_some_and(|name| behind_label(name) == seen.suffix));
            let Some(place) = same.or(group.names.first()) else { continue };
            let Some(protected) = target(&place) else { continue };
            if **protected == *seen.domain {
                return Vec::new();
            }
            let is_heard = heard.contains(&number);
            let pair =
                Pair { seen: &seen, own: &group.label, protected, same: same.is_some(), is_heard };
            if let Some((kind, score)) = pair.judge() {
                found.push((score, group.label.len(), *place, kind));
            }
        }
        found.sort_unstable_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then(a.2.cmp(&b.2)));
        found.truncate(MAX_ANSWERS);
        let mimic = |(score, _, place, kind): (u8, usize, u32, MimicKind)| {
            Some(Mimic { target: self.names.get(place as usize)?, kind, score })
        };
        found.into_iter().filter_map(mimic).collect()
    }

    /// Returns false if the labels of a name before its registrable domain cannot imitate anything: then
    /// [`MimicIndex::find`] says of it what it says of the domain.
    #[must_use]
    pub fn may_hold(&self, name: Name<'_>, domain: Name<'_>) -> bool {
        let count = name.labels().count().saturating_sub(domain.labels().count());
        let mut found = Vec::new();
        let mut joined = Vec::new();
        for label in name.labels().take(count) {
            self.lookup(hash(Space::Text, label.bytes()), &mut found);
            joined.extend(label.bytes());
        }
        joined.extend(domain.labels().next().unwrap_or_default().bytes());
        self.lookup(hash(Space::Text, joined.into_iter()), &mut found);
        !found.is_empty()
    }

    /// The groups that may be imitated.
    fn candidates(&self, seen: &Seen<'_>) -> Vec<u32> {
        let mut found = Vec::new();
        let label = &seen.looks.text;
        let text = |text: &[u8]| hash(Space::Text, text.iter().copied());
        if label.len() <= self.longest + 2 {
            // A longer protected label may lack as many as a label of its length may.
            deletes(label, edits(label.len() + 1), &mut |hash| self.lookup(hash, &mut found));
        }
        self.lookup(hash(Space::Folded, folded(label).into_iter()), &mut found);
        self.lookup(text(&seen.plain), &mut found);
        self.lookup(text(&seen.joined), &mut found);
        let looking_alike = |text: &[u8]| hash(Space::Folded, folded(text).into_iter());
        for part in seen.above.iter().map(|label| label.as_bytes()).chain([label.as_slice()]) {
            self.lookup(text(part), &mut found);
            for (_, run) in runs(part).filter(|_| part.contains(&b'-')) {
                self.lookup(text(run), &mut found);
                self.lookup(hash(Space::Text, without_hyphens(run)), &mut found);
            }
        }
        if label.contains(&b'-') {
            for (_, run) in runs(label).filter(|(_, run)| run.len() >= LOOKED_FOR) {
                self.lookup(looking_alike(run), &mut found);
                self.lookup(looking_alike(&without_hyphens(run).collect::<Vec<_>>()), &mut found);
            }
        }
        for word in KEYWORDS {
            for rest in [label.strip_prefix(word.as_bytes()), label.strip_suffix(word.as_bytes())] {
                if let Some(rest) = rest.filter(|rest| rest.len() > 1) {
                    self.lookup(text(rest), &mut found);
                    if rest.len() >= LOOKED_FOR {
                        self.lookup(looking_alike(rest), &mut found);
                    }
                }
            }
        }
        if let Some(within) = &self.within {
            let places = within.find_overlapping_iter(label).map(|hit| hit.pattern());
            found.extend(places.filter_map(|pattern| self.patterns.get(pattern.as_usize())));
        }
        found
    }
}

/// A name and a protected label.
#[derive(Clone, Copy)]
pub(super) struct Pair<'p> {
    pub(super) seen: &'p Seen<'p>,
    /// The protected label.
    pub(super) own: &'p [u8],
    protected: &'p str,
    /// True if both names have the same suffix.
    same: bool,
    /// True if both labels may sound alike.
    is_heard: bool,
}

impl Pair<'_> {
    /// The strongest likeness.
    fn judge(self) -> Option<Likeness> {
        let ways = [
            whole_label(self),
            one_edit_apart(self),
            within_label(self),
            look_alike_with_words(self),
            as_label(self),
        ];
        ways.into_iter().flatten().max_by_key(|(kind, score)| (*score, std::cmp::Reverse(*kind)))
    }
}

/// The whole label looks or sounds like the protected one.
fn whole_label(pair: Pair<'_>) -> Option<Likeness> {
    let Pair { seen, own, protected, same, is_heard } = pair;
    let label = seen.looks.text.as_slice();
    let pick = |kind, if_same, otherwise| Some((kind, if same { if_same } else { otherwise }));
    if label == own {
        if seen.looks.is_cyrillic {
            return pick(MimicKind::Cyrillic, 98, 92);
        }
        if seen.looks.is_idn {
            return pick(MimicKind::Homoglyph, 97, 90);
        }
        return Some((MimicKind::TldSwap, if own.len() >= SHORT { 90 } else { MIMIC_LIMIT - 1 }));
    }
    let plain = own.iter().filter(|octet| **octet != b'-');
    if seen.plain.iter().eq(plain.clone()) {
        return pick(MimicKind::Hyphenation, 92, 74);
    }
    let suffix = behind_label(protected).bytes().filter(|octet| !b".-".contains(octet));
    if seen.plain.iter().copied().eq(plain.clone().copied().chain(suffix.clone())) {
        return Some((MimicKind::Various, 90));
    }
    // The dot before the suffix stands elsewhere, or is left out.
    let is_longer = seen.plain.len() > plain.clone().count();
    let all = seen.plain.iter().copied().chain(without_hyphens(seen.suffix.as_bytes()));
    if is_longer && all.filter(|octet| *octet != b'.').eq(plain.clone().copied().chain(suffix)) {
        return Some((MimicKind::Various, 90));
    }
    if seen.plain.strip_prefix(b"www").is_some_and(|rest| rest.iter().eq(plain)) {
        return Some((MimicKind::Various, 90));
    }
    if seen.joined == own {
        return pick(MimicKind::Subdomain, 92, 72);
    }
    let (left, right) = middle(label, own);
    if left.len().max(right.len()) <= MAX_MIDDLE && look_alike(left, right) {
        return pick(MimicKind::Homoglyph, if own.len() > 2 { 94 } else { 82 }, 72);
    }
    // Vowels are not heard, so that few consonants say little.
    let is_like = own.len() >= 5 && label.len().abs_diff(own.len()) <= 3 && seen.sound.len() >= 3;
    if is_like && is_heard && sound(own) == seen.sound {
        pick(MimicKind::Soundsquat, 74, 60)
    } else {
        None
    }
}

/// The label differs in one character, or two.
fn one_edit_apart(Pair { seen, own, same, .. }: Pair<'_>) -> Option<Likeness> {
    let label = seen.looks.text.as_slice();
    let (left, right) = middle(label, own);
    if let Some(kind) = edit_kind(label, left, right, own) {
        let kind = if seen.looks.is_idn { MimicKind::Homoglyph } else { kind };
        let score = match (same, own.len()) {
            (true, ..3) => MIMIC_LIMIT - 2,
            (true, ..SHORT) => MIMIC_LIMIT - 1,
            (true, 4) => 86,
            (true, _) => 90,
            (false, ..TWO_EDITS) => 66,
            (false, _) => 72,
        };
        return Some((kind, score));
    }
    if own.len() < TWO_EDITS || left.len().abs_diff(right.len()) > 2 {
        return None;
    }
    if label.strip_suffix(b"es") == Some(own) {
        return Some((MimicKind::Plural, if same { 86 } else { 66 }));
    }
    if !is_within(left, right, 2) {
        return None;
    }
    if seen.looks.is_idn {
        return Some((MimicKind::Homoglyph, if same { 88 } else { 74 }));
    }
    Some((MimicKind::TwoEdits, if same { 68 } else { 54 }))
}

/// True if one text becomes the other by at most so many edits: a character more, less or replaced, two exchanged.
fn is_within(a: &[u8], b: &[u8], edits: usize) -> bool {
    let (Some((first, a_rest)), Some((second, b_rest))) = (a.split_first(), b.split_first()) else {
        return a.len().max(b.len()) <= edits;
    };
    if first == second {
        return is_within(a_rest, b_rest, edits);
    }
    let Some(left) = edits.checked_sub(1) else { return false };
    let is_exchanged = a_rest.first() == Some(second) && b_rest.first() == Some(first);
    let behind = |text| <[u8]>::get(text, 2..).unwrap_or_default();
    is_within(a_rest, b_rest, left)
        || is_within(a_rest, b, left)
        || is_within(a, b_rest, left)
        || (is_exchanged && is_within(behind(a), behind(b), left))
}

/// Both texts without what they begin and end with alike.
pub(super) fn middle<'t>(a: &'t [u8], b: &'t [u8]) -> (&'t [u8], &'t [u8]) {
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.get(start..).unwrap_or_default(), b.get(start..).unwrap_or_default());
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let cut = |text: &'t [u8]| text.get(..text.len() - end).unwrap_or_default();
    (cut(a), cut(b))
}

fn is_vowel(octet: u8) -> bool {
    matches!(octet, b'a' | b'e' | b'i' | b'o' | b'u')
}

/// The kind of a single edit, given what differs.
fn edit_kind(label: &[u8], left: &[u8], right: &[u8], own: &[u8]) -> Option<MimicKind> {
    Some(match (left, right) {
        ([], [_]) => MimicKind::Omission,
        ([added], []) => {
            // Behind equal characters the last of them counts as the added one.
            let is_double = label.windows(2).any(|pair| pair == [*added, *added])
                && !own.windows(2).any(|pair| pair == [*added, *added]);
            let is_last = label.len() == own.len() + 1 && label.starts_with(own);
            match added {
                _ if is_double => MimicKind::Repetition,
                _ if is_last => MimicKind::Addition,
                b's' => MimicKind::Plural,
                b'-' => MimicKind::Hyphenation,
                _ => MimicKind::Insertion,
            }
        }
        (&[UNKNOWN], [_]) => MimicKind::Homoglyph,
        (&[new], &[old]) if is_vowel(new) && is_vowel(old) => MimicKind::VowelSwap,
        (&[new], &[old]) if (new ^ old).is_power_of_two() => MimicKind::Bitsquatting,
        ([_], [_]) => MimicKind::Replacement,
        (&[a, b], &[c, d]) if a == d && b == c => MimicKind::Transposition,
        _ => return None,
    })
}

/// The protected name as labels of another domain.
fn as_label(Pair { seen, own, protected, .. }: Pair<'_>) -> Option<Likeness> {
    if seen.above.is_empty() {
        return None;
    }
    let host = seen.whole;
    // The whole protected domain, followed by another one.
    let is_embedded = host.match_indices(protected).any(|(at, _)| {
        let before = at == 0 || host.as_bytes().get(at - 1) == Some(&b'.');
        before && host.as_bytes().get(at + protected.len()) == Some(&b'.')
    });
    if is_embedded {
        return Some((MimicKind::Levelsquat, 96));
    }
    if !seen.above.iter().any(|label| label.as_bytes() == own) {
        return None;
    }
    let is_host_word = HOST_WORDS.iter().any(|word| word.as_bytes() == own);
    let score = match own.len() {
        _ if is_host_word => 50,
        ..3 => 60,
        3 => 81,
        _ => 87,
    };
    Some((MimicKind::Levelsquat, score))
}

#[cfg(test)]
mod tests {
    use crate::analyze::{MIMIC_LIMIT, MimicIndex, MimicKind};
    use crate::name::NameBuf;

    /// The likeliest imitation that is worth a look.
    fn worth_a_look(protected: &[&str], name: &str) -> Option<(String, MimicKind)> {
        let read = |text: &str| NameBuf::parse(text).unwrap();
        let index = MimicIndex::new(&protected.iter().map(|text| read(text)).collect::<Vec<_>>());
        let name = read(name);
        let found = index.find(name.as_name());
        let first = found.first().filter(|mimic| mimic.score >= MIMIC_LIMIT)?;
        Some((first.target.to_owned(), first.kind))
    }

    #[test]
    fn short_labels_are_not_imitated_by_an_edit_or_another_suffix() {
        let protected = ["ing.com", "x.com", "ebay.com", "paypal.com"];
        for honest in ["www.bing.com", "e13541.x.akamaiedge.net", "inge.com", "ing.org", "y.com"] {
            assert_eq!(worth_a_look(&protected, honest), None, "{honest}");
        }
        // But by what looks the same, by words around them, and longer ones in every way.
        let is = |name, target: &str, kind| {
            assert_eq!(worth_a_look(&protected, name), Some((target.to_owned(), kind)), "{name}");
        };
        is("ebay.org", "ebay.com", MimicKind::TldSwap);
        is("ebay-login.com", "ebay.com", MimicKind::Dictionary);
        is("paypla.com", "paypal.com", MimicKind::Transposition);
        is("paypal.top", "paypal.com", MimicKind::TldSwap);
    }

    #[test]
    fn hyphens_of_a_brand_do_not_hide_it_among_words() {
        let protected = ["t-online.de", "my-bank.de", "paypal.com", "rolls-royce.com", "bbc.co.uk"];
        for (name, target) in [
            ("t-online-account-login.de", "t-online.de"),
            ("login-t-online-account.net", "t-online.de"),
            ("tonline-login.de", "t-online.de"),
            ("mybank-login.de", "my-bank.de"),
            ("mybanklogin.de", "my-bank.de"),
            ("my-banklogin.top", "my-bank.de"),
            ("rolls-r0yce-login.com", "rolls-royce.com"),
            ("rollsr0yce-shop.com", "rolls-royce.com"),
            ("pay-pal-login.com", "paypal.com"),
            ("pay-pa1-login.com", "paypal.com"),
            ("paypal-paypal.com", "paypal.com"),
            ("bbcco.uk", "bbc.co.uk"),
            ("paypalc.om", "paypal.com"),
        ] {
            let found = worth_a_look(&protected, name).map(|(target, _)| target);
            assert_eq!(found.as_deref(), Some(target), "{name}");
        }
        for honest in ["t-shirts-online.de", "my-own-bank.de", "bank-login.de", "rolls-shop.com"] {
            assert_eq!(worth_a_look(&protected, honest), None, "{honest}");
        }
    }

    #[test]
    fn a_look_alike_with_words_around_it_is_found() {
        let protected = ["paypal.com", "microsoft.com"];
        for name in [
            "paypa1-login.com",
            "paypa1-secure.com",
            "secure-login-paypa1.net",
            "paypa1login.com",
            "www-rnicrosoft.com",
        ] {
            let target = if name.contains("pay") { "paypal.com" } else { "microsoft.com" };
            let want = Some((target.to_owned(), MimicKind::Combosquat));
            assert_eq!(worth_a_look(&protected, name), want, "{name}");
        }
        for honest in
            ["paypax-login.com", "papal-login.com", "paypa1-garden.com", "login-secure.com"]
        {
            assert_eq!(worth_a_look(&protected, honest), None, "{honest}");
        }
    }
}
