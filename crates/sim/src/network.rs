//! The simulated broker: queues that exist while their owner is connected, order per queue, and what a broker does to
//! frames when it is asked to misbehave.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use millstream_protocol::wire::{FromGateway, Hello, SubmitMsg, ToGateway};

/// A process with queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A worker, by its place in the world.
    Worker(usize),
    /// A scheduler, by its place in the world.
    Scheduler(usize),
    /// The gateway.
    Gateway,
}

/// What travels.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// A frame of a session.
    Frame(Bytes),
    /// A request to a leader.
    Request(Box<FromGateway>),
    /// An answer to the gateway.
    Reply(Box<ToGateway>),
    /// A leader's announcement.
    Hello(Hello),
}

/// The gateway's queue.
pub(crate) const GATEWAY: &str = "gateway";

#[derive(Debug)]
struct Queue {
    owner: Owner,
    /// Nothing arrives before what was sent earlier.
    last_arrival: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    queues: BTreeMap<String, Queue>,
    /// Submissions that no leader has acknowledged, oldest first: durable.
    pub(crate) intake: VecDeque<Delivery>,
    next_token: u64,
    /// Until when nobody is connected.
    pub(crate) down_until: u64,
}

/// A submission in the intake queue.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) msg: SubmitMsg,
    /// To which scheduler's connection it was handed out, and by which token.
    pub(crate) handed_to: Option<(usize, u64)>,
}

impl Broker {
    /// Whether anybody can be connected.
    pub(crate) const fn is_up(&self, now: u64) -> bool {
        now >= self.down_until
    }

    /// Declares an exclusive queue.
    pub(crate) fn declare(&mut self, name: &str, owner: Owner) {
        let queue = Queue {
            owner,
            last_arrival: 0,
        };
        self.queues.insert(name.to_owned(), queue);
    }

    /// Removes a queue.
    pub(crate) fn remove(&mut self, name: &str) {
        self.queues.remove(name);
    }

    /// A connection ended: its queues are gone, what it had not acknowledged is handed out again.
    pub(crate) fn disconnect(&mut self, owner: Owner) {
        self.queues.retain(|_, queue| queue.owner != owner);
        if let Owner::Scheduler(scheduler) = owner {
            self.release(scheduler);
        }
    }

    /// Who listens on a queue.
    pub(crate) fn owner(&self, queue: &str) -> Option<Owner> {
        self.queues.get(queue).map(|queue| queue.owner)
    }

    /// A scheduler consumes no more: what it had not acknowledged is handed out again.
    pub(crate) fn release(&mut self, scheduler: usize) {
        for delivery in &mut self.intake {
            if delivery.handed_to.is_some_and(|(to, _)| to == scheduler) {
                delivery.handed_to = None;
            }
        }
    }

    /// The next arrival on a queue, not before `earliest` and not before anything sent to it earlier.
    pub(crate) fn arrival(&mut self, queue: &str, earliest: u64) -> u64 {
        let Some(queue) = self.queues.get_mut(queue) else {
            return earliest;
        };
        queue.last_arrival = queue.last_arrival.max(earliest);
        queue.last_arrival
    }

    /// Takes a submission in.
    pub(crate) fn submit(&mut self, msg: SubmitMsg) {
        self.intake.push_back(Delivery { msg, handed_to: None });
    }

    /// Hands out every waiting submission to a scheduler.
    pub(crate) fn hand_out(&mut self, to: usize) -> Vec<(u64, SubmitMsg)> {
        let mut handed = Vec::new();
        for delivery in self
            .intake
            .iter_mut()
            .filter(|delivery| delivery.handed_to.is_none())
        {
            self.next_token += 1;
            delivery.handed_to = Some((to, self.next_token));
            handed.push((self.next_token, delivery.msg.clone()));
        }
        handed
    }

    /// A submission was acknowledged, if it is still handed out under this token.
    pub(crate) fn acknowledge(&mut self, to: usize, token: u64) {
        self.intake
            .retain(|delivery| delivery.handed_to != Some((to, token)));
    }
}
