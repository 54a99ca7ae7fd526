//! An executor says what became of a task. Each started task ends here exactly once.

use millstream_protocol::graph::GraphExtension;
use millstream_protocol::wire::{ExtendedMsg, FromWorker, ReturnOutcome, TaskLog, TaskLogMsg};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::ByteSize;

use crate::graph::{NodeRef, NodeState, Stop};
use crate::{TaskOutput, TaskRun, WorkerCore, WorkerEffect};

/// The task made its output.
pub(super) fn finished(
    core: &mut WorkerCore,
    run: TaskRun,
    output: TaskOutput,
    duration_us: u32,
    log: Option<TaskLog>,
) {
    let Some(at) = wanted_run(core, run, log, true) else {
        return;
    };
    learn_cost(core, at, duration_us, output.bytes);
    core.store_output(at, output.bytes);
    let limit = core.config.inline_limit.as_u64();
    let inline = output.inline.filter(|value| value.len() as u64 <= limit);
    core.reports.finished(run, output.bytes, duration_us, inline);
}

/// The task made more tasks, and an output of its own unless one of them replaces it.
pub(super) fn extended(
    core: &mut WorkerCore,
    run: TaskRun,
    output: Option<TaskOutput>,
    extension: GraphExtension,
    duration_us: u32,
    log: Option<TaskLog>,
) {
    let Some(at) = wanted_run(core, run, log, output.is_some()) else {
        return;
    };
    let own = output.as_ref().filter(|_| extension.replacement.is_none());
    let bytes = own.map_or(ByteSize::ZERO, |output| output.bytes);
    core.reports.push(FromWorker::Extended(ExtendedMsg {
        job: run.job,
        task: run.task,
        attempt: run.attempt,
        bytes,
        duration_us,
        extension,
    }));
    if own.is_some() {
        core.store_output(at, bytes);
        return;
    }
    if output.is_some() {
        drop_output(core, run);
    }
    core.drop_with_descendants(at);
}

/// The task failed, or was killed as asked.
pub(super) fn failed(
    core: &mut WorkerCore,
    run: TaskRun,
    error: TaskError,
    duration_us: u32,
    log: Option<TaskLog>,
) {
    let timeout = core.graph.find_run(run).and_then(|at| timed_out_after(core, at));
    let Some(at) = wanted_run(core, run, log, false) else {
        return;
    };
    let error = match timeout {
        Some(limit_ms) => TaskError {
            kind: ErrorKind::TimedOut,
            message: format!("the task ran longer than its timeout of {limit_ms} ms"),
            ..error
        },
        None => error,
    };
    core.fail(at, error, duration_us);
}

/// The task never began: it waits for a slot again, unless it was told to stop.
pub(super) fn not_started(core: &mut WorkerCore, run: TaskRun) {
    let Some(at) = wanted_run(core, run, None, false) else {
        return;
    };
    core.graph.transition(at, NodeState::Ready);
}

fn learn_cost(core: &mut WorkerCore, at: NodeRef, duration_us: u32, bytes: ByteSize) {
    let node = core.graph.node(at);
    if let Some(op) = node.work().map(|work| work.op) {
        core.graph.jobs.learn_cost(node.job, op, duration_us, bytes);
    }
}

/// The timeout that a run was stopped for.
fn timed_out_after(core: &WorkerCore, at: NodeRef) -> Option<u64> {
    let node = core.graph.node(at);
    match node.state() {
        NodeState::Running {
            stop: Some(Stop::TimedOut),
            ..
        } => node.work()?.timeout_ms,
        _ => None,
    }
}

/// The node of a run that ended, if somebody wants to know more than that. One that was told to stop is taken care of
/// here: what it made is dropped, its slot is free, the leader has its answer.
fn wanted_run(
    core: &mut WorkerCore,
    run: TaskRun,
    log: Option<TaskLog>,
    has_output: bool,
) -> Option<NodeRef> {
    let at = core.graph.find_run(run);
    let at = at.filter(|at| core.graph.node(*at).is_started());
    let Some(at) = at else {
        core.ignored += 1;
        return None;
    };
    let stop = core.graph.node(at).stop();
    if let (Some(log), false) = (log, stop == Some(Stop::Discarded)) {
        core.reports.log(TaskLogMsg {
            job: run.job,
            task: run.task,
            attempt: run.attempt,
            log,
        });
    }
    match stop {
        None | Some(Stop::TimedOut) => return Some(at),
        Some(Stop::Cancelled) => core.report_returned(at, ReturnOutcome::Stopped),
        Some(Stop::Discarded) => {}
    }
    if has_output {
        drop_output(core, run);
    }
    core.drop_with_descendants(at);
    None
}

fn drop_output(core: &mut WorkerCore, run: TaskRun) {
    core.out.push(WorkerEffect::DropObject {
        object: millstream_types::ObjectId::new(run.job, run.task),
        attempt: run.attempt,
        part: None,
    });
}
