//! What happens to the core, in the past tense.

use bytes::Bytes;
use millstream_protocol::codec;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{FromGateway, Hello, RequestError, StaleTerm, SubmitMsg};

/// A submitted graph, decoded off the core's thread. The core itself checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmittedGraph {
    /// As it arrived; what the state store keeps.
    pub encoded: Bytes,
    /// Decoded.
    pub graph: Graph,
}

impl SubmittedGraph {
    /// Decodes a graph of a submission.
    ///
    /// # Errors
    /// [`RequestError::InvalidGraph`] if the bytes are no graph.
    pub fn decode(encoded: Bytes) -> Result<Self, RequestError> {
        match codec::decode(&encoded) {
            Ok(graph) => Ok(Self { encoded, graph }),
            Err(error) => Err(RequestError::InvalidGraph {
                code: "malformed_graph".to_owned(),
                message: format!("the graph cannot be read: {error}"),
            }),
        }
    }
}

/// What happens to the core.
#[derive(Debug, Clone, PartialEq)]
pub enum SchedulerEvent {
    /// A frame of a worker's session arrived on the leader's queue.
    WorkerFrame(Bytes),
    /// A message to the leader could not be read and was put aside.
    DeadLettered,
    /// A publish to a worker's queue came back: nobody listens there.
    WorkerUnroutable {
        /// The queue.
        queue: String,
    },
    /// The leader's own connection to the broker is up, its queue declared.
    BrokerUp,
    /// The leader's own connection is up, and it listens on this queue from now on.
    Listening {
        /// The queue that Hello is to name.
        queue: String,
    },
    /// The leader's own connection to the broker is gone.
    BrokerDown,
    /// A submission was taken from the intake queue.
    JobSubmitted {
        /// The delivery, for [`crate::Effect::AckIntake`].
        token: u64,
        /// The submission.
        msg: Box<SubmitMsg>,
        /// Its graph, or why there is none.
        graph: Result<SubmittedGraph, RequestError>,
    },
    /// A gateway asked something.
    GatewayAsked(FromGateway),
    /// A client's session ended or ran out; jobs attached to it end with it.
    ClientSessionEnded {
        /// The session's name, as in the jobs' options.
        session: String,
    },
    /// A peer answered that it follows a higher term.
    StaleTermHeard(StaleTerm),
    /// Somebody's Hello was heard on the fanout, one's own included.
    HelloHeard(Hello),
    /// The state store was replaced or rolled back: everything held must be written again.
    JournalLost,
    /// The lease may have run out: nothing may leave until it is sure again.
    LeaseUncertain,
    /// The lease was renewed.
    LeaseSure,
    /// Time has passed.
    Tick,
}
