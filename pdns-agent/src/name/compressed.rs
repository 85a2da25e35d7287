//! Names in a DNS message: possibly compressed (RFC 1035 §4.1.4), in any case.
//!
//! A pointer must point to before the run of labels that contains it, because RFC 1035 requires "a prior
//! occurrence". Each jump therefore goes backwards, and no name can loop. Label types other than 00 and 11
//! are unknown (RFC 6891 §5). Functions append to a caller's buffer completely or not at all.

use super::{MAX_WIRE, NameError, OCTETS, Octet, push_octet};

/// Maximum number of pointers in one name. A name has at most 127 labels (RFC 1035 §2.3.4), and no compressor
/// needs more pointers than labels. Without this bound a message of pointers to pointers would cost millions
/// of steps.
pub(crate) const MAX_POINTERS: u32 = 127;

/// Result of reading one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// End of the name in place: the position after its root label or its first pointer.
    pub(crate) end: usize,
    /// Number of pointers in the name.
    pub(crate) pointers: u32,
}

/// Appends the canonical text of the name at `at`.
///
/// # Errors
/// Same as [`walk`].
pub(crate) fn text(message: &[u8], at: usize, out: &mut String) -> Result<Walked, NameError> {
    // Nearly all names are plain: their text is two octets shorter than the wire form (first length and
    // root).
    let mut plain = [0; MAX_WIRE];
    let (mut length, mut is_plain) = (0, true);
    let walked = walk(message, at, |label| {
        let (text, rest) = plain.get_mut(length..).unwrap_or_default().split_at_mut(label.len());
        for (to, &octet) in text.iter_mut().zip(label) {
            *to = lower(octet);
            is_plain &= *to != 0;
        }
        if let Some(dot) = rest.first_mut() {
            *dot = b'.';
        }
        length += label.len() + 1;
    })?;
    match std::str::from_utf8(plain.get(..length.saturating_sub(1)).unwrap_or_default()) {
        Ok("") => out.push('.'),
        Ok(text) if is_plain => out.push_str(text),
        _ => escaped(message, at, out)?,
    }
    Ok(walked)
}

/// Same as [`text`], for any name except the root.
#[cold]
fn escaped(message: &[u8], at: usize, out: &mut String) -> Result<(), NameError> {
    let start = out.len();
    walk(message, at, |label| {
        if out.len() > start {
            out.push('.');
        }
        for &octet in label {
            push_octet(octet, out);
        }
    })?;
    Ok(())
}

/// Maps a letter to lower case, any other plain octet to itself, and an octet that needs an escape to 0.
fn lower(octet: u8) -> u8 {
    const LOWER: [u8; 256] = {
        let mut table = [0; 256];
        let mut octet: u8 = 0x21;
        while octet < 0x7f {
            #[expect(clippy::indexing_slicing, reason = "a constant loop bound below 256")]
            if matches!(OCTETS[octet as usize], Octet::Plain | Octet::Upper) {
                table[octet as usize] = octet.to_ascii_lowercase();
            }
            octet += 1;
        }
        table
    };
    #[expect(clippy::indexing_slicing, reason = "an octet indexes a table of 256")]
    LOWER[usize::from(octet)]
}

