//! What leaves for the leader: the opening of a session, reports, the list of executing tasks, heartbeats.

use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::pieces::MAX_ITEM_BYTES;
use millstream_protocol::session::PushError;
use millstream_protocol::wire::{
    ExecutingMsg, FromWorker, InventoryMsg, JobAttempts, JobObjects, RegisterMsg,
};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{JobId, Timestamp};

use crate::conversation::Live;
use crate::graph::{LocalGraph, Node, NodeRef, Stop};
use crate::reports::MAX_ROWS;
use crate::{TaskRun, WorkerCore, WorkerEffect};

/// Opens a session if one is due, and sends what there is room for.
pub(crate) fn speak(core: &mut WorkerCore, now: Timestamp) {
    open(core, now);
    heartbeat(core, now);
    report(core, now);
}

/// When a task has executed for so long that the leader must be told without waiting for another batch.
pub(crate) fn executing_due(core: &WorkerCore) -> Option<Timestamp> {
    core.conversation.live().filter(|live| live.has_urgent_room())?;
    Some(core.graph.oldest_unreported()? + core.config.report_executing_after)
}

/// Register, inventory, reports nobody acknowledged, and only then the mark that the inventory is whole: the leader
/// settles what an inventory lacks, and must know by then what had failed.
fn open(core: &mut WorkerCore, now: Timestamp) {
    let Some(opened) = core.conversation.open(now, &core.config) else {
        return;
    };
    core.out.push(WorkerEffect::OpenQueue {
        name: opened.queue.clone(),
    });
    let register = FromWorker::Register(RegisterMsg {
        info: core.info.clone(),
        queue: opened.queue,
        session: opened.number,
        known_term: opened.known_term,
    });
    let mut items = vec![register];
    items.extend(inventory(&core.graph).into_iter().map(FromWorker::Inventory));
    items.extend(core.reports.repeat());
    items.extend(core.reports.take());
    items.push(FromWorker::Inventory(InventoryMsg {
        last: true,
        ..InventoryMsg::default()
    }));
    if core.drain_is_own {
        items.push(FromWorker::Draining);
    }
    push_all(core, items);
    push_executing(core);
    send(core, now);
}

/// What this worker has, in parts that fit into batches.
fn inventory(graph: &LocalGraph) -> Vec<InventoryMsg> {
    let mut parts = Vec::new();
    for job in graph.jobs.in_order() {
        let id = graph.jobs.get(job).map(|job| job.id);
        let Some(id) = id else { continue };
        let held = graph.job_in_order(job, Node::is_output);
        // A job of which only tables or copies are here is named as well: it may be over since.
        let chunks = held.chunks(MAX_ROWS).chain(held.is_empty().then_some(&[][..]));
        for chunk in chunks {
            parts.push(InventoryMsg {
                objects: vec![objects(graph, id, chunk)],
                ..InventoryMsg::default()
            });
        }
        for chunk in graph.job_in_order(job, Node::is_queued).chunks(MAX_ROWS) {
            parts.push(InventoryMsg {
                queued: vec![attempts(graph, id, chunk)],
                ..InventoryMsg::default()
            });
        }
        for chunk in graph.job_in_order(job, is_wanted_run).chunks(MAX_ROWS) {
            parts.push(InventoryMsg {
                running: vec![attempts(graph, id, chunk)],
                ..InventoryMsg::default()
            });
        }
    }
    parts
}

/// A run whose end the leader will be told of.
fn is_wanted_run(node: &Node) -> bool {
    node.is_started() && node.stop() != Some(Stop::Discarded)
}

fn objects(graph: &LocalGraph, job: JobId, nodes: &[NodeRef]) -> JobObjects {
    let JobAttempts { tasks, attempts, .. } = attempts(graph, job, nodes);
    JobObjects {
        job,
        tasks,
        attempts,
        bytes: nodes.iter().map(|at| graph.node(*at).bytes).collect(),
    }
}

