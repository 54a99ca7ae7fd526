//! Builds graphs task by task, sharing equal operations and options.

use std::collections::HashMap;

use millstream_types::TaskIdx;

use super::{
    AllToAll, BlockInput, Blockwise, Dep, ExplicitLayer, Graph, KeyRange, Layer, OpSpec, TaskOptions,
    TaskRange, TreeReduce,
};
use crate::columns::{BytesColumnBuilder, U16s, U32s};

/// Collects tasks into a [`Graph`]. Explicit tasks added in a row share one layer.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
    op_index: HashMap<(super::OpKind, String, bytes::Bytes), u16>,
    open: Option<OpenLayer>,
    next: u32,
    base: u32,
}

#[derive(Debug, Default)]
struct OpenLayer {
    first: u32,
    ops: Vec<u16>,
    options: Vec<u16>,
    dep_offsets: Vec<u32>,
    dep_tasks: Vec<u32>,
    dep_parts: Vec<u32>,
    params: BytesColumnBuilder,
    names: Option<BytesColumnBuilder>,
}

impl GraphBuilder {
    /// A graph without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// A fragment whose tasks are numbered from [`super::FRAGMENT_BASE`], for a [`super::GraphExtension`].
    pub fn fragment() -> Self {
        Self {
            next: super::FRAGMENT_BASE,
            base: super::FRAGMENT_BASE,
            ..Self::default()
        }
    }

    /// Number of tasks so far.
    pub const fn task_count(&self) -> u32 {
        self.next - self.base
    }

    /// The index of an operation, added if it is new.
    pub fn op(&mut self, op: OpSpec) -> u16 {
        let key = (op.kind, op.name.clone(), op.params.clone());
        let ops = &mut self.graph.ops;
        *self.op_index.entry(key).or_insert_with(|| {
            ops.push(op);
            u16::try_from(ops.len() - 1).unwrap_or(u16::MAX)
        })
    }

    /// The index of options, added if they are new.
    pub fn options(&mut self, options: TaskOptions) -> u16 {
        let known = self.graph.options.iter().position(|other| *other == options);
        let index = known.unwrap_or_else(|| {
            self.graph.options.push(options);
            self.graph.options.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Adds one task.
    pub fn task(&mut self, op: u16, options: u16, params: &[u8], deps: &[Dep]) -> TaskIdx {
        let first = self.next;
        let open = self.open.get_or_insert_with(|| OpenLayer {
            first,
            ..OpenLayer::default()
        });
        open.ops.push(op);
        open.options.push(options);
        if open.dep_offsets.is_empty() {
            open.dep_offsets.push(0);
        }
        for dep in deps {
            open.dep_tasks.push(dep.task.0);
            open.dep_parts.push(dep.part.unwrap_or(ExplicitLayer::WHOLE));
        }
        open.dep_offsets
            .push(u32::try_from(open.dep_tasks.len()).unwrap_or(u32::MAX));
        open.params.push(params);
        self.next += 1;
        TaskIdx(first)
    }

    /// Adds one task with a name. Named and unnamed tasks do not share a layer.
    pub fn named_task(&mut self, key: &str, op: u16, options: u16, params: &[u8], deps: &[Dep]) -> TaskIdx {
        if self.open.as_ref().is_some_and(|open| open.names.is_none()) {
            self.close_layer();
        }
        let task = self.task(op, options, params, deps);
        if let Some(open) = &mut self.open {
            open.names.get_or_insert_default().push(key.as_bytes());
        }
        task
    }

    /// Adds a map over `0..count`, or an element-wise step over equally long inputs.
    pub fn blockwise(&mut self, count: u32, op: u16, options: u16, inputs: Vec<BlockInput>) -> TaskRange {
        self.symbolic(Layer::Blockwise(Blockwise {
            count,
            op,
            options,
            inputs,
        }))
    }

    /// Adds a tree that combines `input`; its root is the returned range's last task.
    pub fn tree_reduce(&mut self, input: TaskRange, fan_in: u32, op: u16, options: u16) -> TaskRange {
        self.symbolic(Layer::TreeReduce(TreeReduce {
            input,
            fan_in,
            op,
            options,
        }))
    }

    /// Adds `outputs` tasks that each read their own sub-range of every input.
    pub fn all_to_all(&mut self, input: TaskRange, outputs: u32, op: u16, options: u16) -> TaskRange {
        self.symbolic(Layer::AllToAll(AllToAll {
            input,
            outputs,
            op,
            options,
        }))
    }

    /// Names the tasks of a range `prefix-0`, `prefix-1`, …
    pub fn number_keys(&mut self, tasks: TaskRange, prefix: impl Into<String>) {
        self.graph.keys.0.push(KeyRange::Numbered {
            tasks,
            prefix: prefix.into(),
        });
    }

    /// Marks a task's result as wanted.
    pub fn want(&mut self, task: TaskIdx) {
        self.graph.outputs.push(task.0);
    }

    /// The graph.
    pub fn finish(mut self) -> Graph {
        self.close_layer();
        self.graph
    }

    fn symbolic(&mut self, layer: Layer) -> TaskRange {
        self.close_layer();
        let range = TaskRange {
            first: TaskIdx(self.next),
            count: layer.len(),
        };
        self.next += range.count;
        self.graph.layers.push(layer);
        range
    }

    fn close_layer(&mut self) {
        let Some(open) = self.open.take() else { return };
        let count = u32::try_from(open.ops.len()).unwrap_or(u32::MAX);
        if let Some(names) = open.names {
            let tasks = TaskRange {
                first: TaskIdx(open.first),
                count,
            };
            self.graph.keys.0.push(KeyRange::Named {
                tasks,
                names: names.finish(),
            });
        }
        let no_deps = open.dep_tasks.is_empty();
        let all_whole = open.dep_parts.iter().all(|part| *part == ExplicitLayer::WHOLE);
        self.graph.layers.push(Layer::Explicit(ExplicitLayer {
            count,
            ops: constant_or_each(open.ops),
            options: constant_or_each(open.options),
            dep_offsets: U32s(if no_deps { Vec::new() } else { open.dep_offsets }),
            dep_tasks: U32s(open.dep_tasks),
            dep_parts: U32s(if all_whole { Vec::new() } else { open.dep_parts }),
            params: open.params.finish(),
        }));
    }
}

fn constant_or_each(mut column: Vec<u16>) -> U16s {
    if column.iter().all(|value| Some(value) == column.first()) {
        column.truncate(1);
    }
    U16s(column)
}
