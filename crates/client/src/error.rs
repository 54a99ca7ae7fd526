//! What can go wrong between a program and its cluster.

use millstream_protocol::TaskError;
use millstream_protocol::api::Problem;
use millstream_types::JobId;

/// An error of the SDK.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No gateway answers.
    #[error(
        "no gateway answers at {url}: {reason}; start one with `millstream up`, or name another in MILLSTREAM_GATEWAY"
    )]
    Unreachable {
        /// Its address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The gateway refused the request.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The job did not succeed.
    #[error("job {job} {state}{}", error.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    JobFailed {
        /// The job.
        job: JobId,
        /// `failed` or `cancelled`.
        state: &'static str,
        /// The key of the task that failed first.
        task: Option<String>,
        /// Why.
        error: Option<Box<TaskError>>,
    },
    /// The address of the gateway is no HTTP address.
    #[error("`{url}` is no gateway address: {hint}")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What to write instead.
        hint: String,
    },
    /// There is no token for the gateway.
    #[error("no token: set MILLSTREAM_TOKEN, or run on the machine where `millstream up` made {}", path.display())]
    NoToken {
        /// Where one was looked for.
        path: std::path::PathBuf,
    },
    /// The token file cannot be read or made.
    #[error("cannot use the token file {}: {source}", path.display())]
    TokenFile {
        /// The file.
        path: std::path::PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A result is not of the type that was asked for.
    #[error("the result of `{key}` is not what was asked for: {reason}")]
    Decode {
        /// The task's key.
        key: String,
        /// The decoder's words.
        reason: String,
    },
    /// An argument has no encoding.
    #[error("an argument cannot be encoded: {0}")]
    Encode(String),
    /// A body broke off, or is not what the gateway's version promises.
    #[error("the answer of {url} cannot be used: {reason}")]
    BadAnswer {
        /// The request's address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The local cluster did not start.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Local(#[from] millstream_local::LocalError),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BadAnswer { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 503),
            _ => false,
        }
    }
}
