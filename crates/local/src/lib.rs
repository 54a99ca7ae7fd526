//! The whole cluster in one process: the gateway, a scheduler and workers over an in-process bus and an in-memory
//! state store, with nothing to install.
//!
//! The services are the ones that run as separate containers; only what joins them differs. Each has a thread of its
//! own, so that a busy one does not hold up the others.

mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_bus::{Bus, InprocBroker, Names};
use millstream_config::{MemoryLimit, Settings, SlotCount};
use millstream_gateway::Gateway;
use millstream_scheduler_svc::SchedulerService;
use millstream_state::{MemoryState, StateStore};
use millstream_types::{ByteSize, ClusterName};
use millstream_worker_svc::WorkerService;
use uuid::Uuid;

use crate::thread::ServiceThread;

/// How long services may take to be ready; a laptop under load needs well below a second.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What a local cluster is made of.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Worker services in the process.
    pub workers: u32,
    /// Tasks each worker runs at once; the machine's cores divided among the workers if none.
    pub slots: Option<u32>,
    /// Bytes each worker may hold; 0.8 of the machine's memory divided among the workers if none.
    pub memory_limit: Option<ByteSize>,
    /// The gateway's port; 0 takes a free one.
    pub port: u16,
    /// The token that requests must show; a random one if none.
    pub token: Option<String>,
    /// Everything else, as for separate services.
    pub settings: Settings,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            slots: None,
            memory_limit: None,
            port: 0,
            token: None,
            settings: Settings::default(),
        }
    }
}

/// Why a local cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A service ended at once.
    #[error("the {service} did not start: {reason}")]
    Service {
        /// Which.
        service: String,
        /// Its words.
        reason: String,
    },
    /// A service was not ready in time.
    #[error("the local cluster was not ready within {0:?}")]
    Timeout(Duration),
    /// A folder for spilled results cannot be made.
    #[error("cannot make {path}: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// A running cluster. Dropping it stops it.
#[derive(Debug)]
pub struct LocalCluster {
    url: String,
    dashboard: String,
    token: String,
    state: Arc<MemoryState>,
    // In the order in which they stop: nobody takes jobs, then nobody works, then nobody decides.
    services: Vec<ServiceThread>,
    folder: tempfile::TempDir,
}

impl LocalCluster {
    /// Starts all services and waits until the gateway takes jobs and every worker is known.
    ///
    /// # Errors
    /// A port that is taken, a folder that cannot be made, or a machine too slow to start in half a minute.
    pub async fn start(options: LocalOptions) -> Result<Self, LocalError> {
        let workers = options.workers.max(1);
        let names = Names::new(ClusterName::default());
        let broker = InprocBroker::new();
        let bus: Arc<dyn Bus> = broker.bus(names);
        let state = Arc::new(MemoryState::new());
        let token = options
            .token
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().simple().to_string());
        let secret = Uuid::new_v4().simple().to_string();
        let folder = scratch_folder(&options.settings.worker.spill_dir)?;

