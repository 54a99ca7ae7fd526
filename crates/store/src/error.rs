//! What can go wrong, as callers tell it apart.

use std::path::PathBuf;

use millstream_types::{Attempt, ByteSize};

/// Why an object cannot be read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It is not here: never was, or has been dropped.
    #[error("the object is not here")]
    Gone,
    /// Another run of the task made what is here.
    #[error("the object here was made by attempt {held}")]
    WrongGeneration {
        /// The generation that is here.
        held: Attempt,
    },
    /// The object has fewer parts.
    #[error("the object has {parts} parts, part {part} was asked for")]
    NoSuchPart {
        /// The part asked for.
        part: u32,
        /// Parts there are.
        parts: u32,
    },
    /// Its spill file was damaged, or it could not be encoded; the object has been dropped.
    #[error("the object was damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: String,
    },
}

/// Why an object could not be spilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpillError {
    /// The disk has no room.
    #[error("no space left on the disk of spill folder {path} for {bytes}: free space there, or set worker.spill_dir to a larger disk", path = path.display())]
    DiskFull {
        /// The file that could not be written.
        path: PathBuf,
        /// Its size.
        bytes: ByteSize,
    },
    /// The quota is used up.
    #[error("spill quota {quota} of folder {path} is used up: {used} are there, {bytes} more are needed; raise worker.spill_quota", path = path.display())]
    Quota {
        /// The spill folder.
        path: PathBuf,
        /// What would have been added.
        bytes: ByteSize,
        /// What is there.
        used: ByteSize,
        /// The limit.
        quota: ByteSize,
    },
    /// The folder cannot be used.
    #[error("cannot write {bytes} to spill file {path}: {reason}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The size of what was to be written.
        bytes: ByteSize,
        /// The system's words.
        reason: String,
    },
}

/// Why an object was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// It is larger than the whole memory limit.
    #[error("the object has {bytes}, this worker's memory limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: ByteSize,
        /// The limit.
        limit: ByteSize,
    },
    /// Memory is short and nothing can be spilled.
    #[error("memory is short ({stored} of {limit} stored) and spilling fails: {source}")]
    SpillFailed {
        /// Bytes stored in memory.
        stored: ByteSize,
        /// The limit.
        limit: ByteSize,
        /// Why spilling fails.
        source: SpillError,
    },
    /// Memory is short and no spill folder is configured.
    #[error("the object has {bytes}, {stored} of {limit} are taken, and spilling is switched off")]
    Full {
        /// Its size.
        bytes: ByteSize,
        /// Bytes stored in memory.
        stored: ByteSize,
        /// The limit.
        limit: ByteSize,
    },
}
