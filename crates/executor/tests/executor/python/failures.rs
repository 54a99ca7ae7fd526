//! Whatever a function does to its process, its task ends with an error that says so, and the next task runs.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_protocol::graph::{Rerun, TaskOptions};
use millstream_protocol::{ErrorKind, TaskError};

use super::harness::*;
use crate::harness::task;

/// The error of a task in a pool that afterwards still works.
fn survived(source: &str) -> TaskError {
    let pool = Pool::with(1, |settings| settings.memory_limit = 512 << 20);
    let error = pool.fail(call(op(source)));
    assert_eq!(pool.text_of("def f(): return 'alive'"), "alive");
    assert_eq!(error.host.as_deref(), Some("here"));
    error
}

/// A file that a task makes once it runs.
fn begun(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let file = dir.path().join("begun");
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < deadline, "the task did not begin");
        std::thread::yield_now();
    }
    file
}

#[test]
fn an_exception_has_its_type_the_users_line_and_itself() {
    let error = survived("def g(n):\n    return 1 // n\ndef f():\n    print('before')\n    return g(0)\n");
    assert_eq!(error.kind, ErrorKind::User);
    assert_eq!(
        error.message,
        "ZeroDivisionError: integer division or modulo by zero"
    );
    let traceback = error.traceback.unwrap();
    let lines: Vec<_> = traceback.lines().filter(|line| line.contains("File")).collect();
    assert_eq!(lines.len(), 2, "{traceback}");
    assert!(lines[0].contains("users_file.py\", line 5, in f"), "{traceback}");
    assert!(lines[1].contains("users_file.py\", line 2, in g"), "{traceback}");
    assert_eq!(error.log_tail.as_deref(), Some("before\n"));
    let raised = python_output(
        "import sys, pickle; print(type(pickle.loads(sys.stdin.buffer.read())).__name__, end='')",
        &error.exception.unwrap(),
    );
    assert_eq!(raised, "ZeroDivisionError");
}

#[test]
fn an_exception_that_cannot_be_pickled_leaves_behind_what_cannot_travel() {
    let error = survived(
        "import threading\nclass Odd(Exception):\n    def __init__(self):\n        self.lock, self.code = threading.Lock(), 7\n        super().__init__('odd', self.lock)\n    def __str__(self): return 'odd'\ndef f(): raise Odd()",
    );
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::User, "Odd: odd")
    );
    let raised = python_output(
        "import sys, pickle; e = pickle.loads(sys.stdin.buffer.read()); \
         print(type(e).__name__, e.code, hasattr(e, 'lock'), e.args[0], type(e.args[1]).__name__, end='')",
        &error.exception.unwrap(),
    );
    assert_eq!(raised, "Odd 7 False odd str");
}

#[test]
fn an_exception_that_is_too_large_is_told_without_itself() {
    let error = survived("def f(): raise ValueError('x' * 200_000)");
    assert_eq!((error.kind, error.exception), (ErrorKind::User, None));
    assert!(error.message.starts_with("ValueError: xxx"), "{}", error.message);
}

#[test]
fn sys_exit_is_an_error_like_any_other() {
    let error = survived("import sys\ndef f(): sys.exit(4)");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::User, "SystemExit: 4")
    );
}

#[test]
fn a_process_that_exits_is_told_with_its_code_and_last_words() {
    let error = survived("import os\ndef f():\n    print('last words')\n    os._exit(3)");
    assert_eq!((error.kind, error.exit_code), (ErrorKind::ExecutorDied, Some(3)));
    assert!(error.message.contains("exit code 3"), "{}", error.message);
    assert_eq!(error.log_tail.as_deref(), Some("last words\n"));
}

#[test]
fn a_segmentation_fault_is_told_with_the_python_line_that_caused_it() {
    let error = survived("import ctypes\ndef f():\n    return ctypes.string_at(0)");
    assert_eq!((error.kind, error.signal), (ErrorKind::ExecutorDied, Some(11)));
    assert!(error.message.contains("SIGSEGV"), "{}", error.message);
    let log = error.log_tail.unwrap();
    assert!(log.contains("users_file.py\", line 3 in f"), "{log}");
}

#[test]
fn a_process_killed_from_outside_is_told_and_replaced() {
    let error = survived(
        "import os, signal, time\ndef f():\n    os.kill(os.getpid(), signal.SIGKILL)\n    time.sleep(60)",
    );
    assert_eq!((error.kind, error.signal), (ErrorKind::ExecutorDied, Some(9)));
    assert!(error.message.contains("SIGKILL"), "{}", error.message);
}

#[test]
fn an_allocation_that_is_refused_is_an_error() {
    let error = survived("def f(): return len(bytearray(100 << 40))");
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
    assert!(error.message.contains("MemoryError"), "{}", error.message);
}

