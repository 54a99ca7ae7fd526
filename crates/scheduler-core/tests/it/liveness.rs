//! Silence, and who is blamed for it.

use std::time::Duration;

use millstream_protocol::ErrorKind;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;

use crate::bench::{Bench, chain, map, map_of};
use crate::recovery::next_leader;

fn worker_states(bench: &mut Bench) -> Vec<String> {
    match bench.ask(GatewayRequest::Workers) {
        Ok(Response::Workers(workers)) => workers.into_iter().map(|worker| worker.state).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_silent_worker_is_suspect_then_lost() {
    let mut bench = Bench::with_workers(&[1, 1]);
    bench.pass_with(Duration::from_secs(5), &[0, 1]);
    bench.pass_with(Duration::from_secs(4), &[0]);
    assert_eq!(worker_states(&mut bench), ["active", "suspect"]);
    bench.pass_with(Duration::from_secs(3), &[0]);
    assert_eq!(worker_states(&mut bench), ["active"]);
    assert_eq!(bench.core.counters().workers_lost, 1);
    assert!(
        bench
            .notes
            .iter()
            .any(|note| matches!(note, Note::WorkerGone { .. }))
    );
}

#[test]
fn a_leader_that_hears_nobody_blames_nobody() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let job = bench.submit(&map(2));
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.core.counters().workers_lost, 0);
    bench.pass_with(Duration::from_secs(1), &[0, 1]);
    assert_eq!(worker_states(&mut bench), ["active", "active"]);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn silence_while_the_broker_was_down_does_not_count() {
    let mut bench = Bench::with_workers(&[1, 1]);
    bench.pass_with(Duration::from_secs(5), &[0, 1]);
    bench.apply(SchedulerEvent::BrokerDown);
    bench.pass(Duration::from_secs(20));
    bench.apply(SchedulerEvent::BrokerUp);
    bench.connect(0);
    bench.pass_with(Duration::from_secs(2), &[0]);
    assert_eq!(bench.core.counters().workers_lost, 0);
    bench.connect(1);
    bench.pass_with(Duration::from_secs(9), &[0, 1]);
    assert_eq!(bench.core.counters().workers_lost, 0);
}

#[test]
fn only_executing_tasks_are_blamed_and_three_dead_workers_are_enough() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(2));
    for round in 0..3 {
        assert_eq!(bench.workers[round].task_list(), [0, 1]);
        bench.workers[round].execute(&[(job, 0)]);
        bench.workers[round].heartbeat();
        bench.deliver_from(round);
        bench.step();
        bench.workers[round].is_dead = true;
        let queue = std::mem::replace(&mut bench.workers[round].queue, "nobody".to_owned());
        bench.apply(SchedulerEvent::WorkerUnroutable { queue });
        bench.add_worker(1);
        bench.pass_with(Duration::from_secs(12), &[round + 1]);
        assert_eq!(bench.core.counters().workers_lost, round as u64 + 1);
    }
    let told = bench.task(job, 0);
    let error = told.error.unwrap();
    assert_eq!(error.kind, ErrorKind::KilledWorkers);
    assert_eq!(error.host.as_deref(), Some("host-2"));
    assert!(error.message.contains("300.0 MiB"), "{}", error.message);
    assert_eq!(bench.task(job, 1).failures, 0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Failed);
}

#[test]
fn a_task_that_must_not_run_twice_fails_when_its_worker_is_lost() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let options = TaskOptions {
        rerun: Rerun::Never,
        ..TaskOptions::default()
    };
    let job = bench.submit(&map_of(1, options));
    let at = bench.holder_of(job, 0).unwrap();
    bench.kill(at);
    let ended = bench.ended(job).unwrap();
    assert_eq!(ended.meta.error.as_ref().unwrap().kind, ErrorKind::RerunForbidden);
}

#[test]
fn a_worker_that_was_declared_lost_may_come_back_with_its_objects() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let job = bench.submit(&map(2));
    let at = bench.holder_of(job, 0).unwrap();
    let other = 1 - at;
    let mine: Vec<u32> = bench.workers[at].task_list();
    bench.workers[at].finish(job, &[0], 1, 10);
    bench.deliver_from(at);
    bench.step();
    bench.kill(at);
    assert!(bench.workers[other].task_list().contains(&0), "it is made again");
    bench.connect(at);
    assert!(
        !bench.workers[other].task_list().contains(&0),
        "it is not needed again: {mine:?}"
    );
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let executed = bench
        .workers
        .iter()
        .flat_map(|worker| &worker.executed)
        .filter(|(_, task)| *task == 0);
    assert_eq!(executed.count(), 1);
}

#[test]
fn a_leader_that_connects_again_says_hello_no_more_often() {
    let mut bench = Bench::with_workers(&[1]);
    for connection in 0..5 {
        bench.pass(Duration::from_millis(300));
        bench.apply(SchedulerEvent::BrokerDown);
        bench.pass(Duration::from_millis(700));
        bench.apply(SchedulerEvent::BrokerUp);
        bench.apply(SchedulerEvent::Listening {
            queue: format!("millstream.scheduler.1.{connection}"),
        });
        bench.step();
    }
    bench.pass(Duration::from_secs(2));
    bench.hellos = 0;
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.hellos, 10);
}

#[test]
fn a_leader_that_was_stopped_settles_its_jobs_before_it_judges_workers() {
    let mut old = Bench::with_workers(&[1, 1]);
    let job = old.submit(&chain(2));
    let at = old.holder_of(job, 0).unwrap();
    old.finish(at, job, &[0]);
    old.workers[at].tasks.clear();
    let mut bench = next_leader(old);
    bench.connect(at);
    assert!(bench.core.is_recovering());
    // Nothing is heard, and no timer fires, until the worker counts as lost.
    bench.clock.now = bench.clock.now + Duration::from_secs(20);
    bench.apply(SchedulerEvent::Tick);
    bench.step();
    assert!(!bench.core.is_recovering());
    bench.workers[at].is_dead = true;
    bench.connect(1 - at);
    bench.pass_with(Duration::from_secs(10), &[1 - at]);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[1 - at].executed, [(job, 0), (job, 1)]);
}
