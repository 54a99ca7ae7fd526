//! What clients and tasks share to coordinate: versioned cells, queues and semaphores.
//!
//! Gateways write them, the leader never looks at them. They are small, bounded in number and in bytes, and forgotten
//! some time after their last use. Every operation but a conditional write may be repeated.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_types::ByteSize;

use crate::StateError;

/// How long a queue or semaphore stays after its last use.
pub(crate) const IDLE_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long an empty queue stays: long enough for answers that were lost on their way to be asked for again.
pub(crate) const EMPTY_TTL: Duration = Duration::from_secs(3600);
/// What each item, ticket and name counts besides its own bytes.
pub(crate) const OVERHEAD: usize = 64;
/// Answers that a queue remembers for requests that are repeated.
pub(crate) const REMEMBERED: usize = 128;
/// Bytes of items that one request takes or looks at, unless the first is larger.
pub(crate) const PAGE_BYTES: usize = 64 << 10;
/// Items that one request pushes, takes or looks at.
pub const MAX_PAGE_ITEMS: usize = 1_000;

/// Bounds on all that is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedLimits {
    /// Cells, queues and semaphores together.
    pub names: usize,
    /// Bytes of all values, items and tickets together.
    pub bytes: ByteSize,
    /// Bytes of one value or item.
    pub value: ByteSize,
    /// Items of one queue.
    pub items: usize,
    /// Holders of and waiters for one semaphore.
    pub tickets: usize,
}

impl Default for SharedLimits {
    fn default() -> Self {
        // A small part of the memory that a Redis for job states has anyway.
        Self {
            names: 4_096,
            bytes: ByteSize::from_mib(64),
            value: ByteSize::new(64 << 10),
            items: 10_000,
            tickets: 10_000,
        }
    }
}

/// Why an operation on shared state did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// Somebody else has written the cell.
    #[error("the cell {}", current_text(*current))]
    Conflict {
        /// The cell's version now; none if it is not there.
        current: Option<u64>,
    },
    /// A queue has no room, and none was made in time.
    #[error("the queue is full: it holds {length} of at most {limit} items")]
    QueueFull {
        /// Items in it.
        length: usize,
        /// The most it takes.
        limit: usize,
    },
    /// Somebody else uses the semaphore with another limit.
    #[error("the semaphore is in use with a limit of {known}")]
    LimitDiffers {
        /// The limit it has.
        known: usize,
    },
    /// Too many hold or wait for one semaphore.
    #[error("{0} hold the semaphore or wait for it, and no more may")]
    TooManyTickets(usize),
    /// There are as many cells, queues and semaphores as there may be.
    #[error("there are {0} cells, queues and semaphores, and no more may be made")]
    TooManyNames(usize),
    /// All values together would be too large.
    #[error("all shared values together may have {0}")]
    OutOfRoom(ByteSize),
    /// One request brings too many items.
    #[error("{count} items at once are more than {limit}")]
    TooManyItems {
        /// Items in the request.
        count: usize,
        /// The most that are accepted.
        limit: usize,
    },
    /// One value or item is too large.
    #[error("a value of {size} is larger than {limit}")]
    TooLarge {
        /// Its size.
        size: ByteSize,
        /// The most that is accepted.
        limit: ByteSize,
    },
}

impl SharedError {
    /// A stable code for logs, metrics and API errors.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::State(error) => error.code(),
            Self::Conflict { .. } => "version_conflict",
            Self::QueueFull { .. } => "queue_full",
            Self::LimitDiffers { .. } => "limit_differs",
            Self::TooManyTickets(_) => "too_many_tickets",
            Self::TooManyNames(_) => "too_many_names",
            Self::OutOfRoom(_) => "shared_state_full",
            Self::TooManyItems { .. } => "too_many_items",
            Self::TooLarge { .. } => "value_too_large",
        }
    }

    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::State(error) => error.is_retryable(),
            Self::QueueFull { .. } | Self::TooManyTickets(_) | Self::TooManyNames(_) | Self::OutOfRoom(_) => {
                true
            }
            Self::Conflict { .. }
            | Self::LimitDiffers { .. }
            | Self::TooManyItems { .. }
            | Self::TooLarge { .. } => false,
        }
    }
}

fn current_text(current: Option<u64>) -> String {
    current.map_or_else(
        || "is not there".to_owned(),
        |version| format!("has version {version}"),
    )
}

/// What is shared under a name. Each kind has names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SharedKind {
    /// A value with a version.
    Cell,
    /// Items in order.
    Queue,
    /// Holders and waiters in order.
    Semaphore,
}

impl SharedKind {
    /// The kind and a name as one text.
    pub(crate) fn member(self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Cell => "cell/",
            Self::Queue => "queue/",
            Self::Semaphore => "semaphore/",
        }
    }
}

