//! URLs that name nodes of a cluster.

use crate::store::redis::hosts::{self, HostPort};
use redis::{IntoConnectionInfo as _, RedisConnectionInfo, RedisResult};

/// URL schemes, each with that of a single server.
const SCHEMES: [(&str, &str); 2] =
    [("redis-cluster://", "redis://"), ("rediss-cluster://", "rediss://")];
/// Port of a node whose URL names none.
const PORT: u16 = 6379;

/// A URL that names nodes of a cluster, any of which leads to all others.
pub(in crate::store) struct ClusterUrl {
    pub(super) nodes: Vec<HostPort>,
    /// URL of a single server with the user and password that are meant for all nodes.
    settings_url: String,
    pub(super) is_tls: bool,
}

impl ClusterUrl {
    /// Parses a URL; `None` if it names no cluster.
    ///
    /// # Errors
    /// The fault in the URL, without any part that may be a password.
    pub(in crate::store) fn parse(url: &str) -> Option<Result<Self, String>> {
        SCHEMES
            .iter()
            .find_map(|(scheme, plain)| Some(Self::parse_rest(plain, url.strip_prefix(scheme)?)))
    }

    fn parse_rest(plain: &str, rest: &str) -> Result<Self, String> {
        let (authority, path) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
        if !matches!(path, "" | "0") {
            return Err(
                "nothing may follow the hosts: a cluster has a single database, 0".to_owned()
            );
        }
        let listed = authority.rsplit('@').next().unwrap_or_default();
        let login = authority.strip_suffix(listed).unwrap_or_default();
        let nodes = listed.split(',').map(|node| hosts::parse(node, PORT, "node"));
        Ok(Self {
            nodes: nodes.collect::<Result<_, _>>()?,
            settings_url: format!("{plain}{login}localhost/"),
            is_tls: plain == "rediss://",
        })
    }

    /// Returns the user and password for the nodes.
    pub(in crate::store) fn settings(&self) -> RedisResult<RedisConnectionInfo> {
        Ok(self.settings_url.as_str().into_connection_info()?.redis_settings().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_nodes() {
        let url = "rediss-cluster://me:p%40@a,b.example:7,[::1]:8/";
        let url = ClusterUrl::parse(url).expect("it names a cluster").unwrap();
        let nodes: Vec<String> = url.nodes.iter().map(hosts::show).collect();
        assert_eq!(nodes, ["a:6379", "b.example:7", "[::1]:8"]);
        let settings = url.settings().unwrap();
        assert_eq!((settings.username(), settings.password()), (Some("me"), Some("p@")));
        assert!(url.is_tls);
        assert!(ClusterUrl::parse("redis://h").is_none());
        let plain = ClusterUrl::parse("redis-cluster://h/0").expect("it names a cluster").unwrap();
        assert!(!plain.is_tls);
    }

    #[test]
    fn a_url_that_is_wrong_says_why_and_no_password() {
        for (rest, why) in [
            ("", "host of a node is missing"),
            ("u:secret@h,", "host of a node is missing"),
            ("u:secret@h:0", "port of a node"),
            ("u:secret@h/1", "single database"),
            ("u:se/cret@h", "single database"),
            ("h?x=1", "single database"),
        ] {
            let url = format!("redis-cluster://{rest}");
            let Some(Err(told)) = ClusterUrl::parse(&url) else { panic!("{url} was accepted") };
            assert!(told.contains(why) && !told.contains("cret"), "{url}: {told}");
        }
    }
}
