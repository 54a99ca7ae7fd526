//! A worker is declared lost.

use millstream_protocol::graph::Rerun;
use millstream_protocol::wire::{FailureRecord, JobEventKind};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::TaskIdx;

use crate::core::SchedulerCore;
use crate::ids::WorkerNo;
use crate::job::{Job, flag};
use crate::shared::Shared;
use crate::worker::{Given, WorkerState};
use crate::{Commit, Note};

/// Takes back everything a worker had.
pub(crate) fn worker_lost(core: &mut SchedulerCore, no: WorkerNo) {
    let worker = &mut core.cx.workers[no];
    let is_expected = worker.state == WorkerState::Leaving;
    let executing = std::mem::take(&mut worker.executing);
    let given = std::mem::take(&mut worker.given);
    let unsent = worker.outbox.unsent();
    worker.end_session();
    worker.state = WorkerState::Lost;
    worker.retracting = 0;
    let (id, name) = (worker.info.worker, worker.info.name.clone());
    core.cx.notes.push(Note::WorkerGone { worker: id });
    if !is_expected {
        core.cx.counters.workers_lost += 1;
    }
    let mut requeued = std::collections::BTreeMap::new();
    for given in given {
        let Some(job) = core.jobs.get_mut(given.job) else {
            continue;
        };
        if job.is_given(given.task, no, given.attempt) {
            *requeued.entry(given.job).or_insert(0_u32) += 1;
            let fate = Fate {
                was_executing: executing.contains(&given) && !is_expected,
                was_sent: !unsent.contains(&(given.job, given.task)),
            };
            task_lost(&mut core.cx, job, no, given, fate);
        }
    }
    for job in core.jobs.iter_mut() {
        let recomputed = objects_lost(&mut core.cx, job, no);
        let requeued = requeued.get(&job.no).copied().unwrap_or_default();
        if (requeued > 0 || recomputed > 0) && !job.is_over() {
            let kind = JobEventKind::WorkerLost {
                worker: name.clone(),
                requeued,
                recomputed,
            };
            core.cx.tell(job.id, kind);
        }
    }
    let worker = &mut core.cx.workers[no];
    worker.load = None;
    worker.stored_bytes = 0;
    worker.objects = 0;
}

fn objects_lost(cx: &mut Shared, job: &mut Job, no: WorkerNo) -> u32 {
    let mut recomputed = 0;
    for task in 0..job.cols.len() {
        if job.holders(task).any(|holder| holder == no) {
            recomputed += u32::from(job.drop_holder(cx, task, no));
        }
    }
    recomputed
}

struct Fate {
    was_executing: bool,
    was_sent: bool,
}

fn task_lost(cx: &mut Shared, job: &mut Job, no: WorkerNo, given: Given, fate: Fate) {
    let task = given.task;
    if fate.was_sent {
        job.forget_run(cx, task);
    }
    if job.ending.is_some() || job.cols.has(task, flag::CANCELLING) {
        job.take_back(cx, task);
        return;
    }
    if job.options_of(task).rerun == Rerun::Never && fate.was_sent && !job.cols.has(task, flag::LOOKAHEAD) {
        let worker = &cx.workers[no];
        let message = format!(
            "worker `{}` on host `{}` was lost when task `{}` may have started there, and the task must not start twice",
            worker.info.name,
            worker.info.host,
            job.key_of(task)
        );
        let error = TaskError {
            host: Some(worker.info.host.clone()),
            ..TaskError::new(ErrorKind::RerunForbidden, message)
        };
        job.unbind(cx, task);
        job.fail_with(cx, task, error);
        return;
    }
    if fate.was_executing {
        blame(cx, job, no, task);
    } else {
        job.take_back(cx, task);
    }
}

/// The task executed on a worker that died. After some of those it is taken to be the cause.
fn blame(cx: &mut Shared, job: &mut Job, no: WorkerNo, task: u32) {
    let error = killed(cx, job, no, task);
    let record = job
        .failures
        .entry(task)
        .or_insert_with(|| FailureRecord::new(error.clone()));
    record.lost_workers += 1;
    record.error = error;
    if record.lost_workers >= cx.config.allowed_failures {
        let error = record.error.clone();
        job.unbind(cx, task);
        job.fail_with(cx, task, error);
        return;
    }
    cx.commit(Commit::PutFailure {
        job: job.id,
        task: TaskIdx(task),
        failure: Box::new(record.clone()),
    });
    job.take_back(cx, task);
}

fn killed(cx: &Shared, job: &Job, no: WorkerNo, task: u32) -> TaskError {
    let worker = &cx.workers[no];
    let died = 1 + job.failures.get(&task).map_or(0, |record| record.lost_workers);
    let memory = worker.load.map_or(String::new(), |load| {
        format!(
            ", which used {} of {} when last heard",
            load.process, worker.info.memory_limit
        )
    });
    let message = format!(
        "{died} worker(s) died while task `{}` executed, the last one `{}` on host `{}` (process {}){memory}",
        job.key_of(task),
        worker.info.name,
        worker.info.host,
        worker.info.pid
    );
    TaskError {
        host: Some(worker.info.host.clone()),
        ..TaskError::new(ErrorKind::KilledWorkers, message)
    }
}
