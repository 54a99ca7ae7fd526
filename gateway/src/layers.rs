//! A job's graph from afar: the tasks of one operation in one layer are one node.
//!
//! The leader counts; the edges between nodes are found here, from the graph, and once per job. Answers are shared for a
//! second, so that the leader is asked as often by twenty pages as by one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_protocol::graph::{Graph, OpSpec};
use millstream_protocol::wire::{HeldObject, JobCounts, LayerAnswer, LayersAnswer, StoredTaskState};
use millstream_types::{ByteSize, JobId, TaskIdx};
use parking_lot::Mutex;
use serde::Serialize;

/// How long an answer is shared.
const FRESH: Duration = Duration::from_secs(1);
/// Jobs of which answers are kept.
const MAX_JOBS: usize = 64;
/// Tasks of a layer whose inputs are looked at; of a longer one every n-th.
const MAX_SAMPLED: u32 = 1 << 16;
/// Inputs looked at of one task; a shuffle's task reads from as many as there are.
const MAX_INPUTS: usize = 1 << 12;
/// Most nodes; as many as the leader tells.
const MAX_NODES: usize = 1_000;

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LayerView {
    pub(crate) layer: u32,
    pub(crate) op: String,
    pub(crate) first: TaskIdx,
    pub(crate) tasks: JobCounts,
    /// Bytes of its outputs that workers hold.
    pub(crate) held: ByteSize,
    /// Of these, bytes that stay after the job.
    pub(crate) wanted: ByteSize,
    /// Microseconds that a task is expected to run; none where no leader knows the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_us: Option<u32>,
}

/// Which node reads which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Edge {
    from: u32,
    to: u32,
    /// Inputs that were seen; all of them unless the layers are very long.
    inputs: u64,
}

/// The whole, as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LayersView {
    /// Whether a leader counted; else counts are of the last note.
    exact: bool,
    pub(crate) layers: Vec<LayerView>,
    edges: Arc<[Edge]>,
    largest: Vec<HeldObject>,
}

/// Nodes and edges of a graph.
#[derive(Debug)]
pub(crate) struct Outline {
    nodes: Vec<LayerView>,
    edges: Arc<[Edge]>,
    tasks: u32,
    /// The node of each operation of each layer.
    node_of: Vec<HashMap<u16, u32>>,
    /// The first task of each layer.
    starts: Vec<u32>,
}

impl Outline {
    /// Reads a graph: a pass over its tasks, and over the inputs of a sample of each layer.
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut outline = Self {
            nodes: Vec::new(),
            edges: Arc::default(),
            tasks: graph.task_count(),
            node_of: Vec::new(),
            starts: Vec::new(),
        };
        outline.find_nodes(graph);
        outline.find_edges(graph);
        outline
    }

    fn find_nodes(&mut self, graph: &Graph) {
        let mut first = 0;
        for (number, layer) in (0..).zip(&graph.layers) {
            let mut by_label: BTreeMap<String, u32> = BTreeMap::new();
            let mut by_op = HashMap::new();
            for offset in 0..layer.len() {
                let op = layer.op_of(offset);
                let node = *by_op.entry(op).or_insert_with(|| {
                    let label = graph.ops.get(usize::from(op)).map(label_of).unwrap_or_default();
                    *by_label.entry(label).or_insert_with_key(|label| {
                        if self.nodes.len() < MAX_NODES {
                            self.nodes.push(empty_node(number, label, first + offset));
                        }
                        last_index(&self.nodes)
                    })
                });
                self.nodes[node as usize].tasks.total += 1;
            }
            self.node_of.push(by_op);
            self.starts.push(first);
            first += layer.len();
        }
    }

    /// The number of the node that a task of this graph is in.
    pub(crate) fn node_of(&self, graph: &Graph, task: TaskIdx) -> Option<u32> {
        let at = self
            .starts
            .partition_point(|first| *first <= task.0)
            .checked_sub(1)?;
        let layer = graph.layers.get(at)?;
        let offset = task.0 - self.starts[at];
        let op = (offset < layer.len()).then(|| layer.op_of(offset))?;
        self.node_of[at].get(&op).copied()
    }

    fn find_edges(&mut self, graph: &Graph) {
        let mut edges: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (layer, first) in graph.layers.iter().zip(&self.starts) {
            let step = layer.len().div_ceil(MAX_SAMPLED).max(1);
            for offset in (0..layer.len()).step_by(step as usize) {
                let Some(to) = self.node_of(graph, TaskIdx(first + offset)) else {
                    continue;
                };
                let mut seen = 0;
                layer.for_each_dep(*first, offset, |dep| {
                    seen += 1;
                    if seen <= MAX_INPUTS
                        && let Some(from) = self.node_of(graph, dep.task)
                    {
                        *edges.entry((from, to)).or_default() += u64::from(step);
                    }
                });
            }
        }
        let edge = |((from, to), inputs)| Edge { from, to, inputs };
        self.edges = edges.into_iter().map(edge).collect();
    }

    /// The view with a leader's counts, where they are of the same graph.
    pub(crate) fn with_counts(&self, answer: LayersAnswer) -> Option<LayersView> {
        let row = |told: LayerAnswer| LayerView {
            layer: told.layer,
            op: told.op,
            first: told.first,
            tasks: told.counts,
            held: told.held,
            wanted: told.wanted,
            cost_us: Some(told.cost_us),
        };
        (answer.layers.len() == self.nodes.len()).then(|| LayersView {
            exact: true,
            layers: answer.layers.into_iter().map(row).collect(),
            edges: Arc::clone(&self.edges),
            largest: answer.largest,
        })
    }

    /// The view with the counts of the last notes, one state byte per task.
    pub(crate) fn with_notes(&self, graph: &Graph, notes: &[u8]) -> LayersView {
        let mut layers = self.nodes.clone();
        let mut first = 0;
        for (layer, node_of) in graph.layers.iter().zip(&self.node_of) {
            for offset in 0..layer.len() {
                let Some(node) = node_of.get(&layer.op_of(offset)) else {
                    continue;
                };
                let byte = notes.get((first + offset) as usize).copied().unwrap_or_default();
                let counts = &mut layers[*node as usize].tasks;
                *match StoredTaskState::from_byte(byte) {
                    StoredTaskState::Pending => &mut counts.waiting,
                    StoredTaskState::Stored => &mut counts.stored,
                    StoredTaskState::Released => &mut counts.released,
                    StoredTaskState::Failed => &mut counts.failed,
                    StoredTaskState::Cancelled => &mut counts.cancelled,
                } += 1;
            }
            first += layer.len();
        }
        LayersView {
            exact: false,
            layers,
            edges: Arc::clone(&self.edges),
            largest: Vec::new(),
        }
    }
}

