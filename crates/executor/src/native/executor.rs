//! Calls native functions on the current thread.

use millstream_protocol::{ErrorKind, TaskError};
use millstream_store::{Format, Payload};

use super::call::NativeCall;
use super::ctx::TaskCtx;
use super::panics::{self, Panicked};
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
        if task.cancel.is_cancelled() {
            return Err(TaskFailure::new(
                ErrorKind::Cancelled,
                "the task was cancelled before it began",
            ));
        }
        let function = self.find(&task.op.name)?;
        let mut ctx = TaskCtx::new(task);
        let mut call = NativeCall::new(&mut ctx, task)?;
        let result = match panics::catch(|| function.call(&mut call)) {
            Ok(result) => result,
            Err(panicked) => Err(panic_error(&task.op.name, panicked)),
        };
        match result {
            Ok(value) => {
                let mut output = TaskOutput::new(Payload::single(value), Format::MsgPack);
                output.extension = ctx.into_extension();
                output.log = task.log.finish();
                Ok(output)
            }
            Err(mut error) => {
                error.host = Some(task.host.to_string());
                let log = task.log.finish();
                let error = Box::new(error);
                Err(TaskFailure { error, log })
            }
        }
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

fn panic_error(name: &str, panicked: Panicked) -> TaskError {
    let Panicked { message, location } = panicked;
    let place = location.map(|place| format!(" at {place}")).unwrap_or_default();
    TaskError::new(
        ErrorKind::Panicked,
        format!("`{name}` panicked{place}: {message}"),
    )
}
