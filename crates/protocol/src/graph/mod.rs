//! The task graph as jobs carry it: columnar where tasks are explicit, symbolic where a rule makes them.
//!
//! ```text
//!  Graph ── ops[]        what can be done        (a task names one by index)
//!        ├─ options[]    resources, retries, …   (likewise)
//!        ├─ layers[]     tasks 0..n, a contiguous range each
//!        ├─ keys[]       the users' names of tasks
//!        └─ outputs[]    the tasks whose results are wanted
//! ```
//!
//! A decoded graph is checked once by [`Graph::validate`]; after that every accessor is total.

mod builder;
mod extension;
mod import;
mod keys;
mod layer;
mod op;
mod validate;

use bytes::Bytes;
use millstream_types::TaskIdx;
use serde::{Deserialize, Serialize};

pub use builder::GraphBuilder;
pub use extension::{ExtensionError, FRAGMENT_BASE, GraphExtension, fragment_task};
pub use import::{ImportSource, TaskName};
pub use keys::{KeyRange, TaskKeys};
pub use layer::{AllToAll, BlockInput, Blockwise, ExplicitLayer, Layer, TaskRange, TreeReduce};
pub use op::{Backoff, OpKind, OpSpec, Rerun, TaskOptions};
pub use validate::{GraphError, GraphLimits};

/// One input of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dep {
    /// The task whose output is read.
    pub task: TaskIdx,
    /// The sub-range of that output; the whole of it if none.
    pub part: Option<u32>,
}

impl Dep {
    /// The whole output of `task`.
    pub const fn whole(task: TaskIdx) -> Self {
        Self { task, part: None }
    }
}

/// A job's tasks and how they depend on each other. Tasks are numbered densely in layer order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The operations that tasks name by index.
    pub ops: Vec<OpSpec>,
    /// The options that tasks name by index. Index 0 must exist when there are tasks.
    pub options: Vec<TaskOptions>,
    /// The tasks.
    pub layers: Vec<Layer>,
    /// The users' names.
    #[serde(default)]
    pub keys: TaskKeys,
    /// The tasks whose results are wanted.
    #[serde(default)]
    pub outputs: crate::columns::U32s,
}

impl Graph {
    /// Number of tasks.
    pub fn task_count(&self) -> u32 {
        self.layers.iter().map(Layer::len).sum()
    }

    /// The layer that holds `task`, and the index of the layer's first task.
    pub fn layer_of(&self, task: TaskIdx) -> Option<(&Layer, u32)> {
        let mut first = 0;
        for layer in &self.layers {
            if task.0 < first + layer.len() {
                return Some((layer, first));
            }
            first += layer.len();
        }
        None
    }

    /// Calls `visit` for each input of `task`, in the order the operation sees them.
    pub fn for_each_dep(&self, task: TaskIdx, visit: impl FnMut(Dep)) {
        if let Some((layer, first)) = self.layer_of(task) {
            layer.for_each_dep(first, task.0 - first, visit);
        }
    }

    /// All inputs of `task`.
    pub fn deps(&self, task: TaskIdx) -> Vec<Dep> {
        let mut deps = Vec::new();
        self.for_each_dep(task, |dep| deps.push(dep));
        deps
    }

    /// The operation of `task`.
    pub fn op_of(&self, task: TaskIdx) -> Option<&OpSpec> {
        let (layer, first) = self.layer_of(task)?;
        self.ops.get(usize::from(layer.op_of(task.0 - first)))
    }

    /// The options of `task`.
    pub fn options_of(&self, task: TaskIdx) -> Option<&TaskOptions> {
        let (layer, first) = self.layer_of(task)?;
        self.options.get(usize::from(layer.options_of(task.0 - first)))
    }

    /// The packed parameters of `task`; empty for tasks of symbolic layers, whose index in the layer is their parameter.
    pub fn params_of(&self, task: TaskIdx) -> Bytes {
        self.layer_of(task)
            .map(|(layer, first)| layer.params_of(task.0 - first))
            .unwrap_or_default()
    }

    /// The user's key of `task`.
    pub fn key_of(&self, task: TaskIdx) -> String {
        self.keys.key_of(task)
    }

    /// The task that a user calls `key`.
    pub fn task_of_key(&self, key: &str) -> Option<TaskIdx> {
        self.keys.task_of(key, self.task_count())
    }

    /// The tasks called by each of many keys.
    pub fn tasks_of_keys<S: AsRef<str>>(&self, keys: &[S]) -> Vec<Option<TaskIdx>> {
        self.keys.tasks_of(keys, self.task_count())
    }

    /// The wanted tasks.
    pub fn wanted(&self) -> impl Iterator<Item = TaskIdx> {
        self.outputs.iter().map(|task| TaskIdx(*task))
    }
}
