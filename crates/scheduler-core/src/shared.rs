//! Everything that is not a job: what handlers of all jobs share.

use std::collections::BTreeSet;

use millstream_protocol::wire::{JobEvent, JobEventKind, LiveMsg};
use millstream_types::{JobId, Timestamp, WorkerId};
use uuid::Uuid;

use crate::ids::{JobNo, WorkerNo};
use crate::job::{ImportRef, ReadyClass};
use crate::stats::OpStats;
use crate::story::Story;
use crate::timers::Timers;
use crate::worker::Workers;
use crate::{Clock, Commit, CoreConfig, Effect, Identity, Note};

/// What peers did wrong and what came of the work, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that the shell could not read and put aside.
    pub dead_letters: u64,
    /// Frames that could not be read.
    pub malformed_frames: u64,
    /// Frames of other terms or sessions.
    pub foreign_frames: u64,
    /// Sessions that ended because a batch was lost.
    pub gaps: u64,
    /// Reports of runs that are no longer current.
    pub stale_reports: u64,
    /// Messages that make no sense: tasks or jobs that do not exist.
    pub impossible_messages: u64,
    /// Items that could not be sent.
    pub unsendable_items: u64,
    /// Tasks that were assigned.
    pub assigned: u64,
    /// Outputs that were reported.
    pub finished: u64,
    /// Workers that were declared lost.
    pub workers_lost: u64,
    /// Outputs that are made again.
    pub recomputed: u64,
    /// Jobs that ended with all their outputs.
    pub succeeded: u64,
    /// Jobs that ended with an error.
    pub failed: u64,
    /// Jobs that ended by a cancel.
    pub cancelled: u64,
    /// Submissions refused for lack of room.
    pub refused: u64,
    /// Objects that were let go although somebody needed them. Any is a defect of the core.
    pub wrong_frees: u64,
}

/// An entry of the cluster-wide ready list: classes in the order they are served.
pub(crate) type ReadyEntry = (i32, u32, JobNo, u16);

/// A recovery window: a new leader waits for inventories before it re-queues anything.
#[derive(Debug)]
pub(crate) struct RecoveryWindow {
    pub(crate) until: Timestamp,
    pub(crate) missing: BTreeSet<WorkerId>,
}

/// What handlers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: CoreConfig,
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
    pub(crate) effects: Vec<Effect>,
    pub(crate) notes: Vec<Note>,
    pub(crate) workers: Workers,
    pub(crate) stats: OpStats,
    pub(crate) story: Story,
    pub(crate) timers: Timers,
    /// Classes of jobs that have ready tasks.
    pub(crate) ready: BTreeSet<ReadyEntry>,
    /// Jobs whose tasks changed since the last poll.
    pub(crate) touched: Vec<JobNo>,
    /// Imports that changed, or whose sources did.
    pub(crate) imports: Vec<ImportRef>,
    /// Imports whose sources are rolled back.
    pub(crate) rolled_back: Vec<ImportRef>,
    /// Jobs that lost one that imports from them, or their own end: they may be there for nobody.
    pub(crate) unreferenced: Vec<JobNo>,
    pub(crate) counters: Counters,
    pub(crate) inline_bytes: u64,
    pub(crate) recovery: Option<RecoveryWindow>,
    pub(crate) broker_up: Option<Timestamp>,
    pub(crate) first_hello: Option<Timestamp>,
    pub(crate) next_hello: Option<Timestamp>,
    pub(crate) is_lease_sure: bool,
    pub(crate) has_stepped_down: bool,
    /// Where the next search for a worker begins.
    pub(crate) rotation: usize,
    /// The worker that the next roots go to, and how many.
    pub(crate) root_run: Option<(WorkerNo, u32)>,
}

impl Shared {
    pub(crate) fn new(config: CoreConfig, identity: Identity, clock: Clock) -> Self {
        Self {
            story: Story::new(config.story_capacity),
            config,
            identity,
            clock,
            effects: Vec::new(),
            notes: Vec::new(),
            workers: Workers::default(),
            stats: OpStats::default(),
            timers: Timers::default(),
            ready: BTreeSet::new(),
            touched: Vec::new(),
            imports: Vec::new(),
            rolled_back: Vec::new(),
            unreferenced: Vec::new(),
            counters: Counters::default(),
            inline_bytes: 0,
            recovery: None,
            broker_up: None,
            first_hello: None,
            next_hello: None,
            is_lease_sure: true,
            has_stepped_down: false,
            rotation: 0,
            root_run: None,
        }
    }

    pub(crate) fn commit(&mut self, commit: Commit) {
        self.effects.push(Effect::Commit(commit));
    }

    /// Writes a line of a job's history, and shows it.
    pub(crate) fn tell(&mut self, job: JobId, kind: JobEventKind) {
        let event = JobEvent {
            at_ms: self.clock.unix_ms,
            kind,
        };
        self.notes.push(Note::Event {
            job,
            event: event.clone(),
        });
        self.effects.push(Effect::Publish(LiveMsg::Job { job, event }));
    }

    /// The leader's identity as sessions carry it.
    pub(crate) fn own_uuid(&self) -> Uuid {
        Uuid::from_u128(self.identity.leader.as_u128())
    }

    pub(crate) fn list_ready(&mut self, job: JobNo, seq: u32, class: ReadyClass) {
        self.ready.insert((class.rank, seq, job, class.restriction));
    }
}
