//! Watches memory: the store's own count, and the process's, which limits the worker where it has the process to
//! itself. It measures the use of the processor too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use millstream_executor::{CpuProbe, PythonMemory};
use millstream_store::probe::MemoryProbe;
use millstream_store::{
    MemoryLevel as StoreLevel, MemoryReport as StoreReport, Store, StoreEvent, StoreEvents,
};
use millstream_types::ByteSize;
use millstream_worker_core::{MemoryLevel, MemoryReport, WorkerEvent};
use tracing::{error, warn};

use crate::actor::{Happened, WorkerActor};
use crate::household::Housemate;
use crate::work::WorkLog;

/// How often the process's memory is measured.
const MEASURE_EVERY: Duration = Duration::from_millis(200);

/// How often the use of the processor is measured: the kernel counts in hundredths of a second.
const MEASURE_CPU_EVERY: Duration = Duration::from_secs(1);

/// Pause between two executors that are recycled: what the first one held is not free at once.
const RECYCLE_EVERY: Duration = Duration::from_secs(1);

/// The tasks that tell the core about memory.
pub(crate) struct MemoryWatch {
    pub(crate) store: Store,
    pub(crate) probe: MemoryProbe,
    /// Where other workers share the process: then its memory does not limit this one.
    pub(crate) housemate: Option<Housemate>,
    pub(crate) cpu: CpuProbe,
    pub(crate) cpu_milli: u32,
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
    pub(crate) async fn run(mut self, mut events: StoreEvents) {
        let mut beat = tokio::time::interval(MEASURE_EVERY);
        let mut recycled: Option<Instant> = None;
        let mut beaten = Instant::now();
        let mut cpu_measured: Option<Instant> = None;
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
                    if cpu_measured.is_none_or(|at| at.elapsed() >= MEASURE_CPU_EVERY) {
                        cpu_measured = Some(beaten);
                        self.cpu_milli = self.cpu.used().unwrap_or(0);
                    }
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

    /// Memory of a worker that has the process to itself, with its executors, which a control group counts by itself.
    fn used(&self) -> Option<ByteSize> {
        if self.housemate.is_some() {
            return None;
        }
        let used = self.probe.used()?.as_u64();
        let executors = if self.probe.is_limited() {
            0
        } else {
            self.executors.total()
        };
        Some(ByteSize::new(used + executors))
    }

    /// The same as it is told, wherever the worker runs.
    fn told(&self, report: &StoreReport) -> ByteSize {
        let Some(housemate) = &self.housemate else {
            return report.process.unwrap_or(report.stored);
        };
        let process = self.probe.process().unwrap_or(report.stored);
        let part = housemate.part(report.stored, process);
        ByteSize::new(part.as_u64() + self.executors.total())
    }

    fn report(&self, report: StoreReport) -> MemoryReport {
        let traffic = (self.traffic)();
        MemoryReport {
            stored: report.stored,
            spilled: report.spilled,
            spillable: report.spillable,
            process: self.told(&report),
            cpu_milli: self.cpu_milli,
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
