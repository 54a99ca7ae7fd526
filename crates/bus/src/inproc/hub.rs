//! The broker's state: links, queues and bindings, behind one lock that is never held across an await.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::closed::Closed;
use crate::error::BusError;
use crate::names::{Names, QueueName};
use crate::queue::{DEAD_MAX_FRAMES, INTAKE_MAX_BYTES, QueueKind, QueueSpec};
use crate::returns::ReturnsSender;

use super::queues::{ConsumerId, Limit, LinkId, Queue, Taken};
use super::topic;

/// What errors call this broker.
const ENDPOINT: &str = "in-process";
/// What a link needs to know of itself.
#[derive(Debug)]
pub(super) struct LinkHandle {
    pub(super) id: LinkId,
    pub(super) ends: Arc<Ends>,
}

/// How the hub tells a link that it ended, and which frames came back.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) closed: Closed,
    pub(super) returns: ReturnsSender,
}

impl Ends {
    fn end(&self, reason: BusError) {
        self.closed.set(reason);
        self.returns.close();
    }
}

#[derive(Debug)]
struct LinkEntry {
    who: String,
    ends: Arc<Ends>,
}

#[derive(Debug)]
struct Binding {
    /// `None` receives everything.
    pattern: Option<String>,
    queue: QueueName,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    links: HashMap<LinkId, LinkEntry>,
    queues: HashMap<QueueName, Queue>,
    bindings: HashMap<String, Vec<Binding>>,
}

/// The outcome of a publish to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Routed {
    Queued,
    Full,
    NoQueue,
}

