//! The connection: commands are encoded here, sent many at a time, and answered in order. Scans use a second
//! connection.
//!
//! All other parts of the store go through [`RedisClient`], which builds on `store/redis/resp.rs`. A connection that
//! failed is dropped and replaced at the next call, and [`RedisClient::generation`] changes: cached knowledge about
//! the server (row numbers, checkpoints) may no longer hold.

use crate::store::redis::resp::RespStream;
use crate::store::redis::sentinel::SentinelUrl;
use crate::store::redis::socket::distrust;
use crate::store::redis::{managed, url};
use crate::store::{Options, ReplyTimer, StoreError};
use redis::{
    ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult,
    Value,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Time limit for a server that neither replies nor closes the connection; a loading server replies at once.
const REPLY_TIMEOUT: Duration = Duration::from_mins(1);
/// Time limit for a server that does not accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of strings requested at once.
const STRINGS: usize = 8;
/// Number of strings from which on they are read over two connections in turns, if these are Unix sockets. Such a
/// socket holds three blocks, and wakes the server only when it is nearly empty, so that with one connection either
/// side waits for the other.
const MANY: usize = 64;

/// Callback for a string and the number of the command that it answers.
type EachText<'e> = &'e mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>;
/// Callback for a field, its value and the number of the command that they answer.
type EachPair<'e> = &'e mut dyn FnMut(usize, &[u8], &[u8]) -> Result<(), StoreError>;

/// Returns the key that a command with this number is about.
type KeyOf<'e> = &'e dyn Fn(usize) -> String;

/// Commands in wire format (RESP), ready to be sent together.
#[derive(Default)]
pub(crate) struct Pipeline {
    bytes: Vec<u8>,
    commands: usize,
}

impl Pipeline {
    /// Begins a command of `parts` words; exactly that many calls of [`Pipeline::arg`] must follow.
    pub(crate) fn begin(&mut self, parts: usize) -> &mut Self {
        self.commands += 1;
        self.number(b'*', parts);
        self
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
        Self { bytes: octets, commands: 0 }
    }

    /// Appends one complete command that was packed separately.
    pub(crate) fn raw(&mut self, octets: &[u8]) {
        self.bytes.extend_from_slice(octets);
        self.commands += 1;
    }

    /// Returns the number of octets packed.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
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
        self.commands
    }

    /// Returns true if there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// Removes the commands and keeps the allocation.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.commands = 0;
    }

    /// Returns the key that a command is about: its second word, or its fourth if it calls a function or runs a
    /// script.
    fn key(&self, command: usize) -> Option<String> {
        let mut rest = self.bytes.as_slice();
        let mut number = |mark: u8| {
            let end = memchr::memchr(b'\n', rest)?;
            let (line, after) = rest.split_at_checked(end + 1)?;
            let digits = line.strip_prefix(&[mark])?.strip_suffix(b"\r\n")?;
            let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
            rest = after;
            if mark == b'*' {
                return Some((number, &[][..]));
            }
            let (word, after) = after.split_at_checked(number)?;
            rest = after.get(2..)?;
            Some((number, word))
        };
        for at in 0..=command {
            let (words, _) = number(b'*')?;
            let words: Vec<&[u8]> =
                (0..words).map(|_| number(b'$').map(|(_, word)| word)).collect::<Option<_>>()?;
            if at == command {
                let calls = matches!(words.first(), Some(&(b"FCALL" | b"EVAL")));
                let place = if calls { 3 } else { 1 };
                return words.get(place).map(|key| String::from_utf8_lossy(key).into_owned());
            }
        }
        None
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

/// A connection to one server.
pub(crate) struct RedisClient {
    options: Options,
    connection: Option<RespStream>,
    /// A second connection while many strings are read.
    second: Option<RespStream>,
    generation: u64,
    timer: Arc<ReplyTimer>,
}

impl RedisClient {
    /// Connects.
    pub(crate) fn open(options: Options, timer: Arc<ReplyTimer>) -> Result<Self, StoreError> {
        let mut client = Self::unconnected(options, timer);
        client.connected()?;
        Ok(client)
    }

    /// A client that connects at its first call.
    pub(crate) fn unconnected(options: Options, timer: Arc<ReplyTimer>) -> Self {
        Self { options, connection: None, second: None, generation: 0, timer }
    }

    /// Returns the number of connections made: if it has changed, the connection is another one.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the timer that runs while a reply is pending.
    pub(crate) fn timer(&self) -> &Arc<ReplyTimer> {
        &self.timer
    }

    /// Returns the options it was opened with.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Closes the connection, so that the next call makes a new one.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    fn connected(&mut self) -> Result<&mut RespStream, StoreError> {
        if self.connection.is_none() {
            let _waiting = self.timer.start();
            self.connection = Some(connect(&self.options)?);
            self.generation += 1;
        }
        self.connection.as_mut().ok_or_else(unconnected)
    }

    /// Sends commands without waiting for their replies.
    pub(crate) fn send(&mut self, packed: &Pipeline) -> Result<(), StoreError> {
        if packed.is_empty() {
            return Ok(());
        }
        self.connected()?;
        let waiting = self.timer.start();
        let connection = self.connection.as_mut().ok_or_else(unconnected)?;
        let sent = connection.send(&packed.bytes);
        drop(waiting);
        sent.map_err(|cause| self.broken(&cause))
    }

    /// Waits for the next reply; an error reply of the server is an error here. More replies may be outstanding, so
    /// the connection is closed then.
    pub(crate) fn receive(&mut self) -> Result<Value, StoreError> {
        let reply = self.reply();
        if reply.is_err() {
            self.connection = None;
        }
        reply
    }

    /// Reads the next reply. Only errors of the connection itself close it.
    fn reply(&mut self) -> Result<Value, StoreError> {
        let connection = self.connection.as_mut().ok_or_else(unconnected)?;
        let waiting = self.timer.start();
        let reply = connection.value();
        drop(waiting);
        match reply.and_then(Value::extract_error) {
            Ok(value) => Ok(value),
            // The server refused the command; the next reply is the one to the next command.
            Err(cause) if matches!(cause.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                let error = StoreError::from_redis(&cause);
                // A master that a failover made a replica stays one: the sentinels know the new one.
                let is_demoted = matches!(error, StoreError::ReadOnly)
                    && SentinelUrl::parse(&self.options.url).is_some();
                if error.is_farewell() || is_demoted {
                    self.connection = None;
                }
                Err(error)
            }
            Err(cause) => Err(self.broken(&cause)),
        }
    }

    /// Sends commands and waits for all their replies.
    pub(crate) fn call(&mut self, packed: &Pipeline) -> Result<Vec<Value>, StoreError> {
        self.send(packed)?;
        let mut replies = Vec::with_capacity(packed.len());
        for at in 0..packed.len() {
            let reply = self.receive();
            replies.push(reply.map_err(|error| self.with_key(error, packed, at))?);
        }
        Ok(replies)
    }

    /// Calls like [`RedisClient::call`], with each error reply of the server in its place.
    pub(crate) fn call_each(
        &mut self,
        packed: &Pipeline,
    ) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        self.send(packed)?;
        let mut answers = Vec::with_capacity(packed.len());
        for _ in 0..packed.len() {
            match self.reply() {
                Err(error) if self.connection.is_none() => return Err(error),
                answer => answers.push(answer),
            }
        }
        Ok(answers)
    }

    /// Reads blocks, all of them strings of the same length, requesting some ahead so that the server is never idle,
    /// and passes each with its number to `each` until it breaks.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a block that is missing or has another length; other errors as they occur.
    pub(crate) fn blocks(
        &mut self,
        keys: &[String],
        length: usize,
        each: &mut dyn FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut damaged = None;
        let mut whole = |at: usize, octets: &[u8]| {
            if octets.len() == length {
                return each(at, octets);
            }
            damaged = keys.get(at);
            ControlFlow::Break(())
        };
        let read = self.strings(keys, &mut whole);
        match damaged {
            Some(key) => Err(StoreError::damaged(key)),
            None => read,
        }
    }

    /// Reads strings like [`RedisClient::blocks`], of any length; a missing key is an empty string.
    fn strings(
        &mut self,
        keys: &[String],
        each: &mut dyn FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.connected()?;
        if keys.len() >= MANY && self.connection.as_ref().is_some_and(RespStream::is_unix) {
            // Without it, reading is only slower: there may be no more connections available.
            self.second = connect(&self.options).ok().and_then(RespStream::ping);
        }
        let result = self.strings_by(self.second.is_some(), keys, each);
        self.second = None;
        if result.is_err() {
            // Replies may be outstanding that nobody reads.
            self.disconnect();
        }
        result
    }

    fn strings_by(
        &mut self,
        by_two: bool,
        keys: &[String],
        each: &mut dyn FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut chunks = keys.chunks(STRINGS).enumerate();
        let mut asked = 0;
        let mut spill = Vec::new();
        let mut flow = ControlFlow::Continue(());
        for at in 0..keys.len() {
            if flow.is_break() && at >= asked {
                break;
            }
            while flow.is_continue() && asked <= at + STRINGS {
                let Some((number, chunk)) = chunks.next() else { break };
                let mut packed = Pipeline::default();
                for key in chunk {
                    packed.command(&[b"GET", key.as_bytes()]);
                }
                let sent = self.turn(by_two && number % 2 == 1)?.send(&packed.bytes);
                sent.map_err(|cause| StoreError::from_redis(&cause))?;
                asked += chunk.len();
            }
            // Replies to commands already sent have to be read, wanted or not.
            let wire = self.turn(by_two && at / STRINGS % 2 == 1)?;
            string(wire, &mut spill, |octets| {
                if flow.is_continue() {
                    flow = each(at, octets);
                }
            })
            .map_err(|error| error.of(|| keys.get(at).cloned()))?;
        }
        Ok(())
    }

    /// Returns the connection, or the second one.
    fn turn(&mut self, second: bool) -> Result<&mut RespStream, StoreError> {
        let wire = if second { &mut self.second } else { &mut self.connection };
        wire.as_mut().ok_or_else(unconnected)
    }

    /// Reads the replies to the given number of commands, which must be strings, and passes each with its number to
    /// `each`. `key` returns the key of such a command.
    pub(crate) fn texts(
        &mut self,
        count: usize,
        key: KeyOf<'_>,
        each: EachText<'_>,
    ) -> Result<(), StoreError> {
        let mut spill = Vec::new();
        let mut result = Ok(());
        for at in 0..count {
            let connection = self.connection.as_mut().ok_or_else(unconnected)?;
            let read = string(connection, &mut spill, |octets| {
                if result.is_ok() {
                    result = each(at, octets);
                }
            });
            if let Err(error) = read {
                // More replies may be outstanding.
                self.disconnect();
                return Err(error.of(|| Some(key(at))));
            }
        }
        result
    }

    /// Reads the replies to the given number of commands, which must be hashes, and passes each field and value with
    /// the command's number to `each`. `key` returns the key of such a command.
    pub(crate) fn pairs(
        &mut self,
        count: usize,
        key: KeyOf<'_>,
        each: EachPair<'_>,
    ) -> Result<(), StoreError> {
        let mut spill = [Vec::new(), Vec::new()];
        let mut result = Ok(());
        for at in 0..count {
            let connection = self.connection.as_mut().ok_or_else(unconnected)?;
            let other = connection.pairs(&mut spill, &mut |field, value| {
                if result.is_ok() {
                    result = each(at, field, value);
                }
            });
            match other {
                Ok(None) => {}
                other => {
                    // More replies may be outstanding.
                    self.disconnect();
                    return Err(unexpected(other).of(|| Some(key(at))));
                }
            }
        }
        result
    }

    /// Waits for the reply to a command that was sent alone.
    pub(crate) fn answer(&mut self) -> Result<Value, StoreError> {
        self.reply()
    }

    /// Sends one command and waits for its reply.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> Result<Value, StoreError> {
        let mut packed = Pipeline::default();
        packed.command(words);
        self.send(&packed)?;
        let reply = self.reply();
        reply.map_err(|error| self.with_key(error, &packed, 0))
    }

    /// Adds the key that a refused command is about.
    fn with_key(&self, error: StoreError, packed: &Pipeline, at: usize) -> StoreError {
        match packed.key(at).filter(|key| key.starts_with(&self.options.prefix)) {
            Some(key) => error.at_key(&key),
            None => error.of(|| packed.key(at)),
        }
    }

    /// Loads a library of functions unless the server has it.
    pub(crate) fn load_library(&mut self, library: &str) -> Result<(), StoreError> {
        match self.ask(&[b"FUNCTION", b"LOAD", library.as_bytes()]) {
            Ok(_) => Ok(()),
            Err(StoreError::Server(text)) if text.contains("already exists") => Ok(()),
            Err(StoreError::Server(text)) if lacks_functions(&text) => {
                Err(self.without_functions())
            }
            Err(error) => Err(error),
        }
    }

    /// Converts an error of the connection. Replies may be outstanding, so the connection is closed.
    fn broken(&mut self, cause: &RedisError) -> StoreError {
        self.connection = None;
        StoreError::from_redis(cause)
    }
}

