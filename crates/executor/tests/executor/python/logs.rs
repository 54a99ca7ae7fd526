//! What tasks print is kept per task, from the head and the tail.

use millstream_protocol::wire::TaskLog;

use super::harness::*;

fn log(source: &str) -> TaskLog {
    let pool = Pool::new(1);
    let output = pool.run(call(op(source))).unwrap();
    *output.log.unwrap()
}

#[test]
fn print_logging_and_standard_error_are_kept() {
    let source = "import logging, sys\ndef f():\n    print('out', flush=True)\n    logging.getLogger('mine').info('told')\n    sys.stderr.write('err\\n')\n    sys.stdout.buffer.write(b'bytes\\n')";
    assert_eq!(log(source).head, "out\nINFO:mine:told\nerr\nbytes\n");
}

#[test]
fn what_goes_past_python_is_kept_too() {
    let source = "import os, subprocess\ndef f():\n    os.write(1, b'raw\\n')\n    subprocess.run(['sh', '-c', 'echo child'], check=True)";
    let head = log(source).head;
    assert!(head.contains("raw\n") && head.contains("child\n"), "{head}");
}

#[test]
fn unbounded_output_costs_no_memory_and_keeps_head_and_tail() {
    let log = log("def f():\n    for i in range(200_000): print(i)");
    assert!(log.head.starts_with("0\n1\n2\n") && log.tail.ends_with("\n199998\n199999\n"));
    assert_eq!((log.head.len(), log.tail.len()), (64 << 10, 64 << 10));
    let all: u64 = (0..200_000_u64).map(|i| i.to_string().len() as u64 + 1).sum();
    assert_eq!(log.omitted, all - (128 << 10));
}

#[test]
fn each_task_has_its_own_output() {
    let pool = Pool::new(2);
    let op = std::sync::Arc::new(op("def f(i):\n    print(i)\n    return str(i)"));
    pool.start((0..200).map(|index| {
        let mut task = call((*op).clone());
        (task.op, task.index) = (std::sync::Arc::clone(&op), Some(index));
        task
    }));
    for _ in 0..200 {
        let (number, result) = pool.next();
        assert_eq!(result.unwrap().log.unwrap().head, format!("{number}\n"));
    }
}
