//! A simulated worker process: the real core, a store of values, executors and a data plane.

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream_protocol::wire::WorkerInfo;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{Attempt, ByteSize, ClusterName, JobId, ObjectId, ResourceSet, WorkerId};
use millstream_worker_core::{
    Fetch, FetchId, FetchObject, FetchOutcome, MemoryLevel, MemoryReport, StartTask, TaskOutput, TaskRun,
    WorkerConfig, WorkerCore, WorkerEffect, WorkerEvent,
};
use rand::Rng;

use crate::model::{self, DICE, FLAKY, Outcome, STUCK};
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

    fn start_task(&mut self, worker: usize, start: StartTask) {
        let run = start.run;
        self.tell(Some(run.job), || {
            format!("w{worker} starts {}@{} {}", run.task, run.attempt, start.op.name)
        });
        self.report.executions += 1;
        let foreign = start.inputs.iter().filter(|input| input.object.job != run.job);
        self.report.imported += foreign.count() as u64;
        *self.executions.entry((run.job, run.task.0)).or_default() += 1;
        let process = &self.workers[worker];
        let read = start
            .inputs
            .iter()
            .map(|input| process.read(input.object, input.attempt, input.part));
        let Some(inputs) = read.collect::<Option<Vec<_>>>() else {
            let reason = format!("worker w{worker} starts {start:?} without all its inputs in its store");
            self.fail(Some(run.job), reason);
            return;
        };
        let duration = match start.op.name.as_str() {
            STUCK => 10_000_000,
            _ if self.rng.random_bool(0.1) => self.rng.random_range(10_000..400_000),
            _ => self.rng.random_range(50..10_000),
        };
        let before = start
            .after
            .and_then(|before| self.workers[worker].running.get(&before));
        let begins_at = before.map_or(self.now, |before| before.ends_at);
        let ends_at = begins_at + duration;
        let running = Running {
            start,
            inputs,
            begins_at,
            ends_at,
            is_killed: false,
        };
        if self.workers[worker].running.insert(run, running).is_some() {
            self.fail(
                Some(run.job),
                format!("worker w{worker} starts {run:?} twice at once"),
            );
        }
        self.at(ends_at, Event::TaskEnds { worker, run });
    }

    /// What waits behind another task and has not begun does not begin; what has begun goes on.
    fn recall_task(&mut self, worker: usize, run: TaskRun) {
        let running = &mut self.workers[worker].running;
        if running.get(&run).is_some_and(|task| task.begins_at > self.now) {
            running.remove(&run);
            self.tell(Some(run.job), || {
                format!("w{worker} takes back {}@{}", run.task, run.attempt)
            });
            self.apply_worker(worker, WorkerEvent::NotStarted { run });
        }
    }

    fn kill_task(&mut self, worker: usize, run: TaskRun) {
        self.tell(Some(run.job), || {
            format!("w{worker} kills {}@{}", run.task, run.attempt)
        });
        let delay = self.rng.random_range(10..20_000);
        let at = self.now + delay;
        if let Some(running) = self.workers[worker].running.get_mut(&run)
            && at < running.ends_at
        {
            running.is_killed = true;
            running.ends_at = at;
            self.at(at, Event::TaskEnds { worker, run });
        }
    }

    pub(crate) fn task_ends(&mut self, worker: usize, run: TaskRun) {
        let running = &mut self.workers[worker].running;
        if running
            .get(&run)
            .is_none_or(|running| running.ends_at != self.now)
        {
            return;
        }
        let Some(running) = running.remove(&run) else {
            return;
        };
        let event = if running.is_killed {
            failure(run, ErrorKind::Cancelled)
        } else {
            self.execute(worker, &running.start, &running.inputs)
        };
        self.tell(Some(run.job), || {
            format!(
                "w{worker} ended {}@{}: {}",
                run.task,
                run.attempt,
                name_of(&event)
            )
        });
        self.apply_worker(worker, event);
    }

    /// What an executor would do, and say.
    fn execute(&mut self, worker: usize, start: &StartTask, inputs: &[Object]) -> WorkerEvent {
        let run = start.run;
        let is_first = self.executions.get(&(run.job, run.task.0)) == Some(&1);
        if start.op.name == FLAKY && is_first {
            return failure(run, ErrorKind::User);
        }
        let mut parents = BTreeMap::new();
        for input in inputs {
            for (task, attempt) in input.parents.iter() {
                let known = parents.insert(*task, *attempt);
                if known.is_some_and(|known| known != *attempt) && !self.has_lost_journal {
                    self.fail(
                        Some(run.job),
                        format!("{run:?} reads two generations of task {task:?}: {known:?} and {attempt:?}"),
                    );
                }
            }
        }
        let nonce = self.rng.random();
        if start.op.name == DICE {
            parents.insert((run.job, run.task.0), run.attempt);
        }
        let values: Vec<_> = inputs.iter().map(|input| input.value).collect();
        let outcome = model::run(&start.op, &start.params, start.index, &values, nonce);
        self.conclude(worker, start, outcome, Rc::new(parents))
    }

    fn conclude(
        &mut self,
        worker: usize,
        start: &StartTask,
        outcome: Outcome,
        parents: Rc<Throws>,
    ) -> WorkerEvent {
        let run = start.run;
        let duration_us = self.rng.random_range(50..10_000);
        let deps: Vec<_> = start
            .inputs
            .iter()
            .map(|input| model::dep(input.task, input.part))
            .collect();
        match outcome {
            Outcome::Fails => failure(run, ErrorKind::User),
            Outcome::Value(value) => WorkerEvent::TaskFinished {
                run,
                output: self.put(worker, start, value, parents),
                duration_us,
                log: None,
            },
            Outcome::Grows(growth) => WorkerEvent::TaskExtended {
                run,
                output: None,
                extension: Box::new(growth.extension(&deps, true)),
                duration_us,
                log: None,
            },
            Outcome::Sprouts(value, growth) => WorkerEvent::TaskExtended {
                run,
                output: Some(self.put(worker, start, value, parents)),
                extension: Box::new(growth.extension(&deps, false)),
                duration_us,
                log: None,
            },
        }
    }

    fn put(&mut self, worker: usize, start: &StartTask, value: u64, parents: Rc<Throws>) -> TaskOutput {
        let bytes = 8 + value % 600;
        let made = (start.run.job, start.run.task.0, start.run.attempt);
        self.throws.insert(made, parents.clone());
        let key = (start.run.job, start.run.task.0, start.run.attempt, None);
        let object = Object {
            value,
            bytes,
            parents,
        };
        self.workers[worker].store.insert(key, object);
        TaskOutput {
            bytes: ByteSize::new(bytes),
            inline: (start.inline && !value.is_multiple_of(3)).then(|| model::encode_value(value)),
            parts: 0,
        }
    }

    fn start_fetch(&mut self, worker: usize, fetch: Fetch) {
        let is_slow = self.is_troubled && self.rng.random_bool(0.02);
        let delay = if is_slow {
            self.rng.random_range(50_000..3_000_000)
        } else {
            self.rng.random_range(100..5_000)
        };
        let (id, ends_at) = (fetch.id, self.now + delay);
        let fetching = Fetching {
            fetch,
            ends_at,
            is_cancelled: false,
        };
        self.workers[worker].fetching.insert(id, fetching);
        self.at(ends_at, Event::FetchEnds { worker, id });
    }

    fn cancel_fetch(&mut self, worker: usize, id: FetchId) {
        let at = self.now + self.rng.random_range(1..2_000);
        if let Some(fetching) = self.workers[worker].fetching.get_mut(&id)
            && at < fetching.ends_at
        {
            fetching.is_cancelled = true;
            fetching.ends_at = at;
            self.at(at, Event::FetchEnds { worker, id });
        }
    }

    pub(crate) fn fetch_ends(&mut self, worker: usize, id: FetchId) {
        let fetching = &mut self.workers[worker].fetching;
        if fetching
            .get(&id)
            .is_none_or(|fetching| fetching.ends_at != self.now)
        {
            return;
        }
        let Some(fetching) = fetching.remove(&id) else {
            return;
        };
        let from = self.find_worker(fetching.fetch.from.worker);
        let reachable = from.filter(|from| !fetching.is_cancelled && self.reaches(worker, *from));
        let objects = &fetching.fetch.objects;
        let outcomes = objects
            .iter()
            .map(|object| self.fetch_one(worker, reachable, object))
            .collect();
        self.apply_worker(worker, WorkerEvent::FetchEnded { id, outcomes });
    }

    fn fetch_one(&mut self, worker: usize, from: Option<usize>, wanted: &FetchObject) -> FetchOutcome {
        let Some(from) = from else {
            return FetchOutcome::Unreachable;
        };
        let (object, attempt, part) = (wanted.object, wanted.attempt, wanted.part);
        let Some(found) = self.workers[from].read(object, attempt, part) else {
            self.tell(Some(object.job), || {
                format!("w{worker} asks w{from} for {}@{attempt}: gone", object.task)
            });
            return FetchOutcome::Gone;
        };
        if self.is_troubled && self.chance(2) {
            self.count("fetch damaged");
            return FetchOutcome::Damaged;
        }
        let bytes = ByteSize::new(found.bytes);
        self.workers[worker]
            .store
            .insert((object.job, object.task.0, attempt, part), found);
        FetchOutcome::Fetched { bytes }
    }

    /// The place of a worker that is alive.
    pub(crate) fn find_worker(&self, id: WorkerId) -> Option<usize> {
        self.workers
            .iter()
            .position(|worker| worker.id == id && worker.is_alive)
    }

    fn reaches(&self, a: usize, b: usize) -> bool {
        let is_up = |worker: usize| self.workers[worker].is_alive && !self.workers[worker].is_cut;
        is_up(a) && is_up(b) && !self.parted.contains(&(a.min(b), a.max(b)))
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

fn failure(run: TaskRun, kind: ErrorKind) -> WorkerEvent {
    WorkerEvent::TaskFailed {
        run,
        error: Box::new(TaskError::new(kind, "simulated")),
        duration_us: 100,
        log: None,
    }
}

const fn name_of(event: &WorkerEvent) -> &'static str {
    match event {
        WorkerEvent::TaskFinished { .. } => "finished",
        WorkerEvent::TaskExtended { .. } => "extended",
        _ => "failed",
    }
}
