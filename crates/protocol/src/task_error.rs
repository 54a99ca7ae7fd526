//! Why a task did not produce its output.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The class of a task's failure. Its [`ErrorKind::code`] is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The user's code returned an error or raised.
    User,
    /// A native function panicked.
    Panicked,
    /// A command ended with a non-zero code or by a signal.
    CommandFailed,
    /// The task ran longer than its `timeout`.
    TimedOut,
    /// The job's deadline passed.
    DeadlineExceeded,
    /// The worker has no such function or kind of operation.
    UnknownOp,
    /// Arguments or inputs do not fit the operation.
    BadInput,
    /// An input failed, so this task cannot run.
    UpstreamFailed,
    /// The task was executing on workers that died, too often.
    KilledWorkers,
    /// Uploaded data is gone with all its copies.
    InputLost,
    /// An output that cannot be made again the same way was lost after it was used.
    IndeterminateLoss,
    /// `rerun="never"`, and the worker was lost after the start.
    RerunForbidden,
    /// Inputs or output cannot fit into the worker's memory.
    OutOfMemory,
    /// The spill folder is full or broken.
    SpillFailed,
    /// No worker can ever meet the task's resources or restrictions.
    Unschedulable,
    /// A query that cannot be planned.
    InvalidQuery,
    /// A file that is unreadable, malformed, or changed meanwhile. Workers of before say so of missing files, too.
    BadFile,
    /// The job was cancelled.
    Cancelled,
    /// The process that ran the task died: by a signal, or by an exit of its own.
    ExecutorDied,
    /// The task's result cannot be pickled.
    Unpicklable,
    /// What the task needs to run, such as its interpreter or a module, is not on the worker.
    Environment,
    /// A file that no worker has.
    FileNotFound,
    /// A file outside the folders that tasks may read or write.
    OutsideRoots,
    /// Something that should not happen; the message says what.
    Internal,
}

impl ErrorKind {
    /// The stable code users see.
    pub const fn code(self) -> &'static str {
        match self {
            Self::User => "user_error",
            Self::Panicked => "panicked",
            Self::CommandFailed => "command_failed",
            Self::TimedOut => "timed_out",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::UnknownOp => "unknown_op",
            Self::BadInput => "bad_input",
            Self::UpstreamFailed => "upstream_failed",
            Self::KilledWorkers => "killed_workers",
            Self::InputLost => "input_lost",
            Self::IndeterminateLoss => "indeterminate_loss",
            Self::RerunForbidden => "rerun_forbidden",
            Self::OutOfMemory => "out_of_memory",
            Self::SpillFailed => "spill_failed",
            Self::Unschedulable => "unschedulable",
            Self::InvalidQuery => "invalid_query",
            Self::BadFile => "bad_file",
            Self::Cancelled => "cancelled",
            Self::ExecutorDied => "executor_died",
            Self::Unpicklable => "unpicklable",
            Self::Environment => "environment_failed",
            Self::FileNotFound => "file_not_found",
            Self::OutsideRoots => "outside_roots",
            Self::Internal => "internal",
        }
    }

    /// Whether running the task again could help, so that `retries` apply.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::User
                | Self::Panicked
                | Self::CommandFailed
                | Self::TimedOut
                | Self::OutOfMemory
                | Self::SpillFailed
                | Self::ExecutorDied
                | Self::Internal
        )
    }
}

/// A failure as it is reported, journaled and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// Its class.
    pub kind: ErrorKind,
    /// What happened, naming the thing, and what to do about it.
    pub message: String,
    /// A command's exit code.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal that ended the process.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The host it happened on.
    #[serde(default)]
    pub host: Option<String>,
    /// The last output of the task.
    #[serde(default)]
    pub log_tail: Option<String>,
    /// The traceback of an exception, from the user's first line on.
    #[serde(default)]
    pub traceback: Option<Box<str>>,
    /// The exception itself, pickled, of at most 64 KiB. In a box, because errors are returned by value.
    #[serde(default)]
    pub exception: Option<Box<Bytes>>,
}

impl TaskError {
    /// An error without exit code, host, output or exception.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            exit_code: None,
            signal: None,
            host: None,
            log_tail: None,
            traceback: None,
            exception: None,
        }
    }
}

impl std::fmt::Display for TaskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.message)
    }
}

impl std::error::Error for TaskError {}
