//! Names of queues and exchanges. One place decides them, so that every process of a cluster agrees.

use std::fmt;
use std::sync::Arc;

use millstream_types::{ClusterName, GatewayId, LeaderId, SessionNo, Term, WorkerId};

use crate::error::BusError;

/// AMQP's longest name and topic.
const MAX_NAME: usize = 255;

/// Refuses a queue name or topic that AMQP cannot carry.
pub(crate) fn check_name(name: &str) -> Result<(), BusError> {
    if name.len() > MAX_NAME {
        return Err(BusError::NameTooLong {
            bytes: name.len(),
            max: MAX_NAME,
        });
    }
    Ok(())
}

/// A queue's name, cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// The name as text, as it travels in a registration.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for QueueName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<&str> for QueueName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a frame goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// One queue. A frame for a queue that does not exist comes back through [`crate::Link::returns`].
    Queue(QueueName),
    /// Every private queue that listens to the leader's hello.
    Hello,
    /// Every live queue with a matching topic: words parted by dots, such as `job.42.progress`.
    Live(String),
}

impl Address {
    /// Refuses names that no broker takes.
    pub(crate) fn check(&self) -> Result<(), BusError> {
        match self {
            Self::Queue(queue) => check_name(queue.as_str()),
            Self::Hello => Ok(()),
            Self::Live(topic) => check_name(topic),
        }
    }
}

impl From<QueueName> for Address {
    fn from(queue: QueueName) -> Self {
        Self::Queue(queue)
    }
}

/// The names of one cluster. The cluster's name prefixes them all, so that several clusters can share a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    cluster: ClusterName,
}

impl Names {
    /// The names of `cluster`.
    pub const fn new(cluster: ClusterName) -> Self {
        Self { cluster }
    }

    /// The cluster that the names belong to.
    pub const fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Where gateways put jobs.
    pub fn intake(&self) -> QueueName {
        self.queue("jobs")
    }

    /// Where undecodable messages end.
    pub fn dead(&self) -> QueueName {
        self.queue("dead")
    }

    /// The queue of one leader's one term.
    pub fn leader(&self, term: Term, leader: LeaderId) -> QueueName {
        self.queue(&format!("scheduler.{term}.{leader}"))
    }

    /// The queue of one worker's one session.
    pub fn worker(&self, worker: WorkerId, session: SessionNo) -> QueueName {
        self.queue(&format!("worker.{worker}.{session}"))
    }

    /// The `n`-th reply queue of a gateway.
    pub fn gateway(&self, gateway: GatewayId, n: SessionNo) -> QueueName {
        self.queue(&format!("gateway.{gateway}.{n}"))
    }

    /// The `n`-th queue through which a gateway watches the live exchange.
    pub fn live_viewer(&self, gateway: GatewayId, n: SessionNo) -> QueueName {
        self.queue(&format!("live.{gateway}.{n}"))
    }

    /// The fanout exchange of the leader's hello.
    pub fn hello_exchange(&self) -> String {
        self.prefixed("hello")
    }

    /// The topic exchange of what the dashboard shows.
    pub fn live_exchange(&self) -> String {
        self.prefixed("live")
    }

    /// The exchange to which the broker sends messages that it gave up delivering.
    pub fn dead_letter_exchange(&self) -> String {
        self.prefixed("dead-letter")
    }

    fn queue(&self, suffix: &str) -> QueueName {
        self.prefixed(suffix).into()
    }

    fn prefixed(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_cluster_and_what_makes_them_unique() {
        let names = Names::new(ClusterName::default());
        let leader = names.leader(Term(7), LeaderId::from_u128(1));
        assert_eq!(
            leader.as_str(),
            "millstream.scheduler.7.00000000-0000-0000-0000-000000000001"
        );
        assert_eq!(names.intake().as_str(), "millstream.jobs");
        assert_eq!(names.dead().as_str(), "millstream.dead");
        assert_ne!(
            names.worker(WorkerId::from_u128(1), SessionNo(1)),
            names.worker(WorkerId::from_u128(1), SessionNo(2))
        );
    }
}
