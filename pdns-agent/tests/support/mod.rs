//! What the test binaries share: how a test skips, and where its data is.
//!
//! The tests know some hundred real captures, logs and lists, which are not in this repository. Their folder is named by
//! `PDNS_TEST_DATA`, or is `shared/data` beside the repository. Where it is missing, the small files of our own in
//! `tests/data` stand in for it: `tests/reference/data.py` writes them, under the same names.

#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "no binary needs all of it; a skipped test says so"
)]

use std::path::{Path, PathBuf};

/// Says that a test cannot run on this machine, and why. With `PDNS_REQUIRE=all`, as in CI, that is a failure.
#[track_caller]
pub(crate) fn skip(test: &str, reason: &str) {
    println!("skipping {test}: {reason}");
    let requires_all = std::env::var_os("PDNS_REQUIRE").is_some_and(|value| value == "all");
    assert!(!requires_all, "PDNS_REQUIRE=all forbids to skip {test}: {reason}");
}

/// Test data: the real data, or our own in its place.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) folder: PathBuf,
    /// Whether it is that of `tests/data`.
    pub(crate) is_own: bool,
}

impl Data {
    /// The folder or file `part` of the real data; of our own where there is no real data.
    pub(crate) fn of(part: &str) -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let outside = std::env::var_os("PDNS_TEST_DATA")
            .map_or_else(|| package.join("../../shared/data"), PathBuf::from);
        let is_own = !outside.is_dir();
        let data = if is_own { package.join("tests/data") } else { outside };
        let folder = data.join(part);
        assert!(folder.exists(), "{} is missing", folder.display());
        Self { folder, is_own }
    }

    /// One value for the real data, one for our own.
    pub(crate) fn pick<T>(&self, real: T, own: T) -> T {
        if self.is_own { own } else { real }
    }
}
