//! Command line flags of `pdns-agent`.

#![expect(clippy::doc_markdown, reason = "the help of a command is plain text")]

use crate::config::Connection;
use std::path::PathBuf;

/// Record the DNS answers that a sensor sees in a passive DNS store.
#[derive(Debug, clap::Parser)]
#[command(
    name = "pdns-agent",
    version,
    about = "Record the DNS answers that a sensor sees in a passive DNS store",
    after_help = "The store is a private Redis unless --redis or PDNS_REDIS names one. SIGTERM and SIGINT end the \
                  agent after all it has read is in the store. Once the store has worked, whatever is wrong with it \
                  is waited out.\n\nExit status: 0 done, or stopped with all stored; 1 a named file holds nothing for this \
                  command, or a named folder has no file for it; 2 an input could not be read (--once, pcap, cof) or \
                  stored, or wrong usage; 78 the settings never worked: configuration, store, interface."
)]
pub struct Args {
    /// Flags for the store.
    #[command(flatten)]
    pub connection: Connection,

    /// TOML file with settings; flags and environment variables override it [env: PDNS_CONFIG] [default:
    /// /etc/pdns/agent.toml, if there].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Name of this sensor, shown with the records it saw [env: PDNS_SENSOR] [default: the host's name; of cof, which
    /// reads neither the variable nor the file for it: cof].
    #[arg(long, value_name = "NAME", global = true)]
    pub sensor: Option<String>,

    /// Serve /metrics (Prometheus) and /health here: 127.0.0.1:9953, or the path of a Unix socket [env:
    /// PDNS_LISTEN] [default: nowhere].
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub listen: Option<String>,

    /// Memory for merging equal answers, in MiB [default: 136, or a third of the limit on this process's memory, if that
    /// is less].
    #[arg(long, value_name = "MIB", global = true)]
    pub memory: Option<usize>,

    /// Maximum number of new names below one registrable domain on one day; answers for further ones are only added up
    /// below the domain; 0 for no limit [default: 10000; of cof: no limit].
    #[arg(long, value_name = "NUMBER", global = true)]
    pub new_names: Option<u32>,

    /// Source of the answers.
    #[command(subcommand)]
    pub source: Source,
}

/// Source of the answers.
#[derive(Debug, clap::Subcommand)]
pub enum Source {
    /// Read Zeek dns.log files: existing lines first, then new ones.
    ///
    /// Accepts files, directories and globs, TSV and JSON, plain and compressed. A log is identified by its
    /// content, so rotation, compression and copies do not count anything twice. If our Zeek package writes
    /// pdns.log, that is read too, and the same answers in dns.log are skipped.
    Zeek(Zeek),
    /// Read Suricata eve.json files: existing lines first, then new ones.
    ///
    /// Accepts files, directories and globs, plain and compressed, with DNS events of version 2 (detailed or
    /// grouped) and 3. A log is identified by its content, so rotation, compression and copies do not count
    /// anything twice. All other events are skipped.
    Suricata(Suricata),
    /// Capture DNS on network interfaces, through an eBPF filter.
    ///
    /// Sees VLAN tags, fragments, TCP, and one level of GRE, ERSPAN, VXLAN, GENEVE and IP in IP. Needs CAP_BPF
    /// and CAP_NET_RAW (or root) to start, and drops them once it captures; with CAP_PERFMON the filter costs less.
    Ebpf(Ebpf),
    /// Read capture files: pcap and pcapng, plain or compressed.
    ///
    /// The packets are decoded like those of a live capture. A file is identified by its content: if it is
    /// read twice, it counts once.
    Pcap(Pcap),
    /// Import passive DNS from elsewhere: COF, or the JSON of DNSDB and dnsdbq.
    ///
    /// Accepts files, directories and globs, plain and compressed, and standard input. Each record keeps its count and
    /// times, and is shown as imported until a sensor sees it. A file is identified by its content: if it is read
    /// twice, it counts once.
    Cof(Cof),
}

