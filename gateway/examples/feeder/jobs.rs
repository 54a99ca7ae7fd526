//! Make-believe jobs: graphs whose tasks are run in order, layer by layer.

use bytes::Bytes;
use millstream_protocol::codec;
use millstream_protocol::graph::{BlockInput, Graph, GraphBuilder, OpKind, OpSpec, TaskOptions};
use millstream_protocol::wire::{
    HeldObject, JobCounts, JobMeta, JobOptions, JobState, LayerAnswer, LayersAnswer, TaskAnswer,
};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{ByteSize, ContentKey, JobId, TaskIdx, Term, Timestamp, WorkerId};
use uuid::Uuid;

/// How an operation behaves.
#[derive(Clone)]
pub(crate) struct Behaviour {
    pub(crate) kind: OpKind,
    pub(crate) name: String,
    pub(crate) mean_us: u32,
    pub(crate) bytes: u64,
    /// Bytes fetched before it runs.
    pub(crate) fetches: u64,
    /// One run in so many fails for good; never if 0.
    pub(crate) fails: u32,
    /// One run in so many takes fifty times as long; never if 0.
    pub(crate) skewed: u32,
}

pub(crate) struct Layer {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) started: u32,
    pub(crate) done: u32,
    pub(crate) failed: u32,
    /// Tasks that may start once so many of the layer before are done: all, or as many.
    waits_for_all: bool,
    pub(crate) behaviour: Behaviour,
}

pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) meta: JobMeta,
    pub(crate) graph: Graph,
    pub(crate) layers: Vec<Layer>,
    pub(crate) failures: Vec<u32>,
}

fn op(kind: OpKind, name: &str, mean_us: u32, bytes: u64) -> Behaviour {
    Behaviour {
        kind,
        name: name.to_owned(),
        mean_us,
        bytes,
        fetches: 0,
        fails: 0,
        skewed: 0,
    }
}

impl Job {
    /// Read, clean, shuffle, aggregate, sum up: what a data frame's group-by looks like.
    pub(crate) fn group_by(name: &str, width: u32, scale_us: u32) -> Self {
        let mut graph = GraphBuilder::new();
        let steps = [
            op(OpKind::Frame, "scan orders.parquet", 8 * scale_us, 24 << 20),
            op(
                OpKind::Python,
                "cleaning:normalize_prices",
                14 * scale_us,
                20 << 20,
            ),
            Behaviour {
                fetches: 6 << 20,
                skewed: 40,
                ..op(OpKind::Frame, "shuffle by customer", 6 * scale_us, 12 << 20)
            },
            op(OpKind::Native, "frame:partial_aggregate", 3 * scale_us, 1 << 20),
            op(OpKind::Native, "frame:merge_aggregates", 2 * scale_us, 256 << 10),
        ];
        let options = graph.options(TaskOptions::default());
        let ops: Vec<u16> = steps.iter().map(|step| graph.op(spec(step))).collect();
        let scan = graph.blockwise(width, ops[0], options, Vec::new());
        let clean = graph.blockwise(width, ops[1], options, vec![BlockInput::Aligned(scan)]);
        let shuffle = graph.all_to_all(clean, width, ops[2], options);
        let partial = graph.blockwise(width, ops[3], options, vec![BlockInput::Aligned(shuffle)]);
        let tree = graph.tree_reduce(partial, 8, ops[4], options);
        for (range, prefix) in [
            (scan, "scan"),
            (clean, "clean"),
            (shuffle, "shuffle"),
            (partial, "partial"),
            (tree, "merge"),
        ] {
            graph.number_keys(range, prefix);
        }
        graph.want(TaskIdx(tree.first.0 + tree.count - 1));
        Self::new(name, graph.finish(), &steps, &[2])
    }

    /// One operation, many times.
    pub(crate) fn map(name: &str, count: u32, behaviour: Behaviour) -> Self {
        let mut graph = GraphBuilder::new();
        let op = graph.op(spec(&behaviour));
        let options = graph.options(TaskOptions::default());
        let range = graph.blockwise(count, op, options, Vec::new());
        graph.number_keys(range, "item");
        graph.want(TaskIdx(count - 1));
        Self::new(name, graph.finish(), &[behaviour], &[])
    }

