//! How many calls of `lambda x: x + 1` a pool of Python slots makes per second.
//! `cargo run --release -p millstream-executor --example python_rate` with an interpreter that has cloudpickle.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_executor::{PythonPool, PythonSettings, PythonWork, TaskContext, TaskFailure, TaskResult};
use millstream_protocol::codec;
use millstream_protocol::graph::{OpKind, OpSpec, TaskOptions};
use millstream_types::{Attempt, JobId, TaskIdx, Term};
use tokio_util::sync::CancellationToken;

const TASKS: u32 = 100_000;
const SLOTS: usize = 2;
const RUNS: usize = 5;

const PICKLE: &str = "import sys, cloudpickle; sys.stdout.buffer.write(cloudpickle.dumps(lambda x: x + 1))";

struct Call(TaskContext, Sender<TaskResult>);

impl PythonWork for Call {
    fn op(&self) -> &Arc<OpSpec> {
        &self.0.op
    }

    fn options(&self) -> &Arc<TaskOptions> {
        &self.0.options
    }

    fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    fn prepare(&self) -> Result<TaskContext, TaskFailure> {
        Ok(self.0.clone())
    }

    fn waits(&self, _waits: bool) {}

    fn prepares(&self, _text: String) {}

    fn finish(self, result: TaskResult, _took: Duration) {
        let _ = self.1.send(result);
    }
}

fn increment(interpreter: &Path) -> Result<OpSpec, Box<dyn Error>> {
    let pickled = Command::new(interpreter).args(["-c", PICKLE]).output()?.stdout;
    let params = std::collections::BTreeMap::from([("fn", Bytes::from(pickled))]);
    Ok(OpSpec {
        kind: OpKind::Python,
        name: "bench:increment".to_owned(),
        params: codec::encode_named(&params)?.into(),
        code: None,
        determinate: true,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = PythonSettings::default();
    let op = Arc::new(increment(&settings.interpreter())?);
    let (options, scratch) = (Arc::default(), Arc::<Path>::from(Path::new("/tmp")));
    let (label, host) = (Arc::<str>::from("bench"), Arc::<str>::from("here"));
    let (done, ended) = channel();
    let call = |i| {
        let task = TaskContext {
            job: JobId::from_u128(1),
            task: TaskIdx(i),
            attempt: Attempt::new(Term(1), 1),
            op: Arc::clone(&op),
            options: Arc::clone(&options),
            params: Bytes::new(),
            index: Some(i),
            inputs: Vec::new(),
            cancel: Default::default(),
            log: Default::default(),
            scratch: Arc::clone(&scratch),
            label: Arc::clone(&label),
            host: Arc::clone(&host),
        };
        Call(task, done.clone())
    };
    let pool = PythonPool::new(settings, SLOTS)?;
    for _ in 0..RUNS {
        // The first run also starts the interpreters.
        let begun = Instant::now();
        pool.start((0..TASKS).map(call));
        for _ in 0..TASKS {
            ended.recv()??;
        }
        let rate = f64::from(TASKS) / begun.elapsed().as_secs_f64();
        println!("{rate:.0} python calls per second on {SLOTS} slots");
    }
    Ok(())
}
