//! One line per item, with tabs between its values: for `cut`, `sort` and `grep`.
//!
//! A row is name, type and RDATA (for a negative answer the outcome in parentheses), and the reason for which it is
//! in the result, if there is one. Other items are written with all their values.

use super::field::{Value, fields, not_kept};
use super::{Item, RenderOptions, Renderer, csv, escape};
use crate::query::TagSet;
use std::io::{self, Write};
use std::sync::Arc;

/// The plain renderer.
pub(super) struct Plain {
    look: RenderOptions,
}

impl Plain {
    pub(super) fn new(look: RenderOptions) -> Self {
        Self { look }
    }
}

impl Renderer for Plain {
    fn item(&mut self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut cells = Vec::new();
        for (name, value) in fields(item, &self.look) {
            let is_row = matches!(item, Item::Record(_) | Item::Marked { .. });
            match (is_row, name) {
                (true, "rrname" | "rrtype" | "rdata") if value == Value::Absent => {}
                (true, "rrname" | "rrtype" | "rdata" | "why") => cells.push(csv::text(value)),
                (true, "outcome") if value != Value::Absent => {
                    cells.push(format!("({})", csv::text(value)));
                }
                (true, "names_not_kept") => {
                    if let Item::Record(row) | Item::Marked { row, .. } = item
                        && let Some(unkept) = &row.unkept
                    {
                        cells.push(not_kept(unkept));
                    }
                }
                (true, _) | (false, "tags") => {}
                _ => cells.push(csv::text(value)),
            }
        }
        let cells: Vec<_> = cells.iter().map(|cell| escape(cell)).collect();
        writeln!(out, "{}", cells.join("\t"))
    }

    fn set_tags(&mut self, tags: &Arc<TagSet>) {
        self.look.tags = Arc::clone(tags);
    }
}
