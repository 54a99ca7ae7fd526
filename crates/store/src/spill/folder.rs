//! The folder of one store's spill files, held by a lock file while its process lives.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_types::ByteSize;
use tracing::{debug, warn};

use crate::error::SpillError;
use crate::table::Key;

const PREFIX: &str = "store-";
const LOCK_SUFFIX: &str = ".lock";

/// Numbers the stores of this process.
static NEXT_STORE: AtomicU64 = AtomicU64::new(0);

/// A folder of our own in the shared spill folder. Dropping it removes it.
///
/// `store-<pid>-<n>` is the folder, `store-<pid>-<n>.lock` is locked by its process: the lock comes before the folder
/// and goes after it, so a folder whose lock is free belongs to a process that died.
#[derive(Debug)]
pub(crate) struct SpillFolder {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    next_file: AtomicU64,
}

impl SpillFolder {
    pub(crate) fn open(dir: &Path) -> Result<Self, SpillError> {
        Self::create(dir).map_err(|error| SpillError::Io {
            path: dir.to_owned(),
            bytes: ByteSize::ZERO,
            reason: error.to_string(),
        })
    }

    fn create(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        remove_leftovers(&dir)?;
        if is_tmpfs(&dir) {
            warn!(dir = %dir.display(), "the spill folder is on a tmpfs: spilling there frees no memory");
        }
        loop {
            let number = NEXT_STORE.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{PREFIX}{}-{number}", process::id()));
            let lock_path = with_lock_suffix(&path);
            // Taken if the id of a process in another container of the same host is ours, too.
            if let Some(lock) = take_lock(&lock_path)? {
                fs::create_dir(&path)?;
                return Ok(Self {
                    path,
                    lock_path,
                    _lock: lock,
                    next_file: AtomicU64::new(0),
                });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path for a new file. The name tells people what is in it; the number makes it unique.
    pub(crate) fn new_file(&self, key: Key) -> PathBuf {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let part = key.part.map(|part| format!("-p{part}")).unwrap_or_default();
        let (job, task) = (key.object.job, key.object.task);
        self.path
            .join(format!("{job}-{task}-{}{part}-{number}.spill", key.attempt))
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            debug!(path = %self.path.display(), %error, "spill folder not removed");
        }
        // The next store to start here removes what could not be.
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn with_lock_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOCK_SUFFIX);
    name.into()
}

/// Creates and locks a lock file. `None` if it is held, or was removed by somebody who cleaned up meanwhile.
fn take_lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let still_there = fs::metadata(path).is_ok_and(|at_path| {
        file.metadata()
            .is_ok_and(|ours| (ours.dev(), ours.ino()) == (at_path.dev(), at_path.ino()))
    });
    Ok(still_there.then_some(file))
}

/// Removes the folders of processes that died.
fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(folder) = name
            .to_str()
            .filter(|name| name.starts_with(PREFIX))
            .and_then(|name| name.strip_suffix(LOCK_SUFFIX))
        else {
            continue;
        };
        if let Some(_lock) = take_lock(&dir.join(&name))? {
            let path = dir.join(folder);
            debug!(path = %path.display(), "removing the spill folder of a dead process");
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!(path = %path.display(), %error, "cannot remove the spill folder of a dead process");
                }
                _ => fs::remove_file(dir.join(&name))?,
            }
        }
    }
    Ok(())
}

/// Whether the folder is on a tmpfs, by the longest mount point above it.
fn is_tmpfs(dir: &Path) -> bool {
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else {
        return false;
    };
    mounts
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let point = Path::new(mount.split(' ').nth(4)?);
            dir.starts_with(point)
                .then(|| (point.components().count(), filesystem.starts_with("tmpfs ")))
        })
        .max_by_key(|(depth, _)| *depth)
        .is_some_and(|(_, tmpfs)| tmpfs)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_processes_are_removed_and_those_of_living_ones_kept() {
        let dir = tempfile::tempdir().unwrap();
        let living = SpillFolder::open(dir.path()).unwrap();
        fs::write(living.path().join("kept"), "x").unwrap();
        fs::create_dir(dir.path().join("store-1-0")).unwrap();
        fs::write(dir.path().join("store-1-0/left.spill"), "x").unwrap();
        fs::write(dir.path().join("store-1-0.lock"), "").unwrap();
        fs::write(dir.path().join("somebody else's"), "").unwrap();

        let other = SpillFolder::open(dir.path()).unwrap();
        assert!(living.path().join("kept").exists());
        assert!(!dir.path().join("store-1-0").exists());
        assert!(!dir.path().join("store-1-0.lock").exists());
        assert!(dir.path().join("somebody else's").exists());

        let path = other.path().to_owned();
        drop(other);
        assert!(!path.exists());
        assert!(!with_lock_suffix(&path).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = SpillFolder::open(Path::new("/proc/no/such")).unwrap_err();
        assert!(error.to_string().contains("/proc/no/such"), "{error}");
    }
}
