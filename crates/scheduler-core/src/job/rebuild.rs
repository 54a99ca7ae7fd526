//! A job that a new leader found: first what the journal says, then what workers say, then the counters anew.
//!
//! While `is_raw` only states, holders and assignments are kept; [`Job::rebuild`] makes everything else from them.

use std::time::Duration;

use millstream_protocol::wire::{ExtensionRecord, JobState, StoredTaskState};
use millstream_types::{Attempt, TaskIdx, Term};

use super::{Ending, Job, TaskState, flag};
use crate::RecoveredJob;
use crate::ids::{JobNo, WorkerNo};
use crate::shared::Shared;

/// Stands for the unknown run of a task whose output was let go under an earlier leader.
const EARLIER: Attempt = Attempt::new(Term(0), 1);

impl Job {
    /// A job from the journal, not yet settled from inventories.
    pub(crate) fn recovered(cx: &mut Shared, no: JobNo, seq: u32, found: RecoveredJob) -> Self {
        let mut job = Self::new(cx, no, seq, found.meta, found.graph);
        job.is_raw = true;
        job.was_recovered = true;
        for (task, extension) in found.extensions {
            job.join_again(cx, task, extension);
        }
        for (task, failure) in found.failures {
            if task.0 < job.cols.len() {
                job.failures.insert(task.0, failure);
            }
        }
        for (task, byte) in (0..job.cols.len()).zip(found.pages) {
            job.cols.recover_marks(task, byte);
            job.recover_state(cx, task, StoredTaskState::from_byte(byte));
        }
        job.recover_given_up(found.results.iter().map(|(named, _)| named.0));
        for task in job.failures.keys().copied().collect::<Vec<_>>() {
            let record = &job.failures[&task];
            if !record.terminal || job.cols.state(task).is_done() {
                continue;
            }
            // The record of the job may be older than the failure.
            if job.meta.error.is_none() && !job.is_over() {
                job.meta.error = Some(record.error.clone());
                job.meta.failed_task = Some(TaskIdx(task));
            }
            job.transition(cx, task, TaskState::Failed);
        }
        for (named, entry) in found.results {
            job.recover_result(cx, named.0, entry);
        }
        job.recover_terminal(cx);
        if job.meta.let_go.is_some() {
            job.unwant_all();
        }
        let age = cx.clock.unix_ms.saturating_sub(job.meta.accepted_ms);
        let now = cx.clock.now.as_micros();
        job.accepted_at =
            millstream_types::Timestamp::from_micros(now.saturating_sub(age.saturating_mul(1000)));
        if found.cancel_requested && !job.is_over() {
            job.meta.state = JobState::Cancelling;
        }
        job
    }

    /// Joins an extension from the journal. One that does not fit, since an earlier one was lost, is left out: its task
    /// runs again, and the journal is written anew.
    fn join_again(&mut self, cx: &mut Shared, task: TaskIdx, extension: ExtensionRecord) {
        let limits = &cx.config.graph;
        let fits = task.0 < self.cols.len()
            && !self.cols.has(task.0, flag::EXTENDED)
            && extension.fragment.validate_extension(&self.graph, limits).is_ok()
            && extension
                .replacement
                .is_none_or(|target| target.0 < self.cols.len() + extension.fragment.task_count());
        if !fits {
            self.is_journal_torn = true;
            return;
        }
        let replacement = extension.replacement;
        self.join(cx, task.0, extension);
        let Some(target) = replacement else { return };
        self.alias.replace(task.0, target.0);
        if self.cols.has(task.0, flag::WANTED) {
            self.cols.clear(task.0, flag::WANTED);
            self.cols.set(self.alias.resolve(task.0), flag::WANTED);
        }
        self.transition(cx, task.0, TaskState::Replaced);
    }

    fn recover_state(&mut self, cx: &mut Shared, task: u32, state: StoredTaskState) {
        if self.cols.state(task).is_done() {
            return;
        }
        match state {
            StoredTaskState::Stored => {
                self.cols.set(task, flag::TENTATIVE);
                self.transition(cx, task, TaskState::Stored);
            }
            StoredTaskState::Released => {
                self.cols.set_attempt(task, EARLIER);
                self.transition(cx, task, TaskState::Released);
            }
            // Failures are commits with records of their own; what was cancelled follows from them.
            StoredTaskState::Pending | StoredTaskState::Failed | StoredTaskState::Cancelled => {}
        }
    }

    fn recover_result(&mut self, cx: &mut Shared, named: u32, entry: millstream_protocol::wire::ResultEntry) {
        if named >= self.cols.len() {
            return;
        }
        let object = self.alias.resolve(named);
        if matches!(self.cols.state(object), TaskState::Waiting | TaskState::Released) {
            self.cols.set(object, flag::TENTATIVE);
            self.transition(cx, object, TaskState::Stored);
        }
        self.cols.set_attempt(object, entry.attempt);
        self.cols.bytes[object as usize] = entry.bytes.as_u64();
        if let Some(value) = entry.inline
            && self.cols.state(object) == TaskState::Stored
        {
            self.keep_inline(cx, object, value);
        }
    }

