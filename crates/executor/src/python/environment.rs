//! Virtual environments that jobs ask for: built once for each host and set of packages, kept within a quota.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use millstream_protocol::{ErrorKind, TaskError};
use tracing::{debug, info};

use super::settings::PythonSettings;

/// Bytes of an installer's output that an error quotes.
const QUOTED_BYTES: usize = 4 << 10;

/// What is written into an environment when it is whole; its time is that of the last use.
const COMPLETE: &str = "millstream-complete";

/// An environment in use. It is not removed while this lives.
#[derive(Debug)]
pub(super) struct Environment {
    /// Its interpreter.
    pub(super) interpreter: PathBuf,
    _used: File,
}

impl Environment {
    /// The environment with these packages, built by `base` if it is not there. May take minutes.
    pub(super) fn with(
        settings: &PythonSettings,
        base: &Path,
        packages: &[String],
    ) -> Result<Self, TaskError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(base.as_os_str().as_encoded_bytes());
        packages.iter().for_each(|package| {
            hasher.update(&[0]).update(package.as_bytes());
        });
        let hash = hasher.finalize().to_hex();
        let folder = settings.env_dir.join(&hash[..32]);
        let io_error = |error: io::Error| {
            let message = format!("the environment {} cannot be used: {error}", folder.display());
            TaskError::new(ErrorKind::Environment, message)
        };
        fs::create_dir_all(&settings.env_dir).map_err(io_error)?;
        let used = File::create(folder.with_extension("lock")).map_err(io_error)?;
        // One process of the host builds, the others wait for it.
        used.lock().map_err(io_error)?;
        let complete = folder.join(COMPLETE);
        if !complete.exists() {
            let _ = fs::remove_dir_all(&folder);
            prune(&settings.env_dir, settings.env_quota);
            build(base, &folder, packages).inspect_err(|_| {
                let _ = fs::remove_dir_all(&folder);
            })?;
        }
        File::create(complete).map_err(io_error)?;
        used.unlock().map_err(io_error)?;
        used.lock_shared().map_err(io_error)?;
        Ok(Self {
            interpreter: folder.join("bin/python3"),
            _used: used,
        })
    }
}

fn build(base: &Path, folder: &Path, packages: &[String]) -> Result<(), TaskError> {
    info!(folder = %folder.display(), ?packages, "building a python environment");
    let python = folder.join("bin/python3");
    let with_uv = Command::new("uv")
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    let steps = if with_uv {
        let mut make = Command::new("uv");
        make.args(["venv", "--python"]).arg(base).arg(folder);
        let mut install = Command::new("uv");
        install.args(["pip", "install", "--python"]).arg(&python);
        [make, install]
    } else {
        let mut make = Command::new(base);
        make.args(["-m", "venv"]).arg(folder);
        let mut install = Command::new(&python);
        install.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
        ]);
        [make, install]
    };
    let [mut make, mut install] = steps;
    // What every executor needs.
    install.arg("cloudpickle").args(packages);
    run(&mut make, packages)?;
    run(&mut install, packages)
}

fn run(command: &mut Command, packages: &[String]) -> Result<(), TaskError> {
    let failed = |reason: String, output: Option<&Output>| {
        let wanted = packages.join(" ");
        let message = format!("the environment with `{wanted}` cannot be built: {reason}");
        TaskError {
            log_tail: output.map(|output| {
                let mut text = output.stdout.clone();
                text.extend_from_slice(&output.stderr);
                let start = text.len().saturating_sub(QUOTED_BYTES);
                String::from_utf8_lossy(&text[start..]).into_owned()
            }),
            ..TaskError::new(ErrorKind::Environment, message)
        }
    };
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("{program} cannot be started: {error}"), None))?;
    if output.status.success() {
        return Ok(());
    }
    // Installers say last what went wrong.
    let text = String::from_utf8_lossy(&output.stderr);
    let said = text
        .lines()
        .rfind(|line| line.to_ascii_lowercase().contains("error"));
    let said = said.unwrap_or("see its output").trim();
    Err(failed(
        format!("{program} ended with {}: {said}", output.status),
        Some(&output),
    ))
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
            let used = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age);
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
