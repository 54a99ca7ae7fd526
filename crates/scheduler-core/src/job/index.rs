//! Who reads a task's output, and where a task stands in its job's order. Built once per graph or extension.

use millstream_protocol::graph::{BlockInput, Dep, Graph, Layer};
use millstream_types::TaskIdx;

use super::order;

/// Deepest chain of symbolic layers followed to find a task's place in the order.
const MAX_ORDER_DEPTH: u32 = 16;

/// The inverse of a graph's inputs, and its order.
#[derive(Debug, Default)]
pub(crate) struct GraphIndex {
    /// First task of each layer.
    starts: Vec<u32>,
    readers: Vec<ReaderTable>,
    /// Positions of symbolic layers with inputs.
    symbolic: Vec<usize>,
    ranks: Vec<Ranks>,
    tasks: u32,
}

/// The readers in the explicit layers of one graph or extension: rows of producers `first..`, a range of `readers` each.
#[derive(Debug)]
struct ReaderTable {
    producers: Producers,
    offsets: Vec<u32>,
    readers: Vec<u32>,
}

#[derive(Debug)]
enum Producers {
    /// Every task from the first.
    Dense { first: u32 },
    /// These, in order.
    Sparse(Vec<u32>),
}

/// The depth-first order of an explicit layer, where it is not simply the natural one.
#[derive(Debug)]
struct Ranks {
    first: u32,
    ranks: Vec<u32>,
}

impl GraphIndex {
    /// Indexes the layers from position `from_layer` on, which were appended to `graph`.
    pub(crate) fn extend(&mut self, graph: &Graph, from_layer: usize) {
        let first_new = self.tasks;
        for (at, layer) in graph.layers.iter().enumerate().skip(from_layer) {
            self.starts.push(self.tasks);
            if has_rule_inputs(layer) {
                self.symbolic.push(at);
            }
            self.tasks += layer.len();
        }
        let explicit: Vec<(u32, &Layer)> = (from_layer..graph.layers.len())
            .filter(|at| !graph.layers[*at].is_symbolic())
            .map(|at| (self.starts[at], &graph.layers[at]))
            .collect();
        if explicit.is_empty() {
            return;
        }
        if let Some(table) = invert(&explicit) {
            self.readers.push(table);
        }
        for (first, ranks) in order::depth_first(&explicit, first_new) {
            self.ranks.push(Ranks { first, ranks });
        }
    }

    /// The position of the layer that holds `task`, and its first task.
    pub(crate) fn locate(&self, task: u32) -> (usize, u32) {
        let at = match self.starts.as_slice() {
            [only] => return (0, *only),
            starts => starts.partition_point(|first| *first <= task).saturating_sub(1),
        };
        // Empty layers share their start with the next one; the last of equals holds the task.
        (at, self.starts.get(at).copied().unwrap_or_default())
    }

    /// Calls `visit` for each input of `task`.
    pub(crate) fn for_each_dep(&self, graph: &Graph, task: u32, visit: impl FnMut(Dep)) {
        let (at, first) = self.locate(task);
        if let Some(layer) = graph.layers.get(at) {
            layer.for_each_dep(first, task - first, visit);
        }
    }

    /// Number of inputs of `task`.
    pub(crate) fn dep_count(&self, graph: &Graph, task: u32) -> u32 {
        let (at, first) = self.locate(task);
        graph
            .layers
            .get(at)
            .map_or(0, |layer| layer.dep_count(first, task - first))
    }

    /// Calls `visit` for each reader of `task`, once per edge.
    pub(crate) fn for_each_reader(&self, graph: &Graph, task: u32, mut visit: impl FnMut(u32)) {
        for table in &self.readers {
            table.of(task).iter().for_each(|reader| visit(*reader));
        }
        for at in &self.symbolic {
            graph.layers[*at]
                .for_each_symbolic_reader(self.starts[*at], TaskIdx(task), |reader| visit(reader.0));
        }
    }

    /// Number of edges that read `task`.
    pub(crate) fn reader_count(&self, graph: &Graph, task: u32) -> u32 {
        let listed: usize = self.readers.iter().map(|table| table.of(task).len()).sum();
        let ruled: u32 = self
            .symbolic
            .iter()
            .map(|at| symbolic_reader_count(&graph.layers[*at], self.starts[*at], task))
            .sum();
        listed as u32 + ruled
    }

    /// Where `task` stands in its job: lower runs first. A task made by a rule stands with its last input, so that what
    /// can free memory goes before what takes more.
    pub(crate) fn order(&self, graph: &Graph, task: u32) -> u32 {
        let mut task = task;
        for _ in 0..MAX_ORDER_DEPTH {
            let (at, first) = self.locate(task);
            match graph.layers.get(at) {
                Some(Layer::Explicit(_)) => return self.rank(task),
                Some(layer) => match last_input(layer, first, task - first) {
                    Some(input) if input < task => task = input,
                    _ => return task,
                },
                None => return task,
            }
        }
        task
    }

