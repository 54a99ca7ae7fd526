//! The folder of one attempt.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use millstream_protocol::{ErrorKind, TaskError};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::bad_input;

/// A folder that is removed with all that is in it.
pub(super) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Makes a folder in `parent` and puts `files` into it.
    pub(super) async fn create(parent: &Path, files: Vec<(String, Bytes)>) -> Result<Self, TaskError> {
        for (path, _) in &files {
            check(path)?;
        }
        let parent = parent.to_owned();
        blocking(move || {
            let folder = make(&parent).map_err(|error| folder_error(&parent, &error))?;
            for (path, bytes) in files {
                let target = folder.path().join(&path);
                write(&target, &bytes).map_err(|error| folder_error(&target, &error))?;
            }
            Ok(Self { folder })
        })
        .await
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Reads a file that the command left, at most `limit` bytes.
    pub(super) async fn read(&self, path: &str, limit: u64) -> Result<Bytes, TaskError> {
        check(path)?;
        let (target, name) = (self.path().join(path), path.to_owned());
        blocking(move || read(&target, &name, limit)).await
    }

    pub(super) async fn remove(self) {
        let path = self.path().to_owned();
        let removed = spawn_blocking(move || self.folder.close()).await;
        if !matches!(removed, Ok(Ok(()))) {
            debug!(path = %path.display(), "a command's scratch folder was not removed");
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TaskError> + Send + 'static,
) -> Result<T, TaskError> {
    let ended = spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(TaskError::new(ErrorKind::Internal, error.to_string())))
}

/// Files of a command lie within its folder.
fn check(path: &str) -> Result<(), TaskError> {
    let inside = !path.is_empty()
        && Path::new(path)
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    if inside && !path.contains('\0') {
        Ok(())
    } else {
        Err(bad_input(format!(
            "`{path}` is no path within a command's folder: it must be relative, without `..`"
        )))
    }
}

fn make(parent: &Path) -> io::Result<TempDir> {
    fs::create_dir_all(parent)?;
    tempfile::Builder::new().prefix("command-").tempdir_in(parent)
}

fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(target)?.write_all(bytes)
}

fn read(target: &PathBuf, name: &str, limit: u64) -> Result<Bytes, TaskError> {
    let missing = |error: io::Error| {
        let message = format!("the command left no readable file `{name}`: {error}");
        TaskError::new(ErrorKind::CommandFailed, message)
    };
    let file = File::open(target).map_err(missing)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(missing)?;
    if bytes.len() as u64 > limit {
        return Err(TaskError::new(
            ErrorKind::OutOfMemory,
            format!(
                "file `{name}` of the command is larger than the {limit} bytes that are left of its output limit"
            ),
        ));
    }
    Ok(bytes.into())
}

fn folder_error(path: &Path, error: &io::Error) -> TaskError {
    let message = format!(
        "the command's scratch folder cannot be used: {}: {error}",
        path.display()
    );
    TaskError::new(ErrorKind::Internal, message)
}