fn empty_node(layer: u32, op: &str, first: u32) -> LayerView {
    LayerView {
        layer,
        op: op.to_owned(),
        first: TaskIdx(first),
        tasks: JobCounts::default(),
        held: ByteSize::default(),
        wanted: ByteSize::default(),
        cost_us: None,
    }
}

fn last_index(nodes: &[LayerView]) -> u32 {
    u32::try_from(nodes.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Kind and name of an operation, as the leader writes them.
pub(crate) fn label_of(op: &OpSpec) -> String {
    format!("{} {}", op.kind.name(), op.name)
}

#[derive(Debug)]
struct Entry {
    outline: Arc<Outline>,
    view: Option<(Instant, Arc<LayersView>)>,
    used: Instant,
}

/// Outlines and the last answers.
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    entries: Mutex<HashMap<JobId, Entry>>,
}

impl LayerCache {
    /// An answer that is not older than a second.
    pub(crate) fn fresh(&self, job: JobId) -> Option<Arc<LayersView>> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(&job)?;
        entry.used = Instant::now();
        let (at, view) = entry.view.as_ref()?;
        (at.elapsed() < FRESH).then(|| Arc::clone(view))
    }

    /// The outline of a job that has so many tasks.
    pub(crate) fn outline(&self, job: JobId, tasks: u32) -> Option<Arc<Outline>> {
        let entries = self.entries.lock();
        let entry = entries.get(&job)?;
        (entry.outline.tasks == tasks).then(|| Arc::clone(&entry.outline))
    }

    /// Keeps an outline and, if there is one, an answer.
    pub(crate) fn keep(&self, job: JobId, outline: Arc<Outline>, view: Option<Arc<LayersView>>) {
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_JOBS && !entries.contains_key(&job) {
            let oldest = entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(job, _)| *job);
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        let now = Instant::now();
        let entry = Entry {
            outline,
            view: view.map(|view| (now, view)),
            used: now,
        };
        entries.insert(job, entry);
    }
}

#[cfg(test)]
mod tests {
    use millstream_protocol::graph::{Dep, GraphBuilder, TaskOptions};

    use super::*;

    fn graph() -> Graph {
        let mut graph = GraphBuilder::new();
        let (map, sum) = (graph.op(OpSpec::native("map")), graph.op(OpSpec::native("sum")));
        let options = graph.options(TaskOptions::default());
        let inputs = graph.blockwise(1_000, map, options, Vec::new());
        let reduced = graph.tree_reduce(inputs, 10, sum, options);
        let last = Dep::whole(reduced.at(reduced.count - 1));
        graph.task(map, options, b"", &[last]);
        graph.finish()
    }

    #[test]
    fn nodes_are_the_operations_of_layers_and_edges_what_they_read() {
        let outline = Outline::of(&graph());
        let nodes: Vec<_> = outline
            .nodes
            .iter()
            .map(|node| (node.layer, node.op.as_str(), node.tasks.total))
            .collect();
        assert_eq!(
            nodes,
            [
                (0, "native map", 1_000),
                (1, "native sum", 111),
                (2, "native map", 1)
            ]
        );
        let edges: Vec<_> = outline
            .edges
            .iter()
            .map(|edge| (edge.from, edge.to, edge.inputs))
            .collect();
        assert_eq!(edges, [(0, 1, 1_000), (1, 1, 110), (1, 2, 1)]);
    }

    #[test]
    fn notes_are_counted_where_no_leader_does() {
        let graph = graph();
        let view = Outline::of(&graph).with_notes(&graph, &[1, 1, 3]);
        let counts = view.layers[0].tasks;
        assert_eq!((counts.stored, counts.failed, counts.waiting), (2, 1, 997));
        assert!(!view.exact);
    }

    #[test]
    fn counts_of_another_graph_are_not_used() {
        assert_eq!(Outline::of(&graph()).with_counts(LayersAnswer::default()), None);
    }
}
