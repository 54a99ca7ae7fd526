//! What a native function may ask about its task.

use millstream_protocol::graph::GraphExtension;
use millstream_types::{Attempt, JobId, TaskIdx};
use tokio_util::sync::CancellationToken;

use crate::log::LogCapture;
use crate::task::{Input, TaskContext};

/// The first parameter of a native function that wants to know about its task.
pub struct TaskCtx<'a> {
    task: &'a TaskContext,
    extension: Option<Box<GraphExtension>>,
}

impl<'a> TaskCtx<'a> {
    pub(crate) const fn new(task: &'a TaskContext) -> Self {
        Self {
            task,
            extension: None,
        }
    }

    /// The job.
    pub const fn job(&self) -> JobId {
        self.task.job
    }

    /// The task within the job.
    pub const fn task(&self) -> TaskIdx {
        self.task.task
    }

    /// The attempt.
    pub const fn attempt(&self) -> Attempt {
        self.task.attempt
    }

    /// The job's name for display.
    pub fn label(&self) -> &str {
        &self.task.label
    }

    /// The task's number within its symbolic layer.
    pub const fn index(&self) -> Option<u32> {
        self.task.index
    }

    /// The task's inputs.
    pub fn inputs(&self) -> &[Input] {
        &self.task.inputs
    }

    /// Whether the task should stop. Long functions ask now and then.
    pub fn is_cancelled(&self) -> bool {
        self.task.cancel.is_cancelled()
    }

    /// Set when the task should stop.
    pub const fn cancellation(&self) -> &CancellationToken {
        &self.task.cancel
    }

    /// Where the task's output is kept.
    pub const fn log(&self) -> &LogCapture {
        &self.task.log
    }

    /// Adds tasks to the job when this one succeeds. The last call counts.
    pub fn extend(&mut self, extension: GraphExtension) {
        self.extension = Some(Box::new(extension));
    }

    pub(crate) fn into_extension(self) -> Option<Box<GraphExtension>> {
        self.extension
    }
}
