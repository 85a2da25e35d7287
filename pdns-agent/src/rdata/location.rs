//! Geographical locations: LOC (RFC 1876).

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
