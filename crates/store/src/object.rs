//! What is stored: bytes, or typed data that is encoded only when it leaves the process.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// How an object's bytes are to be read. Becomes the Content-Type of a served object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Bytes without a meaning of their own, such as a command's output.
    Raw,
    /// One MessagePack value.
    MsgPack,
    /// An Arrow IPC stream.
    ArrowIpc,
    /// A Python value: a pickle stream and its out-of-band buffers, in the form that `millstream._serialize` describes.
    Pickle,
}

impl Format {
    /// The media type peers and clients see.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Raw => "application/octet-stream",
            Self::MsgPack => "application/vnd.msgpack",
            Self::ArrowIpc => "application/vnd.apache.arrow.stream",
            Self::Pickle => "application/vnd.millstream.pickle",
        }
    }

    /// The format with this media type.
    pub fn from_content_type(text: &str) -> Option<Self> {
        [Self::Raw, Self::MsgPack, Self::ArrowIpc, Self::Pickle]
            .into_iter()
            .find(|format| format.content_type() == text)
    }

    /// A stable number for files and frames.
    pub const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::MsgPack => 1,
            Self::ArrowIpc => 2,
            Self::Pickle => 3,
        }
    }

    /// The format with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Raw),
            1 => Some(Self::MsgPack),
            2 => Some(Self::ArrowIpc),
            3 => Some(Self::Pickle),
            _ => None,
        }
    }
}

/// Typed data handed over by reference within a process. It is encoded only for a peer or for disk, part by part.
pub trait SharedObject: Any + Send + Sync {
    /// Number of parts that can be read on their own.
    fn parts(&self) -> usize;
    /// Exact bytes this object keeps alive.
    fn memory_size(&self) -> u64;
    /// Rows in one part, where rows are counted.
    fn part_rows(&self, part: usize) -> Option<u64>;
    /// One part as bytes of [`SharedObject::format`].
    fn encode_part(&self, part: usize) -> io::Result<Bytes>;
    /// One part as an object of its own that shares the data, where that is possible.
    fn select(self: Arc<Self>, _part: usize) -> Option<Arc<dyn SharedObject>> {
        None
    }
    /// For downcasting to the concrete type.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// What [`SharedObject::encode_part`] writes.
    fn format(&self) -> Format;
}

/// The data of an object.
#[derive(Clone)]
pub enum Payload {
    /// Encoded bytes, one buffer per part. An opaque value has exactly one part.
    Bytes(Vec<Bytes>),
    /// Typed data.
    Shared(Arc<dyn SharedObject>),
}

impl Payload {
    /// A value of one part.
    pub fn single(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(vec![bytes.into()])
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        match self {
            Self::Bytes(parts) => parts.len(),
            Self::Shared(object) => object.parts(),
        }
    }

    /// Bytes kept in memory.
    pub fn memory_size(&self) -> u64 {
        match self {
            Self::Bytes(parts) => parts.iter().map(|part| part.len() as u64).sum(),
            Self::Shared(object) => object.memory_size(),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Bytes(_) => "Bytes",
            Self::Shared(_) => "Shared",
        };
        write!(f, "{kind}({} parts, {} B)", self.parts(), self.memory_size())
    }
}

/// A payload with what is known about it.
#[derive(Debug, Clone)]
pub struct Object {
    payload: Payload,
    format: Format,
    rows: Vec<Option<u64>>,
}

impl Object {
    /// An object whose rows are counted by its payload, if at all.
    pub const fn new(payload: Payload, format: Format) -> Self {
        Self {
            payload,
            format,
            rows: Vec::new(),
        }
    }

    /// The data.
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// How its bytes are read.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        self.payload.parts()
    }

    /// Bytes kept in memory.
    pub fn memory_size(&self) -> u64 {
        self.payload.memory_size()
    }

    /// Rows of one part, where they are counted.
    pub fn rows(&self, part: usize) -> Option<u64> {
        match &self.payload {
            Payload::Bytes(_) => self.rows.get(part).copied().flatten(),
            Payload::Shared(object) => object.part_rows(part),
        }
    }

    /// One part as bytes. Cheap for bytes; typed data is encoded.
    pub fn encode(&self, part: usize) -> io::Result<EncodedPart> {
        let bytes = match &self.payload {
            Payload::Bytes(parts) => parts.get(part).cloned().ok_or_else(|| no_part(part))?,
            Payload::Shared(object) if part < object.parts() => object.encode_part(part)?,
            Payload::Shared(_) => return Err(no_part(part)),
        };
        Ok(EncodedPart {
            bytes,
            rows: self.rows(part),
        })
    }
}

fn no_part(part: usize) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the object has no part {part}"))
}

/// One part as it travels and as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPart {
    /// The bytes.
    pub bytes: Bytes,
    /// Rows in them, where they are counted.
    pub rows: Option<u64>,
}

/// An object as it arrives from a peer or from disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedObject {
    /// Its parts in order.
    pub parts: Vec<EncodedPart>,
    /// How their bytes are read.
    pub format: Format,
}

impl From<EncodedObject> for Object {
    fn from(encoded: EncodedObject) -> Self {
        let rows = if encoded.parts.iter().any(|part| part.rows.is_some()) {
            encoded.parts.iter().map(|part| part.rows).collect()
        } else {
            Vec::new()
        };
        Self {
            payload: Payload::Bytes(encoded.parts.into_iter().map(|part| part.bytes).collect()),
            format: encoded.format,
            rows,
        }
    }
}
