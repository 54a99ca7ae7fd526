//! Objects being read. While a [`Pinned`] lives, its bytes stay in memory and stay counted.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use crate::ledger::{Account, Charge, Ledger};
use crate::object::{EncodedObject, EncodedPart, Format, Object, Payload, SharedObject};
use crate::pressure::Pressure;

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

/// One pin of an object: the first is counted, the last gives the count back.
struct Pin(Arc<Resident>);

impl Pin {
    fn new(resident: Arc<Resident>) -> Self {
        if resident.pins.fetch_add(1, Ordering::AcqRel) == 0 {
            resident.ledger.add(Account::Pinned, resident.bytes());
        }
        Self(resident)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if self.0.pins.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ledger.sub(Account::Pinned, self.0.bytes());
        }
    }
}

/// Tells, when dropped, that something may have been unpinned.
struct Waker(Arc<Pressure>);

impl Drop for Waker {
    fn drop(&mut self) {
        self.0.unpinned();
    }
}

/// A stored object, or one part of it, held in memory while this lives.
pub struct Pinned {
    pin: Pin,
    part: Option<u32>,
    /// Dropped after `pin`, which may have been the last to hold the bytes.
    waker: Waker,
}

impl Pinned {
    pub(crate) fn new(resident: Arc<Resident>, part: Option<u32>, pressure: Arc<Pressure>) -> Self {
        Self {
            pin: Pin::new(resident),
            part,
            waker: Waker(pressure),
        }
    }

    fn object(&self) -> &Object {
        self.pin.0.object()
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

    /// Everything seen through this as an object of its own, sharing the bytes. One part of typed data that cannot be
    /// divided is encoded.
    pub fn to_object(&self) -> io::Result<Object> {
        let Some(part) = self.part else {
            return Ok(self.object().clone());
        };
        if let Payload::Shared(object) = self.object().payload()
            && let Some(part) = Arc::clone(object).select(part as usize)
        {
            return Ok(Object::new(Payload::Shared(part), self.format()));
        }
        self.encode_all().map(Object::from)
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
        Self::new(Arc::clone(&self.pin.0), self.part, Arc::clone(&self.waker.0))
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
