//! Layers: contiguous ranges of tasks, listed one by one or made by a rule.

use bytes::Bytes;
use millstream_types::TaskIdx;
use serde::{Deserialize, Serialize};

use super::Dep;
use crate::columns::{BytesColumn, U16s, U32s};

/// A contiguous range of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskRange {
    /// The first task.
    pub first: TaskIdx,
    /// How many.
    pub count: u32,
}

impl TaskRange {
    /// The task at `offset`.
    pub const fn at(self, offset: u32) -> TaskIdx {
        TaskIdx(self.first.0 + offset)
    }

    /// Whether `task` is in the range.
    pub const fn contains(self, task: TaskIdx) -> bool {
        task.0 >= self.first.0 && task.0 - self.first.0 < self.count
    }
}

/// A contiguous range of tasks of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Tasks listed one by one, in columns.
    Explicit(ExplicitLayer),
    /// Task `i` reads block `i` of each input; with no input, a map over `0..count`.
    Blockwise(Blockwise),
    /// A tree that combines a range into one.
    TreeReduce(TreeReduce),
    /// Each output task reads its own sub-range of every input: a shuffle's second half.
    AllToAll(AllToAll),
}

/// Tasks listed one by one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExplicitLayer {
    /// Number of tasks.
    pub count: u32,
    /// Operation per task; one entry means the same for all.
    pub ops: U16s,
    /// Options per task; one entry means the same for all.
    pub options: U16s,
    /// Where each task's inputs begin in `dep_tasks`, and the end; none if no task has inputs.
    pub dep_offsets: U32s,
    /// Producers, task by task.
    pub dep_tasks: U32s,
    /// Sub-range read of each producer, [`ExplicitLayer::WHOLE`] for all of it; none if all are whole.
    pub dep_parts: U32s,
    /// Parameters per task.
    pub params: BytesColumn,
}

impl ExplicitLayer {
    /// In `dep_parts`: the whole object.
    pub const WHOLE: u32 = u32::MAX;

    /// The range of a task's inputs in `dep_tasks`.
    pub fn dep_range(&self, i: u32) -> std::ops::Range<usize> {
        match (
            self.dep_offsets.get(i as usize),
            self.dep_offsets.get(i as usize + 1),
        ) {
            (Some(&from), Some(&to)) => from as usize..to as usize,
            _ => 0..0,
        }
    }
}

/// An input of a [`Blockwise`] layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockInput {
    /// Task `i` reads the output of the range's task `i`.
    Aligned(TaskRange),
    /// Every task reads this one task's output.
    Broadcast(TaskIdx),
}

/// `count` tasks of one operation; task `i` reads block `i` of each input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blockwise {
    /// Number of tasks.
    pub count: u32,
    /// Their operation.
    pub op: u16,
    /// Their options.
    pub options: u16,
    /// What each reads.
    pub inputs: Vec<BlockInput>,
}

/// Combines a range by a tree of the given fan-in; the layer's last task is the root.
///
/// Level 1 has `ceil(count / fan_in)` tasks over the input, level 2 combines those, until one is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeReduce {
    /// The tasks whose outputs are combined.
    pub input: TaskRange,
    /// How many inputs a task combines; at least 2.
    pub fan_in: u32,
    /// The combining operation.
    pub op: u16,
    /// Its options.
    pub options: u16,
}

impl TreeReduce {
    /// The sizes of the levels, from the one that reads the input to the root.
    fn levels(&self) -> impl Iterator<Item = u32> {
        let fan_in = self.fan_in.max(2);
        let mut width = self.input.count;
        let mut done = width == 0;
        std::iter::from_fn(move || {
            if done {
                return None;
            }
            width = width.div_ceil(fan_in);
            done = width == 1;
            Some(width)
        })
    }

