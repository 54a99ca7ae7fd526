//! The rule for operations that may give another output when they run again: two runs of one producer are never mixed.

use millstream_protocol::wire::{FailureRecord, JobState};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{Attempt, TaskIdx, Term};

use super::{Job, TaskState, flag};
use crate::Commit;
use crate::shared::Shared;

impl Job {
    /// A task was taken off its worker although it may have run there, or its output was refused. If its next run may
    /// give something else, what others made from the last one is dropped. The task itself may still be assigned.
    pub(crate) fn forget_run(&mut self, cx: &mut Shared, task: u32) {
        let is_fixed = !self.has_indeterminate || self.is_determinate(task);
        if is_fixed || self.is_raw || self.ending.is_some() {
            return;
        }
        let dropped = self.roll_back_readers(cx, task).unwrap_or_default();
        for task in dropped {
            if self.is_needed(task) {
                self.require(cx, task);
            }
        }
    }

    /// Whether what this run made must not come back: it came from what was rolled back, or is of a task that had this
    /// number before the journal lost an extension, or the job.
    pub(crate) fn is_void(&self, task: u32, attempt: Attempt) -> bool {
        let mut parts = self.parts.iter();
        // An import stands for a run of another job.
        let is_own = !self.cols.has(task, flag::IMPORT);
        if is_own && parts.any(|part| task >= part.first && attempt.term < part.term) {
            return true;
        }
        let record = self.failures.get(&task);
        record.is_some_and(|record| attempt <= record.void)
    }

    /// Makes every run of a task so far void, before any other run can be told apart from it no more. A worker that was
    /// out of reach may come back with what it made, under this leader or a later one.
    pub(crate) fn make_void(&mut self, cx: &mut Shared, task: u32) {
        let last = self.latest_attempt(task);
        let term = cx.identity.term;
        let void = if last.term == term {
            last
        } else {
            // Which run of an earlier leader was the last may not be known.
            Attempt::new(Term(term.0.saturating_sub(1)), u32::MAX)
        };
        let error = || {
            TaskError::new(
                ErrorKind::IndeterminateLoss,
                "what it made came from an output that was lost and may come out differently: it is made again",
            )
        };
        let record = self
            .failures
            .entry(task)
            .or_insert_with(|| FailureRecord::new(error()));
        if void <= record.void {
            return;
        }
        record.void = void;
        cx.commit(Commit::PutFailure {
            job: self.id,
            task: TaskIdx(task),
            failure: Box::new(record.clone()),
        });
    }

    /// An indeterminate task is about to run again: whatever was made from its last output is dropped. Returns the
    /// tasks that were, to be run again where needed, or nothing if a part of it has left the cluster already, so that
    /// the job fails.
    pub(crate) fn roll_back_readers(&mut self, cx: &mut Shared, producer: u32) -> Option<Vec<u32>> {
        let tainted = self.derived_from(producer);
        let mut told = std::iter::once(producer).chain(tainted.iter().copied());
        if let Some(task) = told.find(|task| self.cols.has(*task, flag::DELIVERED)) {
            self.fail_indeterminate(cx, producer, task);
            return None;
        }
        self.cols.set(producer, flag::RAN);
        self.roll_back_importers(cx, producer, &tainted);
        let mut dropped = Vec::new();
        for task in tainted {
            self.make_void(cx, task);
            match self.cols.state(task) {
                TaskState::Stored => {
                    if self.cols.is_held(task) {
                        self.withdraw_offer(cx, task);
                    }
                    self.release(cx, task);
                    dropped.push(task);
                }
                TaskState::Released => dropped.push(task),
                TaskState::Assigned => self.ask_cancel(cx, task, true),
                _ => {}
            }
        }
        Some(dropped)
    }

    /// What other jobs made from any of this is dropped as well.
    fn roll_back_importers(&self, cx: &mut Shared, producer: u32, tainted: &[u32]) {
        if self.sharing.importers.is_empty() {
            return;
        }
        for task in std::iter::once(producer).chain(tainted.iter().copied()) {
            cx.rolled_back.extend(self.importers(task));
        }
    }

    /// What an import stands for is about to be made again, and may come out differently: whatever was made from it
    /// here is dropped. A job that is over makes it again, or fails if some of it was delivered.
    pub(crate) fn roll_back_import(&mut self, cx: &mut Shared, task: u32) {
        if self.is_raw || self.ending.is_some() || self.derived_from(task).is_empty() {
            return;
        }
        if self.is_over() {
            if !self.may_recover() {
                return;
            }
            self.set_state(cx, JobState::Recovering);
        }
        let dropped = self.roll_back_readers(cx, task).unwrap_or_default();
        for task in dropped {
            if self.is_needed(task) {
                self.require(cx, task);
            }
        }
        self.touch(cx);
    }

    fn fail_indeterminate(&mut self, cx: &mut Shared, producer: u32, delivered: u32) {
        let message = format!(
            "task `{}` may give another output when it runs again, and its output was lost after `{}` had been \
             delivered: run the job again, or declare the operation determinate",
            self.key_of(producer),
            self.key_of(delivered)
        );
        self.fail_job(cx, TaskError::new(ErrorKind::IndeterminateLoss, message));
    }

    /// Everything that may have been made from `producer`, directly or not. The way there may lead through tasks that
    /// are to run again themselves: what was made from their last output is still about.
    fn derived_from(&self, producer: u32) -> Vec<u32> {
        let mut seen = std::collections::BTreeSet::new();
        let mut stack = vec![producer];
        while let Some(task) = stack.pop() {
            self.for_each_reader(task, |reader| {
                let has_run = self.cols.attempt(reader) != Attempt::default();
                let is_settled = matches!(self.cols.state(reader), TaskState::Failed | TaskState::Replaced);
                if has_run && !is_settled && seen.insert(reader) {
                    stack.push(reader);
                }
            });
        }
        seen.into_iter().collect()
    }
}
