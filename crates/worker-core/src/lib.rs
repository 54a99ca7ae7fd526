//! The worker's decisions: a pure state machine from events to effects.
//!
//! Responsible for the worker's half of the session, the local graph (which task waits for what, what is ready, what
//! must be fetched), slots and resources, and for giving work back. Owns no store, no executor and no connection, reads
//! no clock and does no I/O: its shell does what the effects say and tells what came of it.

mod config;
mod conversation;
mod core;
mod decide;
mod effect;
mod event;
mod fetch;
mod fx;
mod graph;
mod on;
mod release;
mod reports;
mod speak;

pub use config::WorkerConfig;
pub use core::{WorkerCore, WorkerStats};
pub use effect::{Fetch, FetchId, FetchObject, InputRef, StartTask, WorkerEffect};
pub use event::{FetchOutcome, MemoryLevel, MemoryReport, TaskOutput, TaskRun, WorkerEvent};