    /// The tasks that task `i` of a layer beginning at `first` combines.
    fn inputs_of(&self, first: u32, i: u32) -> TaskRange {
        let mut below = self.input;
        let mut start = 0;
        for width in self.levels() {
            if i < start + width {
                let from = (i - start) * self.fan_in.max(2);
                let count = self.fan_in.max(2).min(below.count - from);
                return TaskRange {
                    first: below.at(from),
                    count,
                };
            }
            below = TaskRange {
                first: TaskIdx(first + start),
                count: width,
            };
            start += width;
        }
        TaskRange {
            first: TaskIdx(0),
            count: 0,
        }
    }

    /// The task of the layer that reads `task`, if any does.
    fn reader_of(&self, first: u32, task: TaskIdx) -> Option<TaskIdx> {
        let mut below = self.input;
        let mut start = first;
        for width in self.levels() {
            if below.contains(task) {
                return Some(TaskIdx(start + (task.0 - below.first.0) / self.fan_in.max(2)));
            }
            below = TaskRange {
                first: TaskIdx(start),
                count: width,
            };
            start += width;
        }
        None
    }
}

/// `outputs` tasks; task `j` reads sub-range `j` of every input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllToAll {
    /// The tasks whose outputs have `outputs` sub-ranges each.
    pub input: TaskRange,
    /// Number of tasks.
    pub outputs: u32,
    /// Their operation.
    pub op: u16,
    /// Their options.
    pub options: u16,
}

impl Layer {
    /// Number of tasks.
    pub fn len(&self) -> u32 {
        match self {
            Self::Explicit(layer) => layer.count,
            Self::Blockwise(layer) => layer.count,
            Self::TreeReduce(layer) => layer.levels().fold(0, u32::saturating_add),
            Self::AllToAll(layer) => layer.outputs,
        }
    }

    /// Whether the layer has no tasks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a rule makes the tasks. Such tasks get their index in the layer as parameter.
    pub const fn is_symbolic(&self) -> bool {
        !matches!(self, Self::Explicit(_))
    }

    /// The operation of task `i` of the layer.
    pub fn op_of(&self, i: u32) -> u16 {
        match self {
            Self::Explicit(layer) => one_or_each(&layer.ops, i),
            Self::Blockwise(layer) => layer.op,
            Self::TreeReduce(layer) => layer.op,
            Self::AllToAll(layer) => layer.op,
        }
    }

    /// The options of task `i` of the layer.
    pub fn options_of(&self, i: u32) -> u16 {
        match self {
            Self::Explicit(layer) => one_or_each(&layer.options, i),
            Self::Blockwise(layer) => layer.options,
            Self::TreeReduce(layer) => layer.options,
            Self::AllToAll(layer) => layer.options,
        }
    }

    /// The parameters of task `i` of the layer.
    pub fn params_of(&self, i: u32) -> Bytes {
        match self {
            Self::Explicit(layer) => layer.params.slice(i as usize),
            _ => Bytes::new(),
        }
    }

    /// Number of inputs of task `i` of a layer beginning at `first`.
    pub fn dep_count(&self, first: u32, i: u32) -> u32 {
        match self {
            Self::Explicit(layer) => u32::try_from(layer.dep_range(i).len()).unwrap_or(u32::MAX),
            Self::Blockwise(layer) => u32::try_from(layer.inputs.len()).unwrap_or(u32::MAX),
            Self::TreeReduce(layer) => layer.inputs_of(first, i).count,
            Self::AllToAll(layer) => layer.input.count,
        }
    }

    /// Calls `visit` for each input of task `i` of a layer beginning at `first`.
    pub fn for_each_dep(&self, first: u32, i: u32, mut visit: impl FnMut(Dep)) {
        match self {
            Self::Explicit(layer) => {
                for at in layer.dep_range(i) {
                    let part = layer
                        .dep_parts
                        .get(at)
                        .copied()
                        .filter(|part| *part != ExplicitLayer::WHOLE);
                    if let Some(task) = layer.dep_tasks.get(at) {
                        visit(Dep {
                            task: TaskIdx(*task),
                            part,
                        });
                    }
                }
            }
            Self::Blockwise(layer) => {
                for input in &layer.inputs {
                    visit(Dep::whole(match input {
                        BlockInput::Aligned(range) => range.at(i),
                        BlockInput::Broadcast(task) => *task,
                    }));
                }
            }
            Self::TreeReduce(layer) => {
                let inputs = layer.inputs_of(first, i);
                (0..inputs.count).for_each(|offset| visit(Dep::whole(inputs.at(offset))));
            }
            Self::AllToAll(layer) => {
                for offset in 0..layer.input.count {
                    visit(Dep {
                        task: layer.input.at(offset),
                        part: Some(i),
                    });
                }
            }
        }
    }

