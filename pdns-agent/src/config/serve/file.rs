//! The settings file of `pdns serve`.

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
    pub(super) listen: Vec<String>,
    pub(super) users: Option<PathBuf>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) behind_proxy: bool,
    pub(super) host: Vec<String>,
    pub(super) cors_origin: Option<String>,
    pub(super) hunt_url: Option<String>,
    pub(super) frame_ancestor: Vec<String>,
    pub(super) rate: Option<u32>,
    pub(super) burst: Option<u32>,
    pub(super) queries: Option<usize>,
    pub(super) client_queries: Option<usize>,
    pub(super) client_connections: Option<usize>,
    pub(super) time: Option<f64>,
    pub(super) max_rows: Option<usize>,
}
