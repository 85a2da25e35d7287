//! Reads a snapshot of a server (RDB) as a sequence of keys, each with its value as `RESTORE` takes it.
//!
//! Part of `store/backup`. The format: <https://rdb.fnordig.de/file_format.html>, and `src/rdb.c` of Redis and Valkey.

use super::rdb_input::{RdbInput, SnapshotError};
use super::rdb_value::{module, skip};
use std::io::Read;

/// The versions of snapshots that are read. From 80 on they are Valkey's.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=89;
/// The first version of Valkey's own.
const VALKEY: u32 = 80;

/// A key of a snapshot that is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SnapshotKey<'s> {
    /// The whole key.
    pub(super) key: &'s [u8],
    /// Type of the value.
    pub(super) kind: u8,
    /// The value, as after its type.
    pub(super) value: &'s [u8],
}

/// A snapshot that is read.
pub(super) struct Rdb<R> {
    input: RdbInput<R>,
    is_valkey: bool,
    version: u32,
    /// The database that its keys are taken from.
    database: u64,
    current: u64,
    key: Vec<u8>,
}

impl<R: Read> Rdb<R> {
    /// Reads the beginning of a snapshot.
    pub(super) fn open(inner: R, database: u64) -> Result<Self, SnapshotError> {
        let mut input = RdbInput::new(inner);
        let start = input.array::<9>()?;
        let number = match &start {
            [b'R', b'E', b'D', b'I', b'S', number @ ..] => &number[..],
            [b'V', b'A', b'L', b'K', b'E', b'Y', number @ ..] => &number[..],
            _ => return Err(input.fault("it begins like no snapshot of Redis or Valkey")),
        };
        let version = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let Some(version) = version.filter(|version| VERSIONS.contains(version)) else {
            let shown = String::from_utf8_lossy(&start).into_owned();
            return Err(input.fault(format!("{shown:?} is not a known version of snapshots")));
        };
        let is_valkey = version >= VALKEY;
        Ok(Self { input, is_valkey, version, database, current: 0, key: Vec::new() })
    }

    /// Returns the version of the snapshot.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Reads up to the next key that `is_wanted`, in the order of the snapshot; keys that expire are not. `None` at the
    /// end, after comparing the checksum.
    pub(super) fn next(
        &mut self,
        is_wanted: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Option<SnapshotKey<'_>>, SnapshotError> {
        let mut expires = false;
        loop {
            let kind = self.input.byte()?;
            match kind {
                // Version 9 of Valkey: a slot that moves to this node. 244: sizes of a slot.
                243 if self.is_valkey => {
                    self.input.string()?;
                    for _ in 0..self.input.number()? {
                        self.input.number()?;
                        self.input.number()?;
                    }
                }
                244 => {
                    for _ in 0..3 {
                        self.input.number()?;
                    }
                }
                // A library of functions: ours are loaded by whoever needs them.
                245 => self.input.string()?,
                247 => {
                    for _ in 0..3 {
                        self.input.number()?;
                    }
                    module(&mut self.input)?;
                }
                // When a key was last used, and how often.
                248 => drop(self.input.number()?),
                249 => drop(self.input.byte()?),
                250 => {
                    self.input.string()?;
                    self.input.string()?;
                }
                251 => {
                    self.input.number()?;
                    self.input.number()?;
                }
                252 => {
                    self.input.skip(8)?;
                    expires = true;
                }
                253 => {
                    self.input.skip(4)?;
                    expires = true;
                }
                254 => self.current = self.input.number()?,
                255 => return self.end(),
                242..=246 => {
                    let fault = format!("{kind} is not a known part: install a newer pdns");
                    return Err(self.input.fault(fault));
                }
                _ => {
                    self.input.key(&mut self.key)?;
                    let is_kept = !expires && self.current == self.database && is_wanted(&self.key);
                    expires = false;
                    if !is_kept {
                        skip(&mut self.input, kind, self.is_valkey)?;
                        continue;
                    }
                    self.input.keep();
                    skip(&mut self.input, kind, self.is_valkey)?;
                    let value = self.input.kept();
                    return Ok(Some(SnapshotKey { key: &self.key, kind, value }));
                }
            }
        }
    }

