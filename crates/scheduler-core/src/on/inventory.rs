//! Inventories: what a worker really has, against what the leader believes.

use millstream_protocol::wire::{InventoryMsg, JobAttempts, JobObjects};
use millstream_types::{Attempt, JobId};

use super::{drain, frame};
use crate::core::SchedulerCore;
use crate::ids::{JobNo, WorkerNo};
use crate::job::{Job, TaskState, flag};
use crate::shared::Shared;
use crate::worker::{Inventory, Link, WorkerState};

/// A part of an inventory.
pub(crate) fn part(core: &mut SchedulerCore, no: WorkerNo, msg: InventoryMsg) {
    if !matches!(core.cx.workers[no].link, Link::Collecting { .. }) {
        core.cx.counters.impossible_messages += 1;
        return;
    }
    for objects in &msg.objects {
        adopt_objects(core, no, objects);
    }
    for given in msg.queued.iter().chain(&msg.running) {
        adopt_given(core, no, given);
    }
    if !msg.last {
        return;
    }
    if let Some(window) = &mut core.cx.recovery {
        window.missing.remove(&core.cx.workers[no].info.worker);
        if let Some(inventory) = inventory_of(&mut core.cx, no) {
            inventory.complete = true;
        }
        super::recover::close_window_if_due(core);
    } else {
        settle(core, no);
    }
}

fn inventory_of(cx: &mut Shared, no: WorkerNo) -> Option<&mut Inventory> {
    match &mut cx.workers[no].link {
        Link::Collecting { inventory, .. } => Some(inventory),
        Link::Down | Link::Open { .. } => None,
    }
}

fn job_or_forget(core: &mut SchedulerCore, no: WorkerNo, id: JobId) -> Option<JobNo> {
    let found = core.jobs.find(id);
    if found.is_none() {
        core.cx.workers[no].outbox.forget(id);
        core.cx.workers.touch(no);
    }
    found
}

fn adopt_objects(core: &mut SchedulerCore, no: WorkerNo, objects: &JobObjects) {
    let Some(job_no) = job_or_forget(core, no, objects.job) else {
        return;
    };
    let Some(job) = core.jobs.get_mut(job_no) else {
        return;
    };
    let cx = &mut core.cx;
    // So that a job which ends is forgotten there as well.
    cx.workers[no].jobs.insert(job_no);
    let rows = objects
        .tasks
        .iter()
        .zip(objects.attempts.iter())
        .zip(objects.bytes.iter());
    for ((task, attempt), bytes) in rows {
        let attempt = Attempt::from_packed(*attempt);
        if *task >= job.cols.len() {
            // Of an extension that the journal lost with its leader.
            cx.counters.impossible_messages += 1;
            job.refuse(cx, *task, no, attempt);
            continue;
        }
        if job.is_raw {
            job.adopt_raw_object(cx, *task, no, attempt, *bytes);
        } else {
            adopt_object(cx, job, *task, no, attempt, *bytes);
        }
        // Of another run it says nothing: what the leader believes to be there is not.
        if job.cols.attempt(*task) == attempt
            && job.holders(*task).any(|holder| holder == no)
            && let Some(inventory) = inventory_of(cx, no)
        {
            inventory.held.entry(job_no).or_default().insert(*task);
        }
    }
}

/// A worker has an object: it is known, or still of use, or freed.
fn adopt_object(cx: &mut Shared, job: &mut Job, task: u32, no: WorkerNo, attempt: Attempt, bytes: u64) {
    let is_last = job.cols.attempt(task) == attempt;
    // Two runs of an indeterminate lineage are never mixed: only the run that was current may come back.
    let fits = (is_last || !job.has_indeterminate) && !job.is_void(task, attempt);
    let state = job.cols.state(task);
    match state {
        // Its object is of another job, under that one's name.
        _ if job.cols.has(task, flag::IMPORT) => job.refuse(cx, task, no, attempt),
        TaskState::Stored if is_last => job.add_holder(cx, task, no),
        TaskState::Released
            if fits && job.cols.has(task, flag::WANTED) && !job.is_expired && job.ending.is_none() =>
        {
            job.restore(cx, task, no, attempt, bytes);
        }
        TaskState::Assigned if fits && job.ending.is_none() && !job.cols.has(task, flag::CANCELLING) => {
            let given_to = job.cols.worker(task);
            if let Some(other) = given_to
                && (other != no || !is_last)
            {
                cx.workers[other].outbox.cancel(job.id, task);
                cx.workers.touch(other);
            }
            job.unbind(cx, task);
            job.store(cx, task, no, attempt, bytes);
        }
        TaskState::Assigned if is_last && job.cols.worker(task) == Some(no) => {
            job.refuse(cx, task, no, attempt);
            job.forget_run(cx, task);
            job.take_back(cx, task);
        }
        TaskState::Waiting | TaskState::Ready | TaskState::Delayed if fits && job.ending.is_none() => {
            job.store(cx, task, no, attempt, bytes);
        }
        _ => job.refuse(cx, task, no, attempt),
    }
}

