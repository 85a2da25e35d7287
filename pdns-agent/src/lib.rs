//! Passive DNS: each DNS answer that a network sees is one tuple (rrname, rrtype, rdata) with a count,
//! the first and the last time seen, and its TTLs.
//!
//! # The flow
//!
//! ```text
//! source -> decode -> observation -> aggregate -> store (Redis) -> query -> render
//!                                                   |
//!        agent wires the left half                  |      cli and serve wire the right half
//! ```
//!
//! - [`source`] finds logs and yields their lines, each once, whatever happens to the files; and the packets of
//!   interfaces and capture files.
//! - [`decode`] makes [`observation`]s of lines and of packets, or counts why not.
//! - [`aggregate`] merges equal observations, so that the store hears of each tuple once a batch.
//! - [`store`] takes batches exactly once and gives rows back.
//! - [`query`] reads what is typed as subjects (`query::subject`, the only place) and puts questions to the store; [`render`] writes the answers, [`exchange`] lists for other programs;
//!   [`exchange::intel`] reads the indicators that others list.
//! - [`analyze`] judges names by their text: models come as bytes, verdicts and reasons go out.
//! - [`agent`] and [`cli`] are the two programs' work, [`serve`] answers over HTTP; [`config`] is what they are told.
//! - [`enrich`] reads what others say of a subject: tables of the networks that addresses are in.
//! - [`outgoing`] opens the connections to other machines, and [`intel_feeds`] fetches feeds through it.
//! - [`name`], [`rr`], [`rdata`], [`time`] and [`hash`] are the words that all of them share.
//!
//! # What is absent, and stays so
//!
//! - `source` knows no DNS. `decode` does no I/O. `render` and `aggregate` never see the store's insides.
//! - Only `store` names Redis, and only `outgoing` the HTTP client: nothing else connects to other machines. A client's
//!   address goes no further than `decode`, which pairs questions with answers by it: nothing behind has a field for it.
//! - No text leaves the program that is not printable ASCII, or escaped to be so; but for the pages of `serve::context`
//!   and the Unicode forms of names in tables ([`name::display`]), in which nothing is invisible.
//! - Nothing is `unsafe`, but the system calls of `source::capture`, in one file. Only `source` names aya.
//!
//! `tests/it/layers.rs` holds the arrows to this.
pub mod agent;
pub mod aggregate;
pub mod analyze;
pub(crate) mod atomic_file;
mod bounded_file;
pub(crate) mod causes;
pub mod cli;
pub mod config;
pub mod decode;
pub mod enrich;
pub mod exchange;
pub(crate) mod exposition;
pub(crate) mod file_lock;
pub mod hash;
pub(crate) mod hex;
pub mod indicator;
pub mod intel_feeds;
pub mod judge;
pub(crate) mod monitor;
pub mod name;
pub mod observation;
pub mod outgoing;
pub(crate) mod percent;
pub mod query;
pub mod rdata;
pub mod record;
pub mod render;
pub mod retention;
pub mod rr;
pub mod sensors;
pub mod serve;
pub mod source;
pub mod store;
pub mod tag;
pub mod time;
pub(crate) mod unix_socket;
