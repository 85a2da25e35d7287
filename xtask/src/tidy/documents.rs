//! Checks of the Markdown files: existing commands, valid links, a short README.

use crate::shell::target;
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Maximum length of the README, in lines; everything else belongs in separate documents.
const README_LINES: usize = 150;

/// Checks all Markdown files, by their paths within the repository.
pub(super) fn check(
    texts: &BTreeMap<String, String>,
    files: &BTreeSet<String>,
    wrong: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut programs = Programs { folder: target()?.join("debug"), helps: HashMap::new() };
    for (file, text) in texts {
        let lines = text.lines().count();
        if file == "README.md" && lines > README_LINES {
            wrong.push(format!(
                "{file}: {lines} lines, more than {README_LINES}: move some to pdns-agent/docs"
            ));
        }
        check_links(file, text, texts, files, wrong);
        for command in commands(text) {
            if let Some(problem) = programs.check(command)? {
                wrong.push(format!("{file}: {problem}: {command}"));
            }
        }
    }
    Ok(())
}

/// Our programs, with their help.
struct Programs {
    folder: PathBuf,
    /// Help by program and verbs.
    helps: HashMap<String, String>,
}

impl Programs {
    /// Returns the reason why a command of ours is invalid: it does not exist, or has no such option,
    /// according to its help.
    fn check(&mut self, command: &str) -> anyhow::Result<Option<String>> {
        let mut words = command.split_whitespace().skip_while(|word| {
            *word == "sudo" || word.split_once('=').is_some_and(|(name, _)| is_variable(name))
        });
        let (program, path) = match words.next() {
            Some("cargo") if words.next() == Some("xtask") => {
                ("cargo xtask", self.folder.join("xtask"))
            }
            Some(name @ ("pdns" | "pdns-agent")) => (name, self.folder.join(name)),
            _ => return Ok(None),
        };
        let arguments: Vec<&str> = words.collect();
        let is_verb = |word: &&&str| word.bytes().all(|octet| octet.is_ascii_lowercase());
        let verbs: Vec<&str> = arguments.iter().take_while(is_verb).copied().collect();
        let help = self.help(program, &path, &verbs)?;
        // The last of the words may be arguments: `pdns tag set threat`.
        let exists = (verbs.len().min(1)..=verbs.len()).any(|count| {
            let usage = [&[program], verbs.get(..count).unwrap_or_default()].concat().join(" ");
            help.contains(&format!("Usage: {usage}"))
        });
        if !exists {
            return Ok(Some("there is no such command".to_owned()));
        }
        let options = arguments.iter().filter(|argument| argument.starts_with("--"));
        let mut options = options.map(|argument| argument.split('=').next().unwrap_or(""));
        let is_known = |option: &str| {
            let mut words = help.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
            words.any(|word| word == option)
        };
        Ok(options.find(|option| !is_known(option)).map(|option| format!("there is no {option}")))
    }

    fn help(&mut self, program: &str, path: &Path, verbs: &[&str]) -> anyhow::Result<&str> {
        let key = format!("{program} {}", verbs.join(" "));
        if !self.helps.contains_key(&key) {
            let output = Command::new(path)
                .args(verbs)
                .arg("--help")
                .output()
                .with_context(|| format!("cannot run {}", path.display()))?;
            let help = String::from_utf8_lossy(&output.stdout).into_owned();
            self.helps.insert(key.clone(), help);
        }
        Ok(self.helps.get(&key).map_or("", String::as_str))
    }
}

/// The lines of `sh` blocks, without prompt, comment and pipe.
fn commands(markdown: &str) -> Vec<&str> {
    let (mut commands, mut inside) = (Vec::new(), false);
    for line in markdown.lines() {
        // A block within a list is indented.
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == "```sh";
            continue;
        }
        let line = line.split(" #").next().unwrap_or("").split(" | ").next().unwrap_or("").trim();
        if inside && !line.is_empty() && !line.starts_with('#') {
            commands.push(line);
        }
    }
    commands
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_uppercase() || octet == b'_')
}

/// Checks that each relative link leads to a file known to git, and its anchor to a heading there.
fn check_links(
    file: &str,
    text: &str,
    texts: &BTreeMap<String, String>,
    files: &BTreeSet<String>,
    wrong: &mut Vec<String>,
) {
    let text = without_code(text);
    for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = if path.is_empty() { file.to_owned() } else { joined(file, path) };
        let folder = format!("{}/", path.trim_end_matches('/'));
        if !files.contains(&path) && !files.iter().any(|known| known.starts_with(&folder)) {
            wrong.push(format!("{file}: no file for the link {target}"));
        } else if !anchor.is_empty() && !texts.get(&path).is_some_and(|text| has(text, anchor)) {
            wrong.push(format!("{file}: no heading for the link {target}"));
        }
    }
}

/// The path that a link in a file leads to.
fn joined(file: &str, link: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns true if a text has a heading with this anchor, by GitHub's rules.
fn has(text: &str, anchor: &str) -> bool {
    let mut seen: HashMap<String, usize> = HashMap::new();
    without_blocks(text).lines().any(|line| {
        let Some((_, heading)) = line.split_once("# ").filter(|_| line.starts_with('#')) else {
            return false;
        };
        let kept = |char: &char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_');
        let slug: String = heading.trim().to_lowercase().chars().filter(kept).collect();
        let slug = slug.replace(' ', "-");
        let count = seen.entry(slug.clone()).or_default();
        let slug = if *count == 0 { slug } else { format!("{slug}-{count}") };
        *count += 1;
        slug == anchor
    })
}

/// A text without its fenced blocks.
fn without_blocks(text: &str) -> String {
    let (mut kept, mut inside) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// A text without fenced blocks and code within lines.
fn without_code(text: &str) -> String {
    without_blocks(text).split('`').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_commands_in_shell_blocks_alone() {
        let text = "pdns none\n```sh\n# talk\npdns top --limit 3 | head # more\n\nsudo x\n```\n```toml\na = 1\n```\n1. list\n\n   ```sh\n   cargo xtask ci\n   ```\n";
        assert_eq!(commands(text), ["pdns top --limit 3", "sudo x", "cargo xtask ci"]);
    }

    #[test]
    fn links_lead_to_files_and_headings() {
        let texts: BTreeMap<String, String> = [
            (
                "README.md",
                "[a](docs/a.md#two-words) [b](docs) [c](#none) [d](docs/no.md) [e](https://x.test/y) `[f](g)`",
            ),
            ("docs/a.md", "# Two `words`!\n```sh\n# Not one\n```\n[up](../README.md) [x](#not-one)"),
        ]
        .map(|(file, text)| (file.to_owned(), text.to_owned()))
        .into();
        let files = texts.keys().cloned().collect();
        let mut wrong = Vec::new();
        for (file, text) in &texts {
            check_links(file, text, &texts, &files, &mut wrong);
        }
        let want = [
            "README.md: no heading for the link #none",
            "README.md: no file for the link docs/no.md",
            "docs/a.md: no heading for the link #not-one",
        ];
        assert_eq!(wrong, want);
    }
}
