//! The last transitions of all tasks, in one ring: what `explain` tells as a task's story.

use millstream_types::Timestamp;

use crate::ids::{JobNo, WorkerNo};
use crate::job::TaskState;

/// One transition.
#[derive(Debug, Clone, Copy)]
struct Line {
    at: Timestamp,
    job: JobNo,
    task: u32,
    state: TaskState,
    worker: Option<WorkerNo>,
}

/// A ring of transitions.
#[derive(Debug)]
pub(crate) struct Story {
    lines: Vec<Line>,
    next: usize,
    capacity: usize,
}

impl Story {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            lines: Vec::new(),
            next: 0,
            capacity: capacity.max(1),
        }
    }

    pub(crate) fn push(
        &mut self,
        at: Timestamp,
        job: JobNo,
        task: u32,
        state: TaskState,
        worker: Option<WorkerNo>,
    ) {
        let line = Line {
            at,
            job,
            task,
            state,
            worker,
        };
        if self.lines.len() < self.capacity {
            self.lines.push(line);
        } else {
            self.lines[self.next] = line;
            self.next = (self.next + 1) % self.capacity;
        }
    }

    /// The kept transitions of a task, oldest first: when, what, and the worker's number.
    pub(crate) fn of(&self, job: JobNo, task: u32) -> Vec<(Timestamp, TaskState, Option<WorkerNo>)> {
        let (newer, older) = self.lines.split_at(self.next.min(self.lines.len()));
        older
            .iter()
            .chain(newer)
            .filter(|line| line.job == job && line.task == task)
            .map(|line| (line.at, line.state, line.worker))
            .collect()
    }
}
