//! Who leads.

use millstream_types::{LeaderId, Term};
use serde::{Deserialize, Serialize};

/// Repeated by the leader on the fanout. Peers follow the highest term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The leader's term.
    pub term: Term,
    /// The leader.
    pub leader: LeaderId,
    /// The queue to reach it by.
    pub queue: String,
}

/// The answer to a leader of a lower term, or to the second one of the same term: it must not lead in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleTerm {
    /// The highest term the sender knows.
    pub known: Term,
}
