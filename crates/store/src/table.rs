//! Which objects are here.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_types::{Attempt, ByteSize, JobId, ObjectId, TaskIdx};

use crate::pinned::Resident;
use crate::{Missing, Stored};

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
}

#[derive(Default)]
pub(crate) struct Table {
    entries: BTreeMap<Key, Arc<Resident>>,
}

impl Table {
    pub(crate) fn insert(&mut self, key: Key, resident: Arc<Resident>) {
        self.entries.entry(key).or_insert(resident);
    }

    pub(crate) fn find(&self, key: Key) -> Result<(Arc<Resident>, Option<u32>), Missing> {
        if let Some(resident) = self.entries.get(&key) {
            return Ok((Arc::clone(resident), None));
        }
        match self.entries.get(&Key::whole(key.object, key.attempt)) {
            Some(resident) => Ok((Arc::clone(resident), key.part)),
            None => Err(Missing::Gone),
        }
    }

    pub(crate) fn remove(&mut self, object: ObjectId, attempt: Attempt) {
        self.entries
            .retain(|key, _| (key.object, key.attempt) != (object, attempt));
    }

    pub(crate) fn remove_job(&mut self, job: JobId) {
        let first = Key::whole(ObjectId::new(job, TaskIdx(0)), Attempt::default());
        self.entries
            .retain(|key, _| *key < first || key.object.job != job);
    }

    pub(crate) fn inventory(&self) -> Vec<Stored> {
        self.entries
            .iter()
            .map(|(key, resident)| Stored {
                object: key.object,
                attempt: key.attempt,
                part: key.part,
                bytes: ByteSize::new(resident.bytes()),
                spilled: false,
            })
            .collect()
    }
}
