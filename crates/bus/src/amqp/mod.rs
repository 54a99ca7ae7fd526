//! The bus over RabbitMQ.
//!
//! The client library's own recovery stays off: its pauses double to a minute and it gives up after sixteen tries.
//! [`AmqpBus`] reconnects itself, for ever, and each connection is a new [`Link`]. A link is two AMQP connections, one
//! to publish and one to consume, because RabbitMQ throttles a connection that publishes too fast and would hold up
//! its acknowledgements and deliveries with it.
//!
//! Sockets, heartbeats and retries live on one thread of this bus, so that they go on while the caller's executor is
//! busy, and so that links work the same from a single-threaded executor. The client library logs at `warn` and
//! `error` under the target `lapin`, with message bodies: a process that uses this bus turns that target off, since
//! everything an operator needs is logged or returned here.

mod connect;
mod consumer;
mod endpoint;
mod link;
mod publisher;
mod topology;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

use crate::counters::BusCounters;
use crate::error::BusError;
use crate::link::{Bus, Link};
use crate::names::Names;

pub(crate) use consumer::{AmqpAcker, AmqpConsumer};
use endpoint::Endpoint;

/// The bus of one cluster on a RabbitMQ server.
pub struct AmqpBus {
    shared: Arc<Shared>,
}

/// What all links of a bus share.
struct Shared {
    endpoint: Endpoint,
    names: Names,
    counters: BusCounters,
    runtime: BusRuntime,
}

impl AmqpBus {
    /// A bus for the cluster of `names` on the server of `url`, such as `amqp://user:password@host:5672/vhost`.
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`BusError::InvalidUrl`], [`BusError::TlsUnsupported`] for `amqps://`, or [`BusError::Runtime`].
    pub fn new(url: &str, names: Names) -> Result<Arc<Self>, BusError> {
        let endpoint = Endpoint::parse(url)?;
        let runtime = BusRuntime::start()?;
        let shared = Shared {
            endpoint,
            names,
            counters: BusCounters::default(),
            runtime,
        };
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
        }))
    }
}

impl fmt::Debug for AmqpBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpBus")
            .field("endpoint", &self.shared.endpoint)
            .field("names", &self.shared.names)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Bus for AmqpBus {
    fn names(&self) -> &Names {
        &self.shared.names
    }

    fn counters(&self) -> &BusCounters {
        &self.shared.counters
    }

    async fn connect(&self, who: &str) -> Arc<dyn Link> {
        loop {
            let opening = connect::until_connected(Arc::clone(&self.shared), who.to_owned());
            // A caller that stops waiting stops the attempts.
            let opening = AbortOnDropHandle::new(self.shared.runtime.handle().spawn(opening));
            if let Ok(link) = opening.await {
                return Arc::new(link);
            }
        }
    }
}

/// The thread that serves this bus's sockets.
struct BusRuntime(Option<Runtime>, Handle);

impl BusRuntime {
    fn start() -> Result<Self, BusError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("millstream-bus")
            .enable_all()
            .build()
            .map_err(|error| BusError::Runtime {
                reason: error.to_string(),
            })?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    const fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for BusRuntime {
    fn drop(&mut self) {
        // The last link may be dropped inside an async task, where waiting for a runtime to end is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
