//! Graphs of the jobs that were asked about last, so that a key is found without reading its graph again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use millstream_protocol::graph::Graph;
use millstream_types::{ByteSize, JobId};
use parking_lot::Mutex;

/// Encoded bytes of all kept graphs. A larger graph is read again each time.
const CAPACITY: ByteSize = ByteSize::from_mib(64);

/// Most graphs kept.
const MAX_GRAPHS: usize = 1024;

/// A cache; losing an entry costs one read of the state store.
#[derive(Debug, Default)]
pub(crate) struct GraphCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    graphs: HashMap<JobId, (Arc<Graph>, ByteSize)>,
    oldest_first: VecDeque<JobId>,
    total: ByteSize,
}

impl GraphCache {
    pub(crate) fn get(&self, job: JobId) -> Option<Arc<Graph>> {
        self.inner
            .lock()
            .graphs
            .get(&job)
            .map(|(graph, _)| Arc::clone(graph))
    }

    pub(crate) fn insert(&self, job: JobId, graph: &Arc<Graph>, encoded_len: usize) {
        let size = ByteSize::of_len(encoded_len);
        if size > CAPACITY {
            return;
        }
        let mut inner = self.inner.lock();
        inner.remove(job);
        while inner.total + size > CAPACITY || inner.graphs.len() >= MAX_GRAPHS {
            let Some(oldest) = inner.oldest_first.front().copied() else {
                break;
            };
            inner.remove(oldest);
        }
        inner.graphs.insert(job, (Arc::clone(graph), size));
        inner.oldest_first.push_back(job);
        inner.total += size;
    }

    pub(crate) fn remove(&self, job: JobId) {
        self.inner.lock().remove(job);
    }
}

impl Inner {
    fn remove(&mut self, job: JobId) {
        if let Some((_, size)) = self.graphs.remove(&job) {
            self.total -= size;
            self.oldest_first.retain(|other| *other != job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_graph_makes_room() {
        let cache = GraphCache::default();
        let graph = Arc::new(Graph::default());
        let job = |n: u128| JobId::from_u128(n);
        cache.insert(job(1), &graph, 40 << 20);
        cache.insert(job(2), &graph, 20 << 20);
        cache.insert(job(3), &graph, 20 << 20);
        assert!(cache.get(job(1)).is_none());
        assert!(cache.get(job(2)).is_some() && cache.get(job(3)).is_some());
        cache.insert(job(4), &graph, 100 << 20);
        assert!(cache.get(job(4)).is_none());
    }
}
