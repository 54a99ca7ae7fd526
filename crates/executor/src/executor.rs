//! Executors by kind of operation.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_protocol::ErrorKind;
use millstream_protocol::graph::OpKind;

use crate::native::NativeExecutor;
use crate::task::{TaskContext, TaskFailure, TaskResult};

/// Runs the operations of one kind that wait: for a process, for a query. Native functions do not; see
/// [`crate::slots`].
#[async_trait]
pub trait Executor: Send + Sync {
    /// The kind of operation.
    fn kind(&self) -> OpKind;

    /// Runs one task to its end. Must return soon after `task.cancel` is set, with nothing left behind.
    async fn run(&self, task: TaskContext) -> TaskResult;
}

/// The executors of a worker.
#[derive(Clone)]
pub struct ExecutorSet {
    native: Arc<NativeExecutor>,
    others: BTreeMap<OpKind, Arc<dyn Executor>>,
}

impl ExecutorSet {
    /// A set that runs native functions only.
    pub const fn new(native: Arc<NativeExecutor>) -> Self {
        Self {
            native,
            others: BTreeMap::new(),
        }
    }

    /// Adds the executor of another kind.
    #[must_use]
    pub fn with(mut self, executor: Arc<dyn Executor>) -> Self {
        self.others.insert(executor.kind(), executor);
        self
    }

    /// The executor of native functions, to be driven by a [`crate::SlotPool`].
    pub const fn native(&self) -> &Arc<NativeExecutor> {
        &self.native
    }

    /// The executor of any other kind.
    pub fn get(&self, kind: OpKind) -> Result<&Arc<dyn Executor>, TaskFailure> {
        self.others.get(&kind).ok_or_else(|| {
            TaskFailure::new(
                ErrorKind::UnknownOp,
                format!("this worker runs no {} operations", kind.name()),
            )
        })
    }
}
