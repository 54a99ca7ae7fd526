//! Which objects are here, where their bytes are, and which go to disk next. Does no I/O; behind one lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_types::{Attempt, ByteSize, JobId, ObjectId, TaskIdx};
use tokio::sync::oneshot;

use crate::pinned::{Pinned, Resident};
use crate::pressure::Pressure;
use crate::spill::SpillFile;
use crate::{Missing, Stored};

/// Smaller objects stay in memory: a file costs an inode and a block, which is more than it would free.
const MIN_SPILL_BYTES: u64 = 4 << 10;

/// The name of something stored. Orders by object, then generation, the whole before its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) object: ObjectId,
    pub(crate) attempt: Attempt,
    pub(crate) part: Option<u32>,
}

impl Key {
    pub(crate) const fn whole(object: ObjectId, attempt: Attempt) -> Self {
        Self {
            object,
            attempt,
            part: None,
        }
    }

    const fn with_part(self, part: Option<u32>) -> Self {
        Self { part, ..self }
    }
}

/// Who waits for a load, and the part each wants.
pub(crate) type Waiters = Vec<(Option<u32>, oneshot::Sender<Result<Pinned, Missing>>)>;

/// Where an object's bytes are.
///
/// ```text
///  put ─► Memory ──victim──► Writing ──written──► Disk ──get──► Loading
///           ▲                 │    │               ▲               │
///           └─────failed──────┘    └─if pinned─► Both ◄───read─────┘
///                                                  └──victim──► Disk
/// ```
enum Place {
    Memory(Arc<Resident>),
    Writing(Arc<Resident>),
    Both(Arc<Resident>, Arc<SpillFile>),
    Disk(Arc<SpillFile>),
    Loading(Arc<SpillFile>, Waiters),
}

impl Place {
    const fn resident(&self) -> Option<&Arc<Resident>> {
        match self {
            Self::Memory(resident) | Self::Writing(resident) | Self::Both(resident, _) => Some(resident),
            Self::Disk(_) | Self::Loading(..) => None,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Memory(resident) | Self::Writing(resident) | Self::Both(resident, _) => resident.bytes(),
            Self::Disk(file) | Self::Loading(file, _) => file.object_bytes(),
        }
    }
}

struct Entry {
    place: Place,
    /// Its position in `Table::lru`; 0 for what is not there.
    tick: u64,
}

/// What a look-up found.
pub(crate) enum Found {
    /// In memory.
    Resident(Pinned),
    /// On disk: read this part only.
    Part(Key, Arc<SpillFile>, u32),
    /// On disk: the caller must load it now and report to [`Table::loaded`].
    Load(Key, Arc<SpillFile>, oneshot::Receiver<Result<Pinned, Missing>>),
    /// Being loaded.
    Wait(oneshot::Receiver<Result<Pinned, Missing>>),
}

/// What to do to free memory.
pub(crate) enum Victim {
    /// Write this and report to [`Table::written`].
    Write(Key, Arc<Resident>),
    /// Memory was freed at once: a file was there already.
    Evicted,
}

pub(crate) struct Table {
    entries: BTreeMap<Key, Entry>,
    /// What may be spilled, least recently used first.
    lru: BTreeMap<u64, Key>,
    last_tick: u64,
    pressure: Arc<Pressure>,
}

impl Table {
    pub(crate) const fn new(pressure: Arc<Pressure>) -> Self {
        Self {
            entries: BTreeMap::new(),
            lru: BTreeMap::new(),
            last_tick: 0,
            pressure,
        }
    }

    /// Adds an object unless it is here already; returns its size.
    pub(crate) fn insert(&mut self, key: Key, resident: impl FnOnce() -> Resident) -> u64 {
        if let Some(entry) = self.entries.get(&key) {
            return entry.place.bytes();
        }
        let resident = Arc::new(resident());
        let bytes = resident.bytes();
        let place = Place::Memory(resident);
        self.entries.insert(key, Entry { place, tick: 0 });
        self.touch(key);
        bytes
    }

