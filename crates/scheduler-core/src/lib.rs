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

mod config;
mod core;
mod effect;
mod event;

pub use config::{Clock, CoreConfig, Identity};
pub use core::SchedulerCore;
pub use effect::{Commit, Effect, Note, RecoveredJob};
pub use event::{SchedulerEvent, SubmittedGraph};
