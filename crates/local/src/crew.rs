//! The workers of a local cluster, whose number may change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use millstream_bus::Bus;
use millstream_config::{MemoryLimit, SlotCount};
use millstream_gateway::Fleet;
use millstream_telemetry::WorkerMetrics;
use millstream_types::ByteSize;
use millstream_worker_svc::WorkerService;

use crate::thread::ServiceThread;
use crate::{LocalError, LocalOptions};

/// What all workers of a cluster are told.
pub(crate) struct Place {
    pub(crate) options: LocalOptions,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) secret: String,
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    pub(crate) token: String,
}

/// Starts workers, and stops them all. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Crew(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Known once the gateway listens, whose address workers tell their tasks.
    place: OnceLock<Place>,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    threads: Vec<ServiceThread>,
    next: u32,
    is_closed: bool,
}

impl Crew {
    /// Says where workers are to work; once.
    pub(crate) fn settle(&self, place: Place) {
        let _ = self.0.place.set(place);
    }

    /// Starts so many workers more. Those that drained and ended are forgotten.
    pub(crate) fn start(&self, count: u32) -> Result<Vec<String>, LocalError> {
        let not_yet = || LocalError::Service {
            service: "worker".to_owned(),
            reason: "the cluster is not up yet, or stops".to_owned(),
        };
        let place = self.0.place.get().ok_or_else(not_yet)?;
        let mut members = self.members();
        if members.is_closed {
            return Err(not_yet());
        }
        members.threads.retain(|thread| !thread.is_finished());
        let mut names = Vec::new();
        for _ in 0..count {
            let number = members.next;
            let name = format!("worker-{number}");
            members.threads.push(worker(place, number, &name)?);
            members.next += 1;
            names.push(name);
        }
        Ok(names)
    }

    /// Why a worker ended, if one has ended badly.
    pub(crate) fn failure(&self) -> Option<LocalError> {
        self.members().threads.iter().find_map(ServiceThread::failure)
    }

    /// Stops all workers. There are none from now on.
    pub(crate) async fn stop(&self) {
        let threads = {
            let mut members = self.members();
            members.is_closed = true;
            std::mem::take(&mut members.threads)
        };
        for thread in threads {
            thread.stop().await;
        }
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Members> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Crew").field(&self.members().threads).finish()
    }
}

impl Fleet for Crew {
    fn add(&self, count: u32) -> Result<Vec<String>, String> {
        self.start(count).map_err(|error| error.to_string())
    }
}

fn worker(place: &Place, number: u32, name: &str) -> Result<ServiceThread, LocalError> {
    let Place { options, folder, .. } = place;
    let mut settings = options.settings.worker.clone();
    settings.name = Some(name.to_owned());
    settings.slots = SlotCount::Count(options.slots.unwrap_or_else(|| share_of_cores(options.workers)));
    settings.memory_limit = MemoryLimit::Bytes(
        options
            .memory_limit
            .unwrap_or_else(|| share_of_memory(options.workers)),
    );
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
        metrics: WorkerMetrics::new(),
        on_progress: Arc::new(|| {}),
    };
    ServiceThread::start(name, move |shutdown| service.run(shutdown))
}

/// The cores, divided among the workers that the cluster starts with.
fn share_of_cores(workers: u32) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    (cores / workers.max(1)).max(1)
}

/// Leaves a fifth to everything else on the machine.
fn share_of_memory(workers: u32) -> ByteSize {
    let all = millstream_worker_svc::machine_memory();
    ByteSize::new(all.fraction(0.8).as_u64() / u64::from(workers.max(1)))
}
