//! Objects of a job: when they appear, when nobody needs them, when they are lost and made again.
//!
//! Two counters per task carry all of it: `available` (inputs that are stored, kept while the task is not done) and
//! `consumed` (readers that are done). An object is released when all its readers are done and it is not wanted.

use std::collections::BTreeSet;

use millstream_protocol::graph::Graph;
use millstream_types::Attempt;

use super::index::GraphIndex;
use super::{Job, TaskColumns, TaskState, flag};
use crate::ids::WorkerNo;
use crate::shared::Shared;

impl Job {
    /// The task's output is held by `worker`. The task must not be assigned any more.
    pub(crate) fn store(
        &mut self,
        cx: &mut Shared,
        task: u32,
        worker: WorkerNo,
        attempt: Attempt,
        bytes: u64,
    ) {
        if self.cols.state(task).is_done() {
            self.cols.note_breach(task, TaskState::Stored);
        }
        self.set_generation(task, attempt);
        self.cols.set_worker(task, Some(worker));
        self.cols.bytes[task as usize] = bytes;
        self.transition(cx, task, TaskState::Stored);
        let holder = &mut cx.workers[worker];
        holder.stored_bytes += bytes;
        holder.objects += 1;
        self.mark_result(task);
        self.offer(cx, task);
        self.consume_inputs(cx, task);
        if !self.is_kept(task) {
            self.release(cx, task);
        }
    }

    /// The object is of this run, which need not be the latest.
    fn set_generation(&mut self, task: u32, attempt: Attempt) {
        let latest = self.latest_attempt(task);
        if attempt < latest {
            self.latest.insert(task, latest);
        }
        self.cols.set_attempt(task, attempt);
    }

    /// The latest run of a task.
    pub(crate) fn latest_attempt(&self, task: u32) -> Attempt {
        let known = self.cols.attempt(task);
        self.latest.get(&task).map_or(known, |latest| known.max(*latest))
    }

    /// Tells the readers of a stored object.
    pub(super) fn offer(&mut self, cx: &mut Shared, task: u32) {
        let newly = self.offer_undone(task);
        self.start_newly(cx, newly);
    }

    /// Tells the readers of replaced tasks that what they read is there already.
    pub(crate) fn offer_to_readers_of(&mut self, cx: &mut Shared, replaced: &[u32]) {
        let mut newly = std::mem::take(&mut self.newly_ready);
        let Self {
            index, graph, cols, ..
        } = self;
        for source in replaced {
            index.for_each_reader(graph, *source, |reader| {
                count_available(index, graph, cols, reader, &mut newly);
            });
        }
        self.start_newly(cx, newly);
    }

    fn start_newly(&mut self, cx: &mut Shared, mut newly: Vec<u32>) {
        for reader in newly.drain(..) {
            if self.cols.state(reader) == TaskState::Waiting {
                self.make_ready(cx, reader);
            } else {
                self.leave_lookahead(cx, reader);
            }
        }
        self.newly_ready = newly;
    }

    /// An assigned task has all its inputs now: it counts in its worker's queue.
    fn leave_lookahead(&mut self, cx: &mut Shared, task: u32) {
        if !self.cols.has(task, flag::LOOKAHEAD) {
            return;
        }
        self.unbook(cx, task);
        self.cols.clear(task, flag::LOOKAHEAD);
        self.book(cx, task);
    }

    /// A task became done: its inputs have one reader less. What nobody reads any more is released; what nobody will
    /// ever read is cancelled.
    pub(crate) fn consume_inputs(&mut self, cx: &mut Shared, task: u32) {
        let mut idle = std::mem::take(&mut self.to_release);
        let Self {
            index,
            graph,
            cols,
            alias,
            ..
        } = self;
        index.for_each_dep(graph, task, |dep| {
            let producer = alias.resolve(dep.task.0);
            cols.consumed[producer as usize] += 1;
            idle.push(producer);
        });
        // Duplicates are harmless: the first release changes the state.
        for producer in idle.drain(..) {
            if self.is_kept(producer) {
                continue;
            }
            match self.cols.state(producer) {
                TaskState::Stored => self.release(cx, producer),
                state if !state.is_done() => self.to_prune.push(producer),
                _ => {}
            }
        }
        self.to_release = idle;
    }

    /// A task is to run again: its inputs have one reader more. Returns the inputs that are not stored.
    fn reclaim_inputs(&mut self, task: u32) -> Vec<u32> {
        let mut missing = Vec::new();
        let mut available = 0;
        let Self {
            index,
            graph,
            cols,
            alias,
            ..
        } = self;
        index.for_each_dep(graph, task, |dep| {
            let producer = alias.resolve(dep.task.0);
            cols.consumed[producer as usize] -= 1;
            if cols.is_held(producer) {
                available += 1;
            } else {
                missing.push(producer);
            }
        });
        self.cols.available[task as usize] = available;
        missing
    }

