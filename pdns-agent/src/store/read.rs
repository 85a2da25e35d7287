//! Reading: look-ups by the indexes, scans of everything, and the totals of a store.
//!
//! Part of `store`.

pub(super) mod buckets;
pub(super) mod changes;
pub(super) mod forgotten;
pub(super) mod holes;
pub(super) mod lookup;
pub(super) mod name_totals;
pub(super) mod pointers;
pub(super) mod rows;
pub(super) mod scan;
pub(super) mod status;
pub(super) mod unkept;
pub(super) mod unnamed;
