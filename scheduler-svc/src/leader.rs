//! The actor around the scheduler core: it applies what was heard and hands on what is to be done.
//!
//! It never awaits. Its mailbox is bounded, so whoever feeds it waits while it is behind; its outbox is bounded, and
//! while that is full the core is not polled, which closes the windows of its sessions.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::prelude::*;
use millstream_protocol::wire::{Response, ToGateway};
use millstream_scheduler_core::{Clock, Effect, Note, SchedulerCore, SchedulerEvent};
use millstream_state::Fence;
use millstream_telemetry::SchedulerMetrics;
use millstream_types::Term;
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::warn;

use crate::clock::Watch;
use crate::election::{LeaseNews, Pulse};
use crate::outbox::Batch;

/// Messages that may wait for the actor; each may hold many frames.
const MAILBOX: usize = 64;

/// How often time is told to the core when nothing else happens.
const TICK: Duration = Duration::from_millis(20);

/// What came in together.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Heard(pub(crate) Vec<SchedulerEvent>);

/// The leader listens on another queue from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Listening(pub(crate) String);

/// The outbox has carried a batch out.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct OutboxHasRoom;

/// What the state store or another leader made known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) enum StateNews {
    /// The journal was replaced or rolled back.
    JournalLost,
    /// A write was refused: the lease does not hold this term.
    Fenced {
        /// Who holds it instead, if anybody.
        holder: Option<Fence>,
    },
    /// Somebody follows a higher term.
    Outranked {
        /// That term.
        known: Term,
    },
    /// From the keeper of the lease.
    Lease(LeaseNews),
}

/// Asks which clients' sessions jobs are attached to.
#[derive(Debug, Message)]
#[rtype(result = "Vec<String>")]
pub(crate) struct AttachedSessions;

/// Ends the reign; the answer is the core.
#[derive(Debug, Message)]
#[rtype(result = "Option<Box<SchedulerCore>>")]
pub(crate) struct Abdicate;

/// Why a reign ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The lease is gone.
    Fenced {
        /// Who has it, if anybody.
        holder: Option<Fence>,
    },
    /// A higher term exists.
    Outranked {
        /// That term.
        known: Term,
    },
}

/// Notes and the number of the batch that must be written before them.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) number: u64,
    pub(crate) after: u64,
    pub(crate) notes: Vec<Note>,
}

/// The actor.
pub(crate) struct LeaderActor {
    pub(crate) core: Option<Box<SchedulerCore>>,
    pub(crate) watch: Watch,
    pub(crate) pulse: Pulse,
    pub(crate) outbox: mpsc::Sender<Batch>,
    pub(crate) notes: mpsc::Sender<Notes>,
    pub(crate) note_delay: Duration,
    pub(crate) ends: mpsc::Sender<End>,
    pub(crate) next_batch: u64,
    pub(crate) last_notes: u64,
    /// Whether somebody waits for notes after the last.
    pub(crate) notes_awaited: bool,
    pub(crate) metrics: SchedulerMetrics,
    pub(crate) ticked: Instant,
}

impl LeaderActor {
    fn apply(&mut self, events: impl IntoIterator<Item = SchedulerEvent>) {
        let clock = self.watch.read();
        if let Some(core) = &mut self.core {
            for event in events {
                core.apply(clock, event);
            }
        }
        self.pump(clock);
    }

    /// Hands what the core wants done to the outbox, as far as that has room.
    fn pump(&mut self, clock: Clock) {
        let outbox = self.outbox.clone();
        loop {
            let Some(core) = &mut self.core else { return };
            let Ok(permit) = outbox.try_reserve() else {
                return;
            };
            let mut effects = Vec::new();
            core.poll(clock, &mut effects);
            if effects.is_empty() {
                return;
            }
            self.next_batch += 1;
            let noted = effects.iter().any(tells_of_a_task).then(|| self.await_notes());
            permit.send(Batch {
                number: self.next_batch,
                noted,
                effects,
            });
        }
    }