    /// Compares the checksum at the end; 0 stands for a server that makes none.
    fn end(&mut self) -> Result<Option<SnapshotKey<'_>>, SnapshotError> {
        if self.version < 5 {
            return Ok(None);
        }
        let found = self.input.checksum();
        let told = u64::from_le_bytes(self.input.array()?);
        if told != 0 && told != found {
            return Err(self.input.fault("its checksum does not match: it is damaged"));
        }
        Ok(None)
    }

    /// Returns an error at this place.
    pub(super) fn fault(&self, reason: &str) -> SnapshotError {
        self.input.fault(reason)
    }

    /// Reads what stands behind the end.
    pub(super) fn trailer<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        self.input.array()
    }
}

#[cfg(test)]
mod tests {
    use super::super::crc64::crc64;
    use super::*;
    use proptest::prelude::*;

    /// Encodes a length in one of its forms.
    fn length(number: u64) -> Vec<u8> {
        match number {
            0..64 => vec![u8::try_from(number).unwrap()],
            64..16_384 => (0x4000 | u16::try_from(number).unwrap()).to_be_bytes().to_vec(),
            _ => [&[0x81][..], &number.to_be_bytes()].concat(),
        }
    }

    fn string(text: &[u8]) -> Vec<u8> {
        [length(text.len() as u64), text.to_vec()].concat()
    }

    /// Completes a snapshot.
    fn snapshot(start: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut octets = [start, &parts.concat(), &[255]].concat();
        octets.extend(crc64(0, &octets).to_le_bytes());
        octets
    }

    /// Key, type and value.
    type Read = (Vec<u8>, u8, Vec<u8>);

    /// Reads the keys that begin with `p`.
    fn read(octets: &[u8]) -> Result<Vec<Read>, SnapshotError> {
        let mut rdb = Rdb::open(octets, 0)?;
        let mut keys = Vec::new();
        while let Some(SnapshotKey { key, kind, value }) =
            rdb.next(&mut |key| key.starts_with(b"p"))?
        {
            keys.push((key.to_vec(), kind, value.to_vec()));
        }
        Ok(keys)
    }

    #[test]
    fn wanted_keys_are_found_among_all_else() {
        let value = string(b"value");
        let key =
            |kind: u8, name: &[u8], value: &[u8]| [&[kind], &string(name)[..], value].concat();
        let wanted = key(0, b"p1", &value);
        let stream = [
            &[1][..],
            &string(&[0; 16]),
            &string(b"entries"),
            &[1, 2, 3, 4, 5, 6, 7, 8, 1],
            &string(b"group"),
            &[1, 2, 3, 1],
            &[0; 24],
            &[1, 1],
            &string(b"consumer"),
            &[0; 16],
            &[1],
            &[0; 16],
        ];
        let module = [
            &[5][..],
            &[1, 7, 2, 7, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5],
            &string(b"x"),
            &[0],
        ];
        let octets = snapshot(
            b"REDIS0012",
            &[
                &[250],
                &string(b"redis-ver"),
                &string(b"8.0.2"),
                &[245],
                &string(b"#!lua name=x"),
                &[247, 5, 2, 1, 2, 9, 0],
                &[254, 0],
                &[251, 9, 1],
                &[244, 1, 2, 3],
                &wanted,
                &[252],
                &[0; 8],
                &key(0, b"p-expires", &value),
                &[253],
                &[0; 4],
                &key(0, b"p-expires", &value),
                &[248, 7],
                &[249, 7],
                &key(4, b"p2", &[&[1][..], &value, &value].concat()),
                &key(21, b"p3", &stream.concat()),
                &key(7, b"p4", &module.concat()),
                &key(3, b"zset", &[&[2][..], &value, &[3], b"1.5", &value, &[255]].concat()),
                &key(5, b"zset2", &[&[1][..], &value, &[0; 8]].concat()),
                &key(18, b"list", &[&[2, 1][..], &value, &[2], &value].concat()),
                &key(24, b"fields", &[&[0; 8][..], &[1, 1], &value, &value].concat()),
                &key(25, b"fields2", &[&[0; 8][..], &value].concat()),
                &key(2, b"p5", &[2, 0xc0, 5, 0xc3, 4, 5, 1, 2, 3, 4]),
                &[254, 3],
                &key(0, b"p-elsewhere", &value),
            ],
        );
        let found = read(&octets).unwrap();
        let names: Vec<&[u8]> = found.iter().map(|(name, ..)| name.as_slice()).collect();
        assert_eq!(names, [&b"p1"[..], b"p2", b"p3", b"p4", b"p5"]);
        assert_eq!(found[0], (b"p1".to_vec(), 0, value.clone()));
        assert_eq!(found[4], (b"p5".to_vec(), 2, vec![2, 0xc0, 5, 0xc3, 4, 5, 1, 2, 3, 4]));
        // Valkey has another type 22, and a part of its own.
        let fields = key(22, b"p", &[&[1][..], &value, &value, &[0; 8]].concat());
        let slot = [&[243][..], &string(b"job"), &[1, 2, 3]].concat();
        assert_eq!(read(&snapshot(b"VALKEY080", &[&slot, &fields])).unwrap().len(), 1);
        assert!(read(&snapshot(b"REDIS0012", &[&fields])).is_err());
        assert!(read(&snapshot(b"REDIS0012", &[&slot])).is_err());
    }

