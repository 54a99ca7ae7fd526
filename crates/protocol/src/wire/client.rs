//! Sessions of clients: what a job is attached to ends with its client.

use serde::{Deserialize, Serialize};

/// What the state store keeps of a client's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientSession {
    /// Its client renews it.
    Open,
    /// Its client ended it. Kept for a while, so that its end is not taken for a loss of the store's data.
    Ended,
}
