//! One term of leadership, from taking over the journal to losing the lease.

use actix::Actor;
use millstream_scheduler_core::{Identity, SchedulerCore};
use millstream_state::Fence;
use millstream_types::Term;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::broker::Broker;
use crate::clients::ClientWatch;
use crate::clock::Watch;
use crate::election::{Election, Pulse};
use crate::intake::{Acks, IntakeReader};
use crate::leader::{Abdicate, End, LeaderActor, StateNews};
use crate::notes::NoteWriter;
use crate::outbox::{self, JournalWatch, Outbox};
use crate::{NO_TERM, SchedulerService, recovery};

/// What one reign leaves to the next candidacy of the same process.
pub(crate) struct Succession {
    /// The next term must be above this.
    pub(crate) at_least: Term,
    /// The core, if nobody else was known to lead when the reign ended, and what it led with.
    pub(crate) core: Option<(Box<SchedulerCore>, Fence)>,
    pub(crate) watch: Watch,
}

impl Default for Succession {
    fn default() -> Self {
        Self {
            at_least: NO_TERM,
            core: None,
            watch: Watch::start(),
        }
    }
}

/// One term of leadership.
pub(crate) struct Reign<'a> {
    pub(crate) service: &'a SchedulerService,
    pub(crate) election: Election,
    pub(crate) fence: Fence,
    /// Who led since this process did last.
    pub(crate) rival: Option<Fence>,
}

impl Reign<'_> {
    /// Leads until the lease is lost.
    pub(crate) async fn run(self, succession: Succession) -> Succession {
        let watch = succession.watch;
        let pulse = Pulse::default();
        let (news_sender, mut news) = mpsc::channel(8);
        // The lease is kept while the journal loads: beating for the actor that is not there yet.
        let keeper = AbortOnDrop::spawn(self.election.clone().keep(self.fence, pulse.clone(), news_sender));
        let core = {
            let beating = AbortOnDrop::spawn(beat(pulse.clone()));
            let core = self.take_over(succession).await;
            drop(beating);
            core
        };
        let identity = self.identity();
        let service = self.service;

        let (outbox_sender, batches) = mpsc::channel(outbox::CAPACITY);
        let (note_sender, notes) = mpsc::channel(1);
        let (end_sender, mut ends) = mpsc::channel(1);
        let (link_sender, link) = watch::channel(None);
        let (committed_sender, committed) = watch::channel(0);
        let (noted_sender, noted) = watch::channel(0);
        let (acks, acknowledged) = Acks::channel();
        let journal = JournalWatch::default();

        let leader = LeaderActor {
            core: Some(core),
            watch,
            pulse,
            outbox: outbox_sender,
            notes: note_sender,
            note_delay: service.settings.note_delay,
            ends: end_sender,
            next_batch: 0,
            last_notes: 0,
            notes_awaited: false,
            metrics: service.metrics.clone(),
            ticked: std::time::Instant::now(),
        }
        .start();
        let outbox = Outbox {
            identity: identity.clone(),
            bus: service.bus.clone(),
            state: service.state.clone(),
            link,
            leader: leader.clone(),
            acks,
            committed: committed_sender,
            noted,
            journal: journal.clone(),
            metrics: service.metrics.clone(),
        };
        let note_writer = NoteWriter {
            identity: identity.clone(),
            state: service.state.clone(),
            leader: leader.clone(),
            committed,
            noted: noted_sender,
            journal,
            metrics: service.metrics.clone(),
        };
        let broker = Broker {
            identity,
            bus: service.bus.clone(),
            leader: leader.clone(),
            intake: IntakeReader {
                bus: service.bus.clone(),
                state: service.state.clone(),
                leader: leader.clone(),
                ack_delay: service.settings.intake_ack_delay,
            },
            link: link_sender,
        };
        let clients = ClientWatch {
            state: service.state.clone(),
            leader: leader.clone(),
            grace: service.settings.session_grace,
        };
        let tasks = [
            AbortOnDrop::spawn(clients.run()),
            AbortOnDrop::spawn(outbox.run(batches)),
            AbortOnDrop::spawn(note_writer.run(notes)),
            AbortOnDrop::spawn(broker.run(acknowledged)),
            keeper,
        ];
        let end = loop {
            tokio::select! {
                Some(end) = ends.recv() => break end,
                Some(lease) = news.recv() => {
                    let _ = leader.send(StateNews::Lease(lease)).await;
                }
                else => break End::Fenced { holder: None },
            }
        };
        drop(tasks);
        let core = leader.send(Abdicate).await.ok().flatten();
        self.succession(end, core, watch)
    }

    fn identity(&self) -> Identity {
        let names = self.service.bus.names();
        Identity {
            cluster: names.cluster().clone(),
            leader: self.fence.leader,
            term: self.fence.term,
            queue: names.leader(self.fence.term, self.fence.leader).to_string(),
        }
    }

    /// The core of this term: the last one, if nobody led since; else a new one from the journal.
    async fn take_over(&self, succession: Succession) -> Box<SchedulerCore> {
        let clock = succession.watch.read();
        if let Some((mut core, _)) = succession.core
            && self.rival.is_none()
        {
            info!(term = %self.fence.term, "nobody is known to have led meanwhile; going on with what is in memory");
            core.lead_again(clock, self.identity());
            return core;
        }
        let inheritance = recovery::load(&*self.service.state).await;
        let clock = succession.watch.read();
        let mut core = SchedulerCore::new(self.service.core_config(), self.identity(), clock);
        core.recover(clock, inheritance.jobs, inheritance.workers);
        Box::new(core)
    }

    fn succession(&self, end: End, core: Option<Box<SchedulerCore>>, watch: Watch) -> Succession {
        let term = self.fence.term;
        match end {
            End::Fenced { holder } => {
                warn!(%term, "the lease is lost; campaigning again");
                let rival = holder.filter(|holder| *holder != self.fence);
                Succession {
                    at_least: rival.map_or(term, |rival| rival.term.max(term)),
                    core: core.filter(|_| rival.is_none()).map(|core| (core, self.fence)),
                    watch,
                }
            }
            End::Outranked { known } => {
                warn!(%term, %known, "a higher term exists; standing by");
                Succession {
                    at_least: known.max(term),
                    core: None,
                    watch,
                }
            }
        }
    }
}

async fn beat(pulse: Pulse) {
    loop {
        pulse.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// A task that ends with its owner.
struct AbortOnDrop(actix_rt::task::JoinHandle<()>);

impl AbortOnDrop {
    fn spawn(task: impl Future<Output = ()> + 'static) -> Self {
        Self(actix_rt::spawn(task))
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
