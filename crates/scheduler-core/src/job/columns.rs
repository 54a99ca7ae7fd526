//! The columns of a job's tasks: one row per task, all zero at the start, so that a million tasks cost nothing until
//! they are touched.
//!
//! ```text
//!            inputs stored          placed                 reported
//!  waiting ───────────────► ready ─────────► assigned ─────────────► stored ──► released
//!     ▲  ▲                    │                │ │  │                  │           │
//!     │  └── an input is lost ┘                │ │  └─► replaced       │           │
//!     │         delayed ◄── failed, will retry ┘ │ (by its extension)  │           │
//!     ├────────────────────── returned ──────────┘                     │           │
//!     └────────────────────── lost or needed again ────────────────────┴───────────┘
//!  waiting, ready, assigned, delayed ──► failed | cancelled
//! ```
//!
//! [`TaskColumns::set_state`] is the only writer of a task's state.

use std::collections::BTreeSet;

use millstream_protocol::wire::{JobCounts, StoredTaskState};
use millstream_types::Attempt;

use crate::ids::WorkerNo;

/// Tasks that share one journal page.
pub(crate) const PAGE: usize = 256;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum TaskState {
    /// Some input is not stored. Also a root that the ready queue has not come to.
    Waiting = 0,
    /// All inputs are stored, no worker has it.
    Ready = 1,
    /// Sent to a worker, or about to be.
    Assigned = 2,
    /// Its output is held.
    Stored = 3,
    /// Its output was held and is needed no more.
    Released = 4,
    /// It will not run again.
    Failed = 5,
    /// Nobody wants it any more.
    Cancelled = 6,
    /// It failed and waits for its next try.
    Delayed = 7,
    /// Its extension put another task in its place.
    Replaced = 8,
}

impl TaskState {
    const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Ready,
        Self::Assigned,
        Self::Stored,
        Self::Released,
        Self::Failed,
        Self::Cancelled,
        Self::Delayed,
        Self::Replaced,
    ];

    /// Whether the task reads its inputs no more.
    pub(crate) const fn is_done(self) -> bool {
        matches!(
            self,
            Self::Stored | Self::Released | Self::Failed | Self::Cancelled | Self::Replaced
        )
    }

    /// The name users see.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Waiting | Self::Delayed => "waiting",
            Self::Ready => "ready",
            Self::Assigned => "assigned",
            Self::Stored => "stored",
            Self::Released | Self::Replaced => "released",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    const fn journal_byte(self) -> u8 {
        match self {
            Self::Waiting | Self::Ready | Self::Assigned | Self::Delayed => StoredTaskState::Pending as u8,
            Self::Stored => StoredTaskState::Stored as u8,
            Self::Released | Self::Replaced => StoredTaskState::Released as u8,
            Self::Failed => StoredTaskState::Failed as u8,
            Self::Cancelled => StoredTaskState::Cancelled as u8,
        }
    }

    const fn may_become(self, to: Self) -> bool {
        use TaskState::{Assigned, Cancelled, Delayed, Failed, Ready, Released, Replaced, Stored, Waiting};
        match self {
            Waiting => !matches!(to, Waiting),
            Ready => matches!(to, Waiting | Assigned | Stored | Failed | Cancelled | Replaced),
            Assigned => !matches!(to, Assigned | Released),
            Delayed => matches!(to, Ready | Waiting | Stored | Failed | Cancelled | Assigned),
            Stored => matches!(to, Released | Waiting | Cancelled),
            Released => matches!(to, Waiting | Stored),
            Cancelled => matches!(to, Waiting),
            Failed => false,
            Replaced => false,
        }
    }
}

/// Bits of a task's `flags` column.
pub(crate) mod flag {
    /// The output stays until the job is removed or its retention ends.
    pub(crate) const WANTED: u16 = 1;
    /// Assigned before all inputs were stored; the missing ones come from the same worker.
    pub(crate) const LOOKAHEAD: u16 = 1 << 1;
    /// Asked back, not answered.
    pub(crate) const RETRACTING: u16 = 1 << 2;
    /// Asked to stop, not answered.
    pub(crate) const CANCELLING: u16 = 1 << 3;
    /// With `CANCELLING`: runs again after the answer.
    pub(crate) const REDO: u16 = 1 << 4;
    /// A gateway was told where the output is, or what it is.
    pub(crate) const DELIVERED: u16 = 1 << 5;
    /// Its extension is committed; others are ignored.
    pub(crate) const EXTENDED: u16 = 1 << 6;
    /// Named as an output, whatever stands in for it.
    pub(crate) const NAMED: u16 = 1 << 7;
    /// Its object is reported but nobody has confirmed to hold it yet.
    pub(crate) const TENTATIVE: u16 = 1 << 8;
    /// An earlier output of an indeterminate task may be about: the task's next run makes it void.
    pub(crate) const RAN: u16 = 1 << 9;
    /// Stands for an object of another job: no worker is given it.
    pub(crate) const IMPORT: u16 = 1 << 10;
    /// Another job's import holds its object.
    pub(crate) const EXPORTED: u16 = 1 << 11;
    /// Executes and waits for other tasks, which may have its slot meanwhile.
    pub(crate) const WAITS: u16 = 1 << 12;
    /// The client needs no output of this name any more.
    pub(crate) const GIVEN_UP: u16 = 1 << 13;
    /// Cancelled by itself, or with a task that it reads.
    pub(crate) const CALLED_OFF: u16 = 1 << 14;
    /// Everything that ends with the assignment.
    pub(crate) const OF_ASSIGNMENT: u16 = LOOKAHEAD | RETRACTING | CANCELLING | REDO | WAITS;
}

