//! What running tasks execute can be asked at any time.

use std::time::{Duration, Instant};

use millstream_executor::TaskStack;
use millstream_types::{JobId, TaskIdx};

use super::harness::*;

/// Asks until the stack of a running task shows what is expected.
fn stack_with(pool: &Pool, expected: &str) -> TaskStack {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stacks = pool.pool.stacks().all();
        if let Some(stack) = stacks.iter().find(|stack| stack.text.contains(expected)) {
            return stack.clone();
        }
        assert!(Instant::now() < deadline, "{expected} is not in {stacks:?}");
    }
}

#[test]
fn a_loop_and_a_wait_in_c_code_tell_where_they_are_and_go_on() {
    let pool = Pool::new(1);
    assert!(pool.pool.stacks().all().is_empty());
    for (body, line) in [
        (
            "end = time.monotonic() + 2\n    while time.monotonic() < end: pass",
            "line 4 in inner",
        ),
        ("time.sleep(2)", "line 3 in inner"),
    ] {
        let source =
            format!("import time\ndef inner():\n    {body}\n    return 'done'\ndef f():\n    return inner()");
        let mut task = call(op(&source));
        (task.job, task.task) = (JobId::from_u128(77), TaskIdx(5));
        let began = Instant::now();
        pool.start([task]);
        let stack = stack_with(&pool, line);
        assert_eq!((stack.job, stack.task), (JobId::from_u128(77), TaskIdx(5)));
        assert!(stack.text.contains("in f"), "{}", stack.text);
        assert!(!stack.text.contains("millstream_runtime"), "{}", stack.text);
        assert_eq!(text(&pool.next().1.unwrap()), "done");
        assert!(began.elapsed() >= Duration::from_secs(2), "a wait was cut short");
    }
    assert!(pool.pool.stacks().all().is_empty());
}
