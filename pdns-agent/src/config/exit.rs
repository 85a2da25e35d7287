//! Exit statuses of `pdns-agent` and `pdns serve`, following sysexits.h where it defines one.
//!
//! A service manager restarts a program that failed, but not one that is misconfigured.

/// Nothing was found: a given file contains nothing for the command that read it.
pub const NOTHING_FOUND: u8 = 1;
/// Something failed at run time: a restart may succeed.
pub const FAILED: u8 = 2;
/// The command line makes no sense, which whoever typed it sees at once.
pub const USAGE: u8 = 2;
/// The settings never worked (`EX_CONFIG`): it fails again until somebody changes them.
pub const CONFIGURATION: u8 = 78;
