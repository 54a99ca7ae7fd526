//! Values that clients send ahead of the tasks that use them.
//!
//! Each is a file of the worker that received it, whole or not there: it is written under another name and renamed. A
//! client removes its uploads; what it leaves behind goes after a day, and with the worker.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use millstream_types::ByteSize;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

/// How long an upload is kept that nobody removes: as long as results that nobody fetches.
const KEPT: Duration = Duration::from_hours(24);

/// What a receiver got, for the sender to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReceipt {
    /// Bytes.
    pub length: u64,
    /// Their CRC-32.
    pub crc: u32,
}

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is no room.
    #[error("the uploads of this worker would exceed {0} (worker.spill_quota)")]
    Full(ByteSize),
    /// The sender broke off.
    #[error("the upload broke off: {0}")]
    Broken(String),
    /// The disk fails, or is full.
    #[error("the upload cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// The uploads of one worker. Clones share them.
#[derive(Debug, Clone)]
pub struct UploadShelf(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    folder: PathBuf,
    quota: ByteSize,
    used: AtomicU64,
}

impl UploadShelf {
    /// An empty shelf in a folder of its own, which is made, and removed with the last clone; best within the
    /// [`millstream_store::Store::folder`], which is cleared even after the process was killed.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn open(folder: PathBuf, quota: ByteSize) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self(Arc::new(Shelf {
            folder,
            quota,
            used: AtomicU64::new(0),
        })))
    }

    /// Writes an upload as it arrives. One that is there already is replaced: it has the same bytes.
    ///
    /// # Errors
    /// No room, a sender that breaks off, a disk that fails. Nothing is left behind then.
    pub async fn receive<E: std::fmt::Display>(
        &self,
        id: Uuid,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<UploadReceipt, UploadError> {
        self.remove_old();
        let mut writing = Writing::new(&self.0).await?;
        let mut body = std::pin::pin!(body);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| UploadError::Broken(error.to_string()))?;
            writing.write(&chunk).await?;
        }
        self.remove(id);
        writing.finish(&self.path(id)).await
    }

    /// Opens an upload for reading, and says how long it is.
    ///
    /// # Errors
    /// `NotFound` if it is not here.
    pub fn open_file(&self, id: Uuid) -> io::Result<(File, u64)> {
        let file = File::open(self.path(id))?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    /// Removes an upload, if it is here. Who reads it goes on.
    pub fn remove(&self, id: Uuid) {
        remove(&self.0, &self.path(id));
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.0.folder.join(id.simple().to_string())
    }

    fn remove_old(&self) {
        let Ok(entries) = fs::read_dir(&self.0.folder) else {
            return;
        };
        let now = SystemTime::now();
        let is_old = |entry: &fs::DirEntry| {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > KEPT))
        };
        for entry in entries.flatten().filter(is_old) {
            remove(&self.0, &entry.path());
        }
    }
}

fn remove(shelf: &Shelf, path: &Path) {
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if fs::remove_file(path).is_ok() {
        shelf.used.fetch_sub(length, Ordering::Relaxed);
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // The store's folder, in which it is, goes anyhow.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An upload that is not whole yet. Dropping it leaves nothing.
struct Writing<'a> {
    shelf: &'a Shelf,
    path: PathBuf,
    file: tokio::fs::File,
    receipt: UploadReceipt,
    crc: crc32fast::Hasher,
    is_whole: bool,
}

impl<'a> Writing<'a> {
    async fn new(shelf: &'a Shelf) -> Result<Self, UploadError> {
        let path = shelf.folder.join(format!("{}.part", Uuid::new_v4().simple()));
        Ok(Self {
            shelf,
            file: tokio::fs::File::create(&path).await?,
            path,
            receipt: UploadReceipt { length: 0, crc: 0 },
            crc: crc32fast::Hasher::new(),
            is_whole: false,
        })
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<(), UploadError> {
        let added = chunk.len() as u64;
        let used = self.shelf.used.fetch_add(added, Ordering::Relaxed);
        self.receipt.length += added;
        if used + added > self.shelf.quota.as_u64() {
            return Err(UploadError::Full(self.shelf.quota));
        }
        self.crc.update(chunk);
        self.file.write_all(chunk).await?;
        Ok(())
    }

    async fn finish(mut self, path: &Path) -> Result<UploadReceipt, UploadError> {
        self.file.flush().await?;
        tokio::fs::rename(&self.path, path).await?;
        self.is_whole = true;
        Ok(UploadReceipt {
            crc: std::mem::take(&mut self.crc).finalize(),
            ..self.receipt
        })
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.shelf.used.fetch_sub(self.receipt.length, Ordering::Relaxed);
            let _ = fs::remove_file(&self.path);
        }
    }
}
