//! Python operations as their parameters describe them, and what process they need.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millstream_protocol::codec;
use millstream_protocol::graph::{OpSpec, TaskOptions};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::Amount;
use serde::Deserialize;

/// Operations whose parameters are remembered as read.
const REMEMBERED: usize = 4096;

/// What sets the number of threads of the libraries that have a pool of their own.
const THREAD_VARIABLES: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
];

/// What a process must be started with. Tasks that need the same share processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Env {
    /// Variables on top of the inherited ones; `secret://name` stands for a secret.
    pub(super) vars: BTreeMap<String, String>,
    /// Secrets that are variables of their own names.
    pub(super) secrets: Vec<String>,
    /// The interpreter, if not the worker's own.
    pub(super) interpreter: Option<PathBuf>,
    /// A prefix on the worker, or an archive of one.
    pub(super) conda: Option<PathBuf>,
    /// Packages that an environment of its own is built with.
    pub(super) packages: Vec<String>,
    /// A zip file of the user's files.
    pub(super) files: Option<Bytes>,
    /// How many of the worker's devices it sees; all of them if zero.
    pub(super) gpu: Amount,
}

/// One operation, read once.
#[derive(Debug)]
pub(super) struct PythonOp {
    pub(super) spec: Arc<OpSpec>,
    /// The client's Python, such as `3.11`.
    pub(super) python: Option<String>,
    env: EnvSpec,
    modules: Option<Bytes>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Params {
    py: Option<String>,
    env: Option<EnvSpec>,
    modules: Option<Bytes>,
}

/// `env=` as CONTRACTS.md has it, resolved by the client.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct EnvSpec {
    env_vars: BTreeMap<String, String>,
    python: Option<PathBuf>,
    pip: Vec<String>,
    conda: Option<PathBuf>,
    secrets: Vec<String>,
}

impl PythonOp {
    fn read(spec: &Arc<OpSpec>) -> Result<Self, TaskError> {
        let params: Params = codec::decode(&spec.params).map_err(|error| {
            TaskError::new(
                ErrorKind::BadInput,
                format!("the python operation `{}` is malformed: {error}", spec.name),
            )
        })?;
        Ok(Self {
            spec: Arc::clone(spec),
            python: params.py,
            env: params.env.unwrap_or_default(),
            modules: params.modules,
        })
    }

    /// What a process for a task of this operation is started with.
    pub(super) fn env(&self, options: &TaskOptions) -> Env {
        // A task without `cpu` takes one; one of half a core still needs a thread.
        let cpu = options.resources.get("cpu").as_milli().div_ceil(1000).max(1);
        let mut vars: BTreeMap<_, _> = THREAD_VARIABLES
            .iter()
            .map(|name| ((*name).to_owned(), cpu.to_string()))
            .collect();
        vars.extend(self.env.env_vars.clone());
        Env {
            vars,
            secrets: self.env.secrets.clone(),
            interpreter: self.env.python.clone(),
            conda: self.env.conda.clone(),
            packages: self.env.pip.clone(),
            files: self.modules.clone(),
            gpu: options.resources.get("gpu"),
        }
    }
}

/// What a task needs: its operation as read, and the process for it.
#[derive(Clone)]
pub(super) struct Needs {
    pub(super) op: Arc<PythonOp>,
    pub(super) env: Arc<Env>,
}

/// Operations by where they lie in memory, so that a task costs one look-up and no reading.
#[derive(Default)]
pub(super) struct Ops {
    known: Mutex<HashMap<(usize, usize), Known>>,
}

/// What was read, and what keeps its address from being another's.
type Known = (Arc<OpSpec>, Arc<TaskOptions>, Needs);

impl Ops {
    /// What a task with this operation and these options needs.
    pub(super) fn needs(&self, spec: &Arc<OpSpec>, options: &Arc<TaskOptions>) -> Result<Needs, TaskError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The addresses stay theirs as long as the entry holds them.
        let key = (Arc::as_ptr(spec) as usize, Arc::as_ptr(options) as usize);
        if let Some((_, _, needs)) = known.get(&key) {
            return Ok(needs.clone());
        }
        let op = Arc::new(PythonOp::read(spec)?);
        let env = op.env(options);
        let same = known.values().find(|(_, _, needs)| *needs.env == env);
        let env = same.map_or_else(|| Arc::new(env), |(_, _, needs)| Arc::clone(&needs.env));
        let needs = Needs { op, env };
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, (Arc::clone(spec), Arc::clone(options), needs.clone()));
        Ok(needs)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use millstream_types::{Amount, ResourceSet};

    use super::*;

    fn spec(params: &serde_json_like::Map) -> Arc<OpSpec> {
        Arc::new(OpSpec {
            kind: millstream_protocol::graph::OpKind::Python,
            name: "m:f".to_owned(),
            params: codec::encode_named(params).unwrap().into(),
            code: None,
            determinate: false,
        })
    }

    mod serde_json_like {
        use std::collections::BTreeMap;

        pub(super) type Map =
            BTreeMap<&'static str, BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>>;
    }

    #[test]
    fn threads_follow_the_tasks_cpu_and_variables_of_the_user_win() {
        let vars = BTreeMap::from([("A", "1"), ("MKL_NUM_THREADS", "9")]);
        let spec = spec(&BTreeMap::from([("env", BTreeMap::from([("env_vars", vars)]))]));
        let op = PythonOp::read(&spec).unwrap();
        let options = TaskOptions {
            resources: ResourceSet::new().with("cpu", Amount::milli(2500)),
            ..TaskOptions::default()
        };
        let env = op.env(&options);
        assert_eq!(env.vars["OMP_NUM_THREADS"], "3");
        assert_eq!(env.vars["MKL_NUM_THREADS"], "9");
        assert_eq!(env.vars["A"], "1");
        assert_eq!(op.env(&TaskOptions::default()).vars["OMP_NUM_THREADS"], "1");
    }

    #[test]
    fn tasks_that_need_the_same_share_an_environment() {
        let ops = Ops::default();
        let (first, second) = (spec(&BTreeMap::new()), spec(&BTreeMap::new()));
        let options = Arc::<TaskOptions>::default();
        let first = ops.needs(&first, &options).unwrap();
        let second = ops.needs(&second, &options).unwrap();
        assert!(Arc::ptr_eq(&first.env, &second.env));
        assert!(!Arc::ptr_eq(&first.op, &second.op));
    }
}
