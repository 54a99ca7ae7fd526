//! Stores of a few hundred KiB, names, and waiting.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{any, fs, io};

use bytes::Bytes;
use millstream_store::{
    Format, Payload, SharedObject, SpillConfig, SpillPolicy, Store, StoreConfig, StoreEvents,
};
use millstream_types::{Attempt, ByteSize, JobId, ObjectId, TaskIdx, Term};

/// The limit of the stores under test; their target is 60 KiB.
pub(crate) const LIMIT: u64 = 100 << 10;

pub(crate) fn object(task: u32) -> ObjectId {
    ObjectId::new(JobId::from_u128(7), TaskIdx(task))
}

pub(crate) fn attempt(n: u32) -> Attempt {
    Attempt::new(Term(1), n)
}

/// Bytes that differ from those of any other task and from one another.
pub(crate) fn data(task: u32, len: usize) -> Bytes {
    let bytes = (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(task * 31) as u8);
    bytes.collect::<Vec<_>>().into()
}

pub(crate) fn spilling_to(dir: &Path, quota: u64) -> (Store, StoreEvents) {
    open(Some(SpillConfig {
        dir: dir.to_owned(),
        quota: ByteSize::new(quota),
    }))
}

pub(crate) fn open(spill: Option<SpillConfig>) -> (Store, StoreEvents) {
    Store::open(StoreConfig {
        limit: ByteSize::new(LIMIT),
        policy: SpillPolicy::default(),
        spill,
    })
    .unwrap()
}

pub(crate) fn put(store: &Store, task: u32, bytes: Bytes) {
    let size = ByteSize::of_len(bytes.len());
    let put = store.put(object(task), attempt(1), Payload::single(bytes), Format::Raw);
    assert_eq!(put, Ok(size));
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn spill_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files
}

/// Typed data in two parts that counts how often it was encoded.
pub(crate) struct Numbers {
    pub(crate) parts: Vec<Vec<u64>>,
    pub(crate) encoded: AtomicUsize,
}

impl Numbers {
    pub(crate) fn new(len: u64) -> Arc<Self> {
        Arc::new(Self {
            parts: vec![(0..len).collect(), (len..3 * len).collect()],
            encoded: AtomicUsize::new(0),
        })
    }
}

impl SharedObject for Numbers {
    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn memory_size(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64 * 8).sum()
    }

    fn part_rows(&self, part: usize) -> Option<u64> {
        self.parts.get(part).map(|part| part.len() as u64)
    }

    fn encode_part(&self, part: usize) -> io::Result<Bytes> {
        self.encoded.fetch_add(1, Ordering::SeqCst);
        Ok(self.parts[part].iter().flat_map(|n| n.to_le_bytes()).collect())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn any::Any + Send + Sync> {
        self
    }

    fn format(&self) -> Format {
        Format::ArrowIpc
    }
}
