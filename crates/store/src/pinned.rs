//! Objects being read. While a [`Pinned`] lives, its bytes stay in memory and stay counted.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use crate::ledger::{Account, Charge, Ledger};
use crate::object::{EncodedObject, EncodedPart, Format, Object, Payload, SharedObject};
use crate::store::Pressure;

/// An object in memory, counted as long as anybody holds it.
pub(crate) struct Resident {
    object: Object,
    pins: AtomicU32,
    charge: Charge,
    ledger: Arc<Ledger>,
}

impl Resident {
    pub(crate) fn new(object: Object, charge: Charge, ledger: &Arc<Ledger>) -> Self {
        Self {
            object,
            pins: AtomicU32::new(0),
            charge,
            ledger: Arc::clone(ledger),
        }
    }

    pub(crate) const fn object(&self) -> &Object {
        &self.object
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.charge.bytes()
    }

    /// Stable while the table is locked: a first pin is made only under its lock.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) > 0
    }
}

/// Counts the first pin of an object and gives it back with the last.
struct PinGuard {
    resident: Arc<Resident>,
    pressure: Arc<Pressure>,
}

impl PinGuard {
    fn new(resident: Arc<Resident>, pressure: Arc<Pressure>) -> Self {
        if resident.pins.fetch_add(1, Ordering::AcqRel) == 0 {
            resident.ledger.add(Account::Pinned, resident.bytes());
        }
        Self { resident, pressure }
    }
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        if self.resident.pins.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.resident.ledger.sub(Account::Pinned, self.resident.bytes());
            self.pressure.relieved();
        }
    }
}

/// A stored object, or one part of it, held in memory while this lives.
pub struct Pinned {
    guard: PinGuard,
    part: Option<u32>,
}

impl Pinned {
    pub(crate) fn new(resident: Arc<Resident>, part: Option<u32>, pressure: Arc<Pressure>) -> Self {
        Self {
            guard: PinGuard::new(resident, pressure),
            part,
        }
    }

    fn object(&self) -> &Object {
        self.guard.resident.object()
    }

    /// The whole object this is of, and the selected part of it; all parts if none.
    pub fn source(&self) -> (&Payload, Option<u32>) {
        (self.object().payload(), self.part)
    }

    /// The typed data and the selected part, if the object was not encoded.
    pub fn shared(&self) -> Option<(Arc<dyn SharedObject>, Option<u32>)> {
        match self.object().payload() {
            Payload::Shared(object) => Some((Arc::clone(object), self.part)),
            Payload::Bytes(_) => None,
        }
    }

    /// How the bytes are read.
    pub fn format(&self) -> Format {
        self.object().format()
    }

    /// Number of parts seen through this.
    pub fn parts(&self) -> usize {
        match self.part {
            Some(_) => 1,
            None => self.object().parts(),
        }
    }

    /// Rows of the `i`th part seen through this, where they are counted.
    pub fn rows(&self, i: usize) -> Option<u64> {
        self.object().rows(self.index(i))
    }

    /// The `i`th part seen through this, as bytes. Cheap for bytes; typed data is encoded.
    pub fn encode(&self, i: usize) -> io::Result<EncodedPart> {
        self.object().encode(self.index(i))
    }

    /// Everything seen through this, as bytes.
    pub fn encode_all(&self) -> io::Result<EncodedObject> {
        Ok(EncodedObject {
            parts: (0..self.parts())
                .map(|i| self.encode(i))
                .collect::<io::Result<_>>()?,
            format: self.format(),
        })
    }

    /// The first part as bytes: the value of an opaque object. Empty for an object without parts.
    pub fn value(&self) -> io::Result<Bytes> {
        if self.parts() == 0 {
            return Ok(Bytes::new());
        }
        self.encode(0).map(|part| part.bytes)
    }

    fn index(&self, i: usize) -> usize {
        self.part.map_or(i, |part| part as usize + i)
    }
}

impl Clone for Pinned {
    fn clone(&self) -> Self {
        let guard = &self.guard;
        Self::new(
            Arc::clone(&guard.resident),
            self.part,
            Arc::clone(&guard.pressure),
        )
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned")
            .field("payload", self.object().payload())
            .field("part", &self.part)
            .finish()
    }
}

/// Pins an object that belongs to no store: for tests, and for values made on the spot.
impl From<Object> for Pinned {
    fn from(object: Object) -> Self {
        let ledger = Arc::new(Ledger::default());
        let charge = Charge::new(&ledger, Account::Memory, object.memory_size());
        let resident = Resident::new(object, charge, &ledger);
        Self::new(Arc::new(resident), None, Arc::default())
    }
}
