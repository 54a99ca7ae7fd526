//! A file whose age tells whether a service still makes progress, for health checks where no port is open to people.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A service that is not known to be alive.
#[derive(Debug, thiserror::Error)]
pub enum LivenessError {
    /// There is no sign of life at all.
    #[error("no sign of life in {} ({kind}): is the service running with `health.file` set to it?", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Why it cannot be examined.
        kind: io::ErrorKind,
    },
    /// The last sign of life is old.
    #[error("the last sign of life in {} is {:.1} s old, more than {:.1} s", path.display(), age.as_secs_f64(), limit.as_secs_f64())]
    Stale {
        /// The file.
        path: PathBuf,
        /// Its age.
        age: Duration,
        /// The accepted age.
        limit: Duration,
    },
}

/// Gives signs of life; removed when the service ends in good order.
#[derive(Debug)]
pub struct Liveness {
    path: PathBuf,
}

impl Liveness {
    /// Signs of life in the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Gives one sign. To be called from where progress is made, not from a timer beside it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn touch(&self) -> io::Result<()> {
        // A byte, because truncating an empty file need not touch its time.
        fs::write(&self.path, b"\n")
    }
}

impl Drop for Liveness {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the service that writes `path` gave a sign within `limit`.
///
/// # Errors
/// When the file is missing or too old.
pub fn check_liveness(path: &Path, limit: Duration) -> Result<(), LivenessError> {
    let modified = fs::metadata(path)
        .and_then(|file| file.modified())
        .map_err(|error| LivenessError::Missing {
            path: path.to_owned(),
            kind: error.kind(),
        })?;
    // A clock set back makes a file of the future, which is a fresh one.
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    if age <= limit {
        Ok(())
    } else {
        Err(LivenessError::Stale {
            path: path.to_owned(),
            age,
            limit,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_service_is_alive_after_a_sign_and_missing_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        assert!(matches!(
            check_liveness(&path, LIMIT),
            Err(LivenessError::Missing { .. })
        ));
        let liveness = Liveness::new(&path);
        liveness.touch().unwrap();
        assert!(check_liveness(&path, LIMIT).is_ok());
        drop(liveness);
        assert!(matches!(
            check_liveness(&path, LIMIT),
            Err(LivenessError::Missing { .. })
        ));
    }

    #[test]
    fn an_old_sign_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        let liveness = Liveness::new(&path);
        liveness.touch().unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert!(matches!(
            check_liveness(&path, LIMIT),
            Err(LivenessError::Stale { .. })
        ));
    }
}