/// Returns true if a server that refuses functions supports none at all.
fn lacks_functions(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    let unknown =
        ["unknown command", "unknown subcommand"].iter().any(|what| refusal.contains(what));
    // Redis and Valkey phrase it differently, and so do their versions.
    let engine = refusal.contains("engine")
        && ["not found", "could not find", "unknown"].iter().any(|what| refusal.contains(what));
    unknown || engine
}

/// Passes the next reply, which must be a string, to `each`; a missing string is an empty one.
fn string(
    wire: &mut RespStream,
    spill: &mut Vec<u8>,
    each: impl FnOnce(&[u8]),
) -> Result<(), StoreError> {
    let mut each = Some(each);
    let other = wire.string(spill, |octets| {
        if let Some(each) = each.take() {
            each(octets);
        }
    });
    match other {
        Ok(None) => Ok(()),
        Ok(Some(Value::Nil)) => {
            if let Some(each) = each {
                each(&[]);
            }
            Ok(())
        }
        other => Err(unexpected(other)),
    }
}

/// Converts a reply of another type to an error.
fn unexpected(other: RedisResult<Option<Value>>) -> StoreError {
    match other.and_then(|value| value.unwrap_or(Value::Nil).extract_error()) {
        Ok(_) => StoreError::Reply,
        Err(cause) => StoreError::from_redis(&cause),
    }
}

