//! The cluster's durable state behind one trait.
//!
//! [`StateStore`] is the leader's lease, the leader's fenced journal, and what gateways read and write. Two
//! implementations pass the same contract suite: [`MemoryState`] for one process and the simulator, and
//! [`RedisState`] for clusters.
//!
//! Responsible for keys, fencing, expiry and bounds: nothing here grows without a limit or a time to live. Must
//! not know what payloads mean, decide who should lead, or retry for its callers.

mod error;
mod memory;
mod model;
mod store;
mod waiters;
mod write;

pub use error::StateError;
pub use memory::{MemorySnapshot, MemoryState};
pub use model::{
    CursorError, EventId, EventPage, Fence, JobCursor, JobRecord, Journal, Limits, LogRef, PAGE_BYTES,
    StoredJob, Table,
};
pub use store::StateStore;
pub use write::Write;
