//! The tables of the benchmark report, generated from the numbers of the last runs.
//!
//! Each run writes its numbers as tab-separated text to `pdns-agent/benches/results`, with the names of the columns in
//! the first line. `report.md` next to it holds the text, and says where each table belongs:
//!
//! ```text
//! <!-- table: ingest.tsv -->
//! (the table)
//! <!-- end of table -->
//! ```

use anyhow::{Context as _, ensure};
use std::fs;
use std::path::Path;

/// The report, within the repository.
const REPORT: &str = "pdns-agent/benches/report.md";
/// The folder of the numbers, within the repository.
const RESULTS: &str = "pdns-agent/benches/results";
/// Begins a table; followed by the name of its file and ` -->`.
const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end of table -->";

/// Takes over the numbers of a run, and generates the report again.
pub(crate) fn publish(root: &Path, measured: &Path) -> anyhow::Result<()> {
    let name = measured.file_name().context("the numbers of a run are a file")?;
    let results = root.join(RESULTS).join(name);
    fs::copy(measured, &results)
        .with_context(|| format!("cannot copy {} to {}", measured.display(), results.display()))?;
    let (report, generated) = both(root)?;
    if report != generated {
        let path = root.join(REPORT);
        fs::write(&path, generated).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Checks that the report has the tables that the numbers give.
pub(crate) fn check(root: &Path, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let (report, generated) = both(root)?;
    if let Some(at) = report.lines().zip(generated.lines()).position(|(is, want)| is != want) {
        wrong.push(format!("{REPORT}:{}: not the numbers in {RESULTS}", at + 1));
    } else if report != generated {
        wrong.push(format!("{REPORT}: not the numbers in {RESULTS}"));
    }
    Ok(())
}

/// Returns the report as it is, and as the numbers make it.
fn both(root: &Path) -> anyhow::Result<(String, String)> {
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let report = read(&root.join(REPORT))?;
    let generated = generate(&report, &|name| table(&read(&root.join(RESULTS).join(name))?))?;
    Ok((report, generated))
}

/// Returns the report with all its tables made again; `table` makes the one of a file.
fn generate(
    report: &str,
    table: &dyn Fn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let mut generated = String::new();
    let mut is_table = false;
    for line in report.lines() {
        if let Some(name) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) {
            ensure!(!is_table, "{REPORT}: {line} stands in another table");
            is_table = true;
            generated.extend([line, "\n\n", &table(name)?, "\n"]);
        }
        is_table &= line != END;
        if !is_table {
            generated.push_str(line);
            generated.push('\n');
        }
    }
    ensure!(!is_table, "{REPORT}: a table has no {END}");
    Ok(generated)
}

/// Returns tab-separated text as a Markdown table. All columns but the first and `target` are numbers.
fn table(text: &str) -> anyhow::Result<String> {
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().context("there are no columns")?;
    let is_text = |(number, name): (usize, &&str)| number == 0 || *name == "target";
    let rules: Vec<&str> = columns
        .iter()
        .enumerate()
        .map(|column| if is_text(column) { "---" } else { "---:" })
        .collect();
    let mut table = row(&columns) + &row(&rules);
    for line in lines {
        ensure!(line.len() == columns.len(), "{} columns, not {}", line.len(), columns.len());
        table.push_str(&row(&line));
    }
    Ok(table)
}

/// Returns a row of a Markdown table.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::root;

    #[test]
    fn the_report_has_the_numbers_of_the_last_runs() {
        let mut wrong = Vec::new();
        check(&root(), &mut wrong).unwrap();
        assert_eq!(wrong, Vec::<String>::new());
    }

    #[test]
    fn tables_are_generated_between_their_marks() {
        let of = |name: &str| match name {
            "a.tsv" => {
                table("measured\tvalue\ttarget\nrows\t7 k/s\t\na|b\t1\tat least 2: MISSED\n")
            }
            other => anyhow::bail!("there is no {other}"),
        };
        let report = "# One\n\n<!-- table: a.tsv -->\nold\n<!-- end of table -->\n\nText.\n";
        let want = "# One\n\n<!-- table: a.tsv -->\n\n| measured | value | target |\n\
                    | --- | ---: | --- |\n| rows | 7 k/s |  |\n| a\\|b | 1 | at least 2: MISSED |\n\
                    \n<!-- end of table -->\n\nText.\n";
        assert_eq!(generate(report, &of).unwrap(), want);
        assert_eq!(generate(want, &of).unwrap(), want);
        for wrong in [
            "<!-- table: a.tsv -->\n",
            "<!-- table: b.tsv -->\n<!-- end of table -->\n",
            "<!-- table: a.tsv -->\n<!-- table: a.tsv -->\n<!-- end of table -->\n",
        ] {
            assert!(generate(wrong, &of).is_err(), "{wrong}");
        }
        assert!(table("a\tb\n1\n").is_err());
        assert!(table("").is_err());
    }
}
