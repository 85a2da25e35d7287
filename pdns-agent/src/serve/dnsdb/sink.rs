//! Output of results: applies the time fences, the offset and the limit, then writes lines or a summary.

use super::frame::{AnswerEnd, Frame};
use super::object::{Object, Style, Sums, write_summary};
use super::parameters::{Fences, Parameters};
use crate::serve::stream::Out;
use std::ops::ControlFlow;

/// Receives results.
pub(super) struct Sink<'o> {
    pub(super) out: &'o mut Out,
    frame: Frame,
    style: Style,
    fences: Fences,
    /// Number of results still to skip.
    offset: usize,
    /// Number of results still to accept.
    room: usize,
    max_count: Option<u64>,
    /// The sums and the number of results, if a summary is wanted.
    summary: Option<(Option<Sums>, u64)>,
}

impl<'o> Sink<'o> {
    /// Begins the answer.
    pub(super) fn begin(
        out: &'o mut Out,
        frame: Frame,
        parameters: &Parameters,
        is_summary: bool,
    ) -> Result<Self, AnswerEnd> {
        frame.begin(out)?;
        Ok(Self {
            out,
            frame,
            style: frame.style(parameters),
            fences: parameters.fences,
            // Summaries have no offset.
            offset: if is_summary { 0 } else { parameters.offset },
            room: parameters.limit,
            max_count: parameters.max_count.filter(|_| is_summary),
            summary: is_summary.then_some((None, 0)),
        })
    }

    /// Returns true if results with these times pass.
    pub(super) fn admits(&self, sums: Sums) -> bool {
        self.fences.admit(sums.time_first, sums.time_last)
    }

    /// Returns the number of results that may be needed.
    pub(super) fn wanted(&self) -> usize {
        self.offset.saturating_add(self.room)
    }

    /// Returns a break if the answer is no longer wanted; for use between results.
    pub(super) fn check(&self) -> ControlFlow<AnswerEnd> {
        match self.out.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(halt) => ControlFlow::Break(halt.into()),
        }
    }

    /// Takes a result; breaks if the answer ends.
    pub(super) fn take(&mut self, object: &Object) -> ControlFlow<AnswerEnd> {
        self.check()?;
        self.show(object)
    }

    /// Like [`Sink::take`], for a result that was found before time ran out.
    pub(super) fn show(&mut self, object: &Object) -> ControlFlow<AnswerEnd> {
        if !self.admits(object.sums) {
            return ControlFlow::Continue(());
        }
        if self.offset > 0 {
            self.offset -= 1;
            return ControlFlow::Continue(());
        }
        if self.room == 0 {
            return ControlFlow::Break(AnswerEnd::Limit);
        }
        self.room -= 1;
        let Some((sums, results)) = &mut self.summary else {
            let style = self.style;
            let written = self.frame.result(self.out, |line| object.write(style, line));
            return match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(halt) => ControlFlow::Break(halt.into()),
            };
        };
        *results += 1;
        let sums = match sums {
            None => sums.insert(object.sums),
            Some(sums) => {
                sums.add(object.sums);
                sums
            }
        };
        match self.max_count {
            Some(most) if sums.count >= most => ControlFlow::Break(AnswerEnd::Whole),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Ends the answer.
    pub(super) fn end(mut self, end: AnswerEnd) {
        if let Some((Some(sums), results)) = self.summary
            && end != AnswerEnd::Gone
        {
            let style = self.style;
            let written =
                self.frame.result(self.out, |line| write_summary(sums, results, style, line));
            if written == Err(crate::serve::stream::Cancelled::Gone) {
                return;
            }
        }
        self.frame.end(self.out, end);
    }

    /// Ends an answer that failed.
    pub(super) fn fail(self, refusal: crate::serve::http_error::HttpError) {
        self.frame.fail(self.out, refusal);
    }
}
