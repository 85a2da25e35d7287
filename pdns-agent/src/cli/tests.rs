//! Tests of the parser: valid command lines, their meaning, and errors. They need no store.

use super::args::{Args, Command, OutcomeArg};
use super::query_args::{LIMIT, TOP_LIMIT};
use super::*;
use crate::observation::Outcome;
use crate::query::{Query, Sort, What};
use crate::rr::RrType;
use clap::{CommandFactory as _, Parser as _};

/// 2026-11-24T02:22:58Z.
const NOW: u32 = 1_795_486_978;

#[track_caller]
fn parse(line: &str) -> Args {
    Args::try_parse_from(std::iter::once("pdns").chain(line.split_whitespace())).unwrap()
}

fn refused(line: &str) -> String {
    let args = Args::try_parse_from(std::iter::once("pdns").chain(line.split_whitespace()));
    args.expect_err(line).to_string()
}

/// Returns the error of running `line`, before it accesses a store.
fn error(line: &str) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        input: &mut io::empty(),
        width: None,
        is_watched: false,
        env: &|_| None,
        now: NOW,
        address_tables: Vec::new(),
    };
    let error = run(&parse(line), &mut terminal).expect_err(line);
    format!("{:#}", anyhow::Error::from(error))
}

fn look_up(line: &str) -> Query {
    let args = parse(line);
    let subject = query_args::subject(&args.subjects[0]).unwrap();
    RowOptions::from(&args.rows).look_up(&subject, false, NOW).unwrap()
}

#[test]
fn clap_types_are_sound_and_short_help_fits_a_screen() {
    let mut command = Args::command().term_width(100);
    command.clone().debug_assert();
    let short = command.render_help().to_string();
    assert!(short.lines().count() <= 52, "{} lines\n{short}", short.lines().count());
    assert!(short.lines().all(|line| line.chars().count() <= 100), "{short}");
    let long = command.render_long_help().to_string();
    assert!(long.contains("overlaps the span") && long.contains("pdns 192.0.2.0/24"));
}

#[test]
fn a_bare_argument_is_a_look_up_wherever_the_flags_stand() {
    for line in [
        "example.com --rrtype a,AAAA --limit 5",
        "--rrtype A --rrtype aaaa --limit 5 example.com",
        "-t A,AAAA -l 5 example.com",
    ] {
        let query = look_up(line);
        assert!(matches!(query.what, What::Name { .. }), "{line}");
        assert_eq!(query.filter.rrtypes, [RrType::A, RrType::AAAA]);
        assert_eq!(query.limit, 5);
    }
    let query = look_up("192.0.2.0/24");
    assert!(matches!(query.what, What::Addresses(..)));
    assert_eq!((query.limit, query.sort), (LIMIT, None));
    assert!(matches!(look_up("*.example.com").what, What::Names { .. }));
    assert_eq!(parse("example.com status").subjects, ["example.com", "status"]);
    assert!(matches!(parse("top --format json").command, Some(Command::Top { .. })));
    assert!(matches!(parse("lookup status").command, Some(Command::Lookup { .. })));
    assert_eq!(parse("stauts").subjects, ["stauts"]);
}

#[test]
fn fences_are_resolved() {
    let fence = look_up(
        "x.example --first-after 24h --first-before 2026-11-24 --last-after 2026-11-24T00:00:01Z \
         --last-before 1795486978 --seen-in 2026-11-01..2026-11-02",
    )
    .filter
    .fence;
    assert_eq!(fence.first_after, Some(NOW - 86_400));
    assert_eq!(fence.first_before, Some(1_795_478_400));
    assert_eq!(fence.last_after, Some(1_795_478_401));
    assert_eq!(fence.last_before, Some(NOW));
    let span = fence.seen_in.unwrap();
    assert_eq!(span.end - span.start, 2 * 86_400);
}

#[test]
fn find_and_rankings() {
    let args =
        parse("find --starts WWW --ends example.com. --contains a --contains b --ttl-max 60");
    let Some(Command::Find(find)) = &args.command else { panic!("{args:?}") };
    let query = RowOptions::from(&find.rows).find(find, NOW).unwrap();
    let What::Names { text, .. } = &query.what else { panic!("{query:?}") };
    assert_eq!(text.starts.as_ref().unwrap().as_str(), "www");
    assert_eq!(text.ends.as_ref().unwrap().as_str(), "example.com");
    assert_eq!((text.contains.len(), query.filter.ttl.most), (2, Some(60)));
    let args = parse("find --ttl 300");
    let Some(Command::Find(find)) = &args.command else { panic!("{args:?}") };
    assert_eq!(RowOptions::from(&find.rows).find(find, NOW).unwrap().what, What::Records);

    let Some(Command::Top(top)) = parse("top").command else { panic!() };
    let query = RowOptions::from(&top.rows).top(NOW).unwrap();
    assert_eq!((query.limit, query.sort), (TOP_LIMIT, Some(Sort::Count)));
    for (line, want) in [
        ("unanswered", OutcomeArg::Only(Outcome::UNANSWERED)),
        ("unanswered --outcome nxdomain", OutcomeArg::Only(Outcome::NXDOMAIN)),
        ("unanswered --outcome RCODE16", OutcomeArg::Only(Outcome(16))),
        ("unanswered --outcome any", OutcomeArg::Any),
    ] {
        let args = parse(line);
        let Some(Command::Unanswered(asked)) = args.command else { panic!("{args:?}") };
        let outcome = asked.outcome.unwrap_or_default();
        assert_eq!(outcome, want);
        let query = RowOptions::from(&asked.rows).unanswered(outcome, NOW).unwrap();
        assert_eq!(query.what, What::Negatives);
    }
}

