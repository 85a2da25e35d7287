//! Text wrapped to the width of a terminal.

use super::{RenderOptions, escape};
use std::io::{self, Write};

/// Minimum width that lines are wrapped to.
const LEAST: usize = 20;

/// Writes text, wrapped to the width.
pub(super) fn paragraph(look: &RenderOptions, out: &mut dyn Write, text: &str) -> io::Result<()> {
    let width = look.width.map_or(usize::MAX, usize::from).max(LEAST);
    let mut line = String::new();
    for word in escape(text).split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            writeln!(out, "{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{line}")
}
