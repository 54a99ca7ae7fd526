//! The programs that make an environment: tar, an interpreter's `venv`, pip or uv.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use millstream_protocol::{ErrorKind, TaskError};
use tracing::info;

use super::settings::PythonSettings;
use crate::group::Group;

/// Bytes of an installer's output that an error quotes.
const QUOTED_BYTES: u64 = 4 << 10;

/// How often a running installer is looked at.
const TICK: Duration = Duration::from_millis(20);

/// The oldest pip that installs for another interpreter than its own.
const MIN_PIP: u32 = 23;

/// What installers read besides the variables that tasks inherit: where packages come from, and by which way.
const INSTALLER_VARIABLES: [&str; 2] = ["PIP_", "UV_"];
const NETWORK_VARIABLES: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
];

/// Makes a virtual environment that also sees the packages of the interpreter that makes it, after its own.
const MAKE_VENV: &str = r#"
import os, sys, venv
folder, with_pip = sys.argv[1:]
venv.EnvBuilder(symlinks=True, with_pip=with_pip == "pip").create(folder)
own = os.path.join(folder, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
with open(os.path.join(own, "millstream_base.pth"), "w") as file:
    for path in sys.path:
        if path.endswith("-packages") and os.path.isdir(path):
            file.write("import site; site.addsitedir(%r)\n" % path)
"#;

/// One environment that is being made.
pub(super) struct Build<'a> {
    pub(super) settings: &'a PythonSettings,
    pub(super) folder: &'a Path,
    /// Asked now and then whether nobody waits for it any more.
    pub(super) abandoned: &'a dyn Fn() -> bool,
}

impl Build<'_> {
    /// A virtual environment of `base` with these packages.
    pub(super) fn packages(&self, base: &Path, packages: &[String]) -> Result<(), TaskError> {
        // Not the options: the address of an index may hold a password.
        let named = packages.iter().filter(|line| !line.starts_with('-'));
        let named = named.map(String::as_str).collect::<Vec<_>>().join(" ");
        info!(folder = %self.folder.display(), packages = named, "building a python environment");
        let what = format!("the environment with `{named}`");
        let requirements = self.folder.with_extension("txt");
        fs::write(&requirements, packages.join("\n")).map_err(|error| {
            let message = format!("{what} cannot be built: {}: {error}", requirements.display());
            TaskError::new(ErrorKind::Environment, message)
        })?;
        let has_uv = answers(&mut self.command("uv", &["--version"])).is_some();
        let pip_of_base = !has_uv && self.pip_version(base) >= MIN_PIP;
        let own_pip = if has_uv || pip_of_base { "" } else { "pip" };
        let mut make = self.command(base, &["-P", "-c", MAKE_VENV]);
        self.run(make.arg(self.folder).arg(own_pip), &what)?;
        let python = self.folder.join("bin/python3");
        let mut install = if has_uv {
            let mut install = self.command("uv", &["pip", "install", "--python"]);
            install.arg(python);
            install
        } else if pip_of_base {
            let mut install = self.command(base, &["-m", "pip", "--python"]);
            install.arg(python).arg("install");
            install
        } else {
            self.command(&python, &["-m", "pip", "install"])
        };
        if !has_uv {
            install.args(["--disable-pip-version-check", "--no-input"]);
        }
        install.arg("-r").arg(&requirements);
        // What every executor needs; not beside hashes, which would then have to be given for it, too.
        if !packages.iter().any(|line| line.contains("--hash")) {
            install.arg("cloudpickle");
        }
        let installed = self.run(&mut install, &what);
        let _ = fs::remove_file(requirements);
        installed
    }

    /// The environment in an archive as `conda-pack` makes it.
    pub(super) fn archive(&self, archive: &Path) -> Result<(), TaskError> {
        info!(folder = %self.folder.display(), archive = %archive.display(), "unpacking a python environment");
        let what = format!("the environment in {}", archive.display());
        fs::create_dir_all(self.folder).map_err(|error| {
            let message = format!("{what} cannot be unpacked: {}: {error}", self.folder.display());
            TaskError::new(ErrorKind::Environment, message)
        })?;
        let mut unpack = self.command("tar", &["-xf"]);
        self.run(unpack.arg(archive).arg("-C").arg(self.folder), &what)?;
        let fix = self.folder.join("bin/conda-unpack");
        if fix.is_file() {
            // Puts the new place into files that name the old one.
            let mut command = self.command(self.folder.join("bin/python"), &[]);
            self.run(command.arg(fix), &what)?;
        }
        Ok(())
    }

    fn command(&self, program: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        let inherited = env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            self.settings.inherit_env.iter().any(|known| *known == *name)
                || INSTALLER_VARIABLES.iter().any(|prefix| name.starts_with(*prefix))
                || NETWORK_VARIABLES.contains(&&*name)
        });
        command
            .args(args)
            // Packages may run any code while they are installed: none of the worker's own variables are theirs.
            .env_clear()
            .envs(inherited)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// The major version of an interpreter's pip; 0 without one.
    fn pip_version(&self, python: &Path) -> u32 {
        let text = answers(&mut self.command(python, &["-m", "pip", "--version"]));
        let major = |text: String| text.strip_prefix("pip ")?.split('.').next()?.parse().ok();
        text.and_then(major).unwrap_or(0)
    }

    /// Runs one program to its end; quotes its output if it fails.
    fn run(&self, command: &mut Command, what: &str) -> Result<(), TaskError> {
        let failed = |reason: String, log_tail| TaskError {
            log_tail,
            ..TaskError::new(
                ErrorKind::Environment,
                format!("{what} cannot be built: {reason}"),
            )
        };
        let program = command.get_program().to_string_lossy().into_owned();
        let cannot_start = |error: io::Error| failed(format!("{program} cannot be started: {error}"), None);
        // A file, so that nobody has to read what a talkative installer writes.
        let output = tempfile::tempfile().map_err(cannot_start)?;
        let clone = || output.try_clone().map_err(cannot_start);
        let mut child = command
            .stdout(clone()?)
            .stderr(clone()?)
            .spawn()
            .map_err(cannot_start)?;
        let mut group = Group::new(child.id());
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if (self.abandoned)() => {
                    group.kill();
                    let _ = child.wait();
                    group.finish();
                    return Err(failed("nobody waits for it any more".to_owned(), None));
                }
                Ok(None) => std::thread::sleep(TICK),
                Err(error) => return Err(failed(format!("{program} cannot be waited for: {error}"), None)),
            }
        };
        group.finish();
        if status.success() {
            return Ok(());
        }
        let text = tail(output);
        let reason = format!("{program} ended with {status}: {}", complaint(&text));
        Err(failed(reason, Some(text)))
    }
}

/// What a short program prints; `None` if it is not there or fails.
fn answers(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The line of an installer's output that says what went wrong: the last that speaks of an error.
fn complaint(text: &str) -> &str {
    let speaks = |line: &&str| line.to_ascii_lowercase().contains("error");
    text.lines().rfind(speaks).unwrap_or("see its output").trim()
}

fn tail(mut output: File) -> String {
    let mut bytes = Vec::new();
    let size = output.metadata().map_or(0, |metadata| metadata.len());
    let read = output
        .seek(SeekFrom::Start(size.saturating_sub(QUOTED_BYTES)))
        .and_then(|_| output.read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("its output cannot be read: {error}"),
    }
}

/// The interpreter of a prefix.
pub(super) fn interpreter_in(prefix: &Path) -> PathBuf {
    prefix.join("bin/python3")
}
