//! A deterministic simulator of a whole cluster: the real scheduler and worker cores and their session code, under a
//! simulated clock, network, broker and state store, with faults that a seed decides.
//!
//! Owns nothing that leaves the process: no thread, no clock, no I/O. A run is a pure function of its seed and
//! configuration. After each event the cores' own invariants are checked; in the end every job must have come to the
//! outcome that it has without faults, and nothing may be left anywhere.

mod client;
mod config;
mod faults;
mod giving_up;
mod graphs;
mod model;
mod network;
mod orders;
mod report;
mod scheduler;
mod store;
mod story;
mod worker;
mod world;

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use config::SimConfig;
pub use report::{SimFailure, SimReport};

use client::Phase;
use millstream_types::JobId;
use story::Story;
use world::World;

/// Far more events than any run needs that comes to rest: one that has more goes in circles without time passing.
const MAX_EVENTS: u64 = 3_000_000;

/// After so long without anything to do, everything that is on its way has arrived.
const SETTLING_US: u64 = 15_000_000;

/// Simulates one cluster until all is done and gone.
///
/// # Errors
/// A [`SimFailure`] with the story of what went before, if anything was wrong.
pub fn run_seed(seed: u64, config: &SimConfig) -> Result<SimReport, Box<SimFailure>> {
    match simulate(seed, config, Story::default()) {
        Ok(report) => Ok(report),
        // The same run again, with somebody to listen.
        Err(quiet) => {
            let story = Story::of(quiet.job, config.story_lines);
            Err(Box::new(
                simulate(seed, config, story)
                    .err()
                    .map_or(quiet.failure, |told| told.failure),
            ))
        }
    }
}

/// Simulates a range of seeds, and adds up what they tell.
///
/// # Errors
/// The first failure.
pub fn run_range(seeds: Range<u64>, config: &SimConfig) -> Result<SimReport, Box<SimFailure>> {
    let mut total = SimReport::default();
    for seed in seeds {
        total.add(&run_seed(seed, config)?);
    }
    Ok(total)
}

/// A failure, and the job it is about.
struct Failed {
    failure: SimFailure,
    job: Option<JobId>,
}

fn simulate(seed: u64, config: &SimConfig, story: Story) -> Result<SimReport, Box<Failed>> {
    let mut world = World::new(seed, config, story);
    let limit = (config.fault_ms + config.rest_ms) * 1000;
    while world.failure.is_none() {
        // The world is not looked at again after a panic, but for its story.
        match catch_unwind(AssertUnwindSafe(|| world.step())) {
            Ok(true) if world.elapsed() <= limit && world.report.events < MAX_EVENTS => {}
            Ok(_) => {
                let (what, job) = world.why_not_done();
                world.fail(job, what);
            }
            Err(panic) => world.fail(None, format!("a core panicked: {}", message_of(&*panic))),
        }
        if world.is_at_rest() {
            break;
        }
    }
    match world.failure.take() {
        None => {
            world.report.time_ms = world.elapsed() / 1000;
            Ok(world.report)
        }
        Some((reason, job)) => Err(Box::new(Failed {
            failure: SimFailure {
                seed,
                config: config.clone(),
                at_ms: world.elapsed() / 1000,
                reason,
                story: world.story.into_lines(),
            },
            job,
        })),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

impl World {
    /// Moves on from trouble to cleaning up; true when nothing is left.
    fn is_at_rest(&mut self) -> bool {
        if self.is_troubled || self.elapsed() < self.config.fault_ms * 1000 && self.config.has_faults() {
            return false;
        }
        if !self.is_cleaning {
            if !self.clients_are(Phase::Done) {
                return false;
            }
            let done_at = *self.done_at.get_or_insert(self.now);
            if self.now >= done_at + SETTLING_US {
                self.compare_holdings();
                self.is_cleaning = true;
            }
            return false;
        }
        self.report.events.is_multiple_of(16)
            && self.clients_are(Phase::Removed)
            && self.broker.intake.is_empty()
            && self.workers.iter().all(|worker| worker.leftovers().is_none())
    }

    /// At rest a worker holds what the leader believes it to hold: more is leaked, less is lost.
    fn compare_holdings(&mut self) {
        let Some(leader) = self.schedulers.iter().find(|scheduler| scheduler.leads()) else {
            return self.fail(None, "nobody leads although all is healed".to_owned());
        };
        let wrong = self
            .workers
            .iter()
            .filter(|worker| worker.is_alive)
            .find_map(|worker| {
                // One that has just started is not known yet, and has nothing.
                let (believed, held) = (leader.objects_at(worker.id).unwrap_or(0), worker.objects());
                (believed != held).then(|| {
                    format!(
                        "worker {} holds {held} objects, the leader believes {believed}: {:?}",
                        worker.id,
                        worker.store.keys().collect::<Vec<_>>()
                    )
                })
            });
        if let Some(wrong) = wrong {
            self.fail(None, wrong);
        }
    }

    /// What keeps the world from coming to rest.
    fn why_not_done(&self) -> (String, Option<JobId>) {
        let end = if self.is_cleaning {
            Phase::Removed
        } else {
            Phase::Done
        };
        let is_stuck = |client: &&client::Client| client.phase != end && client.phase != Phase::Removed;
        if let Some(client) = self.clients.iter().find(is_stuck) {
            let reason = format!("job {} is stuck: its client is {:?}", client.job, client.phase);
            return (reason, Some(client.job));
        }
        if let Some(delivery) = self.broker.intake.front() {
            let job = delivery.msg.job;
            return (
                format!("the submission of {job} is never acknowledged"),
                Some(job),
            );
        }
        let leftover = self.workers.iter().find_map(|worker| worker.leftovers());
        (
            leftover.unwrap_or_else(|| "nothing happens any more".to_owned()),
            None,
        )
    }
}
