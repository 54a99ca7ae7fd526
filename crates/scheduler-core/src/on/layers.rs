//! How far a job is, layer by layer, and what it holds: asked for by pages that people look at, never by the cluster.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use millstream_protocol::graph::{OpKind, OpSpec};
use millstream_protocol::wire::{HeldObject, JobCounts, LayerAnswer, LayersAnswer, RequestError, Response};
use millstream_types::{ByteSize, JobId, TaskIdx};

use crate::core::SchedulerCore;
use crate::job::{Job, TaskState, flag};
use crate::shared::Shared;

/// Most rows of an answer; further operations are counted with the layer's last row.
const MAX_ROWS: usize = 1_000;
/// Most objects named in an answer.
const MAX_LARGEST: usize = 50;

/// One pass over the job's columns: about five milliseconds for a million tasks. Gateways ask at most once a second and
/// job, however many people look.
pub(crate) fn layers(core: &mut SchedulerCore, id: JobId) -> Result<Response, RequestError> {
    let job = core.jobs.by_id_mut(id).ok_or(RequestError::UnknownJob(id))?;
    let (cx, job) = (&core.cx, &*job);
    let labels = Labels::of(&job.graph.ops);
    let mut rows: Vec<LayerAnswer> = Vec::new();
    let mut largest = Largest::default();
    let mut first = 0;
    for (number, layer) in job.graph.layers.iter().enumerate() {
        let mut row_of_op = BTreeMap::new();
        for offset in 0..layer.len() {
            let op = layer.op_of(offset);
            let at = *row_of_op.entry(labels.first_alike(op)).or_insert_with(|| {
                if rows.len() < MAX_ROWS || rows.is_empty() {
                    rows.push(new_row(cx, job, number, op, first + offset));
                }
                rows.len() - 1
            });
            count(job, first + offset, &mut rows[at], &mut largest);
        }
        first += layer.len();
    }
    let largest = largest.tasks();
    Ok(Response::Layers(Box::new(LayersAnswer {
        layers: rows,
        largest: largest.into_iter().map(|task| held(cx, job, task)).collect(),
    })))
}

fn new_row(cx: &Shared, job: &Job, layer: usize, op: u16, first: u32) -> LayerAnswer {
    LayerAnswer {
        layer: u32::try_from(layer).unwrap_or(u32::MAX),
        op: name_of(&job.graph.ops[usize::from(op)]),
        first: TaskIdx(first),
        counts: JobCounts::default(),
        held: ByteSize::default(),
        wanted: ByteSize::default(),
        cost_us: cx.stats.cost_us(job.stat_of(op)),
    }
}

fn count(job: &Job, task: u32, row: &mut LayerAnswer, largest: &mut Largest) {
    let counts = &mut row.counts;
    counts.total += 1;
    let state = job.cols.state(task);
    *match state {
        TaskState::Waiting | TaskState::Delayed => &mut counts.waiting,
        TaskState::Ready => &mut counts.ready,
        TaskState::Assigned => &mut counts.assigned,
        TaskState::Stored => &mut counts.stored,
        TaskState::Released | TaskState::Replaced => &mut counts.released,
        TaskState::Failed => &mut counts.failed,
        TaskState::Cancelled => &mut counts.cancelled,
    } += 1;
    if state == TaskState::Stored {
        let bytes = job.cols.bytes[task as usize];
        row.held += ByteSize::new(bytes);
        if job.cols.has(task, flag::WANTED) {
            row.wanted += ByteSize::new(bytes);
        }
        largest.offer(bytes, task);
    }
}

fn held(cx: &Shared, job: &Job, task: u32) -> HeldObject {
    let consumed = job.cols.consumed[task as usize];
    HeldObject {
        task: TaskIdx(task),
        key: job.key_of(task),
        op: name_of(job.op_of(task)),
        bytes: ByteSize::new(job.cols.bytes[task as usize]),
        is_wanted: job.cols.has(task, flag::WANTED),
        readers: job.reader_count(task).saturating_sub(consumed),
        workers: job
            .holders(task)
            .filter_map(|no| cx.workers.get(no))
            .map(|worker| worker.info.worker)
            .collect(),
    }
}

fn name_of(op: &OpSpec) -> String {
    format!("{} {}", op.kind.name(), op.name)
}

/// Which operations share kind and name: commands are one operation each, and one row together.
struct Labels(Vec<u16>);

impl Labels {
    fn of(ops: &[OpSpec]) -> Self {
        let mut first: BTreeMap<(OpKind, &str), u16> = BTreeMap::new();
        Self(
            (0..)
                .zip(ops)
                .map(|(at, op)| *first.entry((op.kind, op.name.as_str())).or_insert(at))
                .collect(),
        )
    }

    fn first_alike(&self, op: u16) -> u16 {
        self.0.get(usize::from(op)).copied().unwrap_or(op)
    }
}

/// The tasks with the largest objects seen so far; of equals the first.
#[derive(Default)]
struct Largest(BinaryHeap<Reverse<(u64, Reverse<u32>)>>);

impl Largest {
    fn offer(&mut self, bytes: u64, task: u32) {
        let is_full = self.0.len() >= MAX_LARGEST;
        if is_full && self.0.peek().is_some_and(|Reverse((least, _))| bytes <= *least) {
            return;
        }
        if is_full {
            self.0.pop();
        }
        self.0.push(Reverse((bytes, Reverse(task))));
    }

    fn tasks(self) -> Vec<u32> {
        let sorted = self.0.into_sorted_vec();
        sorted
            .into_iter()
            .map(|Reverse((_, Reverse(task)))| task)
            .collect()
    }
}
