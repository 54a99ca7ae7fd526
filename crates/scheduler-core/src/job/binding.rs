//! What a task takes of the worker it is given to, and gives back when it leaves it.

use millstream_types::Attempt;

use super::{Job, TaskState, flag};
use crate::ids::WorkerNo;
use crate::shared::Shared;
use crate::worker::Given;

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
        let worker = &mut cx.workers[no];
        if self.is_raw || self.is_complete(task) {
            worker.queued += 1;
            worker.queue_us += u64::from(cost);
        } else {
            self.cols.set(task, flag::LOOKAHEAD);
            worker.ahead += 1;
        }
        worker.expected_bytes += bytes;
        if let Some(resources) = self.resources_of(task) {
            // A recovered task may find them taken: then it simply runs, as it already did.
            worker.free_resources.try_take(resources);
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
        let worker = &mut cx.workers[no];
        if self.cols.has(task, flag::LOOKAHEAD) {
            worker.ahead -= 1;
        } else {
            worker.queued -= 1;
            worker.queue_us = worker
                .queue_us
                .saturating_sub(u64::from(self.cols.cost_us[task as usize]));
        }
        worker.expected_bytes = worker
            .expected_bytes
            .saturating_sub(self.cols.bytes[task as usize]);
        if self.cols.has(task, flag::RETRACTING) {
            worker.retracting = worker.retracting.saturating_sub(1);
        }
        if let Some(resources) = self.resources_of(task) {
            worker.free_resources.put_back(resources);
        }
        self.cols.clear(task, flag::OF_ASSIGNMENT);
        self.cols.set_worker(task, None);
        self.cols.bytes[task as usize] = 0;
        self.cols.cost_us[task as usize] = 0;
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