#[test]
fn what_clap_refuses_is_told_well() {
    assert!(refused("x --rrtype www").contains("is no record type"));
    assert!(refused("x --format xml").contains("table, cof, json, csv, plain"));
    assert!(refused("unanswered --outcome tired").contains("is no outcome"));
    assert!(refused("x --limit few").contains("--limit"));
    assert!(refused("find --ttl many").contains("invalid value"));
}

#[test]
fn every_error_is_one_good_sentence() {
    for (line, want) in [
        ("192.0.2.0/33", "cannot tell what \"192.0.2.0/33\" is: the prefix length"),
        ("a..b", "cannot tell what \"a..b\" is: it is not a valid domain name: empty label"),
        ("443", "cannot tell what \"443\" is: it is a number or a hash"),
        ("frobnicate 8.8.8.8", "\"frobnicate\" is not a command (pdns --help lists them)"),
        ("score 8.8.8.0/24", "8.8.8.0/24 has no score: give names or single addresses"),
        ("score --new x.example", "--new scores what is new: give no subjects"),
        ("score a.example --weights /no/file", "cannot use /no/file: "),
        ("enrich paypal.com", "\"enrich\" is not a command"),
        ("stauts x.example", "\"stauts\" is not a command (did you mean `pdns status`?)"),
        ("localhost wpad", "\"localhost\" is not a command"),
        ("x --seen-in soon", "bad value for --seen-in: invalid time \"soon\": give an age"),
        ("--format json top", "--format stands before the command: give it after the command"),
        ("--seen-in 7d find", "--seen-in stands before the command: give it after the command"),
        ("top --by domains --sort ttl", "top sorts by count, first, last or name: its rows"),
        ("new --list soon", "bad value for --list: invalid time \"soon\""),
        ("find --contains \\9", "bad value for --contains: no name can hold"),
        ("x --redis redis://:secret@h", "--redis holds a password"),
        ("x --redis localhost", "\"localhost\" is no address of a store"),
        ("lookup a.example b..c", "cannot tell what \"b..c\" is: it is not a valid domain name"),
        ("tag set threat ]e.example", "cannot tell what \"]e.example\" is: it may mean e.example"),
    ] {
        let said = error(line);
        assert!(said.starts_with(want), "{line}: {said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(!said.ends_with('.') && !said.contains('\n'), "{said}");
    }
}

#[test]
fn a_broken_pipe_is_told_from_other_errors() {
    let error = |kind: io::ErrorKind| CliError::Output(kind.into());
    assert!(error(io::ErrorKind::BrokenPipe).is_broken_pipe());
    assert!(!error(io::ErrorKind::StorageFull).is_broken_pipe());
}

#[test]
fn the_format_fits_where_the_answer_goes() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        input: &mut io::empty(),
        width: None,
        is_watched: false,
        env: &|name| (name == "NO_COLOR").then(|| "1".to_owned()),
        now: NOW,
        address_tables: Vec::new(),
    };
    assert_eq!(terminal.format(None, Format::Cof), Format::Cof);
    assert_eq!(terminal.format(Some(Format::Csv), Format::Cof), Format::Csv);
    terminal.width = Some(80);
    assert_eq!(terminal.format(None, Format::Cof), Format::Table);
    assert!(!terminal.look(Vec::new()).bold);
    terminal.env = &|_| None;
    assert!(terminal.look(Vec::new()).bold);
}

#[test]
fn lines_of_standard_input_are_bounded() {
    let long = "a".repeat(100_000);
    let text = format!("one\n{long}\n\nlast");
    let mut input = text.as_bytes();
    let mut lengths = Vec::new();
    while let Some(line) = lists::next_line(&mut input).unwrap() {
        lengths.push(line.len());
    }
    assert_eq!(lengths, [4, 65_536, 1, 4]);
}

/// Returns the words of an example, up to the parts for the shell or the reader.
fn typed(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut letters) = (false, line.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted && letters.peek() == Some(&' ') => break,
            ' ' if !quoted => words.push(String::new()),
            '<' | '>' | '|' if !quoted => break,
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A paragraph that is broken by hand is broken again on a narrower terminal, with one or two words on every other line.
#[test]
fn help_is_broken_into_lines_by_the_terminal() {
    let mut due = vec![Args::command(), crate::config::agent::Args::command()];
    while let Some(mut command) = due.pop() {
        due.extend(command.get_subcommands().cloned());
        command.build();
        let name = command.get_name().to_owned();
        for help in [command.get_after_help(), command.get_after_long_help()] {
            let text = help.map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                let flows = |line: &str| !line.is_empty() && !line.starts_with(' ');
                let is_broken = flows(pair[0]) && flows(pair[1]);
                assert!(!is_broken, "{name}: {}\n{}", pair[0], pair[1]);
            }
            let example = lines.iter().find(|line| line.starts_with(' ') && line.len() > 80);
            assert_eq!(example, None, "{name}");
        }
    }
}

#[test]
fn the_help_of_each_question_has_examples_that_can_be_typed() {
    let mut command = Args::command();
    command.build();
    let (mut due, mut examples) = (vec![command], 0);
    while let Some(command) = due.pop() {
        due.extend(command.get_subcommands().cloned());
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        let is_question = !["admin", "serve", "help"].iter().any(|word| name.contains(word));
        let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(!is_question || command.has_subcommands() || !lines.is_empty(), "{name}");
        for line in lines.into_iter().filter(|line| line.starts_with("pdns ")) {
            if let Err(error) = Args::try_parse_from(typed(line)) {
                panic!("{line}: {error}");
            }
            examples += 1;
        }
    }
    assert!(examples > 40, "{examples}");
}