    #[track_caller]
    fn refused(octets: &[u8], reason: &str) {
        let error = read(octets).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_place() {
        refused(b"HTTP/1.1 200 OK", "begins like no snapshot");
        refused(b"REDIS9999", "not a known version");
        refused(b"VALKEYxyz", "not a known version");
        refused(b"REDIS0011", "ends too early");
        refused(&[b"REDIS0011".as_slice(), &[26]].concat(), "ends too early");
        refused(
            &snapshot(b"REDIS0011", &[&[26, 1, b'p']]),
            "byte 12 of the snapshot: type 26 is not known",
        );
        refused(&snapshot(b"REDIS0011", &[&[242]]), "242 is not a known part");
        // A string of 2^63 bytes, and a hash of 2^63 fields, are not believed.
        let huge = [&[0, 1, b'p', 0x81][..], &(1_u64 << 63).to_be_bytes()].concat();
        refused(&snapshot(b"REDIS0011", &[&huge]), "ends too early");
        let huge = [&[4, 1, b'p', 0x81][..], &(1_u64 << 63).to_be_bytes()].concat();
        refused(&snapshot(b"REDIS0011", &[&huge]), "");
        let mut damaged = snapshot(b"REDIS0011", &[&[0, 1, b'p', 1, b'x']]);
        damaged[13] ^= 1;
        refused(&damaged, "checksum does not match");
    }

    proptest! {
        #[test]
        fn any_octets_end_in_keys_or_an_error(
            is_valkey in any::<bool>(),
            octets in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..30, 240_u8..], 0..400),
        ) {
            let start = if is_valkey { b"VALKEY080" } else { b"REDIS0011" };
            drop(read(&[start.as_slice(), &octets].concat()));
        }

        #[test]
        fn keys_read_back_until_the_snapshot_is_cut(
            keys in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..20_000)), 0..6),
            at in any::<prop::sample::Index>(),
        ) {
            let parts = keys.iter().map(|(key, value)| {
                [&[0], &string(&[b"p".as_slice(), key].concat())[..], &string(value)].concat()
            });
            let octets = snapshot(b"REDIS0010", &[&parts.collect::<Vec<_>>().concat()]);
            let found = read(&octets).unwrap();
            let want: Vec<_> = keys
                .iter()
                .map(|(key, value)| ([b"p".as_slice(), key].concat(), 0, string(value)))
                .collect();
            prop_assert_eq!(found, want);
            prop_assert!(read(&octets[..at.index(octets.len())]).is_err());
        }
    }
}
