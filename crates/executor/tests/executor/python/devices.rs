//! Tasks that ask for GPUs see devices that no other task has.

use std::path::Path;
use std::sync::Arc;

use millstream_executor::TaskContext;
use millstream_protocol::ErrorKind;
use millstream_protocol::graph::TaskOptions;
use millstream_types::{Amount, ResourceSet};

use super::harness::*;

fn pool(slots: usize) -> Pool {
    Pool::with(slots, |settings| {
        settings.devices = vec!["3".to_owned(), "7".to_owned()]
    })
}

fn asking(gpu_milli: u64, source: &str) -> TaskContext {
    let mut task = call(op(source));
    task.options = Arc::new(TaskOptions {
        resources: ResourceSet::new().with("gpu", Amount::milli(gpu_milli)),
        ..TaskOptions::default()
    });
    task
}

/// Waits until as many have begun, and returns what it sees.
fn meeting(dir: &Path, count: usize) -> String {
    format!(
        "import os, time\n\
         def f():\n\
         \x20   open('{dir}/%d' % os.getpid(), 'w').close()\n\
         \x20   while len(os.listdir('{dir}')) < {count}: time.sleep(0.01)\n\
         \x20   return os.environ['CUDA_VISIBLE_DEVICES']",
        dir = dir.display()
    )
}

fn seen_by(pool: &Pool, tasks: Vec<TaskContext>) -> Vec<String> {
    let count = tasks.len();
    pool.start(tasks);
    let mut seen: Vec<_> = (0..count).map(|_| text(&pool.next().1.unwrap())).collect();
    seen.sort_unstable();
    seen
}

const SEEN: &str = "import os\ndef f(): return os.environ['CUDA_VISIBLE_DEVICES']";

#[test]
fn tasks_at_the_same_time_see_distinct_devices() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(3);
    let task = asking(1000, &meeting(dir.path(), 2));
    assert_eq!(seen_by(&pool, vec![task.clone(), task]), ["3", "7"]);
    assert_eq!(seen_by(&pool, vec![asking(2000, SEEN)]), ["3,7"]);
}

#[test]
fn tasks_that_share_a_device_leave_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(3);
    let source = meeting(dir.path(), 3);
    let (half, whole) = (asking(500, &source), asking(1000, &source));
    assert_eq!(seen_by(&pool, vec![half.clone(), half, whole]), ["3", "3", "7"]);
}

#[test]
fn tasks_beyond_the_devices_wait_for_them_and_hold_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let go_on = dir.path().join("go_on");
    let pool = pool(4);
    let wait = format!(
        "import os, time\ndef f():\n    while not os.path.exists('{}'): time.sleep(0.01)\n    return 'first'",
        go_on.display()
    );
    pool.start([
        asking(2000, &wait),
        asking(1000, SEEN),
        call(op("def f(): return 'none'")),
    ]);
    let (number, result) = pool.next();
    assert_eq!((number, text(&result.unwrap()).as_str()), (2, "none"));
    std::fs::write(go_on, "").unwrap();
    let next = || {
        let (number, result) = pool.next();
        (number, text(&result.unwrap()))
    };
    assert_eq!(next(), (0, "first".to_owned()));
    assert_eq!(next(), (1, "3".to_owned()), "only then were devices free");
}

#[test]
fn a_process_is_used_again_for_the_devices_it_has() {
    let pool = pool(1);
    let source = "import os\ndef f(): return str(os.getpid())";
    let one = |gpu| text(&pool.run(asking(gpu, source)).unwrap());
    let first = one(1000);
    assert_eq!(one(1000), first);
    assert_ne!(one(2000), first);
}

#[test]
fn more_devices_than_there_are_is_an_error() {
    let error = pool(1).fail(asking(3000, SEEN));
    assert_eq!(error.kind, ErrorKind::Environment);
    assert!(error.message.contains("3 gpu"), "{}", error.message);
}

#[test]
fn tasks_without_devices_see_what_the_worker_sees() {
    let source = "import os\ndef f(): return str(os.environ.get('CUDA_VISIBLE_DEVICES'))";
    assert_eq!(
        pool(1).text_of(source),
        std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or("None".to_owned())
    );
}
