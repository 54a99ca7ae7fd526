//! Tasks to run: checked, joined to their inputs, and placed where what is missing puts them.

use millstream_protocol::wire::{AssignMsg, GoneInput};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{Attempt, ByteSize, ObjectId, TaskIdx};

use crate::decide::unknown_tables;
use crate::fetch::PeerRef;
use crate::graph::{Body, ClassRef, CopySource, Input, JobRef, NodeRef, NodeState, Stop, WHOLE, Work};
use crate::{TaskRun, WorkerCore};

/// One input of a row.
struct Dep<'a> {
    /// What the reader's job calls it.
    task: u32,
    /// The object, where another job made it.
    foreign: Option<ObjectId>,
    part: u32,
    attempt: Attempt,
    bytes: u64,
    holders: &'a [u32],
}

impl Dep<'_> {
    /// The task that made the object, in the job that did.
    fn producer(&self) -> u32 {
        self.foreign.map_or(self.task, |object| object.task.0)
    }
}

/// Takes over a whole message.
pub(super) fn assigned(core: &mut WorkerCore, msg: AssignMsg) {
    if !is_well_formed(&msg) {
        // The leader believes that these tasks are here: only an inventory tells it otherwise.
        core.ignored += 1;
        core.conversation.broken();
        return;
    }
    let job = core.graph.jobs.find_or_add(msg.job.0);
    for row in 0..msg.tasks.len() {
        take_row(core, job, &msg, row);
    }
    core.graph.jobs.drop_if_unused(job);
}

fn take_row(core: &mut WorkerCore, job: JobRef, msg: &AssignMsg, row: usize) {
    let run = TaskRun {
        job: msg.job.0,
        task: TaskIdx(msg.tasks[row]),
        attempt: Attempt::from_packed(msg.attempts[row]),
    };
    if !supersede(core, job, run) {
        core.ignored += 1;
        return;
    }
    let deps = deps_of(msg, row);
    let class = match check(core, job, msg, row) {
        Ok(class) => class,
        Err(error) => {
            core.report_failed(run, error, 0);
            return;
        }
    };
    let inputs = match find_inputs(core, job, &deps) {
        Ok(inputs) => inputs,
        Err(gone) => {
            core.report_gone(run, gone);
            return;
        }
    };
    let options = core
        .graph
        .jobs
        .get(job)
        .and_then(|job| job.options(msg.options[row]));
    let work = Work {
        priority: msg.priorities[row],
        class,
        op: msg.ops[row],
        options: msg.options[row],
        timeout_ms: options.and_then(|options| options.options.timeout_ms),
        index: msg.indexes.get(row).copied().filter(|index| *index != u32::MAX),
        inline: msg
            .flags
            .get(row)
            .is_some_and(|flags| flags & AssignMsg::INLINE != 0),
        params: msg.params.slice(row),
        inputs,
    };
    place(core, job, run, work);
}

/// Joins a task to its inputs and puts it where it belongs.
fn place(core: &mut WorkerCore, job: JobRef, run: TaskRun, mut work: Work) {
    let inputs = std::mem::take(&mut work.inputs);
    let at = core
        .graph
        .add(job, run.task.0, run.attempt, WHOLE, Body::Task(work));
    let (mut missing, mut unmade) = (0, 0);
    for input in &inputs {
        core.fetches.revive(&mut core.graph, input.node);
        if core.graph.join(at, input.node) {
            missing += 1;
            unmade += u32::from(core.graph.node(input.node).work().is_some());
        }
    }
    if let Body::Task(work) = &mut core.graph.node_mut(at).body {
        work.inputs = inputs;
    }
    core.graph.place(at, missing, unmade);
}

