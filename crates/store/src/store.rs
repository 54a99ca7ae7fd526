//! The store's handle.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_types::{Attempt, ByteSize, JobId, ObjectId};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::ledger::{Account, Charge, Ledger};
use crate::pinned::Resident;
use crate::table::{Key, Table};
use crate::{
    EncodedObject, Format, MemoryReport, Missing, Object, Payload, Pinned, PutError, SpillError, SpillPolicy,
    Usage,
};

/// Where and how much to spill.
#[derive(Debug, Clone)]
pub struct SpillConfig {
    /// The folder, shared by any number of processes: each makes a folder of its own in it.
    pub dir: PathBuf,
    /// Most bytes of spill files of this store.
    pub quota: ByteSize,
}

/// How a store is set up.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The worker's memory limit.
    pub limit: ByteSize,
    /// Thresholds within the limit.
    pub policy: SpillPolicy,
    /// Where to spill; `None` keeps everything in memory.
    pub spill: Option<SpillConfig>,
}

/// What a store tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// The memory level changed.
    Memory(MemoryReport),
    /// An object is lost although nobody dropped it.
    Lost {
        /// The object.
        object: ObjectId,
        /// Its generation.
        attempt: Attempt,
        /// The part, for a fetched sub-range.
        part: Option<u32>,
        /// What was found.
        reason: String,
    },
    /// Spilling fails. Told once per cause until it works again.
    SpillFailed(SpillError),
}

/// The stream of a store's events.
pub type StoreEvents = mpsc::UnboundedReceiver<StoreEvent>;

/// One line of a store's inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The object.
    pub object: ObjectId,
    /// Its generation.
    pub attempt: Attempt,
    /// The part, if only a fetched sub-range is here.
    pub part: Option<u32>,
    /// Its size in memory.
    pub bytes: ByteSize,
    /// Whether it is on disk only.
    pub spilled: bool,
}

/// Wakes the spill thread.
#[derive(Debug, Default)]
pub(crate) struct Pressure;

impl Pressure {
    pub(crate) fn relieved(&self) {}
}

/// A worker's objects. Clones share them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
    ledger: Arc<Ledger>,
    table: Mutex<Table>,
    pressure: Arc<Pressure>,
}

impl Store {
    /// Opens a store; removes what dead processes left in the spill folder.
    pub fn open(config: StoreConfig) -> Result<(Self, StoreEvents), SpillError> {
        let (_events, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            config,
            ledger: Arc::default(),
            table: Mutex::default(),
            pressure: Arc::default(),
        };
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            receiver,
        ))
    }

    /// Stores the output of a task and returns its size. A second put of the same generation changes nothing.
    pub fn put(
        &self,
        object: ObjectId,
        attempt: Attempt,
        payload: Payload,
        format: Format,
    ) -> Result<ByteSize, PutError> {
        self.insert(Key::whole(object, attempt), Object::new(payload, format))
    }

    /// Stores what was fetched from a peer: a whole object, or one part of it.
    pub fn put_fetched(
        &self,
        object: ObjectId,
        attempt: Attempt,
        part: Option<u32>,
        fetched: Object,
    ) -> Result<ByteSize, PutError> {
        self.insert(
            Key {
                object,
                attempt,
                part,
            },
            fetched,
        )
    }

    fn insert(&self, key: Key, object: Object) -> Result<ByteSize, PutError> {
        let bytes = object.memory_size();
        let charge = Charge::new(&self.inner.ledger, Account::Memory, bytes);
        let resident = Resident::new(object, charge, &self.inner.ledger);
        self.inner.table.lock().insert(key, Arc::new(resident));
        Ok(ByteSize::new(bytes))
    }

    /// Pins an object or one part of it, reading it back from disk if it was spilled.
    pub async fn get(
        &self,
        object: ObjectId,
        attempt: Attempt,
        part: Option<u32>,
    ) -> Result<Pinned, Missing> {
        self.try_get(object, attempt, part)?.ok_or(Missing::Gone)
    }

    /// Pins an object or one part of it if it is in memory; `None` if it must be read from disk by [`Store::get`].
    pub fn try_get(
        &self,
        object: ObjectId,
        attempt: Attempt,
        part: Option<u32>,
    ) -> Result<Option<Pinned>, Missing> {
        let (resident, part) = self.inner.table.lock().find(Key {
            object,
            attempt,
            part,
        })?;
        Ok(Some(Pinned::new(
            resident,
            part,
            Arc::clone(&self.inner.pressure),
        )))
    }

    /// Whether the object, or the part of it, is here, in memory or on disk.
    pub fn contains(&self, object: ObjectId, attempt: Attempt, part: Option<u32>) -> bool {
        self.inner
            .table
            .lock()
            .find(Key {
                object,
                attempt,
                part,
            })
            .is_ok()
    }

    /// Forgets a generation of an object with all its parts. Readers finish undisturbed.
    pub fn drop_object(&self, object: ObjectId, attempt: Attempt) {
        self.inner.table.lock().remove(object, attempt);
    }

    /// Forgets everything of a job.
    pub fn drop_job(&self, job: JobId) {
        self.inner.table.lock().remove_job(job);
    }

    /// Tells the process's memory, as [`crate::probe::MemoryProbe`] measures it. Only for a store that has the process to itself.
    pub fn report_process_memory(&self, _bytes: ByteSize) {}

    /// What is held.
    pub fn usage(&self) -> Usage {
        let ledger = &self.inner.ledger;
        Usage {
            memory: ByteSize::new(ledger.memory()),
            spilled: ByteSize::new(ledger.spilled()),
            pinned: ByteSize::new(ledger.pinned()),
        }
    }

    /// What is held, and how short memory is.
    pub fn report(&self) -> MemoryReport {
        let ledger = &self.inner.ledger;
        MemoryReport {
            stored: ByteSize::new(ledger.memory()),
            spilled: ByteSize::new(ledger.spilled()),
            pinned: ByteSize::new(ledger.pinned()),
            process: None,
            level: self
                .inner
                .config
                .policy
                .level(self.inner.config.limit.as_u64(), ledger.memory(), None),
        }
    }

    /// All objects here, by name.
    pub fn inventory(&self) -> Vec<Stored> {
        self.inner.table.lock().inventory()
    }
}

impl From<EncodedObject> for Payload {
    fn from(encoded: EncodedObject) -> Self {
        Self::Bytes(encoded.parts.into_iter().map(|part| part.bytes).collect())
    }
}
