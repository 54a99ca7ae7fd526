//! Tasks that wait for other tasks: their workers get others in their stead.

use std::time::Duration;

use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_types::*;

use crate::bench::{Bench, map, map_of};

/// Workers of one slot are two tasks deep.
const DEPTH: usize = 2;

#[test]
fn a_worker_whose_tasks_all_wait_gets_as_many_again() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(10));
    assert_eq!(bench.workers[0].tasks.len(), DEPTH);
    let waiting: Vec<_> = bench.workers[0]
        .task_list()
        .iter()
        .map(|task| (job, *task))
        .collect();
    bench.workers[0].execute_and_wait(&waiting, &waiting);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.workers[0].tasks.len(), 2 * DEPTH);
    assert!(
        bench
            .task(job, 0)
            .explain
            .iter()
            .any(|line| line.contains("waits for other tasks"))
    );
    bench.workers[0].execute_and_wait(&waiting, &[]);
    bench.deliver_from(0);
    bench.step();
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_task_that_waits_gives_its_cores_back_and_keeps_its_device() {
    let mut bench = Bench::with_workers(&[]);
    bench.add_worker_of(|info| {
        info.slots = 2;
        info.resources = ResourceSet::new().with("gpu", Amount::whole(2));
    });
    let wanting = |cpu, gpu| TaskOptions {
        resources: ResourceSet::new()
            .with("cpu", Amount::whole(cpu))
            .with("gpu", Amount::whole(gpu)),
        ..TaskOptions::default()
    };
    let first = bench.submit(&map_of(1, wanting(2, 1)));
    let same = bench.submit(&map_of(1, wanting(2, 1)));
    let greedy = bench.submit(&map_of(1, wanting(1, 2)));
    assert_eq!(bench.holder_of(same, 0), None, "both cores are taken");
    bench.workers[0].execute_and_wait(&[(first, 0)], &[(first, 0)]);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.holder_of(same, 0), Some(0));
    assert_eq!(bench.holder_of(greedy, 0), None, "a device is taken still");
    bench.run();
    bench.pass(Duration::from_millis(100));
    bench.run();
    assert_eq!(bench.state(greedy), JobState::Succeeded);
}

#[test]
fn a_new_session_tells_anew_who_waits() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(10));
    let waiting = [(job, bench.workers[0].task_list()[0])];
    bench.workers[0].execute_and_wait(&waiting, &waiting);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.workers[0].tasks.len(), DEPTH + 1);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_worker_that_drains_leaves_only_after_what_waits_on_it() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(1));
    bench.workers[0].execute_and_wait(&[(job, 0)], &[(job, 0)]);
    bench.deliver_from(0);
    bench.step();
    let worker = bench.workers[0].info.worker;
    bench.ask(GatewayRequest::Drain { worker }).unwrap();
    assert!(!bench.workers[0].is_shut_down);
    bench.finish(0, job, &[0]);
    assert!(bench.workers[0].is_shut_down);
    assert_eq!(bench.state(job), JobState::Succeeded);
}
