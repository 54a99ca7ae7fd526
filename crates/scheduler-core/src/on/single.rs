//! Single tasks of a job: their outputs are released, or they are cancelled.

use millstream_protocol::wire::{RequestError, Response};
use millstream_types::{JobId, TaskIdx};

use crate::core::SchedulerCore;
use crate::job::Job;

/// The client needs these outputs no more. A new leader takes that at once, whatever its workers have yet to tell.
pub(crate) fn release(core: &mut SchedulerCore, id: JobId, tasks: &[u32]) -> Result<Response, RequestError> {
    if core.jobs.record_of(id).is_some() {
        return Ok(Response::Changed { tasks: 0 });
    }
    let job = core.jobs.by_id_mut(id).ok_or(RequestError::UnknownJob(id))?;
    check(job, tasks)?;
    let tasks = job.give_up(&mut core.cx, tasks.iter().copied());
    Ok(Response::Changed { tasks })
}

/// These tasks are not to run. A new leader cannot tell yet which of them are done: it asks to be asked again.
pub(crate) fn cancel(core: &mut SchedulerCore, id: JobId, tasks: &[u32]) -> Result<Response, RequestError> {
    if core.jobs.record_of(id).is_some() {
        return Ok(Response::Changed { tasks: 0 });
    }
    let job = core.jobs.by_id_mut(id).ok_or(RequestError::UnknownJob(id))?;
    check(job, tasks)?;
    if job.is_raw && !job.is_over() {
        return Err(RequestError::Overloaded);
    }
    let tasks = job.call_off(&mut core.cx, tasks);
    Ok(Response::Changed { tasks })
}

fn check(job: &Job, tasks: &[u32]) -> Result<(), RequestError> {
    match tasks.iter().find(|task| **task >= job.cols.len()) {
        Some(unknown) => Err(RequestError::UnknownTask(TaskIdx(*unknown))),
        None => Ok(()),
    }
}
