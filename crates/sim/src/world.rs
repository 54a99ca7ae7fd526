//! The simulated world: processes, broker, store, time, chance. One event after the other, in an order that the seed
//! alone decides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use millstream_protocol::wire::GatewayRequest;
use millstream_types::{Attempt, JobId, Timestamp};
use millstream_worker_core::{FetchId, TaskRun};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::client::Client;
use crate::model::mix;
use crate::network::{Broker, GATEWAY, Message, Owner};
use crate::scheduler::SchedulerProcess;
use crate::store::Store;
use crate::story::Story;
use crate::worker::{Throws, WorkerProcess};
use crate::{SimConfig, SimReport};

/// What happens at some time.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A message arrives on a queue.
    Arrives { queue: String, message: Message },
    /// A message to a queue that did not exist comes back.
    Returned { to: Owner, queue: String },
    /// A worker's timer.
    WorkerTick(usize),
    /// A task ends on a worker.
    TaskEnds { worker: usize, run: TaskRun },
    /// A task begins to wait for others, or goes on.
    TaskWaits {
        worker: usize,
        run: TaskRun,
        waits: bool,
    },
    /// A fetch ends on a worker.
    FetchEnds { worker: usize, id: FetchId },
    /// A process connects to the broker, if it is not connected.
    Connect(Owner),
    /// A scheduler's timer.
    SchedulerTick(usize),
    /// A scheduler's notes are due.
    Notes(usize),
    /// A commit of a scheduler became durable.
    Durable(usize),
    /// A scheduler renews its lease, or tries to get one.
    Lease(usize),
    /// A scheduler acknowledges a submission.
    AckIntake { scheduler: usize, token: u64 },
    /// A stopped scheduler goes on.
    Thaw(usize),
    /// A client looks after its job.
    Client(usize),
    /// Something goes wrong.
    Fault,
    /// A worker process starts.
    StartWorker,
    /// A scheduler process starts.
    StartScheduler,
    /// A worker that was cut off is reachable again.
    Heal(usize),
    /// A worker has enough memory again.
    Relax(usize),
    /// The store writes a snapshot.
    Snapshot,
    /// No more faults: everything is healed.
    Peace,
}

struct Scheduled {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// See the module.
pub(crate) struct World {
    pub(crate) config: SimConfig,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) now: u64,
    events: BinaryHeap<Reverse<Scheduled>>,
    next_number: u64,
    pub(crate) broker: Broker,
    pub(crate) store: Store,
    /// All that ever ran; dead ones stay, so that a place names one process.
    pub(crate) workers: Vec<WorkerProcess>,
    pub(crate) schedulers: Vec<SchedulerProcess>,
    pub(crate) clients: Vec<Client>,
    /// Which client asked, and whether it was to remove its job.
    pub(crate) requests: BTreeMap<u64, (usize, GatewayRequest)>,
    pub(crate) next_request: u64,
    /// The leader as the gateway last heard of it.
    pub(crate) leader: Option<millstream_protocol::wire::Hello>,
    /// Whether all is done and the clients remove their jobs.
    pub(crate) is_cleaning: bool,
    /// Whether things still go wrong.
    pub(crate) is_troubled: bool,
    /// Executions so far by task.
    pub(crate) executions: BTreeMap<(JobId, u32), u32>,
    /// From which runs of indeterminate tasks each object comes that was ever made.
    pub(crate) throws: BTreeMap<(JobId, u32, Attempt), Rc<Throws>>,
    /// A leader took over a store that had lost data which nobody had written again. What was rolled back or delivered
    /// is known to nobody then, so that runs of indeterminate tasks may be mixed.
    pub(crate) has_lost_journal: bool,
    /// Since when all clients have what they wanted.
    pub(crate) done_at: Option<u64>,
    /// Workers that cannot fetch from each other.
    pub(crate) parted: BTreeSet<(usize, usize)>,
    pub(crate) report: SimReport,
    pub(crate) story: Story,
    /// The first thing that was wrong, and the job concerned.
    pub(crate) failure: Option<(String, Option<JobId>)>,
}

