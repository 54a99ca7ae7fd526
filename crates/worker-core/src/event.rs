//! What happens to a worker: everything the core ever hears.

use bytes::Bytes;
use millstream_protocol::TaskError;
use millstream_protocol::graph::GraphExtension;
use millstream_protocol::wire::{Hello, TaskLog};
use millstream_types::{Attempt, ByteSize, JobId, ObjectId, TaskIdx};

use crate::FetchId;

/// Input of [`crate::WorkerCore::apply`].
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEvent {
    /// A leader announced itself on the fanout.
    Hello(Hello),
    /// The broker is reachable.
    LinkUp {
        /// What this worker's queues are called, before the session's number: `<prefix>.worker.<id>`.
        queue_base: String,
    },
    /// The broker is not reachable; the session's queue is gone.
    LinkDown,
    /// A frame arrived on this worker's queue.
    LeaderFrame(Bytes),
    /// A frame to the leader came back: its queue does not exist.
    LeaderUnroutable {
        /// The queue that does not exist.
        queue: String,
    },
    /// A started task ended well; its output is in the store.
    TaskFinished {
        /// Which run.
        run: TaskRun,
        /// What it made.
        output: TaskOutput,
        /// Run time in microseconds.
        duration_us: u32,
        /// What it wrote.
        log: Option<TaskLog>,
    },
    /// A started task ended well and adds tasks to its job.
    TaskExtended {
        /// Which run.
        run: TaskRun,
        /// Its own output; none where the extension replaces it.
        output: Option<TaskOutput>,
        /// The tasks to add.
        extension: Box<GraphExtension>,
        /// Run time in microseconds.
        duration_us: u32,
        /// What it wrote.
        log: Option<TaskLog>,
    },
    /// A started task failed, or was killed as asked.
    TaskFailed {
        /// Which run.
        run: TaskRun,
        /// Why.
        error: Box<TaskError>,
        /// Run time in microseconds.
        duration_us: u32,
        /// What it wrote.
        log: Option<TaskLog>,
    },
    /// A started task waits for other tasks, or goes on: meanwhile others may have its slot.
    TaskWaits {
        /// Which run.
        run: TaskRun,
        /// Whether it begins to wait, not ends.
        waits: bool,
    },
    /// A started task waits for something before its code begins.
    TaskPrepares {
        /// Which run.
        run: TaskRun,
        /// What is done, in words.
        text: String,
    },
    /// A task that was to run after another one was recalled or killed before it began.
    NotStarted {
        /// Which run.
        run: TaskRun,
    },
    /// A fetch ended, cancelled or not.
    FetchEnded {
        /// Which.
        id: FetchId,
        /// One outcome per object, in the order of the request. Missing ones count as unreachable.
        outcomes: Vec<FetchOutcome>,
    },
    /// The store no longer has an object that nobody dropped: its spill file is damaged.
    ObjectLost {
        /// The object.
        object: ObjectId,
        /// Its generation.
        attempt: Attempt,
        /// The sub-range that was held, if not the whole.
        part: Option<u32>,
    },
    /// The store's accountant measured.
    MemoryChanged(MemoryReport),
    /// The process was asked to end: finish what runs, give the rest back.
    DrainAsked,
    /// Time passed; see [`crate::WorkerCore::next_wakeup`].
    Tick,
}

/// One run of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskRun {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// The run.
    pub attempt: Attempt,
}

/// What a task made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskOutput {
    /// Its size in the store.
    pub bytes: ByteSize,
    /// The value as the store encodes it, where [`crate::StartTask::inline`] asked for it and it is small enough.
    pub inline: Option<Bytes>,
    /// Number of sub-ranges; 0 where it has none.
    pub parts: u32,
}

/// What became of one object of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// It is in the store.
    Fetched {
        /// Its size there.
        bytes: ByteSize,
    },
    /// The holder does not have it.
    Gone,
    /// The holder did not answer, or the fetch was cancelled.
    Unreachable,
    /// The bytes do not fit their checksum.
    Damaged,
    /// This worker's store refused it: memory is short, and the disk is full. No holder is to blame.
    Unstored(Box<TaskError>),
}

/// How much memory is used, and what that means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// Bytes of objects in memory.
    pub stored: ByteSize,
    /// Bytes of objects on disk.
    pub spilled: ByteSize,
    /// Bytes of objects in memory that could go to disk; none while spilling fails.
    pub spillable: ByteSize,
    /// Memory of the process and its children, as the cgroup counts it.
    pub process: ByteSize,
    /// Thousandths of one cpu in use.
    pub cpu_milli: u32,
    /// Bytes fetched from peers since the start.
    pub fetched: ByteSize,
    /// Bytes served to peers since the start.
    pub served: ByteSize,
    /// What is to be done.
    pub level: MemoryLevel,
}

/// Thresholds of memory use, in rising order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryLevel {
    /// Enough.
    #[default]
    Normal,
    /// Objects go to disk.
    Target,
    /// Objects go to disk, for the sake of the process.
    Spill,
    /// No task is started.
    Pause,
    /// As `Pause`, and the shell recycles the Python process that holds the most.
    Terminate,
}

impl MemoryLevel {
    /// Whether no task may be started.
    pub fn is_paused(self) -> bool {
        self >= Self::Pause
    }
}
