//! The store's handle: put, get, drop; loads, levels, events.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use millstream_types::{Attempt, ByteSize, JobId, ObjectId};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::error::{Missing, PutError, SpillError};
use crate::ledger::{Account, Charge, Ledger};
use crate::object::{EncodedObject, Format, Object, Payload};
use crate::pinned::{Pinned, Resident};
use crate::policy::{MemoryLevel, MemoryReport, SpillPolicy, Usage};
use crate::pressure::Pressure;
use crate::spill::{self, SpillFile, SpillFolder};
use crate::table::{Found, Key, Table};

/// Where and how much to spill.
#[derive(Debug, Clone)]
pub struct SpillConfig {
    /// The folder, shared by any number of processes: each store makes a folder of its own in it.
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
    /// An object was written to disk, or read back.
    Moved(Move),
}

/// One way of an object between memory and disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The object.
    pub object: ObjectId,
    /// Whether it was read back, not written.
    pub back: bool,
    /// Its bytes, or those of the part that was read.
    pub bytes: ByteSize,
    /// What it took.
    pub took: Duration,
}

/// The stream of a store's events. Bounded by changes of level, by what was stored and by
/// what the disk moves.
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

/// A worker's objects. Clones share them; the last one to go removes the spill folder.
#[derive(Clone)]
pub struct Store {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    spiller: Option<JoinHandle<()>>,
}

/// What the handle, the spill thread and loads share.
pub(crate) struct Shared {
    config: StoreConfig,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) table: Mutex<Table>,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) folder: Option<SpillFolder>,
    /// Memory of the process plus 1; 0 until it is told.
    process: AtomicU64,
    level: Mutex<MemoryLevel>,
    events: mpsc::UnboundedSender<StoreEvent>,
}

impl Store {
    /// Opens a store and removes what dead processes left in the spill folder.
    pub fn open(config: StoreConfig) -> Result<(Self, StoreEvents), SpillError> {
        let folder = match &config.spill {
            Some(spill) => Some(SpillFolder::open(&spill.dir)?),
            None => None,
        };
        let (events, receiver) = mpsc::unbounded_channel();
        let pressure = Arc::<Pressure>::default();
        let shared = Arc::new(Shared {
            ledger: Arc::default(),
            table: Mutex::new(Table::new(Arc::clone(&pressure))),
            pressure,
            folder,
            process: AtomicU64::new(0),
            level: Mutex::default(),
            events,
            config,
        });
        let spiller = start_spiller(&shared)?;
        let owner = Arc::new(Owner {
            shared,
            spiller: Some(spiller),
        });
        Ok((Self { owner }, receiver))
    }

    /// The folder of this store's own for what must go with it, if it has a disk.
    pub fn folder(&self) -> Option<&Path> {
        self.shared().folder.as_ref().map(SpillFolder::path)
    }

    /// Stores the output of a task and returns its size. A second put of the same generation changes nothing.
    pub fn put(
        &self,
        object: ObjectId,
        attempt: Attempt,
        payload: Payload,
        format: Format,
    ) -> Result<ByteSize, PutError> {
        let key = Key::whole(object, attempt);
        self.shared().insert(key, Object::new(payload, format))
    }

    /// Stores what was fetched from a peer: a whole object, or one part of it.
    pub fn put_fetched(
        &self,
        object: ObjectId,
        attempt: Attempt,
        part: Option<u32>,
        fetched: Object,
    ) -> Result<ByteSize, PutError> {
        let key = Key {
            object,
            attempt,
            part,
        };
        self.shared().insert(key, fetched)
    }

    /// Pins an object or one part of it, reading it back from disk if it was spilled. One part of a spilled object
    /// of many is read alone. Needs no runtime: outside of one, the calling thread reads.
    pub async fn get(
        &self,
        object: ObjectId,
        attempt: Attempt,
        part: Option<u32>,
    ) -> Result<Pinned, Missing> {
        let key = Key {
            object,
            attempt,
            part,
        };
        let found = self.shared().table.lock().find(key)?;
        let shared = Arc::clone(self.shared());
        let loaded = match found {
            Found::Resident(pinned) => return Ok(pinned),
            Found::Wait(loaded) => loaded,
            Found::Part(key, file, part) => {
                let (sender, loaded) = oneshot::channel();
                read_aside(move || {
                    // A reader that has gone away unpins by the failed send.
                    let _ = sender.send(shared.read_part(key, &file, part));
                });
                loaded
            }
            Found::Load(key, file, loaded) => {
                read_aside(move || shared.load(key, &file));
                loaded
            }
        };
        // The sender is dropped unanswered when the object is dropped meanwhile.
        loaded.await.unwrap_or(Err(Missing::Gone))
    }

