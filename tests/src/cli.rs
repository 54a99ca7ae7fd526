//! The command line, as a user calls it.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use millstream_testkit::ChildGuard;
use tempfile::TempDir;

use crate::http::Api;
use crate::program;

/// Pause between two looks at a running command.
const POLL: Duration = Duration::from_millis(10);

/// A finished command.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A place to run commands from: a working folder, a home of its own, and perhaps a gateway.
#[derive(Debug)]
pub struct Shell {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    child: ChildGuard,
    files: TempDir,
}

impl Shell {
    /// A shell whose commands bring a cluster of their own.
    ///
    /// # Errors
    /// If no folder can be made.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let home = folder.path().display().to_string();
        let spill = folder.path().join("spill").display().to_string();
        let scratch = folder.path().join("scratch").display().to_string();
        Ok(Self {
            variables: vec![
                ("HOME".to_owned(), home.clone()),
                ("XDG_CONFIG_HOME".to_owned(), home),
                (program::variable("worker.spill_dir"), spill),
                (program::variable("worker.scratch_dir"), scratch),
            ],
            folder,
        })
    }

    /// A shell whose commands use this gateway.
    ///
    /// # Errors
    /// If no folder can be made.
    pub fn on(api: &Api) -> anyhow::Result<Self> {
        let mut shell = Self::new()?;
        shell.set("MILLSTREAM_GATEWAY", api.url());
        shell.set("MILLSTREAM_TOKEN", api.token());
        Ok(shell)
    }

    /// Sets an environment variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// What is set for its commands.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.variables.iter();
        variables.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The working folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the working folder.
    ///
    /// # Errors
    /// If it cannot.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.folder.path().join(name), text)?;
        Ok(())
    }

    /// Starts `millstream` with these arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Started> {
        let mut command = program::command()?;
        command.args(arguments);
        self.launch(command, Stdio::null())
    }

    /// As [`Shell::run`], with this text on standard input.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub async fn feed(&self, arguments: &[&str], text: &str) -> anyhow::Result<Output> {
        let mut input = tempfile::tempfile()?;
        input.write_all(text.as_bytes())?;
        input.rewind()?;
        let mut command = program::command()?;
        command.args(arguments);
        self.launch(command, input.into())?
            .finish(Duration::from_secs(120))
            .await
    }

    /// As [`Shell::start`], on a terminal: what it writes to either stream arrives in [`Output::out`], with the marks
    /// by which a terminal's lines are written again.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_on_terminal(&self, arguments: &[&str]) -> anyhow::Result<Started> {
        let quoted: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let launcher = [
            "sh",
            "-c",
            "exec script --quiet --return --command \"'$0' $1\" /dev/null",
        ];
        let mut command = program::command_under(&launcher.map(str::to_owned))?;
        command
            .arg(quoted.join(" "))
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm");
        self.launch(command, Stdio::null())
    }

    fn launch(&self, mut command: Command, input: Stdio) -> anyhow::Result<Started> {
        let files = tempfile::tempdir()?;
        command
            .envs(self.variables())
            .current_dir(self.folder.path())
            .stdin(input)
            .stdout(File::create(files.path().join("out"))?)
            .stderr(File::create(files.path().join("err"))?);
        let child = ChildGuard::spawn(command)?;
        Ok(Started { child, files })
    }

    /// Runs `millstream` with these arguments to its end.
    ///
    /// # Errors
    /// If it does not end within two minutes.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.start(arguments)?
            .finish(Duration::from_secs(120))
            .await
            .with_context(|| format!("millstream {}", arguments.join(" ")))
    }

    /// Runs `millstream`, which must end with exit code 0, and returns its standard output.
    ///
    /// # Errors
    /// If it ends otherwise.
    pub async fn data(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments).await?;
        if output.code != Some(0) {
            bail!("millstream {}: {output:?}", arguments.join(" "));
        }
        Ok(output.out)
    }
}

impl Started {
    /// Sends a signal by name.
    ///
    /// # Errors
    /// If the command has ended.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.child.signal(name)
    }

    /// What it has written to standard error so far.
    pub fn err(&self) -> String {
        self.read("err")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it does not end in time; it is killed then.
    pub async fn finish(mut self, within: Duration) -> anyhow::Result<Output> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Output {
                    code: status.code(),
                    out: self.read("out"),
                    err: self.read("err"),
                });
            }
            if Instant::now() > deadline {
                bail!(
                    "still running after {within:?}: {}{}",
                    self.read("out"),
                    self.err()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read(self.files.path().join(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}