#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<State>,
    running: watch::Sender<bool>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            running: watch::Sender::new(true),
        }
    }

    /// Opens a link as soon as the broker runs, and makes the cluster's durable queues.
    pub(super) async fn open(&self, who: &str, names: &Names) -> LinkHandle {
        let mut running = self.running.subscribe();
        loop {
            if let Some(handle) = self.try_open(who, names) {
                return handle;
            }
            // The sender lives as long as `self`, so this cannot fail.
            let _ = running.wait_for(|running| *running).await;
        }
    }

    fn try_open(&self, who: &str, names: &Names) -> Option<LinkHandle> {
        let mut state = self.state.lock();
        // Checked under the state's lock, under which `pause` changes it.
        if !*self.running.borrow() {
            return None;
        }
        let id = state.new_id();
        let ends = Arc::new(Ends {
            closed: Closed::new(),
            returns: ReturnsSender::new(),
        });
        state.links.insert(
            id,
            LinkEntry {
                who: who.to_owned(),
                ends: Arc::clone(&ends),
            },
        );
        let durable = [
            (names.intake(), Limit::RefuseAtBytes(size(INTAKE_MAX_BYTES))),
            (names.dead(), Limit::DropOldestAbove(size(DEAD_MAX_FRAMES))),
        ];
        for (name, limit) in durable {
            state.queues.entry(name).or_insert_with(|| Queue::durable(limit));
        }
        Some(LinkHandle { id, ends })
    }

    pub(super) fn cut(&self, who: &str) -> usize {
        let mut state = self.state.lock();
        let cut: Vec<LinkId> = state
            .links
            .iter()
            .filter(|(_, link)| link.who == who)
            .map(|(id, _)| *id)
            .collect();
        for id in &cut {
            state.end_link(*id, broken("the link was cut"));
        }
        cut.len()
    }

    pub(super) fn pause(&self) {
        let mut state = self.state.lock();
        self.running.send_replace(false);
        let all: Vec<LinkId> = state.links.keys().copied().collect();
        for id in all {
            state.end_link(id, broken("the broker stopped"));
        }
    }

    pub(super) fn resume(&self) {
        self.running.send_replace(true);
    }

    pub(super) fn close(&self, link: LinkId) {
        self.state.lock().end_link(link, BusError::Closed);
    }

    pub(super) fn consume(
        &self,
        link: LinkId,
        names: &Names,
        spec: QueueSpec,
    ) -> Result<(ConsumerId, Arc<Notify>), BusError> {
        let mut state = self.open_state(link)?;
        let id = state.new_id();
        let QueueSpec { name, kind } = spec;
        let (queue, prefetch) = match kind {
            QueueKind::Intake { prefetch } => {
                let queue = state
                    .queues
                    .get_mut(&name)
                    .ok_or_else(|| BusError::Unroutable { queue: name.clone() })?;
                (queue, Some(usize::from(prefetch.max(1))))
            }
            QueueKind::Private { hello } => {
                let queue = state.declare_exclusive(&name, link, Limit::None)?;
                if hello {
                    state.bind(names.hello_exchange(), None, &queue);
                }
                (state.queue_mut(&queue)?, None)
            }
            QueueKind::Live { topics, max_length } => {
                let limit = Limit::DropOldestAbove(usize::try_from(max_length).unwrap_or(usize::MAX));
                let queue = state.declare_exclusive(&name, link, limit)?;
                for topic in topics {
                    state.bind(names.live_exchange(), Some(topic), &queue);
                }
                (state.queue_mut(&queue)?, None)
            }
        };
        Ok((id, queue.subscribe(id, link, prefetch)))
    }

    pub(super) fn to_queue(&self, link: LinkId, queue: &QueueName, frame: Bytes) -> Result<Routed, BusError> {
        let mut state = self.open_state(link)?;
        let Some(queue) = state.queues.get_mut(queue) else {
            return Ok(Routed::NoQueue);
        };
        Ok(if queue.push(frame) {
            Routed::Queued
        } else {
            Routed::Full
        })
    }

    pub(super) fn to_exchange(
        &self,
        link: LinkId,
        exchange: &str,
        topic: &str,
        frame: &Bytes,
    ) -> Result<(), BusError> {
        let mut state = self.open_state(link)?;
        let State { queues, bindings, .. } = &mut *state;
        let bound = bindings.get(exchange).map_or(&[][..], Vec::as_slice);
        let mut last: Option<&QueueName> = None;
        for binding in bound {
            let matches = binding
                .pattern
                .as_ref()
                .is_none_or(|pattern| topic::matches(pattern, topic));
            // A queue's bindings are adjacent, and it receives a frame once however many of them match.
            if !matches || last == Some(&binding.queue) {
                continue;
            }
            last = Some(&binding.queue);
            if let Some(queue) = queues.get_mut(&binding.queue) {
                queue.push(frame.clone());
            }
        }
        Ok(())
    }

    pub(super) fn take(&self, queue: &QueueName, consumer: ConsumerId) -> Option<Taken> {
        self.state.lock().queues.get_mut(queue)?.take(consumer)
    }

    pub(super) fn ack(&self, queue: &QueueName, consumer: ConsumerId, seq: u64) -> bool {
        self.state
            .lock()
            .queues
            .get_mut(queue)
            .is_some_and(|queue| queue.ack(consumer, seq))
    }

    pub(super) fn unsubscribe(&self, queue: &QueueName, link: LinkId, consumer: ConsumerId) {
        let mut state = self.state.lock();
        let Some(held) = state.queues.get_mut(queue) else {
            return;
        };
        if !held.is_exclusive() {
            held.unsubscribe(consumer);
        } else if held.is_owned_by(link) {
            state.remove_queue(queue);
        }
    }

    fn open_state(&self, link: LinkId) -> Result<MutexGuard<'_, State>, BusError> {
        let state = self.state.lock();
        if state.links.contains_key(&link) {
            Ok(state)
        } else {
            Err(BusError::Closed)
        }
    }
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn end_link(&mut self, link: LinkId, reason: BusError) {
        let Some(entry) = self.links.remove(&link) else {
            return;
        };
        entry.ends.end(reason);
        let owned: Vec<QueueName> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.is_owned_by(link))
            .map(|(n, _)| n.clone())
            .collect();
        for name in owned {
            self.remove_queue(&name);
        }
        for queue in self.queues.values_mut() {
            queue.drop_link(link);
        }
    }

    fn remove_queue(&mut self, name: &QueueName) {
        if let Some(queue) = self.queues.remove(name) {
            queue.wake_subscribers();
        }
        for bound in self.bindings.values_mut() {
            bound.retain(|binding| binding.queue != *name);
        }
    }

    fn declare_exclusive(
        &mut self,
        name: &QueueName,
        link: LinkId,
        limit: Limit,
    ) -> Result<QueueName, BusError> {
        if self.queues.contains_key(name) {
            return Err(BusError::QueueTaken { queue: name.clone() });
        }
        self.queues.insert(name.clone(), Queue::exclusive(link, limit));
        Ok(name.clone())
    }

    fn bind(&mut self, exchange: String, pattern: Option<String>, queue: &QueueName) {
        self.bindings.entry(exchange).or_default().push(Binding {
            pattern,
            queue: queue.clone(),
        });
    }

    fn queue_mut(&mut self, name: &QueueName) -> Result<&mut Queue, BusError> {
        self.queues
            .get_mut(name)
            .ok_or_else(|| BusError::Unroutable { queue: name.clone() })
    }
}

/// A limit as a count; one that does not fit is none.
fn size(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn broken(reason: &str) -> BusError {
    BusError::Broken {
        endpoint: ENDPOINT.to_owned(),
        reason: reason.to_owned(),
    }
}
