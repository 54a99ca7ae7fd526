//! Graph extensions: the tasks that a finished task adds to its own job.

use millstream_types::TaskIdx;
use serde::{Deserialize, Serialize};

use super::{BlockInput, Graph, GraphError, GraphLimits, KeyRange, Layer, TaskRange};

/// Task numbers from here on name nodes of the fragment itself; lower ones name tasks the job already has.
pub const FRAGMENT_BASE: u32 = 1 << 31;

/// Names node `i` of a fragment.
pub const fn fragment_task(i: u32) -> TaskIdx {
    TaskIdx(FRAGMENT_BASE + i)
}

/// Tasks to add to a job, and which of them stands in for the task that adds them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GraphExtension {
    /// The new tasks. Inputs and ranges are absolute for old tasks, [`fragment_task`] for new ones.
    /// Its `outputs` become wanted outputs of the job.
    pub fragment: Graph,
    /// The task whose output takes the place of the extending task's own: readers of the one read the other.
    /// None: the extending task's own output stands.
    pub replacement: Option<TaskIdx>,
}

/// Why an extension cannot be joined to its job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// The fragment is malformed in itself or with its job.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The replacement is no task of the job or of the fragment.
    #[error("the replacement {0} is no task of the job")]
    UnknownReplacement(TaskIdx),
    /// The replacement would read the task it replaces for ever.
    #[error("task {0} cannot replace itself")]
    SelfReplacement(TaskIdx),
}

impl GraphExtension {
    /// Renumbers the fragment to follow `job`'s tasks, and checks it. Returns the layers, ready to append, with
    /// operations and options already shifted; `self.replacement` becomes absolute.
    pub fn rebase(
        mut self,
        job: &Graph,
        extender: TaskIdx,
        limits: &GraphLimits,
    ) -> Result<Self, ExtensionError> {
        let base = job.task_count();
        let shift = |task: &mut TaskIdx| {
            if task.0 >= FRAGMENT_BASE {
                task.0 = (task.0 - FRAGMENT_BASE).saturating_add(base);
            }
        };
        let op_shift = u16::try_from(job.ops.len()).unwrap_or(u16::MAX);
        let options_shift = u16::try_from(job.options.len()).unwrap_or(u16::MAX);
        for layer in &mut self.fragment.layers {
            shift_layer(layer, shift, op_shift, options_shift);
        }
        for range in &mut self.fragment.keys.0 {
            match range {
                KeyRange::Named { tasks, .. } | KeyRange::Numbered { tasks, .. } => shift(&mut tasks.first),
            }
        }
        shift_column(&mut self.fragment.outputs, shift);
        if let Some(replacement) = &mut self.replacement {
            shift(replacement);
        }
        self.fragment.validate_extension(job, limits)?;
        let end = base + self.fragment.task_count();
        match self.replacement {
            Some(task) if task == extender => Err(ExtensionError::SelfReplacement(task)),
            Some(task) if task.0 >= end => Err(ExtensionError::UnknownReplacement(task)),
            _ => Ok(self),
        }
    }
}

impl Graph {
    /// Appends a rebased fragment.
    pub fn append(&mut self, fragment: Self) {
        self.ops.extend(fragment.ops);
        self.options.extend(fragment.options);
        self.layers.extend(fragment.layers);
        self.keys.0.extend(fragment.keys.0);
        self.outputs.extend(fragment.outputs.iter());
    }
}

fn shift_column(column: &mut [u32], shift: impl Fn(&mut TaskIdx)) {
    for value in column {
        let mut task = TaskIdx(*value);
        shift(&mut task);
        *value = task.0;
    }
}

fn shift_layer(layer: &mut Layer, shift: impl Fn(&mut TaskIdx), op_shift: u16, options_shift: u16) {
    let shift_range = |range: &mut TaskRange| shift(&mut range.first);
    let (op, options) = match layer {
        Layer::Explicit(layer) => {
            shift_column(&mut layer.dep_tasks, shift);
            layer
                .ops
                .iter_mut()
                .for_each(|op| *op = op.saturating_add(op_shift));
            layer
                .options
                .iter_mut()
                .for_each(|options| *options = options.saturating_add(options_shift));
            return;
        }
        Layer::Blockwise(layer) => {
            for input in &mut layer.inputs {
                match input {
                    BlockInput::Aligned(range) => shift_range(range),
                    BlockInput::Broadcast(task) => shift(task),
                }
            }
            (&mut layer.op, &mut layer.options)
        }
        Layer::TreeReduce(layer) => {
            shift_range(&mut layer.input);
            (&mut layer.op, &mut layer.options)
        }
        Layer::AllToAll(layer) => {
            shift_range(&mut layer.input);
            (&mut layer.op, &mut layer.options)
        }
    };
    *op = op.saturating_add(op_shift);
    *options = options.saturating_add(options_shift);
}
