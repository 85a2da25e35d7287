//! Tables that tell which autonomous system announces an address, whose it is, and in which country its network is
//! registered.
//!
//! They are files of the operator: nothing is downloaded. Each is read whole into memory, never mapped: a file that is cut
//! short while it is in use would end the program.

mod ranges;
mod text;

use self::ranges::Ranges;
use crate::source::open_unpacked;
use maxminddb::path;
use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Largest table, in bytes, unpacked.
const MAX_TABLE: u64 = 1 << 30;
/// Last bytes of a `MaxMind` DB file in which its metadata begin
/// (<https://maxmind.github.io/MaxMind-DB/#database-metadata>).
const METADATA_WITHIN: usize = 128 << 10;
const METADATA: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Longest name of an organisation that is kept, in bytes.
const MAX_NAME: usize = 256;

/// The network of an address, as far as tables know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Network {
    /// Number of the autonomous system that announces it (RFC 6793).
    pub asn: Option<u32>,
    /// Name of its organisation: text from outside, which may hold anything but control characters.
    pub organisation: Option<Arc<str>>,
    /// Code of the country (ISO 3166-1 alpha-2), in capitals.
    pub country: Option<[u8; 2]>,
}

impl fmt::Display for Network {
    /// Number, organisation and country, such as `AS64496 Example, Inc., DE`; nothing if nothing is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asn = self.asn.map(|asn| format!("AS{asn}"));
        let named = [asn.as_deref(), self.organisation.as_deref()];
        let named = named.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let parts = [Some(named.as_str()).filter(|text| !text.is_empty()), self.country()];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Network {
    /// Returns true if nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the code of the country as text.
    #[must_use]
    pub fn country(&self) -> Option<&str> {
        self.country.as_ref().and_then(|code| std::str::from_utf8(code).ok())
    }

    /// Adds what only the other one knows. The name of an organisation belongs to the number beside it.
    fn complete(&mut self, other: Self) {
        if self.asn.is_none() || self.asn == other.asn {
            self.organisation = self.organisation.take().or(other.organisation);
        }
        self.asn = self.asn.or(other.asn);
        self.country = self.country.or(other.country);
    }
}

/// Reason why a table cannot be used.
#[derive(Debug, thiserror::Error)]
enum TableError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// A damaged `MaxMind` DB file.
    #[error("not a MaxMind DB file that can be read: {0}")]
    Database(String),
    /// A line that is not of the table's format.
    #[error("line {line}: {reason}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// The error in the line.
        reason: String,
    },
    /// A text file without a row.
    #[error("no row is in it")]
    Empty,
    /// Text in an unknown format.
    #[error(
        "not a table of addresses: give a MaxMind DB file, or the text of iptoasn, ip-location-db, pyasn or CAIDA's pfx2as"
    )]
    Unknown,
}

/// Tables, the most trusted first.
#[derive(Debug, Default)]
pub struct NetworkTables {
    paths: Vec<PathBuf>,
    tables: OnceLock<Vec<Table>>,
}

/// One table.
struct Table {
    path: PathBuf,
    content: Result<Content, TableError>,
    /// Addresses of which it could not be read, because it is damaged there.
    unreadable: AtomicU64,
}

enum Content {
    Database(maxminddb::Reader<Vec<u8>>),
    Ranges(Ranges),
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("path", &self.path).finish_non_exhaustive()
    }
}

impl NetworkTables {
    /// Tables in these files, which may be compressed. They are read when an address is first looked up.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, tables: OnceLock::new() }
    }

    /// Returns what the tables say of an address: of each property, what the first says that knows it.
    ///
    /// An IPv6 address with an IPv4 address in it (`::ffff:192.0.2.7`, RFC 4291 §2.5.5.2) is that address.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Network {
        let address = address.to_canonical();
        let mut network = Network::default();
        let tables =
            self.tables.get_or_init(|| self.paths.iter().map(|path| Table::read(path)).collect());
        for table in tables {
            match &table.content {
                // An answer from the store is worth having without it.
                Err(_) => {}
                Ok(Content::Ranges(ranges)) => network.complete(ranges.of(address)),
                Ok(Content::Database(database)) => match of_database(database, address) {
                    Ok(found) => network.complete(found),
                    Err(_) => {
                        table.unreadable.fetch_add(1, Ordering::Relaxed);
                    }
                },
            }
        }
        network
    }

    /// Returns a sentence about each table that could not be used, or that was damaged where it was looked at so far.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let tables = self.tables.get().into_iter().flatten();
        let problems = tables.filter_map(|table| {
            let path = table.path.display();
            let addresses = table.unreadable.load(Ordering::Relaxed);
            match &table.content {
                Err(cause) => Some(format!("cannot use the table of addresses {path}: {cause}")),
                Ok(_) => (addresses > 0).then(|| {
                    format!("{path} is damaged: it could not be read for {addresses} addresses")
                }),
            }
        });
        problems.collect()
    }
}