    /// Frees a stored object at all its holders, and forgets what of it was kept here: nobody needs it, it is void, or
    /// the job gives up all it has.
    pub(crate) fn release(&mut self, cx: &mut Shared, task: u32) {
        let may_go = !self.is_kept(task) || self.is_void(task, self.cols.attempt(task));
        if !may_go && self.ending.is_none() && !self.is_expired {
            cx.counters.wrong_frees += 1;
        }
        // Kept for a wanted output, which a job that was let go has no more.
        self.drop_inline(cx, task);
        let (id, attempt, bytes) = (self.id, self.cols.attempt(task), self.cols.bytes[task as usize]);
        let more = if self.replicas.is_empty() {
            None
        } else {
            self.replicas.remove(&task)
        };
        // Whose object it is frees it, once nobody else needs it.
        if !self.cols.has(task, flag::IMPORT) {
            let first = self.cols.worker(task);
            for holder in first.into_iter().chain(more.unwrap_or_default()) {
                free_at(cx, holder, id, task, attempt, bytes);
            }
        }
        self.cols.set_worker(task, None);
        self.transition(cx, task, TaskState::Released);
        self.mark_result(task);
    }

    /// Another worker has a copy of a stored object.
    pub(crate) fn add_holder(&mut self, cx: &mut Shared, task: u32, worker: WorkerNo) {
        if self.cols.has(task, flag::IMPORT) || self.holders(task).any(|holder| holder == worker) {
            return;
        }
        let was_held = self.cols.is_held(task);
        let row = &mut cx.workers[worker];
        row.stored_bytes += self.cols.bytes[task as usize];
        row.objects += 1;
        if was_held {
            self.replicas.entry(task).or_default().push(worker);
        } else {
            self.cols.set_worker(task, Some(worker));
        }
        self.mark_result(task);
        self.tell_sharers(cx, task);
    }

    /// A wanted object that was lost after its job's end is back.
    pub(crate) fn restore(
        &mut self,
        cx: &mut Shared,
        task: u32,
        worker: WorkerNo,
        attempt: Attempt,
        bytes: u64,
    ) {
        self.set_generation(task, attempt);
        self.cols.set_worker(task, Some(worker));
        self.cols.bytes[task as usize] = bytes;
        self.transition(cx, task, TaskState::Stored);
        let holder = &mut cx.workers[worker];
        holder.stored_bytes += bytes;
        holder.objects += 1;
        self.mark_result(task);
        self.offer(cx, task);
    }

    fn offer_undone(&mut self, task: u32) -> Vec<u32> {
        let mut newly = std::mem::take(&mut self.newly_ready);
        let Self {
            index,
            graph,
            cols,
            alias,
            ..
        } = self;
        let mut visit = |reader: u32| count_available(index, graph, cols, reader, &mut newly);
        index.for_each_reader(graph, task, &mut visit);
        for source in alias.sources(task) {
            index.for_each_reader(graph, *source, &mut visit);
        }
        newly
    }

    /// A holder does not have a stored object any more. What was the last copy is made again if it is needed.
    /// Tells whether it is.
    pub(crate) fn drop_holder(&mut self, cx: &mut Shared, task: u32, worker: WorkerNo) -> bool {
        // An import follows its source.
        if self.cols.has(task, flag::IMPORT) || !self.holders(task).any(|holder| holder == worker) {
            return false;
        }
        let row = &mut cx.workers[worker];
        row.stored_bytes = row.stored_bytes.saturating_sub(self.cols.bytes[task as usize]);
        row.objects = row.objects.saturating_sub(1);
        let mut others = self.replicas.remove(&task).unwrap_or_default();
        others.retain(|holder| *holder != worker);
        if self.cols.worker(task) == Some(worker) {
            let next = (!others.is_empty()).then(|| others.remove(0));
            self.cols.set_worker(task, next);
        }
        if !others.is_empty() {
            self.replicas.insert(task, others);
        }
        self.mark_result(task);
        self.tell_sharers(cx, task);
        !self.cols.is_held(task) && self.lose(cx, task)
    }

