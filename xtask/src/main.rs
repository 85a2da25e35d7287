//! The project's own tasks: `cargo xtask TASK`.

#![expect(clippy::print_stderr, reason = "a task talks to the person who started it")]

mod bench;
mod ci;
mod demo;
mod deny;
mod dist;
mod ebpf;
mod faults;
mod fuzz;
mod python;
mod sample;
mod securityonion;
mod shell;
mod soak;
mod test;
mod tidy;
mod train;
mod zeek;

use clap::Parser;
use std::process::ExitCode;

/// The project's own tasks
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Build, import a made-up Zeek log into a private store and show example queries
    Demo,
    /// Install what the tests need and run all of them
    Test(test::Args),
    /// Test, formatting, lints, documentation, tidiness, some seconds of fuzzing for each target
    Ci,
    /// Check licences, origins and, where a copy of them is, advisories of all dependencies
    Deny,
    /// Check rules that no other tool checks: module docs, file sizes, the top level, commands and links in documents
    Tidy,
    /// Measure imports of logs and packets into Redis, compared with its limits and other programs
    Bench(bench::Args),
    /// Break Redis, the network, the disk and the agent while it works, and write a report
    Faults(faults::Args),
    /// Look for inputs that break decoders and readers
    Fuzz(fuzz::Args),
    /// Capture, follow logs, answer, judge and forget at the same time, and report what grows, is lost or slow
    Soak(soak::Args),
    /// Build a Debian package of both programs, or the package for Zeek, below target/dist
    Dist(dist::Args),
    /// Build the socket filter for the kernel and keep its object in the repository
    BuildEbpf,
    /// Write a made-up Zeek dns.log of any size
    Sample(sample::Args),
    /// Make the model of generated names that comes with pdns, from lists that may be passed on
    Train(train::Args),
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Demo => demo::demo(),
        Task::Test(args) => test::run(&args),
        Task::Ci => ci::ci(),
        Task::Deny => deny::deny(),
        Task::Tidy => tidy::tidy(),
        Task::Bench(args) => bench::bench(&args),
        Task::Faults(args) => faults::faults(&args),
        Task::Fuzz(args) => fuzz::fuzz(&args),
        Task::Soak(args) => soak::soak(&args),
        Task::Dist(args) => dist::dist(&args),
        Task::BuildEbpf => ebpf::build(),
        Task::Sample(args) => sample::run(&args),
        Task::Train(args) => train::train(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
