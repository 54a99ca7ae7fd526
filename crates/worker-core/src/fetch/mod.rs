//! Which copies are fetched, from whom and when.
//!
//! Owns the peers, the fetches in flight, the reserved bytes and the cache of copies that nobody reads at the moment.
//! Room for all copies of a task is reserved before any of them is fetched, best priority first, so that two tasks never
//! hold half of their inputs each and wait for each other. A task whose other inputs are still being made here reserves
//! nothing, for the same reason.

mod cache;
mod peers;

use std::collections::{BTreeMap, BTreeSet};

use millstream_protocol::wire::PeerInfo;
use millstream_types::{ByteSize, WorkerId};

pub(crate) use peers::PeerRef;

use self::cache::Cache;
use self::peers::Peers;
use crate::graph::{CopySource, JobRef, LocalGraph, NodeRef, NodeState};
use crate::{Fetch, FetchId, FetchObject, WorkerConfig, WorkerEffect};

/// Copies for safety come after everything that somebody waits for.
pub(crate) const REPLICA_PRIORITY: u64 = u64::MAX;

/// A fetch that has not ended.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) peer: PeerRef,
    pub(crate) nodes: Vec<NodeRef>,
    /// Whether nobody wants any of its objects any more, and the shell was told.
    pub(crate) cancelled: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FetchPlanner {
    pub(crate) peers: Peers,
    /// Tasks and replicas whose copies have no room yet, by priority.
    wanting: BTreeSet<(u64, NodeRef)>,
    in_flight: BTreeMap<FetchId, InFlight>,
    next_id: u64,
    reserved: u64,
    cache: Cache,
}

impl FetchPlanner {
    /// A task or a replica wants copies.
    pub(crate) fn want(&mut self, priority: u64, node: NodeRef) {
        self.wanting.insert((priority, node));
    }

    /// A task or a replica wants nothing more.
    pub(crate) fn unwant(&mut self, priority: u64, node: NodeRef) {
        self.wanting.remove(&(priority, node));
    }

    /// Reserves room for the copies of as many tasks as fit, in order. `idle`: nothing else on this worker can make
    /// room, so the first one is served whatever it takes.
    pub(crate) fn reserve(&mut self, graph: &mut LocalGraph, share: ByteSize, idle: bool) {
        while let Some((priority, node)) = self.wanting.first().copied() {
            let copies = remote_copies(graph, node);
            let need: u64 = copies.iter().map(|copy| graph.node(*copy).bytes).sum();
            let fits = self.reserved.saturating_add(need) <= share.as_u64();
            let last_resort = idle && self.in_flight.is_empty() && !self.peers.any_waiting();
            if !fits && self.reserved > 0 && !last_resort {
                return;
            }
            self.wanting.remove(&(priority, node));
            for copy in copies {
                self.claim(graph, copy, priority);
            }
        }
    }

    /// Reserves room for one copy and queues it at its best holder.
    fn claim(&mut self, graph: &mut LocalGraph, at: NodeRef, priority: u64) {
        let bytes = graph.node(at).bytes;
        let Some(source) = graph.node_mut(at).copy_mut() else {
            return;
        };
        source.priority = priority;
        self.reserved += bytes - source.reserved;
        source.reserved = bytes;
        // A task may want a copy before its turn as a replica comes.
        self.unwant(REPLICA_PRIORITY, at);
        self.queue_at_holder(graph, at);
    }

    /// Queues a copy at the holder with the least before it. False if no holder is left.
    pub(crate) fn queue_at_holder(&mut self, graph: &mut LocalGraph, at: NodeRef) -> bool {
        let node = graph.node(at);
        let (bytes, turn) = (node.bytes, node.task as usize);
        let Some(source) = node.copy() else { return false };
        let Some(peer) = self.peers.least_loaded(&source.holders, turn) else {
            return false;
        };
        self.peers.enqueue(peer, source.priority, at, bytes);
        graph.transition(at, NodeState::Claimed { peer });
        true
    }

    /// Starts fetches where peers have room.
    pub(crate) fn start(
        &mut self,
        graph: &mut LocalGraph,
        config: &WorkerConfig,
        out: &mut Vec<WorkerEffect>,
    ) {
        while self.in_flight.len() < config.max_fetches {
            let Some(peer) = self.peers.next_to_ask(config.max_fetches_per_peer) else {
                return;
            };
            let nodes =
                self.peers
                    .take_batch(peer, config.fetch_objects, config.fetch_bytes.as_u64(), |at| {
                        graph.node(at).bytes
                    });
            let id = FetchId(self.next_id);
            self.next_id += 1;
            let objects: Vec<_> = nodes.iter().map(|at| fetch_object(graph, *at)).collect();
            for at in &nodes {
                graph.transition(*at, NodeState::Fetching { fetch: id });
            }
            out.push(WorkerEffect::Fetch(Fetch {
                id,
                from: self.peers.info(peer).clone(),
                bytes: objects.iter().map(|object| object.bytes).sum(),
                objects,
            }));
            let fetch = InFlight {
                peer,
                nodes,
                cancelled: false,
            };
            self.in_flight.insert(id, fetch);
        }
    }

