//! A pool of real interpreters, functions from source, and results as text.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use millstream_executor::{
    Input, PythonPool, PythonSettings, PythonWork, TaskContext, TaskFailure, TaskOutput, TaskResult,
};
use millstream_protocol::TaskError;
use millstream_protocol::codec;
use millstream_protocol::graph::{OpKind, OpSpec, TaskOptions};
use millstream_store::{Object, Payload};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::harness::task;

/// An answer that does not come within this is a failure of the test. Building an environment on a busy machine takes
/// minutes.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// The interpreter of a virtual environment with cloudpickle and numpy, made once for this user.
pub(super) static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let home = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let cache = home.join("millstream");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join("test-python.lock")).unwrap();
    lock.lock().unwrap();
    let folder = cache.join("test-python");
    let python = folder.join("bin/python3");
    let done = folder.join("complete");
    if !done.exists() {
        let _ = fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "-q", "cloudpickle", "numpy"]));
        File::create(done).unwrap();
    }
    python
});

fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
}

/// An operation's parameters, as a client sends them.
#[derive(Serialize, Default)]
pub(super) struct Params {
    r#fn: Bytes,
    ser: &'static str,
    pub(super) py: Option<String>,
    pub(super) env: Env,
    pub(super) modules: Option<Bytes>,
    /// By module that the function imports: the package and the client's version.
    pub(super) packages: BTreeMap<&'static str, (&'static str, String)>,
    /// Where the client has a module.
    pub(super) origins: BTreeMap<&'static str, &'static str>,
    /// Pickled plugins.
    pub(super) plugins: BTreeMap<&'static str, Bytes>,
}

/// What a job asks of its environment.
#[derive(Serialize, Default, Clone)]
pub(super) struct Env {
    pub(super) env_vars: BTreeMap<&'static str, String>,
    pub(super) pip: Vec<String>,
    pub(super) python: Option<PathBuf>,
    pub(super) conda: Option<PathBuf>,
    pub(super) secrets: Vec<&'static str>,
}

/// What Python writes to its standard output.
pub(super) fn python_output(script: &str, stdin: &[u8]) -> Bytes {
    let mut child = Command::new(&*PYTHON)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}");
    output.stdout.into()
}

const PICKLE: &str = "import sys, cloudpickle; scope = {'__name__': '__main__'}; \
    exec(compile(sys.stdin.read(), 'users_file.py', 'exec'), scope); \
    sys.stdout.buffer.write(cloudpickle.dumps(scope['f']))";

/// What the `f` that the source defines is when it is pickled.
pub(super) fn pickled(source: &str) -> Bytes {
    python_output(PICKLE, source.as_bytes())
}

/// An operation that calls the `f` that the source defines.
pub(super) fn op(source: &str) -> OpSpec {
    op_with(source, |_| {})
}

/// As [`op`], in an environment.
pub(super) fn op_in(source: &str, env: Env) -> OpSpec {
    op_with(source, |params| params.env = env)
}

/// As [`op`], with other parameters.
pub(super) fn op_with(source: &str, change: impl FnOnce(&mut Params)) -> OpSpec {
    let mut params = Params {
        r#fn: pickled(source),
        ser: "cloudpickle",
        ..Params::default()
    };
    change(&mut params);
    OpSpec {
        kind: OpKind::Python,
        name: "users:f".to_owned(),
        params: codec::encode_named(&params).unwrap().into(),
        code: None,
        determinate: false,
    }
}

/// Arguments as a client pickles them, from Python source such as `((1,), {})`.
pub(super) fn args(source: &str) -> Bytes {
    let script = format!("import sys, pickle; sys.stdout.buffer.write(pickle.dumps({source}, protocol=5))");
    python_output(&script, b"")
}

/// One task of a test.
pub(super) struct Work {
    pub(super) number: usize,
    pub(super) task: TaskContext,
    done: Sender<(usize, TaskResult)>,
    waits: Sender<(usize, bool)>,
    prepares: Sender<(usize, String)>,
}

impl PythonWork for Work {
    fn op(&self) -> &Arc<OpSpec> {
        &self.task.op
    }

    fn options(&self) -> &Arc<TaskOptions> {
        &self.task.options
    }

    fn cancel(&self) -> &CancellationToken {
        &self.task.cancel
    }

