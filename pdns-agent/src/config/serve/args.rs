//! What is typed: the flags of `pdns serve`.

#![expect(clippy::doc_markdown, reason = "the help of a command is plain text")]

use std::path::PathBuf;

/// Flags of `pdns serve`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Serve {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<ServeCommand>,

    /// Where to listen.
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
    /// With it, each request has to bear a key (X-API-Key, or Authorization: Bearer) or a login (Basic). Without it,
    /// everybody who can connect may ask.
    #[arg(long, value_name = "FILE", global = true)]
    pub users: Option<PathBuf>,

    /// Certificate for TLS, in PEM, followed by its chain; read anew when it changes [env: PDNS_SERVE_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Its key, in PEM [env: PDNS_SERVE_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// A proxy stands in front, speaks TLS, and tells the client's address in X-Forwarded-For
    #[arg(long)]
    pub behind_proxy: bool,

    /// Answer to this host name too; may be repeated [env: PDNS_SERVE_HOST]
    ///
    /// Without users only requests for localhost, a loopback address or the address listened on are answered, so that no
    /// page on the web can ask through a browser on this machine.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// Whose pages may read answers.
    #[arg(
        long,
        value_name = "ORIGIN",
        help = "Let pages of this one origin read answers, such as https://so.example.net [env: \
            PDNS_SERVE_CORS_ORIGIN]"
    )]
    pub cors_origin: Option<String>,

    /// Where Security Onion's Hunt is.
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

    /// Requests per second of one client; 0 for any number [default: 50]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,

    /// Requests that a client may save up and send at once [default: 200]
    #[arg(long, value_name = "N")]
    pub burst: Option<u32>,

    /// Queries that run at once [default: 8]
    #[arg(long, value_name = "N")]
    pub queries: Option<usize>,

    /// Queries of one client that run at once [default: half of --queries]
    ///
    /// A client is a user, and an address as well: both are counted. Of an address eight times as many may run or wait;
    /// what is beyond is refused with 429.
    #[arg(long, value_name = "N")]
    pub client_queries: Option<usize>,

    /// Open connections of one client address [default: 64]
    ///
    /// An IPv6 address is counted with its /64, and a user of the Unix socket by user id. All clients together have at
    /// most 512. With --behind-proxy the proxy may have any number, and the requests that each address behind it sends
    /// at the same time are counted.
    #[arg(long, value_name = "N")]
    pub client_connections: Option<usize>,

    /// How long a query may take, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub time: Option<f64>,

    /// The most rows of an answer [default: 10000]
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
        /// Read a password from standard input in place of making a key
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
