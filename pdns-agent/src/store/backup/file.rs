//! The file of a backup.
//!
//! Part of `store/backup`. Numbers are big-endian and unsigned.
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | `89`, `pdnsbk`, newline |
//! | 2 | version of this format: 1 |
//! | 4, then so many | a JSON object that describes the store: [`Description`] |
//! | | an LZ4 frame of all keys: length of the key without the prefix of the store (2), the key, length of the value (4), the value. After the last one: 0 (2), number of keys (8) |
//! | 8 | `pdnsend`, newline |
//! | 32 | SHA-256 of all bytes before |
//!
//! A value is its type and then what the server's snapshot has for it: `RESTORE` takes this, followed by two bytes of
//! version and eight of a checksum.

use super::{BackupError, Description, EachKey};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write};

const MAGIC: &[u8; 8] = b"\x89pdnsbk\n";
const END: &[u8; 8] = b"pdnsend\n";
const VERSION: u16 = 1;
/// Bytes of the checksum.
pub(super) const DIGEST: usize = 32;
/// Longest description.
const LONGEST_DESCRIPTION: u32 = 64 << 10;
/// Longest value, as in a snapshot.
const LONGEST_VALUE: u32 = 1 << 30;
/// Bytes read at a time.
const BLOCK: usize = 256 << 10;

/// Passes bytes on and computes their checksum.
struct Summed<T> {
    inner: T,
    context: Context,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Self {
        Self { inner, context: Context::new(&SHA256) }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all(bytes)?;
        self.context.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.context.update(bytes.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// A backup that is written.
pub(super) struct BackupWriter<W: Write> {
    frame: FrameEncoder<Summed<W>>,
    keys: u64,
}

impl<W: Write> BackupWriter<W> {
    /// Writes the beginning.
    pub(super) fn new(out: W, description: &Description) -> io::Result<Self> {
        let mut out = Summed::new(out);
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_be_bytes())?;
        let text = serde_json::to_vec(description)?;
        out.write_all(&u32::try_from(text.len()).map_err(io::Error::other)?.to_be_bytes())?;
        out.write_all(&text)?;
        let info =
            FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max4MB);
        Ok(Self { frame: FrameEncoder::with_frame_info(info, out), keys: 0 })
    }

    /// Writes one key, without the prefix of the store.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let length = u16::try_from(key.len()).map_err(io::Error::other)?;
        self.frame.write_all(&length.to_be_bytes())?;
        self.frame.write_all(key)?;
        let length = u32::try_from(value.len()).map_err(io::Error::other)?;
        self.frame.write_all(&length.to_be_bytes())?;
        self.frame.write_all(value)?;
        self.keys += 1;
        Ok(())
    }

    /// Writes the end; returns the number of keys.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.frame.write_all(&0_u16.to_be_bytes())?;
        self.frame.write_all(&self.keys.to_be_bytes())?;
        let mut out = self.frame.finish().map_err(io::Error::other)?;
        out.write_all(END)?;
        let digest = out.context.clone().finish();
        out.inner.write_all(digest.as_ref())?;
        out.inner.flush()?;
        Ok(self.keys)
    }
}

/// A backup that is read, once to check it and then once for each use.
pub(super) struct BackupFile {
    file: File,
    pub(super) description: Description,
    /// Checksum, which also identifies the backup.
    pub(super) digest: [u8; DIGEST],
    /// Beginning and end of the frame.
    body: (u64, u64),
    pub(super) keys: u64,
    /// Bytes of their values.
    pub(super) bytes: u64,
}

