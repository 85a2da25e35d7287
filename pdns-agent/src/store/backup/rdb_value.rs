//! The end of each kind of value in a snapshot: values are not decoded, only passed over.
//!
//! Part of `store/backup`. A server may hold other things than a store, so all types that Redis and Valkey have are
//! known: <https://github.com/valkey-io/valkey/blob/unstable/src/rdb.h>.

use super::rdb_input::{RdbInput, SnapshotError};
use std::io::Read;

/// The highest type that Redis 7.0 reads: a list of listpacks, or a stream.
const HIGHEST_OF_7_0: u8 = 19;

/// Version that a value of this type is marked with for `RESTORE`: the first that has the type, as Valkey refuses most
/// of those of later Redis, and Redis all of those of later Valkey. `None` for a type that no key of a store has.
pub(super) fn version_of(kind: u8) -> Option<u16> {
    match kind {
        0..=2 | 4 | 10..=11 | 13..=14 | 16 | 18 => Some(10),
        20 => Some(11),
        _ => None,
    }
}

/// Consumes a value of this type.
pub(super) fn skip<R: Read>(
    input: &mut RdbInput<R>,
    kind: u8,
    is_valkey: bool,
) -> Result<(), SnapshotError> {
    match kind {
        // A string, or one string that holds everything.
        0 | 9 | 10 | 11 | 12 | 13 | 16 | 17 | 20 => input.string(),
        1 | 2 | 14 => each(input, RdbInput::string),
        3 => each(input, |input| {
            input.string()?;
            old_double(input)
        }),
        4 => each(input, |input| {
            input.string()?;
            input.string()
        }),
        5 => each(input, |input| {
            input.string()?;
            input.skip(8)
        }),
        7 => {
            input.number()?;
            module(input)
        }
        18 => each(input, |input| {
            input.number()?;
            input.string()
        }),
        15 | 19 | 21 => stream(input, kind),
        // Fields that expire: of Valkey, then of Redis.
        22 if is_valkey => each(input, |input| {
            input.string()?;
            input.string()?;
            input.skip(8)
        }),
        24 if !is_valkey => {
            input.skip(8)?;
            each(input, |input| {
                input.number()?;
                input.string()?;
                input.string()
            })
        }
        25 if !is_valkey => {
            input.skip(8)?;
            input.string()
        }
        _ => Err(input.fault(format!("type {kind} is not known: install a newer pdns"))),
    }
}

/// Consumes a number and as many things.
fn each<R: Read>(
    input: &mut RdbInput<R>,
    mut one: impl FnMut(&mut RdbInput<R>) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    for _ in 0..input.number()? {
        one(input)?;
    }
    Ok(())
}

/// Consumes a score as text, with its length in one byte; 253 to 255 stand for what is no number.
fn old_double<R: Read>(input: &mut RdbInput<R>) -> Result<(), SnapshotError> {
    match input.byte()? {
        253..=255 => Ok(()),
        length => input.skip(length.into()),
    }
}

/// Consumes what a module wrote, up to its end.
pub(super) fn module<R: Read>(input: &mut RdbInput<R>) -> Result<(), SnapshotError> {
    loop {
        match input.number()? {
            0 => return Ok(()),
            1 | 2 => input.number().map(drop)?,
            3 => input.skip(4)?,
            4 => input.skip(8)?,
            5 => input.string()?,
            other => return Err(input.fault(format!("{other} is not a value of a module"))),
        }
    }
}

/// Consumes a stream: its entries, then its groups with what they have not acknowledged.
fn stream<R: Read>(input: &mut RdbInput<R>, kind: u8) -> Result<(), SnapshotError> {
    each(input, |input| {
        input.string()?;
        input.string()
    })?;
    // Length and last identifier; later also the first one, the largest deleted one, and a count.
    for _ in 0..if kind >= HIGHEST_OF_7_0 { 8 } else { 3 } {
        input.number()?;
    }
    each(input, |input| {
        input.string()?;
        for _ in 0..if kind >= HIGHEST_OF_7_0 { 3 } else { 2 } {
            input.number()?;
        }
        each(input, |input| {
            input.skip(16 + 8)?;
            input.number().map(drop)
        })?;
        each(input, |input| {
            input.string()?;
            input.skip(if kind > HIGHEST_OF_7_0 { 16 } else { 8 })?;
            each(input, |input| input.skip(16))
        })
    })
}
