//! The data plane: objects from worker to worker and to gateways, over HTTP/1.1; and for gateways, what tasks execute, and
//! a way to leave values that tasks will read.
//!
//! Responsible for moving stored objects whole or not at all: length, checksum and generation are verified by the
//! reader, and a body that breaks off is never taken for a short one. It owns connections and nothing else: what is
//! kept and what is fetched is decided elsewhere. Within a process objects are handed over, not copied.

mod error;
mod fetch;
mod local;
mod server;
mod uploads;
mod wire;

pub use error::{FetchError, ServeError};
pub use fetch::{FetchOptions, Fetched, Fetcher, ObjectStream};
pub use local::Registration;
pub use server::{DataServer, DataServerOptions, StackSource};
pub use uploads::{UploadError, UploadReceipt, UploadShelf};
pub use wire::{ObjectRequest, TaskStack};
