//! A worker's objects: held in memory, spilled to disk when memory is short, counted exactly.
//!
//! Responsible for the bytes of task outputs and fetched inputs on one worker, each named by object, generation and,
//! for a fetched sub-range, part. It owns the memory count, the spill folder and the choice of what to spill. It does
//! not decide what is needed: objects stay until they are dropped by name. It knows no network and no task.

mod error;
mod ledger;
mod object;
mod pinned;
mod policy;
mod pressure;
pub mod probe;
mod spill;
mod store;
mod table;

pub use error::{Missing, PutError, SpillError};
pub use object::{EncodedObject, EncodedPart, Format, Object, Payload, SharedObject};
pub use pinned::Pinned;
pub use policy::{MemoryLevel, MemoryReport, SpillPolicy, Usage};
pub use store::{Move, SpillConfig, Store, StoreConfig, StoreEvent, StoreEvents, Stored};
