//! Redis Sentinel: URLs that name sentinels, and the search for the master that these watch.
//!
//! Used by `store/redis/client.rs` for each new connection, so that a failover is followed. A sentinel can be behind:
//! it may name a server that was the master. So the server itself is asked for its role before it is used
//! (<https://redis.io/docs/latest/develop/reference/sentinel-clients/>).

use crate::percent;
use crate::store::StoreError;
use crate::store::redis::hosts::{self, HostPort};
use crate::store::redis::password::read_password;
use crate::store::redis::resp::RespStream;
use crate::store::redis::socket::distrust;
use redis::{
    ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisError, RedisResult, Value,
};
use std::path::PathBuf;
use std::time::Duration;

/// URL schemes, each with that of the same server without sentinels.
const SCHEMES: [(&str, &str); 2] =
    [("redis+sentinel://", "redis://"), ("rediss+sentinel://", "rediss://")];
/// Port of a sentinel whose URL names none.
const PORT: u16 = 26379;
/// Time limit for a sentinel to accept a connection, and for each of its replies: others are waiting to be asked.
const PATIENCE: Duration = Duration::from_secs(1);
/// Number of times that all sentinels are asked while one of them names a replica: it learns of a failover within
/// about a second.
const ROUNDS: usize = 3;
/// Pause before they are asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// A URL that names sentinels.
pub(in crate::store) struct SentinelUrl {
    sentinels: Vec<HostPort>,
    master: String,
    /// URL of a single server with the user, the password and the database that are meant for the master.
    settings_url: String,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    is_tls: bool,
}

impl SentinelUrl {
    /// Parses a URL; `None` if it names no sentinels.
    ///
    /// # Errors
    /// The fault in the URL, without any part that may be a password.
    pub(in crate::store) fn parse(url: &str) -> Option<Result<Self, String>> {
        SCHEMES
            .iter()
            .find_map(|(scheme, plain)| Some(Self::parse_rest(plain, url.strip_prefix(scheme)?)))
    }

