//! The threads of native functions.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::ThreadId;

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

/// A piece of a row that waits until it is let go.
struct Piece {
    number: u32,
    follows: bool,
    go: Option<Receiver<()>>,
}

impl SlotWork for Piece {
    type Done = (u32, ThreadId);

    fn run(self) -> Self::Done {
        if let Some(go) = self.go {
            let _ = go.recv();
        }
        (self.number, std::thread::current().id())
    }

    fn follows(&self) -> bool {
        self.follows
    }
}

fn row(numbers: std::ops::Range<u32>) -> (Vec<Piece>, Sender<()>) {
    let (sender, receiver) = channel();
    let mut go = Some(receiver);
    let first = numbers.start;
    let piece = |number| Piece {
        number,
        follows: number != first,
        go: go.take(),
    };
    (numbers.map(piece).collect(), sender)
}

#[tokio::test]
async fn a_row_runs_in_order_on_one_thread() {
    let (pool, mut results) = SlotPool::new(4).unwrap();
    let (pieces, go) = row(0..100);
    pool.start(pieces);
    drop(go);
    let mut done = Vec::new();
    while done.len() < 100 {
        results.recv(&mut done).await;
    }
    let thread = done[0].1;
    assert_eq!(done, (0..100).map(|number| (number, thread)).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_has_not_begun_can_be_taken_back_from_a_row() {
    let (pool, mut results) = SlotPool::new(1).unwrap();
    let (pieces, go) = row(0..5);
    pool.start(pieces);
    let recalled = pool.recall(|piece| piece.number != 3);
    let numbers: Vec<u32> = recalled.iter().map(|piece| piece.number).collect();
    assert_eq!(numbers, [1, 2, 4], "the first of a row is never taken back");
    drop(go);
    let mut done = Vec::new();
    while done.len() < 2 {
        results.recv(&mut done).await;
    }
    assert_eq!((done[0].0, done[1].0), (0, 3));
}
