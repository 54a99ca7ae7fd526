//! Runs one task: finds the code for its operation, hands it its inputs, and turns what happens into an output or a
//! typed failure.
//!
//! Responsible for native functions ([`native`]), for the threads they run on ([`slots`]) and what these use of the processor, for commands ([`command`])
//! and for the processes that Python functions run in ([`python`]). It decides nothing about when or where tasks run and keeps no task after its end.

pub mod builtin;
pub mod command;
mod cpu;
mod executor;
mod group;
mod guardian;
mod log;
pub mod native;
pub mod python;
pub mod slots;
mod task;
mod threads;

pub use command::{CommandExecutor, CommandSettings};
pub use cpu::CpuProbe;
pub use executor::{Executor, ExecutorSet};
pub use log::LogCapture;
pub use millstream_macros::task;
pub use native::{DuplicateFunction, NativeExecutor, NativeFunction, NativeRegistry, TaskCtx, Variadic};
pub use python::{
    GatewayAccess, PythonMemory, PythonPool, PythonSettings, PythonStacks, PythonWork, TaskStack,
    value_of_file,
};
pub use slots::{SlotPool, SlotResults, SlotWork};
pub use task::{Input, TaskContext, TaskFailure, TaskOutput, TaskResult};
pub use threads::Threads;

// The name that `#[task]` writes, so that this crate's own functions use the same macro as everybody's.
extern crate self as millstream;

/// What code made by `#[task]` names. No part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::native::call::{NativeCall, NativeResult, encode_value, user_error};
    pub use crate::native::{NativeFunction, TaskCtx};
    pub use inventory;
}
