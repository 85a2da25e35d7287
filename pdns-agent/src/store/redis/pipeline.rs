//! Commands in wire format, packed to be sent together.
//!
//! Used by all parts of the store; `store/redis/link.rs` sends them. A cluster needs to know the key of each command,
//! which is read from the octets.

/// Commands that change nothing and name one key: they may be sent again elsewhere.
const READS: [&[u8]; 17] = [
    b"EXISTS",
    b"GET",
    b"GETRANGE",
    b"HGET",
    b"HGETALL",
    b"HKEYS",
    b"HLEN",
    b"HMGET",
    b"HSCAN",
    b"LRANGE",
    b"PTTL",
    b"SCARD",
    b"SISMEMBER",
    b"SMEMBERS",
    b"SSCAN",
    b"STRLEN",
    b"TYPE",
];
/// Commands that name no key.
const KEYLESS: [&[u8]; 8] =
    [b"CLIENT", b"CLUSTER", b"CONFIG", b"FUNCTION", b"INFO", b"PING", b"SCAN", b"WAIT"];

/// Commands in wire format (RESP), ready to be sent together.
#[derive(Default)]
pub(crate) struct Pipeline {
    bytes: Vec<u8>,
    /// Offset of each command.
    starts: Vec<usize>,
}

impl Pipeline {
    /// Begins a command of `parts` words; exactly that many calls of [`Pipeline::arg`] must follow.
    pub(crate) fn begin(&mut self, parts: usize) -> &mut Self {
        self.starts.push(self.bytes.len());
        self.number(b'*', parts);
        self
    }

    /// Begins a call of a function or script that gets `words` more words. `tag` is the common beginning of all keys
    /// that it uses; `present` is one of them.
    ///
    /// No key is named like the tag, and that is why it is declared: while a slot moves, a master of a cluster runs
    /// nothing that declares a key which it lacks. A call that found only some of its keys would destroy the others.
    /// With a second key that holds for the master that receives the slot, too.
    pub(crate) fn begin_call(
        &mut self,
        command: &str,
        function: &str,
        [tag, present]: [&str; 2],
        words: usize,
    ) -> &mut Self {
        self.begin(5 + words).arg(command).arg(function).arg("2").arg(tag).arg(present)
    }

    /// Appends one word of the current command.
    pub(crate) fn arg(&mut self, word: impl AsRef<[u8]>) -> &mut Self {
        let word = word.as_ref();
        self.number(b'$', word.len());
        self.bytes.extend_from_slice(word);
        self.bytes.extend_from_slice(b"\r\n");
        self
    }

    /// Appends words that were packed separately, without a command of their own.
    pub(crate) fn append(&mut self, words: &Self) {
        self.bytes.extend_from_slice(&words.bytes);
    }

    /// Continues with octets that were packed before.
    pub(crate) fn on(octets: Vec<u8>) -> Self {
        Self { bytes: octets, starts: Vec::new() }
    }

    /// Appends one complete command that was packed separately.
    pub(crate) fn raw(&mut self, octets: &[u8]) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(octets);
    }

    /// Returns the number of octets packed.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the packed octets.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the packed octets.
    pub(crate) fn into_octets(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends a complete command.
    pub(crate) fn command(&mut self, words: &[&[u8]]) {
        self.begin(words.len());
        for word in words {
            self.arg(word);
        }
    }

    /// Returns the number of commands.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns true if there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Removes the commands and keeps the allocation.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// Iterates over the commands.
    pub(in crate::store::redis) fn commands(&self) -> impl Iterator<Item = Command<'_>> {
        let ends = self.starts.iter().skip(1).copied().chain([self.bytes.len()]);
        self.starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| Command { octets: self.bytes.get(start..end).unwrap_or_default() })
    }

    /// Returns the key that a command is about, as text.
    pub(in crate::store::redis) fn key(&self, command: usize) -> Option<String> {
        let key = self.commands().nth(command)?.key()?;
        Some(String::from_utf8_lossy(key).into_owned())
    }

    fn number(&mut self, mark: u8, number: usize) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            if let Some(slot) = digits.get_mut(at) {
                *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes.push(mark);
        self.bytes.extend_from_slice(digits.get(at..).unwrap_or_default());
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// One packed command.
pub(in crate::store::redis) struct Command<'p> {
    octets: &'p [u8],
}

impl<'p> Command<'p> {
    /// Returns the command in wire format.
    pub(in crate::store::redis) fn octets(&self) -> &'p [u8] {
        self.octets
    }

    /// Returns the key that it is about: its second word, or its fourth if it calls a function or runs a script;
    /// `None` if it names none.
    pub(in crate::store::redis) fn key(&self) -> Option<&'p [u8]> {
        let mut words = self.words();
        let name = words.next()?;
        if KEYLESS.contains(&name) {
            return None;
        }
        if matches!(name, b"FCALL" | b"EVAL") { words.nth(2) } else { words.next() }
    }

    /// Returns true if it changes nothing.
    pub(in crate::store::redis) fn is_read(&self) -> bool {
        self.words().next().is_some_and(|name| READS.contains(&name))
    }

    fn words(&self) -> impl Iterator<Item = &'p [u8]> + use<'p> {
        let mut rest = line(self.octets, b'*').map_or(&[][..], |(_, rest)| rest);
        std::iter::from_fn(move || {
            let (length, after) = line(rest, b'$')?;
            let (word, after) = after.split_at_checked(length)?;
            rest = after.get(2..)?;
            Some(word)
        })
    }
}

/// Reads a line that holds a number, and returns what follows.
fn line(octets: &[u8], mark: u8) -> Option<(usize, &[u8])> {
    let end = memchr::memchr(b'\n', octets)?;
    let (line, rest) = octets.split_at_checked(end + 1)?;
    let digits = line.strip_prefix(&[mark])?.strip_suffix(b"\r\n")?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_found_with_its_key() {
        let mut packed = Pipeline::default();
        packed.command(&[b"GET", b"pd:{00}s0"]);
        packed.begin_call("FCALL", "pdns_upsert", ["pd:{01}", "pd:{01}m"], 1).arg("\r\n$3");
        let mut words = Pipeline::default();
        words.arg("HSET").arg("pd:schema").arg("m").arg("");
        packed.begin(4).append(&words);
        let mut whole = Pipeline::default();
        whole.command(&[b"SCAN", b"0"]);
        packed.raw(whole.octets());
        let found: Vec<_> = packed.commands().map(|one| (one.key(), one.is_read())).collect();
        let expected: [(Option<&[u8]>, bool); 4] = [
            (Some(b"pd:{00}s0"), true),
            (Some(b"pd:{01}"), false),
            (Some(b"pd:schema"), false),
            (None, false),
        ];
        assert_eq!(found, expected);
        assert_eq!(packed.key(2).as_deref(), Some("pd:schema"));
        assert_eq!(packed.key(4), None);
        let together: Vec<u8> = packed.commands().flat_map(|one| one.octets().to_vec()).collect();
        assert_eq!(together, packed.octets());
    }
}
