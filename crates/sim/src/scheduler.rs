//! A simulated scheduler process: candidacy, lease, the real core, and the outbox through which effects leave in order.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_protocol::wire::{Datagram, GraphSource, SubmitMsg, decode_datagrams};
use millstream_scheduler_core::{
    Clock, Commit, CoreConfig, Effect, Identity, Note, SchedulerCore, SchedulerEvent, SubmittedGraph,
};
use millstream_types::{ClusterName, LeaderId, Term, WorkerId};
use rand::Rng;

use crate::network::{GATEWAY, Message, Owner};
use crate::store::{Acquired, Fenced, LEASE_US};
use crate::world::{Event, World};

/// How often the lease is renewed or asked for.
const RENEW_US: u64 = 1_000_000;
/// How often trailing writes are taken.
const NOTES_US: u64 = 50_000;
/// A submission is acknowledged this long after its commit.
const ACK_DELAY_US: u64 = 3_000_000;

#[derive(Debug)]
enum Out {
    Effect(Effect),
    Note(Note),
    /// Everything behind a loss of the store was written again.
    Repaired(u64),
}

/// See the module.
pub(crate) struct SchedulerProcess {
    leader: LeaderId,
    pub(crate) is_alive: bool,
    pub(crate) is_connected: bool,
    /// The queue of its present connection.
    pub(crate) queue: String,
    connections: u32,
    core: Option<SchedulerCore>,
    /// The lease is lost: the core waits whether this process gets the next term.
    is_suspended: bool,
    term: Term,
    /// The highest term heard of.
    known: Term,
    outbox: VecDeque<Out>,
    /// A commit is on its way.
    is_committing: bool,
    /// Its next trailing writes are scheduled.
    is_noting: bool,
    renewed_at: u64,
    is_sure: bool,
    store_epoch: u64,
    /// Stopped, as by SIGSTOP: what happens meanwhile.
    pub(crate) frozen: Option<Vec<Event>>,
    tick_at: Option<u64>,
}

impl SchedulerProcess {
    /// Whether it leads, or believes so.
    pub(crate) const fn leads(&self) -> bool {
        self.is_alive && self.core.is_some() && !self.is_suspended
    }

    /// How many objects the leader believes a worker to hold.
    pub(crate) fn objects_at(&self, worker: WorkerId) -> Option<u32> {
        self.core.as_ref().filter(|_| self.leads())?.objects_at(worker)
    }
}

impl World {
    pub(crate) fn start_scheduler(&mut self) {
        let scheduler = self.schedulers.len();
        self.schedulers.push(SchedulerProcess {
            leader: LeaderId::from_u128(self.rng.random()),
            is_alive: true,
            is_connected: false,
            queue: String::new(),
            connections: 0,
            core: None,
            is_suspended: false,
            term: Term::default(),
            known: Term::default(),
            outbox: VecDeque::new(),
            is_committing: false,
            is_noting: false,
            renewed_at: 0,
            is_sure: false,
            store_epoch: 0,
            frozen: None,
            tick_at: None,
        });
        self.tell(None, || format!("s{scheduler} starts"));
        self.connect(Owner::Scheduler(scheduler));
        let delay = self.rng.random_range(0..RENEW_US / 2);
        self.after(delay, Event::Lease(scheduler));
    }

    pub(crate) fn kill_scheduler(&mut self, scheduler: usize) {
        self.broker.disconnect(Owner::Scheduler(scheduler));
        let process = &mut self.schedulers[scheduler];
        process.is_alive = false;
        process.is_connected = false;
        process.core = None;
        process.outbox.clear();
        process.frozen = None;
        self.hand_out_intake();
    }

    pub(crate) fn connect_scheduler(&mut self, scheduler: usize) {
        let process = &mut self.schedulers[scheduler];
        if !process.is_alive || process.is_connected {
            return;
        }
        process.is_connected = true;
        process.connections += 1;
        let queue = format!("leader.{}.{}", process.leader, process.connections);
        process.queue = queue.clone();
        self.broker.declare(&queue, Owner::Scheduler(scheduler));
        self.listen(scheduler);
    }

