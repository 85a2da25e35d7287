//! Entry point of the fuzz target `path`, to readers of requests that are private to the server.
//!
//! Not a part of the library's interface.

use super::{circl, context, dnsdb, part};

/// Reads a path, which stands behind that of the protocol, and a query string as each protocol does.
///
/// # Panics
/// When a reader does.
pub fn request(path: &str, query: Option<&str>) {
    drop((part::decode(path), part::parameters(query)));
    drop((circl::check(path), dnsdb::check(path, query)));
    context::check(path);
}
