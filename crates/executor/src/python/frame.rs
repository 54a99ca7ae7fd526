//! What travels between a worker and its Python processes; `docs/reference/executor-protocol.md` says it in full.
//!
//! A frame is kind u32, number of descriptors u32, length u64, then that many bytes. Integers are little-endian.

use std::sync::Arc;

use bytes::Bytes;
use millstream_store::Format;

use super::value::SealedValue;
use crate::task::TaskContext;

/// Bytes before a frame's body.
pub(super) const HEADER: usize = 16;

/// The largest frame that a process may send: its own limits keep it far below that.
const MAX_BODY: u64 = 1 << 30;

const ANSWER_HEAD: usize = 32;

/// Bytes of tasks after which a batch is sent.
const MAX_BATCH: usize = 1 << 20;

/// Kinds of frames to a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum ToPython {
    /// Limits; the page and the file for stacks come with it.
    Start = 1,
    /// An operation: its number, name and parameters.
    Op = 2,
    /// Tasks to run in order.
    Run = 3,
    /// An operation that is needed no more.
    Forget = 4,
    /// Descriptors only.
    Fds = 5,
}

/// Frames from a process.
#[derive(Debug)]
pub(super) enum FromPython<'a> {
    /// It is ready.
    Ready(Greeting),
    /// Tasks that have ended.
    Done(Vec<Answer<'a>>),
    /// The task of this number begins to wait for other tasks, or goes on.
    Waits {
        /// Its number in the process's life.
        seq: u32,
        /// Whether it begins to wait.
        waits: bool,
    },
}

/// What a process says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The interpreter's version, such as `3.11.7`.
    pub(super) version: String,
    /// cloudpickle's version, or `!` and why it cannot be imported.
    pub(super) cloudpickle: String,
    /// The interpreter's path.
    pub(super) executable: String,
}

/// How one task ended.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) seq: u32,
    pub(super) took_us: u32,
    /// Length of all output, length of the head, head and tail.
    pub(super) log: &'a [u8],
    pub(super) outcome: Outcome<'a>,
}

/// What a task made.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    /// A small value.
    Value(&'a [u8]),
    /// A value of this many bytes in the next descriptor.
    Sealed(usize),
    /// A small table.
    Table(&'a [u8]),
    /// A table of this many bytes in the next descriptor.
    SealedTable(usize),
    /// An exception.
    Failed(Raised),
    /// Nothing: the task was taken back before it began.
    Skipped,
}

/// An exception as its process describes it.
#[derive(Debug)]
pub(super) struct Raised {
    pub(super) kind: u8,
    pub(super) message: String,
    pub(super) traceback: String,
    pub(super) exception: Bytes,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the process sent bytes that are no answer: {0}")]
pub(super) struct Malformed(&'static str);

/// One input on its way to a process.
pub(super) enum Given {
    /// Within the frame.
    Inband(Format, Bytes),
    /// Beside it.
    Sealed(Format, Arc<SealedValue>),
}

/// A frame with what travels beside it.
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Vec<Arc<SealedValue>>,
}

/// Starts a frame; [`seal`] fills in its length.
fn begin(kind: ToPython) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&(kind as u32).to_le_bytes());
    bytes.resize(HEADER, 0);
    bytes
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() - HEADER) as u64;
    bytes[8..HEADER].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The first frame: results above `inband_limit` come in sealed memory, `log_limit` is the page's.
pub(super) fn start(inband_limit: u64, log_limit: u64) -> Vec<u8> {
    let mut bytes = begin(ToPython::Start);
    bytes.extend_from_slice(&inband_limit.to_le_bytes());
    bytes.extend_from_slice(&log_limit.to_le_bytes());
    seal(bytes)
}

/// Tells an operation.
pub(super) fn op(number: u32, name: &str, params: &[u8]) -> Vec<u8> {
    let mut bytes = begin(ToPython::Op);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(params);
    seal(bytes)
}

/// Forgets an operation.
pub(super) fn forget(number: u32) -> Vec<u8> {
    let mut bytes = begin(ToPython::Forget);
    bytes.extend_from_slice(&number.to_le_bytes());
    seal(bytes)
}

/// A frame that only carries descriptors.
pub(super) fn fds() -> Vec<u8> {
    seal(begin(ToPython::Fds))
}

/// Tasks on their way.
pub(super) struct Batch {
    bytes: Vec<u8>,
    count: u32,
    fds: Vec<Arc<SealedValue>>,
}