    fn tick(&mut self) {
        self.pulse.fetch_add(1, Ordering::Relaxed);
        let ticked = std::mem::replace(&mut self.ticked, Instant::now());
        let lag = self.ticked.duration_since(ticked).saturating_sub(TICK);
        self.metrics.loop_lag_seconds.observe(lag);
        let waiting = self.outbox.max_capacity() - self.outbox.capacity();
        self.metrics.outbox_batches.set(waiting as u64);
        let now = self.watch.read().now;
        let due = self
            .core
            .as_ref()
            .and_then(|core| core.next_wakeup())
            .is_some_and(|at| at <= now);
        if due {
            self.apply([SchedulerEvent::Tick]);
        } else {
            self.pump(self.watch.read());
        }
    }

    fn take_notes(&mut self) {
        let Some(core) = &mut self.core else { return };
        // Without room the notes stay in the core, where later ones replace them.
        let Ok(permit) = self.notes.try_reserve() else {
            return;
        };
        let notes = core.take_notes();
        if notes.is_empty() && !self.notes_awaited {
            return;
        }
        self.last_notes += 1;
        self.notes_awaited = false;
        permit.send(Notes {
            number: self.last_notes,
            after: self.next_batch,
            notes,
        });
    }

    /// Hurries the notes up; returns the number of those that will hold everything up to now.
    fn await_notes(&mut self) -> u64 {
        self.notes_awaited = true;
        self.take_notes();
        self.last_notes + u64::from(self.notes_awaited)
    }

    fn end(&self, end: End) {
        if let Err(TrySendError::Full(end)) = self.ends.try_send(end) {
            warn!(?end, "the reign is ending already");
        }
    }
}

/// Whether an answer speaks of what its reader will look for in the notes: the log of a task.
const fn tells_of_a_task(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::ReplyToGateway {
            msg: ToGateway::Response {
                result: Ok(Response::Task(_)),
                ..
            },
            ..
        }
    )
}

impl Actor for LeaderActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, |actor, _| actor.tick());
        ctx.run_interval(self.note_delay, |actor, _| actor.take_notes());
    }
}

impl Handler<Heard> for LeaderActor {
    type Result = ();

    fn handle(&mut self, Heard(events): Heard, _: &mut Self::Context) {
        self.apply(events);
    }
}

impl Handler<Listening> for LeaderActor {
    type Result = ();

    fn handle(&mut self, Listening(queue): Listening, _: &mut Self::Context) {
        self.apply([SchedulerEvent::Listening { queue }]);
    }
}

impl Handler<OutboxHasRoom> for LeaderActor {
    type Result = ();

    fn handle(&mut self, _: OutboxHasRoom, _: &mut Self::Context) {
        self.pump(self.watch.read());
    }
}

impl Handler<StateNews> for LeaderActor {
    type Result = ();

    fn handle(&mut self, news: StateNews, _: &mut Self::Context) {
        match news {
            StateNews::JournalLost => {
                warn!("the state store lost a part of the journal; writing it again");
                self.apply([SchedulerEvent::JournalLost]);
            }
            StateNews::Lease(LeaseNews::Uncertain) => self.apply([SchedulerEvent::LeaseUncertain]),
            StateNews::Lease(LeaseNews::Sure) => self.apply([SchedulerEvent::LeaseSure]),
            StateNews::Fenced { holder } | StateNews::Lease(LeaseNews::Lost { holder }) => {
                self.end(End::Fenced { holder });
            }
            StateNews::Outranked { known } => self.end(End::Outranked { known }),
        }
    }
}

impl Handler<AttachedSessions> for LeaderActor {
    type Result = Vec<String>;

    fn handle(&mut self, _: AttachedSessions, _: &mut Self::Context) -> Self::Result {
        let core = self.core.as_ref();
        core.map(|core| core.attached_sessions()).unwrap_or_default()
    }
}

impl Handler<Abdicate> for LeaderActor {
    type Result = Option<Box<SchedulerCore>>;

    fn handle(&mut self, _: Abdicate, ctx: &mut Self::Context) -> Self::Result {
        ctx.stop();
        self.core.take()
    }
}
