//! What travels over HTTP between users and a gateway, in JSON or, with the same names, in MessagePack.
//!
//! Shared by the gateway, the Rust SDK and the command line. Only shapes: what they mean is decided where they are
//! turned into a [`crate::graph::Graph`]. Adding a field is compatible; renaming one is not.

mod answer;
mod job;
mod keys;
mod outputs;
mod problem;
mod session;
mod span;
mod sql;
mod sql_catalog;

pub use answer::{
    JobView, JobsPage, Links, LogView, ResultView, StackView, StacksPage, StoryLine, TaskView, TasksPage,
    WorkerView, WorkersPage,
};
pub use job::{Arg, EnvRequest, GraphRequest, JobRequest, RequestOptions, TaskRef, TaskRequest};
pub use keys::{ChangedView, KeysRequest};
pub use outputs::OutputsView;
pub use problem::Problem;
pub use session::SessionView;
pub use span::{Span, SpanError};
pub use sql::{InlineTable, ResultFormat, SqlOptions, SqlRequest, TableRequest, TableSource, WriteTarget};
pub use sql_catalog::{CatalogChange, NameTaken, NextStatement, SqlCatalog, SqlStep, Taken};

/// The content type of a [`GraphRequest`]: a graph that is already columnar, in MessagePack.
pub const GRAPH_CONTENT_TYPE: &str = "application/vnd.millstream.graph+msgpack";

/// The content type of MessagePack bodies.
pub const MSGPACK_CONTENT_TYPE: &str = "application/vnd.msgpack";

/// The content type of a Python value: a pickle stream and its buffers, as the SDK's `_serialize` module lays them out.
pub const PICKLE_CONTENT_TYPE: &str = "application/vnd.millstream.pickle";

/// The content type of [`Problem`]s.
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// The header by which a result tells which task's output it is.
pub const TASK_HEADER: &str = "millstream-task";

/// The header by which an answer tells where its job stands.
pub const JOB_STATE_HEADER: &str = "millstream-job-state";

/// The header by which an answer names the job that made it.
pub const JOB_HEADER: &str = "millstream-job";