    pub(crate) fn disconnect_scheduler(&mut self, scheduler: usize) {
        self.broker.disconnect(Owner::Scheduler(scheduler));
        let process = &mut self.schedulers[scheduler];
        if process.is_alive && std::mem::take(&mut process.is_connected) {
            self.apply_scheduler(scheduler, SchedulerEvent::BrokerDown);
            self.hand_out_intake();
        }
    }

    /// A leader begins to hear: its queue is told, submissions come.
    fn listen(&mut self, scheduler: usize) {
        let process = &self.schedulers[scheduler];
        if process.is_connected && process.leads() {
            let queue = process.queue.clone();
            self.apply_scheduler(scheduler, SchedulerEvent::Listening { queue });
            self.hand_out_intake();
        }
    }

    /// Gives waiting submissions to a leader that consumes them.
    pub(crate) fn hand_out_intake(&mut self) {
        let consumers: Vec<_> = (0..self.schedulers.len())
            .filter(|i| self.schedulers[*i].is_connected && self.schedulers[*i].leads())
            .collect();
        if consumers.is_empty() || !self.broker.is_up(self.now) {
            return;
        }
        let scheduler = consumers[self.rng.random_range(0..consumers.len())];
        for (token, msg) in self.broker.hand_out(scheduler) {
            self.submit_to(scheduler, token, msg);
        }
    }

    fn submit_to(&mut self, scheduler: usize, token: u64, msg: SubmitMsg) {
        let job = msg.job;
        self.tell(Some(job), || {
            format!("s{scheduler} takes the submission of {job}")
        });
        let GraphSource::Inline(bytes) = &msg.graph else {
            return;
        };
        let graph = SubmittedGraph::decode(bytes.clone());
        let event = SchedulerEvent::JobSubmitted {
            token,
            msg: Box::new(msg),
            graph,
        };
        self.apply_scheduler(scheduler, event);
    }

    pub(crate) fn scheduler_hears(&mut self, scheduler: usize, message: Message) {
        let event = match message {
            Message::Frame(frame) => frame_heard(frame),
            Message::Request(request) => SchedulerEvent::GatewayAsked(*request),
            Message::Hello(hello) => {
                let process = &mut self.schedulers[scheduler];
                process.known = process.known.max(hello.term);
                SchedulerEvent::HelloHeard(hello)
            }
            Message::Reply(_) => return,
        };
        self.apply_scheduler(scheduler, event);
    }

    pub(crate) fn scheduler_unroutable(&mut self, scheduler: usize, queue: String) {
        self.apply_scheduler(scheduler, SchedulerEvent::WorkerUnroutable { queue });
    }

    pub(crate) fn scheduler_tick(&mut self, scheduler: usize) {
        // A later time: another tick was scheduled since. An earlier one: the process was stopped when it was due.
        if self.schedulers[scheduler]
            .tick_at
            .is_some_and(|at| at <= self.now)
        {
            self.schedulers[scheduler].tick_at = None;
            self.apply_scheduler(scheduler, SchedulerEvent::Tick);
        }
    }

    const fn clock(&self) -> Clock {
        Clock {
            now: self.timestamp(),
            unix_ms: self.now / 1000,
        }
    }

    /// Tells the core something, and lets what it wants done leave.
    fn apply_scheduler(&mut self, scheduler: usize, event: SchedulerEvent) {
        let clock = self.clock();
        let process = &mut self.schedulers[scheduler];
        if process.is_suspended {
            return;
        }
        let Some(core) = &mut process.core else { return };
        core.apply(clock, event);
        self.poll_scheduler(scheduler);
    }

