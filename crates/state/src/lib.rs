//! The cluster's durable state behind one trait.
//!
//! [`StateStore`] is the leader's lease, the leader's fenced journal, and what gateways read and write; its part
//! [`SharedState`] is what clients and tasks coordinate with. Two
//! implementations pass the same contract suite: [`MemoryState`] for one process and the simulator, and
//! [`RedisState`] for clusters.
//!
//! Responsible for keys, fencing, expiry and bounds: nothing here grows without a limit or a time to live. Must
//! not know what payloads mean, decide who should lead, or retry for its callers.

mod error;
mod keys;
mod memory;
mod model;
mod redis_state;
mod shared;
mod store;
mod waiters;
mod write;

pub use error::StateError;
pub use memory::{MemorySnapshot, MemoryState};
pub use model::{
    CursorError, EventId, EventPage, Fence, JobCursor, JobRecord, Journal, Lease, Limits, LogRef, PAGE_BYTES,
    StoredJob, Table,
};
pub use redis_state::{RedisSettings, RedisState};
pub use shared::{
    Cell, Entry, Expected, MAX_PAGE_ITEMS, Push, QueuePage, SemaphoreView, SharedError, SharedKind,
    SharedLimits, SharedState,
};
pub use store::StateStore;
pub use write::Write;

use std::sync::Arc;

use millstream_types::ClusterName;

/// Opens the store that `url` names: `memory:` for one inside this process, else a Redis.
///
/// # Errors
/// [`StateError::InvalidUrl`]; a Redis that is not up is none.
pub fn open(url: &str, cluster: &ClusterName) -> Result<Arc<dyn StateStore>, StateError> {
    if url == "memory:" {
        return Ok(Arc::new(MemoryState::new()));
    }
    let settings = RedisSettings::new(url, cluster.clone());
    Ok(Arc::new(RedisState::connect(&settings)?))
}
