//! Decisions that follow from the state, whatever event led to it: what to stop, give back, fetch and start.

use std::collections::VecDeque;

use millstream_protocol::graph::OpKind;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{TaskIdx, Timestamp, duration_micros};

use crate::graph::{NodeRef, NodeState, Stop, WHOLE};
use crate::{InputRef, StartTask, TaskRun, WorkerCore, WorkerEffect};

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

/// The one task that a paused worker on which nothing computes keeps: the best that needs nothing of the others.
fn last_resort(core: &WorkerCore) -> Option<NodeRef> {
    if core.graph.computing() > 0 {
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
    let idle = core.graph.computing() == 0 && core.graph.ready.is_empty();
    core.fetches
        .reserve(&mut core.graph, core.config.fetch_share, idle);
    core.fetches.start(&mut core.graph, &core.config, &mut core.out);
}

/// Asks back what was handed to slots in advance, where what runs before it takes long or nothing more may start.
pub(crate) fn recall(core: &mut WorkerCore, now: Timestamp) {
    let stops = core.draining || core.memory.level.is_paused();
    let heads: Vec<_> = core
        .graph
        .lanes
        .heads()
        .filter(|head| stops || recall_at(core, *head).is_some_and(|at| at <= now))
        .collect();
    for head in heads {
        for task in core.graph.lanes.recall(head) {
            core.out.push(WorkerEffect::Recall(core.graph.run_of(task)));
        }
    }
}

/// When the next tasks are asked back.
pub(crate) fn recall_due(core: &WorkerCore) -> Option<Timestamp> {
    core.graph
        .lanes
        .heads()
        .filter_map(|head| recall_at(core, head))
        .min()
}

/// A task that has run for as long as this is not one of the short ones that it was taken for, nor is one that waits.
fn recall_at(core: &WorkerCore, head: NodeRef) -> Option<Timestamp> {
    match core.graph.node(head).state() {
        NodeState::Running { waits: true, .. } => Some(Timestamp::ZERO),
        NodeState::Running { since, .. } => Some(since + core.config.report_executing_after),
        _ => None,
    }
}

/// Starts ready tasks while there are slots and resources.
pub(crate) fn start(core: &mut WorkerCore, now: Timestamp) {
    if core.memory.level.is_paused() {
        start_last_resort(core, now);
        return;
    }
    while let Some(task) = core.graph.ready.next() {
        if start_task(core, task, now) {
            fill_lane(core, task);
        }
    }
}

/// Hands short tasks to the slot of the one just started, to run one after the other without asking.
fn fill_lane(core: &mut WorkerCore, head: NodeRef) {
    let Some(class) = core.graph.node(head).work().map(|work| work.class) else {
        return;
    };
    let (mut us, mut bytes) = (duration_micros(core.config.lane), core.config.lane_bytes.as_u64());
    let most = core.graph.ready.share_of(class).min(core.config.lane_tasks);
    let mut behind = VecDeque::new();
    let mut last = core.graph.run_of(head);
    while behind.len() < most
        && let Some(next) = core.graph.ready.first_of(class)
        && let Some((next_us, next_bytes)) = expected(core, next)
        && next_us <= us
        && next_bytes <= bytes
    {
        (us, bytes) = (us - next_us, bytes - next_bytes);
        let Some(start) = describe(core, next, Some(last)) else {
            break;
        };
        last = start.run;
        hand_over(core, next, start, NodeState::Behind { stop: None });
        behind.push_back(next);
    }
    core.graph.lanes.open(head, behind);
}

/// Microseconds and bytes that a function is expected to take. Other tasks wait more than they compute.
fn expected(core: &WorkerCore, at: NodeRef) -> Option<(u64, u64)> {
    let node = core.graph.node(at);
    let (work, job) = (node.work()?, core.graph.jobs.get(node.job)?);
    let is_function = matches!(job.op(work.op)?.kind, OpKind::Native | OpKind::Python);
    job.cost(work.op).expected().filter(|_| is_function)
}

/// Paused with nothing that computes and nothing to spill: waiting would last for ever, so one task runs.
fn start_last_resort(core: &mut WorkerCore, now: Timestamp) {
    if core.graph.computing() > 0 || core.memory.spillable.as_u64() > 0 {
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

/// Starts a task in a free slot; false if it failed at once.
fn start_task(core: &mut WorkerCore, at: NodeRef, now: Timestamp) -> bool {
    let Some(start) = describe(core, at, None) else {
        // Checked at the assignment; the job's tables go only together with its queued tasks.
        core.fail(at, unknown_tables(), 0);
        return false;
    };
    let running = NodeState::Running {
        since: now,
        reported: false,
        waits: false,
        stop: None,
    };
    hand_over(core, at, start, running);
    true
}

fn hand_over(core: &mut WorkerCore, at: NodeRef, start: StartTask, state: NodeState) {
    // What it wanted to have copied, other tasks had copied.
    if let Some(work) = core.graph.node(at).work() {
        core.fetches.unwant(work.priority, at);
    }
    core.graph.transition(at, state);
    core.out.push(WorkerEffect::StartTask(Box::new(start)));
}

fn describe(core: &WorkerCore, at: NodeRef, after: Option<TaskRun>) -> Option<StartTask> {
    let node = core.graph.node(at);
    let work = node.work()?;
    let job = core.graph.jobs.get(node.job)?;
    let inputs = work.inputs.iter().map(|input| InputRef {
        object: core.graph.object_of(input.node),
        attempt: core.graph.node(input.node).attempt,
        part: Some(input.part).filter(|part| *part != WHOLE),
        task: TaskIdx(input.task),
    });
    Some(StartTask {
        run: core.graph.run_of(at),
        after,
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
