//! Words: texts that many indicators share, and that are stored once.
//!
//! Labels and the first parts of references are words; so is a note, as long as a source has few different ones.
//! Numbers of words are reserved in blocks, and are never used again: after a withdrawn source its words remain.

use crate::store::layout::listing::Text;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Store, StoreError};
use std::collections::HashMap;

/// Maximum number of words in a store; further texts are stored with each indicator.
const MAX_WORDS: usize = 200_000;
/// Maximum number of words that one import adds.
const MAX_NEW: usize = 20_000;
/// Maximum number of different notes of one import that become words.
const MAX_NOTES: usize = 256;
/// Numbers reserved at once.
const BLOCK: u32 = 256;

/// The words of a store, while indicators are imported.
#[derive(Default)]
pub(super) struct Words {
    known: HashMap<String, u32>,
    /// Words to write, with their numbers.
    new: Vec<(u32, String)>,
    added: usize,
    notes: usize,
    /// Numbers that are reserved and not used: the next, and how many.
    reserved: (u32, u32),
}

impl Words {
    /// Reads the words of a store.
    pub(super) fn load(store: &mut Store) -> Result<Self, StoreError> {
        let key = store.keys.intel("iw");
        let mut words = Self::default();
        let mut packed = Pipeline::default();
        packed.command(&[b"HGETALL", key.as_bytes()]);
        store.client.send(&packed)?;
        store.client.pairs(1, &|_| key.clone(), &mut |_, number, word| {
            let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            let word = String::from_utf8(word.to_vec()).ok();
            let (Some(number), Some(word)) = (number, word) else {
                return Err(StoreError::damaged(&key));
            };
            words.known.insert(word, number);
            Ok(())
        })?;
        Ok(words)
    }

    /// Returns labels or a part of a reference as a word.
    pub(super) fn text(&mut self, store: &mut Store, text: &str) -> Result<Text, StoreError> {
        if text.is_empty() {
            return Ok(Text::None);
        }
        if let Some(&number) = self.known.get(text) {
            return Ok(Text::Word(number));
        }
        if self.known.len() >= MAX_WORDS || self.added >= MAX_NEW {
            return Ok(Text::Inline(text.to_owned()));
        }
        let number = self.reserve(store)?;
        self.added += 1;
        self.known.insert(text.to_owned(), number);
        self.new.push((number, text.to_owned()));
        Ok(Text::Word(number))
    }

    /// Returns a note, as a word if it is one of the first few.
    pub(super) fn note(&mut self, store: &mut Store, note: &str) -> Result<Text, StoreError> {
        if !note.is_empty() && !self.known.contains_key(note) {
            if self.notes >= MAX_NOTES {
                return Ok(Text::Inline(note.to_owned()));
            }
            self.notes += 1;
        }
        self.text(store, note)
    }

    fn reserve(&mut self, store: &mut Store) -> Result<u32, StoreError> {
        let (next, left) = self.reserved;
        if left > 0 {
            self.reserved = (next + 1, left - 1);
            return Ok(next);
        }
        let (key, block) = (store.keys.intel("i"), BLOCK.to_string());
        let words: [&[u8]; 4] = [b"HINCRBY", key.as_bytes(), b"w", block.as_bytes()];
        let last = reply::integer(&store.client.ask(&words)?)?;
        let last = u32::try_from(last).ok().filter(|&last| last >= BLOCK);
        let first = last.ok_or_else(|| StoreError::damaged(&key))? - BLOCK + 1;
        self.reserved = (first + 1, BLOCK - 1);
        Ok(first)
    }

    /// Writes the new words. To be called before the listings that use them are written.
    pub(super) fn flush(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let key = store.keys.intel("iw");
        for words in self.new.chunks(1_000) {
            let mut packed = Pipeline::default();
            packed.begin(2 + 2 * words.len()).arg("HSET").arg(&key);
            for (number, word) in words {
                packed.arg(number.to_string()).arg(word);
            }
            store.client.call(&packed)?;
        }
        self.new.clear();
        Ok(())
    }
}
