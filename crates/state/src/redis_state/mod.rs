//! The state of a cluster in Redis.
//!
//! Owns three connections, so that a long read never delays a commit and nothing delays the lease:
//! `lease`, `journal` and `shared`. Each connects when it is first used, and again whenever it broke. Must not
//! spell a key (see `keys`) or retry for its callers beyond one broken connection.

mod encode;
mod events;
mod fault;
mod link;
mod read;
mod script;
mod shared;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millstream_types::{ClusterName, JobId};
use tokio::sync::Mutex;

use crate::keys::Keys;
use crate::waiters::Waiters;
use crate::{Limits, StateError};
use events::Subscription;
use link::Link;

/// Where a cluster's Redis is and how long to wait for it.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port/database`.
    pub url: String,
    /// Prefix of every key.
    pub cluster: ClusterName,
    /// The longest that opening a connection may take.
    pub connect_timeout: Duration,
    /// The longest wait for an answer to a small command; big values get more.
    pub command_timeout: Duration,
    /// Bounds of each job.
    pub limits: Limits,
}

impl RedisSettings {
    /// The defaults for one server and cluster.
    pub fn new(url: impl Into<String>, cluster: ClusterName) -> Self {
        // Below the lease's 3 s, so that a leader learns of a dead Redis before its lease ends.
        Self {
            url: url.into(),
            cluster,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_secs(2),
            limits: Limits::default(),
        }
    }
}

// The url may hold a password.
impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// The Redis state store: Redis 7 or later, one standalone server with `appendonly yes`, `appendfsync everysec`
/// and `maxmemory-policy noeviction`. Sentinel, Redis Cluster and TLS are not supported yet.
///
/// The commits of one fence must go through one `RedisState`: it numbers them, so that a delayed copy of a
/// commit that was given up is never applied after a later one.
pub struct RedisState {
    keys: Keys,
    limits: Limits,
    lease: Link,
    journal: Link,
    shared: Link,
    /// The last known `journal_seq`; the lock keeps commits in order.
    committed: Mutex<u64>,
    waiters: Arc<Waiters<JobId>>,
    events: Subscription,
    shared_waiters: Arc<Waiters<String>>,
    changes: Subscription,
}

impl fmt::Debug for RedisState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisState")
            .field("endpoint", &self.shared.endpoint())
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl RedisState {
    /// Prepares the store without connecting: it may be used before Redis is up.
    ///
    /// # Errors
    /// [`StateError::InvalidUrl`].
    pub fn connect(settings: &RedisSettings) -> Result<Self, StateError> {
        let client =
            ::redis::Client::open(settings.url.as_str()).map_err(|error| StateError::InvalidUrl {
                reason: error.to_string(),
            })?;
        let link = || Link::new(client.clone(), settings);
        Ok(Self {
            keys: Keys::new(&settings.cluster),
            limits: settings.limits,
            lease: link(),
            journal: link(),
            shared: link(),
            committed: Mutex::new(0),
            waiters: Arc::default(),
            events: Subscription::new(client.clone(), settings.connect_timeout),
            shared_waiters: Arc::default(),
            changes: Subscription::new(client.clone(), settings.connect_timeout),
        })
    }
}