    fn poll_scheduler(&mut self, scheduler: usize) {
        let clock = self.clock();
        let mut effects = Vec::new();
        let Some(core) = &mut self.schedulers[scheduler].core else {
            return;
        };
        core.poll(clock, &mut effects);
        let broken = core.check_invariants();
        let wakeup = core.next_wakeup();
        if let Some(first) = broken.first() {
            self.fail(None, format!("scheduler s{scheduler}: {first}"));
        }
        self.schedulers[scheduler]
            .outbox
            .extend(effects.into_iter().map(Out::Effect));
        self.pump(scheduler);
        let process = &mut self.schedulers[scheduler];
        if let (Some(wakeup), true) = (wakeup, process.core.is_some()) {
            let at = wakeup.as_micros().max(self.now + 1);
            if process
                .tick_at
                .is_none_or(|scheduled| at < scheduled || scheduled <= self.now)
            {
                process.tick_at = Some(at);
                self.at(at, Event::SchedulerTick(scheduler));
            }
        }
    }

    pub(crate) fn take_notes(&mut self, scheduler: usize) {
        let process = &mut self.schedulers[scheduler];
        process.is_noting = false;
        if process.is_suspended {
            return;
        }
        let Some(core) = &mut process.core else { return };
        process.is_noting = true;
        process
            .outbox
            .extend(core.take_notes().into_iter().map(Out::Note));
        self.pump(scheduler);
        self.after(NOTES_US, Event::Notes(scheduler));
    }

    pub(crate) fn durable(&mut self, scheduler: usize) {
        self.schedulers[scheduler].is_committing = false;
        self.pump(scheduler);
    }

    /// Lets effects leave, one after the other; a commit holds up those behind it until it is durable.
    fn pump(&mut self, scheduler: usize) {
        while self.schedulers[scheduler].is_alive && !self.schedulers[scheduler].is_committing {
            let Some(out) = self.schedulers[scheduler].outbox.pop_front() else {
                return;
            };
            match out {
                Out::Effect(Effect::Commit(commit)) => self.commit(scheduler, commit),
                Out::Effect(effect) => self.scheduler_effect(scheduler, effect),
                Out::Repaired(epoch) => self.store.repaired = epoch,
                Out::Note(note) => {
                    let (leader, term) = self.fence_of(scheduler);
                    match self.store.note(self.now, leader, term, note.clone()) {
                        Fenced::No => self.look_at_journal(scheduler),
                        Fenced::Yes => self.lose_lease(scheduler),
                        Fenced::Down => self.try_again(scheduler, Out::Note(note)),
                    }
                }
            }
        }
    }

    fn fence_of(&self, scheduler: usize) -> (LeaderId, Term) {
        let process = &self.schedulers[scheduler];
        (process.leader, process.term)
    }

    fn commit(&mut self, scheduler: usize, commit: Commit) {
        let (leader, term) = self.fence_of(scheduler);
        self.tell(None, || format!("s{scheduler} commits {}", summary(&commit)));
        match self.store.commit(self.now, leader, term, commit.clone()) {
            Fenced::No => {
                self.schedulers[scheduler].is_committing = true;
                let delay = self.rng.random_range(100..1_500);
                self.after(delay, Event::Durable(scheduler));
                self.look_at_journal(scheduler);
            }
            Fenced::Yes => self.lose_lease(scheduler),
            Fenced::Down => self.try_again(scheduler, Out::Effect(Effect::Commit(commit))),
        }
    }

    fn try_again(&mut self, scheduler: usize, out: Out) {
        self.schedulers[scheduler].outbox.push_front(out);
        self.schedulers[scheduler].is_committing = true;
        self.after(100_000, Event::Durable(scheduler));
    }

