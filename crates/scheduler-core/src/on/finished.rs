//! Outputs and extensions.

use millstream_protocol::wire::{ExtendedMsg, FinishedMsg};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::Attempt;

use crate::core::SchedulerCore;
use crate::ids::WorkerNo;
use crate::job::{Job, TaskState, flag};
use crate::shared::Shared;

/// Tasks finished on a worker.
pub(crate) fn finished(core: &mut SchedulerCore, no: WorkerNo, msg: FinishedMsg) {
    let rows = msg.tasks.len();
    if msg.attempts.len() != rows || msg.bytes.len() != rows || msg.durations_us.len() != rows {
        core.cx.counters.impossible_messages += 1;
        return;
    }
    let cx = &mut core.cx;
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        forget(cx, no, msg.job);
        return;
    };
    let mut inline = msg.inline.into_iter().peekable();
    for row in 0..rows {
        let task = msg.tasks[row];
        let attempt = Attempt::from_packed(msg.attempts[row]);
        let is_current = finished_one(cx, job, no, task, attempt, msg.bytes[row], msg.durations_us[row]);
        while let Some((at, value)) = inline.next_if(|(at, _)| *at as usize <= row) {
            if is_current && at as usize == row {
                job.keep_inline(cx, task, value);
            }
        }
    }
    super::drain::advance_if_idle(core, no);
}

/// Tells whether the report was current and its output is held.
fn finished_one(
    cx: &mut Shared,
    job: &mut Job,
    no: WorkerNo,
    task: u32,
    attempt: Attempt,
    bytes: u64,
    duration_us: u32,
) -> bool {
    if task >= job.cols.len() {
        // Of an extension that the journal lost with its leader: the output is nobody's.
        cx.counters.impossible_messages += 1;
        job.refuse(cx, task, no, attempt);
        return false;
    }
    if !job.is_given(task, no, attempt) {
        stale_object(cx, job, no, task, attempt);
        return false;
    }
    cx.counters.finished += 1;
    let stat = job.stat_of(job.row_of(task).0);
    cx.stats.observe(stat, duration_us, bytes);
    if job.cols.has(task, flag::CANCELLING) {
        job.refuse(cx, task, no, attempt);
        job.forget_run(cx, task);
        job.take_back(cx, task);
        return false;
    }
    job.unbind(cx, task);
    job.store(cx, task, no, attempt, bytes);
    job.cols.state(task) == TaskState::Stored
}

/// An output of a run that is no longer current is freed, unless it is the one that is held.
fn stale_object(cx: &mut Shared, job: &Job, no: WorkerNo, task: u32, attempt: Attempt) {
    cx.counters.stale_reports += 1;
    let is_known = job.cols.attempt(task) == attempt && job.holders(task).any(|holder| holder == no);
    if !is_known {
        job.refuse(cx, task, no, attempt);
    }
}

/// A task finished with more tasks.
pub(crate) fn extended(core: &mut SchedulerCore, no: WorkerNo, msg: ExtendedMsg) {
    let cx = &mut core.cx;
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        forget(cx, no, msg.job);
        return;
    };
    let task = msg.task.0;
    if task >= job.cols.len() {
        cx.counters.impossible_messages += 1;
        job.refuse(cx, task, no, msg.attempt);
        return;
    }
    if !job.is_given(task, no, msg.attempt) {
        if is_adopted(job, no, &msg) {
            // An inventory was quicker than this report: the output is known, its extension is not.
            if job.extend(cx, task, msg.extension).is_err() {
                cx.counters.impossible_messages += 1;
            }
            return;
        }
        stale_object(cx, job, no, task, msg.attempt);
        return;
    }
    cx.counters.finished += 1;
    let stat = job.stat_of(job.row_of(task).0);
    cx.stats.observe(stat, msg.duration_us, msg.bytes.as_u64());
    if job.cols.has(task, flag::CANCELLING) {
        job.refuse(cx, task, no, msg.attempt);
        job.forget_run(cx, task);
        job.take_back(cx, task);
        return;
    }
    job.unbind(cx, task);
    // A worker keeps no output of a task that another one stands in for.
    let has_output = msg.extension.replacement.is_none();
    let counts = match job.cols.has(task, flag::EXTENDED) {
        // A later run of it: the first extension stands, and that left it its own output.
        true if has_output => Ok(true),
        true => Err(TaskError::new(
            ErrorKind::Internal,
            "a later run wants another task in its place, and the first did not",
        )),
        false => job.extend(cx, task, msg.extension),
    };
    match counts {
        Ok(true) => job.store(cx, task, no, msg.attempt, msg.bytes.as_u64()),
        Ok(false) => {}
        Err(error) => {
            if has_output {
                job.refuse(cx, task, no, msg.attempt);
            }
            job.on_failure(cx, task, error);
        }
    }
}

fn is_adopted(job: &Job, no: WorkerNo, msg: &ExtendedMsg) -> bool {
    let task = msg.task.0;
    job.runs()
        && msg.extension.replacement.is_none()
        && job.cols.attempt(task) == msg.attempt
        && matches!(job.cols.state(task), TaskState::Stored | TaskState::Released)
        && !job.cols.has(task, flag::EXTENDED)
        && (job.cols.state(task) == TaskState::Released || job.holders(task).any(|holder| holder == no))
}

/// A worker speaks of a job that is not here: it is over.
pub(crate) fn forget(cx: &mut Shared, no: WorkerNo, job: millstream_types::JobId) {
    cx.counters.stale_reports += 1;
    cx.workers[no].outbox.forget(job);
    cx.workers.touch(no);
}
