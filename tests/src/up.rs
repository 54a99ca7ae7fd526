//! `millstream up`: a whole cluster in one process.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use millstream_testkit::wait_until;
use tempfile::TempDir;

use crate::http::Api;
use crate::program;
use crate::service::Service;

/// A start takes about a second on an idle machine, and tests share theirs.
const START: Duration = Duration::from_secs(60);

/// A running `millstream up`.
#[derive(Debug)]
pub struct Up {
    service: Service,
    api: Api,
    folder: TempDir,
}

impl Up {
    /// Starts a cluster with these arguments and settings, on a free port.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(arguments: &[&str], settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let home = folder.path();
        let mut command = program::command()?;
        command
            .args(["up", "--port", "0"])
            .args(arguments)
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home)
            .env(program::variable("worker.spill_dir"), home.join("spill"))
            .env(program::variable("worker.scratch_dir"), home.join("scratch"));
        for (setting, value) in settings {
            command.env(program::variable(setting), value);
        }
        let mut service = Service::start("up", command, home)?;
        let url = wait_for_address(&mut service).await?;
        let token = std::fs::read_to_string(home.join("millstream/token")).context("no token was made")?;
        Ok(Self {
            api: Api::new(url, token.trim()),
            service,
            folder,
        })
    }

    /// Its gateway.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Its process.
    pub const fn service(&mut self) -> &mut Service {
        &mut self.service
    }

    /// Its home folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its home and returns the path.
    ///
    /// # Errors
    /// If it cannot.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

/// The address that it prints once it is up.
async fn wait_for_address(service: &mut Service) -> anyhow::Result<String> {
    let mut ended = None;
    wait_until("millstream up to print its address", START, async || {
        ended = service.ended().ok().flatten();
        ended.is_some() || address(&service.log()).is_some()
    })
    .await?;
    ensure!(ended.is_none(), "millstream up ended: {}", service.log());
    match address(&service.log()) {
        Some(url) => Ok(url),
        None => bail!("no address in {}", service.log()),
    }
}

fn address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("millstream is up"))?;
    let url = line.split_whitespace().find(|word| word.starts_with("http://"))?;
    Some(url.to_owned())
}
