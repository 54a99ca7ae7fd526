//! Other workers as sources of copies: what waits for each, and how much each is asked at once.

use std::collections::{BTreeSet, HashMap};

use millstream_protocol::wire::PeerInfo;
use millstream_types::WorkerId;

use crate::graph::NodeRef;

/// A peer's place in this worker's own table. Valid for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerRef(u32);

#[derive(Debug)]
struct Peer {
    info: PeerInfo,
    queue: BTreeSet<(u64, NodeRef)>,
    queued_bytes: u64,
    in_flight: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    peers: Vec<Peer>,
    by_worker: HashMap<WorkerId, PeerRef>,
    /// Peers with something waiting.
    waiting: BTreeSet<PeerRef>,
}

impl Peers {
    /// Takes note of a peer, or of its new address.
    pub(super) fn learn(&mut self, info: PeerInfo) -> PeerRef {
        if let Some(known) = self.by_worker.get(&info.worker) {
            self.peers[known.0 as usize].info = info;
            return *known;
        }
        let at = PeerRef(self.peers.len() as u32);
        self.by_worker.insert(info.worker, at);
        self.peers.push(Peer {
            info,
            queue: BTreeSet::new(),
            queued_bytes: 0,
            in_flight: 0,
        });
        at
    }

    /// How a peer is reached.
    pub(crate) fn info(&self, peer: PeerRef) -> &PeerInfo {
        &self.peers[peer.0 as usize].info
    }

    /// Of these peers the one with the fewest bytes before a newcomer; `turn` spreads ties.
    pub(super) fn least_loaded(&self, among: &[PeerRef], turn: usize) -> Option<PeerRef> {
        let count = among.len();
        let turned = (0..count).map(|i| among[(i + turn) % count]);
        turned.min_by_key(|peer| {
            let peer = &self.peers[peer.0 as usize];
            (peer.queued_bytes, peer.in_flight)
        })
    }

    pub(super) fn enqueue(&mut self, peer: PeerRef, priority: u64, node: NodeRef, bytes: u64) {
        let entry = &mut self.peers[peer.0 as usize];
        entry.queue.insert((priority, node));
        entry.queued_bytes += bytes;
        self.waiting.insert(peer);
    }

    pub(super) fn dequeue(&mut self, peer: PeerRef, priority: u64, node: NodeRef, bytes: u64) {
        let entry = &mut self.peers[peer.0 as usize];
        if entry.queue.remove(&(priority, node)) {
            entry.queued_bytes -= bytes;
        }
        if entry.queue.is_empty() {
            self.waiting.remove(&peer);
        }
    }

    /// Whether a copy waits for its turn at a peer.
    pub(super) fn has(&self, peer: PeerRef, priority: u64, node: NodeRef) -> bool {
        self.peers[peer.0 as usize].queue.contains(&(priority, node))
    }

    /// Whether any copy waits for its turn.
    pub(super) fn any_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The peer with the best waiting copy among those that may be asked more.
    pub(super) fn next_to_ask(&self, most_in_flight: usize) -> Option<PeerRef> {
        let askable = self
            .waiting
            .iter()
            .filter(|peer| self.peers[peer.0 as usize].in_flight < most_in_flight);
        askable
            .copied()
            .min_by_key(|peer| self.peers[peer.0 as usize].queue.first().copied())
    }

    /// Takes the best waiting copies of a peer, at least one, for a fetch.
    pub(super) fn take_batch(
        &mut self,
        peer: PeerRef,
        most: usize,
        most_bytes: u64,
        size: impl Fn(NodeRef) -> u64,
    ) -> Vec<NodeRef> {
        let entry = &mut self.peers[peer.0 as usize];
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some((_, node)) = entry.queue.first().copied() {
            let more = size(node);
            if batch.len() >= most || (!batch.is_empty() && bytes + more > most_bytes) {
                break;
            }
            entry.queue.pop_first();
            entry.queued_bytes -= more;
            bytes += more;
            batch.push(node);
        }
        entry.in_flight += 1;
        if entry.queue.is_empty() {
            self.waiting.remove(&peer);
        }
        batch
    }

    /// A fetch from a peer ended.
    pub(super) fn ended(&mut self, peer: PeerRef) {
        self.peers[peer.0 as usize].in_flight -= 1;
    }
}
