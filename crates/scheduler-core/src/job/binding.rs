//! What a task takes of the worker it is given to, and gives back when it leaves it.

use millstream_types::{Attempt, ResourceSet};

use super::{Job, TaskState, flag};
use crate::ids::WorkerNo;
use crate::shared::Shared;
use crate::worker::{CPU, Given};

impl Job {
    /// Gives a task to a worker: books its slot, its expected time and bytes, and its resources.
    pub(crate) fn bind(&mut self, cx: &mut Shared, task: u32, no: WorkerNo, attempt: Attempt) {
        let (op, _) = self.row_of(task);
        let stat = self.stat_of(op);
        let (cost, bytes) = (cx.stats.cost_us(stat), cx.stats.bytes(stat));
        self.cols.cost_us[task as usize] = cost;
        self.cols.bytes[task as usize] = bytes;
        self.cols.set_attempt(task, attempt);
        self.cols.set_worker(task, Some(no));
        self.transition(cx, task, TaskState::Assigned);
        if !self.is_raw && !self.is_complete(task) {
            self.cols.set(task, flag::LOOKAHEAD);
        }
        self.book(cx, task);
        let worker = &mut cx.workers[no];
        worker.expected_bytes += bytes;
        if let Some(resources) = self.resources_of(task) {
            // A recovered task may find them taken: then it simply runs, as it already did.
            worker.taken.put_back(resources);
        }
        worker.given.push(Given {
            job: self.no,
            task,
            attempt,
        });
    }

    /// Takes an assigned task off its worker. Its state must change next.
    pub(crate) fn unbind(&mut self, cx: &mut Shared, task: u32) {
        let Some(no) = self.cols.worker(task) else { return };
        self.set_waits(cx, task, false);
        self.unbook(cx, task);
        let worker = &mut cx.workers[no];
        worker.expected_bytes = worker
            .expected_bytes
            .saturating_sub(self.cols.bytes[task as usize]);
        if self.cols.has(task, flag::RETRACTING) {
            worker.retracting = worker.retracting.saturating_sub(1);
        }
        if let Some(resources) = self.resources_of(task) {
            worker.taken.try_take(resources);
        }
        self.cols.clear(task, flag::OF_ASSIGNMENT);
        self.cols.set_worker(task, None);
        self.cols.bytes[task as usize] = 0;
        self.cols.cost_us[task as usize] = 0;
    }

    /// Counts an assigned task where its flags put it: among those that wait for other tasks, that were sent ahead, or
    /// in its worker's queue. Flags that matter change between [`Job::unbook`] and this.
    pub(crate) fn book(&self, cx: &mut Shared, task: u32) {
        let Some(no) = self.cols.worker(task) else { return };
        let worker = &mut cx.workers[no];
        if self.cols.has(task, flag::WAITS) {
            worker.waiting += 1;
        } else if self.cols.has(task, flag::LOOKAHEAD) {
            worker.ahead += 1;
        } else {
            worker.queued += 1;
            worker.queue_us += u64::from(self.cols.cost_us[task as usize]);
        }
    }

    /// Takes back what [`Job::book`] counted.
    pub(crate) fn unbook(&self, cx: &mut Shared, task: u32) {
        let Some(no) = self.cols.worker(task) else { return };
        let worker = &mut cx.workers[no];
        if self.cols.has(task, flag::WAITS) {
            worker.waiting -= 1;
        } else if self.cols.has(task, flag::LOOKAHEAD) {
            worker.ahead -= 1;
        } else {
            worker.queued -= 1;
            let cost = u64::from(self.cols.cost_us[task as usize]);
            worker.queue_us = worker.queue_us.saturating_sub(cost);
        }
    }

    /// Notes whether an assigned task waits for others: then its slot and its cpu are free for them. What else it took
    /// it keeps: a process that waits still fills its memory and its device.
    pub(crate) fn set_waits(&mut self, cx: &mut Shared, task: u32, waits: bool) {
        if self.cols.has(task, flag::WAITS) == waits {
            return;
        }
        self.unbook(cx, task);
        if waits {
            self.cols.set(task, flag::WAITS);
        } else {
            self.cols.clear(task, flag::WAITS);
        }
        self.book(cx, task);
        let cpu = self.resources_of(task).map(|resources| resources.get(CPU));
        if let (Some(no), Some(cpu)) = (self.cols.worker(task), cpu) {
            let cpu = ResourceSet::new().with(CPU, cpu);
            let taken = &mut cx.workers[no].taken;
            if waits {
                taken.try_take(&cpu);
            } else {
                taken.put_back(&cpu);
            }
        }
    }

    /// Whether the task is on `worker` with this attempt.
    pub(crate) fn is_given(&self, task: u32, worker: WorkerNo, attempt: Attempt) -> bool {
        task < self.cols.len()
            && self.cols.state(task) == TaskState::Assigned
            && self.cols.worker(task) == Some(worker)
            && self.cols.attempt(task) == attempt
    }

    /// An assigned task comes back without blame: it waits, or is ready, or nobody wants it any more.
    pub(crate) fn take_back(&mut self, cx: &mut Shared, task: u32) {
        let is_unwanted = self.cols.has(task, flag::CANCELLING) && !self.cols.has(task, flag::REDO);
        self.unbind(cx, task);
        if self.is_raw {
            self.transition(cx, task, TaskState::Waiting);
        } else if self.ending.is_some() {
            self.transition(cx, task, TaskState::Cancelled);
        } else if is_unwanted {
            self.transition(cx, task, TaskState::Cancelled);
            self.consume_inputs(cx, task);
        } else if self.is_complete(task) {
            self.make_ready(cx, task);
        } else {
            self.transition(cx, task, TaskState::Waiting);
        }
    }
}
