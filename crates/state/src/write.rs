//! The leader's writes, and the sizes they must keep to.

use std::time::Duration;

use bytes::Bytes;
use millstream_types::{Attempt, ByteSize, JobId, TaskIdx, WorkerId};

use crate::{PAGE_BYTES, StateError, Table};

/// Largest single value; Redis takes at most 512 MiB in one string.
const MAX_VALUE: ByteSize = ByteSize::from_mib(256);
/// Pages of one job; as many state bytes as fit in the largest value.
const MAX_PAGES: u32 = (MAX_VALUE.as_u64() / PAGE_BYTES as u64) as u32;
/// Longest name of a blob, session or record.
const MAX_NAME: ByteSize = ByteSize::new(512);

/// One write of the leader, applied by [`crate::StateStore::commit`].
///
/// A write to a job that is not stored (never put, deleted or expired) does nothing, so that trailing notes
/// cannot bring back a part of a job that would then stay for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores a job and its graph, or replaces both. What else the job has is kept: a leader that rewrites a
    /// rolled-back store puts [`Write::DeleteJob`] first.
    PutJob {
        /// The job.
        job: JobId,
        /// The leader's record of it.
        meta: Bytes,
        /// The encoded graph, uncompressed; the store compresses it.
        graph: Bytes,
        /// Submission time, wall clock.
        created_ms: u64,
    },
    /// Replaces a job's metadata.
    SetMeta {
        /// The job.
        job: JobId,
        /// The leader's record of it.
        meta: Bytes,
        /// `None`: the job is live or referenced, and never expires. `Some`: terminal and unreferenced; it
        /// leaves [`crate::StateStore::active_jobs`] and everything of it expires after this time.
        expire_after: Option<Duration>,
    },
    /// Makes a terminal job expire after `ttl` from now, as [`Write::SetMeta`] does.
    ExpireJob {
        /// The job.
        job: JobId,
        /// Time until it is gone.
        ttl: Duration,
    },
    /// Removes everything of a job at once.
    DeleteJob {
        /// The job.
        job: JobId,
    },
    /// Records that the job shall be cancelled.
    CancelRequested {
        /// The job.
        job: JobId,
    },
    /// Stores the graph extension that a task returned. The first of a task wins; later ones are ignored.
    PutExtension {
        /// The job.
        job: JobId,
        /// The task that returned it.
        task: TaskIdx,
        /// The encoded fragment, uncompressed; the store compresses it.
        fragment: Bytes,
    },
    /// Overwrites pages of state bytes.
    SetPages {
        /// The job.
        job: JobId,
        /// Page number and its state bytes, at most [`PAGE_BYTES`]; only the last page of a job is shorter.
        pages: Vec<(u32, Bytes)>,
    },
    /// Stores or replaces a task's error.
    PutError {
        /// The job.
        job: JobId,
        /// The failed task.
        task: TaskIdx,
        /// The encoded error.
        error: Bytes,
    },
    /// Removes a task's error, because the task runs again.
    RemoveError {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
    },
    /// Stores or replaces where a wanted output is.
    PutResult {
        /// The job.
        job: JobId,
        /// The task whose output it is.
        task: TaskIdx,
        /// The encoded entry.
        entry: Bytes,
    },
    /// Removes a released output from the index.
    RemoveResult {
        /// The job.
        job: JobId,
        /// The task whose output it was.
        task: TaskIdx,
    },
    /// Stores or replaces the log of one run; the job's oldest logs make room.
    PutLog {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// The run.
        attempt: Attempt,
        /// Head and tail of its output.
        log: Bytes,
    },
    /// Appends to the job's event stream; the oldest events make room.
    AppendEvent {
        /// The job.
        job: JobId,
        /// The encoded event.
        event: Bytes,
    },
    /// Registers a worker, or renews its registration.
    PutWorker {
        /// The worker.
        worker: WorkerId,
        /// What the leader knows of it.
        info: Bytes,
        /// Time until the registration lapses.
        ttl: Duration,
    },
    /// Removes a worker's registration.
    RemoveWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// Stores or replaces a named record.
    PutRecord {
        /// The table.
        table: Table,
        /// The record's name.
        key: String,
        /// The encoded record.
        value: Bytes,
    },
    /// Removes a named record.
    RemoveRecord {
        /// The table.
        table: Table,
        /// The record's name.
        key: String,
    },
    /// Stores a blob without expiry, for a leader that writes a live job back.
    PutBlob {
        /// The blob's name.
        key: String,
        /// Its content.
        data: Bytes,
    },
    /// Takes a blob into the job's care: it no longer expires.
    KeepBlob {
        /// The blob's name.
        key: String,
    },
    /// Lets a blob expire, because no live job uses it any more.
    ExpireBlob {
        /// The blob's name.
        key: String,
        /// Time until it is gone.
        ttl: Duration,
    },
    /// Removes a blob.
    DeleteBlob {
        /// The blob's name.
        key: String,
    },
}