fn adopt_given(core: &mut SchedulerCore, no: WorkerNo, given: &JobAttempts) {
    let Some(job_no) = job_or_forget(core, no, given.job) else {
        return;
    };
    let Some(job) = core.jobs.get_mut(job_no) else {
        return;
    };
    let cx = &mut core.cx;
    for (task, attempt) in given.tasks.iter().zip(given.attempts.iter()) {
        if *task >= job.cols.len() {
            cx.counters.impossible_messages += 1;
            cx.workers[no].outbox.cancel(job.id, *task);
            cx.workers.touch(no);
            continue;
        }
        let attempt = Attempt::from_packed(*attempt);
        let is_ours = if job.is_raw {
            job.adopt_raw_given(cx, *task, no, attempt)
        } else {
            job.is_given(*task, no, attempt)
        };
        if !is_ours {
            if !job.is_raw {
                cx.workers[no].outbox.cancel(job.id, *task);
                cx.workers.touch(no);
            }
            continue;
        }
        job.repeat_cancel(cx, *task);
        if job.cols.has(*task, flag::RETRACTING) {
            // Its answer was lost with the old session.
            job.cols.clear(*task, flag::RETRACTING);
            let worker = &mut cx.workers[no];
            worker.retracting = worker.retracting.saturating_sub(1);
        }
        if let Some(inventory) = inventory_of(cx, no) {
            inventory.confirmed.insert((job_no, *task));
        }
    }
}

/// The inventory is complete: what it does not name is not there.
pub(crate) fn settle(core: &mut SchedulerCore, no: WorkerNo) {
    let link = std::mem::replace(&mut core.cx.workers[no].link, Link::Down);
    let Link::Collecting { session, inventory } = link else {
        core.cx.workers[no].link = link;
        return;
    };
    core.cx.workers[no].link = Link::Open { session };
    // First, for what waited may tell of objects that are younger than the inventory.
    if core.cx.workers[no].objects > 0 {
        drop_unheld(core, no, &inventory);
    }
    let deferred = std::mem::take(&mut core.cx.workers[no].deferred);
    frame::handle_all(core, no, deferred);
    for job in inventory.held.keys() {
        if let Some(job) = core.jobs.get_mut(*job) {
            job.touch(&mut core.cx);
        }
    }
    for given in std::mem::take(&mut core.cx.workers[no].given) {
        let Some(job) = core.jobs.get_mut(given.job) else {
            continue;
        };
        if !job.is_given(given.task, no, given.attempt) {
            continue;
        }
        if inventory.confirmed.contains(&(given.job, given.task)) {
            core.cx.workers[no].given.push(given);
        } else {
            job.forget_run(&mut core.cx, given.task);
            job.take_back(&mut core.cx, given.task);
        }
    }
    let worker = &mut core.cx.workers[no];
    worker.outbox.settled = true;
    for job in worker
        .forgotten
        .iter()
        .filter(|job| core.jobs.find(**job).is_none())
    {
        worker.outbox.forget(*job);
    }
    match worker.state {
        WorkerState::Draining => drain::drain(core, no),
        WorkerState::Leaving => worker.outbox.shutdown = true,
        WorkerState::Active | WorkerState::Suspect | WorkerState::Lost => {}
    }
    core.cx.workers.touch(no);
}

fn drop_unheld(core: &mut SchedulerCore, no: WorkerNo, inventory: &Inventory) {
    for job in core.jobs.iter_mut() {
        let held = inventory.held.get(&job.no);
        for task in 0..job.cols.len() {
            let is_believed = job.holders(task).any(|holder| holder == no);
            if is_believed && !held.is_some_and(|held| held.contains(task)) {
                job.drop_holder(&mut core.cx, task, no);
            }
        }
    }
}