fn attempts(graph: &LocalGraph, job: JobId, nodes: &[NodeRef]) -> JobAttempts {
    JobAttempts {
        job,
        tasks: nodes.iter().map(|at| graph.node(*at).task).collect::<U32s>(),
        attempts: nodes
            .iter()
            .map(|at| graph.node(*at).attempt.packed())
            .collect::<U64s>(),
    }
}

fn heartbeat(core: &mut WorkerCore, now: Timestamp) {
    let load = core.load();
    let Some(live) = core.conversation.live_mut() else {
        return;
    };
    let due = live.heartbeat_due(&core.config) <= now || live.told_paused != load.paused;
    if due {
        live.heartbeat_at = Some(now);
        if live.has_urgent_room() {
            live.told_paused = load.paused;
            live.push_urgent(&FromWorker::Heartbeat(load));
        }
    }
}

/// Fills a batch if the window has room, and sends whatever may leave.
fn report(core: &mut WorkerCore, now: Timestamp) {
    let Some(live) = core.conversation.live() else {
        return;
    };
    if live.wants_data() && !core.reports.is_empty() {
        let items = core.reports.take();
        push_all(core, items);
        if core.graph.executing_changed() {
            push_executing(core);
        }
    } else if executing_due(core).is_some_and(|at| at <= now) {
        let list = executing(&core.graph);
        core.graph.executing_reported();
        if let Some(live) = core.conversation.live_mut() {
            live.push_urgent(&FromWorker::Executing(list));
        }
    }
    send(core, now);
}

fn push_executing(core: &mut WorkerCore) {
    let list = executing(&core.graph);
    core.graph.executing_reported();
    push_all(core, vec![FromWorker::Executing(list)]);
}

fn executing(graph: &LocalGraph) -> ExecutingMsg {
    let running = graph.running().iter();
    let waiting = running
        .clone()
        .filter(|at| graph.node(**at).is_waiting_for_tasks());
    ExecutingMsg {
        tasks: by_job(running.map(|at| graph.run_of(*at)).collect()),
        waiting: by_job(waiting.map(|at| graph.run_of(*at)).collect()),
    }
}

fn by_job(mut runs: Vec<TaskRun>) -> Vec<JobAttempts> {
    runs.sort_unstable();
    let jobs = runs.chunk_by(|a, b| a.job == b.job);
    jobs.map(|of_job| JobAttempts {
        job: of_job[0].job,
        tasks: of_job.iter().map(|run| run.task.0).collect(),
        attempts: of_job.iter().map(|run| run.attempt.packed()).collect(),
    })
    .collect()
}

fn send(core: &mut WorkerCore, now: Timestamp) {
    let Some(live) = core.conversation.live_mut() else {
        return;
    };
    core.out.extend(std::iter::from_fn(|| live.poll(now)));
    if !live.has_unsent() {
        core.reports.sent(live.sent());
    }
}

fn push_all(core: &mut WorkerCore, items: Vec<FromWorker>) {
    let Some(live) = core.conversation.live_mut() else {
        return;
    };
    for item in items {
        push(live, item);
    }
}

/// Queues an item. One that is too large for a batch shrinks to what the leader must know.
fn push(live: &mut Live, item: FromWorker) {
    let Err(PushError::Oversized { size }) = live.push(&item) else {
        return;
    };
    let shrunk = match item {
        FromWorker::Extended(msg) => Some(FromWorker::Failed(millstream_protocol::wire::FailedMsg {
            job: msg.job,
            task: msg.task,
            attempt: msg.attempt,
            duration_us: msg.duration_us,
            error: TaskError::new(
                ErrorKind::BadInput,
                format!(
                    "the task returned a graph extension of {size} bytes, the limit is {MAX_ITEM_BYTES}: use symbolic layers, or extend in steps"
                ),
            ),
        })),
        FromWorker::Failed(mut msg) => {
            msg.error
                .message
                .truncate(floor_char_boundary(&msg.error.message, 4096));
            msg.error.log_tail = None;
            Some(FromWorker::Failed(msg))
        }
        // Captured output is shown, never relied on.
        _ => None,
    };
    if let Some(shrunk) = shrunk {
        // At most a few KiB now.
        let _ = live.push(&shrunk);
    }
}

fn floor_char_boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
