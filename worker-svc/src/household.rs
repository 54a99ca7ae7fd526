//! Workers that share a process, as those of a local cluster do, and what each of them is said to hold of it.
//!
//! The kernel counts memory by process. What it holds besides the objects in the workers' stores, such as what queries
//! and the cluster's other services need, belongs to no worker, so each gets an even share: what all are said to hold
//! is what the process does hold.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_types::{ByteSize, WorkerId};

/// The bytes in the store of each worker of this process.
static STORED: Mutex<BTreeMap<WorkerId, u64>> = Mutex::new(BTreeMap::new());

/// A worker among others in one process, until it is dropped.
pub(crate) struct Housemate(WorkerId);

impl Housemate {
    pub(crate) fn new(worker: WorkerId) -> Self {
        stored().insert(worker, 0);
        Self(worker)
    }

    /// The worker's part of the process, which holds so much in all.
    pub(crate) fn part(&self, own: ByteSize, process: ByteSize) -> ByteSize {
        let mut stored = stored();
        stored.insert(self.0, own.as_u64());
        part(process.as_u64(), own.as_u64(), &stored)
    }
}

impl Drop for Housemate {
    fn drop(&mut self) {
        stored().remove(&self.0);
    }
}

fn stored() -> MutexGuard<'static, BTreeMap<WorkerId, u64>> {
    STORED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn part(process: u64, own: u64, stored: &BTreeMap<WorkerId, u64>) -> ByteSize {
    let rest = process.saturating_sub(stored.values().sum());
    ByteSize::new(own + rest / stored.len().max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_process_add_up_to_it() {
        let stored = BTreeMap::from([(WorkerId::from_u128(1), 300), (WorkerId::from_u128(2), 100)]);
        let parts = [300, 100].map(|own| part(1_000, own, &stored));
        assert_eq!(parts, [ByteSize::new(600), ByteSize::new(400)]);
    }

    #[test]
    fn objects_that_are_not_in_the_process_count_all_the_same() {
        let stored = BTreeMap::from([(WorkerId::from_u128(1), 300)]);
        assert_eq!(part(200, 300, &stored), ByteSize::new(300));
    }

    #[test]
    fn who_leaves_the_process_takes_no_share_of_it() {
        let [one, other] = [1, 2].map(|id| Housemate::new(WorkerId::from_u128(id)));
        let (nothing, all) = (ByteSize::ZERO, ByteSize::new(800));
        assert_eq!(one.part(nothing, all), ByteSize::new(400));
        drop(other);
        assert_eq!(one.part(nothing, all), ByteSize::new(800));
    }
}