    /// The last copy of a stored object is gone. Tells whether it is made again.
    pub(crate) fn lose(&mut self, cx: &mut Shared, task: u32) -> bool {
        let is_read = self.is_read(task) || self.cols.has(task, flag::EXPORTED);
        if self.inline.contains_key(&task) && !is_read {
            return false;
        }
        self.drop_inline(cx, task);
        self.withdraw_offer(cx, task);
        self.cols.set_worker(task, None);
        self.transition(cx, task, TaskState::Released);
        self.mark_result(task);
        let is_needed = self.is_needed(task) && self.ending.is_none();
        if is_needed {
            self.require(cx, task);
        }
        is_needed
    }

    /// Readers that have not run lose an input. The object itself must still count as held or just have lost its holder.
    pub(crate) fn withdraw_offer(&mut self, cx: &mut Shared, task: u32) {
        let mut readers = Vec::new();
        self.for_each_reader(task, |reader| readers.push(reader));
        for reader in readers {
            let state = self.cols.state(reader);
            if state.is_done() {
                continue;
            }
            self.cols.available[reader as usize] -= 1;
            if state == TaskState::Ready {
                self.transition(cx, reader, TaskState::Waiting);
            }
        }
    }

    /// Makes sure that a task's object is made, and everything that it needs, down to what is stored.
    pub(crate) fn require(&mut self, cx: &mut Shared, task: u32) {
        if self.ending.is_some() {
            return;
        }
        let mut stack = vec![task];
        // Tasks that were rolled back already, with their producer.
        let mut rolled_back = BTreeSet::new();
        while let Some(task) = stack.pop() {
            let state = self.cols.state(task);
            self.uncancel(task);
            let is_inline_only = state == TaskState::Stored && !self.cols.is_held(task);
            if !is_inline_only && !matches!(state, TaskState::Released | TaskState::Cancelled) {
                continue;
            }
            let is_rolled_back = rolled_back.contains(&task);
            if is_rolled_back && !self.is_needed(task) {
                continue;
            }
            if is_inline_only {
                self.drop_inline(cx, task);
                self.transition(cx, task, TaskState::Released);
            }
            if state != TaskState::Cancelled {
                cx.counters.recomputed += 1;
                if !is_rolled_back && self.has_indeterminate && !self.is_determinate(task) {
                    let Some(dropped) = self.roll_back_readers(cx, task) else {
                        return;
                    };
                    rolled_back.extend(dropped.iter().copied());
                    stack.extend(dropped);
                }
            }
            self.rerun(cx, task, &mut stack);
        }
    }

    /// A task that is being stopped since nobody needed it is needed again: it runs again after the answer.
    fn uncancel(&mut self, task: u32) {
        let is_stopping =
            self.cols.state(task) == TaskState::Assigned && self.cols.has(task, flag::CANCELLING);
        if is_stopping && self.is_needed(task) {
            self.cols.set(task, flag::REDO);
        }
    }

    /// Puts a task back to the start. What it needs and does not find goes on the stack.
    fn rerun(&mut self, cx: &mut Shared, task: u32, stack: &mut Vec<u32>) {
        self.transition(cx, task, TaskState::Waiting);
        let missing = self.reclaim_inputs(task);
        if missing
            .iter()
            .any(|input| self.cols.state(*input) == TaskState::Failed)
        {
            self.fail_for_input(cx, task);
            return;
        }
        // What an import stands for is looked after where that is.
        if self.is_complete(task) && !self.cols.has(task, flag::IMPORT) {
            self.make_ready(cx, task);
        }
        stack.extend(missing);
    }

    /// Forgets a small output that was kept here.
    pub(crate) fn drop_inline(&mut self, cx: &mut Shared, task: u32) {
        if let Some(value) = self.inline.remove(&task) {
            cx.inline_bytes = cx.inline_bytes.saturating_sub(value.len() as u64);
        }
    }
}

/// One more input of `reader` is stored; it goes to `newly` if that was the last.
fn count_available(
    index: &GraphIndex,
    graph: &Graph,
    cols: &mut TaskColumns,
    reader: u32,
    newly: &mut Vec<u32>,
) {
    let state = cols.state(reader);
    if state.is_done() {
        return;
    }
    let available = &mut cols.available[reader as usize];
    *available += 1;
    let is_listed = matches!(state, TaskState::Waiting | TaskState::Assigned);
    if is_listed && *available == index.dep_count(graph, reader) {
        newly.push(reader);
    }
}

/// Tells a holder to free one generation of an object.
fn free_at(
    cx: &mut Shared,
    holder: WorkerNo,
    job: millstream_types::JobId,
    task: u32,
    attempt: Attempt,
    bytes: u64,
) {
    let worker = &mut cx.workers[holder];
    worker.stored_bytes = worker.stored_bytes.saturating_sub(bytes);
    worker.objects = worker.objects.saturating_sub(1);
    worker.outbox.free(job, task, attempt);
    cx.workers.touch(holder);
}
