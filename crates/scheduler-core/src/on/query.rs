//! What is asked about tasks and workers.

use millstream_protocol::wire::{RequestError, Response, TaskAnswer, TaskQuery, WorkerAnswer};
use millstream_types::{ByteSize, JobId, TaskIdx};

use crate::core::SchedulerCore;
use crate::explain;
use crate::job::{Job, TaskState};
use crate::shared::Shared;

/// Most tasks in one answer.
const MAX_PAGE: u32 = 1_000;
/// Most tasks looked at for one answer: a state that few tasks have must not cost the leader its time.
const MAX_SCAN: u32 = 200_000;
/// Most inputs named in an answer.
const MAX_DEPS: usize = 100;

/// A page of tasks.
pub(crate) fn tasks(core: &mut SchedulerCore, asked: &TaskQuery) -> Result<Response, RequestError> {
    let job = core
        .jobs
        .by_id_mut(asked.job)
        .ok_or(RequestError::UnknownJob(asked.job))?;
    let job = &*job;
    let len = job.cols.len();
    let limit = asked.limit.clamp(1, MAX_PAGE) as usize;
    let stop = asked.from.0.saturating_add(MAX_SCAN).min(len);
    let mut found = Vec::new();
    let mut at = asked.from.0;
    let cx = &core.cx;
    while at < stop && found.len() < limit {
        let is_asked = asked
            .state
            .as_deref()
            .is_none_or(|name| name == state_name(cx, job, at));
        if is_asked {
            found.push(at);
        }
        at += 1;
    }
    let next = (at < len).then_some(TaskIdx(at));
    let brief = |task: &u32| brief_answer(cx, job, *task);
    Ok(Response::Tasks {
        tasks: found.iter().map(brief).collect(),
        next,
    })
}

/// The state that users see: of assigned tasks it tells apart those that execute.
fn state_name(cx: &Shared, job: &Job, task: u32) -> &'static str {
    match job.cols.state(task) {
        TaskState::Assigned if explain::executes(cx, job, task) => "running",
        state => state.name(),
    }
}

/// One task with its story.
pub(crate) fn task(core: &mut SchedulerCore, id: JobId, task: TaskIdx) -> Result<Response, RequestError> {
    let job = core.jobs.by_id_mut(id).ok_or(RequestError::UnknownJob(id))?;
    if task.0 >= job.cols.len() {
        return Err(RequestError::UnknownTask(task));
    }
    let (cx, job) = (&core.cx, &*job);
    let mut deps = Vec::new();
    job.for_each_input(task.0, |input| {
        if deps.len() < MAX_DEPS {
            deps.push(job.key_of(input));
        }
    });
    let story = cx.story.of(job.no, task.0);
    let line = |(at, state, worker): (_, TaskState, Option<crate::ids::WorkerNo>)| {
        let text = match worker.and_then(|no| cx.workers.get(no)) {
            Some(worker) => format!("{} on {}", state.name(), worker.info.name),
            None => state.name().to_owned(),
        };
        (at, text)
    };
    let mut answer = brief_answer(cx, job, task.0);
    answer.deps = deps;
    answer.explain = explain::sentences(cx, job, task.0);
    answer.story = story.into_iter().map(line).collect();
    Ok(Response::Task(Box::new(answer)))
}

fn brief_answer(cx: &Shared, job: &Job, task: u32) -> TaskAnswer {
    let state = job.cols.state(task);
    let op = job.op_of(task);
    let assigned = (state == TaskState::Assigned)
        .then(|| job.cols.worker(task))
        .flatten();
    let workers = assigned.into_iter().chain(job.holders(task));
    let failures = job.failures.get(&task);
    TaskAnswer {
        task,
        key: job.key_of(task),
        op: format!("{} {}", op.kind.name(), op.name),
        state: state_name(cx, job, task).to_owned(),
        attempts: job.cols.attempt(task).n,
        failures: failures.map_or(0, |record| record.failures + record.lost_workers),
        workers: workers
            .filter_map(|no| cx.workers.get(no))
            .map(|worker| worker.info.worker)
            .collect(),
        bytes: (state == TaskState::Stored).then(|| ByteSize::new(job.cols.bytes[task as usize])),
        deps: Vec::new(),
        error: match state {
            TaskState::Failed => Some(job.error_of(task)),
            _ => failures.map(|record| record.error.clone()),
        },
        explain: Vec::new(),
        story: Vec::new(),
    }
}

/// All workers that are not gone.
pub(crate) fn workers(core: &SchedulerCore) -> Vec<WorkerAnswer> {
    let now = core.cx.clock.now;
    let present = core.cx.workers.iter().filter(|worker| !worker.is_gone());
    present
        .map(|worker| WorkerAnswer {
            info: worker.info.clone(),
            state: worker.state_name().to_owned(),
            assigned: worker.assigned(),
            executing: u32::try_from(worker.executing.len()).unwrap_or(u32::MAX),
            objects: worker.objects,
            silent_ms: u64::try_from(now.since(worker.last_heard).as_millis()).unwrap_or(u64::MAX),
            load: worker.load,
        })
        .collect()
}