    /// The entry that serves `key`: itself, or the whole it is a part of.
    fn resolve(&self, key: Key) -> Result<Key, Missing> {
        let whole = key.with_part(None);
        if self.entries.contains_key(&key) {
            Ok(key)
        } else if self.entries.contains_key(&whole) {
            Ok(whole)
        } else {
            Err(self.miss(key))
        }
    }

    fn miss(&self, key: Key) -> Missing {
        let first = Key::whole(key.object, Attempt::default());
        self.entries
            .range(first..)
            .take_while(|(other, _)| other.object == key.object)
            .find(|(other, _)| other.attempt != key.attempt)
            .map_or(Missing::Gone, |(other, _)| Missing::WrongGeneration {
                held: other.attempt,
            })
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.resolve(key).is_ok()
    }

    /// Pins what is in memory; `None` if it is on disk.
    pub(crate) fn find_resident(&mut self, wanted: Key) -> Result<Option<Pinned>, Missing> {
        let key = self.resolve(wanted)?;
        let part = wanted.part.filter(|_| key.part.is_none());
        let resident = self.entries.get(&key).and_then(|entry| entry.place.resident());
        let Some(resident) = resident.map(Arc::clone) else {
            return Ok(None);
        };
        check_part(part, resident.object().parts())?;
        self.touch(key);
        Ok(Some(Pinned::new(resident, part, Arc::clone(&self.pressure))))
    }

    /// Pins what is in memory, and says what to do about what is not.
    pub(crate) fn find(&mut self, wanted: Key) -> Result<Found, Missing> {
        if let Some(pinned) = self.find_resident(wanted)? {
            return Ok(Found::Resident(pinned));
        }
        let key = self.resolve(wanted)?;
        let part = wanted.part.filter(|_| key.part.is_none());
        let entry = self.entries.get_mut(&key).ok_or(Missing::Gone)?;
        let (Place::Disk(file) | Place::Loading(file, _)) = &entry.place else {
            return Err(Missing::Gone);
        };
        let file = Arc::clone(file);
        check_part(part, file.parts())?;
        if let Some(part) = part
            && file.parts() > 1
        {
            return Ok(Found::Part(key, file, part));
        }
        let (sender, receiver) = oneshot::channel();
        if let Place::Loading(_, waiters) = &mut entry.place {
            waiters.push((part, sender));
            return Ok(Found::Wait(receiver));
        }
        entry.place = Place::Loading(Arc::clone(&file), vec![(part, sender)]);
        Ok(Found::Load(key, file, receiver))
    }