fn unconnected() -> StoreError {
    StoreError::Unavailable("not connected".to_owned())
}

/// Opens a connection of its own, for what is not a sequence of commands and replies.
pub(in crate::store) fn connect(options: &Options) -> Result<RespStream, StoreError> {
    if url::has_fragment(&options.url) {
        let cause =
            "what follows a # is ignored: write %23 for a # in a password or a path".to_owned();
        return Err(StoreError::Url { url: options.shown_url(), cause });
    }
    if let Some(sentinels) = SentinelUrl::parse(&options.url) {
        let sentinels =
            sentinels.map_err(|cause| StoreError::Url { url: options.shown_url(), cause })?;
        return connect_to_master(options, &sentinels);
    }
    // The path of the managed socket may hold characters that have a meaning in a URL.
    let info = if options.url == "managed:" {
        ConnectionAddr::Unix(managed::start()?).into_connection_info()
    } else {
        options.url.as_str().into_connection_info()
    };
    let info = info.map_err(|cause| bad_url(options, &cause))?;
    let settings = with_credentials(options, info.redis_settings().clone());
    RespStream::connect(&info.set_redis_settings(settings), CONNECT_TIMEOUT, REPLY_TIMEOUT).map_err(
        |cause| match StoreError::from_redis(&cause) {
            _ if cause.kind() == ErrorKind::InvalidClientConfig => bad_url(options, &cause),
            StoreError::Unavailable(text) => {
                let text = distrust(&text).unwrap_or(&text);
                StoreError::Unavailable(format!("cannot reach {}: {text}", options.shown_url()))
            }
            error => error,
        },
    )
}