    fn rank(&self, task: u32) -> u32 {
        let at = self.ranks.partition_point(|ranks| ranks.first <= task);
        at.checked_sub(1)
            .and_then(|at| {
                let ranks = &self.ranks[at];
                ranks.ranks.get((task - ranks.first) as usize)
            })
            .copied()
            .unwrap_or(task)
    }

    /// Heap bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let tables: usize = self
            .readers
            .iter()
            .map(|table| 4 * (table.offsets.capacity() + table.readers.capacity()))
            .sum();
        let ranks: usize = self.ranks.iter().map(|ranks| 4 * ranks.ranks.capacity()).sum();
        tables + ranks
    }
}

impl ReaderTable {
    fn of(&self, task: u32) -> &[u32] {
        let row = match &self.producers {
            Producers::Dense { first } => match task.checked_sub(*first) {
                Some(row) => row as usize,
                None => return &[],
            },
            Producers::Sparse(tasks) => match tasks.binary_search(&task) {
                Ok(row) => row,
                Err(_) => return &[],
            },
        };
        match (self.offsets.get(row), self.offsets.get(row + 1)) {
            (Some(&from), Some(&to)) => &self.readers[from as usize..to as usize],
            _ => &[],
        }
    }
}

/// Inverts the inputs of explicit layers by counting.
fn invert(layers: &[(u32, &Layer)]) -> Option<ReaderTable> {
    let mut edges = 0_usize;
    let (mut least, mut most) = (u32::MAX, 0);
    for_each_edge(layers, |producer, _| {
        edges += 1;
        least = least.min(producer);
        most = most.max(producer);
    });
    if edges == 0 {
        return None;
    }
    let span = (most - least) as usize + 1;
    if span > 4 * edges + 1024 {
        return Some(invert_sparse(layers, edges));
    }
    let mut offsets = vec![0_u32; span + 1];
    for_each_edge(layers, |producer, _| {
        offsets[(producer - least) as usize + 1] += 1
    });
    for row in 0..span {
        offsets[row + 1] += offsets[row];
    }
    let mut readers = vec![0_u32; edges];
    let mut next = offsets.clone();
    for_each_edge(layers, |producer, reader| {
        let slot = &mut next[(producer - least) as usize];
        readers[*slot as usize] = reader;
        *slot += 1;
    });
    Some(ReaderTable {
        producers: Producers::Dense { first: least },
        offsets,
        readers,
    })
}

fn invert_sparse(layers: &[(u32, &Layer)], edges: usize) -> ReaderTable {
    let mut pairs = Vec::with_capacity(edges);
    for_each_edge(layers, |producer, reader| pairs.push((producer, reader)));
    pairs.sort_unstable();
    let mut tasks = Vec::new();
    let mut offsets = Vec::new();
    for (at, (producer, _)) in pairs.iter().enumerate() {
        if tasks.last() != Some(producer) {
            tasks.push(*producer);
            offsets.push(at as u32);
        }
    }
    offsets.push(edges as u32);
    ReaderTable {
        producers: Producers::Sparse(tasks),
        offsets,
        readers: pairs.into_iter().map(|(_, reader)| reader).collect(),
    }
}

fn for_each_edge(layers: &[(u32, &Layer)], mut visit: impl FnMut(u32, u32)) {
    for (first, layer) in layers {
        for i in 0..layer.len() {
            layer.for_each_dep(*first, i, |dep| visit(dep.task.0, first + i));
        }
    }
}

fn has_rule_inputs(layer: &Layer) -> bool {
    match layer {
        Layer::Explicit(_) => false,
        Layer::Blockwise(layer) => !layer.inputs.is_empty(),
        Layer::TreeReduce(_) | Layer::AllToAll(_) => true,
    }
}

fn symbolic_reader_count(layer: &Layer, first: u32, task: u32) -> u32 {
    match layer {
        Layer::Explicit(_) => 0,
        Layer::Blockwise(rule) => rule
            .inputs
            .iter()
            .map(|input| match input {
                // The range may be longer than the layer.
                BlockInput::Aligned(range) if range.contains(TaskIdx(task)) => {
                    u32::from(task - range.first.0 < rule.count)
                }
                BlockInput::Broadcast(source) if source.0 == task => rule.count,
                _ => 0,
            })
            .sum(),
        Layer::AllToAll(rule) => {
            if rule.input.contains(TaskIdx(task)) {
                rule.outputs
            } else {
                0
            }
        }
        Layer::TreeReduce(_) => {
            let mut count = 0;
            layer.for_each_symbolic_reader(first, TaskIdx(task), |_| count += 1);
            count
        }
    }
}

fn last_input(layer: &Layer, first: u32, i: u32) -> Option<u32> {
    match layer {
        Layer::Explicit(_) => None,
        Layer::Blockwise(rule) => rule.inputs.iter().find_map(|input| match input {
            BlockInput::Aligned(range) => Some(range.at(i).0),
            BlockInput::Broadcast(_) => None,
        }),
        Layer::TreeReduce(_) => {
            let mut last = None;
            layer.for_each_dep(first, i, |dep| last = Some(dep.task.0));
            last
        }
        Layer::AllToAll(rule) => rule
            .input
            .count
            .checked_sub(1)
            .map(|offset| rule.input.at(offset).0),
    }
}
