//! What the core asks of its shell, in the imperative.

use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{
    ExtensionRecord, FailureRecord, Hello, JobEvent, JobMeta, LiveMsg, ResultEntry, TaskLog, ToGateway,
    WorkerInfo,
};
use millstream_types::{Attempt, JobId, TaskIdx, Term, WorkerId};

/// What the shell must do. Effects leave in order: a [`Commit`] is durable before any effect behind it.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write this before anything that follows.
    Commit(Commit),
    /// The submission is committed or refused: its delivery may be acknowledged, three seconds from now.
    AckIntake {
        /// The delivery.
        token: u64,
    },
    /// Publish a frame to a worker's queue.
    SendToWorker {
        /// The queue.
        queue: String,
        /// The frame.
        frame: Bytes,
    },
    /// Publish a message to a gateway's queue.
    ReplyToGateway {
        /// The queue.
        queue: String,
        /// The message.
        msg: ToGateway,
    },
    /// Publish on the live exchange. May be dropped.
    Publish(LiveMsg),
    /// Publish on the fanout.
    SayHello(Hello),
    /// A higher term exists: drop this core and become standby.
    StepDown {
        /// The highest term known; the next candidacy must go beyond it.
        known: Term,
    },
}

/// A write that is durable before what it says is told or acted on.
#[derive(Debug, Clone, PartialEq)]
pub enum Commit {
    /// A job was accepted, or is written again: its record and encoded graph.
    PutJob {
        /// Its record.
        meta: Box<JobMeta>,
        /// Its encoded graph, without extensions.
        graph: Bytes,
    },
    /// A job's state changed.
    SetMeta {
        /// Its record.
        meta: Box<JobMeta>,
        /// `Some`: the job is over and holds nothing; its keys may expire after this time.
        expire_after: Option<Duration>,
    },
    /// A cancel was asked for.
    RequestCancel {
        /// The job.
        job: JobId,
    },
    /// A task grew its job's graph. Once per task.
    PutExtension {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// The encoded [`ExtensionRecord`], already numbered to follow the job's tasks.
        extension: Bytes,
    },
    /// A failure was counted against a task.
    PutFailure {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// What is counted so far, and the last error.
        failure: Box<FailureRecord>,
    },
    /// Outputs that may come out differently when they are made again are about to be told, or outputs were given up.
    PutPages {
        /// The job.
        job: JobId,
        /// The pages of their state bytes.
        pages: Vec<(u32, Bytes)>,
    },
    /// Everything of the job goes.
    DeleteJob {
        /// The job.
        job: JobId,
    },
}

/// A write that trails what has happened. Written behind the commits that were emitted before it was taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// State bytes of tasks, in pages of 256.
    Pages {
        /// The job.
        job: JobId,
        /// Page numbers and their bytes.
        pages: Vec<(u32, Bytes)>,
    },
    /// Where a wanted output is.
    Result {
        /// The job.
        job: JobId,
        /// The wanted task.
        task: TaskIdx,
        /// Where its object is.
        entry: Box<ResultEntry>,
    },
    /// A wanted output is nowhere for now, or for good.
    ResultGone {
        /// The job.
        job: JobId,
        /// The wanted task.
        task: TaskIdx,
    },
    /// A job's record with fresh counts.
    Meta {
        /// The record.
        meta: Box<JobMeta>,
    },
    /// A line of a job's history.
    Event {
        /// The job.
        job: JobId,
        /// The line.
        event: JobEvent,
    },
    /// What one run of a task wrote.
    Log {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// The run.
        attempt: Attempt,
        /// Head and tail.
        log: TaskLog,
    },
    /// A worker is registered, or still is.
    Worker {
        /// Who it is.
        info: Box<WorkerInfo>,
        /// How long the registration lasts.
        ttl: Duration,
    },
    /// A worker left or was lost.
    WorkerGone {
        /// The worker.
        worker: WorkerId,
    },
}

/// A job as a new leader finds it in the state store.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveredJob {
    /// Its record.
    pub meta: JobMeta,
    /// Whether a cancel was committed.
    pub cancel_requested: bool,
    /// The submitted graph.
    pub graph: Graph,
    /// Extensions by the task that returned them, in the order of their commits.
    pub extensions: Vec<(TaskIdx, ExtensionRecord)>,
    /// One byte per task; may be shorter than the graph.
    pub pages: Bytes,
    /// Counted failures.
    pub failures: Vec<(TaskIdx, FailureRecord)>,
    /// Where wanted outputs were.
    pub results: Vec<(TaskIdx, ResultEntry)>,
}
