//! Everything that can keep a request from its answer. What users see of it is decided in [`crate::problem`].

use millstream_bus::BusError;
use millstream_protocol::TaskError;
use millstream_protocol::codec::DecodeError;
use millstream_protocol::graph::GraphError;
use millstream_protocol::wire::{JobState, RequestError};
use millstream_state::{SharedError, StateError};
use millstream_transfer::FetchError;
use millstream_types::{ByteSize, JobId};

/// Why a body is not what the route expects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BodyFault {
    /// What is wrong.
    pub(crate) message: String,
    /// The field, as a path.
    pub(crate) field: Option<String>,
    /// Line and column of a JSON body, from 1.
    pub(crate) position: Option<(usize, usize)>,
    /// What was probably meant.
    pub(crate) suggestion: Option<String>,
    /// Whether the bytes are no JSON or MessagePack at all.
    pub(crate) is_syntax: bool,
}

/// What is wrong with one task of a submission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TaskFault {
    #[error("there is no operation `{op}`: use {}", known.join(", "))]
    UnknownOp {
        op: String,
        known: &'static [&'static str],
        suggestion: Option<String>,
    },
    #[error("operation `{op}` is not available in this version")]
    UnsupportedOp { op: String },
    #[error("a task of operation `{op}` needs `{field}`")]
    MissingField { op: String, field: &'static str },
    #[error("a task of operation `{op}` has no `{field}`")]
    ForeignField { op: String, field: &'static str },
    #[error("it reads `{dep}`, which is no task of this job")]
    MissingDep { dep: String, suggestion: Option<String> },
    #[error("it reads file `{file}` of `{dep}`, which is not among that task's `files_out`")]
    MissingFile {
        dep: String,
        file: String,
        suggestion: Option<String>,
    },
    #[error("`{field}` {reason}")]
    BadValue { field: String, reason: String },
}

/// Why a submission is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error("task `{key}`: {fault}")]
    Task { key: String, fault: TaskFault },
    #[error("task number {index} has no key")]
    EmptyKey { index: usize },
    #[error("wanted output `{key}` is no task of this job")]
    UnknownOutput { key: String, suggestion: Option<String> },
    #[error("the job has more than {limit} different {what}: submit it in parts")]
    TooVaried { what: &'static str, limit: usize },
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("the graph cannot be read: {0}")]
    UnreadableGraph(DecodeError),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the request shows no token")]
    NoToken,
    #[error("the token is not this cluster's")]
    WrongToken,
    #[error("the browser's sign-in has ended")]
    SignInOver,
    #[error("the code was used before, has run out, or is not this cluster's")]
    WrongCode,
    #[error("the request is for host `{0}`, which is not this gateway's")]
    ForeignHost(String),
    #[error("the request comes from a page of `{0}`")]
    ForeignOrigin(String),
    #[error("there is no `{0}` here")]
    UnknownPath(String),
    #[error("`{path}` does not answer to {method}")]
    WrongMethod { method: String, path: String },
    #[error("a body of content type `{0}` is not accepted")]
    UnsupportedMedia(String),
    #[error("the result cannot be written as `{0}`")]
    NotAcceptable(String),
    #[error("the body is larger than {0}")]
    BodyTooLarge(ByteSize),
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body broke off: {0}")]
    BodyBroken(String),
    #[error("the body is malformed: {}", .0.message)]
    Body(BodyFault),
    #[error("`{value}` is no {expected}")]
    BadParameter {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("job {job} has no task `{key}`")]
    UnknownTask {
        job: JobId,
        key: String,
        suggestion: Option<String>,
    },
    #[error("task `{key}` of job {job} is not among the job's outputs")]
    NotAnOutput { job: JobId, key: String },
    #[error("task `{key}` of job {job} keeps no file `{file}`")]
    UnknownFile {
        job: JobId,
        key: String,
        file: String,
        suggestion: Option<String>,
    },
    #[error("somebody else has just made a table or view `{0}`")]
    NameTaken(String),
    #[error("no client renews the session `{0}`")]
    UnknownSession(String),
    #[error("no worker `{0}`")]
    UnknownWorker(String),
    #[error("no worker is there that could take it")]
    NoWorker,
    #[error("no worker took the upload: {0}")]
    UploadFailed(FetchError),
    #[error("the workers of this cluster are started elsewhere")]
    NoFleet,
    #[error("workers could not be started: {0}")]
    Fleet(String),
    #[error("too many requests wait for something shared")]
    TooManyWaits,
    #[error("task `{key}` of job {job} failed: {error}")]
    TaskFailed {
        job: JobId,
        key: String,
        error: Box<TaskError>,
    },
    #[error("job {job} is {}", state.name())]
    JobOver { job: JobId, state: JobState },
    #[error("the result is no longer held by any worker that can be reached")]
    ResultUnreachable { job: JobId, key: String },
    #[error("the scheduler that leads has not taken over job {0} yet")]
    NotTakenYet(JobId),
    #[error("no scheduler leads this cluster at the moment")]
    NoLeader,
    #[error("the leading scheduler did not answer in time")]
    LeaderSilent,
    #[error("the message broker cannot be reached")]
    NoBroker,
    #[error("too many requests are being worked on")]
    TooManyRequests,
    #[error("the cluster has as many unfinished jobs as it accepts ({0})")]
    TooManyJobs(u32),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Shared(SharedError),
    #[error("a stored record of {what} cannot be read: {error}")]
    Unreadable { what: &'static str, error: DecodeError },
}

impl From<SharedError> for ApiError {
    fn from(error: SharedError) -> Self {
        match error {
            SharedError::State(error) => Self::State(error),
            error => Self::Shared(error),
        }
    }
}

impl From<GraphError> for ApiError {
    fn from(error: GraphError) -> Self {
        Self::Intake(IntakeError::Graph(error))
    }
}
