//! Tasks that wait for others let them have their slots.

use std::path::Path;

use millstream_executor::TaskContext;
use millstream_protocol::ErrorKind;

use super::harness::*;

/// A function of tasks of one layer: the body sees the index `i`, `wait_for(name)`, which waits as the SDK does until
/// another task has made a file of that name in `folder`, and `make(name)`.
fn tasks(folder: &Path, count: u32, body: &str) -> Vec<TaskContext> {
    let source = format!(
        "import os, sys, time
def f(i):
    turn = sys.modules['millstream_runtime._executor.turn'].current
    def wait_for(name):
        with turn:
            while not os.path.exists(os.path.join({folder:?}, name)):
                time.sleep(0.002)
    def make(name):
        open(os.path.join({folder:?}, name), 'w').close()
    {body}
    return str(i)"
    );
    let op = op(&source);
    let calls = (0..count).map(|index| {
        let mut task = call(op.clone());
        task.index = Some(index);
        task
    });
    calls.collect()
}

#[test]
fn one_slot_runs_the_task_that_another_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::new(1);
    pool.start(tasks(
        folder.path(),
        2,
        "wait_for('made') if i == 0 else make('made')",
    ));
    let mut ended = [pool.next(), pool.next()];
    ended.sort_by_key(|(number, _)| *number);
    assert!(ended.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(pool.told(), [(0, true), (0, false)]);
}

#[test]
fn tasks_that_wait_in_turn_for_the_next_all_end() {
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::new(2);
    let body = "wait_for(str(i + 1)) if i < 9 else None; make(str(i))";
    pool.start(tasks(folder.path(), 10, body));
    for _ in 0..10 {
        let (number, result) = pool.next();
        assert_eq!(text(&result.unwrap()), number.to_string());
    }
}

#[test]
fn no_more_tasks_run_at_once_than_there_are_slots_once_waiting_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::new(1);
    // The first waits for the second; then each says when it is alone.
    let body = "wait_for('made') if i == 0 else make('made') if i == 1 else None
    if i > 1:
        os.mkdir(os.path.join(FOLDER, 'alone'))
        time.sleep(0.02)
        os.rmdir(os.path.join(FOLDER, 'alone'))";
    let body = body.replace("FOLDER", &format!("{:?}", folder.path()));
    pool.start(tasks(folder.path(), 2, &body));
    assert!(pool.next().1.is_ok() && pool.next().1.is_ok());
    let mut rest = tasks(folder.path(), 12, &body);
    pool.start(rest.split_off(2));
    for _ in 0..10 {
        let (number, result) = pool.next();
        assert!(result.is_ok(), "{number}: {:?}", result.err());
    }
}

#[test]
fn a_task_that_waits_can_be_cancelled_and_its_slot_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::new(1);
    let mut all = tasks(folder.path(), 2, "wait_for('never') if i == 0 else None");
    let cancel = all[0].cancel.clone();
    pool.start([all.remove(0), all.remove(0)]);
    assert_eq!(text(&pool.next().1.unwrap()), "1");
    cancel.cancel();
    pool.pool.cancelled();
    let (number, result) = pool.next();
    assert_eq!(
        (number, result.unwrap_err().error.kind),
        (0, ErrorKind::Cancelled)
    );
    assert_eq!(pool.text_of("f = lambda: 'on'"), "on");
}

#[test]
fn one_that_would_wait_beyond_the_limit_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::with(1, |settings| settings.waiting = 1);
    pool.start(tasks(
        folder.path(),
        3,
        "wait_for('made') if i < 2 else make('made')",
    ));
    let (number, result) = pool.next();
    let error = result.unwrap_err().error;
    assert_eq!((number, error.kind), (1, ErrorKind::User));
    assert!(
        error.message.contains("1 tasks of this worker"),
        "{}",
        error.message
    );
    assert!(pool.next().1.is_ok() && pool.next().1.is_ok());
}
