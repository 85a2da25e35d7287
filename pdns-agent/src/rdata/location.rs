//! Geographical locations: LOC (RFC 1876).

use super::parse::{Reader, number};
use super::text::TextWriter;

/// Wire value of latitude and longitude 0, in thousandths of a second of arc (RFC 1876 §2).
const ORIGIN: u32 = 1 << 31;
/// Thousandths of a second of arc in a degree.
const DEGREE: u32 = 3_600_000;
/// Depth of wire altitude 0 below the reference spheroid, in centimetres.
const BASE: i64 = 10_000_000;

/// A whole LOC record. `None` if the text would not parse back: another version, a location off the earth, or
/// a size that is not a digit times a power of ten.
pub(super) fn location(writer: &mut TextWriter<'_>) -> Option<()> {
    let [0, size, horizontal, vertical] = writer.take()? else { return None };
    let [latitude, longitude, altitude] =
        [writer.take()?, writer.take()?, writer.take()?].map(u32::from_be_bytes);
    angle(writer, latitude, 90, ['N', 'S'])?;
    writer.space();
    angle(writer, longitude, 180, ['E', 'W'])?;
    let centimetres = i64::from(altitude) - BASE;
    let sign = if centimetres < 0 { "-" } else { "" };
    let metres = centimetres.unsigned_abs();
    writer.write(format_args!(" {sign}{}.{:02}m", metres / 100, metres % 100));
    for precision in [size, horizontal, vertical] {
        let (digit, exponent) = (precision >> 4, precision & 0xf);
        if digit > 9 || exponent > 9 || digit == 0 && exponent > 0 {
            return None;
        }
        let centimetres = u64::from(digit) * 10_u64.pow(exponent.into());
        writer.write(format_args!(" {}.{:02}m", centimetres / 100, centimetres % 100));
    }
    Some(())
}

/// Degrees, minutes, seconds and hemisphere.
fn angle(writer: &mut TextWriter<'_>, value: u32, most: u32, hemispheres: [char; 2]) -> Option<()> {
    let [positive, negative] = hemispheres;
    let hemisphere = if value >= ORIGIN { positive } else { negative };
    let angle = value.abs_diff(ORIGIN);
    if angle > most * DEGREE {
        return None;
    }
    let (degrees, rest) = (angle / DEGREE, angle % DEGREE);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let (seconds, thousandths) = (rest / 1000, rest % 1000);
    writer.write(format_args!("{degrees} {minutes} {seconds}.{thousandths:03} {hemisphere}"));
    Some(())
}

/// Reads a location as RFC 1876 §3 allows it: minutes, seconds and all but the altitude are optional.
pub(super) fn read_location(reader: &mut Reader<'_, '_>) -> Option<()> {
    let latitude = read_angle(reader, 90, *b"NS")?;
    let longitude = read_angle(reader, 180, *b"EW")?;
    let altitude = read_metres(reader.word()?)?.checked_add(BASE)?;
    // A metre, ten kilometres and ten metres.
    let mut sizes = [0x12, 0x16, 0x13];
    for size in &mut sizes {
        if reader.is_at_end() {
            break;
        }
        *size = precision(u64::try_from(read_metres(reader.word()?)?).ok()?)?;
    }
    reader.put(&[0]);
    reader.put(&sizes);
    for number in [latitude, longitude, u32::try_from(altitude).ok()?] {
        reader.put(&number.to_be_bytes());
    }
    Some(())
}

/// `degrees [minutes [seconds]] hemisphere` as on the wire.
fn read_angle(reader: &mut Reader<'_, '_>, most: u32, hemispheres: [u8; 2]) -> Option<u32> {
    let mut angle = 0_u32;
    for unit in [DEGREE, 60_000, 1000, 0] {
        let word = reader.word()?;
        if let &[letter] = word
            && let Some(side) =
                hemispheres.iter().position(|&other| other == letter.to_ascii_uppercase())
        {
            let is_valid = unit != DEGREE && angle <= most * DEGREE;
            let angle =
                if side == 0 { ORIGIN.checked_add(angle) } else { ORIGIN.checked_sub(angle) };
            return angle.filter(|_| is_valid);
        }
        let value = match unit {
            0 => return None,
            1000 => thousandths(word).filter(|&value| value < 60_000)?,
            60_000 => number::<u32>(word).filter(|&value| value < 60)? * unit,
            _ => number::<u32>(word).filter(|&value| value <= most)? * unit,
        };
        angle = angle.checked_add(value)?;
    }
    None
}

/// A decimal number with up to three digits after the point, in thousandths.
fn thousandths(word: &[u8]) -> Option<u32> {
    let (whole, fraction) = decimal::<3>(word)?;
    u32::try_from(whole).ok()?.checked_mul(1000)?.checked_add(u32::try_from(fraction).ok()?)
}

/// `[-]metres[.centimetres][m]` in centimetres.
fn read_metres(word: &[u8]) -> Option<i64> {
    let word = word.strip_suffix(b"m").unwrap_or(word);
    let (sign, word) = word.strip_prefix(b"-").map_or((1, word), |word| (-1, word));
    let (whole, fraction) = decimal::<2>(word)?;
    let centimetres = whole.checked_mul(100)?.checked_add(fraction)?;
    i64::try_from(centimetres).ok()?.checked_mul(sign)
}

/// A decimal number: what is before the point, and `DIGITS` digits of what is behind it.
fn decimal<const DIGITS: usize>(word: &[u8]) -> Option<(u64, u64)> {
    let at = memchr::memchr(b'.', word).unwrap_or(word.len());
    let (whole, fraction) = word.split_at_checked(at)?;
    let fraction = fraction.get(1..).unwrap_or_default();
    let mut digits = [b'0'; DIGITS];
    digits.get_mut(..fraction.len())?.copy_from_slice(fraction);
    Some((number(whole)?, number(&digits)?))
}

/// Centimetres as a digit times a power of ten, rounded down (RFC 1876 §2).
fn precision(centimetres: u64) -> Option<u8> {
    let (mut digit, mut exponent) = (centimetres, 0_u8);
    while digit > 9 {
        digit /= 10;
        exponent += 1;
    }
    Some(u8::try_from(digit).ok()? << 4 | Some(exponent).filter(|&exponent| exponent <= 9)?)
}
