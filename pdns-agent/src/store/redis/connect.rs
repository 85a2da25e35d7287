//! Opens connections: to the server that a URL names, to the master that sentinels name, or to a cluster.
//!
//! Used by `store/redis/client.rs`, and by `store/backup` for what is not a sequence of commands and replies.

use crate::store::redis::cluster::url::ClusterUrl;
use crate::store::redis::cluster::{Cluster, Masters, Patience};
use crate::store::redis::hosts::HostPort;
use crate::store::redis::link::Link;
use crate::store::redis::resp::RespStream;
use crate::store::redis::sentinel::SentinelUrl;
use crate::store::redis::socket::distrust;
use crate::store::redis::{managed, url};
use crate::store::{Options, StoreError};
use redis::{ConnectionAddr, ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};
use std::time::Duration;

/// Time limit for a server that neither replies nor closes the connection; a loading server replies at once.
const REPLY_TIMEOUT: Duration = Duration::from_mins(1);
/// Time limit for a server that does not accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limits of connections to nodes of a cluster.
const PATIENCE: Patience = Patience { connect: CONNECT_TIMEOUT, reply: REPLY_TIMEOUT };

/// Connects to a store. `known` are nodes of its cluster that were met before.
pub(super) fn link(options: &Options, known: &[HostPort]) -> Result<Link, StoreError> {
    match ClusterUrl::parse(&options.url) {
        None => connect(options).map(Link::Server),
        Some(cluster) => connect_to_cluster(options, cluster, known),
    }
}

/// Connects to all masters of a cluster.
fn connect_to_cluster(
    options: &Options,
    cluster: Result<ClusterUrl, String>,
    known: &[HostPort],
) -> Result<Link, StoreError> {
    let (cluster, settings) = cluster_settings(options, cluster)?;
    let linked = Cluster::connect(&cluster, settings, known, PATIENCE);
    let linked = linked.map_err(|cause| unreached(options, &cause))?;
    Ok(Link::Cluster(Box::new(linked)))
}

/// Returns the URL of a cluster, and the user and password for its nodes.
fn cluster_settings(
    options: &Options,
    cluster: Result<ClusterUrl, String>,
) -> Result<(ClusterUrl, RedisConnectionInfo), StoreError> {
    refuse_fragment(options)?;
    let cluster = cluster.map_err(|cause| StoreError::Url { url: options.shown_url(), cause })?;
    let settings = cluster.settings().map_err(|cause| bad_url(options, &cause))?;
    Ok((cluster, with_credentials(options, settings)))
}

/// Finds the masters of a cluster; `None` if the URL names no cluster.
pub(in crate::store) fn masters(options: &Options) -> Result<Option<Masters>, StoreError> {
    let Some(cluster) = ClusterUrl::parse(&options.url) else { return Ok(None) };
    let (cluster, settings) = cluster_settings(options, cluster)?;
    let masters = Masters::find(&cluster, settings, PATIENCE);
    masters.map(Some).map_err(|cause| unreached(options, &cause))
}

fn refuse_fragment(options: &Options) -> Result<(), StoreError> {
    if !url::has_fragment(&options.url) {
        return Ok(());
    }
    let cause = "what follows a # is ignored: write %23 for a # in a password or a path".to_owned();
    Err(StoreError::Url { url: options.shown_url(), cause })
}

/// Adds the URL to an error that occurred when connecting to it.
fn unreached(options: &Options, cause: &RedisError) -> StoreError {
    match StoreError::from_redis(cause) {
        _ if cause.kind() == ErrorKind::InvalidClientConfig => bad_url(options, cause),
        StoreError::Unavailable(text) => {
            let text = distrust(&text).unwrap_or(&text);
            StoreError::Unavailable(format!("cannot reach {}: {text}", options.shown_url()))
        }
        error => error,
    }
}

/// Opens a connection of its own, for what is not a sequence of commands and replies.
pub(in crate::store) fn connect(options: &Options) -> Result<RespStream, StoreError> {
    refuse_fragment(options)?;
    if let Some(sentinels) = SentinelUrl::parse(&options.url) {
        let sentinels =
            sentinels.map_err(|cause| StoreError::Url { url: options.shown_url(), cause })?;
        return connect_to_master(options, &sentinels);
    }
    if ClusterUrl::parse(&options.url).is_some() {
        let cause = "this needs one server, and that is a cluster".to_owned();
        return Err(StoreError::Url { url: options.shown_url(), cause });
    }
    // The path of the managed socket may hold characters that have a meaning in a URL.
    let info = if options.url == "managed:" {
        ConnectionAddr::Unix(managed::start()?).into_connection_info()
    } else {
        options.url.as_str().into_connection_info()
    };
    let info = info.map_err(|cause| bad_url(options, &cause))?;
    let settings = with_credentials(options, info.redis_settings().clone());
    RespStream::connect(&info.set_redis_settings(settings), CONNECT_TIMEOUT, REPLY_TIMEOUT)
        .map_err(|cause| unreached(options, &cause))
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