/// Appends the wire form of the name at `at`, uncompressed and in lower case; returns the position after the
/// name in the message.
///
/// # Errors
/// Same as [`walk`].
pub(crate) fn wire(message: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, NameError> {
    let start = out.len();
    let end = walk(message, at, |label| {
        // A label has at most 63 octets.
        out.push(u8::try_from(label.len()).unwrap_or(0));
        let from = out.len();
        out.extend_from_slice(label);
        if let Some(label) = out.get_mut(from..) {
            label.make_ascii_lowercase();
        }
    });
    match end {
        Ok(_) => out.push(0),
        Err(_) => out.truncate(start),
    }
    end.map(|walked| walked.end)
}

/// Calls `label` with each label of the name at `at`, first to last.
///
/// # Errors
/// [`NameError::Cut`] if the message ends within the name or a label has an unknown type,
/// [`NameError::BadPointer`], [`NameError::LongName`].
fn walk(message: &[u8], at: usize, mut label: impl FnMut(&[u8])) -> Result<Walked, NameError> {
    let (mut run, mut here) = (at, at);
    let mut end = None;
    let mut pointers = 0;
    let mut wire = 1;
    loop {
        let &head = message.get(here).ok_or(NameError::Cut)?;
        here += 1;
        let length = usize::from(head & 0x3f);
        match head >> 6 {
            0 if length == 0 => return Ok(Walked { end: end.unwrap_or(here), pointers }),
            0 => {
                wire += length + 1;
                if wire > MAX_WIRE {
                    return Err(NameError::LongName);
                }
                label(message.get(here..here + length).ok_or(NameError::Cut)?);
                here += length;
            }
            3 => {
                let &low = message.get(here).ok_or(NameError::Cut)?;
                end.get_or_insert(here + 1);
                let target = length << 8 | usize::from(low);
                pointers += 1;
                if target >= run || pointers > MAX_POINTERS {
                    return Err(NameError::BadPointer);
                }
                (run, here) = (target, target);
            }
            _ => return Err(NameError::Cut),
        }
    }
}

/// Position of the name that the name at `at` refers to, if the latter consists of a pointer only.
pub(crate) fn lone_pointer(message: &[u8], at: usize) -> Option<usize> {
    match message.get(at..at + 2)? {
        &[head, low] if head >= 0xc0 => Some(usize::from(head & 0x3f) << 8 | usize::from(low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;
    use domain::base::name::ParsedName;
    use domain::dep::octseq::Parser;
    use hickory_proto::rr::Name as HickoryName;
    use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};
    use proptest::prelude::*;

    #[track_caller]
    fn check(message: &[u8], at: usize, want: Result<(&str, usize), NameError>) {
        let mut out = "kept".to_owned();
        let walked = text(message, at, &mut out);
        assert_eq!(walked.map(|walked| (&out[4..], walked.end)), want);
        let mut octets = vec![7];
        let wire_end = wire(message, at, &mut octets);
        assert_eq!(wire_end, want.map(|(_, end)| end));
        match want {
            Ok((name, _)) => {
                let mut canonical = vec![7];
                NameBuf::parse(name).unwrap().as_name().write_wire(&mut canonical);
                assert_eq!(octets, canonical);
            }
            Err(_) => assert_eq!((out.as_str(), octets.as_slice()), ("kept", &[7][..])),
        }
    }

    #[test]
    fn names_are_found_through_pointers() {
        let message = b"\x03WwW\x07example\x00\x01a\xc0\x04\xc0\x0d\x02\xff.\x00";
        check(message, 0, Ok(("www.example", 13)));
        check(message, 13, Ok(("a.example", 17)));
        check(message, 17, Ok(("a.example", 19)));
        check(message, 19, Ok(("\\255\\.", 23)));
        check(message, 12, Ok((".", 13)));
    }

    #[test]
    fn pointers_that_do_not_lead_back_are_refused() {
        check(b"\xc0\x00", 0, Err(NameError::BadPointer));
        check(b"\xc0\x02\x00", 0, Err(NameError::BadPointer));
        check(b"\x01a\xc0\x00", 0, Err(NameError::BadPointer));
        // From 2 back to 0, where the run of labels would continue into 2.
        check(b"\x01a\x01b\xc0\x00", 2, Err(NameError::BadPointer));
        check(b"\x01a\xc0", 0, Err(NameError::Cut));
    }

    #[test]
    fn other_labels_and_what_ends_early_are_refused() {
        check(b"\x41a\x00", 0, Err(NameError::Cut));
        check(b"\x80\x00", 0, Err(NameError::Cut));
        check(b"\x02a", 0, Err(NameError::Cut));
        check(b"\x01a", 0, Err(NameError::Cut));
        check(b"", 0, Err(NameError::Cut));
        check(b"\x00", 9, Err(NameError::Cut));
    }

    #[test]
    fn names_have_255_octets_and_no_more() {
        let mut message = Vec::new();
        for length in [63, 63, 63, 61] {
            message.push(length);
            message.extend(vec![b'a'; usize::from(length)]);
        }
        message.push(0);
        assert_eq!(message.len(), MAX_WIRE);
        let walked = Walked { end: MAX_WIRE, pointers: 0 };
        assert_eq!(text(&message, 0, &mut String::new()), Ok(walked));
        message.extend(b"\x01b\xc0\x00");
        check(&message, MAX_WIRE, Err(NameError::LongName));
    }

    #[test]
    fn a_long_row_of_pointers_is_refused() {
        let mut message = vec![0, 0];
        for at in 0..200_u16 {
            message.extend((0xc000 | (at * 2)).to_be_bytes());
        }
        let walked = Walked { end: 2 * 128, pointers: 127 };
        assert_eq!(text(&message, 2 * 127, &mut String::new()), Ok(walked));
        check(&message, 2 * 128, Err(NameError::BadPointer));
    }

    /// A message of label runs, pointers to any of them, and the occasional random octet.
    fn messages() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 1..12).prop_map(|label| {
                let mut part = vec![u8::try_from(label.len()).unwrap()];
                part.extend(label);
                part
            }),
            3 => (0u8..120).prop_map(|at| vec![0xc0, at]),
            2 => Just(vec![0]),
            1 => any::<u8>().prop_map(|octet| vec![octet]),
        ];
        prop::collection::vec(part, 1..30).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn oracles_agree(message in messages(), at in 0usize..100) {
            let mut ours = Vec::new();
            let end = wire(&message, at, &mut ours);
            let mut shown = String::new();
            prop_assert_eq!(text(&message, at, &mut shown).map(|walked| walked.end), end);
            if end.is_ok() {
                let (name, _) = NameBuf::from_wire(&ours).unwrap();
                prop_assert_eq!(name.as_str(), shown);
            }
            if at <= message.len() {
                let mut parser = Parser::from_ref(message.as_slice());
                parser.seek(at).unwrap();
                // `domain` allows a pointer to any position before itself, and has the same limits for names.
                if let (Ok(name), Ok(end)) = (ParsedName::parse(&mut parser), end) {
                    let theirs: Vec<u8> =
                        domain::base::name::ToName::to_canonical_name::<Vec<u8>>(&name).into_octets();
                    prop_assert_eq!(&theirs, &ours);
                    prop_assert_eq!(parser.pos(), end);
                }
                // hickory rejects some valid names: those whose labels run on over the pointer that led to
                // them.
                let mut decoder = BinDecoder::new(&message).clone(u16::try_from(at).unwrap());
                if let Ok(name) = HickoryName::read(&mut decoder) {
                    let labels: Vec<Vec<u8>> = name.iter().map(<[u8]>::to_ascii_lowercase).collect();
                    let mut rest = ours.as_slice();
                    for label in labels {
                        prop_assert_eq!(&rest[1..=usize::from(rest[0])], label.as_slice());
                        rest = &rest[1 + usize::from(rest[0])..];
                    }
                    prop_assert_eq!(rest, &[0][..]);
                    prop_assert_eq!(Ok(decoder.index()), end);
                }
            }
        }
    }
}
