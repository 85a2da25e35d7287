//! The settings file of `pdns-agent`.

#![expect(clippy::struct_field_names, reason = "the keys of a file that people write")]

use serde::Deserialize;
use std::path::PathBuf;

/// The settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) redis: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) redis_user: Option<String>,
    pub(super) redis_password_file: Option<PathBuf>,
    pub(super) sensor: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) memory: Option<usize>,
    pub(super) flood: Flood,
    pub(super) zeek: Zeek,
    pub(super) suricata: Suricata,
    pub(super) ebpf: Ebpf,
    pub(super) pcap: Pcap,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Flood {
    pub(super) new_names: Option<u32>,
    pub(super) exempt: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Zeek {
    pub(super) paths: Vec<PathBuf>,
    pub(super) keep_multicast: bool,
    pub(super) no_pdns_log: bool,
    pub(super) flush: Option<f64>,
    pub(super) memory: Option<usize>,
    pub(super) workers: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Suricata {
    pub(super) paths: Vec<PathBuf>,
    pub(super) flush: Option<f64>,
    pub(super) memory: Option<usize>,
    pub(super) workers: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ebpf {
    pub(super) interfaces: Vec<String>,
    pub(super) ring: Option<usize>,
    pub(super) promiscuous: Option<bool>,
    pub(super) flush: Option<f64>,
    pub(super) memory: Option<usize>,
    pub(super) ports: Vec<u16>,
    pub(super) timeout: Option<f64>,
    pub(super) drop_unsolicited: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pcap {
    pub(super) memory: Option<usize>,
    pub(super) workers: Option<usize>,
    pub(super) ports: Vec<u16>,
    pub(super) timeout: Option<f64>,
    pub(super) drop_unsolicited: bool,
}
