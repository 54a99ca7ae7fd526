//! One queue of the in-process broker. Knows nothing of links and routing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

/// Identifies a link within a broker.
pub(super) type LinkId = u64;
/// Identifies a consumer within a broker.
pub(super) type ConsumerId = u64;

/// What a full queue does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// It never is full: another layer bounds it.
    None,
    /// Refuses new frames at this many waiting bytes.
    RefuseAtBytes(usize),
    /// Drops its oldest frame beyond this many.
    DropOldestAbove(usize),
}

#[derive(Debug)]
struct Entry {
    /// The frame's place in the queue's history, so that what comes back goes back to its place.
    seq: u64,
    frame: Bytes,
    redelivered: bool,
}

#[derive(Debug)]
struct Subscriber {
    id: ConsumerId,
    link: LinkId,
    /// Most unacknowledged deliveries; `None` needs no acknowledgements.
    prefetch: Option<usize>,
    unacked: BTreeMap<u64, Entry>,
    wake: Arc<Notify>,
}

/// A frame on its way to a consumer.
pub(super) struct Taken {
    pub(super) seq: u64,
    pub(super) frame: Bytes,
    pub(super) redelivered: bool,
    pub(super) needs_ack: bool,
}

/// Frames that wait, and who receives them.
#[derive(Debug)]
pub(super) struct Queue {
    /// The link that an exclusive queue dies with.
    owner: Option<LinkId>,
    limit: Limit,
    next_seq: u64,
    ready: VecDeque<Entry>,
    ready_bytes: usize,
    subscribers: Vec<Subscriber>,
}

impl Queue {
    pub(super) const fn durable(limit: Limit) -> Self {
        Self::new(None, limit)
    }

    pub(super) const fn exclusive(owner: LinkId, limit: Limit) -> Self {
        Self::new(Some(owner), limit)
    }

    const fn new(owner: Option<LinkId>, limit: Limit) -> Self {
        Self {
            owner,
            limit,
            next_seq: 0,
            ready: VecDeque::new(),
            ready_bytes: 0,
            subscribers: Vec::new(),
        }
    }

    pub(super) fn is_owned_by(&self, link: LinkId) -> bool {
        self.owner == Some(link)
    }

    /// Whether the queue vanishes with its consumer.
    pub(super) const fn is_exclusive(&self) -> bool {
        self.owner.is_some()
    }

    /// Puts a frame at the end. Returns whether the queue took it.
    pub(super) fn push(&mut self, frame: Bytes) -> bool {
        if let Limit::RefuseAtBytes(limit) = self.limit
            && self.ready_bytes >= limit
        {
            return false;
        }
        self.ready_bytes += frame.len();
        self.ready.push_back(Entry {
            seq: self.next_seq,
            frame,
            redelivered: false,
        });
        self.next_seq += 1;
        if let Limit::DropOldestAbove(limit) = self.limit {
            while self.ready.len() > limit {
                self.pop_ready();
            }
        }
        self.wake_subscribers();
        true
    }

    pub(super) fn subscribe(&mut self, id: ConsumerId, link: LinkId, prefetch: Option<usize>) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        self.subscribers.push(Subscriber {
            id,
            link,
            prefetch,
            unacked: BTreeMap::new(),
            wake: Arc::clone(&wake),
        });
        wake
    }

    /// The next frame for `consumer`, unless there is none or its prefetch is used up.
    pub(super) fn take(&mut self, consumer: ConsumerId) -> Option<Taken> {
        let at = self.subscribers.iter().position(|s| s.id == consumer)?;
        let prefetch = self.subscribers[at].prefetch;
        if prefetch.is_some_and(|most| self.subscribers[at].unacked.len() >= most) {
            return None;
        }
        let entry = self.pop_ready()?;
        let taken = Taken {
            seq: entry.seq,
            frame: entry.frame.clone(),
            redelivered: entry.redelivered,
            needs_ack: prefetch.is_some(),
        };
        if prefetch.is_some() {
            self.subscribers[at].unacked.insert(entry.seq, entry);
        }
        Some(taken)
    }

    /// Forgets a delivered frame. Returns whether it was still the consumer's to acknowledge.
    pub(super) fn ack(&mut self, consumer: ConsumerId, seq: u64) -> bool {
        let Some(subscriber) = self.subscribers.iter_mut().find(|s| s.id == consumer) else {
            return false;
        };
        let known = subscriber.unacked.remove(&seq).is_some();
        subscriber.wake.notify_one();
        known
    }

    /// Removes a consumer; what it has not acknowledged goes back.
    pub(super) fn unsubscribe(&mut self, consumer: ConsumerId) {
        self.remove_subscribers(|s| s.id == consumer);
    }

    /// Removes all consumers of a link; what they have not acknowledged goes back.
    pub(super) fn drop_link(&mut self, link: LinkId) {
        self.remove_subscribers(|s| s.link == link);
    }

    fn remove_subscribers(&mut self, gone: impl Fn(&Subscriber) -> bool) {
        let (removed, kept) = std::mem::take(&mut self.subscribers).into_iter().partition(gone);
        self.subscribers = kept;
        let removed: Vec<Subscriber> = removed;
        let returned: Vec<Entry> = removed
            .into_iter()
            .inspect(|s| s.wake.notify_one())
            .flat_map(|s| s.unacked.into_values())
            .collect();
        if returned.is_empty() {
            return;
        }
        for mut entry in returned {
            entry.redelivered = true;
            self.ready_bytes += entry.frame.len();
            self.ready.push_back(entry);
        }
        self.ready
            .make_contiguous()
            .sort_unstable_by_key(|entry| entry.seq);
        self.wake_subscribers();
    }

    fn pop_ready(&mut self) -> Option<Entry> {
        let entry = self.ready.pop_front()?;
        self.ready_bytes -= entry.frame.len();
        Some(entry)
    }

    /// Makes every consumer look again.
    pub(super) fn wake_subscribers(&self) {
        for subscriber in &self.subscribers {
            subscriber.wake.notify_one();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn unacknowledged_frames_return_to_their_place() {
        let mut queue = Queue::durable(Limit::None);
        for n in 0..4_u8 {
            queue.push(Bytes::from(vec![n]));
        }
        queue.subscribe(1, 1, Some(3));
        for _ in 0..3 {
            queue.take(1).unwrap();
        }
        assert!(queue.take(1).is_none(), "prefetch is used up");
        assert!(queue.ack(1, 1));
        queue.drop_link(1);
        queue.subscribe(2, 2, Some(10));
        let order: Vec<(u8, bool)> = std::iter::from_fn(|| queue.take(2))
            .map(|taken| (taken.frame[0], taken.redelivered))
            .collect();
        assert_eq!(order, [(0, true), (2, true), (3, false)]);
    }

    #[test]
    fn a_full_durable_queue_refuses() {
        let mut queue = Queue::durable(Limit::RefuseAtBytes(2));
        assert!(queue.push(Bytes::from_static(b"ab")));
        assert!(!queue.push(Bytes::from_static(b"c")));
    }
}