    /// Pins an object or one part of it if it is in memory; `None` if it must be read from disk by [`Store::get`].
    pub fn try_get(
        &self,
        object: ObjectId,
        attempt: Attempt,
        part: Option<u32>,
    ) -> Result<Option<Pinned>, Missing> {
        let key = Key {
            object,
            attempt,
            part,
        };
        self.shared().table.lock().find_resident(key)
    }

    /// Whether the object, or the part of it, is here, in memory or on disk.
    pub fn contains(&self, object: ObjectId, attempt: Attempt, part: Option<u32>) -> bool {
        let key = Key {
            object,
            attempt,
            part,
        };
        self.shared().table.lock().contains(key)
    }

    /// Forgets a generation of an object with all its parts. Readers finish undisturbed.
    pub fn drop_object(&self, object: ObjectId, attempt: Attempt) {
        self.shared().table.lock().remove(object, attempt);
        self.shared().publish_level();
    }

    /// Forgets one fetched part of an object.
    pub fn drop_part(&self, object: ObjectId, attempt: Attempt, part: u32) {
        let part = Some(part);
        let key = Key {
            object,
            attempt,
            part,
        };
        self.shared().table.lock().remove_part(key);
        self.shared().publish_level();
    }

    /// Forgets everything of a job.
    pub fn drop_job(&self, job: JobId) {
        self.shared().table.lock().remove_job(job);
        self.shared().publish_level();
    }

    /// Tells the process's memory, as [`crate::probe::MemoryProbe`] measures it. Only for a store that has the process
    /// to itself: of several workers in one process, each counts only what it stores.
    pub fn report_process_memory(&self, bytes: ByteSize) {
        let told = bytes.as_u64().saturating_add(1);
        self.shared().process.store(told, Ordering::Relaxed);
        self.shared().changed();
    }

    /// What is held.
    pub fn usage(&self) -> Usage {
        let ledger = &self.shared().ledger;
        Usage {
            memory: ByteSize::new(ledger.memory()),
            spilled: ByteSize::new(ledger.spilled()),
            pinned: ByteSize::new(ledger.pinned()),
        }
    }

    /// What is held, and how short memory is.
    pub fn report(&self) -> MemoryReport {
        self.shared().report()
    }

    /// All objects here, by name.
    pub fn inventory(&self) -> Vec<Stored> {
        self.shared().table.lock().inventory()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }
}

/// Reads from disk where waiting hurts nobody: on a thread for that, or, outside of any runtime, on the caller's own.
fn read_aside(read: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(runtime) => {
            runtime.spawn_blocking(read);
        }
        Err(_) => read(),
    }
}

fn start_spiller(shared: &Arc<Shared>) -> Result<JoinHandle<()>, SpillError> {
    let for_thread = Arc::clone(shared);
    thread::Builder::new()
        .name("spill".to_owned())
        .spawn(move || spill::run(&for_thread))
        .map_err(|error| SpillError::Io {
            path: PathBuf::new(),
            bytes: ByteSize::ZERO,
            reason: format!("the spill thread cannot be started: {error}"),
        })
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.pressure.close();
        if let Some(spiller) = self.spiller.take() {
            // A panic has been reported by the thread itself.
            let _ = spiller.join();
        }
    }
}

impl Shared {
    fn insert(&self, key: Key, object: Object) -> Result<ByteSize, PutError> {
        let bytes = object.memory_size();
        self.admit(bytes)?;
        let bytes = self.table.lock().insert(key, || {
            let charge = Charge::new(&self.ledger, Account::Memory, bytes);
            Resident::new(object, charge, &self.ledger)
        });
        self.changed();
        Ok(ByteSize::new(bytes))
    }

    /// Refuses what would be held for ever above the pause threshold, where only spilling brings us down.
    fn admit(&self, bytes: u64) -> Result<(), PutError> {
        let limit = self.config.limit;
        let stored = self.ledger.memory();
        if bytes > limit.as_u64() {
            return Err(PutError::TooLarge {
                bytes: ByteSize::new(bytes),
                limit,
            });
        }
        let total = stored.saturating_add(bytes);
        if total <= limit.fraction(self.config.policy.pause).as_u64() {
            return Ok(());
        }
        let stored = ByteSize::new(stored);
        if self.folder.is_none() && total > limit.as_u64() {
            let bytes = ByteSize::new(bytes);
            return Err(PutError::Full { bytes, stored, limit });
        }
        match self.pressure.failure() {
            Some(source) => Err(PutError::SpillFailed {
                stored,
                limit,
                source,
            }),
            None => Ok(()),
        }
    }

