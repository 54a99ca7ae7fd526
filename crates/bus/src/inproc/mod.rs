//! The bus inside one process: a broker made of maps, with RabbitMQ's rules.
//!
//! Local mode and tests run on it. Durable queues outlive links and [`InprocBroker::pause`], never the process.

mod hub;
mod link;
mod queues;
mod topic;

use std::sync::Arc;

use async_trait::async_trait;

use crate::counters::BusCounters;
use crate::link::{Bus, Link};
use crate::names::Names;

use hub::Hub;
use link::InprocLink;
pub(crate) use link::{InprocAcker, InprocConsumer};

/// A broker shared by all buses made from it. Clones are the same broker.
#[derive(Debug, Clone)]
pub struct InprocBroker {
    hub: Arc<Hub>,
}

impl InprocBroker {
    /// A running broker without queues.
    pub fn new() -> Self {
        Self {
            hub: Arc::new(Hub::new()),
        }
    }

    /// A bus for the cluster of `names` on this broker.
    pub fn bus(&self, names: Names) -> Arc<InprocBus> {
        Arc::new(InprocBus {
            hub: Arc::clone(&self.hub),
            names,
            counters: Arc::new(BusCounters::default()),
        })
    }

    /// Breaks every link that was opened as `who`, as a lost connection would. Returns how many there were.
    pub fn cut(&self, who: &str) -> usize {
        self.hub.cut(who)
    }

    /// Stops the broker: all links break, private queues vanish, and [`Bus::connect`] waits for
    /// [`InprocBroker::resume`]. Durable queues keep their frames.
    pub fn pause(&self) {
        self.hub.pause();
    }

    /// Starts the broker again.
    pub fn resume(&self) {
        self.hub.resume();
    }
}

impl Default for InprocBroker {
    fn default() -> Self {
        Self::new()
    }
}

/// The bus of one cluster on an [`InprocBroker`].
#[derive(Debug)]
pub struct InprocBus {
    hub: Arc<Hub>,
    names: Names,
    counters: Arc<BusCounters>,
}

#[async_trait]
impl Bus for InprocBus {
    fn names(&self) -> &Names {
        &self.names
    }

    fn counters(&self) -> &BusCounters {
        &self.counters
    }

    async fn connect(&self, who: &str) -> Arc<dyn Link> {
        let handle = self.hub.open(who, &self.names).await;
        self.counters.count_connected();
        Arc::new(InprocLink::new(
            Arc::clone(&self.hub),
            handle,
            self.names.clone(),
            Arc::clone(&self.counters),
        ))
    }
}
