//! Workers as the leader sees them: who they are, what they have been given, what they hold, and their session.

pub(crate) mod outbox;
mod table;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use millstream_protocol::session::Session;
use millstream_protocol::wire::{FromWorker, HeartbeatMsg, WorkerInfo};
use millstream_types::{Amount, Attempt, ByteSize, JobId, ResourceSet, SessionNo, Timestamp};

use self::outbox::Outbox;
pub(crate) use self::table::Workers;
use crate::ids::{JobNo, WorkerNo};

/// Forgotten jobs that are told again; more than can be on their way when a session ends.
const FORGOTTEN: usize = 1024;

/// The resource that slots are counted in.
pub(crate) const CPU: &str = "cpu";

/// Where a worker's session stands.
#[derive(Debug)]
pub(crate) enum Link {
    /// No session: it must register.
    Down,
    /// Registered; the inventory is coming.
    Collecting {
        session: Box<Session>,
        inventory: Inventory,
    },
    /// Settled: work may flow.
    Open { session: Box<Session> },
}

/// What a worker's inventory has told so far.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// Objects it has, by job: one bit per task.
    pub(crate) held: BTreeMap<JobNo, TaskSet>,
    /// Tasks it has that are ours to leave there.
    pub(crate) confirmed: BTreeSet<(JobNo, u32)>,
    /// The last part has come, but the recovery window is open.
    pub(crate) complete: bool,
}

/// A set of tasks of one job.
#[derive(Debug, Default)]
pub(crate) struct TaskSet(Vec<u64>);

impl TaskSet {
    pub(crate) fn insert(&mut self, task: u32) {
        let word = task as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (task % 64);
    }

    pub(crate) fn contains(&self, task: u32) -> bool {
        self.0
            .get(task as usize / 64)
            .is_some_and(|word| word & (1 << (task % 64)) != 0)
    }
}

/// Whether a worker gets work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// It does.
    Active,
    /// Not heard for a while.
    Suspect,
    /// It is finishing and will leave.
    Draining,
    /// It was told to exit.
    Leaving,
    /// Declared lost. It may come back.
    Lost,
}

/// A task as it was given to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) job: JobNo,
    pub(crate) task: u32,
    pub(crate) attempt: Attempt,
}

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) no: WorkerNo,
    pub(crate) info: WorkerInfo,
    pub(crate) queue: String,
    pub(crate) link: Link,
    /// The highest session number seen.
    pub(crate) last_session: SessionNo,
    pub(crate) state: WorkerState,
    pub(crate) last_heard: Timestamp,
    /// Batches it had acknowledged when that was last looked at, and since when it has not acknowledged more.
    pub(crate) acked: (u64, Timestamp),
    pub(crate) load: Option<HeartbeatMsg>,
    /// Tasks given whose inputs are stored.
    pub(crate) queued: u32,
    /// Tasks given ahead of their inputs.
    pub(crate) ahead: u32,
    /// Tasks given that execute and wait for others: their slots are free.
    pub(crate) waiting: u32,
    /// Expected run time of `queued`.
    pub(crate) queue_us: u64,
    /// Expected output of all given tasks.
    pub(crate) expected_bytes: u64,
    /// Output held.
    pub(crate) stored_bytes: u64,
    pub(crate) objects: u32,
    /// What restricted tasks have taken, which is too much where recovered ones found it taken.
    pub(crate) taken: ResourceSet,
    /// Tasks given, newest last; entries of tasks that have moved on are dropped now and then.
    pub(crate) given: Vec<Given>,
    pub(crate) executing: Vec<Given>,
    /// Retract requests without an answer.
    pub(crate) retracting: u32,
    pub(crate) retract_again: Timestamp,
    /// Copies asked of this worker without an answer.
    pub(crate) replicating: BTreeSet<(JobNo, u32)>,
    pub(crate) outbox: Outbox,
    /// Operations and options sent, by job.
    pub(crate) tables: BTreeMap<JobNo, (u16, u16)>,
    /// Jobs it may know, from any session with this leader.
    pub(crate) jobs: BTreeSet<JobNo>,
    /// Jobs it was told to forget lately: said again in its next session, since the word may have been lost.
    pub(crate) forgotten: VecDeque<JobId>,
    /// Peers that this session knows, by number.
    pub(crate) peers: BTreeSet<WorkerNo>,
    /// Items that came while the recovery window was open.
    pub(crate) deferred: Vec<FromWorker>,
    /// Workers whose objects it cannot fetch.
    pub(crate) unreachable: BTreeSet<WorkerNo>,
    pub(crate) registered_until: Timestamp,
    pub(crate) is_dirty: bool,
}

