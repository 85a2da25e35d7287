//! Conversion of Redis replies to the expected types.

use crate::store::StoreError;
use redis::Value;

/// Converts an integer, given as such or as text.
pub(crate) fn integer(value: &Value) -> Result<i64, StoreError> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::BulkString(text) => {
            let text = std::str::from_utf8(text).ok();
            text.and_then(|text| text.parse().ok()).ok_or(StoreError::Reply)
        }
        _ => Err(StoreError::Reply),
    }
}

/// Converts a string of octets.
pub(crate) fn octets(value: Value) -> Result<Vec<u8>, StoreError> {
    maybe_octets(value)?.ok_or(StoreError::Reply)
}

/// Converts a string of octets that may be missing.
pub(crate) fn maybe_octets(value: Value) -> Result<Option<Vec<u8>>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(octets) => Ok(Some(octets)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        _ => Err(StoreError::Reply),
    }
}

/// Converts a list.
pub(crate) fn list(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        _ => Err(StoreError::Reply),
    }
}

/// Fields and values of a hash, in the order of the reply.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Converts the fields and values of a hash.
pub(crate) fn pairs(value: Value) -> Result<Pairs, StoreError> {
    let mut values = list(value)?.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let Some(field) = values.next() {
        let value = values.next().ok_or(StoreError::Reply)?;
        pairs.push((octets(field)?, octets(value)?));
    }
    Ok(pairs)
}
