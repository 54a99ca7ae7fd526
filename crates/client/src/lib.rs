//! Millstream for Rust programs: build graphs, run them on all cores or on a cluster, stream results.
//!
//! ```no_run
//! # async fn demo() -> Result<(), millstream::Error> {
//! use millstream::{Client, Job, TaskExt};
//!
//! let client = Client::local().await?;
//! let mut job = Job::new("word count");
//! let text = job.command(["printf", "b\\na\\nb\\n"]).key("text").add();
//! job.command(["sort"]).stdin(&text).key("sorted").add();
//! let done = client.submit(&job).await?.wait().await?;
//! assert_eq!(done.bytes("sorted").await?, "a\nb\nb\n");
//! # Ok(())
//! # }
//! ```
//!
//! Functions of your own become tasks with [`macro@task`]; a worker that has them is your own binary that calls
//! [`worker::main`], such as `examples/own_worker.rs`.
//!
//! The crate speaks HTTP to a gateway and nothing else. With the default feature `local` it can also start a whole
//! cluster inside the process.

mod access;
mod client;
mod error;
mod events;
mod job;
mod layers;
mod live;
mod running;
mod session;
mod sse;
#[cfg(feature = "local")]
pub mod worker;

pub use access::{Access, GATEWAY_VARIABLE, TOKEN_VARIABLE, config_folder, ensure_token};
pub use client::{Client, ClientOptions};
pub use error::Error;
pub use events::{Event, EventStream};
pub use job::{Job, TaskBuilder, TaskExt, TaskHandle};
pub use layers::{LayerView, LayersView};
pub use live::{
    LiveAlert, LiveCluster, LiveEvent, LiveHistory, LiveJob, LiveNumbers, LivePoint, LiveQuery, LiveStream,
    LiveWorker, LiveWorkers, Surroundings,
};
#[cfg(feature = "local")]
pub use millstream_executor::{NativeFunction, TaskCtx, Variadic, task};
pub use millstream_protocol::api;
pub use millstream_protocol::graph;
pub use millstream_protocol::wire::{JobCounts, JobEvent, JobEventKind, JobState};
pub use millstream_types::{ByteSize, JobId, ResourceSet, WorkerId};
pub use running::{Finished, Running};
pub use session::Session;

#[cfg(feature = "local")]
pub use millstream_local::{LocalCluster, LocalError, LocalOptions};

/// The examples of the README are compiled and run as this crate's.
#[cfg(all(doctest, feature = "local"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// What code made by `#[task]` names. No part of the public API.
#[cfg(feature = "local")]
#[doc(hidden)]
pub mod __private {
    pub use millstream_executor::__private::*;
}
