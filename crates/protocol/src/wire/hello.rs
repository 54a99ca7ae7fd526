//! Who leads.

use millstream_types::{LeaderId, Term};
use serde::{Deserialize, Serialize};

use super::{FromGateway, ToGateway};

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

/// The answer to a leader of a lower term: it is one no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleTerm {
    /// The highest term the sender knows.
    pub known: Term,
}

/// What travels outside sessions: a frame whose header has session 0 carries these, on every queue.
///
/// Hello is repeated, gateways repeat their requests, and an answer that is lost is asked for again; so none of
/// them needs a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Leader to everybody.
    Hello(Hello),
    /// Worker or gateway to a leader of a lower term.
    Stale(StaleTerm),
    /// Gateway to leader.
    Request(Box<FromGateway>),
    /// Leader to gateway.
    Answer(Box<ToGateway>),
}
