//! Exit statuses of `pdns-agent` and `pdns serve`, after sysexits.h where that has one.
//!
//! A service manager restarts a program that failed, and leaves one alone that was set up wrongly.

/// Something failed while the program ran: it may go better the next time.
pub const FAILED: u8 = 2;
/// The settings never worked (`EX_CONFIG`): it fails again until somebody changes them.
pub const CONFIGURATION: u8 = 78;
