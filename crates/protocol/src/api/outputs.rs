//! The wanted outputs of a job at once, for clients that hold very many of them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::columns::{BytesColumn, U16s, U32s};
use crate::wire::JobState;

/// All wanted outputs of a job, one row each in the order of the graph's `outputs`. MessagePack only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputsView {
    /// Where the job stands.
    pub state: JobState,
    /// The tasks' numbers.
    pub tasks: U32s,
    /// The tasks' keys.
    pub keys: BytesColumn,
    /// What kinds of operations there are, such as `python`.
    pub kinds: Vec<String>,
    /// The kind of each row's operation, by its position in `kinds`.
    pub kind: U16s,
    /// A byte for each row: one of [`OutputsView::MISSING`], [`OutputsView::HELD`], [`OutputsView::INLINE`].
    pub held: Bytes,
    /// The values of inline rows as stored; empty for others.
    pub values: BytesColumn,
}

impl OutputsView {
    /// Not made yet, or never.
    pub const MISSING: u8 = 0;
    /// Held by workers: to be fetched by its key.
    pub const HELD: u8 = 1;
    /// In `values`.
    pub const INLINE: u8 = 2;
}