    /// A job that is over has no unfinished tasks, whatever its pages say.
    fn recover_terminal(&mut self, cx: &mut Shared) {
        if !self.is_over() {
            return;
        }
        let has_succeeded = self.meta.state == JobState::Succeeded;
        for task in 0..self.cols.len() {
            if self.cols.state(task).is_done() {
                continue;
            }
            if has_succeeded && self.cols.has(task, flag::WANTED) {
                self.cols.set(task, flag::TENTATIVE);
                self.transition(cx, task, TaskState::Stored);
            } else if has_succeeded && !self.cols.has(task, flag::CALLED_OFF) {
                self.transition(cx, task, TaskState::Released);
            } else {
                self.transition(cx, task, TaskState::Cancelled);
            }
        }
    }

    /// A worker has an object, and the counters are not there yet.
    pub(crate) fn adopt_raw_object(
        &mut self,
        cx: &mut Shared,
        task: u32,
        worker: WorkerNo,
        attempt: Attempt,
        bytes: u64,
    ) {
        match self.cols.state(task) {
            _ if self.is_void(task, attempt) || self.cols.has(task, flag::IMPORT) => {
                self.refuse(cx, task, worker, attempt);
                return;
            }
            TaskState::Failed | TaskState::Cancelled | TaskState::Replaced => {
                self.refuse(cx, task, worker, attempt);
                return;
            }
            TaskState::Stored if self.cols.is_held(task) => {
                if self.cols.attempt(task) == attempt {
                    self.add_holder(cx, task, worker);
                } else {
                    self.refuse(cx, task, worker, attempt);
                }
                return;
            }
            TaskState::Stored => {
                let known = self.cols.attempt(task);
                let is_other = known != Attempt::default() && known != attempt;
                if is_other && self.has_indeterminate {
                    self.refuse(cx, task, worker, attempt);
                    return;
                }
            }
            TaskState::Assigned => {
                if let Some(elsewhere) = self.cols.worker(task)
                    && (elsewhere != worker || self.cols.attempt(task) != attempt)
                {
                    cx.workers[elsewhere].outbox.cancel(self.id, task);
                }
                self.unbind(cx, task);
                self.transition(cx, task, TaskState::Stored);
            }
            TaskState::Waiting | TaskState::Ready | TaskState::Delayed | TaskState::Released => {
                self.transition(cx, task, TaskState::Stored);
            }
        }
        self.cols.clear(task, flag::TENTATIVE);
        self.cols.set_worker(task, Some(worker));
        self.cols.set_attempt(task, attempt);
        self.cols.bytes[task as usize] = bytes;
        let row = &mut cx.workers[worker];
        row.stored_bytes += bytes;
        row.objects += 1;
        self.mark_result(task);
    }

    /// A worker has a task, and the counters are not there yet. Tells whether it keeps it.
    pub(crate) fn adopt_raw_given(
        &mut self,
        cx: &mut Shared,
        task: u32,
        worker: WorkerNo,
        attempt: Attempt,
    ) -> bool {
        if self.is_given(task, worker, attempt) {
            // It said so in an earlier session of this window.
            return true;
        }
        let is_free = match self.cols.state(task) {
            _ if self.cols.has(task, flag::IMPORT) => false,
            TaskState::Waiting | TaskState::Ready | TaskState::Delayed | TaskState::Released => true,
            TaskState::Stored => !self.cols.is_held(task) && !self.inline.contains_key(&task),
            _ => false,
        };
        if !is_free || self.is_over() || self.is_void(task, attempt) {
            cx.workers[worker].outbox.cancel(self.id, task);
            cx.workers.touch(worker);
            return false;
        }
        self.cols.clear(task, flag::TENTATIVE);
        if self.cols.state(task) != TaskState::Waiting {
            self.transition(cx, task, TaskState::Waiting);
        }
        self.bind(cx, task, worker, attempt);
        true
    }

    /// Inventories are in: makes counters and queues from the states, and starts again what must be.
    pub(crate) fn rebuild(&mut self, cx: &mut Shared) {
        for task in 0..self.cols.len() {
            if self.cols.has(task, flag::TENTATIVE) {
                self.cols.clear(task, flag::TENTATIVE);
                let is_nowhere = self.cols.state(task) == TaskState::Stored
                    && !self.cols.is_held(task)
                    && !self.inline.contains_key(&task);
                if is_nowhere {
                    if self.cols.attempt(task) == Attempt::default() {
                        self.cols.set_attempt(task, EARLIER);
                    }
                    self.transition(cx, task, TaskState::Released);
                    self.mark_result(task);
                }
            }
        }
        if self.has_indeterminate && !self.is_over() {
            self.infer_runs(cx);
        }
        self.count_edges();
        self.is_raw = false;
        self.touch(cx);
        if !self.is_over() {
            self.restart(cx);
        }
        for task in 0..self.cols.len() {
            if self.cols.state(task) == TaskState::Stored && !self.is_kept(task) {
                self.release(cx, task);
            }
        }
        self.arm_deadline(cx);
        self.keep_results(cx);
    }