/// What the journal keeps beside a task's state.
const MARKS: [(u16, u8); 3] = [
    (flag::DELIVERED, StoredTaskState::DELIVERED),
    (flag::GIVEN_UP, StoredTaskState::GIVEN_UP),
    (flag::CALLED_OFF, StoredTaskState::CALLED_OFF),
];

/// One row per task.
#[derive(Debug, Default)]
pub(crate) struct TaskColumns {
    state: Vec<u8>,
    flags: Vec<u16>,
    /// Inputs that are stored, counted per edge; kept right while the task is not done.
    pub(crate) available: Vec<u32>,
    /// Readers that are done, counted per edge.
    pub(crate) consumed: Vec<u32>,
    attempt: Vec<u64>,
    /// Number of the assigned or holding worker plus one; zero for none.
    worker: Vec<u32>,
    /// Size of the output; while assigned, the size expected.
    pub(crate) bytes: Vec<u64>,
    /// While assigned, the run time expected.
    pub(crate) cost_us: Vec<u32>,
    dirty: Vec<u64>,
    any_dirty: bool,
    breach: Option<Breach>,
    pub(crate) counts: JobCounts,
}

/// A change of state that the diagram does not have: a defect of the core, found by
/// [`crate::SchedulerCore::check_invariants`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) task: u32,
    pub(crate) from: TaskState,
    pub(crate) to: TaskState,
}

impl TaskColumns {
    /// Adds rows until there are `len`.
    pub(crate) fn grow(&mut self, len: usize) {
        let added = len.saturating_sub(self.state.len());
        // A fresh zeroed vector is mapped lazily by the allocator; resizing one is not.
        if self.state.is_empty() {
            *self = Self {
                state: vec![0; len],
                flags: vec![0; len],
                available: vec![0; len],
                consumed: vec![0; len],
                attempt: vec![0; len],
                worker: vec![0; len],
                bytes: vec![0; len],
                cost_us: vec![0; len],
                dirty: vec![0; len.div_ceil(PAGE * 64)],
                any_dirty: false,
                breach: None,
                counts: JobCounts::default(),
            };
        } else {
            self.state.resize(len, 0);
            self.flags.resize(len, 0);
            self.available.resize(len, 0);
            self.consumed.resize(len, 0);
            self.attempt.resize(len, 0);
            self.worker.resize(len, 0);
            self.bytes.resize(len, 0);
            self.cost_us.resize(len, 0);
            self.dirty.resize(len.div_ceil(PAGE * 64), 0);
        }
        let added = u32::try_from(added).unwrap_or(u32::MAX);
        self.counts.total += added;
        self.counts.waiting += added;
    }

    pub(crate) fn len(&self) -> u32 {
        self.counts.total
    }

    pub(crate) fn state(&self, task: u32) -> TaskState {
        // Only `set_state` writes the column, with discriminants of the enum.
        TaskState::ALL[usize::from(self.state[task as usize])]
    }

    /// The only writer of a task's state: keeps counts and dirty pages right.
    pub(crate) fn set_state(&mut self, task: u32, to: TaskState) {
        let from = self.state(task);
        if !from.may_become(to) {
            self.note_breach(task, to);
        }
        *self.count_of(from) -= 1;
        *self.count_of(to) += 1;
        self.state[task as usize] = to as u8;
        if from.journal_byte() != to.journal_byte() {
            self.mark_dirty(task);
        }
    }

    /// A change that must not be is carried out all the same, for a wrong state is better than a wrong count. The first
    /// one is kept.
    #[cold]
    pub(crate) fn note_breach(&mut self, task: u32, to: TaskState) {
        let from = self.state(task);
        self.breach.get_or_insert(Breach { task, from, to });
    }

    /// The first change of state that must not have been.
    pub(crate) const fn breach(&self) -> Option<Breach> {
        self.breach
    }

    fn count_of(&mut self, state: TaskState) -> &mut u32 {
        match state {
            TaskState::Waiting | TaskState::Delayed => &mut self.counts.waiting,
            TaskState::Ready => &mut self.counts.ready,
            TaskState::Assigned => &mut self.counts.assigned,
            TaskState::Stored => &mut self.counts.stored,
            TaskState::Released | TaskState::Replaced => &mut self.counts.released,
            TaskState::Failed => &mut self.counts.failed,
            TaskState::Cancelled => &mut self.counts.cancelled,
        }
    }

    /// Tasks that are not done.
    pub(crate) const fn unfinished(&self) -> u32 {
        self.counts.waiting + self.counts.ready + self.counts.assigned
    }

