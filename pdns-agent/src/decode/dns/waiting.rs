//! Responses whose query has not arrived yet.
//!
//! Under `dns`. A network card with several queues, a mirror of two links, or two processors may deliver a
//! response before its query. A response that no open question expects is therefore kept for [`WAIT`]; if its
//! query arrives meanwhile, it is the answer, otherwise it is unsolicited. Unusable responses are kept too,
//! because their query is not unanswered.
//!
//! Attackers may send any number of them. Storage is bounded, in total and per flow and id.

use super::pairing::Id;
use crate::decode::wire::Flow;
use crate::time::Timestamp;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::collections::VecDeque;

/// Time that a response waits for its query, in microseconds of the capture's clock.
pub(super) const WAIT: i64 = 100_000;
/// Maximum number of waiting responses.
const MOST: usize = 16_384;
/// Maximum total size of waiting responses, in bytes.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number per flow and id.
const MOST_ALIKE: usize = 8;

/// A response that was read and waits for its query.
pub(super) struct Response {
    /// Hash of everything that its query must contain; `None` if it does not repeat the question.
    pub(super) question: Option<u64>,
    pub(super) at: Timestamp,
    pub(super) flow: Flow,
    pub(super) octets: Box<[u8]>,
}

struct WaitingResponse {
    id: u64,
    /// Last clock value at which it waits, in microseconds.
    deadline: i64,
    /// `None` once its query has arrived, or if it is unusable.
    response: Option<Response>,
}

/// Waiting responses of the same flow and id.
struct Alike {
    id: u64,
    count: usize,
    /// Their numbers, of which the first `count` are valid.
    numbers: [u32; MOST_ALIKE],
}

/// All waiting responses, in order of arrival.
#[derive(Default)]
pub(super) struct WaitingResponses {
    entries: VecDeque<WaitingResponse>,
    /// Number of the first; numbers wrap around.
    first: u32,
    by_id: HashTable<Alike>,
    bytes: usize,
    responses: usize,
}

impl WaitingResponses {
    /// Number of waiting responses.
    pub(super) fn len(&self) -> usize {
        self.responses
    }

    /// Returns true if no response waits.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns true if a response has waited long enough at `clock`.
    pub(super) fn is_due(&self, clock: i64) -> bool {
        self.entries.front().is_some_and(|entry| entry.deadline < clock)
    }

