//! A private RabbitMQ server.
//!
//! RabbitMQ needs its own node name, data folder, cookie and port mapper (epmd) to leave a system's own server alone,
//! and refuses to run as root, so root runs it as the user `rabbitmq`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::process::{ChildGuard, bound_command, bound_command_as, free_port, wait_until};

/// Names a server that a test run shares, such as `amqp://guest:guest@127.0.0.1:5673`.
pub const AMQP_ENV: &str = "MILLSTREAM_TEST_AMQP";

/// The start script itself: the one on the path switches users and logs into the system's folders.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Who runs it when we are root.
const USER: &str = "rabbitmq";
/// A start takes some seconds on an idle machine, and tests share theirs.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// Attempts to start: a port that was free may be taken by the time the server binds it.
const ATTEMPTS: usize = 3;
/// What the server must not do on a machine with few cores: spin while idle.
const NO_BUSY_WAIT: &str = "+sbwt none +sbwtdcpu none +sbwtdio none";
/// The greeting of a client, and the type of the frame with which a server that is ready answers.
const AMQP_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const METHOD_FRAME: u8 = 1;

/// A RabbitMQ server, private or shared by the test run.
#[derive(Debug)]
pub struct RabbitMq {
    url: String,
    server: Option<Server>,
}

impl RabbitMq {
    /// Starts a private server and waits until it answers.
    ///
    /// # Errors
    /// If it does not start; the message ends with its log.
    pub async fn start() -> anyhow::Result<Self> {
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let mut server = Server::prepare()?;
            match server.launch().await {
                Ok(()) => {
                    return Ok(Self {
                        url: server.url(),
                        server: Some(server),
                    });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("no attempt was made")))
    }

    /// The server that all tests of this process share: the one named by [`AMQP_ENV`], else a private one that lives
    /// as long as the process. Tests keep apart by cluster names from [`crate::unique_name`].
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<RabbitMq> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || match std::env::var(AMQP_ENV) {
                Ok(url) => Ok(Self { url, server: None }),
                Err(_) => Self::start().await,
            })
            .await
    }

    /// Where it listens, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server in good order. Its data stay.
    ///
    /// # Errors
    /// If it does not stop, or was not started here.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.server()?.stop().await
    }

    /// Kills the server as a power failure would. Its data stay.
    ///
    /// # Errors
    /// If it was not started here.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.server()?.kill()
    }

    /// Sends the server a signal by name: `STOP` freezes it, `CONT` lets it go on.
    ///
    /// # Errors
    /// If it is not running, or was not started here.
    pub fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        self.server()?
            .node
            .as_ref()
            .context("the server is not running")?
            .signal(name)
    }

    /// Starts the server again with its data and port, after stopping it if it runs.
    ///
    /// # Errors
    /// If it does not start, or was not started here.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let server = self.server()?;
        server.stop().await?;
        server.launch().await
    }

    fn server(&mut self) -> anyhow::Result<&mut Server> {
        self.server
            .as_mut()
            .context("this server was not started by this test")
    }
}

/// A private server's folder, ports and processes.
#[derive(Debug)]
struct Server {
    node: Option<ChildGuard>,
    /// Erlang's port mapper: RabbitMQ would start one that outlives it.
    epmd: Option<ChildGuard>,
    /// Ends when this process does and then removes the folder.
    _janitor: Janitor,
    folder: TempDir,
    port: u16,
    dist_port: u16,
    epmd_port: u16,
}

impl Server {
    fn prepare() -> anyhow::Result<Self> {
        // Not `$TMPDIR`, which the server's user may not be allowed to enter.
        let folder = tempfile::Builder::new().prefix("ms-rabbit-").tempdir_in("/tmp")?;
        let path = folder.path();
        fs::write(path.join("enabled_plugins"), "[].\n")?;
        // Not the default of 10 % of memory and more: test machines are small and shared.
        fs::write(
            path.join("rabbitmq.conf"),
            "disk_free_limit.absolute = 50MB\nlog.console = true\n",
        )?;
        fs::create_dir(path.join("mnesia"))?;
        fs::create_dir(path.join("generated"))?;
        if runs_as_root() {
            give_to_server(path)?;
        }
        Ok(Self {
            node: None,
            epmd: None,
            _janitor: Janitor::start(path)?,
            port: free_port()?,
            dist_port: free_port()?,
            epmd_port: free_port()?,
            folder,
        })
    }

    fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        if self.epmd.is_none() {
            self.epmd = Some(self.start_epmd().await?);
        }
        self.node = Some(self.start_node()?);
        let port = self.port;
        let node = &mut self.node;
        let mut ended = None;
        let ready = wait_until("RabbitMQ to answer", START_TIMEOUT, async || {
            ended = node.as_mut().and_then(|node| node.try_wait().ok().flatten());
            ended.is_some() || answers_amqp(port)
        })
        .await;
        match (ready, ended) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(status)) => bail!("RabbitMQ ended with {status}\n{}", self.log_tail()),
            (Err(error), _) => Err(error.context(self.log_tail())),
        }
    }

    async fn start_epmd(&self) -> anyhow::Result<ChildGuard> {
        let port = self.epmd_port;
        let mut command = server_command("epmd");
        command
            .args(["-port", &port.to_string(), "-address", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It complains of every client that connects only to see whether it listens.
            .stderr(Stdio::null());
        let epmd = ChildGuard::spawn(command).context("cannot start epmd; is Erlang installed?")?;
        wait_until("epmd to listen", Duration::from_secs(10), async || {
            connect(port).is_some()
        })
        .await?;
        Ok(epmd)
    }

    fn start_node(&self) -> anyhow::Result<ChildGuard> {
        let path = self.folder.path();
        let log = File::options()
            .create(true)
            .append(true)
            .open(path.join("server.log"))?;
        let mut command = server_command(SERVER);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", path)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .envs(self.settings(path))
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        ChildGuard::spawn(command).context("cannot start RabbitMQ; is the package rabbitmq-server installed?")
    }

    fn settings(&self, path: &Path) -> Vec<(&'static str, String)> {
        let file = |name: &str| path.join(name).display().to_string();
        // With input allowed the script becomes the Erlang machine instead of waiting for it, so that its process id
        // is the server's; `-noinput` then takes the input away again.
        let erlang = format!(
            "{NO_BUSY_WAIT} -noinput -start_epmd false -kernel inet_dist_use_interface {{127,0,0,1}}"
        );
        vec![
            ("RABBITMQ_ALLOW_INPUT", "1".to_owned()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang),
            ("RABBITMQ_NODENAME", format!("ms{}@localhost", self.port)),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", self.port.to_string()),
            ("RABBITMQ_DIST_PORT", self.dist_port.to_string()),
            ("RABBITMQ_CONF_ENV_FILE", file("no-env.conf")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", file("no-advanced.config")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", file("generated")),
            ("RABBITMQ_MNESIA_BASE", file("mnesia")),
            ("RABBITMQ_LOG_BASE", file("log")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            ("RABBITMQ_FEATURE_FLAGS_FILE", file("feature_flags")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
            ("RABBITMQ_PID_FILE", file("pid")),
        ]
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        match self.node.take() {
            Some(mut node) => node.terminate().await.map(drop),
            None => Ok(()),
        }
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut node) = self.node.take() {
            node.kill()?;
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Removes a folder when this process ends without doing so: a shared server is never dropped.
#[derive(Debug)]
struct Janitor {
    process: std::process::Child,
}

impl Janitor {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        // Its input ends with us. The pause lets the kernel finish the server, which would write on.
        let process = Command::new("sh")
            .args(["-c", r#"cat > /dev/null; sleep 1; rm -rf -- "$0""#])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // The folder's own handle removes it now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server_command(program: &str) -> Command {
    if runs_as_root() {
        bound_command_as(USER, program)
    } else {
        bound_command(program)
    }
}

fn runs_as_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn give_to_server(folder: &Path) -> anyhow::Result<()> {
    let (uid, gid) = user_ids(USER)?;
    let mut pending = vec![PathBuf::from(folder)];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        }
        std::os::unix::fs::chown(&path, Some(uid), Some(gid))?;
    }
    Ok(())
}

fn user_ids(user: &str) -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let mut fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&user))
        .with_context(|| format!("no user `{user}`; is the package rabbitmq-server installed?"))?
        .into_iter()
        .skip(2);
    let mut id = || {
        fields
            .next()
            .and_then(|field| field.parse().ok())
            .context("malformed /etc/passwd")
    };
    Ok((id()?, id()?))
}

fn connect(port: u16) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
}

/// Whether a server on `port` starts AMQP's handshake. An open port is not enough: the server accepts before it is
/// ready.
fn answers_amqp(port: u16) -> bool {
    let Some(mut stream) = connect(port) else {
        return false;
    };
    let mut first = [0];
    stream.set_read_timeout(Some(Duration::from_secs(2))).is_ok()
        && stream.write_all(AMQP_HEADER).is_ok()
        && stream.read_exact(&mut first).is_ok()
        && first[0] == METHOD_FRAME
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_private_server_starts_restarts_and_leaves_nothing_behind() {
        let mut rabbit = RabbitMq::start().await.unwrap();
        let (port, folder) = {
            let server = rabbit.server().unwrap();
            (server.port, server.folder.path().to_owned())
        };
        assert!(answers_amqp(port));
        rabbit.stop().await.unwrap();
        assert!(!answers_amqp(port));
        rabbit.restart().await.unwrap();
        assert!(answers_amqp(port));
        rabbit.kill().unwrap();
        assert!(!answers_amqp(port));
        rabbit.restart().await.unwrap();
        assert!(answers_amqp(port));
        drop(rabbit);
        assert!(!answers_amqp(port));
        assert!(!folder.exists());
    }
}
