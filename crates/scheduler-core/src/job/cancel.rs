//! Stopping: one task that nobody wants any more, or the whole job.

use super::{Ending, Job, TaskState, flag};
use crate::shared::Shared;

impl Job {
    /// Asks a worker to stop a task. With `redo` the task runs again after the answer.
    pub(crate) fn ask_cancel(&mut self, cx: &mut Shared, task: u32, redo: bool) {
        if self.cols.has(task, flag::CANCELLING) {
            if !redo {
                self.cols.clear(task, flag::REDO);
            }
            return;
        }
        self.cols.set(task, flag::CANCELLING);
        if redo {
            self.cols.set(task, flag::REDO);
        }
        self.send_cancel(cx, task);
    }

    fn send_cancel(&self, cx: &mut Shared, task: u32) {
        if let Some(no) = self.cols.worker(task) {
            cx.workers[no].outbox.cancel(self.id, task);
            cx.workers.touch(no);
        }
    }

    /// Says again what a worker that came back may not have heard.
    pub(crate) fn repeat_cancel(&self, cx: &mut Shared, task: u32) {
        if self.cols.has(task, flag::CANCELLING) {
            self.send_cancel(cx, task);
        }
    }

    /// Cancels what no reader will ever read, and what only that needed.
    pub(crate) fn prune(&mut self, cx: &mut Shared) {
        while let Some(task) = self.to_prune.pop() {
            if self.ending.is_some() || self.is_kept(task) {
                continue;
            }
            match self.cols.state(task) {
                TaskState::Assigned => self.ask_cancel(cx, task, false),
                state if !state.is_done() => {
                    self.transition(cx, task, TaskState::Cancelled);
                    self.consume_inputs(cx, task);
                }
                _ => {}
            }
        }
    }

    /// Stops everything. What is assigned is asked back; the job is over when every worker has answered.
    pub(crate) fn stop(&mut self, cx: &mut Shared, ending: Ending) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(ending);
        self.ready.clear();
        for no in cx.workers.numbers() {
            for task in cx.workers[no].outbox.withdraw(self.no) {
                if self.cols.state(task) == TaskState::Assigned && self.cols.worker(task) == Some(no) {
                    self.unbind(cx, task);
                    self.transition(cx, task, TaskState::Cancelled);
                }
            }
        }
        let keep_results = !matches!(self.ending, Some(Ending::Cancel));
        for task in 0..self.cols.len() {
            match self.cols.state(task) {
                TaskState::Assigned => self.ask_cancel(cx, task, false),
                TaskState::Stored if keep_results && self.cols.has(task, flag::WANTED) => {}
                // Another job's work is not ended by this one's.
                TaskState::Stored if self.cols.has(task, flag::EXPORTED) => {}
                TaskState::Stored => self.release(cx, task),
                state if !state.is_done() => self.transition(cx, task, TaskState::Cancelled),
                _ => {}
            }
        }
        self.touch(cx);
    }

    /// Frees an object that arrived although nobody wants it.
    pub(crate) fn refuse(
        &self,
        cx: &mut Shared,
        task: u32,
        worker: crate::ids::WorkerNo,
        attempt: millstream_types::Attempt,
    ) {
        let is_counted = task < self.cols.len()
            && self.cols.attempt(task) == attempt
            && self.holders(task).any(|holder| holder == worker);
        if is_counted {
            cx.counters.wrong_frees += 1;
        }
        cx.workers[worker].outbox.free(self.id, task, attempt);
        cx.workers.touch(worker);
    }
}
