//! Exit statuses of `pdns-agent` and `pdns serve`, after sysexits.h where that has one.
//!
//! A service manager restarts a program that failed, and leaves one alone that was set up wrongly.

/// Nothing was found: a file that was named holds nothing for the command that read it.
pub const NOTHING_FOUND: u8 = 1;
/// Something failed while the program ran: it may go better the next time.
pub const FAILED: u8 = 2;
/// The command line makes no sense, which whoever typed it sees at once.
pub const USAGE: u8 = 2;
/// The settings never worked (`EX_CONFIG`): it fails again until somebody changes them.
pub const CONFIGURATION: u8 = 78;
