//! How many no-op calls a pool of slots makes per second. `cargo run --release -p millstream-executor --example noop_rate`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use millstream_executor::{NativeExecutor, SlotPool, SlotWork, TaskContext, TaskResult};
use millstream_protocol::graph::OpSpec;
use millstream_types::{Attempt, JobId, TaskIdx, Term};

const TASKS: u32 = 1_000_000;
const BATCH: u32 = 128;

struct Call(Arc<NativeExecutor>, TaskContext);

impl SlotWork for Call {
    type Done = TaskResult;

    fn run(self) -> TaskResult {
        self.0.run_native(&self.1)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let executor = Arc::new(NativeExecutor::new()?);
    let op = Arc::new(OpSpec::native("bench:noop"));
    let (options, scratch) = (Arc::default(), Arc::<Path>::from(Path::new("/tmp")));
    let (label, host) = (Arc::<str>::from("bench"), Arc::<str>::from("here"));
    let call = |i| {
        let task = TaskContext {
            job: JobId::from_u128(1),
            task: TaskIdx(i),
            attempt: Attempt::new(Term(1), 1),
            op: Arc::clone(&op),
            options: Arc::clone(&options),
            params: Bytes::new(),
            index: None,
            inputs: Vec::new(),
            cancel: Default::default(),
            log: Default::default(),
            scratch: Arc::clone(&scratch),
            label: Arc::clone(&label),
            host: Arc::clone(&host),
        };
        Call(Arc::clone(&executor), task)
    };
    let (pool, mut results) = SlotPool::new(2)?;
    let begun = Instant::now();
    let (mut started, mut ended, mut done) = (0, 0, Vec::new());
    while ended < TASKS {
        while started < TASKS && started - ended < 4 * BATCH {
            pool.start((started..started + BATCH.min(TASKS - started)).map(call));
            started += BATCH.min(TASKS - started);
        }
        results.recv(&mut done).await;
        ended += done.len() as u32;
        done.clear();
    }
    let rate = f64::from(TASKS) / begun.elapsed().as_secs_f64();
    println!("{rate:.0} no-op calls per second on 2 slots");
    Ok(())
}
