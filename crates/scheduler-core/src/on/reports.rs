//! Failures, answers, executing lists, missing inputs, lost objects, logs.

use millstream_protocol::TaskError;
use millstream_protocol::wire::{
    ExecutingMsg, FailedMsg, GoneInput, GoneMsg, JobAttempts, JobEventKind, JobObjects, PreparingMsg,
    ReturnOutcome, ReturnedMsg, TaskLogMsg,
};
use millstream_types::Attempt;

use super::drain;
use super::finished::forget;
use crate::core::SchedulerCore;
use crate::ids::{JobNo, WorkerNo};
use crate::job::{Job, TaskState, flag};
use crate::shared::Shared;
use crate::worker::Given;
use crate::{Note, imports};

/// How often a task may come back because its inputs could not be reached before they are made again.
const MAX_UNREACHED: u32 = 3;

/// A task failed.
pub(crate) fn failed(core: &mut SchedulerCore, no: WorkerNo, msg: FailedMsg) {
    let cx = &mut core.cx;
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        forget(cx, no, msg.job);
        return;
    };
    let task = msg.task.0;
    if !job.is_given(task, no, msg.attempt) {
        cx.counters.stale_reports += 1;
        return;
    }
    if job.cols.has(task, flag::CANCELLING) {
        job.take_back(cx, task);
        return;
    }
    job.unbind(cx, task);
    let host = Some(cx.workers[no].info.host.clone());
    let error = TaskError {
        host: msg.error.host.clone().or(host),
        ..msg.error
    };
    job.on_failure(cx, task, error);
}

/// Answers to retract and cancel, and tasks given back unasked.
pub(crate) fn returned(core: &mut SchedulerCore, no: WorkerNo, msg: &ReturnedMsg) {
    if msg.attempts.len() != msg.tasks.len() || msg.outcomes.len() != msg.tasks.len() {
        core.cx.counters.impossible_messages += 1;
        return;
    }
    let cx = &mut core.cx;
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        forget(cx, no, msg.job);
        return;
    };
    for ((task, attempt), outcome) in msg.tasks.iter().zip(msg.attempts.iter()).zip(&msg.outcomes) {
        returned_one(cx, job, no, *task, Attempt::from_packed(*attempt), *outcome);
    }
    drain::advance_if_idle(core, no);
}

fn returned_one(
    cx: &mut Shared,
    job: &mut Job,
    no: WorkerNo,
    task: u32,
    attempt: Attempt,
    outcome: ReturnOutcome,
) {
    let is_unknown_there = attempt == Attempt::default() && outcome == ReturnOutcome::Done;
    let is_asked = task < job.cols.len() && job.cols.has(task, flag::RETRACTING | flag::CANCELLING);
    let is_here = job.is_given(task, no, attempt)
        || (is_unknown_there && is_asked && job.is_given(task, no, job.cols.attempt(task)));
    if !is_here {
        cx.counters.stale_reports += 1;
        return;
    }
    let is_cancelling = job.cols.has(task, flag::CANCELLING);
    match outcome {
        ReturnOutcome::Returned | ReturnOutcome::Stopped => job.take_back(cx, task),
        ReturnOutcome::Done if is_cancelling || is_unknown_there => {
            job.forget_run(cx, task);
            job.take_back(cx, task);
        }
        // It goes on, or its report is on the way.
        ReturnOutcome::Started | ReturnOutcome::Done => {
            if job.cols.has(task, flag::RETRACTING) {
                job.cols.clear(task, flag::RETRACTING);
                let worker = &mut cx.workers[no];
                worker.retracting = worker.retracting.saturating_sub(1);
            }
        }
    }
}

/// What executes on a worker, and which of it waits for other tasks.
pub(crate) fn executing(core: &mut SchedulerCore, no: WorkerNo, msg: &ExecutingMsg) {
    let list = known_rows(core, &msg.tasks);
    let waiting = known_rows(core, &msg.waiting);
    let before = std::mem::replace(&mut core.cx.workers[no].executing, list);
    for given in before.iter().chain(&waiting) {
        let job = core.jobs.get_mut(given.job);
        if let Some(job) = job.filter(|job| job.is_given(given.task, no, given.attempt)) {
            job.set_waits(&mut core.cx, given.task, waiting.contains(given));
        }
    }
}

