//! Identification of the server, and of the reason for which it cannot hold a store.
//!
//! Beside `client`. Servers that speak the protocol of Redis differ in their features: the errors are worded here
//! according to the server's own `INFO`.

use crate::store::StoreError;
use crate::store::redis::client::RedisClient;
use crate::store::redis::reply;

/// Number of slots of a cluster.
const SLOTS: &str = "16384";
/// The section of `INFO` that only `KeyDB` has, and a part of the name of its program.
const KEYDB: &str = "keydb";

impl RedisClient {
    /// Returns the identity of the server's run, which changes with a restart; `None` if this user may not query it.
    pub(crate) fn run(&mut self) -> Result<Option<String>, StoreError> {
        let info = self.info("server")?;
        Ok(info.and_then(|info| field(&info, "run_id").map(str::to_owned)))
    }

    /// Refuses a node of a cluster, before anything is written. A cluster of a single node works like any other
    /// server.
    pub(crate) fn refuse_cluster(&mut self) -> Result<(), StoreError> {
        let Some(info) = self.info("server")? else { return Ok(()) };
        if field(&info, "redis_mode").or_else(|| field(&info, "server_mode")) != Some("cluster") {
            return Ok(());
        }
        // If this command is forbidden, a redirection will show it.
        let Some(cluster) = allowed(self.ask(&[b"CLUSTER", b"INFO"]))? else { return Ok(()) };
        let is_alone = field(&cluster, "cluster_size") == Some("1")
            && field(&cluster, "cluster_slots_assigned") == Some(SLOTS);
        if is_alone { Ok(()) } else { Err(StoreError::Cluster) }
    }

    /// Returns the error for a server that does not accept our functions.
    pub(crate) fn without_functions(&mut self) -> StoreError {
        let server = match self.info("server") {
            Ok(info) => info.unwrap_or_default(),
            Err(error) => return error,
        };
        // `INFO` accepts several sections only since version 7.0, and other servers do not know this one.
        let keydb = self.info(KEYDB).ok().flatten().unwrap_or_default();
        StoreError::NoFunctions(advice(&format!("{server}\n{keydb}")))
    }

    /// Returns a section of `INFO`; `None` if this user may not query it.
    fn info(&mut self, section: &str) -> Result<Option<String>, StoreError> {
        allowed(self.ask(&[b"INFO", section.as_bytes()]))
    }
}

/// Returns a text, unless the command is forbidden to this user.
fn allowed(reply: Result<redis::Value, StoreError>) -> Result<Option<String>, StoreError> {
    match reply {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&reply::octets(text)?).into_owned())),
        Err(StoreError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the value of a line `name:value`.
fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
}

/// Returns true if a server is `KeyDB`, which calls itself Redis: only a section of its own and the name of its
/// program tell them apart.
fn is_keydb(info: &str) -> bool {
    let program = field(info, "executable").and_then(|path| path.rsplit('/').next());
    field(info, "mvcc_depth").is_some() || program.is_some_and(|program| program.contains(KEYDB))
}

/// Explains why the server with this `INFO` does not accept our functions, and what to do.
fn advice(info: &str) -> String {
    if let Some(version) = field(info, "dragonfly_version") {
        return format!(
            "Dragonfly {version} is not supported, because it has no functions: use Redis 7.0 or later, or Valkey"
        );
    }
    if let Some(version) = field(info, "valkey_version") {
        return format!(
            "Valkey {version} runs without its Lua engine: load its Lua module (loadmodule in its configuration)"
        );
    }
    let Some(version) = field(info, "redis_version") else {
        return "this server has no functions: Redis 7.0 or later, or Valkey with its Lua module, is needed".to_owned();
    };
    if is_keydb(info) {
        return format!(
            "KeyDB {version} is not supported, because it has no functions: use Redis 7.0 or later, or Valkey"
        );
    }
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < 7) {
        format!(
            "Redis {version} is too old, because it has no functions: version 7.0 or later is needed"
        )
    } else {
        format!(
            "this server, which is compatible with Redis {version}, has no functions: use Redis 7.0 or later, or Valkey, \
             and do not rename the commands FUNCTION and FCALL"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_functions_is_named_by_what_it_says_of_itself() {
        for (info, told) in [
            (
                "# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\n",
                "Redis 6.2.14 is too old",
            ),
            (
                "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.0\r\n",
                "Valkey 9.1.0 runs without its Lua engine",
            ),
            (
                "# Server\r\nredis_version:7.4.0\r\ndragonfly_version:df-v1.34.2\r\nredis_mode:standalone\r\n",
                "Dragonfly df-v1.34.2 is not supported",
            ),
            // As reported by KeyDB 6.3.4 (Snapchat/KeyDB#981), also with its program renamed.
            (
                "# Server\r\nredis_version:6.3.4\r\nredis_git_sha1:7e7e5e57\r\nredis_git_dirty:1\r\n\
                 redis_build_id:bb8fc59400781b64\r\nredis_mode:standalone\r\n\
                 os:Linux 6.6.114.1-microsoft-standard-WSL2 x86_64\r\narch_bits:64\r\n\
                 multiplexing_api:epoll\r\natomicvar_api:atomic-builtin\r\ngcc_version:9.4.0\r\n\
                 process_id:1\r\nprocess_supervised:no\r\n\
                 run_id:8254ad05855174dea8b4c9873cc248514e32239a\r\ntcp_port:6379\r\n\
                 server_time_usec:1788360057758331\r\nuptime_in_seconds:5\r\nuptime_in_days:0\r\nhz:10\r\n\
                 configured_hz:10\r\nlru_clock:9975161\r\nexecutable:/data/keydb-server\r\n",
                "KeyDB 6.3.4 is not supported",
            ),
            (
                "# Server\r\nredis_version:6.3.4\r\nredis_mode:standalone\r\nexecutable:/usr/bin/redis-server\r\n\
                 # KeyDB\r\nmvcc_depth:0\r\n",
                "KeyDB 6.3.4 is not supported",
            ),
            (
                "# Server\r\nredis_version:6.2.14\r\nexecutable:/srv/keydb/redis-server\r\n",
                "Redis 6.2.14 is too old",
            ),
            ("# Server\r\nredis_version:7.0.15\r\n", "compatible with Redis 7.0.15"),
            ("", "this server has no functions"),
        ] {
            let advice = advice(info);
            assert!(advice.starts_with(told) || advice.contains(told), "{advice}");
        }
    }
}
