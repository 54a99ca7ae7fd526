//! The live exchange: what gateways show, never what anything relies on.

use std::collections::BTreeMap;

use millstream_types::{JobId, Term, WorkerId};
use serde::{Deserialize, Serialize};

use super::{JobCounts, JobEvent, JobState};

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
    pub load: Option<super::HeartbeatMsg>,
}