impl Batch {
    pub(super) fn new() -> Self {
        let mut bytes = begin(ToPython::Run);
        bytes.extend_from_slice(&[0; 8]);
        Self {
            bytes,
            count: 0,
            fds: Vec::new(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether it is large enough to go: a process holds all of it while it runs any of it.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= MAX_BATCH
    }

    /// Adds a task as number `seq` of the process's life.
    pub(super) fn push(&mut self, seq: u32, op: u32, task: &TaskContext, inputs: &[Given]) {
        let bytes = &mut self.bytes;
        bytes.extend_from_slice(&u64::from(seq).to_le_bytes());
        bytes.extend_from_slice(&task.index.map_or(-1, i64::from).to_le_bytes());
        bytes.extend_from_slice(&task.attempt.packed().to_le_bytes());
        bytes.extend_from_slice(&op.to_le_bytes());
        bytes.extend_from_slice(&task.task.0.to_le_bytes());
        bytes.extend_from_slice(&(task.params.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(inputs.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&task.job.as_u128().to_be_bytes());
        for input in inputs {
            let (format, is_sealed, size) = match input {
                Given::Inband(format, data) => (*format, 0, data.len()),
                Given::Sealed(format, value) => (*format, 1, value.len()),
            };
            bytes.extend_from_slice(&[format.code(), is_sealed, 0, 0, 0, 0, 0, 0]);
            bytes.extend_from_slice(&(size as u64).to_le_bytes());
        }
        bytes.extend_from_slice(&task.params);
        for input in inputs {
            match input {
                Given::Inband(_, data) => bytes.extend_from_slice(data),
                Given::Sealed(_, value) => self.fds.push(Arc::clone(value)),
            }
        }
        self.count += 1;
    }

    pub(super) fn finish(mut self) -> Outgoing {
        self.bytes[HEADER..HEADER + 4].copy_from_slice(&self.count.to_le_bytes());
        Outgoing {
            bytes: seal(self.bytes),
            fds: self.fds,
        }
    }
}

/// The length of the first frame in `bytes`, its header included, once the header is there.
pub(super) fn frame_len(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = bytes.get(8..HEADER).and_then(|length| length.try_into().ok()) else {
        return Ok(None);
    };
    let length = u64::from_le_bytes(length);
    if length > MAX_BODY {
        return Err(Malformed("a frame is too long"));
    }
    usize::try_from(length)
        .map(|length| Some(HEADER + length))
        .map_err(|_| Malformed("a frame is too long"))
}

/// Reads one whole frame.
pub(super) fn read(frame: &[u8]) -> Result<FromPython<'_>, Malformed> {
    let mut reader = Reader(frame);
    let kind = reader.u32()?;
    reader.take(HEADER - 4)?;
    match kind {
        1 => Ok(FromPython::Ready(Greeting {
            version: reader.text()?,
            cloudpickle: reader.text()?,
            executable: reader.text()?,
        })),
        2 => {
            let count = reader.u32()? as usize;
            reader.take(4)?;
            if count > frame.len() / ANSWER_HEAD {
                return Err(Malformed("more answers than fit"));
            }
            (0..count)
                .map(|_| reader.answer())
                .collect::<Result<_, _>>()
                .map(FromPython::Done)
        }
        3 => Ok(FromPython::Waits {
            seq: reader.seq()?,
            waits: reader.array::<8>()?[0] != 0,
        }),
        _ => Err(Malformed("an unknown kind of frame")),
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or(Malformed("truncated"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("truncated"))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    fn seq(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.u64()?).map_err(|_| Malformed("a number of a task is too large"))
    }

    fn blob(&mut self) -> Result<&'a [u8], Malformed> {
        let size = self.u32()? as usize;
        self.take(size)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        self.blob().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn answer(&mut self) -> Result<Answer<'a>, Malformed> {
        let seq = self.seq()?;
        let size = usize::try_from(self.u64()?).map_err(|_| Malformed("a value is too long"))?;
        let log_size = self.u32()? as usize;
        let took_us = self.u32()?;
        let [status, ..]: [u8; 8] = self.array()?;
        let log = self.take(log_size)?;
        let outcome = match status {
            0 => Outcome::Value(self.take(size)?),
            1 => Outcome::Sealed(size),
            2 => Outcome::Failed(Self(self.take(size)?).raised()?),
            3 => Outcome::Skipped,
            4 => Outcome::Table(self.take(size)?),
            5 => Outcome::SealedTable(size),
            _ => return Err(Malformed("an unknown outcome")),
        };
        Ok(Answer {
            seq,
            took_us,
            log,
            outcome,
        })
    }

    fn raised(mut self) -> Result<Raised, Malformed> {
        let [kind] = self.array()?;
        Ok(Raised {
            kind,
            message: self.text()?,
            traceback: self.text()?,
            exception: Bytes::copy_from_slice(self.blob()?),
        })
    }
}
