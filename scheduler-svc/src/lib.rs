//! The scheduler service: an actor around the scheduler core, one leader and any number of standbys.
//!
//! ```text
//!  broker.rs  leader's queue, intake ──► LeaderActor (core) ──► outbox.rs  commits, then frames
//!  election.rs  lease ──────────────────►        │        └──► notes.rs   what trails
//!                                                 └── the core survives its reign if nobody else led meanwhile
//! ```
//!
//! Owns the lease, the links and the order of writes and sends. Decides nothing about tasks or workers: that is the
//! core's part.

mod broker;
mod clients;
mod clock;
mod election;
mod intake;
mod journal;
mod leader;
mod notes;
mod outbox;
mod recovery;
mod reign;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millstream_bus::Bus;
use millstream_config::SchedulerSettings;
use millstream_protocol::graph::GraphLimits;
use millstream_scheduler_core::CoreConfig;
use millstream_state::StateStore;
use millstream_telemetry::SchedulerMetrics;
use millstream_types::{LeaderId, Term};
use tracing::info;
use uuid::Uuid;

use crate::election::{Election, Victory};
use crate::reign::{Reign, Succession};

/// What a scheduler is told at its start.
#[derive(Clone)]
pub struct SchedulerService {
    /// Its settings.
    pub settings: SchedulerSettings,
    /// Most tasks in one job's graph, extensions included.
    pub graph_limit: u32,
    /// Most jobs that are not over.
    pub max_active_jobs: usize,
    /// Its way to workers and gateways.
    pub bus: Arc<dyn Bus>,
    /// Its journal.
    pub state: Arc<dyn StateStore>,
    /// What it counts.
    pub metrics: SchedulerMetrics,
    /// Called at each sign of progress; touches the liveness file where one is set.
    pub on_progress: Arc<dyn Fn() + Send + Sync>,
}

impl SchedulerService {
    /// Campaigns and leads, in turns, until `shutdown` is ready. Must run inside an actix system.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let progress = self.on_progress.clone();
        let (bus, metrics) = (self.bus.clone(), self.metrics.clone());
        let standing_by = actix_rt::spawn(async move {
            loop {
                progress();
                show_traffic(&*bus, &metrics);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        tokio::select! {
            () = self.lead_in_turns() => {}
            () = &mut shutdown => info!("the scheduler stops"),
        }
        standing_by.abort();
    }

    async fn lead_in_turns(&self) {
        let mut succession = Succession::default();
        let mut leader = LeaderId::from(Uuid::new_v4());
        loop {
            let election = Election {
                state: self.state.clone(),
                leader,
                ttl: self.settings.lease_ttl,
                renew_every: self.settings.lease_renew,
                metrics: self.metrics.clone(),
            };
            let led = succession.core.as_ref().map(|(_, fence)| *fence);
            let Victory { fence, rival } = election.win(succession.at_least, led).await;
            self.metrics.elections_won.inc();
            self.metrics.term.set(u64::from(fence.term.0));
            self.metrics.leading.set(1);
            info!(term = %fence.term, %leader, "leading");
            succession = Reign {
                service: self,
                election,
                fence,
                rival,
            }
            .run(succession)
            .await;
            self.metrics.leading.set(0);
            leader = LeaderId::from(Uuid::new_v4());
        }
    }

    fn core_config(&self) -> CoreConfig {
        let settings = &self.settings;
        CoreConfig {
            graph: GraphLimits {
                tasks: self.graph_limit,
                ..GraphLimits::default()
            },
            max_active_jobs: self.max_active_jobs,
            suspect_after: settings.suspect,
            lost_after: settings.lost,
            recovery_window: settings.recovery_window,
            allowed_failures: settings.allowed_failures,
            result_ttl: settings.result_ttl,
            record_ttl: settings.history_ttl,
            max_ended_jobs: settings.history_jobs as usize,
            ..CoreConfig::default()
        }
    }
}

/// Shows what the bus has counted.
fn show_traffic(bus: &dyn Bus, metrics: &SchedulerMetrics) {
    let counted = bus.counters().snapshot();
    metrics.broker_connections.follow(counted.connected);
    metrics.broker_connect_failures.follow(counted.connect_failures);
    metrics.broker_frames.follow(counted.published);
    metrics.broker_returns.follow(counted.returned);
}

/// The first term there can be.
const NO_TERM: Term = Term(0);
