//! Finds the program under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use millstream_testkit::bound_command;

/// Names the program under test, if it is not the one beside the tests.
pub const BINARY_VARIABLE: &str = "MILLSTREAM_BIN";

/// Variables that would change what a started program does.
const FOREIGN: [&str; 4] = [
    "MILLSTREAM_TOKEN",
    "MILLSTREAM_GATEWAY",
    "MILLSTREAM_CONFIG",
    "RUST_LOG",
];

/// The `millstream` program: the one that [`BINARY_VARIABLE`] names, else the one built beside this test.
///
/// # Errors
/// If there is none.
pub fn path() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        bail!("{BINARY_VARIABLE} names {}, which is no file", path.display());
    }
    let path = built_folder()?.join("millstream");
    if path.is_file() {
        return Ok(path);
    }
    bail!(
        "there is no {}: build it with `cargo build --release`, or name another in {BINARY_VARIABLE}",
        path.display()
    )
}

/// A program among the workspace's examples, as it was built beside this test.
///
/// # Errors
/// If it was not built.
pub fn example(name: &str) -> anyhow::Result<PathBuf> {
    let path = built_folder()?.join("examples").join(name);
    if path.is_file() {
        return Ok(path);
    }
    bail!(
        "there is no {}: build it with `cargo build --release --workspace --examples`",
        path.display()
    )
}

/// Where this test and all that was built with it are: `target/PROFILE` of `target/PROFILE/deps/e2e-HASH`.
fn built_folder() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent);
    Ok(folder.context("the test has no folder")?.to_owned())
}

/// The program, to be started with nothing of the caller's settings; the kernel kills it when this process dies.
///
/// # Errors
/// If there is no program.
pub fn command() -> anyhow::Result<Command> {
    command_under(&[])
}

/// As [`command`], started by another program such as `unshare --mount`, which must become it.
///
/// # Errors
/// If there is no program.
pub fn command_under(launcher: &[String]) -> anyhow::Result<Command> {
    let program = path()?;
    let mut command = match launcher.split_first() {
        None => bound_command(program),
        Some((first, rest)) => {
            let mut command = bound_command(first);
            command.args(rest).arg(program);
            command
        }
    };
    forget_settings(&mut command);
    Ok(command)
}

/// Takes the caller's settings out of a command's environment.
pub(crate) fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILLSTREAM__") {
            command.env_remove(name);
        }
    }
    for name in FOREIGN {
        command.env_remove(name);
    }
}

/// The environment variable of a setting: `worker.slots` is `MILLSTREAM__WORKER__SLOTS`.
pub fn variable(setting: &str) -> String {
    format!("MILLSTREAM__{}", setting.to_uppercase().replace('.', "__"))
}
