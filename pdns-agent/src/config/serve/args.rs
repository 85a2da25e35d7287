//! Command line flags of `pdns serve`.

#![expect(clippy::doc_markdown, reason = "the help of a command is plain text")]

use std::path::PathBuf;

/// Flags of `pdns serve`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Serve {
    /// Command to run instead of the server.
    #[command(subcommand)]
    pub command: Option<ServeCommand>,

    /// Address to listen on.
    #[arg(
        long,
        value_name = "ADDRESS",
        help = "Listen here: 127.0.0.1:8953, [::1]:8953 or unix:/path; may be repeated [env: \
            PDNS_SERVE_LISTEN] [default: 127.0.0.1:8953]",
        long_help = "Listen here: 127.0.0.1:8953, [::1]:8953 or unix:/path; may be repeated [env: \
            PDNS_SERVE_LISTEN] [default: 127.0.0.1:8953]\n\n\
            Another address than a loopback one needs users, and TLS or a proxy that speaks it."
    )]
    pub listen: Vec<String>,

    /// TOML file with settings; flags and environment variables override it [env: PDNS_SERVE_CONFIG] [default: /etc/pdns/serve.toml, if there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// File of users, as `pdns serve user` writes it [env: PDNS_SERVE_USERS] [default: /etc/pdns/users.toml, if there]
    ///
    /// With it, each request needs a key (X-API-Key, or Authorization: Bearer) or a login (Basic). Without
    /// it, everybody who can connect may query.
    #[arg(long, value_name = "FILE", global = true)]
    pub users: Option<PathBuf>,

    /// Certificate for TLS, in PEM, followed by its chain; reloaded when it changes [env:
    /// PDNS_SERVE_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM [env: PDNS_SERVE_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Expect a TLS proxy in front that sends the client's address in X-Forwarded-For
    #[arg(long)]
    pub behind_proxy: bool,

    /// Answer to this host name too; may be repeated [env: PDNS_SERVE_HOST]
    ///
    /// Without users only requests for localhost, a loopback address or the address listened on are answered,
    /// so that no web page can send queries through a browser on this machine.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// Origin whose pages may read answers.
    #[arg(
        long,
        value_name = "ORIGIN",
        help = "Let pages of this one origin read answers, such as https://so.example.net [env: \
            PDNS_SERVE_CORS_ORIGIN]"
    )]
    pub cors_origin: Option<String>,

    /// URL of Security Onion's Hunt.
    #[arg(
        long,
        value_name = "URL",
        help = "Link pages to Security Onion's Hunt: https://so.example.net [env: PDNS_SERVE_HUNT_URL]",
        long_help = "Link pages to Security Onion's Hunt: https://so.example.net [env: PDNS_SERVE_HUNT_URL]\n\n\
            Another path than /#/hunt?q= is given as a whole URL with {query} in the place of the query."
    )]
    pub hunt_url: Option<String>,

    /// Let pages of this origin show ours in a frame; may be repeated [env: PDNS_SERVE_FRAME_ANCESTOR]
    #[arg(long, value_name = "ORIGIN")]
    pub frame_ancestor: Vec<String>,

    /// Requests per second of one client; 0 for no limit [default: 50]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,

    /// Requests that a client may send in one burst [default: 200]
    #[arg(long, value_name = "N")]
    pub burst: Option<u32>,

    /// Maximum number of concurrent queries [default: 8]
    #[arg(long, value_name = "N")]
    pub queries: Option<usize>,

    /// Maximum number of concurrent queries of one client [default: half of --queries]
    ///
    /// A client is both a user and an address: each is counted. Eight times as many queries may run or wait
    /// for an address; requests beyond that are refused with 429.
    #[arg(long, value_name = "N")]
    pub client_queries: Option<usize>,

    /// Maximum number of open connections of one client address [default: 64]
    ///
    /// An IPv6 address is counted with its /64, and a user of the Unix socket by user id. All clients
    /// together have at most 512. With --behind-proxy the proxy may have any number, and the concurrent
    /// requests of each address behind it are counted instead.
    #[arg(long, value_name = "N")]
    pub client_connections: Option<usize>,

    /// Time limit of a query, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub time: Option<f64>,

    /// Maximum number of rows in an answer [default: 10000]
    #[arg(long, value_name = "N")]
    pub max_rows: Option<usize>,
}

/// Commands of `pdns serve`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ServeCommand {
    /// Manage the users of the server
    #[command(subcommand)]
    User(UserCommand),
}

/// Commands of `pdns serve user`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Add a user and print the new API key, which is stored nowhere else
    Add {
        /// Name, shown in logs and as the author of tags
        name: String,
        /// Allow this user to set and clear tags
        #[arg(long)]
        may_tag: bool,
        /// Read a password from standard input instead of generating a key
        #[arg(long)]
        password: bool,
    },
    /// Remove a user
    Remove {
        /// Name
        name: String,
    },
    /// List the users
    List,
}