impl Table {
    fn read(path: &Path) -> Self {
        Self { path: path.to_owned(), content: read(path), unreadable: AtomicU64::new(0) }
    }
}

fn read(path: &Path) -> Result<Content, TableError> {
    let mut bytes = Vec::new();
    // One byte more than a table may have, so that a larger one is noticed.
    open_unpacked(path)?.take(MAX_TABLE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_TABLE {
        let text = format!("it has more than {} MiB, unpacked", MAX_TABLE >> 20);
        return Err(io::Error::other(text).into());
    }
    let tail = bytes.get(bytes.len().saturating_sub(METADATA_WITHIN)..).unwrap_or_default();
    if memchr::memmem::find(tail, METADATA).is_some() {
        let reader = maxminddb::Reader::from_source(bytes);
        return reader
            .map(Content::Database)
            .map_err(|error| TableError::Database(error.to_string()));
    }
    text::read(&bytes).map(Content::Ranges)
}

/// Returns what a database says of an address, whichever layout it has: that of `MaxMind` and DB-IP, with nested maps; that
/// of `IPinfo`, with `asn` as text; or the flat one of ip-location-db.
fn of_database(
    database: &maxminddb::Reader<Vec<u8>>,
    address: IpAddr,
) -> Result<Network, maxminddb::MaxMindDbError> {
    // A database of IPv4 addresses knows nothing of others.
    if address.is_ipv6() && database.metadata().ip_version == 4 {
        return Ok(Network::default());
    }
    let found = database.lookup(address)?;
    if !found.has_data() {
        return Ok(Network::default());
    }
    let asn = at(&found, &path!["autonomous_system_number"])
        .or_else(|| at(&found, &path!["traits", "autonomous_system_number"]))
        .or_else(|| at(&found, &path!["asn"]))
        .map(|Asn(number)| number);
    let organisation = at::<String>(&found, &path!["autonomous_system_organization"])
        .or_else(|| at(&found, &path!["traits", "autonomous_system_organization"]))
        .or_else(|| at(&found, &path!["as_name"]));
    let country = at::<String>(&found, &path!["country", "iso_code"])
        .or_else(|| at(&found, &path!["registered_country", "iso_code"]))
        .or_else(|| at(&found, &path!["country_code"]))
        .or_else(|| at(&found, &path!["country"]));
    if asn.is_none() && organisation.is_none() && country.is_none() {
        // Nothing of a damaged record can be decoded, and nothing of one about something else, such as cities.
        found.decode::<de::IgnoredAny>()?;
    }
    Ok(Network {
        asn: asn.filter(|asn| *asn != 0),
        organisation: organisation.as_deref().and_then(organisation_name),
        country: country.as_deref().and_then(country_code),
    })
}

/// The number of an autonomous system, as text or as a number of any width: writers choose the narrowest.
struct Asn(u32);

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Asn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of an autonomous system")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Asn, E> {
                u32::try_from(number).map(Asn).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Asn, E> {
                u32::try_from(number).map(Asn).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Asn, E> {
                text::asn(text).map(Asn).ok_or_else(|| E::custom("not a number"))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Returns a value within a record; nothing for one of another type, which is one of another layout.
fn at<T: DeserializeOwned>(
    found: &maxminddb::LookupResult<'_, Vec<u8>>,
    path: &[maxminddb::PathElement<'_>],
) -> Option<T> {
    found.decode_path(path).ok().flatten()
}

/// Reads the code of a country.
fn country_code(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_alphabetic).then(|| code.map(|byte| byte.to_ascii_uppercase()))
}

/// Takes the name of an organisation, without control characters, and cut if it is very long.
fn organisation_name(text: &str) -> Option<Arc<str>> {
    let clean: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let clean = clean.trim();
    let end = clean.floor_char_boundary(MAX_NAME);
    clean.get(..end).filter(|name| !name.is_empty()).map(Arc::from)
}
