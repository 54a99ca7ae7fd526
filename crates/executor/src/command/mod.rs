//! Commands: programs in a scratch folder of their own.
//!
//! Responsible for starting a program, feeding and reading it, and leaving nothing behind: not a process of its group,
//! not a file of its folder. It does not confine a program: what the worker's user may do, a command may do.

mod output;
mod process;
mod scratch;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_protocol::args::{CommandBytes, CommandSpec};
use millstream_protocol::graph::OpKind;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_store::{Format, Payload};

use crate::executor::Executor;
use crate::task::{TaskContext, TaskFailure, TaskOutput, TaskResult};

use process::{Ended, Process};
use scratch::Scratch;

/// What commands may do on this worker.
#[derive(Debug, Clone)]
pub struct CommandSettings {
    /// Whether commands are run at all.
    pub allowed: bool,
    /// Variables of the worker's environment that commands inherit. The others may hold secrets.
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

    async fn try_run(&self, task: &TaskContext) -> Result<TaskOutput, TaskError> {
        if !self.settings.allowed {
            return Err(TaskError::new(
                ErrorKind::UnknownOp,
                "command tasks are switched off on this worker (worker.allow_command)",
            ));
        }
        let spec = parse(task)?;
        let files = spec
            .files_in
            .iter()
            .map(|(path, source)| Ok((path.clone(), resolve(task, source)?)))
            .collect::<Result<Vec<_>, TaskError>>()?;
        let stdin = spec
            .stdin
            .as_ref()
            .map(|source| resolve(task, source))
            .transpose()?;
        let scratch = Scratch::create(&task.scratch, files).await?;
        let ended = self.execute(task, &spec, stdin, &scratch).await;
        let output = match ended {
            Ok(stdout) => self.collect(&spec, stdout, &scratch).await,
            Err(error) => Err(error),
        };
        scratch.remove().await;
        output
    }

    /// Runs the program to its end, the task's timeout or its cancellation; returns its standard output.
    async fn execute(
        &self,
        task: &TaskContext,
        spec: &CommandSpec,
        stdin: Option<Bytes>,
        scratch: &Scratch,
    ) -> Result<Bytes, TaskError> {
        let mut process = Process::start(task, spec, stdin.is_some(), scratch, &self.settings)?;
        let timeout = task.options.timeout_ms.map(Duration::from_millis);
        let ended = process.run(stdin, timeout, &task.cancel).await;
        let program = spec.argv.first().map_or("", String::as_str);
        match ended {
            Ended::Exited(status, stdout) if status.success() => Ok(stdout),
            Ended::Exited(status, _) => Err(output::exit_error(program, status, task)),
            Ended::Cancelled => Err(TaskError::new(
                ErrorKind::Cancelled,
                format!("`{program}` was stopped since its task was cancelled"),
            )),
            Ended::TimedOut(limit) => Err(output::timeout_error(program, limit, task)),
            Ended::TooMuch(limit) => Err(TaskError::new(
                ErrorKind::OutOfMemory,
                format!(
                    "`{program}` wrote more than {limit} bytes to its standard output, the limit of a value; write files, or less"
                ),
            )),
            Ended::Broken(error) => Err(TaskError::new(
                ErrorKind::Internal,
                format!("`{program}` cannot be waited for: {error}"),
            )),
        }
    }

    async fn collect(
        &self,
        spec: &CommandSpec,
        stdout: Bytes,
        scratch: &Scratch,
    ) -> Result<TaskOutput, TaskError> {
        let mut left = self.settings.output_limit.saturating_sub(stdout.len() as u64);
        let mut parts = vec![stdout];
        for path in &spec.files_out {
            let bytes = scratch.read(path, left).await?;
            left = left.saturating_sub(bytes.len() as u64);
            parts.push(bytes);
        }
        Ok(TaskOutput::new(Payload::Bytes(parts), Format::Raw))
    }
}

#[async_trait]
impl Executor for CommandExecutor {
    fn kind(&self) -> OpKind {
        OpKind::Command
    }

    async fn run(&self, task: TaskContext) -> TaskResult {
        let result = self.try_run(&task).await;
        let log = task.log.finish();
        match result {
            Ok(mut output) => {
                output.log = log;
                Ok(output)
            }
            Err(mut error) => {
                error.host = Some(task.host.to_string());
                let error = Box::new(error);
                Err(TaskFailure { error, log })
            }
        }
    }
}

fn bad_input(message: impl Into<String>) -> TaskError {
    TaskError::new(ErrorKind::BadInput, message)
}

fn parse(task: &TaskContext) -> Result<CommandSpec, TaskError> {
    let params = if task.params.is_empty() {
        &task.op.params
    } else {
        &task.params
    };
    let spec = CommandSpec::from_params(params)
        .map_err(|error| bad_input(format!("the command is malformed: {error}")))?;
    match spec.argv.first() {
        None => return Err(bad_input("the command has no argv")),
        Some(program) if program.is_empty() => return Err(bad_input("the command's program is empty")),
        Some(_) => {}
    }
    let texts = spec.argv.iter().chain(spec.env.keys()).chain(spec.env.values());
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(bad_input("the command's argv or env contains a zero byte"));
    }
    if let Some(name) = spec.env.keys().find(|name| name.is_empty() || name.contains('=')) {
        return Err(bad_input(format!(
            "`{name}` is no name of an environment variable"
        )));
    }
    Ok(spec)
}

fn resolve(task: &TaskContext, source: &CommandBytes) -> Result<Bytes, TaskError> {
    match source {
        CommandBytes::Literal(bytes) => Ok(bytes.clone()),
        CommandBytes::Input(number) => {
            let input = task.inputs.get(*number as usize);
            let input = input.ok_or_else(|| bad_input(format!("the task has no input {number}")))?;
            input
                .value()
                .map_err(|error| bad_input(format!("input {number} cannot be read: {error}")))
        }
    }
}
