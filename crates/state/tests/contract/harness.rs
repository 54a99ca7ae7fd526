//! One store per test, and ways to hurt it.

use std::time::Duration;

use bytes::Bytes;
use millstream_state::{
    Fence, Journal, Limits, MemoryState, RedisSettings, RedisState, SharedLimits, StateStore, Write,
};
use millstream_testkit::{RedisServer, SharedRedis, unique_name};
use millstream_types::{ByteSize, JobId, LeaderId, Term};
use tokio::time::{Instant, sleep};

/// Small bounds, so that tests reach them.
pub(crate) const LIMITS: Limits = Limits {
    events: 50,
    logs: 4,
    log_bytes: ByteSize::new(1000),
    errors: 3,
    shared: SharedLimits {
        names: 8,
        bytes: ByteSize::new(8_000),
        value: ByteSize::new(2_000),
        items: 5,
        tickets: 6,
    },
};
/// Longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// Short enough to wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// A store that a test owns alone.
pub(crate) trait Harness {
    fn store(&self) -> &dyn StateStore;
    /// Makes the store unreachable.
    async fn take_down(&mut self);
    /// Makes it reachable again, with its data.
    async fn bring_up(&mut self);
    /// Restarts it without data.
    async fn lose_everything(&mut self);
    /// Gives the test a server that it may hurt, if the store needs one.
    async fn own_server(self) -> Self;
}

pub(crate) struct MemoryHarness {
    store: MemoryState,
}

impl MemoryHarness {
    pub(crate) async fn start() -> Self {
        Self {
            store: MemoryState::new().with_limits(LIMITS),
        }
    }
}

impl Harness for MemoryHarness {
    fn store(&self) -> &dyn StateStore {
        &self.store
    }

    async fn take_down(&mut self) {
        self.store.go_down();
    }

    async fn bring_up(&mut self) {
        self.store.restart();
        self.store.come_up();
    }

    async fn lose_everything(&mut self) {
        self.store.restart_empty();
    }

    async fn own_server(self) -> Self {
        self
    }
}

pub(crate) struct RedisHarness {
    _shared: Option<SharedRedis>,
    server: Option<RedisServer>,
    store: RedisState,
}

impl RedisHarness {
    pub(crate) async fn start() -> Self {
        let shared = SharedRedis::find_or_start().await.unwrap();
        let store = redis_store(shared.url());
        Self {
            _shared: Some(shared),
            server: None,
            store,
        }
    }

    fn server(&mut self) -> &mut RedisServer {
        self.server
            .as_mut()
            .expect("the test did not ask for its own server")
    }
}

impl Harness for RedisHarness {
    fn store(&self) -> &dyn StateStore {
        &self.store
    }

    async fn take_down(&mut self) {
        self.server().stop().await.unwrap();
    }

    async fn bring_up(&mut self) {
        self.server().restart().await.unwrap();
    }

    async fn lose_everything(&mut self) {
        self.server().restart_empty().await.unwrap();
    }

    async fn own_server(self) -> Self {
        let server = RedisServer::start().await.unwrap();
        Self {
            _shared: None,
            store: redis_store(&server.url()),
            server: Some(server),
        }
    }
}

/// A store of a fresh cluster on that server.
pub(crate) fn redis_store(url: &str) -> RedisState {
    RedisState::connect(&redis_settings(url)).unwrap()
}

/// Settings of a fresh cluster with the tests' limits.
pub(crate) fn redis_settings(url: &str) -> RedisSettings {
    let mut settings = RedisSettings::new(url, unique_name("test").parse().unwrap());
    settings.limits = LIMITS;
    // A busy machine is not what these tests are about.
    settings.connect_timeout = Duration::from_secs(20);
    settings.command_timeout = Duration::from_secs(20);
    settings
}

/// Makes somebody the leader for the rest of the test.
pub(crate) async fn lead(store: &dyn StateStore) -> Fence {
    let leader = LeaderId::from_u128(77);
    store
        .acquire_lease(leader, Term::default(), LONG)
        .await
        .unwrap()
        .expect("nobody else holds the lease")
        .fence
}

/// A commit that must succeed.
pub(crate) async fn commit(store: &dyn StateStore, fence: &Fence, writes: &[Write]) -> Journal {
    store.commit(fence, writes).await.unwrap()
}

pub(crate) const fn job(n: u128) -> JobId {
    JobId::from_u128(n)
}

/// A job created at millisecond `n`.
pub(crate) fn put_job(n: u128) -> Write {
    Write::PutJob {
        job: job(n),
        meta: Bytes::from(format!("meta of {n}")),
        graph: Bytes::from(format!("graph of {n}")),
        created_ms: n as u64,
    }
}

/// Waits until something is so; fails the test if it takes too long.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