fn known_rows(core: &SchedulerCore, tasks: &[JobAttempts]) -> Vec<Given> {
    let mut list = Vec::new();
    for tasks in tasks {
        let Some(job) = core.jobs.find(tasks.job) else {
            continue;
        };
        let rows = tasks.tasks.iter().zip(tasks.attempts.iter());
        list.extend(rows.map(|(task, attempt)| Given {
            job,
            task: *task,
            attempt: Attempt::from_packed(*attempt),
        }));
    }
    list
}

/// Inputs could not be fetched: the task comes back, and what is really gone is made again.
pub(crate) fn gone(core: &mut SchedulerCore, no: WorkerNo, msg: GoneMsg) {
    let cx = &mut core.cx;
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        forget(cx, no, msg.job);
        return;
    };
    let task = msg.task.0;
    if !job.is_given(task, no, msg.attempt) {
        cx.counters.stale_reports += 1;
        return;
    }
    job.take_back(cx, task);
    let reader = (job.no, task);
    for input in &msg.inputs {
        input_gone(core, no, reader, input);
    }
}

fn input_gone(core: &mut SchedulerCore, no: WorkerNo, reader: (JobNo, u32), input: &GoneInput) {
    let (owner, object) = imports::owner_of(core, reader.0, input.task.0);
    let cx = &mut core.cx;
    let Some(job) = core.jobs.get_mut(owner) else {
        return;
    };
    let is_current = |job: &Job| {
        object < job.cols.len()
            && job.cols.state(object) == TaskState::Stored
            && job.cols.attempt(object) == input.attempt
    };
    if !is_current(job) {
        return;
    }
    for holder in &input.gone_at {
        if let Some(holder) = cx.workers.find(*holder)
            && is_current(job)
        {
            disown(cx, job, object, holder, input.attempt);
        }
    }
    if input.gone_at.is_empty() && input.unreachable.is_empty() && is_current(job) {
        // It was told to find the object at home, and did not.
        disown(cx, job, object, no, input.attempt);
    }
    for holder in &input.unreachable {
        let Some(holder) = core.cx.workers.find(*holder) else {
            continue;
        };
        if !core.jobs.get(owner).is_some_and(is_current) {
            return;
        }
        core.cx.workers[no].unreachable.insert(holder);
        let is_hopeless = core
            .jobs
            .get_mut(reader.0)
            .is_some_and(|job| has_tried_enough(job, reader.1));
        if is_hopeless && let Some(job) = core.jobs.get_mut(owner) {
            disown(&mut core.cx, job, object, holder, input.attempt);
        }
    }
}

/// Counts one more try to reach a task's input. After some, nobody who may run the task reaches it: as good as lost.
fn has_tried_enough(job: &mut Job, task: u32) -> bool {
    let tries = job.unreached.entry(task).or_default();
    *tries += 1;
    let is_enough = *tries > MAX_UNREACHED;
    if is_enough {
        *tries = 0;
    }
    is_enough
}

/// A holder counts as one no more on somebody's word. The word may be old, and the object there: then it goes.
fn disown(cx: &mut Shared, job: &mut Job, object: u32, holder: WorkerNo, attempt: Attempt) {
    job.drop_holder(cx, object, holder);
    job.refuse(cx, object, holder, attempt);
}

/// A worker lost objects that nobody freed.
pub(crate) fn objects_lost(core: &mut SchedulerCore, no: WorkerNo, msg: &JobObjects) {
    let cx = &mut core.cx;
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        return;
    };
    for (task, attempt) in msg.tasks.iter().zip(msg.attempts.iter()) {
        let is_current = *task < job.cols.len()
            && job.cols.state(*task) == TaskState::Stored
            && job.cols.attempt(*task) == Attempt::from_packed(*attempt);
        if is_current {
            job.drop_holder(cx, *task, no);
        }
    }
}

/// A task waits for something before its code begins: the job's events say so.
pub(crate) fn preparing(core: &mut SchedulerCore, no: WorkerNo, msg: PreparingMsg) {
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        return;
    };
    if job.is_given(msg.task.0, no, msg.attempt) {
        let kind = JobEventKind::Preparing {
            key: job.key_of(msg.task.0),
            worker: core.cx.workers[no].info.name.clone(),
            message: msg.text,
        };
        core.cx.tell(msg.job, kind);
    }
}

/// What a run wrote.
pub(crate) fn logged(core: &mut SchedulerCore, msg: TaskLogMsg) {
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        return;
    };
    if msg.task.0 < job.cols.len() {
        core.cx.notes.push(Note::Log {
            job: msg.job,
            task: msg.task,
            attempt: msg.attempt,
            log: msg.log,
        });
    }
}
