//! The scheduler core: one event in, effects out.

use millstream_types::{Timestamp, WorkerId};

use crate::{Clock, CoreConfig, Effect, Identity, Note, RecoveredJob, SchedulerEvent};

/// The scheduler of one leader's term.
#[derive(Debug)]
pub struct SchedulerCore {
    config: CoreConfig,
    identity: Identity,
    clock: Clock,
    effects: Vec<Effect>,
    notes: Vec<Note>,
}

impl SchedulerCore {
    /// A leader without jobs or workers.
    pub fn new(config: CoreConfig, identity: Identity, clock: Clock) -> Self {
        Self {
            config,
            identity,
            clock,
            effects: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes over what the state store has. Nothing is re-queued until every registered worker has answered or the
    /// recovery window is over.
    pub fn recover(&mut self, clock: Clock, jobs: Vec<RecoveredJob>, registered: Vec<WorkerId>) {
        let _ = (clock, jobs, registered);
    }

    /// Applies one event. What a peer did wrong is counted and ignored.
    pub fn apply(&mut self, clock: Clock, event: SchedulerEvent) {
        self.clock = clock;
        let _ = event;
    }

    /// Appends to `out` everything the shell must now do, in order. Called after a batch of events.
    pub fn poll(&mut self, clock: Clock, out: &mut Vec<Effect>) {
        self.clock = clock;
        out.append(&mut self.effects);
    }

    /// Takes the trailing writes that have come together.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// When `apply(Tick)` and `poll` must be called next, if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        Some(self.clock.now + self.config.hello_every)
    }

    /// Who leads.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Checks every invariant; returns what is broken.
    pub fn check_invariants(&self) -> Vec<String> {
        Vec::new()
    }
}