impl World {
    /// A world at rest, before anything started.
    pub(crate) fn new(seed: u64, config: &SimConfig, story: Story) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (workers, jobs) = (config.workers.max(1), config.jobs.max(1));
        let workers = rng.random_range(1..=workers);
        let jobs = rng.random_range(1..=jobs);
        let mut world = Self {
            config: config.clone(),
            rng,
            // A clock that is not young: differences below zero would show.
            now: 1_000_000_000,
            events: BinaryHeap::new(),
            next_number: 0,
            broker: Broker::default(),
            store: Store::default(),
            workers: Vec::new(),
            schedulers: Vec::new(),
            clients: Vec::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            leader: None,
            is_cleaning: false,
            is_troubled: config.has_faults(),
            executions: BTreeMap::new(),
            throws: BTreeMap::new(),
            has_lost_journal: false,
            done_at: None,
            parted: BTreeSet::new(),
            report: SimReport::default(),
            story,
            failure: None,
        };
        world.broker.declare(GATEWAY, Owner::Gateway);
        for _ in 0..config.schedulers.max(1) {
            world.after(0, Event::StartScheduler);
        }
        for _ in 0..workers {
            let delay = world.rng.random_range(0..50_000);
            world.after(delay, Event::StartWorker);
        }
        world.add_clients(jobs);
        world.after(1_000_000, Event::Snapshot);
        if config.fault_every_ms > 0 {
            world.schedule_fault();
        }
        world.after(config.fault_ms * 1000, Event::Peace);
        world
    }

    /// Microseconds since the start.
    pub(crate) const fn elapsed(&self) -> u64 {
        self.now - 1_000_000_000
    }

    /// The time as cores see it.
    pub(crate) const fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    /// Schedules an event.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Schedules an event.
    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.next_number += 1;
        self.events.push(Reverse(Scheduled {
            at,
            number: self.next_number,
            event,
        }));
    }

    /// Lets the next event happen. False if there is none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(Reverse(next)) = self.events.pop() else {
            return false;
        };
        self.now = next.at;
        self.report.events += 1;
        self.happen(next.event);
        true
    }

    /// The stopped scheduler that an event has to wait for.
    fn waits_for(&self, event: &Event) -> Option<usize> {
        let scheduler = match event {
            Event::Arrives { queue, .. } => match self.broker.owner(queue)? {
                Owner::Scheduler(scheduler) => scheduler,
                _ => return None,
            },
            Event::Returned {
                to: Owner::Scheduler(scheduler),
                ..
            }
            | Event::SchedulerTick(scheduler)
            | Event::Notes(scheduler)
            | Event::Durable(scheduler)
            | Event::Lease(scheduler)
            | Event::AckIntake { scheduler, .. } => *scheduler,
            _ => return None,
        };
        self.schedulers[scheduler].frozen.is_some().then_some(scheduler)
    }

    fn happen(&mut self, event: Event) {
        if let Some(scheduler) = self.waits_for(&event) {
            if let Some(backlog) = &mut self.schedulers[scheduler].frozen {
                backlog.push(event);
            }
            return;
        }
        match event {
            Event::Arrives { queue, message } => self.arrives(&queue, message),
            Event::Returned { to, queue } => self.returned(to, queue),
            Event::WorkerTick(worker) => self.worker_tick(worker),
            Event::TaskEnds { worker, run } => self.task_ends(worker, run),
            Event::TaskWaits { worker, run, waits } => self.task_waits(worker, run, waits),
            Event::FetchEnds { worker, id } => self.fetch_ends(worker, id),
            Event::Connect(owner) => self.connect(owner),
            Event::SchedulerTick(scheduler) => self.scheduler_tick(scheduler),
            Event::Notes(scheduler) => self.take_notes(scheduler),
            Event::Durable(scheduler) => self.durable(scheduler),
            Event::Lease(scheduler) => self.lease(scheduler),
            Event::AckIntake { scheduler, token } => self.ack_intake(scheduler, token),
            Event::Thaw(scheduler) => self.thaw(scheduler),
            Event::Client(client) => self.client_looks(client),
            Event::Fault => self.fault(),
            Event::StartWorker => self.start_worker(),
            Event::StartScheduler => self.start_scheduler(),
            Event::Heal(worker) => self.heal(worker),
            Event::Relax(worker) => self.relax(worker),
            Event::Snapshot => {
                self.store.snapshot();
                self.after(1_000_000, Event::Snapshot);
            }
            Event::Peace => self.peace(),
        }
    }

    /// Sends a message to a queue, through a network that may misbehave.
    pub(crate) fn send(&mut self, from: Owner, queue: &str, message: Message) {
        let latency = self.rng.random_range(80..600);
        let Some(owner) = self.broker.owner(queue) else {
            let queue = queue.to_owned();
            self.after(latency, Event::Returned { to: from, queue });
            return;
        };
        if self.is_cut(from) || self.is_cut(owner) {
            return;
        }
        let mut earliest = self.now + latency;
        if self.is_troubled {
            if self.chance(self.config.drop_per_mille) {
                self.tell(None, || {
                    format!("network: a message from {from:?} to {queue} is lost")
                });
                self.count("frame dropped");
                return;
            }
            if self.chance(self.config.delay_per_mille) {
                self.count("frame delayed");
                earliest += self.rng.random_range(1_000..400_000);
            }
        }
        let at = self.broker.arrival(queue, earliest);
        let arrives = Event::Arrives {
            queue: queue.to_owned(),
            message,
        };
        if self.is_troubled && self.chance(self.config.duplicate_per_mille) {
            self.count("frame duplicated");
            self.at(at, arrives.clone());
        }
        self.at(at, arrives);
    }

    fn is_cut(&self, owner: Owner) -> bool {
        matches!(owner, Owner::Worker(worker) if self.workers[worker].is_cut)
    }

    fn arrives(&mut self, queue: &str, message: Message) {
        let Some(owner) = self.broker.owner(queue) else {
            return;
        };
        if self.is_cut(owner) {
            return;
        }
        match owner {
            Owner::Worker(worker) => self.worker_hears(worker, message),
            Owner::Scheduler(scheduler) => self.scheduler_hears(scheduler, message),
            Owner::Gateway => self.gateway_hears(message),
        }
    }

    fn returned(&mut self, to: Owner, queue: String) {
        match to {
            Owner::Worker(worker) => self.worker_unroutable(worker, queue),
            Owner::Scheduler(scheduler) => self.scheduler_unroutable(scheduler, queue),
            Owner::Gateway => {
                if self.leader.as_ref().is_some_and(|leader| leader.queue == queue) {
                    self.leader = None;
                }
            }
        }
    }

    /// Says Hello to everybody who is connected.
    pub(crate) fn fan_out(&mut self, from: Owner, hello: &millstream_protocol::wire::Hello) {
        let mut listeners: Vec<_> = (0..self.workers.len())
            .filter(|worker| self.workers[*worker].is_connected)
            .map(Owner::Worker)
            .collect();
        let schedulers = 0..self.schedulers.len();
        listeners.extend(
            schedulers
                .filter(|i| self.schedulers[*i].is_connected)
                .map(Owner::Scheduler),
        );
        for listener in listeners {
            if self.is_cut(listener) || self.is_cut(from) || (self.is_troubled && self.chance(10)) {
                continue;
            }
            let queue = match listener {
                Owner::Worker(worker) => self.workers[worker].hello_queue(),
                Owner::Scheduler(scheduler) => self.schedulers[scheduler].queue.clone(),
                Owner::Gateway => continue,
            };
            self.send(from, &queue, Message::Hello(hello.clone()));
        }
        if self.leader.as_ref().is_none_or(|known| known.term <= hello.term) {
            self.leader = Some(hello.clone());
        }
    }

    /// True for `per_mille` in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.random_range(0..1000) < per_mille
    }

    /// Counts a fault.
    pub(crate) fn count(&mut self, kind: &'static str) {
        *self.report.faults.entry(kind).or_default() += 1;
    }

    /// Adds to the digest of the run.
    pub(crate) fn digest(&mut self, bytes: &[u8]) {
        let hash = bytes
            .iter()
            .fold(0_u64, |hash, byte| hash.rotate_left(5) ^ u64::from(*byte));
        self.report.digest = mix(self.report.digest, mix(hash, self.now));
    }

    /// Adds a line to the story, if one is told.
    pub(crate) fn tell(&mut self, job: Option<JobId>, line: impl FnOnce() -> String) {
        let at = self.elapsed();
        self.story.tell(at, job, line);
    }

    /// Notes that something is wrong; the first finding counts.
    pub(crate) fn fail(&mut self, job: Option<JobId>, reason: String) {
        if self.failure.is_none() {
            self.failure = Some((reason, job));
        }
    }
}