    /// Takes an ended fetch.
    pub(crate) fn end(&mut self, id: FetchId) -> Option<InFlight> {
        let fetch = self.in_flight.remove(&id)?;
        self.peers.ended(fetch.peer);
        Some(fetch)
    }

    /// A copy arrived with its true size.
    pub(crate) fn arrived(&mut self, graph: &mut LocalGraph, at: NodeRef, bytes: ByteSize) {
        let node = graph.node_mut(at);
        node.bytes = bytes.as_u64();
        if let Some(source) = node.copy_mut() {
            self.reserved = self.reserved - source.reserved + bytes.as_u64();
            source.reserved = bytes.as_u64();
        }
    }

    /// A copy's reservation ends.
    pub(crate) fn release(&mut self, source: &mut CopySource) {
        self.reserved -= std::mem::take(&mut source.reserved);
    }

    /// A cached copy is read again: it counts among the reserved bytes and cannot be dropped.
    pub(crate) fn revive(&mut self, graph: &mut LocalGraph, at: NodeRef) {
        let bytes = graph.node(at).bytes;
        let Some(source) = graph.node_mut(at).copy_mut() else {
            return;
        };
        if let Some(stamp) = source.cached.take() {
            self.cache.remove(stamp, bytes);
            self.reserved += bytes;
            source.reserved = bytes;
        }
    }

    /// The last reader of a copy, a task of `reader`, is gone. What is stored may stay in the cache while that job lasts;
    /// what is under way is called off.
    pub(crate) fn unread(
        &mut self,
        graph: &mut LocalGraph,
        at: NodeRef,
        reader: JobRef,
        cache_limit: ByteSize,
        out: &mut Vec<WorkerEffect>,
    ) {
        let (state, bytes, part) = (
            graph.node(at).state(),
            graph.node(at).bytes,
            graph.node(at).part_opt(),
        );
        let is_live_job = graph.jobs.get(reader).is_some_and(|job| job.has_tables());
        let Some(source) = graph.node_mut(at).copy_mut() else {
            return;
        };
        if source.replica {
            return;
        }
        match state {
            NodeState::Stored => {
                self.release(source);
                // A sub-range is read once in a shuffle; a whole object may be a small table that all tasks read.
                if is_live_job && part.is_none() && bytes <= cache_limit.as_u64() {
                    source.cached = Some(self.cache.insert(at, bytes));
                    source.cached_for = Some(reader);
                    self.trim_cache(graph, cache_limit, out);
                } else {
                    self.drop_stored(graph, at, out);
                }
            }
            NodeState::Claimed { peer } => {
                self.release(source);
                let priority = source.priority;
                self.peers.dequeue(peer, priority, at, bytes);
                graph.remove(at);
            }
            NodeState::Fetching { fetch } => self.cancel_if_unread(graph, fetch, out),
            _ => graph.remove(at),
        }
    }

    /// A stored copy is not in the store any more: it takes no room, in the cache or reserved.
    pub(crate) fn forget_stored(&mut self, graph: &mut LocalGraph, at: NodeRef) {
        let bytes = graph.node(at).bytes;
        let Some(source) = graph.node_mut(at).copy_mut() else {
            return;
        };
        self.release(source);
        if let Some(stamp) = source.cached.take() {
            self.cache.remove(stamp, bytes);
        }
    }

    fn trim_cache(&mut self, graph: &mut LocalGraph, limit: ByteSize, out: &mut Vec<WorkerEffect>) {
        while self.cache.bytes() > limit.as_u64() {
            let Some(oldest) = self.cache.oldest() else { return };
            self.uncache(graph, oldest, out);
        }
    }

    /// Drops a copy from the cache.
    pub(crate) fn uncache(&mut self, graph: &mut LocalGraph, at: NodeRef, out: &mut Vec<WorkerEffect>) {
        let bytes = graph.node(at).bytes;
        let stamp = graph
            .node_mut(at)
            .copy_mut()
            .and_then(|source| source.cached.take());
        if let Some(stamp) = stamp {
            self.cache.remove(stamp, bytes);
            self.drop_stored(graph, at, out);
        }
    }

