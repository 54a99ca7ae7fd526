//! A cluster of separate processes on a real RabbitMQ and Redis.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use millstream_testkit::{free_port, unique_name, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::Api;
use crate::servers::{ServerChoice, Servers};
use crate::service::Service;
use crate::{program, redis};

/// Services start in about a second on an idle machine, and tests share theirs.
const START: Duration = Duration::from_secs(60);

/// The pause that a leader's end may cause, lease, election and recovery together.
pub const FAILOVER: Duration = Duration::from_secs(10);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Gateways.
    pub gateways: usize,
    /// Schedulers, of which one leads.
    pub schedulers: usize,
    /// Workers.
    pub workers: usize,
    /// Tasks that each worker runs at once.
    pub slots: u32,
    /// Memory of each worker.
    pub memory_limit: &'static str,
    /// Which RabbitMQ and Redis.
    pub servers: ServerChoice,
    /// Further settings of every process, such as `("worker.spill_quota", "64MiB")`.
    pub settings: Vec<(&'static str, String)>,
    /// A program that starts the workers and becomes them, such as `unshare --mount`.
    pub worker_launcher: Vec<String>,
    /// The position of a worker that gives its peers an address where nobody listens: the network between them is cut.
    pub unreachable_worker: Option<usize>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            gateways: 1,
            schedulers: 1,
            workers: 2,
            slots: 2,
            memory_limit: "1GiB",
            servers: ServerChoice::Shared,
            settings: Vec::new(),
            worker_launcher: Vec::new(),
            unreachable_worker: None,
        }
    }
}

/// A running cluster. Everything of it ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// By position; those that were killed stay in their place.
    pub gateways: Vec<Service>,
    /// By position.
    pub schedulers: Vec<Service>,
    /// By position.
    pub workers: Vec<Service>,
    /// Its RabbitMQ and Redis.
    pub servers: Servers,
    /// The first gateway.
    pub api: Api,
    name: String,
    token: String,
    ports: Vec<u16>,
    options: ClusterOptions,
    folder: TempDir,
}

impl Cluster {
    /// Starts a cluster and waits until it takes jobs and knows all its workers.
    ///
    /// # Errors
    /// If a part does not start.
    pub async fn start(options: ClusterOptions) -> anyhow::Result<Self> {
        let servers = Servers::start(options.servers).await?;
        let ports = (0..options.gateways)
            .map(|_| free_port())
            .collect::<Result<Vec<_>, _>>()?;
        let first = ports.first().context("a cluster needs a gateway")?;
        let token = unique_name("token");
        let mut cluster = Self {
            gateways: Vec::new(),
            schedulers: Vec::new(),
            workers: Vec::new(),
            servers,
            api: Api::new(format!("http://127.0.0.1:{first}"), &token),
            name: unique_name("e2e"),
            token,
            ports,
            folder: tempfile::tempdir()?,
            options,
        };
        std::fs::create_dir(cluster.data())?;
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// Two schedulers, of which one can die.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn with_standby(servers: ServerChoice) -> anyhow::Result<Self> {
        Self::start(ClusterOptions {
            schedulers: 2,
            servers,
            ..ClusterOptions::default()
        })
        .await
    }

    async fn start_all(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.options.schedulers {
            self.start_scheduler()?;
        }
        for _ in 0..self.options.workers {
            self.start_worker()?;
        }
        for position in 0..self.options.gateways {
            let gateway = self.launch_gateway(position)?;
            self.gateways.push(gateway);
        }
        self.wait_started().await?;
        self.wait_for_workers(self.options.workers).await
    }

    /// As [`Cluster::wait_ready`], but a service that ends is not waited for.
    async fn wait_started(&mut self) -> anyhow::Result<()> {
        let mut ended = None;
        wait_until("a gateway to be ready", START, async || {
            ended = self.find_ended();
            ended.is_some() || is_ready(&self.api).await
        })
        .await?;
        match ended {
            Some(name) => bail!("{name} ended while the cluster started: see its log"),
            None => Ok(()),
        }
    }

    fn find_ended(&mut self) -> Option<String> {
        let services = self.gateways.iter_mut().chain(&mut self.schedulers);
        services
            .chain(&mut self.workers)
            .find_map(|service| matches!(service.ended(), Ok(Some(_))).then(|| service.name().to_owned()))
    }

    /// The cluster's name: the prefix of its queues and keys.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that its tasks may read and write.
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its logs, spilled objects and scratch folders.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that its tasks may read, and returns the path.
    ///
    /// # Errors
    /// If it cannot.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.data().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// Another of its gateways.
    ///
    /// # Errors
    /// If there is none at this position.
    pub fn gateway(&self, position: usize) -> anyhow::Result<Api> {
        let port = self.ports.get(position).context("no such gateway")?;
        Ok(Api::new(format!("http://127.0.0.1:{port}"), &self.token))
    }

