//! Copies that nobody reads at the moment, least recently used first.

use std::collections::BTreeMap;

use crate::graph::NodeRef;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Cache {
    by_use: BTreeMap<u64, NodeRef>,
    bytes: u64,
    next: u64,
}

impl Cache {
    /// Adds a copy as the most recently used one, and returns its stamp.
    pub(super) fn insert(&mut self, node: NodeRef, bytes: u64) -> u64 {
        let stamp = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.by_use.insert(stamp, node);
        stamp
    }

    /// Removes the copy with this stamp.
    pub(super) fn remove(&mut self, stamp: u64, bytes: u64) {
        if self.by_use.remove(&stamp).is_some() {
            self.bytes -= bytes;
        }
    }

    /// The least recently used copy.
    pub(super) fn oldest(&self) -> Option<NodeRef> {
        self.by_use.first_key_value().map(|(_, node)| *node)
    }

    /// All copies, least recently used first.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeRef> + '_ {
        self.by_use.values().copied()
    }

    /// Bytes of all copies.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}
