//! Python functions, run by warm processes: one for each slot, fed in batches over a socket.
//!
//! ```text
//!  PythonPool ──queue──► slot.rs (a thread) ──frames──► process.rs ══socket══► millstream/_executor/main.py
//!                            │                              ├──── page.rs  ◄── which task runs, what it printed
//!                            └─► failure.rs                 └──── value.rs ◄─► large values in sealed memory
//! ```
//!
//! Responsible for the processes, for what travels to and from them, and for telling which task ended how, whatever its
//! code did to its process. A slot's thread never runs users' code, so a worker outlives any task. See
//! `docs/adr/0005-python-runs-in-processes-of-its-own.md` and `docs/reference/executor-protocol.md`.

mod devices;
mod environment;
mod failure;
mod flight;
mod frame;
mod install;
mod memory;
mod op;
mod pace;
mod page;
mod pool;
mod process;
mod runtime;
mod secret;
mod settings;
mod slot;
mod stack;
mod sys;
mod turns;
mod value;

use std::fs::File;
use std::io;
use std::sync::Arc;

use millstream_store::{Format, Payload};

use crate::task::TaskOutput;

pub use pool::{PythonMemory, PythonPool, PythonWork};
pub use settings::{GatewayAccess, PythonSettings};
pub use stack::{PythonStacks, TaskStack};

/// A task's output out of a file of `size` bytes that holds a Python value as clients pickle it.
///
/// # Errors
/// A file that cannot be read, or no memory.
pub fn value_of_file(file: File, size: u64) -> io::Result<TaskOutput> {
    let value = value::SealedValue::of_file(file, size)?;
    Ok(TaskOutput::new(Payload::Shared(Arc::new(value)), Format::Pickle))
}
