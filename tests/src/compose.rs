//! The cluster of containers that `compose.yaml` describes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use millstream_testkit::wait_until;

use crate::docker::{Container, output_of};
use crate::http::Api;

/// Workers that every test finds.
pub const WORKERS: usize = 3;

/// Containers that run all the time, by service.
const SERVICES: [&str; 5] = ["rabbitmq", "redis", "gateway", "scheduler", "worker"];

/// What a cluster may take to become whole again on a busy machine.
const REPAIR: Duration = Duration::from_secs(90);

/// Lines of each container's log that are shown of a failed test.
const TAIL: usize = 40;

/// The one cluster of all compose tests, for as long as a test has it.
///
/// `tests/compose/run.sh` says in the environment which it is. It stays up between tests: each finds it repaired,
/// whatever the one before broke.
#[derive(Debug)]
pub struct Stack {
    /// The gateway.
    pub api: Api,
    program: Vec<String>,
    project: String,
    out: PathBuf,
    data: PathBuf,
    since: String,
    _lock: File,
}

impl Stack {
    /// Waits for its turn and until everything runs.
    ///
    /// # Errors
    /// If no cluster is named, or it cannot be repaired.
    pub async fn take() -> anyhow::Result<Self> {
        let project = variable("COMPOSE_PROJECT_NAME")?;
        let data = PathBuf::from(variable("MILLSTREAM_DATA")?);
        let lock = File::create(data.join(".lock"))?;
        lock.lock()?;
        let program = variable("MILLSTREAM_COMPOSE")?;
        let mut stack = Self {
            api: Api::new(format!("http://127.0.0.1:{}", variable("MILLSTREAM_PORT")?), ""),
            program: program.split_whitespace().map(str::to_owned).collect(),
            project,
            out: variable("MILLSTREAM_OUT")?.into(),
            data,
            since: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)?
                .as_secs()
                .to_string(),
            _lock: lock,
        };
        stack.repair()?;
        let token = stack.one("gateway")?.exec(&["millstream", "token"])?;
        stack.api = Api::new(stack.api.url(), token);
        stack.whole().await?;
        Ok(stack)
    }

    /// Lets everything run that a test stopped, and removes what it added.
    fn repair(&self) -> anyhow::Result<()> {
        for container in self.all()? {
            match container.state()?.as_str() {
                "running" => {}
                "paused" => container.unpause()?,
                _ => container.start()?,
            }
            if !container.is_on(&self.network())? {
                container.connect(&self.network())?;
            }
        }
        if self.containers("worker")?.len() != WORKERS {
            self.scale(WORKERS)?;
        }
        Ok(())
    }

    /// Waits until the gateway is ready and the leader knows all workers that run.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn whole(&self) -> anyhow::Result<()> {
        let workers = self.containers("worker")?.len();
        wait_until("the gateway to be ready", REPAIR, async || {
            let answer = self.api.get("/readyz").await;
            answer.is_ok_and(|answer| answer.status.is_success())
        })
        .await?;
        wait_until(&format!("{workers} active workers"), REPAIR, async || {
            self.active_workers().await.is_ok_and(|ids| ids.len() == workers)
        })
        .await?;
        // A test may be about to end the leader.
        for scheduler in self.containers("scheduler")? {
            scheduler.healthy().await?;
        }
        Ok(())
    }

    /// The ids of the workers that the leader counts on, in order.
    ///
    /// # Errors
    /// If there is no leader.
    pub async fn active_workers(&self) -> anyhow::Result<Vec<String>> {
        let workers = self.api.workers().await?;
        let active = workers.iter().filter(|worker| worker["state"] == "active");
        let mut ids: Vec<String> = active.map(|worker| worker["id"].to_string()).collect();
        ids.sort();
        Ok(ids)
    }

    /// Runs compose with these arguments, in the repository's folder.
    ///
    /// # Errors
    /// If it fails.
    pub fn compose(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let (program, own) = self.program.split_first().context("no compose program")?;
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let mut command = Command::new(program);
        command
            .args(own)
            .args(arguments)
            .current_dir(repository.context("the tests have no parent folder")?);
        output_of(&mut command)
    }

    /// Starts or stops workers until there are this many.
    ///
    /// # Errors
    /// If compose cannot.
    pub fn scale(&self, workers: usize) -> anyhow::Result<()> {
        let scale = format!("worker={workers}");
        self.compose(&["up", "--detach", "--no-build", "--scale", &scale])
            .map(drop)
    }

    /// The network that all its containers share.
    pub fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    /// The containers of a service.
    ///
    /// # Errors
    /// If no daemon answers.
    pub fn containers(&self, service: &str) -> anyhow::Result<Vec<Container>> {
        Container::labelled(&[
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={service}"),
        ])
    }

    /// The only container of a service.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn one(&self, service: &str) -> anyhow::Result<Container> {
        let mut containers = self.containers(service)?;
        ensure!(
            containers.len() == 1,
            "{} containers of {service}: start the cluster with tests/compose/run.sh",
            containers.len()
        );
        containers.pop().context("no container")
    }

    /// All containers that run as long as the cluster does.
    ///
    /// # Errors
    /// If no daemon answers.
    pub fn all(&self) -> anyhow::Result<Vec<Container>> {
        let mut all = Vec::new();
        for service in SERVICES {
            all.extend(self.containers(service)?);
        }
        Ok(all)
    }

    /// The scheduler that leads. The lease names the leader's id, which its own log names too.
    ///
    /// # Errors
    /// If none does in time.
    pub async fn leader(&self) -> anyhow::Result<Container> {
        let mut found = None;
        wait_until("a leader", REPAIR, async || {
            found = self.find_leader().ok();
            found.is_some()
        })
        .await?;
        found.context("no leader")
    }

    fn find_leader(&self) -> anyhow::Result<Container> {
        let script = "REDISCLI_AUTH=$(cat /secrets/password) redis-cli get millstream:lease";
        let lease = self.one("redis")?.exec(&["sh", "-c", script])?;
        let (_, id) = lease.split_once(':').context("nobody leads")?;
        for scheduler in self.containers("scheduler")? {
            let log = scheduler.log("0")?;
            if log
                .lines()
                .any(|line| line.contains("leading") && line.contains(id))
            {
                return Ok(scheduler);
            }
        }
        bail!("no scheduler has the lease {lease}")
    }

    /// The container of the worker that runs a task or holds its output.
    ///
    /// # Errors
    /// If there is none.
    pub async fn worker_of_task(&self, job: &str, key: &str) -> anyhow::Result<Container> {
        let task = self.api.task(job, key).await?;
        let workers = self.api.workers().await?;
        let worker = workers
            .iter()
            .find(|worker| worker["id"] == task["workers"][0])
            .with_context(|| format!("nobody has {task}"))?;
        for container in self.containers("worker")? {
            if worker["name"] == container.hostname()? {
                return Ok(container);
            }
        }
        bail!("no container of {worker}")
    }

    /// A file that tasks write as `/out/NAME`.
    pub fn out(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// Writes a file that tasks read as `/data/NAME`.
    ///
    /// # Errors
    /// If it cannot.
    pub fn write_data(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.data.join(name), text).with_context(|| format!("cannot write {name}"))
    }
}

impl Drop for Stack {
    #[expect(clippy::print_stderr, reason = "the test runner shows it of tests that fail")]
    fn drop(&mut self) {
        for container in self.all().unwrap_or_default() {
            let name = container
                .inspect("{{.Name}} {{.State.Status}}")
                .unwrap_or_default();
            let log = container.log(&self.since).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL)..];
            eprintln!(
                "---- {name}, last {} of {} lines\n{}",
                tail.len(),
                lines.len(),
                tail.join("\n")
            );
        }
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name)
        .with_context(|| format!("{name} is not set: run these tests with tests/compose/run.sh BINARY"))
}
