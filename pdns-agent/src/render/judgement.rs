//! Verdicts on names, and the report of a training, as tables and as JSON.

use super::json::iso;
use super::table::{self, Kind};
use super::{Format, RenderOptions, utc};
use crate::analyze::{Classified, MIMIC_LIMIT, Mimic, Reason, Report, SetVerdict, Squat};
use crate::name::Name;
use crate::query::SeenSquat;
use serde::Serialize;
use std::io::{self, Write};

/// Number of rows of one page of a table.
const PAGE: usize = 1_000;

const NAMES: &[(&str, Kind)] = &[
    ("NAME", Kind::Text),
    ("P", Kind::Number),
    ("BAYES", Kind::Number),
    ("FOREST", Kind::Number),
    ("VERDICT", Kind::Fixed),
    ("REASONS", Kind::Text),
];
const MIMICS: &[(&str, Kind)] = &[
    ("NAME", Kind::Text),
    ("SCORE", Kind::Number),
    ("IMITATES", Kind::Text),
    ("KIND", Kind::Fixed),
    ("ALSO", Kind::Text),
];
const SQUATS: &[(&str, Kind)] = &[("NAME", Kind::Text), ("KIND", Kind::Fixed)];
const SEEN_SQUATS: &[(&str, Kind)] = &[
    ("NAME", Kind::Text),
    ("KIND", Kind::Fixed),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
];
/// Number of further protected names in a table.
const ALSO: usize = 2;
const SETS: &[(&str, Kind)] = &[
    ("SET", Kind::Number),
    ("NAMES", Kind::Number),
    ("P", Kind::Number),
    ("VERDICT", Kind::Fixed),
    ("REASONS", Kind::Text),
];

/// Verdicts in progress. A table is held back until a page is full.
#[derive(Debug)]
pub struct Judgements {
    format: Format,
    look: RenderOptions,
    columns: &'static [(&'static str, Kind)],
    rows: Vec<Vec<String>>,
    sets: u64,
}

/// A reason in JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum JsonReason<'r> {
    Feature { feature: &'static str, value: f32, contribution: f32 },
    Gram { gram: &'r str, weight: f32 },
    Alone { dga_alone: usize, domains: usize },
    Member { registrable: &'r str, p: f64 },
    Note { note: &'static str },
}

impl<'r> From<&'r Reason> for JsonReason<'r> {
    fn from(reason: &'r Reason) -> Self {
        match reason {
            &Reason::Feature { name: feature, value, contribution } => {
                Self::Feature { feature, value, contribution }
            }
            Reason::Gram { gram, weight } => Self::Gram { gram, weight: *weight },
            &Reason::Alone { names, of } => Self::Alone { dga_alone: names, domains: of },
            Reason::Member { registrable, p } => Self::Member { registrable, p: *p },
            Reason::TooShort => Self::Note { note: "too short to judge" },
            Reason::Idn => Self::Note { note: "internationalised, not scored" },
        }
    }
}

#[derive(Serialize)]
struct JsonName<'r> {
    name: &'r str,
    registrable: &'r str,
    p: f64,
    bayes: f64,
    forest: f64,
    verdict: &'static str,
    reasons: Vec<JsonReason<'r>>,
}

#[derive(Serialize)]
struct JsonSet<'r> {
    set: u64,
    n: usize,
    p: f64,
    verdict: &'static str,
    reasons: Vec<JsonReason<'r>>,
}

#[derive(Serialize)]
struct JsonMimic<'r> {
    name: &'r str,
    target: Option<&'r str>,
    kind: Option<&'static str>,
    score: u8,
    is_mimic: bool,
    others: Vec<JsonTarget<'r>>,
}

#[derive(Serialize)]
struct JsonTarget<'r> {
    target: &'r str,
    kind: &'static str,
    score: u8,
}

#[derive(Serialize)]
struct JsonSquat<'r> {
    name: &'r str,
    kind: &'static str,
}

#[derive(Serialize)]
struct JsonSeenSquat<'r> {
    name: &'r str,
    target: &'r str,
    kind: &'static str,
    score: u8,
    names: u64,
    count: u64,
    time_first: u32,
    time_first_iso: String,
    time_last: u32,
    time_last_iso: String,
    resolves: bool,
    same_owner: bool,
}

fn reasons(reasons: &[Reason]) -> String {
    reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join(", ")
}

impl Judgements {
    /// Nothing yet.
    #[must_use]
    pub fn new(format: Format, look: RenderOptions) -> Self {
        Self { format, look, columns: NAMES, rows: Vec::new(), sets: 0 }
    }