    /// Names that a page must not trust.
    pub(crate) fn hostile() -> Self {
        let mut graph = GraphBuilder::new();
        let keys = [
            "<img src=x onerror=window.pwned=1>".to_owned(),
            "\u{202e}right to left שלום \u{1f980}".to_owned(),
            "x".repeat(10_000),
            "=cmd|'/c calc'!A1".to_owned(),
        ];
        let behaviour = op(
            OpKind::Python,
            "</script><script>window.pwned=1</script>",
            300_000,
            1 << 10,
        );
        let op = graph.op(spec(&behaviour));
        let options = graph.options(TaskOptions::default());
        for key in &keys {
            let task = graph.named_task(key, op, options, b"", &[]);
            graph.want(task);
        }
        let name = format!(
            "<b onmouseover=window.pwned=1>bold</b> \u{202e}txt.exe {}",
            "\u{1f469}\u{200d}\u{1f4bb}".repeat(900)
        );
        Self::new(
            &name,
            graph.finish(),
            &[Behaviour {
                fails: 4,
                ..behaviour
            }],
            &[],
        )
    }

    fn new(name: &str, graph: Graph, behaviours: &[Behaviour], barriers: &[usize]) -> Self {
        let id = JobId::from(Uuid::now_v7());
        let mut first = 0;
        let layers = graph.layers.iter().enumerate().map(|(at, layer)| {
            let count = layer.len();
            let begins = first;
            first += count;
            Layer {
                first: begins,
                count,
                started: 0,
                done: 0,
                failed: 0,
                waits_for_all: barriers.contains(&at),
                behaviour: behaviours[at.min(behaviours.len() - 1)].clone(),
            }
        });
        let layers: Vec<Layer> = layers.collect();
        let meta = JobMeta {
            job: id,
            body_hash: ContentKey::from_bytes([0; 32]),
            options: JobOptions::default(),
            state: JobState::Running,
            accepted_ms: super::cluster::now_us() / 1_000,
            ended_ms: None,
            counts: JobCounts::default(),
            error: None,
            failed_task: None,
            name: name.to_owned(),
            let_go: None,
            accepted_in: Term::default(),
        };
        Self {
            id,
            meta,
            graph,
            layers,
            failures: Vec::new(),
        }
    }

    /// The next task that may start: its layer and number.
    pub(crate) fn next(&mut self) -> Option<(usize, u32)> {
        if self.meta.state != JobState::Running {
            return None;
        }
        let mut before = (u32::MAX, u32::MAX);
        for at in 0..self.layers.len() {
            let layer = &mut self.layers[at];
            let (done, count) = before;
            let allowed = if layer.waits_for_all && done < count {
                0
            } else if count == u32::MAX {
                layer.count
            } else {
                ((u64::from(done) * u64::from(layer.count)) / u64::from(count.max(1))) as u32
            };
            if layer.started < allowed.min(layer.count) {
                layer.started += 1;
                return Some((at, layer.first + layer.started - 1));
            }
            before = (layer.done + layer.failed, layer.count);
        }
        None
    }

    pub(crate) fn end(&mut self, layer: usize, task: u32, failed: bool) {
        let row = &mut self.layers[layer];
        if failed {
            row.failed += 1;
            self.failures.push(task);
            self.meta.failed_task.get_or_insert(TaskIdx(task));
        } else {
            row.done += 1;
        }
        let is_over = self
            .layers
            .iter()
            .all(|layer| layer.done + layer.failed == layer.count);
        if is_over && self.meta.state == JobState::Running {
            let state = if self.failures.is_empty() {
                JobState::Succeeded
            } else {
                JobState::Failed
            };
            self.stop(state);
        }
    }

    pub(crate) fn stop(&mut self, state: JobState) {
        self.meta.state = state;
        self.meta.ended_ms = Some(super::cluster::now_us() / 1_000);
        if state == JobState::Failed {
            self.meta.error = Some(error());
        }
    }

    pub(crate) fn counts(&self) -> JobCounts {
        let mut all = JobCounts::default();
        for layer in 0..self.layers.len() {
            let counts = self.layer_counts(layer);
            all.total += counts.total;
            all.waiting += counts.waiting;
            all.ready += counts.ready;
            all.assigned += counts.assigned;
            all.stored += counts.stored;
            all.released += counts.released;
            all.failed += counts.failed;
        }
        all
    }

    fn layer_counts(&self, at: usize) -> JobCounts {
        let layer = &self.layers[at];
        let read = self
            .layers
            .get(at + 1)
            .map_or(0, |next| next.done.min(layer.done));
        let assigned = layer.started - layer.done - layer.failed;
        let rest = layer.count - layer.started;
        let ready = if at == 0 { rest.min(500) } else { 0 };
        JobCounts {
            total: layer.count,
            waiting: rest - ready,
            ready,
            assigned,
            stored: layer.done - read,
            released: read,
            failed: layer.failed,
            cancelled: 0,
        }
    }

