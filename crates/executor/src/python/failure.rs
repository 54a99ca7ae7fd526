//! What is said when a Python task fails.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::ByteSize;

use super::frame::{Greeting, Raised};
use super::memory;
use super::op::PythonOp;

/// Why a slot killed its own process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Killed {
    /// Its task was told to stop and did not.
    Stopped,
    /// All executors held too much memory, and this one the most.
    Memory {
        /// What it held.
        held: u64,
        /// What all may hold.
        limit: u64,
    },
    /// The whole worker was short of memory, and this executor held the most.
    Short {
        /// What it held.
        held: u64,
    },
    /// Its task waits for other tasks, as so many do that no process is left for them.
    NoneLeft {
        /// How many tasks of a worker may wait.
        limit: usize,
    },
    /// It did not begin what it was sent.
    Hung(Duration),
    /// It sent something that is no answer.
    Confused,
}

/// An exception.
pub(super) fn raised(raised: Raised) -> TaskError {
    let kind = match raised.kind {
        2 => ErrorKind::Unpicklable,
        3 => ErrorKind::BadInput,
        4 => ErrorKind::Environment,
        5 => ErrorKind::OutOfMemory,
        6 => ErrorKind::Cancelled,
        _ => ErrorKind::User,
    };
    TaskError {
        traceback: Some(raised.traceback.into_boxed_str()).filter(|text| !text.is_empty()),
        exception: Some(raised.exception)
            .filter(|bytes| !bytes.is_empty())
            .map(Box::new),
        ..TaskError::new(kind, raised.message)
    }
}

/// The process died while it ran a task.
pub(super) fn died(
    name: &str,
    status: Option<ExitStatus>,
    killed: Option<Killed>,
    oom_kill: bool,
    held: u64,
) -> TaskError {
    let how = status.map_or_else(|| "an unknown status".to_owned(), memory::describe);
    let error = match killed {
        Some(Killed::Stopped) => TaskError::new(
            ErrorKind::Cancelled,
            format!("`{name}` was stopped; it did not listen, so its process was killed"),
        ),
        Some(Killed::Memory { held, limit }) => TaskError::new(
            ErrorKind::OutOfMemory,
            format!(
                "`{name}` was killed: its process held {} and all python tasks of this worker may hold {}; give it smaller pieces, or the worker more memory (worker.memory_limit)",
                ByteSize::new(held),
                ByteSize::new(limit)
            ),
        ),
        Some(Killed::Short { held }) => TaskError::new(
            ErrorKind::OutOfMemory,
            format!(
                "`{name}` was killed: the worker was about to run out of memory (worker.terminate), and of all python processes this one held the most, {}; give it smaller pieces, or the worker more memory (worker.memory_limit)",
                ByteSize::new(held)
            ),
        ),
        Some(Killed::NoneLeft { limit }) => TaskError::new(
            ErrorKind::User,
            format!(
                "`{name}` was killed: it waited for tasks of its own, as {limit} tasks of this worker already did; let fewer tasks submit others and wait for them, or use more workers"
            ),
        ),
        Some(Killed::Hung(patience)) => TaskError::new(
            ErrorKind::ExecutorDied,
            format!("`{name}` was killed: its process did not begin it within {patience:?}"),
        ),
        Some(Killed::Confused) => TaskError::new(
            ErrorKind::ExecutorDied,
            format!("the process that ran `{name}` was killed: it sent bytes that are no answer"),
        ),
        None if oom_kill && status.and_then(|status| status.signal()) == Some(libc::SIGKILL) => {
            TaskError::new(
                ErrorKind::OutOfMemory,
                format!(
                    "the system killed `{name}` because memory ran out; its process held {} when last measured",
                    ByteSize::new(held)
                ),
            )
        }
        None => TaskError::new(
            ErrorKind::ExecutorDied,
            format!("`{name}` ended its process with {how}; the worker goes on with a new one"),
        ),
    };
    TaskError {
        exit_code: status.and_then(|status| status.code()),
        signal: status.and_then(|status| status.signal()),
        ..error
    }
}

/// A task that was stopped before its code began.
pub(super) fn cancelled() -> TaskError {
    TaskError::new(ErrorKind::Cancelled, "the task was cancelled before it began")
}

/// Refuses a function of another minor version: its byte code would not run, or worse, would.
pub(super) fn check_version(op: &PythonOp, greeting: &Greeting) -> Result<(), TaskError> {
    let Some(client) = op.python.as_deref() else {
        return Ok(());
    };
    let minor = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    if minor(client) == minor(&greeting.version) {
        return Ok(());
    }
    Err(TaskError::new(
        ErrorKind::Environment,
        format!(
            "`{}` was pickled by python {client}, this worker runs python {} ({}): use the same minor version on both sides, or name an interpreter of the worker in env={{'python': ...}}",
            op.spec.name, greeting.version, greeting.executable
        ),
    ))
}

/// Python tasks are switched off.
pub(super) fn not_allowed() -> TaskError {
    TaskError::new(
        ErrorKind::UnknownOp,
        "python tasks are switched off on this worker (python.allow)",
    )
}
