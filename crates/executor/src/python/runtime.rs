//! The Python side of an executor, which this binary carries.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the package that the files are written as; not `millstream`, which users may have installed.
const PACKAGE: &str = "millstream_runtime";

/// What the interpreter is told to run. Its arguments are zip files of the user's files, which become its working folder,
/// then this package's folder. `__main__` stays almost empty: users' own is never there.
pub(super) const START: &str = "
import os, sys
sys.path.append(sys.argv.pop())
if sys.argv[1:]:
    import zipfile
    for archive in sys.argv[1:]:
        zipfile.ZipFile(archive).extractall()
    sys.path.insert(0, os.getcwd())
    del sys.argv[1:], archive, zipfile
del os, sys
from millstream_runtime._executor.main import main
main()";

const FILES: &[(&str, &str)] = &[
    ("__init__.py", ""),
    (
        "_serialize.py",
        include_str!("../../../../python/millstream/_serialize.py"),
    ),
    (
        "_executor/__init__.py",
        include_str!("../../../../python/millstream/_executor/__init__.py"),
    ),
    (
        "_executor/channel.py",
        include_str!("../../../../python/millstream/_executor/channel.py"),
    ),
    (
        "_executor/errors.py",
        include_str!("../../../../python/millstream/_executor/errors.py"),
    ),
    (
        "_executor/failures.py",
        include_str!("../../../../python/millstream/_executor/failures.py"),
    ),
    (
        "_executor/inputs.py",
        include_str!("../../../../python/millstream/_executor/inputs.py"),
    ),
    (
        "_executor/main.py",
        include_str!("../../../../python/millstream/_executor/main.py"),
    ),
    (
        "_executor/msgpack.py",
        include_str!("../../../../python/millstream/_executor/msgpack.py"),
    ),
    (
        "_executor/ops.py",
        include_str!("../../../../python/millstream/_executor/ops.py"),
    ),
    (
        "_executor/packages.py",
        include_str!("../../../../python/millstream/_executor/packages.py"),
    ),
    (
        "_executor/page.py",
        include_str!("../../../../python/millstream/_executor/page.py"),
    ),
    (
        "_executor/plugins.py",
        include_str!("../../../../python/millstream/_executor/plugins.py"),
    ),
    (
        "_executor/streams.py",
        include_str!("../../../../python/millstream/_executor/streams.py"),
    ),
    (
        "_executor/turn.py",
        include_str!("../../../../python/millstream/_executor/turn.py"),
    ),
];

/// Writes the files below `dir`, in a folder named by their content, and returns that folder. What another process
/// has written there is used.
pub(super) fn install(dir: &Path) -> io::Result<PathBuf> {
    let mut hasher = blake3::Hasher::new();
    for (path, text) in FILES {
        hasher.update(path.as_bytes()).update(&[0]);
        hasher.update(text.as_bytes()).update(&[0]);
    }
    let hash = hasher.finalize().to_hex();
    let folder = dir.join(format!("python-{}", &hash[..16]));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(dir)?;
    let temporary = tempfile::Builder::new().prefix("python-").tempdir_in(dir)?;
    for (path, text) in FILES {
        let path = temporary.path().join(PACKAGE).join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    match fs::rename(temporary.path(), &folder) {
        // Somebody else was first; ours goes with `temporary`.
        Err(_) if folder.is_dir() => Ok(folder),
        renamed => renamed.map(|()| {
            let _ = temporary.keep();
            folder
        }),
    }
}

/// Writes a zip file of the user's files below `dir`, named by its content, and returns its path.
pub(super) fn install_files(dir: &Path, zip: &[u8]) -> io::Result<PathBuf> {
    let hash = blake3::hash(zip).to_hex();
    let path = dir.join(format!("files-{}.zip", &hash[..32]));
    if !path.is_file() {
        let temporary = tempfile::NamedTempFile::new_in(dir)?;
        fs::write(temporary.path(), zip)?;
        temporary.persist(&path)?;
    }
    Ok(path)
}
