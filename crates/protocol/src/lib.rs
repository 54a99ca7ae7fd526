//! Every message on every wire of Millstream, and how it is encoded.
//!
//! Control messages are MessagePack ([`codec`]), sent in batches inside an [`envelope`] that carries version, cluster,
//! term, session and sequence. Big collections are columns packed as MessagePack `bin` ([`columns`]), so that a
//! million tasks decode without an allocation each. [`session`] holds the pure half of the conversation between a
//! leader and its workers: sequence numbers, windows, gaps. [`graph`] is the task graph as jobs carry it, [`api`] what
//! users and gateways exchange.
//!
//! Owns no connection and reads no clock. Nothing that arrives from a peer can make this crate panic.

pub mod api;
pub mod args;
pub mod codec;
pub mod columns;
pub mod envelope;
pub mod graph;
pub mod pieces;
pub mod session;

mod task_error;
pub mod wire;

pub use task_error::{ErrorKind, TaskError};
