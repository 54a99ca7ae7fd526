//! The scheduler core: one event in, effects out.

use std::collections::BTreeSet;

use millstream_protocol::wire::ToGateway;
use millstream_types::{Term, Timestamp, WorkerId};

use crate::jobs::Jobs;
use crate::shared::{Counters, Shared};
use crate::{Clock, CoreConfig, Effect, Identity, Note, RecoveredJob, SchedulerEvent, imports, on};

/// The scheduler of one leader's term.
#[derive(Debug)]
pub struct SchedulerCore {
    pub(crate) cx: Shared,
    pub(crate) jobs: Jobs,
    /// Work was left over by the last poll.
    has_more: bool,
}

impl SchedulerCore {
    /// A leader without jobs or workers.
    pub fn new(config: CoreConfig, identity: Identity, clock: Clock) -> Self {
        let mut core = Self {
            cx: Shared::new(config, identity, clock),
            jobs: Jobs::default(),
            has_more: false,
        };
        on::tick::start(&mut core.cx);
        core
    }

    /// Takes over what the state store has. Nothing is re-queued until every registered worker has answered or the
    /// recovery window is over.
    pub fn recover(&mut self, clock: Clock, jobs: Vec<RecoveredJob>, registered: Vec<WorkerId>) {
        self.cx.clock = clock;
        on::recover::recover(self, jobs, registered);
    }

    /// Leads again after the lease was lost, if nobody else is known to have led meanwhile. All jobs are kept; workers
    /// open new sessions.
    pub fn lead_again(&mut self, clock: Clock, identity: Identity) {
        self.cx.clock = clock;
        on::lead_again::lead_again(self, identity);
    }

    /// Applies one event. What a peer did wrong is counted and ignored.
    pub fn apply(&mut self, clock: Clock, event: SchedulerEvent) {
        self.cx.clock = clock;
        if self.cx.has_stepped_down {
            return;
        }
        match event {
            SchedulerEvent::WorkerFrame(frame) => on::frame::received(self, &frame),
            SchedulerEvent::DeadLettered => self.cx.counters.dead_letters += 1,
            SchedulerEvent::WorkerUnroutable { queue } => on::frame::unroutable(self, &queue),
            SchedulerEvent::BrokerUp => on::tick::broker_up(self),
            SchedulerEvent::Listening { queue } => {
                self.cx.identity.queue = queue;
                on::tick::broker_up(self);
            }
            SchedulerEvent::BrokerDown => self.cx.broker_up = None,
            SchedulerEvent::JobSubmitted { token, msg, graph } => {
                on::submit::submitted(self, token, *msg, graph)
            }
            SchedulerEvent::GatewayAsked(asked) => on::gateway::asked(self, asked),
            SchedulerEvent::ClientSessionEnded { session } => on::submit::client_ended(self, &session),
            SchedulerEvent::StaleTermHeard(stale) => self.hear_rival(stale.known),
            SchedulerEvent::HelloHeard(hello) => {
                if hello.leader != self.cx.identity.leader {
                    self.hear_rival(hello.term);
                }
            }
            SchedulerEvent::JournalLost => on::recover::journal_lost(self),
            SchedulerEvent::LeaseUncertain => self.cx.is_lease_sure = false,
            SchedulerEvent::LeaseSure => self.cx.is_lease_sure = true,
            SchedulerEvent::Tick => {}
        }
        on::tick::run_timers(self);
    }

    /// Appends to `out` everything the shell must now do, in order. Called after a batch of events.
    ///
    /// While the lease is uncertain nothing leaves but the order to step down.
    pub fn poll(&mut self, clock: Clock, out: &mut Vec<Effect>) {
        self.cx.clock = clock;
        if self.cx.has_stepped_down {
            out.append(&mut self.cx.effects);
            return;
        }
        if !self.cx.is_lease_sure {
            return;
        }
        on::tick::run_timers(self);
        self.settle_jobs();
        self.has_more = self.place();
        // Placement may fail tasks that fit nowhere.
        self.settle_jobs();
        self.flush_workers();
        self.settle_jobs();
        out.append(&mut self.cx.effects);
    }

    /// Takes the trailing writes that have come together since the last call. They belong behind every effect that an
    /// earlier poll returned. Nothing while the lease is uncertain.
    pub fn take_notes(&mut self) -> Vec<Note> {
        if !self.cx.is_lease_sure || self.cx.has_stepped_down {
            return Vec::new();
        }
        let mut notes = std::mem::take(&mut self.cx.notes);
        for job in self.jobs.iter_mut() {
            job.take_notes(&self.cx, &mut notes);
        }
        notes
    }

    /// When `apply(Tick)` and `poll` must be called next, if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        if self.cx.has_stepped_down {
            return None;
        }
        // Without a sure lease nothing is placed, however often it is tried.
        if self.has_more && self.cx.is_lease_sure {
            return Some(self.cx.clock.now);
        }
        self.cx.timers.next()
    }

    /// Who leads.
    pub fn identity(&self) -> &Identity {
        &self.cx.identity
    }

    /// What peers did wrong and what was done, counted since the start of the term.
    pub fn counters(&self) -> Counters {
        self.cx.counters
    }

    /// How many objects it believes a worker to hold; none for one that is not there.
    pub fn objects_at(&self, worker: WorkerId) -> Option<u32> {
        let no = self.cx.workers.find(worker)?;
        let row = &self.cx.workers[no];
        (!row.is_gone()).then_some(row.objects)
    }

    /// Whether a new leader still waits for inventories.
    pub fn is_recovering(&self) -> bool {
        self.cx.recovery.is_some()
    }

    /// The clients' sessions that jobs are attached to.
    pub fn attached_sessions(&self) -> Vec<String> {
        let sessions = self
            .jobs
            .iter()
            .filter_map(|job| job.meta.options.attached_to.clone());
        sessions.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Heap bytes of all jobs' task tables.
    pub fn heap_bytes(&self) -> usize {
        self.jobs.iter().map(|job| job.heap_bytes()).sum()
    }

    /// A higher term ends this one.
    pub(crate) fn hear_term(&mut self, known: Term) {
        if known > self.cx.identity.term && !self.cx.has_stepped_down {
            self.step_down(known);
        }
    }

    /// Another leader is followed in `known`. A store that was rolled back may have given the same term twice: then
    /// neither goes on, since workers cannot tell the two apart, and the next term is above both.
    fn hear_rival(&mut self, known: Term) {
        if known == self.cx.identity.term && !self.cx.has_stepped_down {
            self.step_down(known);
        }
        self.hear_term(known);
    }

    fn step_down(&mut self, known: Term) {
        self.cx.has_stepped_down = true;
        // What was not sent yet may be another leader's to decide now.
        self.cx.effects.clear();
        self.cx.effects.push(Effect::StepDown { known });
    }

    pub(crate) fn reply(&mut self, queue: String, msg: ToGateway) {
        self.cx.effects.push(Effect::ReplyToGateway { queue, msg });
    }

    /// Looks at the jobs whose tasks changed, until none is left.
    fn settle_jobs(&mut self) {
        loop {
            while !self.cx.touched.is_empty() {
                for no in std::mem::take(&mut self.cx.touched) {
                    if let Some(job) = self.jobs.get_mut(no) {
                        job.settle(&mut self.cx);
                    }
                }
            }
            imports::drop_unreferenced(self);
            if !self.settle_imports() && self.cx.touched.is_empty() {
                return;
            }
        }
    }
}
