//! Environments that jobs ask for: built once for each host and content, shared by all workers there, kept within a
//! quota.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use millstream_protocol::{ErrorKind, TaskError};
use tracing::debug;

use super::install::{Build, interpreter_in};
use super::op::Env;
use super::settings::PythonSettings;

/// What is written into an environment when it is whole; its time is that of the last use.
const COMPLETE: &str = "millstream-complete";

/// Packages that are named when they are installed.
const SHOWN: usize = 8;

/// How often a lock that another process holds is tried.
const LOCK_TICK: Duration = Duration::from_millis(50);

/// How long an environment that could not be built is not tried again: the other tasks of its job are told the same.
const FAILURE_KEPT: Duration = Duration::from_secs(10);

/// The interpreter that a process is started with. What was built for it is not removed while this lives.
#[derive(Debug)]
pub(super) struct Environment {
    /// Its interpreter.
    pub(super) interpreter: PathBuf,
    _used: Vec<File>,
}

/// Who waits for an environment.
pub(super) struct BuildWatch<'a> {
    /// Says whether nobody does any more.
    pub(super) abandoned: &'a dyn Fn() -> bool,
    /// Is told what takes long, in words.
    pub(super) tell: &'a dyn Fn(String),
}

/// The environments of one pool: finds them, builds them, and remembers for a while which cannot be built.
#[derive(Debug, Default)]
pub(super) struct Environments {
    failed: Mutex<HashMap<PathBuf, (Instant, TaskError)>>,
}

impl Environments {
    /// The environment that tasks ask for, built if it is not there. May take minutes.
    pub(super) fn ready(
        &self,
        settings: &PythonSettings,
        env: &Env,
        watch: &BuildWatch<'_>,
    ) -> Result<Environment, TaskError> {
        let mut used = Vec::new();
        let mut interpreter = match (&env.interpreter, &env.conda) {
            (Some(python), _) => python.clone(),
            (None, Some(archive)) if archive.is_file() => {
                let name = archive_name(archive).map_err(|error| unusable(archive, &error))?;
                let make = |build: &Build<'_>| build.archive(archive);
                let what = format!("unpacks {}", archive.display());
                let (folder, lock) = self.built(settings, &name, &what, watch, make)?;
                used.push(lock);
                interpreter_in(&folder)
            }
            (None, Some(prefix)) => interpreter_in(prefix),
            (None, None) => settings.interpreter(),
        };
        if !env.packages.is_empty() {
            let name = packages_name(&interpreter, &env.packages);
            let make = |build: &Build<'_>| build.packages(&interpreter, &env.packages);
            let what = format!("installs {}", listed(&env.packages));
            let (folder, lock) = self.built(settings, &name, &what, watch, make)?;
            used.push(lock);
            interpreter = interpreter_in(&folder);
        }
        Ok(Environment {
            interpreter,
            _used: used,
        })
    }

    /// The folder of that name, and the lock that keeps it; made by one process of the host while the others wait.
    fn built(
        &self,
        settings: &PythonSettings,
        name: &str,
        what: &str,
        watch: &BuildWatch<'_>,
        make: impl Fn(&Build<'_>) -> Result<(), TaskError>,
    ) -> Result<(PathBuf, File), TaskError> {
        let abandoned = watch.abandoned;
        let folder = settings.env_dir.join(name);
        let io_error = |error: io::Error| unusable(&folder, &error);
        fs::create_dir_all(&settings.env_dir).map_err(io_error)?;
        let lock = File::create(folder.with_extension("lock")).map_err(io_error)?;
        let complete = folder.join(COMPLETE);
        loop {
            // Shared by all who use it: an exclusive lock would wait until the last of them is gone.
            wait_for(|| lock.try_lock_shared(), abandoned).map_err(io_error)?;
            if let Ok(complete) = File::options().write(true).open(&complete) {
                let _ = complete.set_modified(SystemTime::now());
                return Ok((folder, lock));
            }
            lock.unlock().map_err(io_error)?;
            wait_for(|| lock.try_lock(), abandoned).map_err(io_error)?;
            if !complete.exists() {
                self.check(&folder)?;
                let _ = fs::remove_dir_all(&folder);
                (watch.tell)(format!("the worker {what}"));
                let began = Instant::now();
                let build = Build {
                    settings,
                    folder: &folder,
                    abandoned,
                };
                make(&build).inspect_err(|error| {
                    let _ = fs::remove_dir_all(&folder);
                    if !abandoned() {
                        self.remember(&folder, error);
                    }
                })?;
                File::create(&complete).map_err(io_error)?;
                let took = began.elapsed().as_secs_f64();
                (watch.tell)(format!("the environment is ready after {took:.1} s"));
                prune(&settings.env_dir, settings.env_quota);
            }
            lock.unlock().map_err(io_error)?;
        }
    }

    fn check(&self, folder: &Path) -> Result<(), TaskError> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, (at, _)| at.elapsed() < FAILURE_KEPT);
        failed.get(folder).map_or(Ok(()), |(_, error)| Err(error.clone()))
    }

    fn remember(&self, folder: &Path, error: &TaskError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.insert(folder.to_owned(), (Instant::now(), error.clone()));
    }
}

