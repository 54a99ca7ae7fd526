//! Calls native functions on the current thread.

use millstream_protocol::ErrorKind;

use super::call::{NativeCall, payload};
use super::ctx::TaskCtx;
use super::registry::{DuplicateFunction, NativeFunction, NativeRegistry};
use crate::task::{TaskContext, TaskFailure, TaskOutput, TaskResult};

/// Runs native functions, synchronously: the caller's thread is the slot.
pub struct NativeExecutor {
    registry: &'static NativeRegistry,
}

impl NativeExecutor {
    /// An executor for all functions linked into this program.
    pub fn new() -> Result<Self, DuplicateFunction> {
        Ok(Self {
            registry: NativeRegistry::global()?,
        })
    }

    /// The functions it knows.
    pub const fn registry(&self) -> &'static NativeRegistry {
        self.registry
    }

    /// Calls the task's function. A panic within it becomes a failure.
    pub fn run_native(&self, task: &TaskContext) -> TaskResult {
        let function = self.find(&task.op.name)?;
        let mut ctx = TaskCtx::new(task);
        let mut call = NativeCall::new(&mut ctx, task)?;
        let (payload, format) = payload(function.call(&mut call)?);
        let mut output = TaskOutput::new(payload, format);
        output.extension = ctx.into_extension();
        output.log = task.log.finish();
        Ok(output)
    }

    fn find(&self, name: &str) -> Result<&'static NativeFunction, TaskFailure> {
        self.registry.get(name).ok_or_else(|| {
            let hint = match self.registry.near(name) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            TaskFailure::new(
                ErrorKind::UnknownOp,
                format!("this worker has no native function `{name}`{hint}"),
            )
        })
    }
}
