//! What the store hands out: fences, jobs, events and the bounds they are kept within.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use millstream_types::{Attempt, ByteSize, JobId, LeaderId, TaskIdx, Term};

use crate::SharedLimits;

/// Tasks whose state bytes share one page, and so a page's length in bytes.
pub const PAGE_BYTES: usize = 256;

/// The proof of leadership that every commit carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The leader's term.
    pub term: Term,
    /// The candidacy that holds it.
    pub leader: LeaderId,
}

/// A lease that was just taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Proves it.
    pub fence: Fence,
    /// Who was given the term before this one; none if nobody ever was, or if the store lost that.
    pub before: Option<Fence>,
}

/// Where the journal stands.
///
/// A leader that finds `seq` lower than it remembers, or another `run_id`, talks to a Redis that was rolled
/// back or replaced, and rewrites everything it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// How many scripts have been applied.
    pub seq: u64,
    /// Names one run of the server process.
    pub run_id: String,
}

/// A job as lists and status pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The job.
    pub job: JobId,
    /// When it was submitted: wall clock, for display and order only.
    pub created_ms: u64,
    /// The leader's record of it, opaque here.
    pub meta: Bytes,
    /// Whether a cancel has been committed.
    pub cancel_requested: bool,
}

impl JobRecord {
    /// Where a list continues after this job.
    pub const fn cursor(&self) -> JobCursor {
        JobCursor {
            created_ms: self.created_ms,
            job: self.job,
        }
    }
}

/// Everything a new leader loads of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredJob {
    /// Metadata and the committed cancel.
    pub record: JobRecord,
    /// The submitted graph.
    pub graph: Bytes,
    /// Graph extensions by the task that returned them, in the order of their commits.
    pub extensions: Vec<(TaskIdx, Bytes)>,
    /// One state byte per task; may be shorter than the graph, and zero where nothing was noted.
    pub pages: Bytes,
    /// Task errors by task.
    pub errors: Vec<(TaskIdx, Bytes)>,
    /// Index of results by task: where each wanted output is.
    pub results: Vec<(TaskIdx, Bytes)>,
}

/// A position in the list of jobs, newest first. Its text form is opaque to users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobCursor {
    /// The creation time of the last job seen.
    pub created_ms: u64,
    /// The last job seen; orders jobs of the same millisecond.
    pub job: JobId,
}

impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padded so that the text orders like the cursor: the Redis index is ordered by it.
        write!(f, "{:020}:{}", self.created_ms, self.job)
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct CursorError(&'static str);

impl FromStr for JobCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let error = || CursorError("job cursor");
        let (created, job) = text.split_once(':').ok_or_else(error)?;
        Ok(Self {
            created_ms: created.parse().map_err(|_| error())?,
            job: job.parse().map_err(|_| error())?,
        })
    }
}

/// The position of an event in its job's stream. Grows even when the store is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId {
    /// The store's clock when the event was appended, in milliseconds.
    pub ms: u64,
    /// Orders events of the same millisecond.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EventId {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let error = || CursorError("event id");
        let (ms, seq) = text.split_once('-').ok_or_else(error)?;
        Ok(Self {
            ms: ms.parse().map_err(|_| error())?,
            seq: seq.parse().map_err(|_| error())?,
        })
    }
}

/// A part of a job's event stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPage {
    /// Events after the asked position, oldest first.
    pub events: Vec<(EventId, Bytes)>,
    /// Whether events between the asked position and the first of `events` may have been dropped: the reader
    /// needs a snapshot of the job.
    pub gap: bool,
}

/// Names one kept log: the output of one run of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogRef {
    /// The task.
    pub task: TaskIdx,
    /// Its run.
    pub attempt: Attempt,
}

/// Cluster-wide tables of named records that only the leader writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Named, persisted results.
    Datasets,
    /// Where the copies of uploaded data are.
    Uploads,
    /// Objects of one job that another job uses.
    References,
}

/// Bounds on what one job may keep, and on what is shared. The oldest is dropped first, except for errors, where the first stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events kept per job. Redis may keep a few more, because it trims whole nodes.
    pub events: usize,
    /// Logs kept per job.
    pub logs: usize,
    /// Bytes of logs kept per job.
    pub log_bytes: ByteSize,
    /// Task errors kept per job; state bytes still tell that further tasks failed.
    pub errors: usize,
    /// What clients share, all together.
    pub shared: SharedLimits,
}

impl Default for Limits {
    fn default() -> Self {
        // 1,000 logs of head and tail 64 KiB are at most the 64 MiB; errors carry a traceback each.
        Self {
            events: 10_000,
            logs: 1_000,
            log_bytes: ByteSize::from_mib(64),
            errors: 10_000,
            shared: SharedLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_their_text_orders_like_them() {
        let cursor = |created_ms, job| JobCursor {
            created_ms,
            job: JobId::from_u128(job),
        };
        let ordered = [
            cursor(0, 7),
            cursor(9, 1),
            cursor(10, 0),
            cursor(10, 1 << 100),
            cursor(u64::MAX, 0),
        ];
        for pair in ordered.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].to_string() < pair[1].to_string());
        }
        for cursor in ordered {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn event_ids_read_back() {
        let id = EventId {
            ms: 1_763_800_000_123,
            seq: 4,
        };
        assert_eq!(id.to_string(), "1763800000123-4");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "-", "1", "x-1", "1-x", "1-2-3", ":", "12:no-job"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
            assert!(text.parse::<JobCursor>().is_err(), "{text}");
        }
    }
}
