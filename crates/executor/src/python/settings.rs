//! How Python tasks are run on a worker.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How tasks reach the cluster that they run on.
#[derive(Clone)]
pub struct GatewayAccess {
    /// The gateway's address.
    pub url: String,
    /// The token it wants.
    pub token: String,
}

// The token must not get into logs.
impl fmt::Debug for GatewayAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayAccess")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl GatewayAccess {
    /// The variables that tell it to the SDK.
    pub(super) fn variables(&self) -> [(&'static str, &str); 2] {
        [
            ("MILLSTREAM_GATEWAY", &self.url),
            ("MILLSTREAM_TOKEN", &self.token),
        ]
    }
}

/// What Python tasks may do on this worker, and with what.
#[derive(Debug, Clone)]
pub struct PythonSettings {
    /// Whether Python tasks are run at all.
    pub allowed: bool,
    /// The interpreter; [`PythonSettings::interpreter`] says which one is taken if none is set.
    pub interpreter: Option<PathBuf>,
    /// Variables of the worker's environment that executors inherit. The others may hold secrets.
    pub inherit_env: Vec<String>,
    /// Variables that every executor gets besides.
    pub env: BTreeMap<String, String>,
    /// The devices that tasks with `gpu` are given, by the names that `CUDA_VISIBLE_DEVICES` has for them.
    pub devices: Vec<String>,
    /// What executors are told of the gateway; nothing if tasks are not to use it.
    pub gateway: Option<GatewayAccess>,
    /// The folder in which the runtime and each executor's working folder are made.
    pub dir: PathBuf,
    /// The folder in which environments with packages are built, shared by the workers of a host.
    pub env_dir: PathBuf,
    /// Most bytes of environments that are kept while nobody uses them.
    pub env_quota: u64,
    /// The folder with a file for each secret that tasks may ask for by name.
    pub secrets_dir: Option<PathBuf>,
    /// Memory that all executors together may hold of their own. Beyond it the largest is killed.
    pub memory_limit: u64,
    /// Memory above which an idle executor is replaced.
    pub recycle_above: u64,
    /// Time between interrupting a task and killing its executor.
    pub kill_grace: Duration,
    /// Time an interpreter may take to start.
    pub start_timeout: Duration,
    /// Values above this travel in shared memory, those below within the socket.
    pub inband_limit: u64,
    /// Bytes of head and of tail that are kept of each attempt's output.
    pub log_limit: u64,
    /// Idle executors of other environments that a slot keeps.
    pub parked: usize,
    /// Tasks that may wait for other tasks at once, each in an executor beyond those of the slots.
    pub waiting: usize,
}

impl Default for PythonSettings {
    fn default() -> Self {
        Self {
            allowed: true,
            interpreter: None,
            inherit_env: Self::inherited().map(str::to_owned).to_vec(),
            env: BTreeMap::new(),
            devices: Vec::new(),
            gateway: None,
            dir: env::temp_dir().join("millstream"),
            env_dir: env::temp_dir().join("millstream").join("envs"),
            env_quota: 10 << 30,
            secrets_dir: None,
            memory_limit: u64::MAX,
            recycle_above: u64::MAX,
            // Long enough for `finally` blocks, short enough for the second within which Ctrl-C ends a job.
            kill_grace: Duration::from_millis(500),
            // A cold disk under load takes seconds.
            start_timeout: Duration::from_secs(60),
            // Below this, two copies through the socket cost less than a new mapping; and each mapping is a descriptor.
            inband_limit: 256 << 10,
            log_limit: 64 << 10,
            parked: 1,
            waiting: 64,
        }
    }
}

impl PythonSettings {
    /// The variables that executors inherit by default.
    pub const fn inherited() -> [&'static str; 14] {
        [
            "PATH",
            "HOME",
            "USER",
            "LANG",
            "LC_ALL",
            "TZ",
            "TMPDIR",
            "VIRTUAL_ENV",
            "PYTHONPATH",
            "LD_LIBRARY_PATH",
            "CUDA_VISIBLE_DEVICES",
            "OPENBLAS_CORETYPE",
            "MKL_CBWR",
            "NPY_DISABLE_CPU_FEATURES",
        ]
    }

    /// The interpreter to start: the set one, else `MILLSTREAM_PYTHON`, else that of an activated virtual environment,
    /// else `python3` as found on the PATH.
    pub fn interpreter(&self) -> PathBuf {
        let set = |name: &str| env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let in_venv = || {
            let python = Path::new(&set("VIRTUAL_ENV")?).join("bin/python3");
            python.is_file().then_some(python)
        };
        self.interpreter
            .clone()
            .or_else(|| set("MILLSTREAM_PYTHON").map(PathBuf::from))
            .or_else(in_venv)
            .unwrap_or_else(|| PathBuf::from("python3"))
    }
}
