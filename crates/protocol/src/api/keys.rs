//! Single tasks of a job, by their keys.

use serde::{Deserialize, Serialize};

/// Tasks of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysRequest {
    /// Their keys.
    pub keys: Vec<String>,
}

/// What came of a request about single tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedView {
    /// How many tasks it changed. A request that is repeated changes none.
    pub tasks: u32,
}