    /// Calls `visit` for each task of this symbolic layer, which begins at `first`, that reads `task`, once per read.
    ///
    /// An explicit layer has no rule to ask: whoever needs its readers inverts its columns once.
    pub fn for_each_symbolic_reader(&self, first: u32, task: TaskIdx, mut visit: impl FnMut(TaskIdx)) {
        match self {
            Self::Explicit(_) => {}
            Self::Blockwise(layer) => {
                for input in &layer.inputs {
                    match input {
                        BlockInput::Aligned(range) if range.contains(task) => {
                            visit(TaskIdx(first + (task.0 - range.first.0)));
                        }
                        BlockInput::Broadcast(source) if *source == task => {
                            (first..first + layer.count).for_each(|reader| visit(TaskIdx(reader)));
                        }
                        _ => {}
                    }
                }
            }
            Self::TreeReduce(layer) => {
                if let Some(reader) = layer.reader_of(first, task) {
                    visit(reader);
                }
            }
            Self::AllToAll(layer) => {
                if layer.input.contains(task) {
                    (first..first + layer.outputs).for_each(|reader| visit(TaskIdx(reader)));
                }
            }
        }
    }
}

fn one_or_each(column: &U16s, i: u32) -> u16 {
    match column.as_slice() {
        [only] => *only,
        each => each.get(i as usize).copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deps(layer: &Layer, first: u32, i: u32) -> Vec<u32> {
        let mut tasks = Vec::new();
        layer.for_each_dep(first, i, |dep| tasks.push(dep.task.0));
        tasks
    }

    #[test]
    fn tree_reduce_ends_in_one_root() {
        let input = TaskRange {
            first: TaskIdx(0),
            count: 10,
        };
        let layer = Layer::TreeReduce(TreeReduce {
            input,
            fan_in: 4,
            op: 0,
            options: 0,
        });
        assert_eq!(layer.len(), 3 + 1);
        assert_eq!(deps(&layer, 10, 2), [8, 9]);
        assert_eq!(deps(&layer, 10, 3), [10, 11, 12]);
    }

    #[test]
    fn a_single_input_still_gets_a_root() {
        let input = TaskRange {
            first: TaskIdx(5),
            count: 1,
        };
        let layer = Layer::TreeReduce(TreeReduce {
            input,
            fan_in: 2,
            op: 0,
            options: 0,
        });
        assert_eq!(layer.len(), 1);
        assert_eq!(deps(&layer, 6, 0), [5]);
    }

    #[test]
    fn readers_invert_deps() {
        let range = TaskRange {
            first: TaskIdx(0),
            count: 23,
        };
        let layers = [
            Layer::TreeReduce(TreeReduce {
                input: range,
                fan_in: 3,
                op: 0,
                options: 0,
            }),
            Layer::AllToAll(AllToAll {
                input: range,
                outputs: 7,
                op: 0,
                options: 0,
            }),
            Layer::Blockwise(Blockwise {
                count: 23,
                op: 0,
                options: 0,
                inputs: vec![BlockInput::Aligned(range), BlockInput::Broadcast(TaskIdx(4))],
            }),
        ];
        for layer in layers {
            let first = 23;
            let mut forward = Vec::new();
            let mut backward = Vec::new();
            for i in 0..layer.len() {
                layer.for_each_dep(first, i, |dep| forward.push((dep.task.0, first + i)));
            }
            for task in 0..first + layer.len() {
                layer
                    .for_each_symbolic_reader(first, TaskIdx(task), |reader| backward.push((task, reader.0)));
            }
            forward.sort_unstable();
            backward.sort_unstable();
            assert_eq!(forward, backward);
        }
    }
}