/// A value with the version that its write gave it. A version never comes back, not even after a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Differs after every write.
    pub version: u64,
    /// What was written.
    pub value: Bytes,
}

/// What a write expects of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Any,
    /// That it is not there.
    Absent,
    /// That nobody has written it since it had this version.
    Version(u64),
}

/// Items for a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Names the request: a repeated one adds nothing.
    pub id: String,
    /// What is added, all or nothing.
    pub items: Vec<Bytes>,
    /// The most that the queue may then hold; [`SharedLimits::items`] at most, and if none.
    pub limit: Option<usize>,
    /// Whether the oldest items make room.
    pub drop_oldest: bool,
}

/// A queue as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuePage {
    /// Items in it.
    pub length: usize,
    /// Some of them, oldest first.
    pub items: Vec<Bytes>,
}

/// A request to hold a semaphore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Names the holder: repeated requests renew its place.
    pub ticket: String,
    /// How many may hold at once; all holders say the same.
    pub limit: usize,
    /// How long the place lasts without being renewed, whether it is held or waited for.
    pub ttl: Duration,
}

/// A semaphore as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SemaphoreView {
    /// Holders and waiters.
    pub tickets: usize,
    /// How many of them hold.
    pub held: usize,
}

/// Cells, queues and semaphores.
///
/// A `wait` of zero answers at once. Whoever waits is woken by changes through any gateway.
#[async_trait]
pub trait SharedState: Debug + Send + Sync {
    /// Names that begin with `prefix`, in order.
    async fn shared_names(&self, kind: SharedKind, prefix: &str) -> Result<Vec<String>, SharedError>;

    /// A cell; waits up to `wait` until it is there, or has another version than `after`, or is gone.
    async fn cell(&self, name: &str, after: Option<u64>, wait: Duration)
    -> Result<Option<Cell>, SharedError>;

    /// Writes a cell that is as `expected`, to stay for `ttl`; returns its new version.
    async fn put_cell(
        &self,
        name: &str,
        value: Bytes,
        expected: Expected,
        ttl: Duration,
    ) -> Result<u64, SharedError>;

    /// Makes a cell stay for `ttl` from now; whether it is there.
    async fn renew_cell(&self, name: &str, ttl: Duration) -> Result<bool, SharedError>;

    /// Removes a cell that is as `expected`; whether it was there.
    async fn remove_cell(&self, name: &str, expected: Expected) -> Result<bool, SharedError>;

    /// Adds items; waits up to `wait` for room. Returns the queue's length.
    async fn push(&self, name: &str, push: &Push, wait: Duration) -> Result<usize, SharedError>;

    /// Takes up to `most` items, oldest first; waits up to `wait` for the first. A request repeated under the same
    /// `id` gets the same items, unless more than a hundred others came between.
    async fn take(
        &self,
        name: &str,
        id: &str,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Bytes>, SharedError>;

    /// Looks at up to `limit` items from number `from` on.
    async fn queue(&self, name: &str, from: usize, limit: usize) -> Result<QueuePage, SharedError>;

    /// Removes a queue and what is in it.
    async fn remove_queue(&self, name: &str) -> Result<(), SharedError>;

    /// Joins the line for a semaphore or renews a place in it; waits up to `wait` until it is held. Returns how many
    /// must leave first: zero if it is held.
    async fn enter(&self, name: &str, entry: &Entry, wait: Duration) -> Result<usize, SharedError>;

    /// Gives a place up; whether there was one.
    async fn leave(&self, name: &str, ticket: &str) -> Result<bool, SharedError>;

    /// How many hold and wait.
    async fn semaphore(&self, name: &str) -> Result<SemaphoreView, SharedError>;
}

/// Refuses a value that is too large.
pub(crate) fn check_value(value: &Bytes, limits: &SharedLimits) -> Result<(), SharedError> {
    let size = ByteSize::of_len(value.len());
    if size > limits.value {
        return Err(SharedError::TooLarge {
            size,
            limit: limits.value,
        });
    }
    Ok(())
}

/// Refuses items that are too large or too many.
pub(crate) fn check_push(push: &Push, limits: &SharedLimits) -> Result<(), SharedError> {
    if push.items.len() > MAX_PAGE_ITEMS {
        return Err(SharedError::TooManyItems {
            count: push.items.len(),
            limit: MAX_PAGE_ITEMS,
        });
    }
    push.items.iter().try_for_each(|item| check_value(item, limits))
}

/// The most that a queue may hold after this push.
pub(crate) fn queue_limit(push: &Push, limits: &SharedLimits) -> usize {
    push.limit.unwrap_or(limits.items).min(limits.items)
}