#[test]
fn a_process_that_grows_beyond_the_limit_is_killed_before_the_worker_suffers() {
    let error = survived(
        "import time\ndef f():\n    held = []\n    while True:\n        held.append(bytearray(b'x' * (16 << 20)))\n        time.sleep(0.01)",
    );
    assert_eq!(error.kind, ErrorKind::OutOfMemory);
    assert!(
        error.message.contains("512.0 MiB") && error.message.contains("memory_limit"),
        "{}",
        error.message
    );
}

#[test]
fn a_result_that_cannot_be_pickled_names_the_attribute() {
    let error = survived(
        "import threading\nclass Model:\n    def __init__(self): self.weights = [1, {'guard': threading.Lock()}]\ndef f(): return {'model': Model()}",
    );
    assert_eq!(error.kind, ErrorKind::Unpicklable);
    assert!(
        error
            .message
            .contains("`['model'].weights[1]['guard']` is a `_thread.lock`"),
        "{}",
        error.message
    );
}

#[test]
fn an_endless_loop_is_interrupted_and_its_process_kept() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::new(1);
    let pid = "import os\ndef f(): return str(os.getpid())";
    let before = pool.text_of(pid);
    let source = format!(
        "def f():\n    open('{}/begun', 'w').close()\n    while True:\n        pass",
        dir.path().display()
    );
    let task = call(op(&source));
    pool.start([task.clone()]);
    begun(&dir);
    task.cancel.cancel();
    pool.pool.cancelled();
    let error = *pool.next().1.unwrap_err().error;
    assert_eq!(error.kind, ErrorKind::Cancelled);
    // The core makes a timeout of it; where the task was is worth knowing then.
    assert!(error.traceback.unwrap().contains("users_file.py"));
    assert_eq!(pool.text_of(pid), before);
}

#[test]
fn a_task_that_ignores_the_interrupt_is_killed_within_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::new(1);
    let source = format!(
        "import time\ndef f():\n    open('{}/begun', 'w').close()\n    while True:\n        try: time.sleep(1000)\n        except BaseException: pass",
        dir.path().display()
    );
    let task = call(op(&source));
    pool.start([task.clone()]);
    begun(&dir);
    let asked = Instant::now();
    task.cancel.cancel();
    pool.pool.cancelled();
    let error = *pool.next().1.unwrap_err().error;
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(pool.text_of("def f(): return 'alive'"), "alive");
}

#[test]
fn tasks_behind_one_that_dies_are_run_by_the_next_process() {
    let pool = Pool::new(1);
    let source = "import os\ndef f(i):\n    if i == 150: os._exit(1)\n    return str(i)";
    let op = Arc::new(op(source));
    let tasks: Vec<_> = (0..300_u32)
        .map(|index| {
            let mut task = task((*op).clone(), Bytes::new(), vec![]);
            task.op = Arc::clone(&op);
            task.index = Some(index);
            task
        })
        .collect();
    pool.start(tasks);
    let mut failed = Vec::new();
    for _ in 0..300 {
        let (number, result) = pool.next();
        match result {
            Ok(output) => assert_eq!(text(&output), number.to_string()),
            Err(failure) => failed.push((number, failure.error.kind)),
        }
    }
    assert_eq!(failed, [(150, ErrorKind::ExecutorDied)]);
}

#[test]
fn a_task_that_must_not_run_twice_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("runs");
    let source = format!(
        "import os\ndef f(i):\n    with open('{}', 'a') as file: file.write(f'{{i}}\\n')\n    if i == 20: os._exit(1)\n    return str(i)",
        file.display()
    );
    let op = Arc::new(op(&source));
    let options = Arc::new(TaskOptions {
        rerun: Rerun::Never,
        ..TaskOptions::default()
    });
    let pool = Pool::new(1);
    pool.start((0..40).map(|index| {
        let mut task = call((*op).clone());
        (task.op, task.options, task.index) = (Arc::clone(&op), Arc::clone(&options), Some(index));
        task
    }));
    (0..40).for_each(|_| drop(pool.next()));
    let runs: Vec<u32> = fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(runs, (0..40).collect::<Vec<_>>());
}

#[test]
fn a_process_that_has_grown_is_replaced_between_tasks() {
    let pool = Pool::with(1, |settings| settings.recycle_above = 200 << 20);
    let pid = "import os\ndef f(): return str(os.getpid())";
    let before = pool.text_of(pid);
    assert_eq!(pool.text_of(pid), before);
    let grow = "import builtins, time\ndef f():\n    builtins.kept = bytearray(b'x' * (300 << 20))\n    time.sleep(0.2)\n    return 'grown'";
    assert_eq!(pool.text_of(grow), "grown");
    assert_ne!(pool.text_of(pid), before);
}
