//! The worker service: an actor around the worker core, with store, executors and data plane wired to it.
//!
//! ```text
//!  broker ──► outbox.rs ──► WorkerActor (core) ──┬─► runner.rs  slots, executors ──► store
//!             frames        actor.rs             ├─► fetch.rs   peers ─────────────► store
//!                              ▲                 └─► outbox.rs  frames to the leader
//!                              └── memory.rs  store's count, process's memory
//! ```
//!
//! Owns the processes, files and sockets of one worker. Decides nothing: what runs, what is fetched and what is
//! freed is the core's part.

mod actor;
mod fetch;
mod frame_ops;
mod household;
mod memory;
mod meters;
mod outbox;
mod python;
mod runner;
mod uploads;
mod work;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Actor;
use anyhow::Context as _;
use millstream_bus::Bus;
use millstream_config::{
    Access, DataRoot, DataSettings, MemoryLimit, PythonSettings, SlotCount, WorkerSettings,
};
use millstream_executor::{CommandExecutor, CommandSettings, CpuProbe, ExecutorSet, NativeExecutor, Threads};
use millstream_frame::{PlannerOptions, StageEnv, StageLimits};
use millstream_protocol::wire::WorkerInfo;
use millstream_store::probe::MemoryProbe;
use millstream_store::{SpillConfig, SpillPolicy, Store, StoreConfig, StoreEvents};
use millstream_telemetry::WorkerMetrics;
use millstream_transfer::{DataServer, DataServerOptions, FetchOptions, Fetcher, UploadShelf};
use millstream_types::{Amount, ByteSize, WorkerId};
use millstream_worker_core::{WorkerConfig, WorkerCore, WorkerEvent};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};
use uuid::Uuid;

use crate::actor::{Happened, WorkerActor};
use crate::fetch::Fetches;
use crate::frame_ops::FrameExecutor;
use crate::household::Housemate;
use crate::memory::{MemoryWatch, Traffic};
use crate::outbox::{Broker, Show};
use crate::runner::{Runner, TaskEnv};
use crate::work::WorkLog;

/// What a worker is told at its start.
#[derive(Clone)]
pub struct WorkerService {
    /// Its settings.
    pub settings: WorkerSettings,
    /// Where users' paths may lead.
    pub data: DataSettings,
    /// What runs Python tasks.
    pub python: PythonSettings,
    /// Whether any file that the process can read may be read, where no roots are set: the local cluster's way.
    pub all_files: bool,
    /// What peers and gateways must show to read objects.
    pub secret: String,
    /// Its way to the leader.
    pub bus: Arc<dyn Bus>,
    /// Whether other workers share the process, so that the process's memory says nothing about this one.
    pub shares_process: bool,
    /// What it counts.
    pub metrics: WorkerMetrics,
    /// Called at each sign of progress; touches the liveness file where one is set.
    pub on_progress: Arc<dyn Fn() + Send + Sync>,
}

impl WorkerService {
    /// Works until the leader lets the worker go, or for at most the drain's timeout after `shutdown` is ready.
    /// Must run inside an actix system.
    ///
    /// # Errors
    /// A data port or a spill folder that cannot be used.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let worker = WorkerId::from(Uuid::new_v4());
        let limit = self.memory_limit();
        let slots = self.slots();
        let (store, store_events) = self.open_store(limit)?;
        let server = DataServer::start(store.clone(), self.data_server_options())
            .context("cannot serve the data plane")?;
        let uploads = self.open_shelf(&store)?;
        if let Some(shelf) = &uploads {
            server.serve_uploads(shelf.clone());
        }
        let address = server.address().to_owned();

        let info = self.info(worker, address, slots, limit);
        let name = info.name.clone();
        info!(%worker, name, address = info.data_address, slots, memory = %limit, "the worker starts");
        let config = WorkerConfig::for_memory(limit);
        self.metrics.info.set(worker.to_string());
        self.metrics.slots.set(slots as u64);
        self.metrics.memory_limit_bytes.set(limit.as_u64());
        let work = Arc::new(WorkLog::new(self.metrics.clone()));
        let env = TaskEnv {
            uploads,
            ..self.task_env(&store, &info, limit, slots, config.inline_limit, &work)?
        };
        let env = Arc::new(env);
        let python = python::settings(&self.settings, &self.python, limit, slots);
        let (runner, mut results, mut ends) = Runner::start(env, slots, python)?;
        let executors = runner.python_memory();
        let cpu = self.cpu_probe(&runner);
        server.serve_stacks(python::stack_source(runner.python_stacks()));
        let fetcher = Fetcher::new(FetchOptions::new(self.secret.clone()))?;
        let (outgoing, frames) = mpsc::unbounded_channel();
        let (exit, mut exited) = mpsc::channel(1);
        let names = self.bus.names().clone();
        let work_seen = Arc::clone(&work);
        let show = Show {
            work: Arc::clone(&work),
            info: info.clone(),
        };
        let core = WorkerCore::new(
            config,
            info,
            names.cluster().clone(),
            millstream_types::Timestamp::ZERO,
        );
        let actor = WorkerActor::create(|ctx| WorkerActor {
            core,
            origin: Instant::now(),
            runner,
            fetches: Fetches {
                fetcher: fetcher.clone(),
                store: store.clone(),
                worker: Some(actix::AsyncContext::address(ctx)),
                running: HashMap::new(),
                work: Arc::clone(&work),
            },
            store: store.clone(),
            outgoing,
            exit,
            effects: Vec::new(),
            work: Arc::clone(&work),
        });

