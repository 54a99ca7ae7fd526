//! Commands: programs in a scratch folder of their own.

use std::time::Duration;

use async_trait::async_trait;
use millstream_protocol::ErrorKind;
use millstream_protocol::graph::OpKind;

use crate::executor::Executor;
use crate::task::{TaskContext, TaskFailure, TaskResult};

/// What commands may do on this worker.
#[derive(Debug, Clone)]
pub struct CommandSettings {
    /// Whether commands are run at all.
    pub allowed: bool,
    /// Variables of the worker's environment that commands inherit.
    pub inherit_env: Vec<String>,
    /// Most bytes of standard output and of files taken from a command.
    pub output_limit: u64,
    /// Time between asking a command to stop and killing it.
    pub kill_grace: Duration,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            allowed: true,
            inherit_env: ["PATH", "HOME", "LANG", "LC_ALL", "TZ"]
                .map(str::to_owned)
                .to_vec(),
            output_limit: 1 << 30,
            kill_grace: Duration::from_secs(2),
        }
    }
}

/// Runs command tasks.
pub struct CommandExecutor {
    settings: CommandSettings,
}

impl CommandExecutor {
    /// An executor with these settings.
    pub const fn new(settings: CommandSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl Executor for CommandExecutor {
    fn kind(&self) -> OpKind {
        OpKind::Command
    }

    async fn run(&self, _task: TaskContext) -> TaskResult {
        let reason = if self.settings.allowed {
            "not supported yet"
        } else {
            "switched off"
        };
        Err(TaskFailure::new(
            ErrorKind::UnknownOp,
            format!("command tasks are {reason} on this worker"),
        ))
    }
}