    fn parse_rest(plain: &str, rest: &str) -> Result<Self, String> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let listed = authority.rsplit('@').next().unwrap_or_default();
        let login = authority.strip_suffix(listed).unwrap_or_default();
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Err(
                "it names no master: give redis+sentinel://HOST:PORT,HOST:PORT/MASTER_NAME"
                    .to_owned(),
            );
        }
        if !database.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(
                "the number of the database, after the name of the master, is not valid".to_owned()
            );
        }
        let mut parsed = Self {
            sentinels: listed
                .split(',')
                .map(|host| hosts::parse(host, PORT, "sentinel"))
                .collect::<Result<_, _>>()?,
            master: decoded(master)?,
            settings_url: format!("{plain}{login}localhost/{database}"),
            user: None,
            password: None,
            password_file: None,
            is_tls: plain == "rediss://",
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match name {
                "sentinel_user" => parsed.user = Some(value),
                "sentinel_password" => parsed.password = Some(value),
                "sentinel_password_file" => parsed.password_file = Some(value.into()),
                _ => {
                    return Err("it may have sentinel_user, sentinel_password and \
                                sentinel_password_file after the question mark, and nothing else"
                        .to_owned());
                }
            }
        }
        if parsed.user.is_some() && parsed.password.is_none() && parsed.password_file.is_none() {
            return Err("it has sentinel_user, but no sentinel_password_file".to_owned());
        }
        Ok(parsed)
    }

    /// Returns the user, password and database for the master.
    pub(in crate::store) fn settings(&self) -> RedisResult<RedisConnectionInfo> {
        Ok(self.settings_url.as_str().into_connection_info()?.redis_settings().clone())
    }

    /// Asks the sentinels in turn for the master, and returns a connection to it.
    ///
    /// `open` connects to a server and authenticates; the reply to a command must have a short time limit at first.
    /// `shown` is the URL without its passwords.
    pub(in crate::store) fn connect(
        &self,
        shown: &str,
        open: &dyn Fn(ConnectionAddr) -> RedisResult<RespStream>,
    ) -> Result<RespStream, StoreError> {
        let mut failures = Vec::new();
        for round in 0..ROUNDS {
            if round > 0 {
                std::thread::sleep(PAUSE);
            }
            failures.clear();
            for sentinel in &self.sentinels {
                match self
                    .ask(sentinel)
                    .and_then(|named| check_master(&named, &self.addr(&named), open))
                {
                    Ok(stream) => return Ok(stream),
                    Err(Failure::Final(error)) => return Err(error),
                    Err(failure) => failures.push((sentinel, failure)),
                }
            }
            if !failures.iter().any(|(_, failure)| matches!(failure, Failure::Replica(_))) {
                break;
            }
        }
        let is_unknown = failures.iter().all(|(_, failure)| matches!(failure, Failure::Unknown(_)));
        let reasons: Vec<String> = failures
            .iter()
            .map(|(sentinel, failure)| format!("{} {}", hosts::show(sentinel), failure.reason()))
            .collect();
        let reasons = reasons.join("; ");
        // A sentinel does not learn the names of masters from others: it is configured with them.
        Err(if is_unknown {
            StoreError::Url { url: shown.to_owned(), cause: format!("sentinel {reasons}") }
        } else {
            StoreError::Unavailable(format!(
                "cannot reach {shown}: no sentinel leads to a master: {reasons}"
            ))
        })
    }

    /// Asks one sentinel for the address of the master.
    fn ask(&self, sentinel: &HostPort) -> Result<HostPort, Failure> {
        let reply = self.ask_raw(sentinel).map_err(|cause| {
            let text = cause.to_string();
            Failure::Other(match cause.kind() {
                ErrorKind::AuthenticationFailed => {
                    "refuses sentinel_user or its password".to_owned()
                }
                _ if cause.code() == Some("NOAUTH") => {
                    "asks for a password: give sentinel_password_file in the URL".to_owned()
                }
                _ if text.to_ascii_lowercase().contains("unknown command") => {
                    "is not a sentinel".to_owned()
                }
                ErrorKind::Io => {
                    format!("cannot be reached: {}", distrust(&text).unwrap_or(&text))
                }
                _ => format!("answers: {text}"),
            })
        })?;
        match reply {
            Value::Nil => Err(Failure::Unknown(self.master.clone())),
            Value::Array(parts) => named(&parts)
                .ok_or_else(|| Failure::Other("gives an answer of an unexpected shape".to_owned())),
            _ => Err(Failure::Other("gives an answer of an unexpected shape".to_owned())),
        }
    }

    fn ask_raw(&self, sentinel: &HostPort) -> RedisResult<Value> {
        let info = self.sentinel_info(sentinel)?;
        let mut stream = RespStream::connect(&info, PATIENCE, PATIENCE)?;
        call(&mut stream, &["SENTINEL", "get-master-addr-by-name", &self.master])
    }

    fn sentinel_info(&self, sentinel: &HostPort) -> RedisResult<ConnectionInfo> {
        let info = self.addr(sentinel).into_connection_info()?;
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        let from_file = match &self.password_file {
            Some(path) => read_password(path)?
                .ok_or_else(|| {
                    RedisError::from((
                        ErrorKind::InvalidClientConfig,
                        "sentinel_password_file holds no password",
                    ))
                })?
                .into(),
            None => None,
        };
        if let Some(password) = from_file.or_else(|| self.password.clone()) {
            settings = settings.set_password(password);
        }
        Ok(info.set_redis_settings(settings))
    }

    fn addr(&self, server: &HostPort) -> ConnectionAddr {
        hosts::addr(server, self.is_tls)
    }
}

/// The reason for which a sentinel did not lead to the master.
enum Failure {
    /// It does not know this name.
    Unknown(String),
    /// It names a replica, at this address: it has not heard of a failover yet.
    Replica(String),
    /// Another reason, which may pass.
    Other(String),
    /// The master was reached and refuses us: no other sentinel would help.
    Final(StoreError),
}

impl Failure {
    fn reason(&self) -> String {
        match self {
            Self::Unknown(master) => format!("knows no master named {master:?}"),
            Self::Replica(address) => format!("names {address}, which is a replica"),
            Self::Other(reason) => reason.clone(),
            Self::Final(error) => error.to_string(),
        }
    }
}

/// Connects to the server that a sentinel named, and checks that it is a master.
fn check_master(
    named: &HostPort,
    addr: &ConnectionAddr,
    open: &dyn Fn(ConnectionAddr) -> RedisResult<RespStream>,
) -> Result<RespStream, Failure> {
    let shown = hosts::show(named);
    let failed = |cause: RedisError| match StoreError::from_redis(&cause) {
        error @ StoreError::Refused(_) => Failure::Final(error),
        StoreError::Unavailable(text) => {
            let text = distrust(&text).unwrap_or(&text);
            Failure::Other(format!("names {shown}, which cannot be reached: {text}"))
        }
        error => Failure::Other(format!("names {shown}, which answers: {error}")),
    };
    let mut stream = open(addr.clone()).map_err(failed)?;
    if is_master(&mut stream).map_err(failed)? { Ok(stream) } else { Err(Failure::Replica(shown)) }
}

