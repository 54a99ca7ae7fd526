//! Watches memory: the store's own count, and the process's where the worker has the process to itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use millstream_executor::PythonMemory;
use millstream_store::probe::MemoryProbe;
use millstream_store::{
    MemoryLevel as StoreLevel, MemoryReport as StoreReport, Store, StoreEvent, StoreEvents,
};
use millstream_types::ByteSize;
use millstream_worker_core::{MemoryLevel, MemoryReport, WorkerEvent};
use tracing::{error, warn};

use crate::actor::{Happened, WorkerActor};
use crate::work::WorkLog;

/// How often the process's memory is measured.
const MEASURE_EVERY: Duration = Duration::from_millis(200);

/// Pause between two executors that are recycled: what the first one held is not free at once.
const RECYCLE_EVERY: Duration = Duration::from_secs(1);

/// The tasks that tell the core about memory.
pub(crate) struct MemoryWatch {
    pub(crate) store: Store,
    pub(crate) probe: Option<MemoryProbe>,
    pub(crate) executors: PythonMemory,
    pub(crate) worker: Addr<WorkerActor>,
    pub(crate) traffic: Box<dyn Fn() -> Traffic>,
    pub(crate) work: Arc<WorkLog>,
}

/// Bytes on the data plane since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) fetched: ByteSize,
    pub(crate) served: ByteSize,
}

impl MemoryWatch {
    /// Runs for ever.
    pub(crate) async fn run(self, mut events: StoreEvents) {
        let mut beat = tokio::time::interval(MEASURE_EVERY);
        let mut recycled: Option<Instant> = None;
        let mut beaten = Instant::now();
        loop {
            let event = tokio::select! {
                event = events.recv() => match event {
                    Some(StoreEvent::Memory(report)) => WorkerEvent::MemoryChanged(self.report(report)),
                    Some(StoreEvent::Lost { object, attempt, part, reason }) => {
                        warn!(%object, %attempt, reason, "an object is lost");
                        self.work.metrics().objects_lost.inc();
                        WorkerEvent::ObjectLost { object, attempt, part }
                    }
                    Some(StoreEvent::SpillFailed(error)) => {
                        error!(%error, "spilling fails");
                        self.work.metrics().spill_failures.inc();
                        WorkerEvent::MemoryChanged(self.report(self.store.report()))
                    }
                    Some(StoreEvent::Moved(moved)) => {
                        self.work.moved(&moved);
                        continue;
                    }
                    None => return,
                },
                _ = beat.tick() => {
                    let late = beaten.elapsed().saturating_sub(MEASURE_EVERY);
                    self.work.metrics().loop_lag_seconds.observe(late);
                    beaten = Instant::now();
                    if let Some(used) = self.used() {
                        self.store.report_process_memory(used);
                    }
                    let report = self.store.report();
                    let may_recycle = recycled.is_none_or(|at| at.elapsed() >= RECYCLE_EVERY);
                    if report.level == StoreLevel::Terminate && may_recycle {
                        recycled = Some(Instant::now());
                        self.executors.recycle_largest();
                    }
                    WorkerEvent::MemoryChanged(self.report(report))
                }
            };
            let _ = self.worker.send(Happened(vec![event])).await;
        }
    }

    /// Memory of the worker with its executors, which a control group counts by itself.
    fn used(&self) -> Option<ByteSize> {
        let probe = self.probe.as_ref()?;
        let used = probe.used()?.as_u64();
        let executors = if probe.is_limited() {
            0
        } else {
            self.executors.total()
        };
        Some(ByteSize::new(used + executors))
    }

    fn report(&self, report: StoreReport) -> MemoryReport {
        let traffic = (self.traffic)();
        MemoryReport {
            stored: report.stored,
            spilled: report.spilled,
            spillable: report.spillable,
            process: report.process.unwrap_or(report.stored),
            cpu_milli: 0,
            fetched: traffic.fetched,
            served: traffic.served,
            level: level(report.level),
        }
    }
}

const fn level(level: StoreLevel) -> MemoryLevel {
    match level {
        StoreLevel::Normal => MemoryLevel::Normal,
        StoreLevel::Target => MemoryLevel::Target,
        StoreLevel::Spill => MemoryLevel::Spill,
        StoreLevel::Pause => MemoryLevel::Pause,
        StoreLevel::Terminate => MemoryLevel::Terminate,
    }
}