impl Worker {
    pub(crate) fn new(no: WorkerNo, info: WorkerInfo, now: Timestamp) -> Self {
        Self {
            no,
            taken: ResourceSet::new(),
            info,
            queue: String::new(),
            link: Link::Down,
            last_session: SessionNo(0),
            state: WorkerState::Active,
            last_heard: now,
            acked: (0, now),
            load: None,
            queued: 0,
            ahead: 0,
            waiting: 0,
            queue_us: 0,
            expected_bytes: 0,
            stored_bytes: 0,
            objects: 0,
            given: Vec::new(),
            executing: Vec::new(),
            retracting: 0,
            retract_again: Timestamp::ZERO,
            replicating: BTreeSet::new(),
            outbox: Outbox::default(),
            tables: BTreeMap::new(),
            jobs: BTreeSet::new(),
            forgotten: VecDeque::new(),
            peers: BTreeSet::new(),
            deferred: Vec::new(),
            unreachable: BTreeSet::new(),
            registered_until: Timestamp::ZERO,
            is_dirty: false,
        }
    }

    /// Whether it may be given tasks now.
    pub(crate) fn takes_work(&self) -> bool {
        self.is_open() && !self.is_paused()
    }

    /// Whether it may be given one task although it is paused: it does nothing, and would wait for ever if it was short
    /// of memory that only a task can free.
    pub(crate) fn takes_last_resort(&self) -> bool {
        let executes_nothing = self.load.is_none_or(|load| load.executing == 0);
        let has_nothing_to_do = self.assigned() == self.waiting;
        self.is_open() && self.is_paused() && has_nothing_to_do && executes_nothing
    }

    fn is_open(&self) -> bool {
        self.state == WorkerState::Active && matches!(self.link, Link::Open { .. })
    }

    /// Whether it said that its memory is short.
    pub(crate) fn is_paused(&self) -> bool {
        self.load.is_some_and(|load| load.paused)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state == WorkerState::Lost
    }

    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        match &mut self.link {
            Link::Down => None,
            Link::Collecting { session, .. } | Link::Open { session } => Some(session),
        }
    }

    /// Whether it is heard but has acknowledged nothing of what it was sent for `patience`: the last batch was lost, and
    /// no other follows from whose number it could notice.
    pub(crate) fn has_missed_a_batch(&mut self, now: Timestamp, patience: Duration) -> bool {
        let (known, since) = self.acked;
        let Some(session) = self.session() else {
            return false;
        };
        let acked = session.acked();
        let is_waiting = session.sent() > acked;
        if !is_waiting || acked != known {
            self.acked = (acked, now);
            return false;
        }
        now.since(since) >= patience && now.since(self.last_heard) < patience
    }

    /// Whether its inventory has named objects of a job and is not complete.
    pub(crate) fn is_telling_of(&self, job: JobNo) -> bool {
        matches!(&self.link, Link::Collecting { inventory, .. } if inventory.held.contains_key(&job))
    }

    /// All tasks given.
    pub(crate) const fn assigned(&self) -> u32 {
        self.queued + self.ahead + self.waiting
    }

    pub(crate) const fn slots(&self) -> u32 {
        if self.info.slots == 0 { 1 } else { self.info.slots }
    }

    /// Expected microseconds until a task given now would start.
    pub(crate) fn wait_us(&self) -> u64 {
        self.queue_us / u64::from(self.slots())
    }

    /// What it can offer to restricted tasks when it is idle.
    pub(crate) fn supply(&self) -> ResourceSet {
        supply(&self.info)
    }

    /// Whether it can offer a restricted task all that it asks for now.
    pub(crate) fn has_free(&self, request: &ResourceSet) -> bool {
        let supply = self.supply();
        request.iter().all(|(name, amount)| {
            let taken = self.taken.get(name).as_milli();
            taken.saturating_add(amount.as_milli()) <= supply.get(name).as_milli()
        })
    }

    /// Forgets what belonged to a session that is over. What executed is remembered: if the worker does not come back,
    /// that is what it died of.
    pub(crate) fn end_session(&mut self) {
        self.link = Link::Down;
        self.outbox = Outbox::default();
        self.tables.clear();
        self.peers.clear();
        self.deferred.clear();
        self.replicating.clear();
    }

    /// Tells it to forget a job.
    pub(crate) fn forget(&mut self, no: JobNo, id: JobId) {
        self.jobs.remove(&no);
        self.tables.remove(&no);
        self.outbox.forget(id);
        if self.forgotten.len() == FORGOTTEN {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(id);
    }

    /// The state's name as users see it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            WorkerState::Active if self.is_paused() => "paused",
            WorkerState::Active => "active",
            WorkerState::Suspect => "suspect",
            WorkerState::Draining | WorkerState::Leaving => "draining",
            WorkerState::Lost => "lost",
        }
    }
}

/// A worker offers what it says, and where it says nothing of them its slots as cpu and its limit as memory.
fn supply(info: &WorkerInfo) -> ResourceSet {
    let mut supply = info.resources.clone();
    if supply.get(CPU) == Amount::default() {
        supply = supply.with(CPU, Amount::whole(u64::from(info.slots)));
    }
    if supply.get("memory") == Amount::default() && info.memory_limit > ByteSize::ZERO {
        supply = supply.with("memory", Amount::whole(info.memory_limit.as_u64()));
    }
    supply
}
