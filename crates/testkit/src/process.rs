//! Child processes that never outlive their test, free ports, and waiting for conditions.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Pause between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);
/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(20);

/// A command for `program` that is killed by the kernel when this process dies, however it dies. Start it with
/// [`ChildGuard::spawn`].
pub fn bound_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// As [`bound_command`], run as another user. Needs root.
pub fn bound_command_as(user: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={user}"))
        .args(["--init-groups", "--pdeathsig", "KILL", "--"])
        .arg(program);
    command
}

/// A child process that is killed when this is dropped.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
}

impl ChildGuard {
    /// Starts `command`, which should come from [`bound_command`].
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(command: Command) -> io::Result<Self> {
        spawn_on_keeper(command).map(|child| Self { child })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal by name: `TERM`, `INT`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status()?;
        if !status.success() {
            bail!("cannot send {name} to process {}: {status}", self.id());
        }
        Ok(())
    }

    /// Kills the process at once and collects it.
    ///
    /// # Errors
    /// If the system cannot.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks the process to end and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time; it is killed then.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        let deadline = Instant::now() + GRACE;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.kill()?;
                bail!(
                    "process {} did not end within {GRACE:?} and was killed",
                    self.id()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.kill();
    }
}

type SpawnJob = (Command, Sender<io::Result<Child>>);

/// Spawns on one thread that lives as long as the process: the kernel sends the death signal when the *thread* that
/// spawned a child ends, and test threads end before their process.
fn spawn_on_keeper(command: Command) -> io::Result<Child> {
    static KEEPER: OnceLock<Option<Sender<SpawnJob>>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (jobs, queue) = channel();
        let thread = std::thread::Builder::new().name("child-keeper".to_owned());
        thread.spawn(move || keep(&queue)).ok().map(|_| jobs)
    });
    let gone = || io::Error::other("the thread that starts child processes is gone");
    let (reply, answer) = channel();
    keeper
        .as_ref()
        .ok_or_else(gone)?
        .send((command, reply))
        .map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn keep(queue: &Receiver<SpawnJob>) {
    while let Ok((mut command, reply)) = queue.recv() {
        // A caller that is gone has no use for the child, which its dropped handle leaves to the kernel.
        let _ = reply.send(command.spawn());
    }
}

/// Below the range from which Linux takes the ports of outgoing connections, and above well-known servers.
const PORTS: Range<u16> = 12_000..32_000;

/// A TCP port on the loopback interface that nobody listens on.
///
/// A port that the system chooses may be taken by an outgoing connection of another test before its listener starts, so
/// these come from below that range, each tried from a random place on.
///
/// # Errors
/// If there is none.
pub fn free_port() -> anyhow::Result<u16> {
    let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
    let ports = PORTS.len() as u64;
    (0..ports)
        .filter_map(|step| u16::try_from((random % ports + step) % ports).ok())
        .map(|offset| PORTS.start + offset)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port")
}

/// A name that no other test uses: `prefix` and random digits.
pub fn unique_name(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}-{}", &random[..12])
}

/// Waits until `condition` holds.
///
/// # Errors
/// If it does not hold within the time; the message names `what`.
pub async fn wait_until<C>(what: &str, within: Duration, mut condition: C) -> anyhow::Result<()>
where
    C: AsyncFnMut() -> bool,
{
    let deadline = Instant::now() + within;
    while !condition().await {
        if Instant::now() > deadline {
            bail!("timed out after {within:?} waiting for {what}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn sleeper() -> ChildGuard {
        let mut command = bound_command("sleep");
        command.arg("600");
        ChildGuard::spawn(command).unwrap()
    }

    fn is_running(pid: u32) -> bool {
        std::path::Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn dropping_the_guard_kills_the_child() {
        let child = sleeper();
        let pid = child.id();
        assert!(is_running(pid));
        drop(child);
        assert!(!is_running(pid));
    }

    #[tokio::test]
    async fn children_outlive_the_thread_that_asked_for_them() {
        let mut child = std::thread::spawn(sleeper).join().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        assert!(!child.terminate().await.unwrap().success());
    }

    #[tokio::test]
    async fn waiting_names_what_did_not_happen() {
        let error = wait_until("the moon", Duration::from_millis(50), async || false)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("the moon"), "{error}");
    }
}