/// Flags of `pdns-agent zeek`.
#[derive(Debug, Default, clap::Args)]
pub struct Zeek {
    /// Files, directories and globs, such as /nsm/zeek/logs or '/data/*/dns.*.log.gz' [default: those of
    /// the configuration file].
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Stop at the present end of the logs.
    #[arg(long)]
    pub once: bool,

    /// Also record multicast DNS, LLMNR and NetBIOS (ports 5353, 5355, 137).
    #[arg(long)]
    pub keep_multicast: bool,

    /// Read dns.log in full and ignore pdns.log, the log of our Zeek package. Changing this for logs that
    /// were already read counts answers twice.
    #[arg(long)]
    pub no_pdns_log: bool,

    /// Maximum delay of new lines before they go to the store, in seconds [default: 2].
    #[arg(long, value_name = "SECONDS")]
    pub flush: Option<f64>,

    /// Maximum number of threads that read logs [default: the number of processors, or one for each 32 MiB of
    /// the limit on this process's memory].
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<usize>,
}

/// Flags of `pdns-agent suricata`.
#[derive(Debug, Default, clap::Args)]
pub struct Suricata {
    /// Files, directories and globs, such as /nsm/suricata or '/var/log/suricata/eve*.json' [default: those of the
    /// configuration file].
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Stop at the present end of the logs.
    #[arg(long)]
    pub once: bool,

    /// Maximum delay of new lines before they go to the store, in seconds [default: 2].
    #[arg(long, value_name = "SECONDS")]
    pub flush: Option<f64>,

    /// Maximum number of threads that read logs [default: the number of processors, or one for each 32 MiB of
    /// the limit on this process's memory].
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<usize>,
}

/// Flags of `pdns-agent ebpf`.
#[derive(Debug, Default, clap::Args)]
pub struct Ebpf {
    /// Interface to capture on; repeat it for more. NAME=SENSOR makes it a sensor of that name; otherwise
    /// several interfaces are sensors named SENSOR-NAME [default: those of the configuration file].
    #[arg(long = "interface", short, value_name = "NAME[=SENSOR]")]
    pub interfaces: Vec<String>,

    /// Ring buffer of each interface, in MiB: a power of two [default: 16, or less if the memory of this
    /// process is limited].
    #[arg(long, value_name = "MIB")]
    pub ring: Option<usize>,

    /// Capture only packets addressed to this machine.
    #[arg(long)]
    pub no_promiscuous: bool,

    /// Maximum delay of answers before they go to the store, in seconds [default: 2].
    #[arg(long, value_name = "SECONDS")]
    pub flush: Option<f64>,

    /// Options for packets.
    #[command(flatten)]
    pub packets: Packets,
}

/// Flags of `pdns-agent pcap`.
#[derive(Debug, Default, clap::Args)]
pub struct Pcap {
    /// Capture files, and directories of them; gzip, bzip2, zstd, xz and lz4 are decompressed.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Maximum number of threads that read files [default: the number of processors, or one for each 32 MiB
    /// of the limit on this process's memory].
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<usize>,

    /// Options for packets.
    #[command(flatten)]
    pub packets: Packets,
}

/// Flags of `pdns-agent cof`.
#[derive(Debug, Default, clap::Args)]
pub struct Cof {
    /// Files, directories and globs of JSON lines; - is standard input. gzip, bzip2, zstd, xz and lz4 are
    /// decompressed.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Maximum number of threads that read files [default: the number of processors, or one for each 32 MiB
    /// of the limit on this process's memory].
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<usize>,
}

/// Flags for packets.
#[derive(Debug, Default, clap::Args)]
pub struct Packets {
    /// Port that carries DNS; repeat it for more. 5353 is multicast DNS, 5355 LLMNR [default: 53].
    #[arg(long = "port", value_name = "PORT", value_delimiter = ',')]
    pub ports: Vec<u16>,

    /// Time in seconds after which a question without an answer is unanswered [default: 10].
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<f64>,

    /// Drop unsolicited responses. Otherwise they are marked.
    #[arg(long)]
    pub drop_unsolicited: bool,
}