    /// Tells of an object that was written or read since `began`.
    pub(crate) fn moved(&self, key: Key, back: bool, bytes: u64, began: Instant) {
        self.tell(StoreEvent::Moved(Move {
            object: key.object,
            back,
            bytes: ByteSize::new(bytes),
            took: began.elapsed(),
        }));
    }

    /// Reads a spilled object back into memory.
    fn load(&self, key: Key, file: &Arc<SpillFile>) {
        // Counted before it is read: the memory is taken from the first byte on.
        let charge = Charge::new(&self.ledger, Account::Memory, file.object_bytes());
        let began = Instant::now();
        match file.read() {
            Ok(encoded) => {
                self.moved(key, true, file.object_bytes(), began);
                let resident = Resident::new(encoded.into(), charge, &self.ledger);
                self.table.lock().loaded(key, file, resident);
                self.changed();
            }
            Err(error) => {
                self.lose(key, file, &error.to_string());
            }
        }
    }

    /// Reads one part of a spilled object for one reader.
    fn read_part(&self, key: Key, file: &Arc<SpillFile>, part: u32) -> Result<Pinned, Missing> {
        let part = part as usize;
        let charge = Charge::new(&self.ledger, Account::Memory, file.part_bytes(part));
        let began = Instant::now();
        match file.read_part(part) {
            Ok(encoded) => {
                self.moved(key, true, file.part_bytes(part), began);
                let resident = Arc::new(Resident::new(encoded.into(), charge, &self.ledger));
                Ok(Pinned::new(resident, None, Arc::clone(&self.pressure)))
            }
            Err(error) => Err(self.lose(key, file, &error.to_string())),
        }
    }

    /// Forgets an object whose file cannot be read, and tells everybody who waits for it.
    fn lose(&self, key: Key, file: &Arc<SpillFile>, reason: &str) -> Missing {
        let missing = Missing::Damaged {
            reason: reason.to_owned(),
        };
        let Some(waiters) = self.table.lock().damaged(key, file) else {
            return missing;
        };
        warn!(object = %key.object, attempt = %key.attempt, reason, "a spilled object is lost");
        for (_, waiter) in waiters {
            let _ = waiter.send(Err(missing.clone()));
        }
        self.tell(StoreEvent::Lost {
            object: key.object,
            attempt: key.attempt,
            part: key.part,
            reason: reason.to_owned(),
        });
        missing
    }

    /// To be called whenever memory may have become shorter.
    fn changed(&self) {
        if self.is_over_goal() {
            self.pressure.kick();
        }
        self.publish_level();
    }

    fn process(&self) -> Option<u64> {
        self.process.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(crate) fn quota(&self) -> u64 {
        let quota = self.config.spill.as_ref().map(|spill| spill.quota);
        quota.unwrap_or_default().as_u64()
    }

    pub(crate) fn is_over_goal(&self) -> bool {
        let stored = self.ledger.memory();
        let limit = self.config.limit.as_u64();
        stored > self.config.policy.goal(limit, stored, self.process())
    }

    fn report(&self) -> MemoryReport {
        let (stored, process) = (self.ledger.memory(), self.process());
        let limit = self.config.limit.as_u64();
        let pinned = self.ledger.pinned();
        let can_spill = self.folder.is_some() && self.pressure.failure().is_none();
        let spillable = if can_spill {
            stored.saturating_sub(pinned)
        } else {
            0
        };
        MemoryReport {
            stored: ByteSize::new(stored),
            spilled: ByteSize::new(self.ledger.spilled()),
            pinned: ByteSize::new(pinned),
            spillable: ByteSize::new(spillable),
            process: process.map(ByteSize::new),
            level: self.config.policy.level(limit, stored, process),
        }
    }

    /// Tells the level if it changed.
    pub(crate) fn publish_level(&self) {
        let mut told = self.level.lock();
        let report = self.report();
        if *told != report.level {
            *told = report.level;
            self.pressure.set_alert(report.level != MemoryLevel::Normal);
            self.tell(StoreEvent::Memory(report));
        }
    }

    pub(crate) fn tell(&self, event: StoreEvent) {
        // Nobody listens any more when the worker is going down.
        let _ = self.events.send(event);
    }
}

impl From<EncodedObject> for Payload {
    fn from(encoded: EncodedObject) -> Self {
        Self::Bytes(encoded.parts.into_iter().map(|part| part.bytes).collect())
    }
}
