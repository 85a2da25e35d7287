//! A protected label among other words: which parts of a label it may be, and what stands around it.

use super::KEYWORDS;
use super::MimicKind;
use super::find::{LOOKED_FOR, Likeness, MAX_MIDDLE, Pair, middle};
use super::glyph::look_alike;
use std::ops::Range;

/// Longest run of words that is compared with a protected label.
const MAX_RUN: usize = 6;

/// The parts of a label between hyphens, and several in a row with the hyphens between them; each with the numbers of the
/// first part and of the one behind the last.
pub(super) fn runs(label: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut bounds = vec![0];
    bounds.extend(memchr::memchr_iter(b'-', label).map(|at| at + 1));
    bounds.push(label.len() + 1);
    let count = bounds.len() - 1;
    let all = (0..count).flat_map(move |first| {
        (first + 1..=count.min(first + MAX_RUN)).map(move |behind| first..behind)
    });
    all.filter_map(move |run| {
        let (from, to) = (*bounds.get(run.start)?, *bounds.get(run.end)? - 1);
        Some((run, label.get(from..to)?)).filter(|(_, text)| !text.is_empty())
    })
}

/// The characters of a text that are no hyphens.
pub(super) fn without_hyphens(text: &[u8]) -> impl Iterator<Item = u8> + Clone {
    text.iter().copied().filter(|octet| *octet != b'-')
}

fn is_keyword(text: &[u8]) -> bool {
    KEYWORDS.iter().any(|word| word.as_bytes() == text)
}

/// Number of the parts of a label before and behind a run, and how many of them are common words, or the run again.
fn around(label: &[u8], run: &Range<usize>, own: &[u8]) -> (usize, usize) {
    let parts = label.split(|octet| *octet == b'-').enumerate();
    let others = parts.filter(|(at, part)| !run.contains(at) && !part.is_empty());
    others.fold((0, 0), |(others, words), (_, part)| {
        (others + 1, words + usize::from(is_keyword(part) || part == own))
    })
}

/// The protected label within the label, with other words around it. Hyphens may be added and left out.
pub(super) fn within_label(Pair { seen, own, .. }: Pair<'_>) -> Option<Likeness> {
    let label = seen.looks.text.as_slice();
    let own_plain: Vec<u8> = without_hyphens(own).collect();
    if own_plain.is_empty() || seen.plain.len() <= own_plain.len() {
        return None;
    }
    let is_own = |run: &[u8]| {
        run == own
            || (run.len() >= own_plain.len() && without_hyphens(run).eq(own_plain.iter().copied()))
    };
    let of_run = |(run, _): (Range<usize>, &[u8])| {
        let (others, words) = around(label, &run, own);
        let kind = if others > 1 { MimicKind::Combosquat } else { MimicKind::Dictionary };
        let score = match (words, own_plain.len()) {
            (0, ..5) => 50,
            (0, _) => 70,
            _ if words == others => 91,
            (_, ..4) => 76,
            _ => 86,
        };
        (others > 0).then_some((kind, score))
    };
    if let Some(likeness) = runs(label).filter(|(_, run)| is_own(run)).find_map(of_run) {
        return Some(likeness);
    }
    let cut = |label: &[u8], own: &[u8]| {
        let at = label.windows(own.len()).position(|part| part == own)?;
        let behind = label.get(at + own.len()..).unwrap_or_default();
        Some((label.get(..at).unwrap_or_default().to_vec(), behind.to_vec()))
    };
    let (before, behind) = cut(label, own).or_else(|| cut(&seen.plain, &own_plain))?;
    let is_plain = |text: &[u8]| {
        let whole: Vec<u8> = without_hyphens(text).collect();
        let mut parts = text.split(|octet| *octet == b'-').filter(|part| !part.is_empty());
        is_keyword(&whole) || parts.all(is_keyword)
    };
    let added = before.len() + behind.len();
    if is_plain(&before) && is_plain(&behind) {
        let score = match own_plain.len() {
            ..3 if added < 4 => 60,
            ..4 => 80,
            _ => 88,
        };
        return Some((MimicKind::Dictionary, score));
    }
    // An unknown word beside it: many honest names hold a short one.
    let score = match own_plain.len() {
        ..5 => return None,
        5 | 6 => 56,
        7 | 8 => 64,
        _ => 70,
    };
    Some((MimicKind::Combosquat, score))
}

/// Likeness of a label that looks like the protected one, with nothing but common words around it.
pub(super) fn look_alike_with_words(Pair { seen, own, .. }: Pair<'_>) -> Option<Likeness> {
    let label = seen.looks.text.as_slice();
    let own_plain: Vec<u8> = without_hyphens(own).collect();
    if own_plain.len() < LOOKED_FOR || seen.plain.len() <= own_plain.len() {
        return None;
    }
    let is_alike = |text: &[u8]| {
        text.len() >= LOOKED_FOR
            && [own, &own_plain].iter().any(|own| {
                let (left, right) = middle(text, own);
                !right.is_empty()
                    && left.len().max(right.len()) <= MAX_MIDDLE
                    && look_alike(left, right)
            })
    };
    let stands_among_words = |(run, text): (Range<usize>, &[u8])| {
        let (others, words) = around(label, &run, own);
        let is_alike = || is_alike(text) || is_alike(&without_hyphens(text).collect::<Vec<_>>());
        others > 0 && others == words && !is_keyword(text) && is_alike()
    };
    if runs(label).any(stands_among_words) {
        return Some((MimicKind::Combosquat, 90));
    }
    let is_joined = KEYWORDS.iter().any(|word| {
        let word = word.as_bytes();
        [label.strip_prefix(word), label.strip_suffix(word)].into_iter().flatten().any(is_alike)
    });
    is_joined.then_some((MimicKind::Combosquat, 86))
}
