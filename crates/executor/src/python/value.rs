//! Large values of Python: sealed memory that any number of processes map without a copy.

use std::any::Any;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use millstream_store::{Format, SharedObject};

use super::sys::{self, Mapping};

/// One value in sealed memory. It is counted once, however many processes map it.
pub(super) struct SealedValue {
    memory: File,
    bytes: Bytes,
    format: Format,
}

impl SealedValue {
    /// Takes memory that a process sent; refuses what that process could still change.
    pub(super) fn received(memory: OwnedFd, size: usize, format: Format) -> io::Result<Self> {
        Self::over(File::from(memory), size, format)
    }

    /// Copies bytes into sealed memory, so that they can be sent.
    pub(super) fn copied(bytes: &[u8], format: Format) -> io::Result<Self> {
        let mut memory = sys::memory(bytes.len() as u64)?;
        memory.write_all(bytes)?;
        sys::seal(&memory)?;
        Self::over(memory, bytes.len(), format)
    }

    /// Copies a file of a pickled value into sealed memory.
    pub(super) fn of_file(mut file: File, size: u64) -> io::Result<Self> {
        let mut memory = sys::memory(size)?;
        let copied = io::copy(&mut file, &mut memory)?;
        if copied != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the file has {copied} bytes instead of {size}"),
            ));
        }
        sys::seal(&memory)?;
        let size = usize::try_from(size).map_err(io::Error::other)?;
        Self::over(memory, size, Format::Pickle)
    }

    fn over(memory: File, size: usize, format: Format) -> io::Result<Self> {
        let bytes = Bytes::from_owner(Mapping::new(&memory, size)?);
        Ok(Self {
            memory,
            bytes,
            format,
        })
    }

    /// Bytes of the value.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl AsFd for SealedValue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl SharedObject for SealedValue {
    fn parts(&self) -> usize {
        1
    }

    fn memory_size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn part_rows(&self, _part: usize) -> Option<u64> {
        None
    }

    fn encode_part(&self, part: usize) -> io::Result<Bytes> {
        if part == 0 {
            Ok(self.bytes.clone())
        } else {
            Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("a python value has one part, part {part} was asked for"),
            ))
        }
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn format(&self) -> Format {
        self.format
    }
}