        let broker = Broker {
            bus: self.bus.clone(),
            worker: actor.clone(),
            who: format!("worker {name}"),
            queue_base: queue_base(&names, worker),
            hello_base: format!("{}.hello", queue_base(&names, worker)),
            show,
        };
        let server = Arc::new(server);
        let traffic = {
            let (server, fetcher) = (server.clone(), fetcher.clone());
            move || Traffic {
                fetched: fetcher.fetched(),
                served: server.served(),
            }
        };
        let memory = MemoryWatch {
            store: store.clone(),
            probe: MemoryProbe::new(),
            housemate: self.shares_process.then(|| Housemate::new(worker)),
            cpu,
            cpu_milli: 0,
            executors,
            worker: actor.clone(),
            traffic: Box::new(traffic),
            work: Arc::clone(&work_seen),
        };
        let progress = self.on_progress.clone();
        let (bus, metrics) = (self.bus.clone(), self.metrics.clone());
        let slot_results = {
            let actor = actor.clone();
            async move {
                let mut done = Vec::new();
                loop {
                    results.recv(&mut done).await;
                    let events = done.drain(..).map(|runner::Ended(event)| event).collect();
                    let _ = actor.send(Happened(events)).await;
                }
            }
        };
        let waiting_results = {
            let actor = actor.clone();
            async move {
                let mut done = Vec::new();
                while ends.recv_many(&mut done, 256).await > 0 {
                    let events = done.drain(..).map(|runner::Ended(event)| event).collect();
                    let _ = actor.send(Happened(events)).await;
                }
            }
        };
        let tasks = [
            spawn(broker.run(frames)),
            spawn(memory.run(store_events)),
            spawn(slot_results),
            spawn(waiting_results),
            spawn(async move {
                loop {
                    progress();
                    show_traffic(&*bus, &metrics);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }),
        ];

        tokio::select! {
            _ = exited.recv() => {}
            () = shutdown => self.drain(&actor, &mut exited).await,
        }
        info!(name, "the worker stops");
        drop(tasks);
        Ok(())
    }

    /// What measures this worker and no other.
    fn cpu_probe(&self, runner: &Runner) -> CpuProbe {
        if !self.shares_process {
            return CpuProbe::of_process();
        }
        let own = Threads::default();
        own.join();
        let mut threads = runner.threads();
        threads.push(own);
        CpuProbe::of_threads(threads)
    }

    /// Asks to be drained, and waits for it as long as the settings say; not at all where that is no time.
    async fn drain(&self, actor: &actix::Addr<WorkerActor>, exited: &mut mpsc::Receiver<()>) {
        if self.settings.drain_timeout.is_zero() {
            return;
        }
        let _ = actor.send(Happened(vec![WorkerEvent::DrainAsked])).await;
        if tokio::time::timeout(self.settings.drain_timeout, exited.recv())
            .await
            .is_err()
        {
            warn!(timeout = ?self.settings.drain_timeout, "not drained in time; leaving what is not done to others");
        }
    }

    fn memory_limit(&self) -> ByteSize {
        match self.settings.memory_limit {
            MemoryLimit::Bytes(bytes) => bytes,
            MemoryLimit::Auto => machine_memory(),
        }
    }

