//! A simulated worker process: the real core, a store of values, executors and a data plane.

mod execution;
mod fetching;

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream_protocol::wire::WorkerInfo;
use millstream_types::{Attempt, ByteSize, ClusterName, JobId, ObjectId, ResourceSet, WorkerId};
use millstream_worker_core::{
    Fetch, FetchId, MemoryLevel, MemoryReport, StartTask, TaskRun, WorkerConfig, WorkerCore, WorkerEffect,
    WorkerEvent,
};
use rand::Rng;

use crate::model;
use crate::network::{Message, Owner};
use crate::world::{Event, World};

/// What a worker may hold, in bytes.
const MEMORY: u64 = 60_000;

/// A stored object is named like this: job, task, generation, sub-range.
pub(crate) type Key = (JobId, u32, Attempt, Option<u32>);

/// Runs of indeterminate tasks, by job and task.
pub(crate) type Throws = BTreeMap<(JobId, u32), Attempt>;

/// A value, and which runs of indeterminate tasks it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) value: u64,
    pub(crate) bytes: u64,
    pub(crate) parents: Rc<Throws>,
}

#[derive(Debug)]
struct Running {
    start: StartTask,
    /// Read at the start: executors hold on to what they read.
    inputs: Vec<Object>,
    begins_at: u64,
    ends_at: u64,
    is_killed: bool,
}

#[derive(Debug)]
struct Fetching {
    fetch: Fetch,
    ends_at: u64,
    is_cancelled: bool,
}

/// See the module.
pub(crate) struct WorkerProcess {
    pub(crate) id: WorkerId,
    core: WorkerCore,
    pub(crate) is_alive: bool,
    /// Whether nothing reaches it or leaves it.
    pub(crate) is_cut: bool,
    pub(crate) is_connected: bool,
    queue: Option<String>,
    pub(crate) store: BTreeMap<Key, Object>,
    running: BTreeMap<TaskRun, Running>,
    fetching: BTreeMap<FetchId, Fetching>,
    tick_at: Option<u64>,
}

impl WorkerProcess {
    /// The queue that hears Hello: each connection has one, whatever sessions there are.
    pub(crate) fn hello_queue(&self) -> String {
        format!("hello.{}", self.id)
    }

    /// What of any job is left here.
    pub(crate) fn leftovers(&self) -> Option<String> {
        if !self.is_alive {
            return None;
        }
        let stats = self.core.stats();
        let is_clean = stats.queued == 0
            && stats.executing == 0
            && stats.objects == 0
            && stats.copies == 0
            && self.store.is_empty()
            && self.fetching.is_empty();
        (!is_clean).then(|| {
            let objects: Vec<_> = self.store.keys().take(5).map(|key| format!("{key:?}")).collect();
            format!(
                "worker {} still has {stats:?}, {} objects: {objects:?}",
                self.id,
                self.store.len()
            )
        })
    }

    /// How many objects only the leader frees.
    pub(crate) fn objects(&self) -> u32 {
        self.core.stats().objects
    }

    /// A value of an object here: of the very sub-range, or taken from the whole.
    pub(crate) fn value(&self, object: ObjectId, attempt: Attempt, part: Option<u32>) -> Option<&Object> {
        let key = |part| (object.job, object.task.0, attempt, part);
        self.store.get(&key(part)).or_else(|| self.store.get(&key(None)))
    }

    fn read(&self, object: ObjectId, attempt: Attempt, part: Option<u32>) -> Option<Object> {
        let exact = self
            .store
            .get(&(object.job, object.task.0, attempt, part))
            .cloned();
        exact.or_else(|| {
            let whole = self.store.get(&(object.job, object.task.0, attempt, None))?;
            Some(Object {
                value: model::part_of(whole.value, part),
                ..whole.clone()
            })
        })
    }
}

impl World {
    pub(crate) fn start_worker(&mut self) {
        let slots = self.rng.random_range(1..=self.config.slots.max(1));
        let id = WorkerId::from_u128(self.rng.random());
        let info = WorkerInfo {
            worker: id,
            name: format!("w{}", self.workers.len()),
            host: format!("host-{}", self.workers.len()),
            pid: self.workers.len() as u32,
            data_address: format!("host-{}:1", self.workers.len()),
            slots,
            memory_limit: ByteSize::new(MEMORY),
            resources: ResourceSet::new(),
            version: "sim".to_owned(),
        };
        let config = WorkerConfig::for_memory(info.memory_limit);
        let worker = self.workers.len();
        self.workers.push(WorkerProcess {
            id,
            core: WorkerCore::new(config, info, ClusterName::default(), self.timestamp()),
            is_alive: true,
            is_cut: false,
            is_connected: false,
            queue: None,
            store: BTreeMap::new(),
            running: BTreeMap::new(),
            fetching: BTreeMap::new(),
            tick_at: None,
        });
        self.tell(None, || format!("w{worker} starts as {id} with {slots} slots"));
        self.connect(Owner::Worker(worker));
    }

    /// The process is gone, with all it had.
    pub(crate) fn kill_worker(&mut self, worker: usize) {
        self.broker.disconnect(Owner::Worker(worker));
        let process = &mut self.workers[worker];
        process.is_alive = false;
        process.is_connected = false;
        process.store.clear();
        process.running.clear();
        process.fetching.clear();
    }

    pub(crate) fn connect_worker(&mut self, worker: usize) {
        let process = &mut self.workers[worker];
        if !process.is_alive || process.is_connected || process.is_cut {
            return;
        }
        process.is_connected = true;
        let queue_base = format!("worker.{}", process.id);
        let hello_queue = process.hello_queue();
        self.broker.declare(&hello_queue, Owner::Worker(worker));
        self.apply_worker(worker, WorkerEvent::LinkUp { queue_base });
    }