    /// What is there was made from inputs that were there, although the journal may not have come to know: they count as
    /// released, so that an indeterminate one is not simply run as if nobody had read it.
    fn infer_runs(&mut self, cx: &mut Shared) {
        let has_read = |state| {
            matches!(
                state,
                TaskState::Stored | TaskState::Released | TaskState::Replaced
            )
        };
        let mut stack: Vec<u32> = (0..self.cols.len())
            .filter(|task| has_read(self.cols.state(*task)))
            .collect();
        while let Some(task) = stack.pop() {
            let mut unknown = Vec::new();
            self.for_each_input(task, |input| {
                let is_known = self.cols.attempt(input) != Attempt::default();
                match self.cols.state(input) {
                    TaskState::Waiting => unknown.push(input),
                    TaskState::Cancelled if !is_known => unknown.push(input),
                    _ => {}
                }
            });
            for input in unknown {
                if self.cols.attempt(input) == Attempt::default() {
                    self.cols.set_attempt(input, EARLIER);
                }
                if self.cols.state(input) == TaskState::Waiting {
                    self.transition(cx, input, TaskState::Released);
                    self.mark_result(input);
                }
                stack.push(input);
            }
        }
    }

    fn count_edges(&mut self) {
        for task in 0..self.cols.len() {
            let is_done = self.cols.state(task).is_done();
            let mut available = 0;
            let Self {
                index,
                graph,
                cols,
                alias,
                ..
            } = self;
            index.for_each_dep(graph, task, |dep| {
                let input = alias.resolve(dep.task.0);
                if is_done {
                    cols.consumed[input as usize] += 1;
                } else if cols.is_held(input) {
                    available += 1;
                }
            });
            self.cols.available[task as usize] = available;
        }
    }

    fn restart(&mut self, cx: &mut Shared) {
        if self.meta.state == JobState::Cancelling {
            self.stop(cx, Ending::Cancel);
            return;
        }
        for task in 0..self.cols.len() {
            if self.cols.state(task) == TaskState::Failed {
                self.fail_readers(cx, task);
            }
        }
        let mut needed: Vec<u32> = self.wanted.iter().map(|task| self.alias.resolve(*task)).collect();
        needed.extend(self.linked());
        for task in 0..self.cols.len() {
            if !self.cols.state(task).is_done() && !self.is_complete(task) {
                self.for_each_input(task, |input| {
                    if self.cols.state(input).is_done() && !self.cols.is_held(input) {
                        needed.push(input);
                    }
                });
            }
        }
        for task in needed {
            let is_inline = self.cols.state(task) == TaskState::Stored && !self.is_read(task);
            if !is_inline && self.is_needed(task) && self.ending.is_none() {
                self.require(cx, task);
            }
        }
        if self.ending.is_some() {
            return;
        }
        for task in 0..self.cols.len() {
            let has_inputs = self.index.dep_count(&self.graph, task) > 0;
            match self.cols.state(task) {
                TaskState::Waiting if has_inputs && self.is_complete(task) => self.make_ready(cx, task),
                TaskState::Assigned if !self.is_complete(task) => self.check_lookahead(cx, task),
                _ => {}
            }
        }
        self.queue_roots(cx, 0);
        self.prune_given_up();
    }

    /// A task that a worker has must find its missing inputs there, or come back.
    fn check_lookahead(&mut self, cx: &mut Shared, task: u32) {
        let Some(worker) = self.cols.worker(task) else {
            return;
        };
        let mut is_local = true;
        self.for_each_input(task, |input| {
            let comes_here =
                self.cols.state(input) == TaskState::Assigned && self.cols.worker(input) == Some(worker);
            is_local &= comes_here || self.cols.is_held(input);
        });
        if is_local {
            self.unbook(cx, task);
            self.cols.set(task, flag::LOOKAHEAD);
            self.book(cx, task);
        } else {
            self.ask_cancel(cx, task, true);
        }
    }

    /// Arms the job's deadline, if it has one.
    pub(crate) fn arm_deadline(&self, cx: &mut Shared) {
        if let Some(deadline) = self.meta.options.deadline_ms
            && !self.is_over()
        {
            let at = self.accepted_at + Duration::from_millis(deadline);
            cx.timers.arm(at, crate::timers::Timer::Deadline { job: self.no });
        }
    }
}