    fn slots(&self) -> usize {
        match self.settings.slots {
            SlotCount::Count(slots) => slots as usize,
            SlotCount::Auto => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    fn open_store(&self, limit: ByteSize) -> anyhow::Result<(Store, StoreEvents)> {
        let settings = &self.settings;
        let config = StoreConfig {
            limit,
            policy: SpillPolicy {
                target: settings.target.get(),
                spill: settings.spill.get(),
                pause: settings.pause.get(),
                terminate: settings.terminate.get(),
            },
            spill: Some(SpillConfig {
                dir: settings.spill_dir.clone(),
                quota: settings.spill_quota,
            }),
        };
        Store::open(config).context("cannot use worker.spill_dir")
    }

    /// Within the store's folder, which is cleared whatever becomes of this process.
    fn open_shelf(&self, store: &Store) -> anyhow::Result<Option<UploadShelf>> {
        let open = |folder: &std::path::Path| {
            UploadShelf::open(folder.join("uploads"), self.settings.spill_quota)
                .context("cannot make a folder for uploads in worker.spill_dir")
        };
        store.folder().map(open).transpose()
    }

    fn data_server_options(&self) -> DataServerOptions {
        DataServerOptions {
            host: self.settings.data_host.clone(),
            port: self.settings.data_port,
            advertise: self.settings.advertise_address.clone(),
            secret: self.secret.clone(),
        }
    }

    fn info(&self, worker: WorkerId, data_address: String, slots: usize, limit: ByteSize) -> WorkerInfo {
        let host = host_name();
        let cpus = Amount::whole(slots as u64);
        let mut resources = self.settings.resources.clone();
        if resources.get("cpu") == Amount::default() {
            resources = resources.with("cpu", cpus);
        }
        if resources.get("memory") == Amount::default() {
            resources = resources.with("memory", Amount::whole(limit.as_u64()));
        }
        WorkerInfo {
            worker,
            name: self.settings.name.clone().unwrap_or_else(|| host.clone()),
            host,
            pid: std::process::id(),
            data_address,
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            memory_limit: limit,
            resources,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Where queries may read; everywhere if none.
    fn readable_roots(&self) -> Option<Vec<std::path::PathBuf>> {
        let roots: Vec<_> = self.data.roots.iter().map(|root| root.path.clone()).collect();
        let is_everywhere = roots.is_empty() && self.all_files;
        (!is_everywhere).then_some(roots)
    }

    fn writable_roots(&self) -> Option<Vec<std::path::PathBuf>> {
        let writable = |root: &&DataRoot| root.access == Access::ReadWrite;
        let roots: Vec<_> = self
            .data
            .roots
            .iter()
            .filter(writable)
            .map(|root| root.path.clone())
            .collect();
        let is_everywhere = self.data.roots.is_empty() && self.all_files;
        (!is_everywhere).then_some(roots)
    }

    fn task_env(
        &self,
        store: &Store,
        info: &WorkerInfo,
        limit: ByteSize,
        slots: usize,
        inline_limit: ByteSize,
        work: &Arc<WorkLog>,
    ) -> anyhow::Result<TaskEnv> {
        let settings = &self.settings;
        std::fs::create_dir_all(&settings.scratch_dir).with_context(|| {
            format!(
                "cannot make worker.scratch_dir {}",
                settings.scratch_dir.display()
            )
        })?;
        let command = CommandExecutor::new(CommandSettings {
            allowed: settings.allow_command,
            inherit_env: settings.command_env.clone(),
            output_limit: settings.command_output_limit.as_u64(),
            ..CommandSettings::default()
        });
        let stage_memory = limit.fraction(settings.execution_share.get()).as_u64();
        let env = StageEnv::new(&StageLimits {
            memory: Some(usize::try_from(stage_memory).unwrap_or(usize::MAX)),
            spill_dir: Some(settings.spill_dir.clone()),
            spill: Some(settings.spill_quota.as_u64()),
            ..StageLimits::default()
        })?;
        let planner = PlannerOptions {
            target_partitions: slots.max(2),
            roots: self.readable_roots(),
            writable_roots: self.writable_roots(),
            ..PlannerOptions::default()
        };
        Ok(TaskEnv {
            store: store.clone(),
            uploads: None,
            executors: ExecutorSet::new(Arc::new(NativeExecutor::new()?))
                .with(Arc::new(command))
                .with(Arc::new(FrameExecutor { env, planner })),
            scratch: settings.scratch_dir.as_path().into(),
            host: info.host.as_str().into(),
            log_limit: usize::try_from(settings.log_limit.as_u64()).unwrap_or(usize::MAX),
            inline_limit,
            work: Arc::clone(work),
        })
    }
}

/// The memory that this process may use: its control group's limit, else the machine's.
pub fn machine_memory() -> ByteSize {
    // A machine that does not tell its memory is assumed to be small.
    MemoryProbe::new().limit().unwrap_or(ByteSize::from_mib(1024))
}

/// Shows what the bus has counted.
fn show_traffic(bus: &dyn Bus, metrics: &WorkerMetrics) {
    let counted = bus.counters().snapshot();
    metrics.broker_connections.follow(counted.connected);
    metrics.broker_connect_failures.follow(counted.connect_failures);
    metrics.broker_frames.follow(counted.published);
    metrics.broker_returns.follow(counted.returned);
}

/// The session's number is appended by the core; the name must be the one that the bus would give.
fn queue_base(names: &millstream_bus::Names, worker: WorkerId) -> String {
    let first = names.worker(worker, millstream_types::SessionNo(0)).to_string();
    first
        .strip_suffix(".0")
        .map_or_else(|| first.clone(), str::to_owned)
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

fn spawn(task: impl Future<Output = ()> + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(actix_rt::spawn(task))
}
