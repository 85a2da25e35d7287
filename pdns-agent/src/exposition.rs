//! Metrics in Prometheus' text exposition format, version 0.0.4.
//!
//! Layer 0: `agent` and `serve` each have their own metrics and format them here.

use std::fmt::{self, Write as _};

/// Media type of the page.
pub(crate) const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Text of a metrics page under construction.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    fn write(&mut self, text: fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes any text");
    }

    /// Starts a metric family; `kind` is `counter`, `gauge` or `histogram`.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Appends one integer sample.
    pub(crate) fn number(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.value(name, labels, format_args!("{value}"));
    }

    /// Appends one sample with a fraction.
    pub(crate) fn decimal(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.value(name, labels, format_args!("{value}"));
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: fmt::Arguments<'_>) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.write(format_args!("{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' }));
        }
        self.0.push_str(if labels.is_empty() { " " } else { "} " });
        self.write(format_args!("{value}\n"));
    }

    /// The whole page.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}