/// Packages for people: the first of many.
fn listed(packages: &[String]) -> String {
    // Options and addresses may hold passwords.
    let names = packages.iter().filter(|package| !package.starts_with('-'));
    let names: Vec<_> = names
        .map(|package| package.split(['@', ';']).next().unwrap_or_default().trim())
        .collect();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn unusable(path: &Path, error: &io::Error) -> TaskError {
    let message = format!("the environment {} cannot be used: {error}", path.display());
    TaskError::new(ErrorKind::Environment, message)
}

/// A name for an interpreter with packages: the same for the same, on all workers of a host.
fn packages_name(base: &Path, packages: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(base.as_os_str().as_encoded_bytes());
    packages.iter().for_each(|package| {
        hasher.update(&[0]).update(package.as_bytes());
    });
    hasher.finalize().to_hex()[..32].to_owned()
}

/// A name for what is in an archive; one that is written anew gets another.
fn archive_name(archive: &Path) -> io::Result<String> {
    let metadata = archive.metadata()?;
    let written = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let mut hasher = blake3::Hasher::new();
    hasher.update(archive.as_os_str().as_encoded_bytes());
    hasher.update(&metadata.len().to_le_bytes());
    hasher.update(&written.unwrap_or_default().as_nanos().to_le_bytes());
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// Waits for a lock, unless nobody waits for what it guards.
fn wait_for(attempt: impl Fn() -> Result<(), TryLockError>, abandoned: &dyn Fn() -> bool) -> io::Result<()> {
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if abandoned() => {
                return Err(io::Error::other("nobody waits for it any more"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_TICK),
        }
    }
}

/// Removes environments that nobody uses, the one used longest ago first, until the rest fits.
fn prune(dir: &Path, quota: u64) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut known: Vec<(SystemTime, u64, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let path = entry.path();
            let used = fs::metadata(path.join(COMPLETE)).and_then(|complete| complete.modified());
            (used.unwrap_or(SystemTime::UNIX_EPOCH), size_of_tree(&path), path)
        })
        .collect();
    known.sort();
    let mut total: u64 = known.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in known {
        if total <= quota {
            return;
        }
        let lock = File::create(path.with_extension("lock"));
        // Held by whoever builds or uses it.
        if lock.is_ok_and(|lock| lock.try_lock().is_ok() && fs::remove_dir_all(&path).is_ok()) {
            debug!(path = %path.display(), size, "removed a python environment");
            total -= size;
        }
    }
}

fn size_of_tree(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_tree(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn environments_beyond_the_quota_go_unless_they_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, age: u64| {
            let folder = dir.path().join(name);
            fs::create_dir_all(folder.join("lib")).unwrap();
            fs::write(folder.join("lib/code"), [0; 1000]).unwrap();
            let complete = File::create(folder.join(COMPLETE)).unwrap();
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
            complete.set_modified(used).unwrap();
            folder
        };
        let (old, used, new) = (make("old", 2), make("used", 1), make("new", 3));
        let lock = File::create(used.with_extension("lock")).unwrap();
        lock.lock_shared().unwrap();
        prune(dir.path(), 2500);
        assert!(!old.exists() && used.exists() && new.exists());
        drop(lock);
        prune(dir.path(), 1500);
        assert!(!used.exists() && new.exists());
    }
}