/// Fences runs of one task. A newer run takes the place of an older one; false if this one is not newer.
fn supersede(core: &mut WorkerCore, job: JobRef, run: TaskRun) -> bool {
    let mut older = Vec::new();
    for at in core.graph.nodes_of(job, run.task.0) {
        let node = core.graph.node(at);
        let is_run = node.work().is_some();
        if node.attempt == run.attempt || (is_run && node.attempt > run.attempt) {
            return false;
        }
        if is_run {
            older.push(at);
        }
    }
    for at in older {
        if core.graph.node(at).is_queued() {
            core.give_back(at);
        } else {
            core.stop(at, Stop::Discarded);
            core.give_back_descendants(at);
        }
    }
    true
}

/// What a task takes from the worker, or why it can never run here.
fn check(core: &WorkerCore, job: JobRef, msg: &AssignMsg, row: usize) -> Result<ClassRef, TaskError> {
    let known = core.graph.jobs.get(job);
    let op = known.and_then(|job| job.op(msg.ops[row]));
    let options = known.and_then(|job| job.options(msg.options[row]));
    let (Some(_), Some(options)) = (op, options) else {
        return Err(unknown_tables());
    };
    let bytes: u64 = dep_range(msg, row).filter_map(|at| msg.dep_bytes.get(at)).sum();
    if bytes > core.config.input_limit.as_u64() {
        return Err(TaskError::new(
            ErrorKind::OutOfMemory,
            format!(
                "the task's inputs take {}, worker {} has room for {}: give workers more memory or split the inputs",
                ByteSize::new(bytes),
                core.info.name,
                core.config.input_limit
            ),
        ));
    }
    options.class.clone().map_err(|shortage| {
        TaskError::new(
            ErrorKind::Unschedulable,
            format!(
                "the task asks for {} of `{}`, worker {} has {}",
                shortage.wanted, shortage.name, core.info.name, shortage.available
            ),
        )
    })
}

/// The nodes of a task's inputs: here, being made here, or to be copied. Or the inputs that cannot be had.
fn find_inputs(core: &mut WorkerCore, job: JobRef, deps: &[Dep<'_>]) -> Result<Vec<Input>, Vec<GoneInput>> {
    let mut inputs = Vec::with_capacity(deps.len());
    let mut gone = Vec::new();
    for dep in deps {
        let owner = match dep.foreign {
            Some(object) => core.graph.jobs.find_or_add(object.job),
            None => job,
        };
        let node = find_local(core, owner, dep).or_else(|| find_or_add_copy(core, owner, dep));
        if node.is_none() {
            core.graph.jobs.drop_if_unused(owner);
        }
        match node {
            Some(node) => inputs.push(Input {
                node,
                task: dep.task,
                part: dep.part,
            }),
            None => gone.push(GoneInput {
                task: TaskIdx(dep.task),
                attempt: dep.attempt,
                gone_at: vec![core.info.worker],
                unreachable: Vec::new(),
            }),
        }
    }
    if gone.is_empty() {
        return Ok(inputs);
    }
    // Copies that were added just now have no reader: away with them.
    for input in inputs {
        let node = core.graph.node(input.node);
        if node.state() == NodeState::Remote
            && node.pins == 0
            && !node.copy().is_some_and(|copy| copy.replica)
        {
            core.graph.remove(input.node);
        }
    }
    Err(gone)
}

/// The whole object, stored or being made here.
fn find_local(core: &WorkerCore, job: JobRef, dep: &Dep<'_>) -> Option<NodeRef> {
    let at = core.graph.find(job, dep.producer(), dep.attempt, WHOLE)?;
    let node = core.graph.node(at);
    let usable = match node.state() {
        NodeState::Stored => true,
        // What is told to stop will not make anything.
        NodeState::Running { stop, .. } | NodeState::Behind { stop } => {
            stop.is_none_or(|stop| stop == Stop::TimedOut)
        }
        _ => node.is_queued(),
    };
    usable.then_some(at)
}

/// A copy of the whole object or of the very part, under way or to be fetched from the holders.
fn find_or_add_copy(core: &mut WorkerCore, job: JobRef, dep: &Dep<'_>) -> Option<NodeRef> {
    let holders = known_holders(core, dep.holders);
    let task = dep.producer();
    let whole = core.graph.find(job, task, dep.attempt, WHOLE);
    let exact = || core.graph.find(job, task, dep.attempt, dep.part);
    if let Some(at) = whole.or_else(exact) {
        let source = core.graph.node_mut(at).copy_mut()?;
        for holder in holders {
            let tried = source.gone_at.contains(&holder) || source.unreachable.contains(&holder);
            if !tried && !source.holders.contains(&holder) {
                source.holders.push(holder);
            }
        }
        return Some(at);
    }
    if holders.is_empty() {
        return None;
    }
    let source = CopySource {
        holders,
        ..CopySource::default()
    };
    let at = core
        .graph
        .add(job, task, dep.attempt, dep.part, Body::Copy(Box::new(source)));
    core.graph.node_mut(at).bytes = dep.bytes;
    core.graph.transition(at, NodeState::Remote);
    Some(at)
}

/// Peers by the session's numbers, without this worker itself.
pub(super) fn known_holders(core: &WorkerCore, numbers: &[u32]) -> Vec<PeerRef> {
    let Some(live) = core.conversation.live() else {
        return Vec::new();
    };
    let peers = numbers
        .iter()
        .filter_map(|number| live.peers.get(number).copied());
    peers
        .filter(|peer| core.fetches.peers.info(*peer).worker != core.info.worker)
        .collect()
}

fn dep_range(msg: &AssignMsg, row: usize) -> std::ops::Range<usize> {
    match (msg.dep_offsets.get(row), msg.dep_offsets.get(row + 1)) {
        (Some(from), Some(to)) => *from as usize..*to as usize,
        _ => 0..0,
    }
}

fn deps_of(msg: &AssignMsg, row: usize) -> Vec<Dep<'_>> {
    let holders = |at: usize| match (msg.holder_offsets.get(at), msg.holder_offsets.get(at + 1)) {
        (Some(from), Some(to)) => &msg.holders[*from as usize..*to as usize],
        _ => &[],
    };
    dep_range(msg, row)
        .map(|at| Dep {
            task: msg.dep_tasks[at],
            foreign: foreign_of(msg, at),
            part: msg.dep_parts.get(at).copied().unwrap_or(WHOLE),
            attempt: Attempt::from_packed(msg.dep_attempts[at]),
            bytes: msg.dep_bytes.get(at).copied().unwrap_or(0),
            holders: holders(at),
        })
        .collect()
}

