//! The functions that run inside Redis, for everything that must be atomic.
//!
//! Part of `store`. The digest of the library is part of its name and of the functions' names, so that agents
//! of different versions can share a server.

use crate::store::StoreError;
use crate::store::redis::client::RedisClient;
use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;
use std::sync::LazyLock;

/// The library, with a placeholder for its digest.
const LIBRARY: &str = concat!(include_str!("refusals.lua"), include_str!("write/functions.lua"));

/// The functions of this version.
pub(in crate::store) static FUNCTIONS: LazyLock<Functions> = LazyLock::new(Functions::new);

/// Names of the functions on the server.
pub(in crate::store) struct Functions {
    pub(in crate::store) upsert: String,
    pub(in crate::store) settle: String,
    pub(in crate::store) mark: String,
    pub(in crate::store) mend: String,
    pub(in crate::store) forget: String,
    pub(in crate::store) spread: String,
    pub(in crate::store) create: String,
    pub(in crate::store) sensor: String,
    library: String,
}

impl Functions {
    fn new() -> Self {
        // Only tells one text from another; the input is never hostile.
        let mut hasher = SipHasher13::new();
        hasher.write(LIBRARY.as_bytes());
        let digest = format!("{:016x}", hasher.finish());
        let name = |function: &str| format!("pdns_{function}_{digest}");
        Self {
            upsert: name("upsert"),
            settle: name("settle"),
            mark: name("mark"),
            mend: name("mend"),
            forget: name("forget"),
            spread: name("spread"),
            create: name("create"),
            sensor: name("sensor"),
            library: format!("#!lua name=pdns_{digest}\n{}", LIBRARY.replace("DIGEST", &digest)),
        }
    }

    /// Loads the functions unless the server has them.
    pub(in crate::store) fn load(&self, client: &mut RedisClient) -> Result<(), StoreError> {
        client.load_library(&self.library)
    }
}
