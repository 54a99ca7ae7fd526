//! The rule for operations that may give another output when they run again: two runs of one producer are never mixed.

use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::Attempt;

use super::{Job, TaskState, flag};
use crate::shared::Shared;

impl Job {
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
        let mut dropped = Vec::new();
        for task in tainted {
            match self.cols.state(task) {
                TaskState::Stored => {
                    if self.cols.is_held(task) {
                        self.withdraw_offer(cx, task);
                    }
                    self.drop_inline(cx, task);
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
