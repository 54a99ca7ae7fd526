//! One running program with its process group.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::args::CommandSpec;
use millstream_protocol::{ErrorKind, TaskError};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::output::{Reader, TooMuch};
use super::scratch::Scratch;
use super::{CommandSettings, bad_input};
use crate::group::Group;
use crate::task::TaskContext;

/// Time for what was written last to be read once the group is dead. Only a program that left its group, and holds the
/// pipe, makes us wait that long.
const DRAIN: Duration = Duration::from_secs(1);

/// How a program ended.
pub(super) enum Ended {
    /// By itself or by a signal of somebody else.
    Exited(ExitStatus, Bytes),
    /// It was stopped since the task was cancelled.
    Cancelled,
    /// It was stopped after this time.
    TimedOut(Duration),
    /// It was stopped since it wrote more than this.
    TooMuch(u64),
    /// Its end cannot be learnt.
    Broken(io::Error),
}

/// A program and all processes it started, unless they left its group. Dropping this kills them.
pub(super) struct Process {
    child: Child,
    group: Group,
    stdin: Option<ChildStdin>,
    stdout: Reader<ChildStdout>,
    stderr: Reader<ChildStderr>,
    output_limit: u64,
    kill_grace: Duration,
}

impl Process {
    pub(super) fn start(
        task: &TaskContext,
        spec: &CommandSpec,
        with_stdin: bool,
        scratch: &Scratch,
        settings: &CommandSettings,
    ) -> Result<Self, TaskError> {
        let mut command = command(task, spec, scratch, settings)?;
        command.stdin(if with_stdin { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|error| start_error(task, spec, &error))?;
        let pipes = (child.id(), child.stdout.take(), child.stderr.take());
        let (Some(id), Some(stdout), Some(stderr)) = pipes else {
            return Err(TaskError::new(
                ErrorKind::Internal,
                "a new process has no id or no pipes",
            ));
        };
        Ok(Self {
            group: Group::new(id),
            stdin: child.stdin.take(),
            child,
            stdout: Reader::new(stdout, task.log.clone(), Some(settings.output_limit)),
            stderr: Reader::new(stderr, task.log.clone(), None),
            output_limit: settings.output_limit,
            kill_grace: settings.kill_grace,
        })
    }

    /// Feeds and reads the program until it ends or must be stopped. No process of its group is left afterwards.
    pub(super) async fn run(
        &mut self,
        stdin: Option<Bytes>,
        limit: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Ended {
        let ended = match self.watch(stdin, limit, cancel).await {
            Watched::Exited(Ok(status)) => Ended::Exited(status, self.stdout.take()),
            Watched::Exited(Err(error)) => Ended::Broken(error),
            Watched::Cancelled => {
                self.stop(Some(self.kill_grace)).await;
                Ended::Cancelled
            }
            Watched::TimedOut(limit) => {
                self.stop(Some(self.kill_grace)).await;
                Ended::TimedOut(limit)
            }
            Watched::TooMuch => {
                self.stop(None).await;
                Ended::TooMuch(self.output_limit)
            }
        };
        self.group.finish();
        ended
    }

    async fn watch(
        &mut self,
        stdin: Option<Bytes>,
        limit: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Watched {
        let Self {
            child,
            group,
            stdout,
            stderr,
            ..
        } = self;
        let feed = feed(self.stdin.take(), stdin.unwrap_or_default());
        let expired = expire(limit);
        // Ends early only when too much was written.
        let streams = async {
            let feed = async {
                feed.await;
                Ok(())
            };
            tokio::try_join!(feed, stdout.read_to_end(), stderr.read_to_end()).map(|_| ())
        };
        tokio::pin!(streams, expired);
        let mut drained = false;
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Watched::Cancelled,
                limit = &mut expired => return Watched::TimedOut(limit),
                out = &mut streams, if !drained => match out {
                    Ok(()) => drained = true,
                    Err(TooMuch) => return Watched::TooMuch,
                },
                status = child.wait() => {
                    // The task ends with its program: what the program left running is not waited for.
                    group.kill();
                    if !drained && let Ok(Err(TooMuch)) = timeout(DRAIN, streams).await {
                        return Watched::TooMuch;
                    }
                    return Watched::Exited(status);
                }
            }
        }
    }

    /// Asks the group to end if there is time, then kills it, and waits for the program.
    async fn stop(&mut self, grace: Option<Duration>) {
        if let Some(grace) = grace {
            self.group.terminate();
            // An error is the time that ran out, or a process that is gone.
            let _ = timeout(grace, self.child.wait()).await;
        }
        self.group.kill();
        let _ = self.child.wait().await;
    }
}

/// What ended the wait for a program.
enum Watched {
    Exited(io::Result<ExitStatus>),
    Cancelled,
    TimedOut(Duration),
    TooMuch,
}

/// Ends after `limit`; never without one.
async fn expire(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

fn command(
    task: &TaskContext,
    spec: &CommandSpec,
    scratch: &Scratch,
    settings: &CommandSettings,
) -> Result<Command, TaskError> {
    let mut argv = spec.argv.iter();
    let program = argv.next().ok_or_else(|| bad_input("the command has no argv"))?;
    let inherited = settings
        .inherit_env
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(program);
    command
        .args(argv)
        .current_dir(working_folder(spec, scratch)?)
        .env_clear()
        .envs(inherited)
        .env("TMPDIR", scratch.path())
        .env("MILLSTREAM_JOB", task.job.to_string())
        .env("MILLSTREAM_TASK", task.task.to_string())
        .env("MILLSTREAM_ATTEMPT", task.attempt.to_string())
        .envs(&spec.env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

fn working_folder(spec: &CommandSpec, scratch: &Scratch) -> Result<PathBuf, TaskError> {
    let folder = match &spec.cwd {
        Some(cwd) => scratch.path().join(cwd),
        None => scratch.path().to_owned(),
    };
    // Else a missing folder would look like a missing program.
    if folder.is_dir() {
        Ok(folder)
    } else {
        let cwd = folder.display();
        Err(bad_input(format!(
            "the command's working folder {cwd} is no folder on this worker"
        )))
    }
}

fn start_error(task: &TaskContext, spec: &CommandSpec, error: &io::Error) -> TaskError {
    let program = spec.argv.first().map_or("", String::as_str);
    let host = &task.host;
    let message = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("program `{program}` was not found on {host}: install it there, or give its path")
        }
        io::ErrorKind::PermissionDenied => format!("program `{program}` may not be executed on {host}"),
        _ => format!("program `{program}` cannot be started on {host}: {error}"),
    };
    TaskError::new(ErrorKind::CommandFailed, message)
}

/// Writes the program's standard input and closes it. A program that does not read to the end is no error.
async fn feed(pipe: Option<ChildStdin>, bytes: Bytes) {
    if let Some(mut pipe) = pipe {
        let _ = pipe.write_all(&bytes).await;
        let _ = pipe.shutdown().await;
    }
}
