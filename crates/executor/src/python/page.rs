//! Memory shared with one process: which task it runs, and what that task has printed.
//!
//! ```text
//!  0 started u64 │ 8 finished u64 │ 16 revoked u64 (from << 32 | to) │ 24 cancelled u64 │ 32 printed u64
//!  40 job u128 │ 56 task u32 │ …
//!  4096 head of the output, `limit` bytes │ its tail, a ring of `limit` bytes
//! ```
//! Tasks are named by their number in the process's life. Everything is read by system calls, never mapped here: what
//! the process writes meanwhile cannot break this side.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use millstream_types::{JobId, TaskIdx};

use crate::log::LogCapture;

use super::sys;

const HEAD_BYTES: u64 = 4096;
const STARTED: u64 = 0;
const REVOKED: u64 = 16;
const CANCELLED: u64 = 24;
const PRINTED: u64 = 32;
const TASK: u64 = 40;

/// Where a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// The task begun last; 0 before the first.
    pub(super) started: u32,
    /// The task ended last.
    pub(super) finished: u32,
}

impl Progress {
    /// The task that runs.
    pub(super) fn running(self) -> Option<u32> {
        (self.started != self.finished).then_some(self.started)
    }
}

/// The page of one process.
pub(super) struct Page {
    memory: File,
    limit: u64,
}

impl Page {
    /// A page that keeps `limit` bytes of head and of tail.
    pub(super) fn new(limit: u64) -> io::Result<Self> {
        Ok(Self {
            memory: sys::memory(HEAD_BYTES + 2 * limit)?,
            limit,
        })
    }

    /// Where the process is.
    pub(super) fn progress(&self) -> Progress {
        let mut words = [0; 16];
        // Memory of our own of that size: it can be read.
        let _ = self.memory.read_exact_at(&mut words, STARTED);
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| words[at + i])) as u32;
        Progress {
            started: number(0),
            finished: number(8),
        }
    }

    /// The job and the number of the task that runs.
    pub(super) fn running_task(&self) -> Option<(JobId, TaskIdx)> {
        self.progress().running()?;
        let (mut job, mut task) = ([0; 16], [0; 4]);
        self.memory.read_exact_at(&mut job, TASK).ok()?;
        self.memory.read_exact_at(&mut task, TASK + 16).ok()?;
        let job = JobId::from_u128(u128::from_be_bytes(job));
        Some((job, TaskIdx(u32::from_le_bytes(task))))
    }

    /// The same page, for another thread to read.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            memory: self.memory.try_clone()?,
            limit: self.limit,
        })
    }

    /// Asks the process not to begin tasks from `from` to before `to`.
    pub(super) fn revoke(&self, from: u32, to: u32) {
        self.put(REVOKED, u64::from(from) << 32 | u64::from(to));
    }

    /// Says which task the next interrupt means.
    pub(super) fn cancel(&self, task: u32) {
        self.put(CANCELLED, u64::from(task));
    }

    /// Moves what the last task printed to its log, for a process that can no longer tell.
    pub(super) fn salvage(&self, log: &LogCapture) {
        let mut word = [0; 8];
        let _ = self.memory.read_exact_at(&mut word, PRINTED);
        let printed = u64::from_le_bytes(word);
        let head = printed.min(self.limit);
        log.write(&self.read(HEAD_BYTES, head));
        let beyond = printed - head;
        let tail = HEAD_BYTES + self.limit;
        if beyond <= self.limit {
            log.write(&self.read(tail, beyond));
            return;
        }
        log.skip(beyond - self.limit);
        let place = beyond % self.limit;
        log.write(&self.read(tail + place, self.limit - place));
        log.write(&self.read(tail, place));
    }

    fn read(&self, at: u64, size: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let _ = self.memory.read_exact_at(&mut bytes, at);
        bytes
    }

    fn put(&self, at: u64, word: u64) {
        let _ = self.memory.write_all_at(&word.to_le_bytes(), at);
    }
}

impl AsFd for Page {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}