    /// Drops what tasks of a job that is forgotten read last: copies of other jobs' objects too.
    pub(crate) fn uncache_for(&mut self, graph: &mut LocalGraph, job: JobRef, out: &mut Vec<WorkerEffect>) {
        let is_of_job = |at: &NodeRef| {
            let source = graph.node(*at).copy();
            source.is_some_and(|source| source.cached_for == Some(job))
        };
        let cached: Vec<_> = self.cache.nodes().filter(is_of_job).collect();
        for at in cached {
            self.uncache(graph, at, out);
        }
    }

    /// Drops every cached copy: memory is short.
    pub(crate) fn clear_cache(&mut self, graph: &mut LocalGraph, out: &mut Vec<WorkerEffect>) {
        self.trim_cache(graph, ByteSize::ZERO, out);
    }

    fn drop_stored(&mut self, graph: &mut LocalGraph, at: NodeRef, out: &mut Vec<WorkerEffect>) {
        out.push(drop_effect(graph, at));
        graph.remove(at);
    }

    fn cancel_if_unread(&mut self, graph: &LocalGraph, id: FetchId, out: &mut Vec<WorkerEffect>) {
        let Some(fetch) = self.in_flight.get_mut(&id) else {
            return;
        };
        let unread = fetch.nodes.iter().all(|at| {
            let replica = graph.node(*at).copy().is_some_and(|source| source.replica);
            graph.node(*at).pins == 0 && !replica
        });
        if unread && !fetch.cancelled {
            fetch.cancelled = true;
            out.push(WorkerEffect::CancelFetch { id });
        }
    }

    /// Workers behind peers.
    pub(crate) fn workers(&self, peers: &[PeerRef]) -> Vec<WorkerId> {
        peers.iter().map(|peer| self.peers.info(*peer).worker).collect()
    }

    /// Takes note of a peer and where it is reached now.
    pub(crate) fn learn_peer(&mut self, info: PeerInfo) -> PeerRef {
        self.peers.learn(info)
    }

    /// Breaks of what must always hold, in words.
    pub(crate) fn faults(&self, graph: &LocalGraph) -> Vec<String> {
        let (mut reserved, mut faults) = (0, Vec::new());
        for at in graph.occupied() {
            let node = graph.node(at);
            let Some(source) = node.copy() else { continue };
            reserved += source.reserved;
            let placed = match node.state() {
                NodeState::Claimed { peer } => self.peers.has(peer, source.priority, at),
                NodeState::Fetching { fetch } => self
                    .in_flight
                    .get(&fetch)
                    .is_some_and(|fetch| fetch.nodes.contains(&at)),
                NodeState::Stored => (node.pins == 0) == source.cached.is_some(),
                NodeState::Remote => node.pins > 0 || source.replica,
                _ => true,
            };
            if !placed {
                faults.push(format!("a copy is not where its state says: {node:?}"));
            }
        }
        if reserved != self.reserved {
            faults.push(format!(
                "{} bytes are reserved, the copies hold {reserved}",
                self.reserved
            ));
        }
        let wanting_fits = self.wanting.iter().all(|(_, at)| {
            let node = graph.node(*at);
            node.is_queued() || node.copy().is_some_and(|source| source.replica)
        });
        if !wanting_fits {
            faults.push("a node that waits for no copies wants some".to_owned());
        }
        faults
    }
}

/// The copies a task needs that nothing is reserved for; a replica needs itself.
fn remote_copies(graph: &LocalGraph, at: NodeRef) -> Vec<NodeRef> {
    let is_remote = |at: &NodeRef| graph.node(*at).state() == NodeState::Remote;
    let Some(work) = graph.node(at).work() else {
        return Some(at).filter(is_remote).into_iter().collect();
    };
    let mut copies: Vec<_> = work
        .inputs
        .iter()
        .map(|input| input.node)
        .filter(is_remote)
        .collect();
    copies.sort_unstable();
    copies.dedup();
    copies
}

fn fetch_object(graph: &LocalGraph, at: NodeRef) -> FetchObject {
    let node = graph.node(at);
    FetchObject {
        object: graph.object_of(at),
        attempt: node.attempt,
        part: node.part_opt(),
        bytes: ByteSize::new(node.bytes),
    }
}

/// The effect that removes a node's object from the store.
pub(crate) fn drop_effect(graph: &LocalGraph, at: NodeRef) -> WorkerEffect {
    let object = fetch_object(graph, at);
    WorkerEffect::DropObject {
        object: object.object,
        attempt: object.attempt,
        part: object.part,
    }
}