impl Write {
    /// The job that the write belongs to, if any.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::PutJob { job, .. }
            | Self::SetMeta { job, .. }
            | Self::ExpireJob { job, .. }
            | Self::DeleteJob { job }
            | Self::CancelRequested { job }
            | Self::PutExtension { job, .. }
            | Self::SetPages { job, .. }
            | Self::PutError { job, .. }
            | Self::RemoveError { job, .. }
            | Self::PutResult { job, .. }
            | Self::RemoveResult { job, .. }
            | Self::PutLog { job, .. }
            | Self::AppendEvent { job, .. } => Some(*job),
            Self::PutWorker { .. }
            | Self::RemoveWorker { .. }
            | Self::PutRecord { .. }
            | Self::RemoveRecord { .. }
            | Self::PutBlob { .. }
            | Self::KeepBlob { .. }
            | Self::ExpireBlob { .. }
            | Self::DeleteBlob { .. } => None,
        }
    }

    /// Refuses what no implementation can store.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        match self {
            Self::PutJob { meta, graph, .. } => {
                check_value("job metadata", meta)?;
                check_value("job graph", graph)
            }
            Self::SetMeta { meta, .. } => check_value("job metadata", meta),
            Self::PutExtension { fragment, .. } => check_value("graph extension", fragment),
            Self::SetPages { pages, .. } => pages.iter().try_for_each(|(no, bytes)| check_page(*no, bytes)),
            Self::PutError { error, .. } => check_value("task error", error),
            Self::PutResult { entry, .. } => check_value("result entry", entry),
            Self::PutLog { log, .. } => check_value("task log", log),
            Self::AppendEvent { event, .. } => check_value("job event", event),
            Self::PutWorker { info, .. } => check_value("worker record", info),
            Self::PutRecord { key, value, .. } => check_named(key, value),
            Self::PutBlob { key, data } => check_named(key, data),
            _ => Ok(()),
        }
    }
}

/// Refuses a name or value that no implementation can store.
pub(crate) fn check_named(name: &str, value: &Bytes) -> Result<(), StateError> {
    check_size("name", name.len(), MAX_NAME)?;
    check_value("value", value)
}

fn check_value(what: &'static str, value: &Bytes) -> Result<(), StateError> {
    check_size(what, value.len(), MAX_VALUE)
}

fn check_page(no: u32, bytes: &Bytes) -> Result<(), StateError> {
    check_size("state page", bytes.len(), ByteSize::of_len(PAGE_BYTES))?;
    if no < MAX_PAGES {
        return Ok(());
    }
    let size = ByteSize::new((u64::from(no) + 1) * PAGE_BYTES as u64);
    Err(StateError::TooLarge {
        what: "job's task states",
        size,
        limit: MAX_VALUE,
    })
}

fn check_size(what: &'static str, len: usize, limit: ByteSize) -> Result<(), StateError> {
    let size = ByteSize::of_len(len);
    if size > limit {
        Err(StateError::TooLarge { what, size, limit })
    } else {
        Ok(())
    }
}
