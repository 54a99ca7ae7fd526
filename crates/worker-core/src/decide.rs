//! Decisions that follow from the state, whatever event led to it: what to stop, give back, fetch and start.

use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::Timestamp;

use crate::graph::{NodeRef, NodeState, Stop, WHOLE};
use crate::{InputRef, StartTask, WorkerCore, WorkerEffect};

/// Stops tasks that run for too long, and a conversation in which nobody answers.
pub(crate) fn overdue(core: &mut WorkerCore, now: Timestamp) {
    while let Some((_, run)) = core.graph.next_timeout().filter(|(at, _)| *at <= now) {
        core.stop(run, Stop::TimedOut);
    }
    core.conversation.check_silence(now, &core.config);
}

/// Gives back what a paused or draining worker will not start.
pub(crate) fn shed(core: &mut WorkerCore) {
    let paused = core.memory.level.is_paused();
    if !paused {
        core.relieved = false;
    }
    if !paused && !core.draining {
        return;
    }
    if paused {
        core.fetches.clear_cache(&mut core.graph, &mut core.out);
    }
    if core.graph.queued_count() == 0 {
        return;
    }
    let keep = if core.draining { None } else { last_resort(core) };
    for task in core.graph.queued_in_order() {
        // An earlier one may have taken a later one along.
        if Some(task) != keep && core.graph.node(task).is_queued() {
            core.give_back(task);
        }
    }
}

/// The one task that a paused worker on which nothing runs keeps: the best that needs nothing of the others.
fn last_resort(core: &WorkerCore) -> Option<NodeRef> {
    if !core.graph.running().is_empty() {
        return None;
    }
    let fetching = || {
        let waiting = core.graph.queued_in_order();
        let alone = waiting
            .into_iter()
            .filter(|at| matches!(core.graph.node(*at).state(), NodeState::Waiting { unmade: 0, .. }));
        alone.min_by_key(|at| core.graph.node(*at).work().map(|work| work.priority))
    };
    core.graph.ready.best().or_else(fetching)
}

/// Reserves and starts fetches.
pub(crate) fn fetch(core: &mut WorkerCore) {
    for task in core.graph.take_fetchable() {
        let node = core.graph.node(task);
        let waits = matches!(node.state(), NodeState::Waiting { unmade: 0, .. });
        if let (true, Some(work)) = (waits, node.work()) {
            core.fetches.want(work.priority, task);
        }
    }
    let idle = core.graph.running().is_empty() && core.graph.ready.is_empty();
    core.fetches
        .reserve(&mut core.graph, core.config.fetch_share, idle);
    core.fetches.start(&mut core.graph, &core.config, &mut core.out);
}

/// Starts ready tasks while there are slots and resources.
pub(crate) fn start(core: &mut WorkerCore, now: Timestamp) {
    if core.memory.level.is_paused() {
        start_last_resort(core, now);
        return;
    }
    while let Some(task) = core.graph.ready.next() {
        start_task(core, task, now);
    }
}

/// Paused with nothing running and nothing to spill: waiting would last for ever, so one task runs.
fn start_last_resort(core: &mut WorkerCore, now: Timestamp) {
    if !core.graph.running().is_empty() || core.memory.spillable.as_u64() > 0 {
        return;
    }
    let Some(task) = core.graph.ready.next() else {
        return;
    };
    if !core.relieved {
        core.relieved = true;
        core.out.push(WorkerEffect::RelievePressure);
    }
    start_task(core, task, now);
}

fn start_task(core: &mut WorkerCore, at: NodeRef, now: Timestamp) {
    match describe(core, at) {
        Some(start) => {
            let running = NodeState::Running {
                since: now,
                reported: false,
                stop: None,
            };
            // What it wanted to have copied, other tasks had copied.
            if let Some(work) = core.graph.node(at).work() {
                core.fetches.unwant(work.priority, at);
            }
            core.graph.transition(at, running);
            core.out.push(WorkerEffect::StartTask(Box::new(start)));
        }
        // Checked at the assignment; the job's tables go only together with its queued tasks.
        None => core.fail(at, unknown_tables(), 0),
    }
}

fn describe(core: &WorkerCore, at: NodeRef) -> Option<StartTask> {
    let node = core.graph.node(at);
    let work = node.work()?;
    let job = core.graph.jobs.get(node.job)?;
    let inputs = work.inputs.iter().map(|input| InputRef {
        object: core.graph.object_of(input.node),
        attempt: core.graph.node(input.node).attempt,
        part: Some(input.part).filter(|part| *part != WHOLE),
    });
    Some(StartTask {
        run: core.graph.run_of(at),
        op: job.op(work.op)?.clone(),
        options: job.options(work.options)?.options.clone(),
        params: work.params.clone(),
        index: work.index,
        inputs: inputs.collect(),
        label: job.label.clone(),
        inline: work.inline,
    })
}

/// The failure of a task whose operation or options the leader has not sent.
pub(crate) fn unknown_tables() -> TaskError {
    TaskError::new(
        ErrorKind::Internal,
        "the task names an operation or options that its worker was not told of",
    )
}
