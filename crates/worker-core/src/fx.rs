//! Hashing of dense task numbers: one multiplication instead of SipHash, since no outsider chooses the keys' hashes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map keyed by task numbers. Its order is arbitrary and must never reach an effect.
pub(crate) type TaskMap<V> = HashMap<u32, V, BuildHasherDefault<TaskHasher>>;

/// Fibonacci hashing: spreads consecutive numbers over all bits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TaskHasher(u64);

/// 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for TaskHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        let hash = (self.0 ^ u64::from(number)).wrapping_mul(SPREAD);
        self.0 = hash ^ (hash >> 32);
    }
}