/// The object of another job that an input is.
fn foreign_of(msg: &AssignMsg, at: usize) -> Option<ObjectId> {
    let row = msg.dep_foreign.get(at)?.checked_sub(1)?;
    msg.foreign.get(row as usize).copied()
}

/// Whether the columns fit together, so that rows can be read without looking.
fn is_well_formed(msg: &AssignMsg) -> bool {
    let (rows, deps) = (msg.tasks.len(), msg.dep_tasks.len());
    let full = [
        msg.attempts.len(),
        msg.ops.len(),
        msg.options.len(),
        msg.priorities.len(),
    ];
    let per_dep = [msg.dep_parts.len(), msg.dep_bytes.len(), msg.dep_foreign.len()];
    full.iter().all(|len| *len == rows)
        && msg.dep_attempts.len() == deps
        && per_dep.iter().all(|len| *len == deps || *len == 0)
        && msg
            .dep_foreign
            .iter()
            .all(|row| *row as usize <= msg.foreign.len())
        && are_offsets(&msg.dep_offsets, rows, deps)
        && are_offsets(&msg.holder_offsets, deps, msg.holders.len())
        && (msg.indexes.is_empty() || msg.indexes.len() == rows)
        && (msg.flags.is_empty() || msg.flags.len() == rows)
        && msg.params.is_valid(rows)
}

fn are_offsets(offsets: &[u32], rows: usize, end: usize) -> bool {
    if offsets.is_empty() {
        return end == 0;
    }
    offsets.len() == rows + 1
        && offsets.is_sorted()
        && offsets.last().is_some_and(|last| *last as usize == end)
}