    /// Adds the verdict on a name.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn name(
        &mut self,
        name: Name<'_>,
        classified: &Classified<'_>,
        why: &[Reason],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let scores = classified.scores;
        if self.format != Format::Table {
            let line = JsonName {
                name: name.as_str(),
                registrable: classified.registrable.as_str(),
                p: scores.p,
                bayes: scores.bayes,
                forest: scores.forest,
                verdict: classified.verdict.as_str(),
                reasons: why.iter().map(JsonReason::from).collect(),
            };
            return json(&line, out);
        }
        let decimal = |p: f64| format!("{p:.3}");
        let cells = vec![
            name.to_string(),
            decimal(scores.p),
            decimal(scores.bayes),
            decimal(scores.forest),
            classified.verdict.to_string(),
            reasons(why),
        ];
        self.row(NAMES, cells, out)
    }

    /// Adds the verdict on a set.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn set(&mut self, set: &SetVerdict, out: &mut dyn Write) -> io::Result<()> {
        self.sets += 1;
        if self.format != Format::Table {
            let line = JsonSet {
                set: self.sets,
                n: set.names,
                p: set.p,
                verdict: set.verdict.as_str(),
                reasons: set.reasons.iter().map(JsonReason::from).collect(),
            };
            return json(&line, out);
        }
        let cells = vec![
            self.sets.to_string(),
            set.names.to_string(),
            format!("{:.3}", set.p),
            set.verdict.to_string(),
            reasons(&set.reasons),
        ];
        self.row(SETS, cells, out)
    }

    /// Adds the protected names that a name imitates, the likeliest first.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn mimic(
        &mut self,
        name: Name<'_>,
        found: &[Mimic<'_>],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (first, others) = match found {
            [first, others @ ..] => (Some(first), others),
            [] => (None, found),
        };
        let score = first.map_or(0, |mimic| mimic.score);
        if self.format != Format::Table {
            let other = |mimic| {
                let &Mimic { target, kind, score }: &Mimic<'_> = mimic;
                JsonTarget { target, kind: kind.as_str(), score }
            };
            let line = JsonMimic {
                name: name.as_str(),
                target: first.map(|mimic| mimic.target),
                kind: first.map(|mimic| mimic.kind.as_str()),
                score,
                is_mimic: score >= MIMIC_LIMIT,
                others: others.iter().map(other).collect(),
            };
            return json(&line, out);
        }
        let also =
            others.iter().take(ALSO).map(|mimic| format!("{} {}", mimic.target, mimic.score));
        let cells = vec![
            name.to_string(),
            score.to_string(),
            first.map_or_else(|| "-".to_owned(), |mimic| mimic.target.to_owned()),
            first.map_or("-", |mimic| mimic.kind.as_str()).to_owned(),
            also.collect::<Vec<_>>().join(", "),
        ];
        self.row(MIMICS, cells, out)
    }

    /// Adds a name that would imitate another.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn squat(&mut self, squat: &Squat, out: &mut dyn Write) -> io::Result<()> {
        let kind = squat.kind.as_str();
        if self.format != Format::Table {
            return json(&JsonSquat { name: squat.name.as_str(), kind }, out);
        }
        self.row(SQUATS, vec![squat.name.to_string(), kind.to_owned()], out)
    }

    /// Adds a name in the store that imitates a domain.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn seen_squat(
        &mut self,
        squat: &SeenSquat,
        target: Name<'_>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let &SeenSquat { kind, score, names, count, time_first, time_last, resolves, .. } = squat;
        if self.format != Format::Table {
            let line = JsonSeenSquat {
                name: squat.name.as_str(),
                target: target.as_str(),
                kind: kind.as_str(),
                score,
                names,
                count,
                time_first,
                time_first_iso: iso(time_first),
                time_last,
                time_last_iso: iso(time_last),
                resolves,
                same_owner: squat.is_own,
            };
            return json(&line, out);
        }
        let cells = vec![
            squat.name.to_string(),
            kind.to_string(),
            if resolves { count.to_string() } else { format!("{count} failed") },
            utc(time_first),
            utc(time_last),
        ];
        self.row(SEEN_SQUATS, cells, out)
    }

    fn row(
        &mut self,
        columns: &'static [(&'static str, Kind)],
        cells: Vec<String>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.columns = columns;
        self.rows.push(cells);
        if self.rows.len() < PAGE { Ok(()) } else { self.end(out) }
    }

    /// Writes what is held back.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        write(self.columns, std::mem::take(&mut self.rows), &self.look, out)
    }
}

