//! Spill files: written once, renamed into place, read, unlinked. Never changed.
//!
//! ```text
//!  "MSSPILL1" │ format u8 │ parts u32 │ per part: length u64, rows + 1 u64 (0: not counted), crc32 u32 │ crc32 │ parts…
//! ```
//! Integers are little-endian; the last crc32 of the head covers all of the head before it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_types::ByteSize;

use crate::error::SpillError;
use crate::ledger::{Account, Charge, Ledger};
use crate::object::{EncodedObject, EncodedPart, Format, Object};
use crate::pressure::Pressure;

const MAGIC: &[u8; 8] = b"MSSPILL1";
const FIXED_HEAD: usize = MAGIC.len() + 1 + 4;
const PART_HEAD: usize = 8 + 8 + 4;

#[derive(Debug, Clone, Copy)]
struct PartHead {
    length: u64,
    rows: Option<u64>,
    crc: u32,
}

/// A file that stands for an object. Dropping it has the file unlinked.
#[derive(Debug)]
pub(crate) struct SpillFile {
    path: PathBuf,
    format: Format,
    parts: Vec<PartHead>,
    charge: Option<Charge>,
    pressure: Arc<Pressure>,
}

/// Why an object was not written.
pub(crate) enum WriteError {
    /// It cannot be encoded, today or ever.
    Encode(io::Error),
    /// The disk or the quota.
    Spill(SpillError),
}

/// What a write counts on.
pub(crate) struct Disk<'a> {
    pub(crate) ledger: &'a Arc<Ledger>,
    pub(crate) pressure: &'a Arc<Pressure>,
    pub(crate) folder: &'a Path,
    pub(crate) quota: u64,
}

impl SpillFile {
    /// Writes `object` to `path`, by way of a temporary file beside it.
    pub(crate) fn write(object: &Object, path: PathBuf, disk: &Disk<'_>) -> Result<Self, WriteError> {
        let temporary = path.with_extension("tmp");
        let written = write_parts(object, &temporary, disk).and_then(|parts| {
            fs::rename(&temporary, &path).map_err(|error| io_error(&path, 0, &error))?;
            Ok(parts)
        });
        let parts = written.inspect_err(|_| {
            // Nothing to add if it cannot be removed either: it is cleaned up with the folder.
            let _ = fs::remove_file(&temporary);
        })?;
        let bytes = head_len(parts.len()) as u64 + parts.iter().map(|part| part.length).sum::<u64>();
        Ok(Self {
            path,
            format: object.format(),
            parts,
            charge: Some(Charge::new(disk.ledger, Account::Spilled, bytes)),
            pressure: Arc::clone(disk.pressure),
        })
    }

    pub(crate) const fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Bytes of the object once it is read back.
    pub(crate) fn object_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    pub(crate) fn part_bytes(&self, part: usize) -> u64 {
        self.parts.get(part).map_or(0, |part| part.length)
    }

    /// Reads the whole object and checks every byte of it.
    pub(crate) fn read(&self) -> io::Result<EncodedObject> {
        let mut file = File::open(&self.path)?;
        let expected = encode_head(self.format, &self.parts);
        let mut head = vec![0; expected.len()];
        file.read_exact(&mut head)?;
        if head != expected {
            return Err(damaged(&self.path, "its head changed"));
        }
        let parts = self
            .parts
            .iter()
            .map(|part| self.read_at_cursor(&mut file, part))
            .collect::<io::Result<_>>()?;
        Ok(EncodedObject {
            parts,
            format: self.format,
        })
    }

    /// Reads one part and checks it.
    pub(crate) fn read_part(&self, part: usize) -> io::Result<EncodedObject> {
        let before: u64 = self.parts.iter().take(part).map(|part| part.length).sum();
        let head = self
            .parts
            .get(part)
            .ok_or_else(|| damaged(&self.path, "it has no such part"))?;
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(head_len(self.parts.len()) as u64 + before))?;
        Ok(EncodedObject {
            parts: vec![self.read_at_cursor(&mut file, head)?],
            format: self.format,
        })
    }

    fn read_at_cursor(&self, file: &mut File, part: &PartHead) -> io::Result<EncodedPart> {
        let mut bytes = Vec::with_capacity(usize::try_from(part.length).map_err(io::Error::other)?);
        file.take(part.length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != part.length {
            return Err(damaged(&self.path, "it is truncated"));
        }
        if crc32fast::hash(&bytes) != part.crc {
            return Err(damaged(&self.path, "its checksum does not match"));
        }
        Ok(EncodedPart {
            bytes: Bytes::from(bytes),
            rows: part.rows,
        })
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        if let Some(charge) = self.charge.take() {
            self.pressure.unlink(std::mem::take(&mut self.path), charge);
        }
    }
}

fn damaged(path: &Path, what: &str) -> io::Error {
    let message = format!("spill file {}: {what}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, message)
}

const fn head_len(parts: usize) -> usize {
    FIXED_HEAD + parts * PART_HEAD + 4
}

fn encode_head(format: Format, parts: &[PartHead]) -> Vec<u8> {
    let mut head = Vec::with_capacity(head_len(parts.len()));
    head.extend_from_slice(MAGIC);
    head.push(format.code());
    head.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    for part in parts {
        head.extend_from_slice(&part.length.to_le_bytes());
        let rows = part.rows.map_or(0, |rows| rows.saturating_add(1));
        head.extend_from_slice(&rows.to_le_bytes());
        head.extend_from_slice(&part.crc.to_le_bytes());
    }
    let crc = crc32fast::hash(&head);
    head.extend_from_slice(&crc.to_le_bytes());
    head
}

/// Parts are encoded one at a time, so that spilling a large object needs memory for one part only. The head, whose
/// length is known beforehand, is written last.
fn write_parts(object: &Object, path: &Path, disk: &Disk<'_>) -> Result<Vec<PartHead>, WriteError> {
    let mut size = head_len(object.parts()) as u64;
    let failed = |size: u64| move |error: io::Error| io_error(path, size, &error);
    check_quota(disk, size)?;
    let mut file = File::create(path).map_err(failed(size))?;
    file.seek(SeekFrom::Start(size)).map_err(failed(size))?;
    let mut parts = Vec::with_capacity(object.parts());
    for i in 0..object.parts() {
        let part = object.encode(i).map_err(WriteError::Encode)?;
        size += part.bytes.len() as u64;
        check_quota(disk, size)?;
        file.write_all(&part.bytes).map_err(failed(size))?;
        parts.push(PartHead {
            length: part.bytes.len() as u64,
            rows: part.rows,
            crc: crc32fast::hash(&part.bytes),
        });
    }
    file.rewind().map_err(failed(size))?;
    file.write_all(&encode_head(object.format(), &parts))
        .map_err(failed(size))?;
    Ok(parts)
}

fn check_quota(disk: &Disk<'_>, bytes: u64) -> Result<(), WriteError> {
    let used = disk.ledger.spilled();
    if used.saturating_add(bytes) <= disk.quota {
        return Ok(());
    }
    Err(WriteError::Spill(SpillError::Quota {
        path: disk.folder.to_owned(),
        bytes: ByteSize::new(bytes),
        used: ByteSize::new(used),
        quota: ByteSize::new(disk.quota),
    }))
}

fn io_error(path: &Path, bytes: u64, error: &io::Error) -> WriteError {
    let bytes = ByteSize::new(bytes);
    let path = path.to_owned();
    WriteError::Spill(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpillError::DiskFull { path, bytes },
        _ => SpillError::Io {
            path,
            bytes,
            reason: error.to_string(),
        },
    })
}