/// Returns true if a server is a master.
fn is_master(stream: &mut RespStream) -> RedisResult<bool> {
    let forbidden = |cause: &RedisError| cause.code() == Some("NOPERM");
    let text =
        |value: &Value, word: &[u8]| matches!(value, Value::BulkString(found) if found == word);
    match call(stream, &["ROLE"]) {
        Ok(Value::Array(parts)) => Ok(parts.first().is_some_and(|role| text(role, b"master"))),
        Ok(_) => Ok(false),
        // The users of the documentation may run INFO, which every part of the store needs, and not ROLE.
        Err(cause) if forbidden(&cause) => match call(stream, &["INFO", "replication"])? {
            Value::BulkString(info) => Ok(info
                .split(|&byte| byte == b'\n')
                .any(|line| line.trim_ascii() == b"role:master")),
            _ => Ok(false),
        },
        Err(cause) => Err(cause),
    }
}

fn call(stream: &mut RespStream, words: &[&str]) -> RedisResult<Value> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    stream.send(&command.get_packed_command())?;
    stream.value()?.extract_error()
}

/// Returns the host and port in a sentinel's reply.
fn named(parts: &[Value]) -> Option<HostPort> {
    let [Value::BulkString(host), Value::BulkString(port)] = parts else { return None };
    let host = std::str::from_utf8(host).ok().filter(|host| !host.is_empty())?;
    Some((host.to_owned(), std::str::from_utf8(port).ok()?.parse().ok()?))
}

fn decoded(text: &str) -> Result<String, String> {
    let (bytes, is_broken) = percent::decode(text);
    let text = String::from_utf8(bytes).ok().filter(|_| !is_broken);
    text.ok_or_else(|| "a % in it is not followed by two hexadecimal digits of UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> SentinelUrl {
        SentinelUrl::parse(url)
            .expect("it names sentinels")
            .unwrap_or_else(|why| panic!("{url}: {why}"))
    }

    #[test]
    fn a_url_names_sentinels_a_master_and_a_database() {
        let url = parsed(
            "redis+sentinel://me:p%40@a,b.example:7,[::1],[::2]:8/my-master/3?sentinel_user=s&sentinel_password=x%26",
        );
        let hosts: Vec<String> = url.sentinels.iter().map(hosts::show).collect();
        assert_eq!(hosts, ["a:26379", "b.example:7", "[::1]:26379", "[::2]:8"]);
        assert_eq!(url.master, "my-master");
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("s"), Some("x&")));
        assert!(!url.is_tls);
        let settings = url.settings().unwrap();
        assert_eq!((settings.username(), settings.password()), (Some("me"), Some("p@")));
        assert_eq!(settings.db(), 3);
        let url = parsed("rediss+sentinel://h/m");
        assert!(url.is_tls && url.settings().unwrap().db() == 0);
        assert!(SentinelUrl::parse("redis://h/m").is_none());
    }

    #[test]
    fn a_url_that_is_wrong_says_why_and_no_password() {
        for (rest, why) in [
            ("", "names no master"),
            ("u:secret@h", "names no master"),
            ("u:secret@h/", "names no master"),
            ("u:secret@/m", "host of a sentinel is missing"),
            ("u:secret@h,,i/m", "host of a sentinel is missing"),
            ("u:secret@h:0/m", "port of a sentinel"),
            ("u:secret@h:x/m", "port of a sentinel"),
            ("u:secret@::1/m", "host of a sentinel is missing"),
            ("u:se/cret@h/m", "number of the database"),
            ("h/m/x", "number of the database"),
            ("h/m%", "not followed by two"),
            ("h/m?password=secret", "sentinel_password_file"),
            ("h/m?sentinel_user=x", "no sentinel_password_file"),
        ] {
            let url = format!("redis+sentinel://{rest}");
            let Some(Err(told)) = SentinelUrl::parse(&url) else { panic!("{url} was accepted") };
            assert!(told.contains(why) && !told.contains("cret"), "{url}: {told}");
        }
    }
}
