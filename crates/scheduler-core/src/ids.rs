//! Dense numbers of jobs and workers inside one leader's memory. They never leave it, except as peer numbers.

use std::fmt;

/// A job's place in the table of jobs. Never reused within a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobNo(pub(crate) u32);

/// A worker's place in the table of workers, and its peer number on the wire. Never reused within a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkerNo(pub(crate) u32);

impl JobNo {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl WorkerNo {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for WorkerNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
