//! What happened, for a run that failed. Told only when a failed seed is run again.

use std::collections::VecDeque;

use millstream_types::JobId;

/// Lines of history. Empty and free of cost unless told to listen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    limit: usize,
    only: Option<JobId>,
    lines: VecDeque<String>,
}

impl Story {
    /// A story of the last `limit` lines: those of one job and those of none, if a job is named.
    pub(crate) const fn of(only: Option<JobId>, limit: usize) -> Self {
        Self {
            limit,
            only,
            lines: VecDeque::new(),
        }
    }

    /// Adds a line.
    pub(crate) fn tell(&mut self, at_us: u64, job: Option<JobId>, line: impl FnOnce() -> String) {
        let is_other = self.only.is_some() && job.is_some() && job != self.only;
        if self.limit == 0 || is_other {
            return;
        }
        if self.lines.len() == self.limit {
            self.lines.pop_front();
        }
        self.lines
            .push_back(format!("{:>10.3} ms  {}", at_us as f64 / 1000.0, line()));
    }

    /// Whether anybody listens.
    pub(crate) const fn is_told(&self) -> bool {
        self.limit > 0
    }

    /// All lines.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
