//! Why a task is where it is, in sentences for people.

use crate::job::{Job, TaskState, flag};
use crate::place;
use crate::shared::Shared;

/// Inputs named in one sentence.
const NAMED: usize = 5;

/// Explains one task.
pub(crate) fn sentences(cx: &Shared, job: &Job, task: u32) -> Vec<String> {
    let mut told = Vec::new();
    if job.is_raw {
        told.push("A new leader is collecting what the workers have; nothing starts before.".to_owned());
    }
    if job.ending.is_some() && !job.is_over() {
        told.push("The job is being stopped; workers are answering.".to_owned());
    }
    told.push(match job.cols.state(task) {
        TaskState::Waiting if job.cols.has(task, flag::IMPORT) => imported(job, task),
        TaskState::Waiting if job.index.dep_count(&job.graph, task) == 0 => ready(cx, job, task),
        TaskState::Waiting => waiting(job, task),
        TaskState::Ready => ready(cx, job, task),
        TaskState::Delayed => delayed(job, task),
        TaskState::Assigned => assigned(cx, job, task),
        TaskState::Stored => held(cx, job, task),
        TaskState::Cancelled if job.is_called_off(task) => {
            "It was cancelled by its client, or with a task that it reads.".to_owned()
        }
        TaskState::Cancelled if job.cols.has(task, flag::GIVEN_UP) => {
            "Its client released its output before it ran, and nothing else needs it.".to_owned()
        }
        TaskState::Released if job.cols.has(task, flag::GIVEN_UP) => {
            "It ran; its output was released by its client.".to_owned()
        }
        TaskState::Released => "It ran; its output was let go since nothing needs it any more.".to_owned(),
        TaskState::Replaced => {
            let target = job.alias.resolve(task);
            format!(
                "It ran, and added tasks; `{}` stands in for its output.",
                job.key_of(target)
            )
        }
        TaskState::Failed => format!("It failed: {}.", job.error_of(task).message),
        TaskState::Cancelled => {
            "It was cancelled: the job was, or nothing needs its output any more.".to_owned()
        }
    });
    told
}

fn imported(job: &Job, task: u32) -> String {
    match job.sharing.imports.get(&task) {
        Some(import) => format!(
            "It stands for the output of {}, which is not there yet.",
            import.source
        ),
        None => "It stands for an output of another job.".to_owned(),
    }
}

fn waiting(job: &Job, task: u32) -> String {
    let (mut missing, mut names) = (0, Vec::new());
    job.for_each_input(task, |input| {
        if !job.cols.is_held(input) {
            missing += 1;
            if names.len() < NAMED {
                names.push(format!(
                    "`{}` ({})",
                    job.key_of(input),
                    job.cols.state(input).name()
                ));
            }
        }
    });
    let more = if missing > names.len() { ", …" } else { "" };
    format!("It waits for {missing} input(s): {}{more}.", names.join(", "))
}

fn ready(cx: &Shared, job: &Job, task: u32) -> String {
    let present = cx.workers.iter().filter(|worker| !worker.is_gone()).count();
    if present == 0 {
        return "It is ready, and no worker is registered.".to_owned();
    }
    if cx.recovery.is_some() {
        return "It is ready; a new leader is collecting inventories before it assigns anything.".to_owned();
    }
    if place::is_unschedulable(cx, job, task) {
        return format!("It cannot run: {}.", place::why_never(cx, job, task));
    }
    let able: Vec<_> = cx.workers.iter().filter(|worker| worker.takes_work()).collect();
    if able.is_empty() {
        return format!(
            "It is ready; all {present} worker(s) are paused, draining, suspect or not connected."
        );
    }
    if !able.iter().any(|worker| place::could_run(job, task, worker)) {
        return "It is ready, and waits until a worker has its resources free.".to_owned();
    }
    "It is ready, and waits for room in a worker's queue or memory; what comes earlier in the order goes first.".to_owned()
}

fn delayed(job: &Job, task: u32) -> String {
    match job.failures.get(&task) {
        Some(record) => format!(
            "It failed {} time(s), the last time with: {}; it waits for its next try.",
            record.failures, record.error.message
        ),
        None => "It waits for its next try.".to_owned(),
    }
}

/// Whether its worker has started it, as far as the worker has told.
pub(crate) fn executes(cx: &Shared, job: &Job, task: u32) -> bool {
    let worker = job.cols.worker(task).and_then(|no| cx.workers.get(no));
    worker.is_some_and(|worker| {
        let mut started = worker.executing.iter();
        started.any(|given| given.job == job.no && given.task == task)
    })
}

fn assigned(cx: &Shared, job: &Job, task: u32) -> String {
    let Some(worker) = job.cols.worker(task).and_then(|no| cx.workers.get(no)) else {
        return "It is assigned.".to_owned();
    };
    let name = &worker.info.name;
    if job.cols.has(task, flag::CANCELLING) {
        return format!("Worker `{name}` was asked to stop it, and has not answered.");
    }
    if job.cols.has(task, flag::WAITS) {
        return format!(
            "It executes on worker `{name}` and waits for other tasks, which may have its slot meanwhile."
        );
    }
    if executes(cx, job, task) {
        return format!("It executes on worker `{name}`.");
    }
    if job.cols.has(task, flag::LOOKAHEAD) {
        return format!("It was sent ahead to worker `{name}`, which makes its missing inputs.");
    }
    format!(
        "It is with worker `{name}`, in a queue of {} task(s) for {} slot(s).",
        worker.queued,
        worker.slots()
    )
}

fn held(cx: &Shared, job: &Job, task: u32) -> String {
    let names: Vec<_> = job
        .holders(task)
        .filter_map(|no| cx.workers.get(no))
        .map(|worker| format!("`{}`", worker.info.name))
        .collect();
    let size = millstream_types::ByteSize::new(job.cols.bytes[task as usize]);
    if names.is_empty() {
        return format!("It ran; its output of {size} is small and kept by the leader.");
    }
    format!("It ran; its output of {size} is held by {}.", names.join(", "))
}
