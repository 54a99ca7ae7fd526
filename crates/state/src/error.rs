//! What can go wrong between a service and the cluster's state.

use millstream_types::{ByteSize, Term};

use crate::Fence;

/// Why a state operation did not happen, or is not known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// No answer in time, or no connection. The operation may or may not have been applied; every write
    /// but [`crate::Write::AppendEvent`] may simply be repeated.
    #[error("state store at {endpoint} is unreachable: {reason}")]
    Unreachable {
        /// Host and port, or path; never a password.
        endpoint: String,
        /// The transport's own words.
        reason: String,
    },
    /// The lease does not hold our term. Nothing of the call was written (see [`crate::StateStore::commit`]
    /// for batches above one script).
    #[error("leader of term {} is fenced: the lease is held by {}", ours.term, holder_text(holder.as_ref()))]
    Fenced {
        /// What the caller claims to hold.
        ours: Fence,
        /// Who holds the lease instead, if anybody.
        holder: Option<Fence>,
    },
    /// The server is a replica, or refuses writes because it cannot persist.
    #[error("state store at {endpoint} accepts no writes: {reason}")]
    ReadOnly {
        /// Host and port.
        endpoint: String,
        /// The server's own words.
        reason: String,
    },
    /// The server's `maxmemory` is reached. Deletions still work.
    #[error("state store at {endpoint} is out of memory: raise its `maxmemory` or delete finished jobs")]
    OutOfMemory {
        /// Host and port.
        endpoint: String,
    },
    /// Wrong or missing credentials, or a command that the user's ACL forbids.
    #[error("state store at {endpoint} denies access: {reason}")]
    Denied {
        /// Host and port.
        endpoint: String,
        /// The server's own words.
        reason: String,
    },
    /// Any other refusal of the server.
    #[error("state store at {endpoint} refused a command: {code} {detail}")]
    Refused {
        /// Host and port.
        endpoint: String,
        /// The server's error code, such as `WRONGTYPE`.
        code: String,
        /// The rest of the server's message.
        detail: String,
    },
    /// What is stored under a key is not what this crate writes there.
    #[error("state key `{key}` is corrupt: {what}")]
    Corrupt {
        /// The key.
        key: String,
        /// What was expected.
        what: &'static str,
    },
    /// A value above its limit. Nothing was written.
    #[error("{what} of {size} exceeds the limit of {limit}")]
    TooLarge {
        /// The kind of value.
        what: &'static str,
        /// Its size.
        size: ByteSize,
        /// The most that is accepted.
        limit: ByteSize,
    },
    /// No further term fits; a peer reported an absurd one.
    #[error("no leader term follows {0}")]
    TermsExhausted(Term),
    /// The address of the state store cannot be used.
    #[error("invalid state url: {reason}")]
    InvalidUrl {
        /// What is wrong with it; never a password.
        reason: String,
    },
}

impl StateError {
    /// A stable code for logs, metrics and API errors.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "state_unreachable",
            Self::Fenced { .. } => "state_fenced",
            Self::ReadOnly { .. } => "state_read_only",
            Self::OutOfMemory { .. } => "state_out_of_memory",
            Self::Denied { .. } => "state_denied",
            Self::Refused { .. } => "state_refused",
            Self::Corrupt { .. } => "state_corrupt",
            Self::TooLarge { .. } => "state_too_large",
            Self::TermsExhausted(_) => "state_terms_exhausted",
            Self::InvalidUrl { .. } => "state_invalid_url",
        }
    }

    /// Whether the same call may succeed later without anybody changing the caller.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::ReadOnly { .. } | Self::OutOfMemory { .. }
        )
    }
}

fn holder_text(holder: Option<&Fence>) -> String {
    holder.map_or_else(
        || "nobody".to_owned(),
        |fence| format!("{} in term {}", fence.leader, fence.term),
    )
}