    fn mark_dirty(&mut self, task: u32) {
        let page = task as usize / PAGE;
        self.dirty[page / 64] |= 1 << (page % 64);
        self.any_dirty = true;
    }

    /// Marks every page that is not all pending.
    pub(crate) fn mark_all_dirty(&mut self) {
        for task in 0..self.len() {
            if self.journal_byte(task) != 0 {
                self.mark_dirty(task);
            }
        }
    }

    /// Page numbers and bytes of everything that has changed since the last call.
    pub(crate) fn take_pages(&mut self) -> Vec<(u32, bytes::Bytes)> {
        let mut pages = Vec::new();
        if !std::mem::take(&mut self.any_dirty) {
            return pages;
        }
        for word in 0..self.dirty.len() {
            let mut bits = std::mem::take(&mut self.dirty[word]);
            while bits != 0 {
                let page = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                pages.push(self.page(page));
            }
        }
        pages
    }

    /// The pages of these tasks, in ascending order.
    pub(crate) fn pages_of(&self, tasks: &[u32]) -> Vec<(u32, bytes::Bytes)> {
        let pages: BTreeSet<_> = tasks.iter().map(|task| *task as usize / PAGE).collect();
        pages.into_iter().map(|page| self.page(page)).collect()
    }

    fn page(&self, page: usize) -> (u32, bytes::Bytes) {
        let end = (page * PAGE + PAGE).min(self.state.len());
        let bytes = (page * PAGE..end).map(|task| self.journal_byte(task as u32));
        (page as u32, bytes.collect())
    }

    fn journal_byte(&self, task: u32) -> u8 {
        let set = MARKS.iter().filter(|(flag, _)| self.has(task, *flag));
        set.fold(self.state(task).journal_byte(), |byte, (_, mark)| byte | mark)
    }

    /// Takes over the marks that the journal has beside a task's state.
    pub(crate) fn recover_marks(&mut self, task: u32, byte: u8) {
        for (flag, mark) in MARKS {
            if byte & mark != 0 {
                self.set(task, flag);
            }
        }
    }

    pub(crate) fn has(&self, task: u32, flags: u16) -> bool {
        self.flags[task as usize] & flags != 0
    }

    pub(crate) fn set(&mut self, task: u32, flags: u16) {
        self.flags[task as usize] |= flags;
    }

    pub(crate) fn clear(&mut self, task: u32, flags: u16) {
        self.flags[task as usize] &= !flags;
    }

    /// The latest run; of a stored task, the run that made its object.
    pub(crate) fn attempt(&self, task: u32) -> Attempt {
        Attempt::from_packed(self.attempt[task as usize])
    }

    pub(crate) fn set_attempt(&mut self, task: u32, attempt: Attempt) {
        self.attempt[task as usize] = attempt.packed();
    }

    /// The worker that has the task, or holds its object first.
    pub(crate) fn worker(&self, task: u32) -> Option<WorkerNo> {
        self.worker[task as usize].checked_sub(1).map(WorkerNo)
    }

    pub(crate) fn set_worker(&mut self, task: u32, worker: Option<WorkerNo>) {
        self.worker[task as usize] = worker.map_or(0, |no| no.0 + 1);
    }

    /// Whether the task's object is held by a worker.
    pub(crate) fn is_held(&self, task: u32) -> bool {
        self.state(task) == TaskState::Stored && self.worker[task as usize] != 0
    }

    /// Heap bytes of all columns.
    pub(crate) fn heap_bytes(&self) -> usize {
        const ROW: usize = 1 + 2 + 4 + 4 + 8 + 4 + 8 + 4;
        self.state.capacity() * ROW + self.dirty.capacity() * 8
    }

    /// Counts recomputed from the states.
    pub(crate) fn recount(&self) -> JobCounts {
        let mut recounted = Self {
            counts: JobCounts {
                total: self.counts.total,
                ..JobCounts::default()
            },
            ..Self::default()
        };
        for task in 0..self.len() {
            *recounted.count_of(self.state(task)) += 1;
        }
        recounted.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_the_diagram_does_not_have_is_kept_as_a_breach() {
        let mut columns = TaskColumns::default();
        columns.grow(2);
        for state in [TaskState::Ready, TaskState::Assigned, TaskState::Stored] {
            columns.set_state(1, state);
        }
        assert_eq!(columns.breach(), None);
        columns.set_state(1, TaskState::Ready);
        columns.set_state(0, TaskState::Released);
        columns.set_state(0, TaskState::Failed);
        let breach = Breach {
            task: 1,
            from: TaskState::Stored,
            to: TaskState::Ready,
        };
        assert_eq!(columns.breach(), Some(breach), "the first one");
    }

    #[test]
    fn no_state_is_left_by_what_failed_or_was_replaced() {
        for from in [TaskState::Failed, TaskState::Replaced] {
            assert!(TaskState::ALL.iter().all(|to| !from.may_become(*to)));
        }
        assert!(TaskState::ALL.iter().all(|state| !state.may_become(*state)));
    }
}
