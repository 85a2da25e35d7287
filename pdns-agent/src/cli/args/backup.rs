//! Arguments of the commands that save, restore, copy and merge stores.

use crate::config::Connection;
use std::path::PathBuf;

/// `pdns admin backup`.
#[derive(Clone, Debug, clap::Args)]
pub struct BackupArgs {
    /// The file to write, replaced if it exists; - is standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Check the backup in FILE instead, from its beginning to its end; needs no store
    #[arg(long)]
    pub verify: bool,
}

/// The way to another store, beside the one that `--redis` names.
#[derive(Clone, Debug, clap::Args)]
pub struct OtherStore {
    /// Prefix of its keys.
    #[arg(
        id = "from_prefix",
        long = "from-prefix",
        value_name = "TEXT",
        help = "Prefix of the keys of STORE [default: pd:]"
    )]
    pub prefix: Option<String>,
    /// User name.
    #[arg(
        id = "from_user",
        long = "from-user",
        value_name = "NAME",
        help = "User name for the Redis of STORE"
    )]
    pub user: Option<String>,
    /// File with the password.
    #[arg(
        id = "from_password_file",
        long = "from-password-file",
        value_name = "FILE",
        help = "File that holds the password for the Redis of STORE [env: the password itself in \
            PDNS_FROM_REDIS_PASSWORD]"
    )]
    pub password_file: Option<PathBuf>,
}

impl OtherStore {
    /// Returns the connection to the store with this address.
    pub(in crate::cli) fn connection(&self, url: &str) -> Connection {
        Connection {
            url: Some(url.to_owned()),
            prefix: self.prefix.clone(),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
        }
    }
}

/// `pdns admin copy` and `pdns admin merge`.
#[derive(Clone, Debug, clap::Args)]
pub struct FromStore {
    /// The other store: a URL as of --redis; for merge also the file of a backup
    #[arg(value_name = "STORE")]
    pub store: String,
    /// The way to it.
    #[command(flatten)]
    pub other: OtherStore,
}

/// `pdns admin merge`.
#[derive(Clone, Debug, clap::Args)]
pub struct MergeArgs {
    /// The other store.
    #[command(flatten)]
    pub from: FromStore,
    /// Merge a store that did not keep all names of a flood, without its sums of the others
    #[arg(long)]
    pub leave_out_sums: bool,
}