    /// Ends a load that worked. Waiters are pinned before anybody could evict the object again.
    pub(crate) fn loaded(&mut self, key: Key, file: &Arc<SpillFile>, resident: Resident) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let Place::Loading(loading, waiters) = &mut entry.place else {
            return;
        };
        if !Arc::ptr_eq(loading, file) {
            return;
        }
        let resident = Arc::new(resident);
        for (part, waiter) in waiters.drain(..) {
            let pinned = Pinned::new(Arc::clone(&resident), part, Arc::clone(&self.pressure));
            // A waiter that has gone away unpins by the failed send.
            let _ = waiter.send(Ok(pinned));
        }
        entry.place = Place::Both(resident, Arc::clone(file));
        self.touch(key);
    }

    /// Removes an object whose file is damaged, if that file is still what stands for it.
    pub(crate) fn damaged(&mut self, key: Key, file: &Arc<SpillFile>) -> Option<Waiters> {
        let waiters = match &mut self.entries.get_mut(&key)?.place {
            Place::Loading(loading, waiters) if Arc::ptr_eq(loading, file) => std::mem::take(waiters),
            Place::Disk(disk) if Arc::ptr_eq(disk, file) => Vec::new(),
            _ => return None,
        };
        self.remove_entry(key);
        Some(waiters)
    }

    /// Chooses what to free next.
    pub(crate) fn victim(&mut self) -> Option<Victim> {
        let (tick, key) = self
            .lru
            .iter()
            .map(|(tick, key)| (*tick, *key))
            .find(|(_, key)| {
                let resident = self.entries.get(key).and_then(|entry| entry.place.resident());
                resident.is_some_and(|resident| !resident.is_pinned())
            })?;
        self.lru.remove(&tick);
        let entry = self.entries.get_mut(&key)?;
        entry.tick = 0;
        match &entry.place {
            Place::Memory(resident) => {
                let resident = Arc::clone(resident);
                entry.place = Place::Writing(Arc::clone(&resident));
                Some(Victim::Write(key, resident))
            }
            Place::Both(_, file) => {
                entry.place = Place::Disk(Arc::clone(file));
                Some(Victim::Evicted)
            }
            Place::Writing(_) | Place::Disk(_) | Place::Loading(..) => None,
        }
    }

    /// Ends a write that worked.
    pub(crate) fn written(&mut self, key: Key, resident: &Arc<Resident>, file: SpillFile) {
        let Some(entry) = self.writing(key, resident) else {
            return;
        };
        let file = Arc::new(file);
        if resident.is_pinned() {
            entry.place = Place::Both(Arc::clone(resident), file);
            self.touch(key);
        } else {
            entry.place = Place::Disk(file);
        }
    }

    /// Ends a write that failed. An object that cannot be encoded is not `retry`ed.
    pub(crate) fn not_written(&mut self, key: Key, resident: &Arc<Resident>, retry: bool) {
        let Some(entry) = self.writing(key, resident) else {
            return;
        };
        entry.place = Place::Memory(Arc::clone(resident));
        if retry {
            self.touch(key);
        }
    }

    fn writing(&mut self, key: Key, resident: &Arc<Resident>) -> Option<&mut Entry> {
        self.entries
            .get_mut(&key)
            .filter(|entry| matches!(&entry.place, Place::Writing(writing) if Arc::ptr_eq(writing, resident)))
    }

    /// Gives up the files of objects that are in memory too; returns whether there were any.
    pub(crate) fn drop_spare_files(&mut self) -> bool {
        let mut dropped = false;
        for entry in self.entries.values_mut() {
            if let Place::Both(resident, _) = &entry.place {
                entry.place = Place::Memory(Arc::clone(resident));
                dropped = true;
            }
        }
        dropped
    }

    pub(crate) fn remove(&mut self, object: ObjectId, attempt: Attempt) {
        let first = Key::whole(object, attempt);
        self.remove_range(first, |key| (key.object, key.attempt) == (object, attempt));
    }

    pub(crate) fn remove_part(&mut self, key: Key) {
        self.remove_entry(key);
    }

    pub(crate) fn remove_job(&mut self, job: JobId) {
        let first = Key::whole(ObjectId::new(job, TaskIdx(0)), Attempt::default());
        self.remove_range(first, |key| key.object.job == job);
    }

    fn remove_range(&mut self, first: Key, belongs: impl Fn(&Key) -> bool) {
        while let Some(key) = self.entries.range(first..).next().map(|(key, _)| *key)
            && belongs(&key)
        {
            self.remove_entry(key);
        }
    }

    fn remove_entry(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.lru.remove(&entry.tick);
        }
    }

    /// Makes an object the most recently used one, if it can be spilled at all.
    fn touch(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let spillable = matches!(&entry.place, Place::Memory(_) | Place::Both(..))
            && entry.place.bytes() >= MIN_SPILL_BYTES;
        if !spillable {
            return;
        }
        self.lru.remove(&entry.tick);
        self.last_tick += 1;
        entry.tick = self.last_tick;
        self.lru.insert(entry.tick, key);
    }

    pub(crate) fn inventory(&self) -> Vec<Stored> {
        self.entries
            .iter()
            .map(|(key, entry)| Stored {
                object: key.object,
                attempt: key.attempt,
                part: key.part,
                bytes: ByteSize::new(entry.place.bytes()),
                spilled: entry.place.resident().is_none(),
            })
            .collect()
    }
}

fn check_part(part: Option<u32>, parts: usize) -> Result<(), Missing> {
    match part {
        Some(part) if part as usize >= parts => Err(Missing::NoSuchPart {
            part,
            parts: u32::try_from(parts).unwrap_or(u32::MAX),
        }),
        _ => Ok(()),
    }
}