impl BackupFile {
    /// Checks the whole file.
    pub(super) fn open(mut file: File) -> Result<Self, BackupError> {
        let length = file.seek(SeekFrom::End(0)).map_err(BackupError::Read)?;
        file.rewind().map_err(BackupError::Read)?;
        let mut start = Vec::new();
        (&mut file).take(14).read_to_end(&mut start).map_err(BackupError::Read)?;
        let Some((MAGIC, rest)) = start.split_first_chunk() else {
            return Err(BackupError::Foreign);
        };
        let Some((version, rest)) = rest.split_first_chunk() else { return Err(cut()) };
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            return Err(BackupError::Version(version));
        }
        let text = rest.first_chunk().map(|length| u32::from_be_bytes(*length)).ok_or_else(cut)?;
        let ending = (END.len() + DIGEST) as u64;
        let end = length.checked_sub(ending).filter(|end| *end >= 14 + u64::from(text));
        let (Some(end), true) = (end, text <= LONGEST_DESCRIPTION) else {
            return Err(cut());
        };
        file.seek(SeekFrom::Start(end)).map_err(BackupError::Read)?;
        let mut ending = Vec::new();
        file.read_to_end(&mut ending).map_err(BackupError::Read)?;
        let Some((END, digest)) = ending.split_first_chunk() else { return Err(cut()) };
        let digest: [u8; DIGEST] = digest.try_into().map_err(|_| cut())?;
        let body = (14 + u64::from(text), end);
        file.seek(SeekFrom::Start(14)).map_err(BackupError::Read)?;
        let mut described = Vec::new();
        (&mut file).take(text.into()).read_to_end(&mut described).map_err(BackupError::Read)?;
        let mut backup =
            Self { file, description: Description::default(), digest, body, keys: 0, bytes: 0 };
        backup.check()?;
        backup.description = serde_json::from_slice(&described)
            .map_err(|_| damaged("its description does not read"))?;
        let mut bytes = 0;
        backup.keys = backup.for_each(&mut |_, value| {
            bytes += value.len() as u64;
            Ok(())
        })?;
        backup.bytes = bytes;
        Ok(backup)
    }

    /// Compares the checksum.
    pub(super) fn check(&mut self) -> Result<(), BackupError> {
        self.file.rewind().map_err(BackupError::Read)?;
        let (mut context, mut block) = (Context::new(&SHA256), vec![0; BLOCK]);
        let mut left = self.body.1 + END.len() as u64;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            let block = block.get_mut(..room).unwrap_or_default();
            match self.file.read(block).map_err(BackupError::Read)? {
                0 => return Err(cut()),
                read => {
                    context.update(block.get(..read).unwrap_or_default());
                    left -= read as u64;
                }
            }
        }
        if context.finish().as_ref() == self.digest {
            Ok(())
        } else {
            Err(damaged("its checksum does not match"))
        }
    }

    /// Passes each key, without a prefix, and its value to `each`; returns their number.
    pub(super) fn for_each(&mut self, each: &mut EachKey<'_>) -> Result<u64, BackupError> {
        let (start, end) = self.body;
        self.file.seek(SeekFrom::Start(start)).map_err(BackupError::Read)?;
        let file = BufReader::with_capacity(BLOCK, (&self.file).take(end - start));
        let mut frame = BufReader::with_capacity(BLOCK, FrameDecoder::new(file));
        let (mut key, mut value, mut keys) = (Vec::new(), Vec::new(), 0_u64);
        loop {
            let length = u16::from_be_bytes(array(&mut frame)?);
            if length == 0 {
                break;
            }
            fill(&mut frame, length.into(), &mut key)?;
            let length = u32::from_be_bytes(array(&mut frame)?);
            if length > LONGEST_VALUE {
                return Err(damaged("a value has more than 1 GiB"));
            }
            fill(&mut frame, length, &mut value)?;
            each(&key, &value)?;
            keys += 1;
        }
        if u64::from_be_bytes(array(&mut frame)?) != keys {
            return Err(damaged("it has not as many keys as it says"));
        }
        match frame.read(&mut [0]) {
            Ok(0) => Ok(keys),
            Ok(_) => Err(damaged("something follows its last key")),
            Err(error) => Err(damaged(&error.to_string())),
        }
    }
}

fn array<const N: usize>(frame: &mut impl Read) -> Result<[u8; N], BackupError> {
    let mut bytes = [0; N];
    frame.read_exact(&mut bytes).map_err(|error| damaged(&error.to_string()))?;
    Ok(bytes)
}

/// Reads so many bytes, allocating as they come.
fn fill(frame: &mut impl Read, length: u32, to: &mut Vec<u8>) -> Result<(), BackupError> {
    to.clear();
    let read = frame.take(length.into()).read_to_end(to);
    match read {
        Ok(read) if read as u64 == u64::from(length) => Ok(()),
        Ok(_) => Err(damaged("it ends within a key")),
        Err(error) => Err(damaged(&error.to_string())),
    }
}

fn damaged(reason: &str) -> BackupError {
    BackupError::Damaged(reason.to_owned())
}

fn cut() -> BackupError {
    damaged("its end is missing")
}