    fn scheduler_effect(&mut self, scheduler: usize, effect: Effect) {
        let from = Owner::Scheduler(scheduler);
        let is_connected = self.schedulers[scheduler].is_connected;
        match effect {
            Effect::Commit(_) | Effect::Publish(_) => {}
            Effect::AckIntake { token } => self.after(ACK_DELAY_US, Event::AckIntake { scheduler, token }),
            Effect::SendToWorker { queue, frame } => {
                self.digest(&frame);
                self.tell_orders(scheduler, &queue, &frame);
                if is_connected {
                    self.send(from, &queue, Message::Frame(frame));
                }
            }
            Effect::ReplyToGateway { msg, .. } => {
                if is_connected {
                    self.send(from, GATEWAY, Message::Reply(Box::new(msg)));
                }
            }
            Effect::SayHello(hello) => {
                if is_connected {
                    self.fan_out(from, &hello);
                }
            }
            Effect::StepDown { known } => {
                self.tell(None, || format!("s{scheduler} steps down for term {known}"));
                let process = &mut self.schedulers[scheduler];
                process.known = process.known.max(known);
                self.drop_core(scheduler);
            }
        }
    }

    pub(crate) fn ack_intake(&mut self, scheduler: usize, token: u64) {
        if self.schedulers[scheduler].is_alive && self.schedulers[scheduler].is_connected {
            self.broker.acknowledge(scheduler, token);
        }
    }

    fn drop_core(&mut self, scheduler: usize) {
        let process = &mut self.schedulers[scheduler];
        process.core = None;
        process.is_suspended = false;
        process.outbox.clear();
        self.broker.release(scheduler);
        self.hand_out_intake();
    }

    /// The lease is another's, or nobody's: nothing leaves any more.
    fn lose_lease(&mut self, scheduler: usize) {
        self.tell(None, || format!("s{scheduler} lost its lease"));
        let process = &mut self.schedulers[scheduler];
        process.outbox.clear();
        process.is_suspended = process.core.is_some();
        self.broker.release(scheduler);
        self.hand_out_intake();
    }

    /// Renews the lease, or tries to get one.
    pub(crate) fn lease(&mut self, scheduler: usize) {
        let process = &self.schedulers[scheduler];
        if !process.is_alive {
            return;
        }
        if process.leads() {
            self.renew(scheduler);
        }
        if !self.schedulers[scheduler].leads() {
            self.campaign(scheduler);
        }
        let delay = RENEW_US / 2 + self.rng.random_range(0..RENEW_US / 2);
        self.after(delay, Event::Lease(scheduler));
    }

    fn renew(&mut self, scheduler: usize) {
        let (leader, term) = self.fence_of(scheduler);
        match self.store.renew(self.now, leader, term) {
            Fenced::No => {
                let process = &mut self.schedulers[scheduler];
                process.renewed_at = self.now;
                if !std::mem::replace(&mut process.is_sure, true) {
                    self.apply_scheduler(scheduler, SchedulerEvent::LeaseSure);
                }
                self.look_at_journal(scheduler);
            }
            Fenced::Yes => self.lose_lease(scheduler),
            Fenced::Down => {
                let process = &mut self.schedulers[scheduler];
                let is_late = self.now > process.renewed_at + LEASE_US - RENEW_US;
                if is_late && std::mem::take(&mut process.is_sure) {
                    self.apply_scheduler(scheduler, SchedulerEvent::LeaseUncertain);
                }
            }
        }
    }

    /// Every answer of the store tells how far its journal is: a leader that finds it shorter writes everything again.
    fn look_at_journal(&mut self, scheduler: usize) {
        let epoch = self.store.epoch;
        if std::mem::replace(&mut self.schedulers[scheduler].store_epoch, epoch) != epoch {
            self.tell(None, || format!("s{scheduler} finds that the store lost data"));
            self.apply_scheduler(scheduler, SchedulerEvent::JournalLost);
            self.schedulers[scheduler].outbox.push_back(Out::Repaired(epoch));
        }
    }

