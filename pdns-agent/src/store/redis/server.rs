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
    /// Returns the identity of the run of each server, which changes with a restart, and with a replica that takes
    /// over; `None` if this user may not query it.
    pub(crate) fn run(&mut self) -> Result<Option<String>, StoreError> {
        let Some(infos) = self.infos("server")? else { return Ok(None) };
        let runs = infos.iter().map(|info| field(info, "run_id"));
        Ok(runs.collect::<Option<Vec<&str>>>().map(|runs| runs.join(" ")))
    }

    /// Refuses a server that only resembles Redis, and a node of a cluster whose URL names that node alone, before
    /// anything is written. A cluster of a single node works like any other server.
    pub(crate) fn refuse_unsupported(&mut self) -> Result<(), StoreError> {
        let Some(mut info) = self.info("server")? else { return Ok(()) };
        // KeyDB never reported a higher version; this saves all others a question.
        if major(&info).is_some_and(|major| major < 7) {
            info.push('\n');
            info.push_str(&self.info(KEYDB).ok().flatten().unwrap_or_default());
        }
        // First: Dragonfly reports that it is a cluster although it has no nodes.
        if let Some(reason) = unsupported(&info) {
            return Err(StoreError::UnsupportedServer(reason));
        }
        if self.is_cluster()? {
            return Ok(());
        }
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
        StoreError::UnsupportedServer(advice(&format!("{server}\n{keydb}")))
    }

    /// Returns a section of `INFO` of each server; `None` if this user may not query it.
    pub(crate) fn infos(&mut self, section: &str) -> Result<Option<Vec<String>>, StoreError> {
        self.ask_each(&[b"INFO", section.as_bytes()])?.into_iter().map(allowed).collect()
    }

    /// Returns a section of `INFO` of one server; `None` if this user may not query it.
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
pub(in crate::store) fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
}

/// Returns true if a server is `KeyDB`, which calls itself Redis: only a section of its own and the name of its
/// program tell them apart.
fn is_keydb(info: &str) -> bool {
    let program = field(info, "executable").and_then(|path| path.rsplit('/').next());
    field(info, "mvcc_depth").is_some() || program.is_some_and(|program| program.contains(KEYDB))
}

/// Returns the number before the first dot of the version of Redis that a server is compatible with.
fn major(info: &str) -> Option<u32> {
    field(info, "redis_version")?.split('.').next()?.parse().ok()
}

/// Returns the reason why a server that resembles Redis cannot hold a store, and the remedy; `None` for Redis, Valkey
/// and servers that are not known.
fn unsupported(info: &str) -> Option<String> {
    let (name, version, reason) = if let Some(version) = field(info, "dragonfly_version") {
        // dragonflydb/dragonfly#843 and #1020.
        ("Dragonfly", version, "it has no functions")
    } else if let Some(version) = field(info, "kvrocks_version") {
        // It has functions. That all writes of a call reach RocksDB as one batch is said of EXEC (apache/kvrocks#1281)
        // and nowhere of FCALL.
        let reason = "it does not promise that a function which a crash cuts short leaves nothing behind, and \
                      answers could count twice";
        ("Kvrocks", version, reason)
    } else if is_keydb(info) {
        ("KeyDB", field(info, "redis_version").unwrap_or_default(), "it has no functions")
    } else {
        return None;
    };
    Some(format!(
        "{name} {version} is not supported, because {reason}: use Redis 7.0 or later, or Valkey"
    ))
}

/// Explains why the server with this `INFO` does not accept our functions, and what to do.
fn advice(info: &str) -> String {
    if let Some(reason) = unsupported(info) {
        return reason;
    }
    if let Some(version) = field(info, "valkey_version") {
        return format!(
            "Valkey {version} runs without its Lua engine: load its Lua module (loadmodule in its configuration)"
        );
    }
    let Some(version) = field(info, "redis_version") else {
        return "this server has no functions: Redis 7.0 or later, or Valkey with its Lua module, is needed".to_owned();
    };
    if major(info).is_some_and(|major| major < 7) {
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

    /// Checks that a server with this `INFO` is refused, and that the reason begins so.
    #[track_caller]
    fn refused(info: &str, told: &str) {
        let reason = unsupported(info).expect("it is refused");
        assert!(reason.starts_with(told), "{reason}");
        assert!(reason.ends_with(": use Redis 7.0 or later, or Valkey"), "{reason}");
    }

    #[test]
    fn dragonfly_is_refused() {
        // As reported by Dragonfly 1.14.3 (dragonflydb/dragonfly#2599) and 1.23.0 (dragonflydb/dragonfly#3895).
        for (version, mode) in [("df-v1.14.3", "standalone"), ("df-v1.23.0", "cluster")] {
            let info = format!(
                "# Server\r\nredis_version:6.2.11\r\ndragonfly_version:{version}\r\nredis_mode:{mode}\r\n\
                 arch_bits:64\r\nos:Linux 5.10.0-28-amd64 x86_64\r\nmultiplexing_api:epoll\r\n\
                 tcp_port:6379\r\nthread_count:8\r\nuptime_in_seconds:1668\r\nuptime_in_days:0\r\n"
            );
            let told = format!("Dragonfly {version} is not supported, because it has no functions");
            refused(&info, &told);
        }
    }

    #[test]
    fn kvrocks_is_refused() {
        // The sample for Kvrocks 2.16.0 in apache/kvrocks-website, docs/info-sections.md.
        let info = "# Server\r\nversion:2.16.0\r\nkvrocks_version:2.16.0\r\nredis_version:7.0.0\r\n\
                    git_sha1:28440b5\r\nkvrocks_git_sha1:28440b5\r\nredis_mode:standalone\r\n\
                    kvrocks_mode:standalone\r\nos:Linux 6.8.0 x86_64\r\ngcc_version:13.3.0\r\n\
                    rocksdb_version:11.1.1\r\narch_bits:64\r\nprocess_id:12345\r\ntcp_port:6666\r\n\
                    server_time_usec:1783785600000000\r\nuptime_in_seconds:42\r\nuptime_in_days:0\r\n\
                    executable:/usr/local/bin/kvrocks\r\nconfig_file:/etc/kvrocks/kvrocks.conf\r\n";
        refused(info, "Kvrocks 2.16.0 is not supported, because it does not promise");
    }

    #[test]
    fn keydb_is_refused() {
        // As reported by KeyDB 6.3.4 (Snapchat/KeyDB#981), shortened.
        let info = "# Server\r\nredis_version:6.3.4\r\nredis_git_sha1:7e7e5e57\r\nredis_mode:standalone\r\n\
                    tcp_port:6379\r\nexecutable:/data/keydb-server\r\n";
        refused(info, "KeyDB 6.3.4 is not supported, because it has no functions");
    }

    #[test]
    fn redis_and_valkey_are_accepted() {
        for info in [
            // Redis 7.0.15 of Debian 12, shortened.
            "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\n\
             multiplexing_api:epoll\r\ntcp_port:6379\r\nexecutable:/usr/bin/redis-server\r\n",
            "# Server\r\nredis_version:6.2.14\r\nexecutable:/srv/keydb/redis-server\r\n",
            "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.0\r\n\
             valkey_release_stage:ga\r\nserver_mode:standalone\r\n",
            "",
        ] {
            assert_eq!(unsupported(info), None, "{info}");
        }
    }
}
