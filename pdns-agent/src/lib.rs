//! Passive DNS: each DNS answer that a network sees is one tuple (rrname, rrtype, rdata) with a count,
//! the first and the last time seen, and its TTLs.
pub mod agent;
pub mod aggregate;
pub mod cli;
pub mod config;
pub mod decode;
pub mod hash;
pub mod name;
pub mod observation;
pub mod query;
pub mod rdata;
pub mod render;
pub mod rr;
pub mod source;
pub mod store;
pub mod time;