    fn campaign(&mut self, scheduler: usize) {
        let (leader, old) = self.fence_of(scheduler);
        let at_least = old.max(self.schedulers[scheduler].known);
        let (term, before) = match self.store.acquire(self.now, leader, at_least) {
            Acquired::Lease { term, before } => (term, before),
            Acquired::Held { by } if by != (leader, old) => {
                self.stand_by(scheduler, by.1);
                return;
            }
            Acquired::Held { .. } | Acquired::Down => return,
        };
        self.tell(None, || format!("s{scheduler} leads in term {term}"));
        let clock = self.clock();
        let process = &mut self.schedulers[scheduler];
        let identity = Identity {
            cluster: ClusterName::default(),
            leader,
            term,
            queue: process.queue.clone(),
        };
        process.term = term;
        process.renewed_at = self.now;
        process.is_sure = true;
        process.outbox.clear();
        process.store_epoch = self.store.epoch;
        let mut is_whole = self.store.repaired == self.store.epoch;
        match process.core.take() {
            // Nobody else is known to have led in between.
            Some(mut core) if process.is_suspended && before.is_none_or(|led| led == (leader, old)) => {
                core.lead_again(clock, identity);
                process.core = Some(core);
                is_whole = true;
            }
            _ => {
                let mut core = SchedulerCore::new(core_config(), identity, clock);
                let (jobs, workers) = self.store.load(self.now);
                core.recover(clock, jobs, workers);
                process.core = Some(core);
            }
        }
        process.is_suspended = false;
        self.has_lost_journal |= !is_whole;
        let epoch = self.store.epoch;
        if !std::mem::replace(&mut self.schedulers[scheduler].is_noting, true) {
            self.after(NOTES_US, Event::Notes(scheduler));
        }
        self.listen(scheduler);
        self.poll_scheduler(scheduler);
        self.schedulers[scheduler].outbox.push_back(Out::Repaired(epoch));
        self.pump(scheduler);
    }

    /// Somebody else leads: what was kept in case that nobody does is of no use.
    fn stand_by(&mut self, scheduler: usize, led: Term) {
        let process = &mut self.schedulers[scheduler];
        process.known = process.known.max(led);
        process.core = None;
        process.is_suspended = false;
    }

    /// A stopped process goes on: all that came meanwhile comes now.
    pub(crate) fn thaw(&mut self, scheduler: usize) {
        let backlog = self.schedulers[scheduler].frozen.take();
        if let Some(backlog) = backlog {
            self.tell(None, || {
                format!("s{scheduler} goes on with {} events", backlog.len())
            });
            for event in backlog {
                self.after(1, event);
            }
        }
    }
}

/// Reads a frame as the service does: what belongs to no session is read before it comes to the core.
fn frame_heard(frame: Bytes) -> SchedulerEvent {
    let batch = decode_datagrams(&ClusterName::default(), &frame);
    match batch.map(|batch| batch.items).as_deref() {
        Ok([Datagram::StaleTerm(stale)]) => SchedulerEvent::StaleTermHeard(stale.clone()),
        _ => SchedulerEvent::WorkerFrame(frame),
    }
}

fn core_config() -> CoreConfig {
    CoreConfig {
        // Workers die for reasons of the simulation's own; no task is to blame.
        allowed_failures: u32::MAX,
        ..CoreConfig::default()
    }
}

fn summary(commit: &Commit) -> String {
    match commit {
        Commit::PutJob { meta, .. } => format!("job {}", meta.job),
        Commit::SetMeta { meta, .. } => format!("{} of {}", meta.state.name(), meta.job),
        Commit::RequestCancel { job } => format!("cancel of {job}"),
        Commit::PutExtension { job, task, .. } => format!("extension by {task} of {job}"),
        Commit::PutFailure { job, task, failure } => {
            format!("failure {} of {task} of {job}", failure.failures)
        }
        Commit::PutPages { job, .. } => format!("what was delivered or given up of {job}"),
        Commit::DeleteJob { job } => format!("removal of {job}"),
    }
}
