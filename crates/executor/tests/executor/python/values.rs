//! Large values go from task to task in shared memory.

use bytes::Bytes;
use millstream_store::{Format, Object, Payload};

use super::harness::*;
use crate::harness::task;

/// Memory that only this process holds.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

const GIB: u64 = 1 << 30;

#[test]
fn a_gigabyte_goes_between_two_tasks_without_a_copy() {
    let pool = Pool::new(1);
    let before = own_memory();
    let made = pool
        .run(call(op("import numpy\ndef f(): return numpy.ones(1 << 27)")))
        .unwrap();
    assert_eq!(made.format, Format::Pickle);
    assert!((GIB..GIB + 4096).contains(&made.payload.memory_size()));
    // What the reader's process takes of its own while it reads all of it, at the most.
    let source = "import threading, time\n\
        def own():\n    return int(open('/proc/self/status').read().split('RssAnon:')[1].split()[0]) * 1024\n\
        def f(array):\n    start, peak, done = own(), [0], []\n\
        \x20   def watch():\n        while not done: peak[0] = max(peak[0], own()); time.sleep(0.001)\n\
        \x20   watcher = threading.Thread(target=watch); watcher.start()\n\
        \x20   total = array.sum()\n    done.append(1); watcher.join()\n\
        \x20   return f'{int(total)} {array.flags.writeable} {max(peak[0], own()) - start}'";
    let read = text(
        &pool
            .run(task(op(source), Bytes::new(), vec![input(&made)]))
            .unwrap(),
    );
    let fields: Vec<_> = read.split(' ').collect();
    assert_eq!(fields[..2], ["134217728", "True"]);
    let reader: u64 = fields[2].parse().unwrap();
    let worker = own_memory().saturating_sub(before);
    eprintln!("own memory taken for 1 GiB: reader {reader} B, worker {worker} B");
    assert!(reader < 32 << 20, "the reader copied: {reader} B");
    assert!(worker < 32 << 20, "the worker copied: {worker} B");
}

#[test]
fn what_a_task_writes_to_its_input_nobody_else_sees() {
    let pool = Pool::new(2);
    let made = pool
        .run(call(op("import numpy\ndef f(): return numpy.zeros(1 << 20)")))
        .unwrap();
    let change = op("def f(a):\n    a += 1\n    return str(a.sum())");
    let run = || {
        text(
            &pool
                .run(task(change.clone(), Bytes::new(), vec![input(&made)]))
                .unwrap(),
        )
    };
    assert_eq!(run(), "1048576.0");
    assert_eq!(run(), "1048576.0");
}

#[test]
fn a_large_value_that_is_no_longer_shared_memory_is_given_all_the_same() {
    let pool = Pool::new(1);
    let made = pool
        .run(call(op("import numpy\ndef f(): return numpy.arange(1 << 20)")))
        .unwrap();
    let Payload::Shared(shared) = &made.payload else {
        panic!("a large value is in shared memory")
    };
    // As after a fetch or a spill.
    let copied = Bytes::copy_from_slice(&shared.encode_part(0).unwrap());
    let fetched = Object::new(Payload::single(copied), Format::Pickle).into();
    let sum = op("def f(a): return str(a.sum())");
    let read = pool.run(task(sum, Bytes::new(), vec![fetched])).unwrap();
    assert_eq!(text(&read), (((1_u64 << 20) - 1) << 19).to_string());
}

#[test]
fn more_large_inputs_than_one_message_carries_reach_their_task() {
    let pool = Pool::with(1, |settings| settings.inband_limit = 1024);
    let made = pool.run(call(op("def f(): return b'x' * 2000"))).unwrap();
    let inputs = (0..600).map(|_| input(&made)).collect();
    let count = op("def f(*parts): return str(sum(map(len, parts)))");
    let read = pool.run(task(count, Bytes::new(), inputs)).unwrap();
    assert_eq!(text(&read), "1200000");
}
