//! What both ends of the data plane agree on.
//!
//! One object: `GET /objects/{job}/{task}/{attempt}?part=N` answers with its bytes as they are, parts after one another;
//! [`PARTS_HEADER`] tells length, rows and checksum of each.
//!
//! Several objects: `POST /objects` with a MessagePack list of [`ObjectRequest`] answers with one frame for each, in
//! order, so that checksums follow what they cover and nothing is read twice:
//!
//! ```text
//!  length of head u32 │ head: MessagePack AnswerHead │ per part: bytes, crc32 u32     (little-endian)
//! ```
//!
//! Values sent ahead: `PUT /uploads/{id}` with their bytes answers with a MessagePack
//! [`UploadReceipt`](crate::UploadReceipt); `DELETE` of the same removes them.
//!
//! What tasks do: `GET /stacks` answers with a MessagePack list of [`TaskStack`].

use millstream_store::{Format, Missing};
use millstream_types::{Attempt, JobId, ObjectId, TaskIdx, Term};
use serde::{Deserialize, Serialize};

/// Parts of a served object: `length:rows:crc32` of each, separated by commas; rows are `-` where not counted.
pub(crate) const PARTS_HEADER: &str = "millstream-parts";

/// The media type of many objects in one answer.
pub(crate) const BATCH_TYPE: &str = "application/vnd.millstream.objects";

/// Most objects in one request; callers with more make several.
pub(crate) const MAX_BATCH: usize = 10_000;

/// Longest head of one answer: a million parts are out of reach of any plan.
pub(crate) const MAX_HEAD_BYTES: usize = 16 << 20;

/// Bytes handed to the socket at once: large enough that per-write costs vanish, small enough to keep many readers
/// moving.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// An object, or one part of it, of exactly one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRequest {
    /// The object.
    pub object: ObjectId,
    /// Its generation.
    pub attempt: Attempt,
    /// The part; all parts if none.
    pub part: Option<u32>,
}

impl ObjectRequest {
    /// The path and query of this object.
    pub fn path(&self) -> String {
        let Self {
            object,
            attempt,
            part,
        } = self;
        let query = part.map(|part| format!("?part={part}")).unwrap_or_default();
        format!("/objects/{object}/{attempt}{query}")
    }
}

/// What a task that runs on a worker executes at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStack {
    /// Its job.
    pub job: JobId,
    /// The task.
    pub task: TaskIdx,
    /// The frames of its threads, innermost first.
    pub text: String,
}

/// Reads an attempt as [`Attempt`] prints itself.
pub(crate) fn parse_attempt(text: &str) -> Option<Attempt> {
    let (term, n) = text.split_once('.')?;
    Some(Attempt::new(Term(term.parse().ok()?), n.parse().ok()?))
}

/// What is said of an object before its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AnswerHead {
    /// Its bytes follow.
    Found { format: u8, parts: Vec<PartHead> },
    /// It is not here in this generation.
    Gone { reason: String },
    /// It was here and is damaged.
    Damaged { reason: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartHead {
    pub(crate) length: u64,
    pub(crate) rows: Option<u64>,
}

impl From<&Missing> for AnswerHead {
    fn from(missing: &Missing) -> Self {
        let reason = missing.to_string();
        match missing {
            Missing::Damaged { .. } => Self::Damaged { reason },
            Missing::Gone | Missing::WrongGeneration { .. } | Missing::NoSuchPart { .. } => {
                Self::Gone { reason }
            }
        }
    }
}

/// One entry of [`PARTS_HEADER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckedPart {
    pub(crate) length: u64,
    pub(crate) rows: Option<u64>,
    pub(crate) crc: u32,
}

/// Writes [`PARTS_HEADER`].
pub(crate) fn print_parts(parts: &[CheckedPart]) -> String {
    let print = |part: &CheckedPart| {
        let rows = part.rows.map_or("-".to_owned(), |rows| rows.to_string());
        format!("{}:{rows}:{:08x}", part.length, part.crc)
    };
    parts.iter().map(print).collect::<Vec<_>>().join(",")
}

/// Reads [`PARTS_HEADER`].
pub(crate) fn parse_parts(text: &str) -> Option<Vec<CheckedPart>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let parse = |part: &str| {
        let mut fields = part.split(':');
        let (length, rows, crc) = (fields.next()?, fields.next()?, fields.next()?);
        Some(CheckedPart {
            length: length.parse().ok()?,
            rows: match rows {
                "-" => None,
                rows => Some(rows.parse().ok()?),
            },
            crc: u32::from_str_radix(crc, 16).ok()?,
        })
    };
    text.split(',').map(parse).collect()
}

/// The format a peer named by number.
pub(crate) fn format_of(code: u8) -> Result<Format, String> {
    Format::from_code(code).ok_or_else(|| format!("format {code} is not known here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_their_header() {
        let part = |length, rows, crc| CheckedPart { length, rows, crc };
        for parts in [
            vec![],
            vec![part(0, None, 0)],
            vec![part(u64::MAX, Some(7), 0xdead_beef), part(1, None, 5)],
        ] {
            assert_eq!(parse_parts(&print_parts(&parts)), Some(parts));
        }
        for text in ["x", "1", "1:2", "1:-:xyz", "1:-:0,"] {
            assert_eq!(parse_parts(text), None, "{text}");
        }
    }

    #[test]
    fn attempts_are_read_as_they_are_printed() {
        let attempt = Attempt::new(Term(3), 14);
        assert_eq!(parse_attempt(&attempt.to_string()), Some(attempt));
        assert_eq!(parse_attempt("3"), None);
    }
}
