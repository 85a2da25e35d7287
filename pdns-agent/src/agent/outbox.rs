//! What was read and is not in the store yet: the window, and the batch under way.
//!
//! Between the readers (`pass`, `captured`, `live`) and `writer`. While Redis works on one batch, the next
//! one gathers here.

use super::writer::{Opened, Parcel, Writer};
use crate::aggregate::Window;
use crate::hash::DIGEST;
use crate::store::{Batch, Checkpoint, Packer, SourceState, StoreError};

/// One reader's way to the store.
pub(crate) struct Outbox {
    /// What was read and not sent yet.
    pub(crate) window: Window,
    pub(crate) writer: Writer,
    packer: Packer,
    /// The sensor's bit.
    sensors: u32,
    /// Memory of the batch that was written last.
    spare: Batch,
}

impl Outbox {
    /// On an open store, with that window and writer.
    pub(crate) fn new(window: Window, writer: Writer, opened: &Opened) -> Self {
        let (packer, sensors) = (opened.packer.clone(), opened.sensors);
        Self { window, writer, packer, sensors, spare: Batch::default() }
    }

    /// Packs what is due and sends it: what a log says up to `to`, or, with `finish`, what an earlier batch up to
    /// there left half-way. Nothing may be under way.
    pub(crate) fn ship(
        &mut self,
        log: [u8; 16],
        checkpoint: Checkpoint,
        to: (u64, bool),
        state: Option<SourceState>,
    ) {
        self.ship_of(log, checkpoint, to, None, state);
    }

    /// The same of a log, whose `digest` is of all up to `to`.
    pub(crate) fn ship_of(
        &mut self,
        log: [u8; 16],
        checkpoint: Checkpoint,
        to: (u64, bool),
        digest: Option<[u8; DIGEST]>,
        state: Option<SourceState>,
    ) {
        self.window.sweep();
        let mut batch = std::mem::take(&mut self.spare);
        self.packer.pack(&mut batch, log, &checkpoint, &mut self.window, to, self.sensors);
        self.writer.write(Parcel { batch, checkpoint, digest, state });
    }

    /// Waits for the batch under way and learns from it; its checkpoint, if there was one.
    ///
    /// # Errors
    /// As the store says. Then the window is empty: what was sent may be lost, and the rows it knows wrong.
    pub(crate) fn taken_back(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        let Some((parcel, result)) = self.writer.take_back() else { return Ok(None) };
        let checkpoint = self.learn(parcel);
        if result.is_err() {
            self.window.clear();
        }
        result.map(|()| Some(checkpoint))
    }

    /// Learns the rows that a batch was told, and gives its checkpoint back.
    pub(crate) fn learn(&mut self, parcel: Parcel) -> Checkpoint {
        let Parcel { mut batch, checkpoint, .. } = parcel;
        self.window.learn(batch.learned());
        self.spare = batch;
        checkpoint
    }
}
