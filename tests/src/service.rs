//! One started process and its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;
use millstream_testkit::ChildGuard;

/// Lines of a log that are shown.
const TAIL: usize = 60;

/// A running process. Killed when dropped; the end of its log is then written to standard error, which the test runner
/// shows only of tests that fail.
#[derive(Debug)]
pub struct Service {
    name: String,
    log: PathBuf,
    process: ChildGuard,
}

impl Service {
    /// Starts `command`, which comes from [`crate::program`], with its output in `folder`/`name`.log.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir(folder);
        let process = ChildGuard::spawn(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            log: path,
            process,
        })
    }

    /// What the test calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Everything it wrote.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    /// If the system cannot.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        Ok(())
    }

    /// Stops it from running without ending it: its connections stay open.
    ///
    /// # Errors
    /// If it is gone.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.process.signal("STOP")
    }

    /// Ends [`Service::freeze`].
    ///
    /// # Errors
    /// If it is gone.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.process.signal("CONT")
    }

    /// Sends a signal by name.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.process.signal(name)
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// If it does not; it is killed then.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.terminate().await
    }
}

impl Drop for Service {
    #[expect(clippy::print_stderr, reason = "the test runner shows it of tests that fail")]
    fn drop(&mut self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL)..];
        eprintln!(
            "---- {} (process {}), last {} of {} lines\n{}",
            self.name,
            self.pid(),
            tail.len(),
            lines.len(),
            tail.join("\n")
        );
    }
}