    pub(crate) fn disconnect_worker(&mut self, worker: usize) {
        self.broker.disconnect(Owner::Worker(worker));
        let process = &mut self.workers[worker];
        process.queue = None;
        if process.is_alive && std::mem::take(&mut process.is_connected) {
            self.apply_worker(worker, WorkerEvent::LinkDown);
        }
    }

    pub(crate) fn worker_hears(&mut self, worker: usize, message: Message) {
        match message {
            Message::Frame(frame) => self.apply_worker(worker, WorkerEvent::LeaderFrame(frame)),
            Message::Hello(hello) => self.apply_worker(worker, WorkerEvent::Hello(hello)),
            Message::Request(_) | Message::Reply(_) => {}
        }
    }

    pub(crate) fn worker_unroutable(&mut self, worker: usize, queue: String) {
        self.apply_worker(worker, WorkerEvent::LeaderUnroutable { queue });
    }

    pub(crate) fn worker_tick(&mut self, worker: usize) {
        // An earlier tick may have been scheduled since.
        if self.workers[worker].tick_at == Some(self.now) {
            self.workers[worker].tick_at = None;
            self.apply_worker(worker, WorkerEvent::Tick);
        }
    }

    /// Tells the core something, and does what it wants done.
    pub(crate) fn apply_worker(&mut self, worker: usize, event: WorkerEvent) {
        if !self.workers[worker].is_alive {
            return;
        }
        let now = self.timestamp();
        let mut effects = Vec::new();
        let core = &mut self.workers[worker].core;
        core.apply(now, event);
        core.poll(now, &mut effects);
        if let Err(broken) = core.check_invariants() {
            self.fail(None, format!("worker w{worker}: {broken}"));
        }
        for effect in effects {
            // It may have been told to leave.
            if self.workers[worker].is_alive {
                self.worker_effect(worker, effect);
            }
        }
        self.schedule_worker_tick(worker);
    }

    fn schedule_worker_tick(&mut self, worker: usize) {
        let process = &mut self.workers[worker];
        let Some(wakeup) = process.core.next_wakeup() else {
            return;
        };
        let at = wakeup.as_micros().max(self.now + 1);
        if process.is_alive && process.tick_at.is_none_or(|scheduled| at < scheduled) {
            process.tick_at = Some(at);
            self.at(at, Event::WorkerTick(worker));
        }
    }

    fn worker_effect(&mut self, worker: usize, effect: WorkerEffect) {
        match effect {
            WorkerEffect::OpenQueue { name } => {
                self.tell(None, || format!("w{worker} opens session on {name}"));
                let old = self.workers[worker].queue.replace(name.clone());
                if let Some(old) = old {
                    self.broker.remove(&old);
                }
                self.broker.declare(&name, Owner::Worker(worker));
            }
            WorkerEffect::Send { queue, frame } => {
                self.digest(&frame);
                self.send(Owner::Worker(worker), &queue, Message::Frame(frame));
            }
            WorkerEffect::StartTask(start) => self.start_task(worker, *start),
            WorkerEffect::KillTask(run) => self.kill_task(worker, run),
            WorkerEffect::Recall(run) => self.recall_task(worker, run),
            WorkerEffect::Fetch(fetch) => self.start_fetch(worker, fetch),
            WorkerEffect::CancelFetch { id } => self.cancel_fetch(worker, id),
            WorkerEffect::DropObject {
                object,
                attempt,
                part,
            } => self.drop_object(worker, object, attempt, part),
            WorkerEffect::RelievePressure => {}
            WorkerEffect::Exit => {
                self.tell(None, || format!("w{worker} leaves"));
                self.kill_worker(worker);
            }
        }
    }

    fn drop_object(&mut self, worker: usize, object: ObjectId, attempt: Attempt, part: Option<u32>) {
        let key = (object.job, object.task.0, attempt, part);
        self.tell(Some(object.job), || {
            format!("w{worker} drops {}@{attempt}", object.task)
        });
        if self.workers[worker].store.remove(&key).is_none() {
            let reason = format!("worker w{worker} drops {object} of {attempt}, which it does not have");
            self.fail(Some(object.job), reason);
        }
    }

    /// The place of a worker that is alive.
    pub(crate) fn find_worker(&self, id: WorkerId) -> Option<usize> {
        self.workers
            .iter()
            .position(|worker| worker.id == id && worker.is_alive)
    }

    /// Memory is short on a worker, or no longer.
    pub(crate) fn set_memory(&mut self, worker: usize, level: MemoryLevel, spillable: u64) {
        let report = MemoryReport {
            level,
            spillable: ByteSize::new(spillable),
            ..MemoryReport::default()
        };
        self.apply_worker(worker, WorkerEvent::MemoryChanged(report));
    }

    pub(crate) fn relax(&mut self, worker: usize) {
        self.set_memory(worker, MemoryLevel::Normal, 0);
    }

    /// A spill file is damaged: an object is gone.
    pub(crate) fn damage_object(&mut self, worker: usize) {
        let process = &mut self.workers[worker];
        let count = process.store.len();
        if count == 0 {
            return;
        }
        let key = process.store.keys().nth(self.rng.random_range(0..count)).copied();
        let Some(key) = key else { return };
        self.workers[worker].store.remove(&key);
        let (job, task, attempt, part) = key;
        self.tell(Some(job), || {
            format!("w{worker} lost {task}@{attempt} to a damaged file")
        });
        let object = ObjectId::new(job, millstream_types::TaskIdx(task));
        self.apply_worker(
            worker,
            WorkerEvent::ObjectLost {
                object,
                attempt,
                part,
            },
        );
    }
}
