//! Which server is at the other end, and why it cannot hold a store.
//!
//! Beside `client`. Servers that speak Redis's protocol differ in what they can: this words the errors by what the server
//! says of itself.

use crate::store::StoreError;
use crate::store::redis::client::RedisClient;
use crate::store::redis::reply;

/// Slots of a cluster.
const SLOTS: &str = "16384";

impl RedisClient {
    /// The identity of the server's run, which another one has after a restart; `None` when we may not know.
    pub(crate) fn run(&mut self) -> Result<Option<String>, StoreError> {
        let info = self.info("server")?;
        Ok(info.and_then(|info| field(&info, "run_id").map(str::to_owned)))
    }

    /// Refuses a node of a cluster, before anything is written. A cluster of a single node serves as any server does.
    pub(crate) fn refuse_cluster(&mut self) -> Result<(), StoreError> {
        let Some(info) = self.info("server")? else { return Ok(()) };
        if field(&info, "redis_mode").or_else(|| field(&info, "server_mode")) != Some("cluster") {
            return Ok(());
        }
        // Where this may not be asked, a redirection will tell.
        let Some(cluster) = allowed(self.ask(&[b"CLUSTER", b"INFO"]))? else { return Ok(()) };
        let is_alone = field(&cluster, "cluster_size") == Some("1")
            && field(&cluster, "cluster_slots_assigned") == Some(SLOTS);
        if is_alone { Ok(()) } else { Err(StoreError::Cluster) }
    }

    /// The error of a server that does not take our functions.
    pub(crate) fn without_functions(&mut self) -> StoreError {
        match self.info("server") {
            Ok(info) => StoreError::NoFunctions(advice(info.as_deref().unwrap_or_default())),
            Err(error) => error,
        }
    }

    /// A section of what the server says of itself; `None` when we may not know.
    fn info(&mut self, section: &str) -> Result<Option<String>, StoreError> {
        allowed(self.ask(&[b"INFO", section.as_bytes()]))
    }
}

/// A text, unless it was refused to this user.
fn allowed(reply: Result<redis::Value, StoreError>) -> Result<Option<String>, StoreError> {
    match reply {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&reply::octets(text)?).into_owned())),
        Err(StoreError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The value of a line `name:value`.
fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
}

/// Why a server that says this of itself does not take our functions, and what to do.
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
            ("# Server\r\nredis_version:7.0.15\r\n", "compatible with Redis 7.0.15"),
            ("", "this server has no functions"),
        ] {
            let advice = advice(info);
            assert!(advice.starts_with(told) || advice.contains(told), "{advice}");
        }
    }
}
