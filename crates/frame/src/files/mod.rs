//! What all formats that we read ourselves have in common: files and their slices, decompression, lines, the
//! types of texts, the table and the operator that reads its slices.
//!
//! A format says how one slice becomes record batches (see [`FileFormat`]); it knows nothing of tasks, folders,
//! limits or the wire. The engine's own scans of these formats are not used: most of their options do not
//! survive the wire, and they cannot name the line that is at fault.

mod compression;
mod format;
mod lines;
mod scan;
mod split;
mod table;
pub(crate) mod value;

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::catalog::FoundFile;
use crate::error::FrameError;

pub(crate) use compression::{Compression, open_plain};
pub(crate) use format::{BatchSink, FileFormat, SliceRead};
pub(crate) use lines::{UTF8_BOM, is_utf16, line_of, open_slice, skip_lines_to};
pub(crate) use scan::{FileScanExec, FileScanSpec};
pub(crate) use split::Slice;
pub(crate) use table::{FileTable, sample_window};

/// A file of a table, as the planner saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// Modification time in nanoseconds since 1970: a file that changes is another input.
    pub(crate) modified: i64,
    pub(crate) compression: Compression,
    /// Whether the file must be read in one piece, as where a record may hold a line break.
    pub(crate) whole: bool,
    /// Values of the table's folder columns, as the folders spell them.
    pub(crate) folders: Vec<Option<String>>,
}

impl DataFile {
    /// The file as it is now.
    pub(crate) fn open(found: &FoundFile) -> Result<Self, FrameError> {
        let (size, modified) = stat(&found.path)?;
        Ok(Self {
            path: found.path.clone(),
            size,
            modified,
            compression: Compression::of(&found.path),
            whole: false,
            folders: found.folder_values(),
        })
    }

    /// Whether byte ranges of the file can be read.
    pub(crate) fn is_splittable(&self) -> bool {
        self.compression == Compression::None && !self.whole
    }

    /// Fails if the file is not what the planner saw.
    pub(crate) fn check_unchanged(&self) -> Result<(), FrameError> {
        if stat(&self.path)? == (self.size, self.modified) {
            return Ok(());
        }
        Err(FrameError::FileChanged {
            path: self.path.clone(),
        })
    }

    /// What it means that the file cannot be read. Compressed bytes that are cut off or damaged count as that too.
    pub(crate) fn unreadable(&self, error: &std::io::Error) -> FrameError {
        FrameError::unreadable(&self.path, error)
    }
}

/// Size and modification time of a file.
fn stat(path: &Path) -> Result<(u64, i64), FrameError> {
    let meta = std::fs::metadata(path).map_err(|error| FrameError::unreadable(path, &error))?;
    let modified = meta
        .modified()
        .map_err(|error| FrameError::unreadable(path, &error))?;
    let nanos = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    };
    Ok((meta.len(), nanos))
}
