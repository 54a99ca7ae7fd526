//! What the core wants done: everything the shell ever does for it, in order.

use std::sync::Arc;

use bytes::Bytes;
use millstream_protocol::graph::{OpSpec, TaskOptions};
use millstream_protocol::wire::PeerInfo;
use millstream_types::{Attempt, ByteSize, ObjectId, TaskIdx};

use crate::TaskRun;

/// Output of [`crate::WorkerCore::poll`].
///
/// [`WorkerEffect::StartTask`] ends in exactly one of `TaskFinished`, `TaskExtended`, `TaskFailed` and, killed or recalled
/// before it began, `NotStarted`;
/// [`WorkerEffect::Fetch`] in exactly one `FetchEnded`, cancelled or not. The others are not answered.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEffect {
    /// Consume this new exclusive queue, and no older one, before the next frame is sent.
    OpenQueue {
        /// The queue.
        name: String,
    },
    /// Publish a frame, mandatory.
    Send {
        /// The leader's queue.
        queue: String,
        /// The frame.
        frame: Bytes,
    },
    /// Run a task.
    StartTask(Box<StartTask>),
    /// End a running task at once.
    KillTask(TaskRun),
    /// If this task was started behind another one and has not begun, it is not to begin: answered by `NotStarted`.
    /// Otherwise nothing happens.
    Recall(TaskRun),
    /// Copy objects from a peer into the store.
    Fetch(Fetch),
    /// Nobody needs this fetch any more.
    CancelFetch {
        /// Which.
        id: FetchId,
    },
    /// Remove an object from the store, as soon as nobody reads it.
    DropObject {
        /// The object.
        object: ObjectId,
        /// Its generation.
        attempt: Attempt,
        /// The sub-range that is held, if not the whole.
        part: Option<u32>,
    },
    /// Memory is short, nothing runs and nothing can be spilled: purge the allocator.
    RelievePressure,
    /// The leader needs nothing here any more: end the process.
    Exit,
}

/// A task to run. The input objects are in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StartTask {
    /// Which run.
    pub run: TaskRun,
    /// The task whose slot this one takes when that has ended: both run on the same thread. None: a slot is free.
    pub after: Option<TaskRun>,
    /// What to do.
    pub op: Arc<OpSpec>,
    /// How.
    pub options: Arc<TaskOptions>,
    /// The task's own parameters.
    pub params: Bytes,
    /// Its index in its symbolic layer.
    pub index: Option<u32>,
    /// What it reads, in the order the operation sees it.
    pub inputs: Vec<InputRef>,
    /// The job's name for display.
    pub label: Arc<str>,
    /// Whether a small output is to come back inside [`crate::TaskOutput::inline`].
    pub inline: bool,
}

/// An input in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRef {
    /// The object.
    pub object: ObjectId,
    /// Its generation.
    pub attempt: Attempt,
    /// The sub-range to read; the store has it or the whole.
    pub part: Option<u32>,
    /// What the reader's own job calls the producer: an import, where the object is of another job.
    pub task: TaskIdx,
}

/// Numbers fetches of one worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// Objects to copy from one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Its number.
    pub id: FetchId,
    /// The peer.
    pub from: PeerInfo,
    /// The objects.
    pub objects: Vec<FetchObject>,
    /// Their expected size, reserved.
    pub bytes: ByteSize,
}

/// One object, or a sub-range of it, to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchObject {
    /// The object.
    pub object: ObjectId,
    /// Its generation.
    pub attempt: Attempt,
    /// The sub-range, if not the whole.
    pub part: Option<u32>,
    /// Its expected size; 0 if unknown.
    pub bytes: ByteSize,
}
