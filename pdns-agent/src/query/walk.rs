//! Names of the store in text order, a few at a time, for callers that look up each of them themselves.
//!
//! Part of `query`. `serve` uses it because it groups records, skips some of them, and must be able to stop
//! between two blocks. It uses the passes of a search.

use super::Text;
use super::names::pass;
use super::order::Passes;
use crate::name::{Name, NameBuf};
use crate::store::{Kind, Reader, StoreError};
use std::ops::ControlFlow;

/// Number of names passed on together.
const AT_ONCE: usize = 256;

/// The names to walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// One name, whether the store has it or not.
    One(NameBuf),
    /// A name, then all names below it.
    AtOrBelow(NameBuf),
    /// All names that match this text.
    Text(Text),
}

/// Callback that takes some names, and may query the store about them.
pub type EachNames<'e> =
    dyn FnMut(&mut Reader<'_>, &[NameBuf]) -> Result<ControlFlow<()>, StoreError> + 'e;

/// Passes the names of `walk` that pass `sieve` to `each`, in text order, until it breaks or `stop` returns
/// true.
///
/// `wanted` estimates how many names will be taken; a pass keeps about that many.
///
/// # Errors
/// [`StoreError`] when the store cannot be read, or an error of `each`.
pub fn walk(
    store: &mut Reader<'_>,
    walk: &Walk,
    sieve: &dyn Fn(Name<'_>) -> bool,
    wanted: usize,
    stop: &dyn Fn() -> bool,
    each: &mut EachNames<'_>,
) -> Result<(), StoreError> {
    let below;
    let text = match walk {
        Walk::One(name) | Walk::AtOrBelow(name) => {
            let flow = if sieve(name.as_name()) {
                each(store, std::slice::from_ref(name))?
            } else {
                ControlFlow::Continue(())
            };
            if flow.is_break() || matches!(walk, Walk::One(_)) {
                return Ok(());
            }
            below = Text { below: Some(name.clone()), ..Text::default() };
            &below
        }
        Walk::Text(text) => text,
    };
    let passes = Passes::default();
    let mut keep = wanted.clamp(passes.least, passes.most);
    let mut after = None;
    loop {
        let (names, more) = pass(store, &[Kind::Record], text, sieve, after.as_ref(), keep, stop)?;
        for names in names.chunks(AT_ONCE) {
            if stop() || each(store, names)?.is_break() {
                return Ok(());
            }
        }
        match names.last() {
            Some(last) if more => after = Some(last.clone()),
            _ => return Ok(()),
        }
        keep = keep.saturating_mul(4).min(passes.most);
    }
}
