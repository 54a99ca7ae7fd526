//! A worker leaves in peace: it gets nothing new, its objects are copied where they are needed, then it may exit.
//! Where all leave, as when the cluster is stopped, there is nobody to copy to: what is lost then is made again.

use millstream_protocol::columns::U32s;
use millstream_protocol::wire::{JobObjects, ReplicateMsg};
use millstream_types::{Attempt, ByteSize, TaskIdx};

use crate::core::SchedulerCore;
use crate::ids::{JobNo, WorkerNo};
use crate::job::{TaskState, flag};
use crate::worker::WorkerState;

/// Copies under way from one draining worker.
const MAX_COPIES: usize = 256;

/// Begins a drain; repeats what a new session has not heard.
pub(crate) fn drain(core: &mut SchedulerCore, no: WorkerNo) {
    let worker = &mut core.cx.workers[no];
    if matches!(worker.state, WorkerState::Lost | WorkerState::Leaving) {
        return;
    }
    worker.state = WorkerState::Draining;
    worker.outbox.drain = true;
    core.ask_back_all(no);
    advance(core, no);
}

/// A copy is there.
pub(crate) fn replicated(core: &mut SchedulerCore, no: WorkerNo, msg: &JobObjects) {
    let cx = &mut core.cx;
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        super::finished::forget(cx, no, msg.job);
        return;
    };
    for (task, attempt) in msg.tasks.iter().zip(msg.attempts.iter()) {
        cx.workers[no].replicating.remove(&(job.no, *task));
        let attempt = Attempt::from_packed(*attempt);
        let is_current = *task < job.cols.len()
            && job.cols.state(*task) == TaskState::Stored
            && job.cols.attempt(*task) == attempt;
        if is_current {
            job.add_holder(cx, *task, no);
        } else if *task < job.cols.len() {
            job.refuse(cx, *task, no, attempt);
        }
    }
    let draining: Vec<WorkerNo> = core
        .cx
        .workers
        .iter()
        .filter(|worker| worker.state == WorkerState::Draining)
        .map(|worker| worker.no)
        .collect();
    for no in draining {
        advance(core, no);
    }
}

/// Goes on with a drain when the last task is off the worker.
pub(crate) fn advance_if_idle(core: &mut SchedulerCore, no: WorkerNo) {
    let worker = &core.cx.workers[no];
    if worker.state == WorkerState::Draining && worker.assigned() == 0 {
        advance(core, no);
    }
}

/// Copies what none of those that stay holds; lets it go when there is nothing left.
pub(crate) fn advance(core: &mut SchedulerCore, no: WorkerNo) {
    if core.cx.workers[no].assigned() > 0 || copies_under_way(core) > 0 {
        return;
    }
    let sole = if has_heir(core, no) {
        parting_objects(core, no)
    } else {
        Vec::new()
    };
    if sole.is_empty() {
        let worker = &mut core.cx.workers[no];
        worker.state = WorkerState::Leaving;
        worker.outbox.shutdown = true;
        core.cx.workers.touch(no);
        return;
    }
    for (job, task) in sole {
        copy(core, no, job, task);
    }
}

/// Whether another worker stays, even one that takes nothing just now.
fn has_heir(core: &SchedulerCore, no: WorkerNo) -> bool {
    core.cx
        .workers
        .iter()
        .any(|worker| worker.no != no && matches!(worker.state, WorkerState::Active | WorkerState::Suspect))
}

fn copies_under_way(core: &SchedulerCore) -> usize {
    let alive = core.cx.workers.iter().filter(|worker| !worker.is_gone());
    alive.map(|worker| worker.replicating.len()).sum()
}

/// What this worker holds and none of those that stay.
fn parting_objects(core: &SchedulerCore, no: WorkerNo) -> Vec<(JobNo, u32)> {
    let stays = |holder: WorkerNo| {
        let state = core.cx.workers[holder].state;
        !matches!(
            state,
            WorkerState::Draining | WorkerState::Leaving | WorkerState::Lost
        )
    };
    let mut parting = Vec::new();
    for job in core.jobs.iter() {
        for task in 0..job.cols.len() {
            let is_parting = job.cols.is_held(task)
                && !job.cols.has(task, flag::IMPORT)
                && job.holders(task).any(|holder| holder == no)
                && !job.holders(task).any(stays);
            if is_parting {
                parting.push((job.no, task));
            }
            if parting.len() == MAX_COPIES {
                return parting;
            }
        }
    }
    parting
}

fn copy(core: &mut SchedulerCore, from: WorkerNo, no: JobNo, task: u32) {
    let target = core
        .cx
        .workers
        .iter()
        .filter(|worker| worker.no != from && worker.takes_work())
        .min_by_key(|worker| (worker.stored_bytes, worker.replicating.len(), worker.no))
        .map(|worker| worker.no);
    let (Some(target), Some(job)) = (target, core.jobs.get(no)) else {
        return;
    };
    let msg = ReplicateMsg {
        job: job.id,
        task: TaskIdx(task),
        attempt: job.cols.attempt(task),
        bytes: ByteSize::new(job.cols.bytes[task as usize]),
        holders: U32s(vec![from.0]),
    };
    let worker = &mut core.cx.workers[target];
    worker.replicating.insert((no, task));
    if !worker.peers.contains(&from) {
        worker.outbox.peers.insert(from.0);
    }
    worker.outbox.replicate(msg);
    core.cx.workers.touch(target);
}
