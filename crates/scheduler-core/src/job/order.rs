//! The static order of explicit tasks: depth first, so that what was made is read, and freed, soon.
//!
//! A simplified, linear form of `dask.order`: the tasks in post-order of a depth-first walk from the tasks nobody
//! reads, in natural order.

use millstream_protocol::graph::Layer;

/// Ranks of the given explicit layers' tasks, layer by layer, for those layers whose order is not the natural one.
///
/// The ranks are the tasks' own numbers, permuted; they compare with the numbers of other layers.
pub(crate) fn depth_first(layers: &[(u32, &Layer)], first_new: u32) -> Vec<(u32, Vec<u32>)> {
    let walk = Walk::new(layers, first_new);
    let order = walk.run();
    let numbers = layers
        .iter()
        .flat_map(|(first, layer)| *first..*first + layer.len());
    let natural = numbers.clone().eq(order.iter().copied());
    if natural {
        return Vec::new();
    }
    let mut ranks: Vec<(u32, Vec<u32>)> = layers
        .iter()
        .map(|(first, layer)| (*first, vec![0; layer.len() as usize]))
        .collect();
    for (rank, task) in numbers.zip(order) {
        let at = walk.layer_at(task);
        let (first, column) = &mut ranks[at];
        column[(task - *first) as usize] = rank;
    }
    ranks
}

struct Walk<'a> {
    layers: &'a [(u32, &'a Layer)],
    base: u32,
    span: usize,
}

impl<'a> Walk<'a> {
    fn new(layers: &'a [(u32, &'a Layer)], base: u32) -> Self {
        let end = layers.last().map_or(base, |(first, layer)| first + layer.len());
        Self {
            layers,
            base,
            span: (end - base) as usize,
        }
    }

    fn layer_at(&self, task: u32) -> usize {
        self.layers
            .partition_point(|(first, _)| *first <= task)
            .saturating_sub(1)
    }

    fn deps(&self, task: u32, into: &mut Vec<u32>) {
        let (first, layer) = self.layers[self.layer_at(task)];
        into.clear();
        layer.for_each_dep(first, task - first, |dep| {
            if dep.task.0 >= self.base && self.holds(dep.task.0) {
                into.push(dep.task.0);
            }
        });
    }

    /// Whether `task` is in one of these layers, and not in a symbolic one between them.
    fn holds(&self, task: u32) -> bool {
        let (first, layer) = self.layers[self.layer_at(task)];
        task >= first && task - first < layer.len()
    }

    fn run(&self) -> Vec<u32> {
        let mut read = vec![false; self.span];
        let mut deps = Vec::new();
        for task in self.tasks() {
            self.deps(task, &mut deps);
            for dep in &deps {
                read[(dep - self.base) as usize] = true;
            }
        }
        let mut seen = vec![false; self.span];
        let mut order = Vec::new();
        for task in self.tasks().filter(|task| !read[(task - self.base) as usize]) {
            self.descend(task, &mut seen, &mut order);
        }
        order
    }

    fn tasks(&self) -> impl Iterator<Item = u32> + '_ {
        self.layers
            .iter()
            .flat_map(|(first, layer)| *first..*first + layer.len())
    }

    /// Appends `root` behind everything below it. A pushed task is either opened (its inputs pushed) or written.
    fn descend(&self, root: u32, seen: &mut [bool], order: &mut Vec<u32>) {
        const OPENED: u64 = 1 << 32;
        let mut stack = vec![u64::from(root)];
        let mut deps = Vec::new();
        while let Some(top) = stack.pop() {
            let task = top as u32;
            if top & OPENED != 0 {
                order.push(task);
                continue;
            }
            if std::mem::replace(&mut seen[(task - self.base) as usize], true) {
                continue;
            }
            stack.push(top | OPENED);
            self.deps(task, &mut deps);
            let unseen = deps
                .iter()
                .rev()
                .filter(|dep| !seen[(**dep - self.base) as usize]);
            stack.extend(unseen.map(|dep| u64::from(*dep)));
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_protocol::graph::{Dep, Graph, GraphBuilder, OpSpec, TaskOptions};
    use millstream_types::TaskIdx;

    use super::*;

    /// A graph of explicit tasks, each given by the tasks that it reads.
    fn graph(inputs: &[&[usize]]) -> Graph {
        let mut graph = GraphBuilder::new();
        let (op, options) = (
            graph.op(OpSpec::native("f")),
            graph.options(TaskOptions::default()),
        );
        let mut tasks: Vec<TaskIdx> = Vec::new();
        for inputs in inputs {
            let deps: Vec<Dep> = inputs.iter().map(|input| Dep::whole(tasks[*input])).collect();
            tasks.push(graph.task(op, options, b"", &deps));
        }
        graph.finish()
    }

    /// The ranks of the tasks of a graph's one layer; none if they are the tasks' own numbers.
    fn ranks(inputs: &[&[usize]]) -> Option<Vec<u32>> {
        let graph = graph(inputs);
        let layers: Vec<(u32, &Layer)> = graph.layers.iter().map(|layer| (0, layer)).collect();
        assert_eq!(layers.len(), 1);
        depth_first(&layers, 0).pop().map(|(_, ranks)| ranks)
    }

    #[test]
    fn what_was_loaded_is_reduced_before_the_next_is_loaded() {
        // Three loads, then their three reducers, then the sum of these.
        let ranks = ranks(&[&[], &[], &[], &[0], &[1], &[2], &[3, 4, 5]]);
        // load 0, reduce 0, load 1, reduce 1, load 2, reduce 2, sum.
        assert_eq!(ranks, Some(vec![0, 2, 4, 1, 3, 5, 6]));
    }

    #[test]
    fn a_shared_input_comes_once_before_its_first_reader() {
        // Two readers of task 1, the second of which also reads task 0: the walk begins with the reader named first.
        let ranks = ranks(&[&[], &[], &[1], &[0, 1]]);
        assert_eq!(ranks, Some(vec![2, 0, 1, 3]));
    }

    #[test]
    fn a_natural_order_that_is_depth_first_needs_no_ranks() {
        assert_eq!(ranks(&[&[], &[0], &[], &[2], &[1, 3]]), None);
    }
}
