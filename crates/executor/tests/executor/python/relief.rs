//! What a worker that is short of memory does to its Python processes.

use std::time::{Duration, Instant};

use millstream_executor::PythonMemory;
use millstream_protocol::ErrorKind;

use super::harness::{PATIENCE, Pool, call, op, text};

/// What all processes hold once `enough` says so.
fn held(memory: &PythonMemory, enough: impl Fn(u64) -> bool) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let total = memory.total();
        if enough(total) {
            return total;
        }
        assert!(Instant::now() < deadline, "the processes hold {total} bytes");
        std::thread::yield_now();
    }
}

#[test]
fn the_task_that_holds_the_most_is_killed_and_told_what_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: String| dir.path().join(name);
    let go = file("go".to_owned());
    let holds = |mebibytes: u32| {
        let ready = file(format!("holds-{mebibytes}"));
        call(op(&format!(
            "import os, time\ndef f():\n    held = bytearray(b'x') * ({mebibytes} << 20)\n    open('{}', 'w').close()\n    while not os.path.exists('{}'): time.sleep(0.01)\n    return str(len(held))",
            ready.display(),
            go.display(),
        )))
    };
    let pool = Pool::new(2);
    let memory = pool.pool.memory();
    pool.start([holds(300), holds(100)]);
    held(&memory, |total| {
        let ready = |mebibytes| file(format!("holds-{mebibytes}")).exists();
        ready(300) && ready(100) && total > 400 << 20
    });
    memory.recycle_largest();
    let (number, result) = pool.next();
    let error = *result.unwrap_err().error;
    assert_eq!((number, error.kind), (0, ErrorKind::OutOfMemory));
    for word in [
        "`users:f`",
        "worker.terminate",
        "worker.memory_limit",
        "this one held the most",
        "MiB",
    ] {
        assert!(error.message.contains(word), "no `{word}` in {}", error.message);
    }
    held(&memory, |total| total < 300 << 20);
    std::fs::write(&go, "").unwrap();
    let (number, result) = pool.next();
    assert_eq!((number, text(&result.unwrap())), (1, (100 << 20).to_string()));
    assert_eq!(pool.text_of("def f(): return 'alive'"), "alive");
}

#[test]
fn an_idle_process_that_holds_much_is_replaced_and_a_small_one_is_kept() {
    let pool = Pool::new(1);
    let memory = pool.pool.memory();
    let pid = "import os\ndef f(): return str(os.getpid())";
    let small = pool.text_of(pid);
    memory.recycle_largest();
    let grow = "import builtins, time\ndef f():\n    builtins.kept = bytearray(b'x' * (300 << 20))\n    time.sleep(0.3)\n    return 'grown'";
    assert_eq!(pool.text_of(grow), "grown");
    assert_eq!(pool.text_of(pid), small);
    memory.recycle_largest();
    held(&memory, |total| total < 100 << 20);
    let deadline = Instant::now() + Duration::from_secs(60);
    while pool.text_of(pid) == small {
        assert!(Instant::now() < deadline, "the process was not replaced");
    }
}
