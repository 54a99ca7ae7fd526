//! The live exchange: what gateways show, never what anything relies on.
//!
//! Leaders tell of jobs and of the cluster, workers of what they did. A gateway that knows less than its peers drops
//! what it cannot read: nothing is asked for again.

use std::collections::BTreeMap;

use millstream_types::{ByteSize, JobId, TaskIdx, Term, WorkerId};
use serde::{Deserialize, Serialize};

use super::{HeartbeatMsg, JobCounts, JobEvent, JobState};
use crate::columns::{U16s, U32s, U64s};
use crate::graph::OpKind;

/// A message on the live exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveMsg {
    /// A job's event, as in its stream.
    Job {
        /// The job.
        job: JobId,
        /// What happened.
        event: JobEvent,
    },
    /// Everything, every five seconds.
    Snapshot(ClusterSnapshot),
    /// What one worker did lately, at most once a second. Gateways of before drop it.
    Work(Box<WorkMsg>),
}

/// The cluster at a glance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterSnapshot {
    /// The leader's term.
    pub term: Term,
    /// Jobs that are not over.
    pub jobs: BTreeMap<JobId, (JobState, JobCounts)>,
    /// Workers.
    pub workers: Vec<WorkerSnapshot>,
    /// What this leader has counted. Leaders of before do not tell it.
    #[serde(default)]
    pub totals: ClusterTotals,
}

/// What a leader counted since it leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterTotals {
    /// Messages to it that could not be read and were put aside.
    pub dead_letters: u64,
    /// Runs that made their output.
    pub finished: u64,
    /// Outputs that were made again.
    pub recomputed: u64,
    /// Workers declared lost.
    pub workers_lost: u64,
    /// Jobs that ended with all their outputs.
    pub succeeded: u64,
    /// Jobs that ended with an error.
    pub failed: u64,
    /// Jobs that ended by a cancel.
    pub cancelled: u64,
}

/// A worker at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerSnapshot {
    /// The worker.
    pub worker: WorkerId,
    /// Its name.
    pub name: String,
    /// Its state's name.
    pub state: String,
    /// Tasks sent to it and not done.
    pub assigned: u32,
    /// Its last heartbeat.
    pub load: Option<HeartbeatMsg>,
    /// The host it runs on. Leaders of before do not tell it, nor what follows.
    #[serde(default)]
    pub host: String,
    /// Tasks it runs at once.
    #[serde(default)]
    pub slots: u32,
    /// Bytes it may hold.
    #[serde(default)]
    pub memory_limit: ByteSize,
    /// Tasks known to execute.
    #[serde(default)]
    pub executing: u32,
    /// Objects it holds.
    #[serde(default)]
    pub objects: u32,
}

/// What one worker did since its last such message.
///
/// Totals are exact, but of 512 operations at most. Spans are a sample where there were too many, and `skipped` says
/// how many are missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkMsg {
    /// The worker.
    pub worker: WorkerId,
    /// Its name.
    pub name: String,
    /// Unix microseconds when this was made, by the worker's clock. Spans count back from it.
    pub at_us: u64,
    /// Time that the totals cover, in microseconds.
    pub covers_us: u32,
    /// Tasks it runs at once.
    pub slots: u32,
    /// Bytes it may hold.
    pub memory_limit: ByteSize,
    /// Its load.
    pub load: Option<HeartbeatMsg>,
    /// The jobs that rows below name by index.
    pub jobs: Vec<JobId>,
    /// The operations that rows below name by index.
    pub ops: Vec<OpLabel>,
    /// By job and operation.
    pub totals: Vec<OpTotal>,
    /// What filled the slots.
    pub spans: SpanColumns,
    /// Spans left out.
    pub skipped: u32,
    /// What came from peers.
    pub transfers: Vec<TransferTotal>,
    /// The last lines that tasks wrote.
    pub lines: Vec<OutputLine>,
}

/// An operation by what people call it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpLabel {
    /// Which executor runs it.
    pub kind: OpKind,
    /// Its name there.
    pub name: String,
}

/// Runs of one operation of one job that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpTotal {
    /// The job, by its index in the message.
    pub job: u16,
    /// The operation, by its index in the message.
    pub op: u16,
    /// Runs that made an output.
    pub finished: u32,
    /// Runs that failed.
    pub failed: u32,
    /// Microseconds that they took, together.
    pub busy_us: u64,
    /// Bytes that they made.
    pub bytes: ByteSize,
}

/// What a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum SpanKind {
    /// A task ran and made its output.
    Run = 0,
    /// A task ran and failed.
    Failed = 1,
    /// Inputs were fetched from a peer.
    Fetch = 2,
    /// Objects were written to disk.
    Spill = 3,
    /// Objects were read back from disk.
    Unspill = 4,
}

impl SpanKind {
    /// Reads a column's value; one of a later version counts as a run.
    pub const fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Failed,
            2 => Self::Fetch,
            3 => Self::Spill,
            4 => Self::Unspill,
            _ => Self::Run,
        }
    }

    /// The column's value.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// Spans: row `i` of each column is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanColumns {
    /// What each is, [`SpanKind::code`].
    pub kinds: U16s,
    /// The slot that it filled.
    pub slots: U16s,
    /// The job, by its index in the message.
    pub jobs: U16s,
    /// The operation, by its index in the message.
    pub ops: U16s,
    /// The task.
    pub tasks: U32s,
    /// Microseconds from its end to the message's time.
    pub ended_ago_us: U32s,
    /// Microseconds that it took.
    pub durations_us: U32s,
    /// Bytes made, moved, written or read.
    pub bytes: U64s,
}

impl SpanColumns {
    /// Rows that every column has.
    pub fn len(&self) -> usize {
        let columns = [
            self.kinds.len(),
            self.slots.len(),
            self.jobs.len(),
            self.ops.len(),
        ];
        let wide = [self.tasks.len(), self.ended_ago_us.len(), self.durations_us.len()];
        let narrowest = columns.into_iter().chain(wide).min().unwrap_or_default();
        narrowest.min(self.bytes.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Objects fetched from one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferTotal {
    /// The peer.
    pub from: WorkerId,
    /// Objects, or parts of them.
    pub objects: u32,
    /// Their bytes.
    pub bytes: ByteSize,
    /// Microseconds that the fetches took, together.
    pub busy_us: u64,
}

/// The end of what a task wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// The job, by its index in the message.
    pub job: u16,
    /// The task.
    pub task: TaskIdx,
    /// A line, cut after a kibibyte.
    pub text: String,
}
