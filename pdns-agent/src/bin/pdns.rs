//! `pdns`: asks a passive DNS store. All it does itself is to bring the process and the library together.

use pdns_agent::cli::{self, Args, Found, Terminal};
use pdns_agent::config::usage;
use std::io::{self, BufWriter, IsTerminal as _};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let args: Args = match usage::parse(&cli::explain_unknown_flag) {
        Ok(args) => args,
        Err(refusal) => return ExitCode::from(refusal.print("pdns")),
    };
    let stdout = io::stdout();
    let width = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout));
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut terminal = Terminal {
        out: &mut BufWriter::with_capacity(65_536, stdout.lock()),
        // Not locked: a server's threads write there, too.
        err: &mut io::stderr(),
        input: &mut io::stdin().lock(),
        // A terminal that does not tell its width gets the width of a punched card.
        width: width.map(|size| size.map_or(80, |(width, _)| width.0)),
        is_watched: io::stderr().is_terminal(),
        env: &|name| std::env::var(name).ok(),
        now: u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX),
        address_tables: Vec::new(),
    };
    match cli::run(&args, &mut terminal) {
        Ok(Found::Something) => ExitCode::SUCCESS,
        Ok(Found::Nothing) => ExitCode::from(1),
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // What was found before the error is still worth having.
            drop(terminal.out.flush());
            let status = error.exit_status();
            terminal.say(format_args!("{:#}", anyhow::Error::from(error)));
            ExitCode::from(status)
        }
    }
}