/// Connects to the master that the sentinels name.
fn connect_to_master(options: &Options, sentinels: &SentinelUrl) -> Result<RespStream, StoreError> {
    let settings = sentinels.settings().map_err(|cause| bad_url(options, &cause))?;
    let settings = with_credentials(options, settings);
    let open = |addr: ConnectionAddr| {
        let info = addr.into_connection_info()?.set_redis_settings(settings.clone());
        // A server that hangs is still named until the sentinels agree that it is down.
        RespStream::connect(&info, CONNECT_TIMEOUT, CONNECT_TIMEOUT)
    };
    let stream = sentinels.connect(&options.shown_url(), &open)?;
    let set = stream.set_reply_timeout(REPLY_TIMEOUT);
    set.map_err(|cause| StoreError::Unavailable(cause.to_string()))?;
    Ok(stream)
}

/// Adds the user and password of the options, which override those in a URL.
fn with_credentials(options: &Options, mut settings: RedisConnectionInfo) -> RedisConnectionInfo {
    if let Some(user) = &options.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = options.current_password() {
        settings = settings.set_password(password);
    }
    settings
}

fn bad_url(options: &Options, cause: &RedisError) -> StoreError {
    let text = cause.to_string();
    // The library appends the name of the error kind to its message.
    let cause = match text.trim_end_matches(" - InvalidClientConfig") {
        _ if options.url.ends_with("#insecure") => {
            "without a certificate that is trusted TLS is worth nothing: name its authority's in \
             SSL_CERT_FILE"
        }
        "Redis URL did not parse" => match url::bad_port(&options.url) {
            Some(port) => &format!("{port} is not a port number: give 1 to 65535"),
            None => "it is not a valid URL",
        },
        "Missing hostname" => "it names no host: give redis://HOST:PORT",
        text => text,
    };
    StoreError::Url { url: options.shown_url(), cause: cause.to_owned() }
}
