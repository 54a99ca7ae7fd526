//! A task as an executor sees it: what goes in and what comes out.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_protocol::graph::{GraphExtension, OpSpec, TaskOptions};
use millstream_protocol::wire::TaskLog;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_store::{Format, Object, Payload, Pinned, SharedObject};
use millstream_types::{Attempt, JobId, TaskIdx};
use tokio_util::sync::CancellationToken;

use crate::log::LogCapture;

/// One input, in memory and pinned there while the task runs.
#[derive(Debug, Clone)]
pub struct Input(Pinned);

impl Input {
    /// How its bytes are read.
    pub fn format(&self) -> Format {
        self.0.format()
    }

    /// Its typed data and the part that is read, where it was not encoded.
    pub fn shared(&self) -> Option<(Arc<dyn SharedObject>, Option<u32>)> {
        self.0.shared()
    }

    /// The pinned object.
    pub fn object(&self) -> &Pinned {
        &self.0
    }

    /// The bytes of its first part: all of a native value, the standard output of a command.
    pub fn value(&self) -> io::Result<Bytes> {
        self.0.value()
    }
}

impl From<Pinned> for Input {
    fn from(object: Pinned) -> Self {
        Self(object)
    }
}

impl From<Object> for Input {
    fn from(object: Object) -> Self {
        Self(object.into())
    }
}

/// One attempt of one task.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// The attempt.
    pub attempt: Attempt,
    /// What to do.
    pub op: Arc<OpSpec>,
    /// How to run it.
    pub options: Arc<TaskOptions>,
    /// The task's own parameters.
    pub params: Bytes,
    /// The task's number within its symbolic layer.
    pub index: Option<u32>,
    /// Its inputs in order.
    pub inputs: Vec<Input>,
    /// Set when the task should stop.
    pub cancel: CancellationToken,
    /// Where its output is kept.
    pub log: LogCapture,
    /// The folder in which a task that needs one makes a folder of its own.
    pub scratch: Arc<Path>,
    /// The job's name for display.
    pub label: Arc<str>,
    /// The host it runs on, for error messages.
    pub host: Arc<str>,
}

/// What a task made.
#[derive(Debug, Clone)]
pub struct TaskOutput {
    /// The object.
    pub payload: Payload,
    /// How its bytes are read.
    pub format: Format,
    /// Tasks to add to the job.
    pub extension: Option<Box<GraphExtension>>,
    /// What it wrote, if anything.
    pub log: Option<Box<TaskLog>>,
}

impl TaskOutput {
    /// A plain value.
    pub const fn new(payload: Payload, format: Format) -> Self {
        Self {
            payload,
            format,
            extension: None,
            log: None,
        }
    }
}

/// Why a task made nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct TaskFailure {
    /// The error as it is reported.
    pub error: Box<TaskError>,
    /// What it wrote, if anything.
    pub log: Option<Box<TaskLog>>,
}

impl TaskFailure {
    /// A failure without output.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        TaskError::new(kind, message).into()
    }
}

impl From<TaskError> for TaskFailure {
    fn from(error: TaskError) -> Self {
        Self {
            error: Box::new(error),
            log: None,
        }
    }
}

/// How a task ended.
pub type TaskResult = Result<TaskOutput, TaskFailure>;