    fn prepare(&self) -> Result<TaskContext, TaskFailure> {
        Ok(self.task.clone())
    }

    fn waits(&self, waits: bool) {
        let _ = self.waits.send((self.number, waits));
    }

    fn prepares(&self, text: String) {
        let _ = self.prepares.send((self.number, text));
    }

    fn finish(self, result: TaskResult, _took: Duration) {
        let _ = self.done.send((self.number, result));
    }
}

/// A pool with its results.
pub(super) struct Pool {
    pub(super) pool: PythonPool<Work>,
    done: Sender<(usize, TaskResult)>,
    ends: Receiver<(usize, TaskResult)>,
    waits: Sender<(usize, bool)>,
    told: Receiver<(usize, bool)>,
    prepares: Sender<(usize, String)>,
    prepared: Receiver<(usize, String)>,
    _dir: tempfile::TempDir,
}

impl Pool {
    pub(super) fn new(slots: usize) -> Self {
        Self::with(slots, |_| {})
    }

    pub(super) fn with(slots: usize, change: impl FnOnce(&mut PythonSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = PythonSettings {
            interpreter: Some(PYTHON.clone()),
            dir: dir.path().to_owned(),
            env_dir: dir.path().join("envs"),
            ..PythonSettings::default()
        };
        change(&mut settings);
        let (done, ends) = channel();
        let (waits, told) = channel();
        let (prepares, prepared) = channel();
        Self {
            pool: PythonPool::new(settings, slots).unwrap(),
            done,
            ends,
            waits,
            told,
            prepares,
            prepared,
            _dir: dir,
        }
    }

    /// Queues tasks, which are numbered in order.
    pub(super) fn start(&self, tasks: impl IntoIterator<Item = TaskContext>) {
        let work = tasks.into_iter().enumerate().map(|(number, task)| Work {
            number,
            task,
            done: self.done.clone(),
            waits: self.waits.clone(),
            prepares: self.prepares.clone(),
        });
        self.pool.start(work);
    }

    /// The next end.
    pub(super) fn next(&self) -> (usize, TaskResult) {
        self.ends.recv_timeout(PATIENCE).unwrap()
    }

    /// What was said so far of tasks that wait for others.
    pub(super) fn told(&self) -> Vec<(usize, bool)> {
        self.told.try_iter().collect()
    }

    /// What was said so far of what tasks wait for before they begin.
    pub(super) fn prepared(&self) -> Vec<(usize, String)> {
        self.prepared.try_iter().collect()
    }

    /// Runs one task.
    pub(super) fn run(&self, task: TaskContext) -> TaskResult {
        self.start([task]);
        self.next().1
    }

    /// Runs one task that fails.
    pub(super) fn fail(&self, task: TaskContext) -> TaskError {
        *self.run(task).unwrap_err().error
    }

    /// Runs a function without arguments that returns a text.
    pub(super) fn text_of(&self, source: &str) -> String {
        text(&self.run(call(op(source))).unwrap())
    }
}

/// A call without arguments.
pub(super) fn call(op: OpSpec) -> TaskContext {
    task(op, Bytes::new(), vec![])
}

/// The same output as another task's input.
pub(super) fn input(output: &TaskOutput) -> Input {
    Object::new(output.payload.clone(), output.format).into()
}

/// A result that is a short text, read without a pickle library: protocol 5, perhaps a frame, one text.
pub(super) fn text(output: &TaskOutput) -> String {
    let bytes = match &output.payload {
        Payload::Bytes(parts) => parts[0].clone(),
        Payload::Shared(object) => object.encode_part(0).unwrap(),
    };
    assert_eq!(&bytes[..8], b"MSP5\0\0\0\0", "a value without buffers");
    let stream = bytes[16..].strip_prefix(b"\x80\x05").unwrap();
    let stream = if stream[0] == 0x95 { &stream[9..] } else { stream };
    let text = match stream[0] {
        0x8c => &stream[2..2 + usize::from(stream[1])],
        b'X' => {
            let size = u32::from_le_bytes(stream[1..5].try_into().unwrap()) as usize;
            &stream[5..5 + size]
        }
        other => panic!("the result is no text but opcode {other:#x}"),
    };
    String::from_utf8(text.to_vec()).unwrap()
}
