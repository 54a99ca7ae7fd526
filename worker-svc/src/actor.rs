//! The actor around the worker core: it applies what happened and hands on what is to be done.
//!
//! It never awaits and runs no task, so that heartbeats leave whatever tasks do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use millstream_store::Store;
use millstream_types::{Timestamp, duration_micros};
use millstream_worker_core::{WorkerCore, WorkerEffect, WorkerEvent};
use tokio::sync::mpsc;

use crate::fetch::Fetches;
use crate::outbox::Outgoing;
use crate::runner::Runner;
use crate::work::WorkLog;

/// Messages that may wait for the actor; each may hold many events.
const MAILBOX: usize = 64;

/// How often time is told to the core when nothing else happens.
const TICK: Duration = Duration::from_millis(10);

/// What happened together.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Happened(pub(crate) Vec<WorkerEvent>);

/// The actor.
pub(crate) struct WorkerActor {
    pub(crate) core: WorkerCore,
    pub(crate) origin: Instant,
    pub(crate) runner: Runner,
    pub(crate) fetches: Fetches,
    pub(crate) store: Store,
    pub(crate) outgoing: mpsc::UnboundedSender<Outgoing>,
    pub(crate) exit: mpsc::Sender<()>,
    pub(crate) effects: Vec<WorkerEffect>,
    pub(crate) work: Arc<WorkLog>,
}

impl WorkerActor {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(duration_micros(self.origin.elapsed()))
    }

    fn apply(&mut self, events: Vec<WorkerEvent>) {
        let now = self.now();
        for event in events {
            if let WorkerEvent::TaskFinished { run, .. }
            | WorkerEvent::TaskExtended { run, .. }
            | WorkerEvent::TaskFailed { run, .. }
            | WorkerEvent::NotStarted { run } = &event
            {
                self.runner.forget(*run);
            }
            self.core.apply(now, event);
        }
        self.carry_out(now);
    }

    fn carry_out(&mut self, now: Timestamp) {
        let mut effects = std::mem::take(&mut self.effects);
        self.core.poll(now, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                // Bounded by the session's window: the core gives no more than that before it is acknowledged.
                WorkerEffect::Send { queue, frame } => {
                    let _ = self.outgoing.send(Outgoing::Frame { queue, frame });
                }
                WorkerEffect::OpenQueue { name } => {
                    let _ = self.outgoing.send(Outgoing::OpenQueue { name });
                }
                WorkerEffect::StartTask(task) => self.runner.take(*task),
                WorkerEffect::KillTask(run) => self.runner.kill(run),
                WorkerEffect::Recall(run) => self.runner.recall(run),
                WorkerEffect::Fetch(fetch) => self.fetches.start(fetch),
                WorkerEffect::CancelFetch { id } => self.fetches.cancel(id),
                WorkerEffect::DropObject {
                    object,
                    attempt,
                    part: Some(part),
                } => self.store.drop_part(object, attempt, part),
                WorkerEffect::DropObject {
                    object,
                    attempt,
                    part: None,
                } => self.store.drop_object(object, attempt),
                WorkerEffect::RelievePressure => relieve_pressure(),
                WorkerEffect::Exit => {
                    let _ = self.exit.try_send(());
                }
            }
        }
        self.effects = effects;
        self.runner.flush();
    }

    fn tick(&mut self) {
        self.runner.tell();
        self.work.loaded(self.core.load());
        let now = self.now();
        if self.core.next_wakeup().is_some_and(|at| at <= now) {
            self.apply(vec![WorkerEvent::Tick]);
        }
    }
}

impl Actor for WorkerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, |actor, _| actor.tick());
    }
}

impl Handler<Happened> for WorkerActor {
    type Result = ();

    fn handle(&mut self, Happened(events): Happened, _: &mut Self::Context) {
        self.apply(events);
    }
}

/// Gives what the allocator keeps for later back to the system.
fn relieve_pressure() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "glibc's only way to return free memory to the system")]
        // SAFETY: malloc_trim has no preconditions and only releases memory that is free.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
