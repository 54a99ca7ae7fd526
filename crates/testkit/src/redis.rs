//! Private Redis servers for tests: started on a free loopback port, killed, restarted, gone with the test.
//!
//! Owns the servers it starts and their folders. Never touches a server that it did not start.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::process::{ChildGuard, bound_command, free_port};

/// Names a running server that tests may share; each uses a cluster name of its own.
pub const TEST_REDIS_VARIABLE: &str = "MILLSTREAM_TEST_REDIS";

/// A server that does not answer by then will not answer.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How often a starting server is asked.
const POLL: Duration = Duration::from_millis(5);
/// A server that is up answers within this.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// Somebody else may take a free port before the server does.
const PORT_TRIES: usize = 5;

/// A Redis server of one test, with AOF `everysec` and `noeviction` as in production.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    options: Vec<(String, String)>,
    process: Option<ChildGuard>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If `redis-server` is not installed or does not come up; the error holds the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with further options, such as `("requirepass", "secret")`.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_with(options: &[(&str, &str)]) -> Result<Self> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut server = Self {
            folder: new_folder()?,
            port: free_port()?,
            options: options.iter().map(owned).collect(),
            process: None,
        };
        for _ in 1..PORT_TRIES {
            if server.launch().await.is_ok() {
                return Ok(server);
            }
            server.port = free_port()?;
        }
        server.launch().await.map(|()| server)
    }

    /// Where clients find it; names the password if the options set one.
    pub fn url(&self) -> String {
        let login = self
            .password()
            .map(|password| format!(":{password}@"))
            .unwrap_or_default();
        format!("redis://{login}127.0.0.1:{}/0", self.port)
    }

    /// The port, which stays the same over restarts.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server as a crash does: what was not yet written to its AOF is lost.
    ///
    /// # Errors
    /// If the system cannot.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Shuts the server down in order: nothing is lost.
    ///
    /// # Errors
    /// If it does not end in time; it is killed then.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate().await?;
        }
        Ok(())
    }

    /// Starts the server again with its data; stops it in order first if it runs.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// Starts the server again without its data; kills it first if it runs.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn restart_empty(&mut self) -> Result<()> {
        self.kill()?;
        self.folder = new_folder()?;
        self.launch().await
    }

    /// Stops the server from running without ending it: connections stay open and nothing answers.
    ///
    /// # Errors
    /// If it does not run.
    pub fn freeze(&self) -> Result<()> {
        self.running()?.signal("STOP")
    }

    /// Ends [`RedisServer::freeze`].
    ///
    /// # Errors
    /// If it does not run.
    pub fn thaw(&self) -> Result<()> {
        self.running()?.signal("CONT")
    }

    fn running(&self) -> Result<&ChildGuard> {
        self.process.as_ref().context("the redis server does not run")
    }

    fn password(&self) -> Option<&str> {
        let option = self.options.iter().find(|(name, _)| name == "requirepass");
        option.map(|(_, password)| password.as_str())
    }

    async fn launch(&mut self) -> Result<()> {
        let spawned = ChildGuard::spawn(self.command());
        let mut process = spawned.context("cannot start redis-server; is it installed?")?;
        let deadline = Instant::now() + START_DEADLINE;
        while !serves(self.port, self.password(), process.id()).unwrap_or(false) {
            if process.try_wait()?.is_some() || Instant::now() > deadline {
                bail!(
                    "redis-server did not come up on port {}: {}",
                    self.port,
                    self.log_tail()
                );
            }
            sleep(POLL).await;
        }
        self.process = Some(process);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = bound_command("redis-server");
        let port = self.port.to_string();
        let settings = [
            ("--port", port.as_str()),
            ("--bind", "127.0.0.1"),
            ("--save", ""),
            ("--appendonly", "yes"),
            ("--appendfsync", "everysec"),
            ("--maxmemory-policy", "noeviction"),
            ("--logfile", "redis.log"),
        ];
        for (name, value) in settings {
            command.arg(name).arg(value);
        }
        for (name, value) in &self.options {
            command.arg(format!("--{name}")).arg(value);
        }
        command
            .arg("--dir")
            .arg(self.folder.path())
            .current_dir(self.folder.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("redis.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// A server for a test that never stops it: the one that [`TEST_REDIS_VARIABLE`] names, or a private one.
#[derive(Debug)]
pub struct SharedRedis {
    url: String,
    _private: Option<RedisServer>,
}

impl SharedRedis {
    /// Finds or starts the server.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn find_or_start() -> Result<Self> {
        if let Ok(url) = std::env::var(TEST_REDIS_VARIABLE) {
            return Ok(Self { url, _private: None });
        }
        let server = RedisServer::start().await?;
        Ok(Self {
            url: server.url(),
            _private: Some(server),
        })
    }

    /// Where clients find it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn new_folder() -> Result<TempDir> {
    tempfile::tempdir().context("cannot make a folder for redis")
}

/// Whether the process serves the port and has loaded its data. Somebody else's server on the port is not ours.
fn serves(port: u16, password: Option<&str>, process: u32) -> io::Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_DEADLINE)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    if let Some(password) = password {
        stream.write_all(format!("AUTH {password}\r\n").as_bytes())?;
    }
    stream.write_all(b"INFO\r\nQUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let has = |line: &str| answer.lines().any(|known| known == line);
    Ok(has(&format!("process_id:{process}")) && has("loading:0"))
}
