//! The scheduler's state machine: jobs, tasks, workers, placement, recovery.
//!
//! Pure: [`SchedulerCore::apply`] takes what happened, [`SchedulerCore::poll`] returns what to do. It owns the state of
//! every job that is not forgotten and of every worker's session with this leader. It never waits, reads no clock, does
//! no I/O and knows no transport; the shell in `scheduler-svc` and the simulator drive the same code with bytes.
//!
//! ```text
//!  WorkerFrame, JobSubmitted, GatewayAsked, Tick …          Commit, SendToWorker, ReplyToGateway …
//!  ────────────────────────► SchedulerCore::apply ─► poll ────────────────────────►
//!                                                └─► take_notes ──► trailing writes (pages, results, counts)
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `job` | one job: graph, index, columns, ready queue, lineage |
//! | `worker` | one worker: session, queue, what it holds, what it shall be told |
//! | `place` | which worker gets which task |
//! | `on` | a handler per event |

mod config;
mod core;
mod effect;
mod event;
mod explain;
mod ids;
mod imports;
mod invariants;
mod job;
mod jobs;
mod on;
mod place;
mod send;
mod shared;
mod stats;
mod story;
mod timers;
mod worker;

pub use config::{Clock, CoreConfig, Identity};
pub use core::SchedulerCore;
pub use effect::{Commit, Effect, Note, RecoveredJob};
pub use event::{SchedulerEvent, SubmittedGraph};
pub use shared::Counters;