        // First, because workers tell their tasks its address.
        let (gateway, url, dashboard) = gateway(&options, &token, &secret, &bus, &state).await?;
        let mut services = vec![gateway];
        let place = Place {
            workers,
            bus: bus.clone(),
            secret,
            folder: folder.path().to_owned(),
            url: url.clone(),
            token: token.clone(),
        };
        for number in 0..workers {
            services.push(worker(&options, &place, number)?);
        }
        services.push(scheduler(&options.settings, &bus, &state)?);
        let cluster = Self {
            url,
            dashboard,
            token,
            state,
            services,
            folder,
        };
        cluster.wait_for_workers(workers as usize).await?;
        Ok(cluster)
    }

    /// The gateway's address, such as `http://127.0.0.1:8787`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A link to the dashboard that signs one browser in, once, within an hour of the start.
    pub fn dashboard_link(&self) -> &str {
        &self.dashboard
    }

    /// The token that requests must show.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where results that do not fit in memory go while the cluster lives.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Stops all services. Tasks that run are stopped, and results are gone: both live in this process.
    pub async fn stop(mut self) {
        for service in self.services.drain(..) {
            service.stop().await;
        }
    }

    async fn wait_for_workers(&self, wanted: usize) -> Result<(), LocalError> {
        let began = Instant::now();
        loop {
            let known = self.state.workers().await.map_or(0, |workers| workers.len());
            if known >= wanted {
                return Ok(());
            }
            if let Some(failed) = self.services.iter().find_map(ServiceThread::failure) {
                return Err(failed);
            }
            if began.elapsed() > START_LIMIT {
                return Err(LocalError::Timeout(START_LIMIT));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A folder of this cluster's own, so that several can run side by side; gone when it stops.
fn scratch_folder(base: &std::path::Path) -> Result<tempfile::TempDir, LocalError> {
    let make = |base: &std::path::Path| {
        std::fs::create_dir_all(base)?;
        tempfile::Builder::new().prefix("local-").tempdir_in(base)
    };
    make(base)
        .or_else(|_| make(&std::env::temp_dir()))
        .map_err(|source| LocalError::Folder {
            path: base.to_owned(),
            source,
        })
}

fn scheduler(
    settings: &Settings,
    bus: &Arc<dyn Bus>,
    state: &Arc<MemoryState>,
) -> Result<ServiceThread, LocalError> {
    let service = SchedulerService {
        settings: settings.scheduler.clone(),
        graph_limit: u32::try_from(settings.gateway.graph_limit).unwrap_or(u32::MAX),
        max_active_jobs: settings.gateway.max_active_jobs as usize,
        bus: bus.clone(),
        state: state.clone(),
        on_progress: Arc::new(|| {}),
    };
    ServiceThread::start("scheduler", move |shutdown| async move {
        service.run(shutdown).await;
        Ok(())
    })
}

/// What all workers of a cluster are told.
struct Place {
    workers: u32,
    bus: Arc<dyn Bus>,
    secret: String,
    folder: PathBuf,
    url: String,
    token: String,
}

fn worker(options: &LocalOptions, place: &Place, number: u32) -> Result<ServiceThread, LocalError> {
    let (workers, folder) = (place.workers, &place.folder);
    let mut settings = options.settings.worker.clone();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    settings.name = Some(format!("worker-{number}"));
    settings.slots = SlotCount::Count(options.slots.unwrap_or_else(|| (cores / workers).max(1)));
    settings.memory_limit =
        MemoryLimit::Bytes(options.memory_limit.unwrap_or_else(|| share_of_memory(workers)));
    settings.spill_dir = folder.join(format!("spill-{number}"));
    settings.scratch_dir = folder.join(format!("scratch-{number}"));
    // Nothing outlives the process: there is nobody to hand results to.
    settings.drain_timeout = Duration::ZERO;
    let mut python = options.settings.python.clone();
    python.gateway_url = Some(place.url.clone());
    python.gateway_token = Some(place.token.clone().into());
    let service = WorkerService {
        settings,
        data: options.settings.data.clone(),
        python,
        all_files: options.settings.data.roots.is_empty(),
        secret: place.secret.clone(),
        bus: place.bus.clone(),
        shares_process: true,
        on_progress: Arc::new(|| {}),
    };
    ServiceThread::start(&format!("worker-{number}"), move |shutdown| service.run(shutdown))
}

/// Leaves a fifth to everything else on the machine.
fn share_of_memory(workers: u32) -> ByteSize {
    let all = millstream_worker_svc::machine_memory();
    ByteSize::new(all.fraction(0.8).as_u64() / u64::from(workers))
}

async fn gateway(
    options: &LocalOptions,
    token: &str,
    secret: &str,
    bus: &Arc<dyn Bus>,
    state: &Arc<MemoryState>,
) -> Result<(ServiceThread, String, String), LocalError> {
    let mut settings = options.settings.clone();
    settings.gateway.port = options.port;
    settings.gateway.token = Some(token.to_owned().into());
    settings.cluster.secret = Some(secret.to_owned().into());
    let (bus, state) = (bus.clone(), state.clone() as Arc<dyn StateStore>);
    let (ready, address) = tokio::sync::oneshot::channel();
    let thread = ServiceThread::start("gateway", move |shutdown| async move {
        let gateway = Gateway::start(&settings, bus, state).await?;
        let _ = ready.send((gateway.address(), gateway.dashboard_link()));
        shutdown.await;
        gateway.stop().await;
        Ok(())
    })?;
    match address.await {
        Ok((address, dashboard)) => Ok((thread, format!("http://{address}"), dashboard)),
        Err(_) => Err(thread.failed().await),
    }
}
