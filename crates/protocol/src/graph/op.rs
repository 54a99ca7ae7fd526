//! Operations and the options of tasks.

use bytes::Bytes;
use millstream_types::{ContentKey, ResourceSet};
use serde::{Deserialize, Serialize};

/// Which executor runs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// A function compiled into the worker, by name.
    Native,
    /// A step of a query plan.
    Frame,
    /// A kernel on array blocks.
    Array,
    /// A Python function shipped as a blob.
    Python,
    /// An argv in a scratch folder.
    Command,
    /// Nothing runs: the task stands for an object of another job, see [`super::ImportSource`].
    Import,
}

impl OpKind {
    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Frame => "frame",
            Self::Array => "array",
            Self::Python => "python",
            Self::Command => "command",
            Self::Import => "import",
        }
    }
}

/// One operation that many tasks may share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpSpec {
    /// Which executor runs it.
    pub kind: OpKind,
    /// The function's name inside its executor, such as `pkg.mod:f`.
    pub name: String,
    /// Parameters that all tasks of the operation share, encoded as its executor wants them.
    #[serde(default)]
    pub params: Bytes,
    /// The hash of the code, where the code travels with the job.
    #[serde(default)]
    pub code: Option<ContentKey>,
    /// Whether the same inputs always give the same output.
    pub determinate: bool,
}

impl OpSpec {
    /// A determinate native function.
    pub fn native(name: impl Into<String>) -> Self {
        Self {
            kind: OpKind::Native,
            name: name.into(),
            params: Bytes::new(),
            code: None,
            determinate: true,
        }
    }

    /// A command; its argv travels in each task's parameters.
    pub fn command() -> Self {
        Self {
            kind: OpKind::Command,
            name: "command".to_owned(),
            params: Bytes::new(),
            code: None,
            determinate: false,
        }
    }

    /// Objects of other jobs; which one travels in each task's parameters.
    pub fn import() -> Self {
        Self {
            kind: OpKind::Import,
            name: "object".to_owned(),
            params: Bytes::new(),
            code: None,
            determinate: true,
        }
    }
}

/// The wait before a retry: `initial`, then times `factor` each time, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// Milliseconds before the first retry.
    pub initial_ms: u32,
    /// Growth per retry.
    pub factor: f32,
    /// Longest wait in milliseconds.
    pub max_ms: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial_ms: 100,
            factor: 2.0,
            max_ms: 30_000,
        }
    }
}

impl Backoff {
    /// The wait in milliseconds before retry number `retry`, which counts from 1.
    pub fn delay_ms(&self, retry: u32) -> u32 {
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = f64::from(self.initial_ms) * f64::from(self.factor.max(1.0)).powi(exponent);
        grown.min(f64::from(self.max_ms)) as u32
    }
}

/// Whether a task may run again after it has started once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rerun {
    /// A lost worker's tasks run again elsewhere.
    #[default]
    Always,
    /// A lost worker fails the task: its side effects must not happen twice.
    Never,
}

/// How a task is run. Many tasks share one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskOptions {
    /// What it takes from its worker while it runs. Without `cpu` it takes one.
    pub resources: ResourceSet,
    /// How often it is tried again after a failure of its own.
    pub retries: u32,
    /// The waits between tries.
    pub backoff: Backoff,
    /// Longest run in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Added to the job's priority; higher runs first.
    pub priority: i32,
    /// Names or addresses of the only workers it may run on; none means any.
    pub workers: Vec<String>,
    /// Whether it may run again after a start.
    pub rerun: Rerun,
}
