//! What the local graph consists of: tasks that were sent here, their outputs, and copies of other workers' outputs.

use bytes::Bytes;
use millstream_protocol::graph::ExplicitLayer;
use millstream_types::{Attempt, Timestamp};

use super::ready::ClassRef;
use crate::FetchId;
use crate::fetch::PeerRef;

/// In [`Node::part`]: the whole object.
pub(crate) const WHOLE: u32 = ExplicitLayer::WHOLE;

/// A node's place in the graph. Valid until the node is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeRef(pub(super) u32);

/// A job's place in the table of jobs. Valid while the job has nodes or operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobRef(pub(super) u32);

/// One run of a task and then its output; or a copy of an output made elsewhere.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) job: JobRef,
    pub(crate) task: u32,
    /// The run, and the generation of what it makes.
    pub(crate) attempt: Attempt,
    /// The sub-range that is copied, or [`WHOLE`].
    pub(crate) part: u32,
    /// Size: known once stored, expected before.
    pub(crate) bytes: u64,
    /// Written by [`super::LocalGraph::transition`] alone.
    pub(super) state: NodeState,
    pub(crate) body: Body,
    /// Unfinished tasks that read this, each as often as it does.
    pub(crate) pins: u32,
    /// Those of them that wait for this.
    pub(crate) waiters: Vec<NodeRef>,
    /// The next node of the same task: another generation or sub-range.
    pub(super) next: Option<NodeRef>,
}

/// Where a node stands.
///
/// ```text
///  a task:   Waiting ─► Ready ───────────► Running ─► Stored ─► Leaving
///               │         └─► Behind ──────►┘│
///               │         ◄─────┘ recalled   │
///               └──────────┴─────────────────┴─► removed (given back, failed, stopped)
///
///  a copy:   Remote ─► Claimed ─► Fetching ─► Stored ─► removed
///               ▲         ▲           │
///               │         └───────────┤ another holder
///               └─ nobody wants it ───┘ no holder left: removed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeState {
    /// No node: the slot is free.
    Vacant,
    /// The task waits for inputs.
    Waiting {
        /// Inputs that are not stored here.
        missing: u32,
        /// Those of them that a task of this worker makes.
        unmade: u32,
    },
    /// The task waits for a slot.
    Ready,
    /// The task was handed to the slot of another one, to run right after it.
    Behind {
        /// Why it was told to stop.
        stop: Option<Stop>,
    },
    /// The task executes.
    Running {
        /// Since when.
        since: Timestamp,
        /// Whether the leader was told, also of the waiting.
        reported: bool,
        /// Whether it waits for other tasks, which may have its slot meanwhile.
        waits: bool,
        /// Why it was told to stop.
        stop: Option<Stop>,
    },
    /// The copy is needed, nothing is reserved for it.
    Remote,
    /// Room for the copy is reserved; it waits its turn at a peer.
    Claimed {
        /// The peer.
        peer: PeerRef,
    },
    /// The copy is on its way.
    Fetching {
        /// By which fetch.
        fetch: FetchId,
    },
    /// The object is in the store.
    Stored,
    /// The object was let go while running tasks read it; the node goes with the last of them.
    Leaving,
}

/// Why a running task was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The leader asked, and waits for the answer.
    Cancelled,
    /// It ran longer than allowed.
    TimedOut,
    /// Nobody wants to hear of it any more.
    Discarded,
}

/// What a node is, beside where it stands.
#[derive(Debug)]
pub(crate) enum Body {
    /// A task that has not ended.
    Task(Work),
    /// A copy that this worker made for its own tasks, and lets go as it likes.
    Copy(Box<CopySource>),
    /// An output made here, or a copy the leader asked for: only the leader frees it.
    Output,
}

/// What a task needs to run.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) priority: u64,
    /// What it takes from the worker while it runs.
    pub(crate) class: ClassRef,
    pub(crate) op: u16,
    pub(crate) options: u16,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) index: Option<u32>,
    pub(crate) inline: bool,
    pub(crate) params: Bytes,
    pub(crate) inputs: Vec<Input>,
}

/// One input of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Input {
    /// The whole object, or the very sub-range.
    pub(crate) node: NodeRef,
    /// The task that the reader's job calls the producer; of an import, the import.
    pub(crate) task: u32,
    /// What the task reads of the object, or [`WHOLE`].
    pub(crate) part: u32,
}

/// Where a copy comes from.
#[derive(Debug, Default)]
pub(crate) struct CopySource {
    /// Peers that may have it and were not tried in vain.
    pub(crate) holders: Vec<PeerRef>,
    /// Peers that do not have it.
    pub(crate) gone_at: Vec<PeerRef>,
    /// Peers that did not answer.
    pub(crate) unreachable: Vec<PeerRef>,
    /// Bytes of the fetch share that it takes.
    pub(crate) reserved: u64,
    /// The best priority among the tasks that wait for it.
    pub(crate) priority: u64,
    /// Whether the leader asked for it, so that it becomes an [`Body::Output`].
    pub(crate) replica: bool,
    /// Its place in the cache's order of use, while it has no reader.
    pub(crate) cached: Option<u64>,
    /// While cached: the job that read it last, with whose end it goes.
    pub(crate) cached_for: Option<JobRef>,
}

impl Node {
    /// Where the node stands.
    pub(crate) const fn state(&self) -> NodeState {
        self.state
    }

    /// What the task needs to run, if the node is a task that has not ended.
    pub(crate) const fn work(&self) -> Option<&Work> {
        match &self.body {
            Body::Task(work) => Some(work),
            _ => None,
        }
    }

    /// Where the copy comes from, if the node is one.
    pub(crate) const fn copy(&self) -> Option<&CopySource> {
        match &self.body {
            Body::Copy(source) => Some(source),
            _ => None,
        }
    }

    /// See [`Node::copy`].
    pub(crate) const fn copy_mut(&mut self) -> Option<&mut CopySource> {
        match &mut self.body {
            Body::Copy(source) => Some(source),
            _ => None,
        }
    }

    /// Whether the node is a task that waits for inputs or a slot.
    pub(crate) const fn is_queued(&self) -> bool {
        matches!(self.state, NodeState::Waiting { .. } | NodeState::Ready)
    }

    /// Whether the node is a task that executes.
    pub(crate) const fn is_running(&self) -> bool {
        matches!(self.state, NodeState::Running { .. })
    }

    /// Whether the node is a task that executes and waits for others.
    pub(crate) const fn is_waiting_for_tasks(&self) -> bool {
        matches!(self.state, NodeState::Running { waits: true, .. })
    }

    /// Whether the node is a task that is with an executor, whether it has begun or comes next.
    pub(crate) const fn is_started(&self) -> bool {
        matches!(self.state, NodeState::Running { .. } | NodeState::Behind { .. })
    }

    /// Why the task was told to stop, if it was.
    pub(crate) const fn stop(&self) -> Option<Stop> {
        match self.state {
            NodeState::Running { stop, .. } | NodeState::Behind { stop } => stop,
            _ => None,
        }
    }

    /// Whether the node is in the store for the leader to free.
    pub(crate) const fn is_output(&self) -> bool {
        matches!((&self.body, self.state), (Body::Output, NodeState::Stored))
    }

    /// The sub-range, if the node is not the whole object.
    pub(crate) const fn part_opt(&self) -> Option<u32> {
        match self.part {
            WHOLE => None,
            part => Some(part),
        }
    }
}
