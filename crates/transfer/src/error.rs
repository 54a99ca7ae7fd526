//! What can go wrong, as callers tell it apart.

use std::io;

/// Why an object did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The holder does not have this generation.
    #[error("the object is gone from {address}: {reason}")]
    Gone {
        /// The holder's data address.
        address: String,
        /// Its words.
        reason: String,
    },
    /// The holder does not answer, or the connection broke.
    #[error("the data plane of {address} cannot be reached: {reason}")]
    Unreachable {
        /// The holder's data address.
        address: String,
        /// What happened.
        reason: String,
    },
    /// What arrived is not what was sent, or the holder's copy is damaged.
    #[error("the object from {address} is damaged: {reason}")]
    Damaged {
        /// The holder's data address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The holder refuses to serve us: another cluster's secret, or a request it does not understand.
    #[error("{address} refuses to serve: {reason}")]
    Refused {
        /// The holder's data address.
        address: String,
        /// Its words.
        reason: String,
    },
}

impl FetchError {
    /// Whether asking the same holder again could help.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Why objects cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {host}:{port} for the data plane: {source}")]
    Bind {
        /// The address asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// The system's words.
        source: io::Error,
    },
    /// The server's thread cannot be started.
    #[error("cannot start the data plane's thread: {0}")]
    Thread(#[source] io::Error),
}
