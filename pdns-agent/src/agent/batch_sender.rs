//! Sender of batches: the window of unsent observations, and the batch in flight.
//!
//! Between the readers (`log_reader`, `pcap_import`, `packet_pipeline`) and `writer`. While Redis processes
//! one batch, the next one accumulates here.

use super::writer::{OpenStore, WriteRequest, WriterHandle};
use crate::aggregate::Window;
use crate::hash::DIGEST;
use crate::store::{Batch, Checkpoint, Packer, SourceState, StoreError};

/// Connects one reader to the store.
pub(crate) struct BatchSender {
    /// Observations that have not been sent yet.
    pub(crate) window: Window,
    pub(crate) writer: WriterHandle,
    packer: Packer,
    /// The sensor's number.
    sensor: u16,
    /// Memory of the previous batch, for reuse.
    spare: Batch,
}

impl BatchSender {
    /// Creates a sender for an open store.
    pub(crate) fn new(window: Window, writer: WriterHandle, opened: &OpenStore) -> Self {
        let (packer, sensor) = (opened.packer.clone(), opened.sensor);
        Self { window, writer, packer, sensor, spare: Batch::default() }
    }

    /// Packs all due tuples and sends them: the content of a log up to `to`, or, with `finish`, the rest of a
    /// partially applied batch up to there. No batch may be in flight.
    pub(crate) fn submit(
        &mut self,
        log: [u8; 16],
        checkpoint: Checkpoint,
        to: (u64, bool),
        state: Option<SourceState>,
    ) {
        self.submit_log(log, checkpoint, to, None, state);
    }

    /// The same for a log whose `digest` covers everything up to `to`.
    pub(crate) fn submit_log(
        &mut self,
        log: [u8; 16],
        checkpoint: Checkpoint,
        to: (u64, bool),
        digest: Option<[u8; DIGEST]>,
        state: Option<SourceState>,
    ) {
        self.window.sweep();
        let mut batch = std::mem::take(&mut self.spare);
        self.packer.pack(&mut batch, log, &checkpoint, &mut self.window, to, self.sensor);
        self.writer.write(WriteRequest { batch, checkpoint, digest, state });
    }

    /// Waits for the batch in flight and learns its rows; returns its checkpoint, if there was a batch.
    ///
    /// # Errors
    /// The store's error. The window is empty then: sent data may be lost, and its rows may be wrong.
    pub(crate) fn wait(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        let Some((request, result)) = self.writer.wait() else { return Ok(None) };
        let checkpoint = self.learn(request);
        if result.is_err() {
            self.window.clear();
        }
        result.map(|()| Some(checkpoint))
    }

    /// Learns the rows that the store returned for a batch, and returns the checkpoint of the batch.
    pub(crate) fn learn(&mut self, request: WriteRequest) -> Checkpoint {
        let WriteRequest { mut batch, checkpoint, .. } = request;
        self.window.learn(batch.learned());
        self.window.forget(batch.unkept());
        self.spare = batch;
        checkpoint
    }
}
