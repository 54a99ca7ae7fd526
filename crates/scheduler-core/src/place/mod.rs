//! Placement: which worker gets which ready task, and what goes ahead or is asked back.

mod assign;
mod choose;
mod lookahead;
mod retract;

use std::ops::Bound;

use self::choose::Choice;
pub(crate) use self::choose::{could_run, is_unschedulable, why_never};
use crate::core::SchedulerCore;
use crate::ids::WorkerNo;
use crate::job::{Job, ReadyClass, Taken, TaskState};
use crate::shared::{ReadyEntry, Shared};
use crate::worker::Worker;

/// Workers that may be given tasks in this round.
#[derive(Debug, Default)]
pub(crate) struct OpenWorkers {
    pub(crate) list: Vec<WorkerNo>,
}

impl SchedulerCore {
    /// Gives out ready tasks until workers are full, nothing is ready, or this round's share of work is done.
    /// Tells whether more could be given at once.
    pub(crate) fn place(&mut self) -> bool {
        if self.cx.recovery.is_some() {
            return false;
        }
        let mut open = OpenWorkers::of(&self.cx);
        let mut budget = self.cx.config.placements_per_poll;
        let mut at: Bound<ReadyEntry> = Bound::Unbounded;
        while !open.list.is_empty() {
            let Some(entry) = self.cx.ready.range((at, Bound::Unbounded)).next().copied() else {
                break;
            };
            at = Bound::Excluded(entry);
            self.place_class(entry, &mut open, &mut budget);
            if budget == 0 {
                return true;
            }
        }
        self.balance();
        false
    }

    fn place_class(&mut self, entry: ReadyEntry, open: &mut OpenWorkers, budget: &mut u32) {
        let (rank, _, no, restriction) = entry;
        let class = ReadyClass { rank, restriction };
        let Some(job) = self.jobs.get_mut(no) else {
            self.cx.ready.remove(&entry);
            return;
        };
        let cx = &mut self.cx;
        if !job.runs() {
            cx.ready.remove(&entry);
            job.ready.mark_unlisted(class);
            return;
        }
        let mut allow_roots = true;
        while *budget > 0 && !open.list.is_empty() {
            let Some(taken) = job.ready.take(class, allow_roots) else {
                if !job.ready.has(class) {
                    cx.ready.remove(&entry);
                    job.ready.mark_unlisted(class);
                }
                return;
            };
            if !is_current(job, taken) {
                continue;
            }
            *budget -= 1;
            match choose::worker_for(cx, job, taken, class, open) {
                Choice::Worker(worker) => {
                    job.unschedulable.remove(&class);
                    job.assign(cx, taken.task, worker);
                    if !cx.workers[worker].is_paused() {
                        job.look_ahead(cx, taken.task, worker);
                    }
                    open.close_if_full(cx, worker);
                }
                Choice::NoMemory if taken.is_root => {
                    put_back(cx, job, taken);
                    // What is not a root may still free memory.
                    if !allow_roots {
                        return;
                    }
                    allow_roots = false;
                }
                Choice::NoMemory | Choice::Busy => {
                    put_back(cx, job, taken);
                    return;
                }
                Choice::Never => {
                    put_back(cx, job, taken);
                    if !note_unschedulable(cx, job, class, taken.task) {
                        return;
                    }
                }
            }
        }
    }
}

impl OpenWorkers {
    fn of(cx: &Shared) -> Self {
        if cx.workers.iter().any(Worker::takes_work) {
            let takes = |no: &WorkerNo| cx.workers[*no].takes_work() && choose::has_room(cx, *no);
            let list = cx.workers.numbers().filter(takes).collect();
            return Self { list };
        }
        // All are paused: one task each, or none of them would ever free memory again.
        let takes = |no: &WorkerNo| cx.workers[*no].takes_last_resort();
        let list = cx.workers.numbers().filter(takes).collect();
        Self { list }
    }

    fn close_if_full(&mut self, cx: &Shared, worker: WorkerNo) {
        if !choose::has_room(cx, worker)
            && let Some(at) = self.list.iter().position(|no| *no == worker)
        {
            self.list.remove(at);
        }
    }
}

/// Whether a queue entry still speaks of a task that waits for a worker.
fn is_current(job: &Job, taken: Taken) -> bool {
    match job.cols.state(taken.task) {
        TaskState::Ready => true,
        TaskState::Waiting => taken.is_root,
        _ => false,
    }
}

fn put_back(cx: &mut Shared, job: &mut Job, taken: Taken) {
    if job.cols.state(taken.task) == TaskState::Waiting {
        job.ready.put_back_root(job.class_of(taken.task), taken.task);
    } else {
        job.requeue_ready(cx, taken.task);
    }
}

/// No registered worker can ever run this class: say so once, and fail the task when that lasts. Tells whether it failed.
fn note_unschedulable(cx: &mut Shared, job: &mut Job, class: ReadyClass, task: u32) -> bool {
    use millstream_protocol::wire::JobEventKind;
    use millstream_protocol::{ErrorKind, TaskError};

    use crate::timers::Timer;

    let now = cx.clock.now;
    let message = why_never(cx, job, task);
    let error = TaskError::new(ErrorKind::Unschedulable, message);
    let since = match job.unschedulable.get(&class) {
        Some(since) => *since,
        None => {
            job.unschedulable.insert(class, now);
            let kind = JobEventKind::Unschedulable {
                key: job.key_of(task),
                reason: error.message.clone(),
            };
            cx.tell(job.id, kind);
            now
        }
    };
    let Some(grace) = cx.config.unschedulable_after else {
        return false;
    };
    if now.since(since) >= grace {
        job.fail_with(cx, task, error);
        return true;
    }
    cx.timers.arm(since + grace, Timer::Unschedulable);
    false
}