fn json(line: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn write(
    columns: &[(&str, Kind)],
    rows: Vec<Vec<String>>,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let kinds: Vec<Kind> = columns.iter().map(|(_, kind)| *kind).collect();
    table::write(heads, &kinds, rows, look, out)
}

/// Writes the report of a training: tables for people, one JSON object otherwise.
///
/// # Errors
/// Errors of the writer.
pub fn training(
    report: &Report,
    format: Format,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    if format != Format::Table {
        return json(report, out);
    }
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    writeln!(
        out,
        "{} good and {} bad labels, {} more in published shapes; {} in both lists left out.\n\
         Model of {} bytes. Measured on labels that the scoring parts had not seen.\n",
        report.good, report.bad, report.generated, report.ambiguous, report.bytes
    )?;
    let head = [
        ("FAMILIES", Kind::Fixed),
        ("AUC", Kind::Number),
        ("FOUND AT 1 % FPR", Kind::Words),
        ("AT 0.1 % FPR", Kind::Words),
        ("AS DGA", Kind::Number),
    ];
    let measured = [("trained on", Some(&report.trained)), ("left out", report.unseen.as_ref())];
    let rate = |rate: &crate::analyze::Rate| {
        format!(
            "{} ({} to {})",
            percent(rate.tpr),
            percent(rate.interval.0),
            percent(rate.interval.1)
        )
    };
    let rows = measured.iter().filter_map(|(name, measured)| {
        let measured = (*measured)?;
        Some(vec![
            (*name).to_owned(),
            format!("{:.4}", measured.auc),
            rate(&measured.at_1),
            rate(&measured.at_01),
            percent(measured.as_dga.tpr),
        ])
    });
    write(&head, rows.collect(), look, out)?;
    let as_dga = report.trained.as_dga;
    writeln!(
        out,
        "\nIntervals: 95 %, bootstrap. AS DGA: with this verdict, which {} of the good labels get,\n\
         and {} of those of the large source that has most.\n",
        percent(as_dga.fpr),
        percent(as_dga.fpr_of_source)
    )?;
    groups(report, look, out)?;
    let head = [
        ("P", Kind::Fixed),
        ("LABELS", Kind::Number),
        ("MEAN P", Kind::Number),
        ("GENERATED", Kind::Number),
    ];
    writeln!(out, "\nCalibration, at as many generated labels as others:\n")?;
    let rows = (0_u8..).zip(&report.calibration).map(|(tenth, bin)| {
        vec![
            format!("{:.1} to {:.1}", f64::from(tenth) / 10.0, f64::from(tenth + 1) / 10.0),
            percent(bin.share),
            format!("{:.3}", bin.mean),
            format!("{:.3}", bin.bad),
        ]
    });
    write(&head, rows.collect(), look, out)
}

/// The tables of families and of sources.
fn groups(report: &Report, look: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let set = |name: &str| {
        let set = report.sets.iter().find(|set| set.name == name);
        set.map_or_else(String::new, |set| percent(set.at_01))
    };
    let head = [
        ("FAMILY", Kind::Text),
        ("LABELS", Kind::Number),
        ("AT 1 %", Kind::Number),
        ("AT 0.1 %", Kind::Number),
        ("LEFT OUT", Kind::Number),
        ("SETS OF 5", Kind::Number),
    ];
    let rows = report.groups.iter().filter(|group| group.is_bad).map(|group| {
        vec![
            group.name.clone(),
            group.names.to_string(),
            percent(group.at_1),
            percent(group.at_01),
            group.unseen_at_1.map_or_else(String::new, percent),
            set(&group.name),
        ]
    });
    write(&head, rows.collect(), look, out)?;
    writeln!(
        out,
        "\nLEFT OUT: found at 1 % by a model trained without the family. SETS OF 5: at 0.1 % of sets.\n"
    )?;
    let head = [
        ("SOURCE", Kind::Text),
        ("LABELS", Kind::Number),
        ("AT 1 %", Kind::Number),
        ("AT 0.1 %", Kind::Number),
        ("AS DGA", Kind::Number),
        ("ALERTS A DAY", Kind::Number),
    ];
    let rows = report.groups.iter().filter(|group| !group.is_bad).map(|group| {
        vec![
            group.name.clone(),
            group.names.to_string(),
            percent(group.at_1),
            percent(group.at_01),
            percent(group.as_dga),
            format!("{:.0}", group.alerts()),
        ]
    });
    write(&head, rows.collect(), look, out)?;
    writeln!(out, "\nALERTS A DAY: verdicts dga among 100,000 new names like those of the source.")
}
