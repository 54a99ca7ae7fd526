//! One container, by way of the `docker` program.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use millstream_testkit::wait_until;

/// What a container may take to answer its health check on a busy machine.
const START: Duration = Duration::from_secs(90);

/// Runs a program to its end and returns what it wrote to standard output.
///
/// # Errors
/// If it cannot be started, or says by its exit code that it failed.
pub fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}", output.status, error.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs `docker` with these arguments.
///
/// # Errors
/// As [`output_of`].
pub fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    output_of(Command::new("docker").args(arguments))
}

/// A container, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    id: String,
}

impl Container {
    /// The containers that have all these labels, such as `com.docker.compose.service=worker`, whatever their state.
    ///
    /// # Errors
    /// If no daemon answers.
    pub fn labelled(labels: &[String]) -> anyhow::Result<Vec<Self>> {
        let mut arguments = vec!["ps", "--all", "--quiet", "--no-trunc"];
        let filters: Vec<String> = labels.iter().map(|label| format!("label={label}")).collect();
        for filter in &filters {
            arguments.extend(["--filter", filter]);
        }
        let ids = docker(&arguments)?;
        Ok(ids.lines().map(|id| Self { id: id.to_owned() }).collect())
    }

    /// Its host name, which is what a worker calls itself.
    ///
    /// # Errors
    /// If it is gone.
    pub fn hostname(&self) -> anyhow::Result<String> {
        self.inspect("{{.Config.Hostname}}")
    }

    /// What `docker inspect` knows, by a template.
    ///
    /// # Errors
    /// If it is gone.
    pub fn inspect(&self, template: &str) -> anyhow::Result<String> {
        docker(&["inspect", "--format", template, &self.id])
    }

    /// Its state: `running`, `paused`, `exited` or another that Docker has.
    ///
    /// # Errors
    /// If it is gone.
    pub fn state(&self) -> anyhow::Result<String> {
        self.inspect("{{.State.Status}}")
    }

    /// Kills it as a crash of its machine would; Docker does not start it again.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&self) -> anyhow::Result<()> {
        docker(&["kill", &self.id]).map(drop)
    }

    /// Starts it again.
    ///
    /// # Errors
    /// If Docker cannot.
    pub fn start(&self) -> anyhow::Result<()> {
        docker(&["start", &self.id]).map(drop)
    }

    /// Asks it to end, waits as long as its grace period says, and returns its exit code.
    ///
    /// # Errors
    /// If Docker cannot.
    pub fn stop(&self) -> anyhow::Result<String> {
        docker(&["stop", &self.id])?;
        self.inspect("{{.State.ExitCode}}")
    }

    /// Asks it to end, and starts it when it has.
    ///
    /// # Errors
    /// If Docker cannot.
    pub fn restart(&self) -> anyhow::Result<()> {
        docker(&["restart", &self.id]).map(drop)
    }

    /// Freezes its processes: their connections stay open.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        docker(&["pause", &self.id]).map(drop)
    }

    /// Ends [`Container::pause`].
    ///
    /// # Errors
    /// If it is not paused.
    pub fn unpause(&self) -> anyhow::Result<()> {
        docker(&["unpause", &self.id]).map(drop)
    }

    /// Takes it off a network.
    ///
    /// # Errors
    /// If it is not on it.
    pub fn disconnect(&self, network: &str) -> anyhow::Result<()> {
        docker(&["network", "disconnect", network, &self.id]).map(drop)
    }

    /// Puts it on a network.
    ///
    /// # Errors
    /// If it is on it already.
    pub fn connect(&self, network: &str) -> anyhow::Result<()> {
        docker(&["network", "connect", network, &self.id]).map(drop)
    }

    /// Whether it is on a network.
    ///
    /// # Errors
    /// If it is gone.
    pub fn is_on(&self, network: &str) -> anyhow::Result<bool> {
        let networks =
            self.inspect("{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}")?;
        Ok(networks.lines().any(|name| name == network))
    }

    /// Runs a program within and returns its output.
    ///
    /// # Errors
    /// If the container does not run, or the program fails.
    pub fn exec(&self, command: &[&str]) -> anyhow::Result<String> {
        let mut arguments = vec!["exec", &self.id];
        arguments.extend(command);
        docker(&arguments)
    }

    /// The id of its main process within, as `init` is the first.
    ///
    /// # Errors
    /// If it does not run.
    pub fn main_process(&self) -> anyhow::Result<String> {
        self.exec(&["cat", "/proc/1/task/1/children"])?
            .split_whitespace()
            .next()
            .map(str::to_owned)
            .context("init has no child")
    }

    /// Waits until its health check passes. This runs the check itself, because Docker does so only every few seconds.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn healthy(&self) -> anyhow::Result<()> {
        let check = self.inspect("{{json .Config.Healthcheck.Test}}")?;
        let check: Vec<String> = serde_json::from_str(&check).with_context(|| check.clone())?;
        let command: Vec<&str> = match check.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["CMD-SHELL", script] => vec!["sh", "-c", script],
            ["CMD", command @ ..] => command.to_vec(),
            other => bail!("no health check: {other:?}"),
        };
        wait_until("a container to be healthy", START, async || {
            self.exec(&command).is_ok()
        })
        .await
    }

    /// What it wrote since `since`, a time that Docker understands.
    ///
    /// # Errors
    /// If it is gone.
    pub fn log(&self, since: &str) -> anyhow::Result<String> {
        let output = Command::new("docker")
            .args(["logs", "--since", since, &self.id])
            .output()?;
        let both = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&both).into_owned())
    }
}
