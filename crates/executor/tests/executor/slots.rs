//! The threads of native functions.

use std::sync::Arc;

use bytes::Bytes;
use millstream_executor::{NativeExecutor, SlotPool, SlotWork, TaskContext};

use crate::harness::native;

struct Call(Arc<NativeExecutor>, TaskContext);

impl SlotWork for Call {
    type Done = bool;

    fn run(self) -> bool {
        self.0.run_native(&self.1).is_ok()
    }
}

#[tokio::test]
async fn every_piece_of_work_is_answered_once() {
    let executor = Arc::new(NativeExecutor::new().unwrap());
    let (pool, mut results) = SlotPool::new(3).unwrap();
    for batch in 0..50 {
        let call = |_| Call(Arc::clone(&executor), native("bench:noop", Bytes::new(), vec![]));
        pool.start((0..batch).map(call));
    }
    let mut done = Vec::new();
    while done.len() < 50 * 49 / 2 {
        results.recv(&mut done).await;
    }
    assert!(done.iter().all(|ok| *ok));
    assert_eq!(results.try_recv(&mut done), 0);
}

#[test]
fn dropping_the_pool_forgets_what_waits() {
    let executor = Arc::new(NativeExecutor::new().unwrap());
    let (pool, mut results) = SlotPool::<Call>::new(1).unwrap();
    let sleep = || {
        let args = millstream_protocol::args::NativeArgs::new().value(&20).unwrap();
        Call(
            Arc::clone(&executor),
            native("bench:sleep_ms", args.to_params().unwrap(), vec![]),
        )
    };
    pool.start((0..1000).map(|_| sleep()));
    drop(pool);
    let mut done = Vec::new();
    results.try_recv(&mut done);
    assert!(done.len() < 1000);
}
