//! Queues in this process.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Shared, expiring};
use crate::shared::{
    EMPTY_TTL, IDLE_TTL, MAX_PAGE_ITEMS, OVERHEAD, PAGE_BYTES, REMEMBERED, check_push, queue_limit,
};
use crate::{Push, QueuePage, SharedError, SharedLimits};

#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    items: VecDeque<Bytes>,
    /// Requests that were answered last, and what they took.
    answered: VecDeque<(String, Vec<Bytes>)>,
    bytes: usize,
}

impl Queue {
    pub(super) const fn size(&self) -> usize {
        self.bytes
    }

    fn answer_to(&self, id: &str) -> Option<&[Bytes]> {
        let known = self.answered.iter().find(|(known, _)| known == id);
        known.map(|(_, items)| items.as_slice())
    }

    fn add(&mut self, item: &Bytes) {
        self.bytes += weight(item);
        self.items.push_back(item.clone());
    }

    fn take(&mut self) -> Option<Bytes> {
        let item = self.items.pop_front()?;
        self.bytes -= weight(&item);
        Some(item)
    }

    fn remember(&mut self, id: &str, items: Vec<Bytes>) {
        self.bytes += OVERHEAD + items.iter().map(Bytes::len).sum::<usize>();
        self.answered.push_back((id.to_owned(), items));
        if self.answered.len() > REMEMBERED
            && let Some((_, items)) = self.answered.pop_front()
        {
            self.bytes -= OVERHEAD + items.iter().map(Bytes::len).sum::<usize>();
        }
    }

    fn ttl(&self) -> Duration {
        if self.items.is_empty() {
            EMPTY_TTL
        } else {
            IDLE_TTL
        }
    }
}

fn weight(item: &Bytes) -> usize {
    item.len() + OVERHEAD
}

impl Shared {
    /// The queue's length after the push; none while it has no room.
    pub(super) fn push(
        &mut self,
        name: &str,
        push: &Push,
        limits: &SharedLimits,
        now: Duration,
    ) -> Result<Option<usize>, SharedError> {
        check_push(push, limits)?;
        self.purge(now);
        let id = format!("push:{}", push.id);
        let known = self.queues.get(name).map(|queue| &queue.value);
        let length = known.map_or(0, |queue| queue.items.len());
        if push.items.is_empty() || known.is_some_and(|queue| queue.answer_to(&id).is_some()) {
            return Ok(Some(length));
        }
        let limit = queue_limit(push, limits);
        let beyond = (length + push.items.len()).saturating_sub(limit);
        if push.items.len() > limit || (beyond > 0 && !push.drop_oldest) {
            return Ok(None);
        }
        self.check_room(known.is_none(), push.items.iter().map(weight).sum(), limits)?;
        let queue = self
            .queues
            .entry(name.to_owned())
            .or_insert_with(|| expiring(Queue::default(), now));
        for _ in 0..beyond {
            queue.value.take();
        }
        push.items.iter().for_each(|item| queue.value.add(item));
        queue.value.remember(&id, Vec::new());
        queue.expires = Some(now + queue.value.ttl());
        Ok(Some(queue.value.items.len()))
    }

    /// The oldest items; none if there are none.
    pub(super) fn take(&mut self, name: &str, id: &str, most: usize, now: Duration) -> Option<Vec<Bytes>> {
        let queue = self.queues.get_mut(name).filter(|queue| queue.is_live(now))?;
        let id = format!("take:{id}");
        if let Some(items) = queue.value.answer_to(&id) {
            return Some(items.to_vec());
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most.min(MAX_PAGE_ITEMS)
            && let Some(next) = queue.value.items.front()
            && (taken.is_empty() || bytes + next.len() <= PAGE_BYTES)
        {
            bytes += next.len();
            taken.extend(queue.value.take());
        }
        if taken.is_empty() {
            return None;
        }
        queue.value.remember(&id, taken.clone());
        queue.expires = Some(now + queue.value.ttl());
        Some(taken)
    }

    pub(super) fn queue(&self, name: &str, from: usize, limit: usize, now: Duration) -> QueuePage {
        let Some(queue) = self.queues.get(name).filter(|queue| queue.is_live(now)) else {
            return QueuePage::default();
        };
        let items = &queue.value.items;
        QueuePage {
            length: items.len(),
            items: items
                .iter()
                .skip(from)
                .take(limit.min(MAX_PAGE_ITEMS))
                .cloned()
                .collect(),
        }
    }

    pub(super) fn remove_queue(&mut self, name: &str) {
        self.queues.remove(name);
    }
}
