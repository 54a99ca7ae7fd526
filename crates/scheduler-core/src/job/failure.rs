//! Failures: counted, retried, or final; and what a final one means for the tasks behind it.

use std::time::Duration;

use millstream_protocol::wire::{FailureRecord, JobEventKind};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::TaskIdx;

use super::{Ending, Job, TaskState};
use crate::Commit;
use crate::shared::Shared;
use crate::timers::Timer;

impl Job {
    /// A run of the task failed by itself. The task is off its worker. It is tried again, or failed for good.
    pub(crate) fn on_failure(&mut self, cx: &mut Shared, task: u32, error: TaskError) {
        let record = self
            .failures
            .entry(task)
            .or_insert_with(|| FailureRecord::new(error.clone()));
        record.error = error;
        record.failures += 1;
        let (failures, options) = (record.failures, self.options_of(task));
        let retries = options.retries;
        let delay_ms = options.backoff.delay_ms(failures);
        let is_final = match self.failures.get(&task) {
            Some(record) => !record.error.kind.is_retryable() || failures > retries,
            None => true,
        };
        if is_final {
            self.fail(cx, task);
        } else {
            self.retry_later(cx, task, delay_ms);
        }
    }

    fn retry_later(&mut self, cx: &mut Shared, task: u32, delay_ms: u32) {
        let Some(record) = self.failures.get(&task).cloned() else {
            return;
        };
        let kind = JobEventKind::Retried {
            key: self.key_of(task),
            error: record.error.clone(),
            delay_ms,
        };
        cx.commit(Commit::PutFailure {
            job: self.id,
            task: TaskIdx(task),
            failure: Box::new(record),
        });
        cx.tell(self.id, kind);
        self.transition(cx, task, TaskState::Delayed);
        let at = cx.clock.now + Duration::from_millis(u64::from(delay_ms));
        cx.timers.arm(at, Timer::Retry { job: self.no, task });
    }

    /// The delay of a task is over.
    pub(crate) fn retry_now(&mut self, cx: &mut Shared, task: u32) {
        if task >= self.cols.len() || self.cols.state(task) != TaskState::Delayed || !self.runs() {
            return;
        }
        if self.is_complete(task) {
            self.make_ready(cx, task);
        } else {
            self.transition(cx, task, TaskState::Waiting);
        }
    }

    /// Fails a task that is on no worker for good, with an error that was not counted before.
    pub(crate) fn fail_with(&mut self, cx: &mut Shared, task: u32, error: TaskError) {
        let record = self
            .failures
            .entry(task)
            .or_insert_with(|| FailureRecord::new(error.clone()));
        record.error = error;
        self.fail(cx, task);
    }

    /// Fails a task with its recorded error, and everything that needs it.
    fn fail(&mut self, cx: &mut Shared, task: u32) {
        let Some(record) = self.failures.get_mut(&task) else {
            return;
        };
        record.terminal = true;
        let record = record.clone();
        cx.commit(Commit::PutFailure {
            job: self.id,
            task: TaskIdx(task),
            failure: Box::new(record.clone()),
        });
        let key = self.key_of(task);
        cx.tell(
            self.id,
            JobEventKind::TaskFailed {
                key,
                error: record.error.clone(),
            },
        );
        if self.meta.error.is_none() {
            self.meta.error = Some(record.error);
            self.meta.failed_task = Some(TaskIdx(task));
        }
        self.end_failed(cx, task);
        self.fail_readers(cx, task);
    }

    /// A task that is to run again has an input that failed since.
    pub(crate) fn fail_for_input(&mut self, cx: &mut Shared, task: u32) {
        self.end_failed(cx, task);
        self.fail_readers(cx, task);
    }

    /// Fails everything that reads `task`, directly or not, and is not done.
    pub(crate) fn fail_readers(&mut self, cx: &mut Shared, task: u32) {
        let mut stack = vec![task];
        while let Some(failed) = stack.pop() {
            let mut readers = Vec::new();
            self.for_each_reader(failed, |reader| readers.push(reader));
            for reader in readers {
                if self.cols.state(reader).is_done() {
                    continue;
                }
                if self.cols.state(reader) == TaskState::Assigned {
                    self.ask_cancel(cx, reader, false);
                    self.unbind(cx, reader);
                }
                self.end_failed(cx, reader);
                stack.push(reader);
            }
        }
    }

    fn end_failed(&mut self, cx: &mut Shared, task: u32) {
        self.transition(cx, task, TaskState::Failed);
        self.mark_result(task);
        if self.ending.is_none() && !self.is_raw {
            self.consume_inputs(cx, task);
        }
    }

    /// Ends the job as failed: what runs is stopped.
    pub(crate) fn fail_job(&mut self, cx: &mut Shared, error: TaskError) {
        if self.meta.error.is_none() {
            self.meta.error = Some(error.clone());
        }
        self.stop(cx, Ending::Fail(error));
    }

    /// The error of a failed task: its own, or its input's.
    pub(crate) fn error_of(&self, task: u32) -> TaskError {
        if let Some(record) = self.failures.get(&task).filter(|record| record.terminal) {
            return record.error.clone();
        }
        let mut seen = 0_u32;
        let mut at = task;
        // Up the failed inputs to the one with an error of its own; bounded against very deep graphs.
        while seen < 100_000 {
            let mut failed = None;
            self.for_each_input(at, |input| {
                if self.cols.state(input) == TaskState::Failed {
                    failed = Some(input);
                }
            });
            let Some(input) = failed else { break };
            if let Some(record) = self.failures.get(&input).filter(|record| record.terminal) {
                let message = format!("input `{}` failed: {}", self.key_of(input), record.error.message);
                return TaskError {
                    message,
                    kind: ErrorKind::UpstreamFailed,
                    ..record.error.clone()
                };
            }
            at = input;
            seen += 1;
        }
        match &self.meta.error {
            Some(error) => error.clone(),
            None => TaskError::new(ErrorKind::UpstreamFailed, "an input failed"),
        }
    }
}
