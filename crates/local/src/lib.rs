//! The whole cluster in one process: the gateway, a scheduler and workers over an in-process bus and an in-memory
//! state store, with nothing to install.
//!
//! The services are the ones that run as separate containers; only what joins them differs. Each has a thread of its
//! own, so that a busy one does not hold up the others.

mod crew;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_bus::{Bus, InprocBroker, Names};
use millstream_config::Settings;
use millstream_gateway::{Fleet, Gateway};
use millstream_scheduler_svc::SchedulerService;
use millstream_state::{MemoryState, StateStore};
use millstream_telemetry::SchedulerMetrics;
use millstream_types::{ByteSize, ClusterName};
use uuid::Uuid;

use crate::crew::{Crew, Place};
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
    // They stop in this order: nobody takes jobs, then nobody works, then nobody decides.
    gateway: ServiceThread,
    crew: Crew,
    scheduler: ServiceThread,
    folder: tempfile::TempDir,
}

impl LocalCluster {
    /// Starts all services and waits until the gateway takes jobs and every worker is known.
    ///
    /// # Errors
    /// A port that is taken, a folder that cannot be made, or a machine too slow to start in half a minute.
    pub async fn start(mut options: LocalOptions) -> Result<Self, LocalError> {
        options.workers = options.workers.max(1);
        let workers = options.workers;
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
        let crew = Crew::default();
        let (gateway, url, dashboard) = gateway(&options, &token, &secret, &bus, &state, &crew).await?;
        let scheduler = scheduler(&options.settings, &bus, &state)?;
        crew.settle(Place {
            options,
            bus,
            secret,
            folder: folder.path().to_owned(),
            url: url.clone(),
            token: token.clone(),
        });
        crew.start(workers)?;
        let cluster = Self {
            url,
            dashboard,
            token,
            state,
            gateway,
            crew,
            scheduler,
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
    pub async fn stop(self) {
        self.gateway.stop().await;
        self.crew.stop().await;
        self.scheduler.stop().await;
    }

    async fn wait_for_workers(&self, wanted: usize) -> Result<(), LocalError> {
        let began = Instant::now();
        loop {
            let known = self.state.workers().await.map_or(0, |workers| workers.len());
            if known >= wanted {
                return Ok(());
            }
            let failed = self.crew.failure().or_else(|| self.scheduler.failure());
            if let Some(failed) = failed.or_else(|| self.gateway.failure()) {
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
        metrics: SchedulerMetrics::new(),
        on_progress: Arc::new(|| {}),
    };
    ServiceThread::start("scheduler", move |shutdown| async move {
        service.run(shutdown).await;
        Ok(())
    })
}

async fn gateway(
    options: &LocalOptions,
    token: &str,
    secret: &str,
    bus: &Arc<dyn Bus>,
    state: &Arc<MemoryState>,
    crew: &Crew,
) -> Result<(ServiceThread, String, String), LocalError> {
    let mut settings = options.settings.clone();
    settings.gateway.port = options.port;
    settings.gateway.token = Some(token.to_owned().into());
    settings.cluster.secret = Some(secret.to_owned().into());
    let (bus, state) = (bus.clone(), state.clone() as Arc<dyn StateStore>);
    let fleet: Arc<dyn Fleet> = Arc::new(crew.clone());
    let (ready, address) = tokio::sync::oneshot::channel();
    let thread = ServiceThread::start("gateway", move |shutdown| async move {
        let gateway = Gateway::start_with(&settings, bus, state, Some(fleet)).await?;
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
