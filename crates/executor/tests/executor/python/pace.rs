//! Short tasks are sent in batches, and long ones hold nothing up.

use std::sync::Arc;
use std::time::Instant;

use millstream_executor::TaskContext;
use millstream_protocol::ErrorKind;

use super::harness::*;

fn tasks(source: &str, count: u32) -> Vec<TaskContext> {
    let op = Arc::new(op(source));
    (0..count)
        .map(|index| {
            let mut task = call((*op).clone());
            (task.op, task.index) = (Arc::clone(&op), Some(index));
            task
        })
        .collect()
}

#[test]
fn many_small_tasks_are_each_answered_once() {
    let count = 20_000;
    let pool = Pool::new(2);
    pool.text_of("def f(): return 'warm'");
    let tasks = tasks("f = lambda i: str(i + 1)", count);
    let began = Instant::now();
    pool.start(tasks);
    for _ in 0..count {
        let (number, result) = pool.next();
        assert_eq!(text(&result.unwrap()), (number + 1).to_string());
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} tasks/s");
}

/// Returns its number as text, but `long` does so only once the file is there.
fn long_until(file: &std::path::Path, long: u32) -> String {
    format!(
        "import os, time\ndef f(i):\n    while i == {long} and not os.path.exists('{}'): time.sleep(0.01)\n    return str(i)",
        file.display()
    )
}

#[test]
fn short_tasks_behind_a_long_one_are_run_by_another_slot() {
    let dir = tempfile::tempdir().unwrap();
    let go_on = dir.path().join("go_on");
    let pool = Pool::new(2);
    pool.start(tasks(&long_until(&go_on, 100), 400));
    for _ in 0..399 {
        let (number, result) = pool.next();
        assert!(result.is_ok() && number != 100);
    }
    std::fs::write(go_on, "").unwrap();
    assert_eq!(pool.next().0, 100);
}

#[test]
fn cancelled_tasks_that_wait_never_run() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::new(1);
    let source = format!(
        "import time\ndef f(i):\n    open('{}/%d' % i, 'w').close()\n    if i == 50: time.sleep(1)",
        dir.path().display()
    );
    let tasks = tasks(&source, 100);
    pool.start(tasks.clone());
    let deadline = Instant::now() + PATIENCE;
    while !dir.path().join("50").exists() {
        assert!(Instant::now() < deadline, "task 50 did not begin");
        std::thread::yield_now();
    }
    tasks.iter().skip(51).for_each(|task| task.cancel.cancel());
    pool.pool.cancelled();
    for _ in 0..100 {
        let (number, result) = pool.next();
        match result {
            Ok(_) => assert!(number <= 50),
            Err(failure) => assert!(number > 50 && failure.error.kind == ErrorKind::Cancelled),
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 51);
}

#[test]
fn results_do_not_wait_for_a_long_task_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let go_on = dir.path().join("go_on");
    let pool = Pool::new(1);
    pool.start(tasks(&long_until(&go_on, 60), 61));
    for expected in 0..60 {
        assert_eq!(pool.next().0, expected);
    }
    std::fs::write(go_on, "").unwrap();
    assert_eq!(pool.next().0, 60);
}
