//! Objects of other jobs as inputs.

use millstream_types::JobId;
use serde::{Deserialize, Serialize};

use super::{Graph, Layer, OpKind};
use crate::codec::{self, DecodeError, EncodeError};

/// What a task of kind [`OpKind::Import`] stands for: the task's own parameters, encoded with field names.
///
/// `{"task": {"job": <16 bytes>, "task": {"index": 3}}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportSource {
    /// The output of a task of another job.
    Task {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskName,
    },
}

/// How a task of another job is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskName {
    /// By its number.
    Index(u32),
    /// By the user's key.
    Key(String),
}

impl ImportSource {
    /// The output of task number `index` of `job`.
    pub const fn task(job: JobId, index: u32) -> Self {
        Self::Task {
            job,
            task: TaskName::Index(index),
        }
    }

    /// The job whose object it is.
    pub const fn job(&self) -> JobId {
        match self {
            Self::Task { job, .. } => *job,
        }
    }

    /// Reads a task's parameters.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(params: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(params)
    }

    /// A task's parameters.
    ///
    /// # Errors
    /// Never in practice: names and numbers always encode.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        codec::encode_named(self)
    }
}

impl std::fmt::Display for ImportSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Task { job, task } => match task {
                TaskName::Index(index) => write!(f, "task number {index} of job {job}"),
                TaskName::Key(key) => write!(f, "task `{key}` of job {job}"),
            },
        }
    }
}

impl Graph {
    /// Whether some operation is an import.
    pub fn has_imports(&self) -> bool {
        self.ops.iter().any(|op| op.kind == OpKind::Import)
    }

    /// Calls `visit` for each import of the layers from position `from_layer` on: its number and its parameters.
    pub fn for_each_import(&self, from_layer: usize, mut visit: impl FnMut(u32, &[u8])) {
        if !self.has_imports() {
            return;
        }
        let mut first = 0;
        for (at, layer) in self.layers.iter().enumerate() {
            if at >= from_layer {
                self.for_each_import_of(layer, |i, params| visit(first + i, params));
            }
            first += layer.len();
        }
    }

    /// Calls `visit` for each import of a layer: its place in the layer and its parameters.
    fn for_each_import_of(&self, layer: &Layer, mut visit: impl FnMut(u32, &[u8])) {
        if layer.is_symbolic() {
            return;
        }
        for i in 0..layer.len() {
            let op = self.ops.get(usize::from(layer.op_of(i)));
            if op.is_some_and(|op| op.kind == OpKind::Import) {
                visit(i, &layer.params_of(i));
            }
        }
    }
}