    pub(crate) fn layers_answer(&self, workers: &[WorkerId]) -> LayersAnswer {
        let row = |at: usize| {
            let layer = &self.layers[at];
            let counts = self.layer_counts(at);
            let held = ByteSize::new(u64::from(counts.stored) * layer.behaviour.bytes);
            LayerAnswer {
                layer: at as u32,
                op: label(&layer.behaviour),
                first: TaskIdx(layer.first),
                counts,
                held,
                wanted: if at + 1 == self.layers.len() {
                    held
                } else {
                    ByteSize::default()
                },
                cost_us: layer.behaviour.mean_us,
            }
        };
        let mut largest: Vec<HeldObject> = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            let read = self
                .layers
                .get(at + 1)
                .map_or(0, |next| next.done.min(layer.done));
            for offset in read..layer.done.min(read + 10) {
                largest.push(HeldObject {
                    task: TaskIdx(layer.first + offset),
                    key: self.graph.key_of(TaskIdx(layer.first + offset)),
                    op: label(&layer.behaviour),
                    bytes: ByteSize::new(layer.behaviour.bytes + u64::from(offset % 7) * 65_536),
                    is_wanted: at + 1 == self.layers.len(),
                    readers: u32::from(at + 1 < self.layers.len()),
                    workers: vec![workers[offset as usize % workers.len()]],
                });
            }
        }
        largest.sort_by_key(|object| std::cmp::Reverse(object.bytes));
        largest.truncate(50);
        LayersAnswer {
            layers: (0..self.layers.len()).map(row).collect(),
            largest,
        }
    }

    pub(crate) fn task(&self, task: u32, workers: &[WorkerId]) -> TaskAnswer {
        let at = self
            .layers
            .partition_point(|layer| layer.first <= task)
            .saturating_sub(1);
        let layer = &self.layers[at];
        let offset = task - layer.first;
        let read = self.layers.get(at + 1).map_or(0, |next| next.done);
        let failed = self.failures.contains(&task);
        let state = match offset {
            _ if failed => "failed",
            o if o < read.min(layer.done) => "released",
            o if o < layer.done => "stored",
            o if o < layer.started => "running",
            _ if at == 0 => "ready",
            _ => "waiting",
        };
        let holder = workers[task as usize % workers.len()];
        let has_run = matches!(state, "failed" | "released" | "stored" | "running");
        let mut deps = Vec::new();
        self.graph.for_each_dep(TaskIdx(task), |dep| {
            if deps.len() < 100 {
                deps.push(self.graph.key_of(dep.task));
            }
        });
        let story = ["waiting", "ready", "assigned on worker-3", "stored on worker-3"];
        TaskAnswer {
            task,
            key: self.graph.key_of(TaskIdx(task)),
            op: label(&layer.behaviour),
            state: state.to_owned(),
            attempts: u32::from(has_run),
            failures: u32::from(failed),
            workers: if has_run { vec![holder] } else { Vec::new() },
            bytes: (state == "stored").then(|| ByteSize::new(layer.behaviour.bytes)),
            deps,
            error: failed.then(error),
            explain: vec![match state {
                "waiting" => "it waits for inputs that are not made yet".to_owned(),
                "ready" => "all its inputs are there; every slot is taken".to_owned(),
                other => format!("it is {other}"),
            }],
            story: story
                .iter()
                .take(if has_run { 4 } else { 1 })
                .zip(0_u64..)
                .map(|(text, n)| (Timestamp::from_micros(n * n * 1_700), (*text).to_owned()))
                .collect(),
        }
    }

    pub(crate) fn encoded_graph(&self) -> Bytes {
        codec::encode(&self.graph).unwrap().into()
    }
}

fn spec(behaviour: &Behaviour) -> OpSpec {
    OpSpec {
        kind: behaviour.kind,
        ..OpSpec::native(&behaviour.name)
    }
}

pub(crate) fn label(behaviour: &Behaviour) -> String {
    format!("{} {}", behaviour.kind.name(), behaviour.name)
}

fn error() -> TaskError {
    TaskError::new(
        ErrorKind::User,
        "ValueError: price of <b>order 4711</b> is not a number: 'n/a'",
    )
}