    /// Stores a response, or the fact that there was an unusable one. Returns it if there are too many for
    /// its flow and id.
    pub(super) fn push(
        &mut self,
        id: Id,
        response: Option<Response>,
        clock: i64,
    ) -> Result<(), Option<Response>> {
        let id = id.0;
        let number = self.first.wrapping_add(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        match self.by_id.entry(id, |alike| alike.id == id, |alike| alike.id) {
            Slot::Occupied(mut slot) => {
                let alike = slot.get_mut();
                let Some(free) = alike.numbers.get_mut(alike.count) else { return Err(response) };
                *free = number;
                alike.count += 1;
            }
            Slot::Vacant(slot) => {
                slot.insert(Alike { id, count: 1, numbers: [number; MOST_ALIKE] });
            }
        }
        if let Some(response) = &response {
            self.bytes += response.octets.len();
            self.responses += 1;
        }
        let deadline = clock.saturating_add(WAIT);
        self.entries.push_back(WaitingResponse { id, deadline, response });
        Ok(())
    }

    /// Returns true if the oldest must be removed because there are too many.
    pub(super) fn is_crowded(&self) -> bool {
        self.entries.len() > MOST || self.bytes > MOST_BYTES
    }

    /// Removes the oldest: `None` if there is none, `Some(None)` if its query has arrived or it is unusable.
    #[expect(clippy::option_option, reason = "none is left, or one without a response was")]
    pub(super) fn pop(&mut self) -> Option<Option<Response>> {
        let WaitingResponse { id, response, .. } = self.entries.pop_front()?;
        let number = self.first;
        self.first = self.first.wrapping_add(1);
        if let Ok(mut slot) = self.by_id.find_entry(id, |alike| alike.id == id) {
            let alike = slot.get_mut();
            // The oldest is the first of them.
            if alike.numbers.first() == Some(&number) {
                alike.numbers.copy_within(1.., 0);
                alike.count -= 1;
            }
            if alike.count == 0 {
                slot.remove();
            }
        }
        self.note_taken(response.as_ref());
        Some(response)
    }

    /// Returns true if any response for a query's flow and id waits, usable or not.
    pub(super) fn has(&self, id: Id) -> bool {
        !self.is_empty() && self.by_id.find(id.0, |alike| alike.id == id.0).is_some()
    }

    /// Takes out the oldest response for a query's flow and id that has this question, or does not repeat
    /// any.
    pub(super) fn take(&mut self, id: Id, question: u64) -> Option<Response> {
        let alike = self.by_id.find(id.0, |alike| alike.id == id.0)?;
        for &number in alike.numbers.iter().take(alike.count) {
            let at = number.wrapping_sub(self.first) as usize;
            let Some(entry) = self.entries.get_mut(at) else { continue };
            let is_it = entry
                .response
                .as_ref()
                .is_some_and(|response| response.question.is_none_or(|other| other == question));
            if is_it {
                let response = entry.response.take();
                self.note_taken(response.as_ref());
                return response;
            }
        }
        None
    }

    fn note_taken(&mut self, response: Option<&Response>) {
        if let Some(response) = response {
            self.bytes -= response.octets.len();
            self.responses -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::wire::Transport;
    use std::net::Ipv4Addr;

    fn response(question: Option<u64>, bytes: usize) -> Response {
        let end = (Ipv4Addr::LOCALHOST.into(), 53);
        Response {
            question,
            at: Timestamp::from_seconds(1),
            flow: Flow { transport: Transport::Udp, from: end, to: end },
            octets: vec![0; bytes].into(),
        }
    }

    #[test]
    fn a_query_takes_what_answers_it_and_no_more() {
        let mut waiting = WaitingResponses::default();
        assert!(!waiting.has(Id(1)));
        waiting.push(Id(1), Some(response(Some(7), 10)), 0).ok().unwrap();
        waiting.push(Id(1), Some(response(Some(8), 20)), 0).ok().unwrap();
        waiting.push(Id(2), None, 50).ok().unwrap();
        waiting.push(Id(1), Some(response(None, 30)), 60).ok().unwrap();
        assert!(waiting.has(Id(2)) && waiting.take(Id(2), 7).is_none());
        assert_eq!(waiting.take(Id(1), 8).unwrap().octets.len(), 20);
        assert_eq!(waiting.take(Id(1), 8).unwrap().octets.len(), 30);
        assert!(waiting.take(Id(1), 8).is_none());
        assert_eq!((waiting.len(), waiting.bytes), (1, 10));
        assert!(!waiting.is_due(WAIT) && waiting.is_due(WAIT + 1));
        assert_eq!(waiting.pop().unwrap().unwrap().question, Some(7));
        assert!(waiting.pop().unwrap().is_none() && waiting.pop().unwrap().is_none());
        assert!(waiting.has(Id(1)) && !waiting.has(Id(2)));
        assert!(waiting.pop().unwrap().is_none() && waiting.pop().is_none());
        assert!(waiting.is_empty() && waiting.by_id.is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = WaitingResponses::default();
        for number in 0..3 * MOST as u64 {
            let id = Id(number / 10);
            assert_eq!(waiting.push(id, Some(response(None, 1000)), 0).is_ok(), number % 10 < 8);
            while waiting.is_crowded() {
                waiting.pop();
            }
            assert!(waiting.entries.len() <= MOST && waiting.bytes <= MOST_BYTES);
        }
        assert!(waiting.by_id.len() <= MOST);
    }
}
