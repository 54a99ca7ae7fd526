//! Requests of gateways. Each may be repeated; each has one answer.

use millstream_protocol::wire::{
    FromGateway, GatewayRequest, JobAnswer, JobState, ObjectLocation, RequestError, Response, ToGateway,
};
use millstream_types::{JobId, TaskIdx, WorkerId};

use super::{drain, layers, query, single, submit};
use crate::Effect;
use crate::core::SchedulerCore;
use crate::job::{Job, TaskState, flag};
use crate::shared::Shared;

/// A gateway asked something.
pub(crate) fn asked(core: &mut SchedulerCore, asked: FromGateway) {
    let FromGateway {
        id,
        reply_to,
        request,
    } = asked;
    let result = answer(core, &reply_to, request);
    core.reply(reply_to, ToGateway::Response { id, result });
}

fn answer(
    core: &mut SchedulerCore,
    reply_to: &str,
    request: GatewayRequest,
) -> Result<Response, RequestError> {
    match request {
        GatewayRequest::Watch { job } => {
            if let Some(no) = core.jobs.find(job)
                && let Some(job) = core.jobs.get_mut(no)
            {
                watch(&mut core.cx, job, reply_to);
            }
            job_answer(core, job)
        }
        GatewayRequest::Job { job } => job_answer(core, job),
        GatewayRequest::Cancel { job } => {
            if let Some(no) = core.jobs.find(job) {
                submit::cancel(core, no);
            }
            job_answer(core, job)
        }
        GatewayRequest::Remove { job } => remove(core, job),
        GatewayRequest::Tasks(asked) => query::tasks(core, &asked),
        GatewayRequest::Task { job, task } => query::task(core, job, task),
        GatewayRequest::Locate { job, task, failed } => {
            locate(core, job, task, &failed).map(Response::Location)
        }
        GatewayRequest::Workers => Ok(Response::Workers(query::workers(core))),
        GatewayRequest::Drain { worker } => match core.cx.workers.find(worker) {
            Some(no) if !core.cx.workers[no].is_gone() => {
                drain::drain(core, no);
                Ok(Response::Done)
            }
            _ => Err(RequestError::UnknownWorker(worker)),
        },
        GatewayRequest::Layers { job } => layers::layers(core, job),
        GatewayRequest::ReleaseTasks { job, tasks } => single::release(core, job, &tasks),
        GatewayRequest::CancelTasks { job, tasks } => single::cancel(core, job, &tasks),
    }
}

/// Tells the end of a job to a gateway: at once, or when it comes.
pub(crate) fn watch(cx: &mut Shared, job: &mut Job, queue: &str) {
    if job.is_over() {
        let answer = job.answer(cx, true);
        job.keep_results(cx);
        cx.effects.push(Effect::ReplyToGateway {
            queue: queue.to_owned(),
            msg: ToGateway::Ended(Box::new(answer)),
        });
    } else if !job.watchers.iter().any(|known| known == queue) {
        job.watchers.push(queue.to_owned());
    }
}

fn job_answer(core: &mut SchedulerCore, id: JobId) -> Result<Response, RequestError> {
    if let Some(meta) = core.jobs.record_of(id) {
        return Ok(Response::Job(Box::new(JobAnswer {
            counts: meta.counts,
            meta: meta.clone(),
            inline: Vec::new(),
            outputs: Vec::new(),
        })));
    }
    let job = core.jobs.by_id_mut(id).ok_or(RequestError::UnknownJob(id))?;
    job.keep_results(&mut core.cx);
    Ok(Response::Job(Box::new(job.answer(&mut core.cx, true))))
}

fn remove(core: &mut SchedulerCore, id: JobId) -> Result<Response, RequestError> {
    let answer = job_answer(core, id)?;
    let state = match &answer {
        Response::Job(answer) => answer.meta.state,
        _ => JobState::Running,
    };
    if !state.is_terminal() {
        return Err(RequestError::WrongState(state));
    }
    submit::remove(core, id);
    Ok(answer)
}

fn locate(
    core: &mut SchedulerCore,
    id: JobId,
    task: TaskIdx,
    failed: &[WorkerId],
) -> Result<ObjectLocation, RequestError> {
    if core.jobs.record_of(id).is_some() {
        return Err(RequestError::Gone(format!(
            "the results of job {id} were let go when their retention ended: run it again"
        )));
    }
    let no = core.jobs.find(id).ok_or(RequestError::UnknownJob(id))?;
    let Some(job) = core.jobs.get_mut(no) else {
        return Err(RequestError::UnknownJob(id));
    };
    if task.0 >= job.cols.len() {
        return Err(RequestError::UnknownTask(task));
    }
    if job.meta.let_go.is_some() {
        return Err(RequestError::Gone(format!(
            "the results of job {id} were let go: it is there only for jobs that import from it"
        )));
    }
    job.keep_results(&mut core.cx);
    locate_in(&mut core.cx, job, task.0, failed)
}

fn locate_in(
    cx: &mut Shared,
    job: &mut Job,
    named: u32,
    failed: &[WorkerId],
) -> Result<ObjectLocation, RequestError> {
    let object = job.alias.resolve(named);
    if job.is_called_off(object) {
        return Ok(ObjectLocation::Failed(job.called_off_error(named)));
    }
    if job.cols.has(named, flag::GIVEN_UP) && job.cols.state(object) != TaskState::Failed {
        return Err(RequestError::Gone(format!(
            "the output of task `{}` was released by its client: submit the task again to have it",
            job.key_of(named)
        )));
    }
    if !job.is_raw && job.cols.is_held(object) {
        // Only a holder that this leader has lost contact with is believed to be gone on a gateway's word; another
        // one may just be out of the gateway's reach for a moment.
        for holder in failed
            .iter()
            .filter_map(|id| cx.workers.find(*id))
            .collect::<Vec<_>>()
        {
            if !cx.workers[holder].takes_work() && job.holders(object).count() > 1 {
                job.drop_holder(cx, object, holder);
            }
        }
    }
    if job.cols.state(object) == TaskState::Stored {
        job.deliver(cx, &[object]);
    }
    if let Some(entry) = job.result_entry(cx, named) {
        return Ok(ObjectLocation::Held(entry));
    }
    match job.cols.state(object) {
        TaskState::Failed | TaskState::Cancelled => Ok(ObjectLocation::Failed(job.result_error(named))),
        TaskState::Released if !job.cols.has(object, flag::WANTED) => Err(RequestError::Gone(format!(
            "task `{}` was no wanted output of the job, and its result was let go when nothing needed it any more",
            job.key_of(named)
        ))),
        TaskState::Released if job.is_over() && !job.is_raw => {
            if !job.may_recover() {
                return Ok(ObjectLocation::Failed(job.result_error(named)));
            }
            job.recover_object(cx, object);
            Ok(ObjectLocation::Pending {
                state: job.meta.state,
            })
        }
        _ => Ok(ObjectLocation::Pending {
            state: job.meta.state,
        }),
    }
}