    /// Starts one more scheduler.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_scheduler(&mut self) -> anyhow::Result<()> {
        let name = format!("scheduler-{}", self.schedulers.len());
        let scheduler = self.launch(&name, &["scheduler"], &[])?;
        self.schedulers.push(scheduler);
        Ok(())
    }

    /// Starts one more worker.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_worker(&mut self) -> anyhow::Result<()> {
        let name = format!("worker-{}", self.workers.len());
        let folder = |kind: &str| self.folder.path().join(format!("{name}-{kind}"));
        let (spill, scratch) = (folder("spill"), folder("scratch"));
        let mut own = vec![
            ("worker.name", name.clone()),
            ("worker.slots", self.options.slots.to_string()),
            ("worker.memory_limit", self.options.memory_limit.to_owned()),
            ("worker.spill_dir", spill.display().to_string()),
            ("worker.scratch_dir", scratch.display().to_string()),
        ];
        if self.options.unreachable_worker == Some(self.workers.len()) {
            let nobody = free_port()?;
            own.push(("worker.advertise_address", format!("127.0.0.1:{nobody}")));
        }
        let worker = self.launch(&name, &["worker"], &own)?;
        self.workers.push(worker);
        Ok(())
    }

    /// Kills a gateway as a crash would and starts it again on its port.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart_gateway(&mut self, position: usize) -> anyhow::Result<()> {
        self.gateways
            .get_mut(position)
            .context("no such gateway")?
            .kill()?;
        let gateway = self.launch_gateway(position)?;
        self.gateways[position] = gateway;
        self.wait_ready(&self.gateway(position)?).await
    }

    fn launch_gateway(&self, position: usize) -> anyhow::Result<Service> {
        let port = self.ports.get(position).context("no such gateway")?;
        let own = [("gateway.port", port.to_string())];
        self.launch(&format!("gateway-{position}"), &["gateway"], &own)
    }

    fn launch(&self, name: &str, arguments: &[&str], own: &[(&str, String)]) -> anyhow::Result<Service> {
        let is_worker = arguments.contains(&"worker");
        let launcher: &[String] = if is_worker {
            &self.options.worker_launcher
        } else {
            &[]
        };
        let mut command = program::command_under(launcher)?;
        let common = [
            ("cluster.name", self.name.clone()),
            ("cluster.secret", self.token.clone()),
            ("broker.url", self.servers.broker_url().to_owned()),
            ("redis.url", self.servers.redis_url()),
            ("gateway.token", self.token.clone()),
            ("data.roots", format!("{}:rw", self.data().display())),
        ];
        let further = self
            .options
            .settings
            .iter()
            .map(|(setting, value)| (*setting, value.clone()));
        for (setting, value) in common.into_iter().chain(own.iter().cloned()).chain(further) {
            command.env(program::variable(setting), value);
        }
        command.args(arguments).env("HOME", self.folder.path());
        Service::start(name, command, self.folder.path())
    }

    /// Waits until a gateway says that it is ready.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn wait_ready(&self, api: &Api) -> anyhow::Result<()> {
        wait_until("a gateway to be ready", START, async || is_ready(api).await).await
    }

    /// Waits until the leader knows exactly this many active workers.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn wait_for_workers(&self, count: usize) -> anyhow::Result<()> {
        wait_until(&format!("{count} active workers"), START, async || {
            self.api.workers().await.is_ok_and(|workers| {
                let active = workers.iter().filter(|worker| worker["state"] == "active");
                active.count() == count
            })
        })
        .await
    }

    /// The position of the scheduler that leads, waiting for one if need be.
    ///
    /// # Errors
    /// If none leads in time.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        let mut found = None;
        wait_until("a leader", START, async || {
            found = self.find_leader();
            found.is_some()
        })
        .await?;
        found.context("no leader")
    }

    /// The lease names the leader's id, which its own log names too.
    fn find_leader(&self) -> Option<usize> {
        let lease = redis::get(&self.servers.redis_url(), &format!("{}:lease", self.name)).ok()??;
        let (_, id) = lease.split_once(':')?;
        self.schedulers.iter().position(|scheduler| {
            let log = scheduler.log();
            log.lines()
                .any(|line| line.contains("leading") && line.contains(id))
        })
    }

    /// Kills the leader as a crash would and returns its position.
    ///
    /// # Errors
    /// If none leads.
    pub async fn kill_leader(&mut self) -> anyhow::Result<usize> {
        let leader = self.leader().await?;
        self.schedulers[leader].kill()?;
        Ok(leader)
    }

    /// The position of the worker of this view.
    ///
    /// # Errors
    /// If it is none of ours.
    pub fn position_of(&self, worker: &Value) -> anyhow::Result<usize> {
        let pid = worker["pid"].as_u64().context("no pid")?;
        self.workers
            .iter()
            .position(|service| u64::from(service.pid()) == pid)
            .with_context(|| format!("no such worker: {worker}"))
    }

    /// The position of the worker with this id.
    ///
    /// # Errors
    /// If the leader does not know it.
    pub async fn worker_with_id(&self, id: &Value) -> anyhow::Result<usize> {
        let workers = self.api.workers().await?;
        match workers.iter().find(|worker| worker["id"] == *id) {
            Some(worker) => self.position_of(worker),
            None => bail!("no worker {id}"),
        }
    }

    /// The position of a worker that holds a task's output, or runs it.
    ///
    /// # Errors
    /// If there is none.
    pub async fn worker_of_task(&self, job: &str, key: &str) -> anyhow::Result<usize> {
        let task = self.api.task(job, key).await?;
        self.worker_with_id(&task["workers"][0])
            .await
            .with_context(|| format!("{task}"))
    }

    /// Fails if a service that should run has ended.
    ///
    /// # Errors
    /// Names it.
    pub fn check_running(&mut self, services: impl IntoIterator<Item = usize>) -> anyhow::Result<()> {
        for position in services {
            let worker = self.workers.get_mut(position).context("no such worker")?;
            if let Some(status) = worker.ended()? {
                bail!("{} ended: {status}", worker.name());
            }
        }
        Ok(())
    }
}

async fn is_ready(api: &Api) -> bool {
    let answer = api.get("/readyz").await;
    answer.is_ok_and(|answer| answer.status.is_success())
}
