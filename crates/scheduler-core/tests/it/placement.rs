//! Which worker gets what: spreading, locality, resources, memory, lookahead, balance, drain.

use std::time::Duration;

use millstream_protocol::ErrorKind;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, chain, map, map_of};

#[test]
fn roots_are_spread_and_queues_are_two_deep_per_slot_at_first() {
    let mut bench = Bench::with_workers(&[2, 2]);
    bench.submit(&map(100));
    assert_eq!(bench.workers[0].tasks.len(), 4);
    assert_eq!(bench.workers[1].tasks.len(), 4);
}

#[test]
fn few_roots_go_to_different_workers() {
    let mut bench = Bench::with_workers(&[4, 4]);
    bench.submit(&map(2));
    assert_eq!(bench.workers[0].tasks.len(), 1);
    assert_eq!(bench.workers[1].tasks.len(), 1);
}

#[test]
fn queues_grow_for_operations_known_to_be_short() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(20_000));
    assert_eq!(bench.workers[0].tasks.len(), 2);
    for _ in 0..3 {
        let tasks = bench.workers[0].task_list();
        bench.workers[0].finish(job, &tasks, 1, 45);
        bench.deliver_from(0);
        bench.step();
    }
    // 50 ms of tasks of 45 µs and 5 µs of overhead.
    assert!(
        (900..=1100).contains(&bench.workers[0].tasks.len()),
        "{}",
        bench.workers[0].tasks.len()
    );
}

/// Loads, a reducer for each, and the sum of what these make, submitted in that order.
fn loads_and_reducers(count: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let loads: Vec<_> = (0..count).map(|_| graph.task(op, options, b"", &[])).collect();
    let reduced: Vec<Dep> = loads
        .into_iter()
        .map(|load| Dep::whole(graph.task(op, options, b"", &[Dep::whole(load)])))
        .collect();
    let sum = graph.task(op, options, b"", &reduced);
    graph.want(sum);
    graph.finish()
}

/// What a worker runs next: it goes by the order that the leader gave.
fn next_of(bench: &Bench, at: usize, job: JobId) -> Option<u32> {
    let ready = bench.runnable(at).remove(&job)?;
    let priority = |task: &u32| bench.workers[at].tasks[&(job, *task)].priority;
    ready.into_iter().min_by_key(priority)
}

#[test]
fn loads_are_freed_early_because_their_readers_come_first() {
    const LOADS: u32 = 50;
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&loads_and_reducers(LOADS));
    let mut most = 0;
    while let Some(task) = next_of(&bench, 0, job) {
        bench.workers[0].finish(job, &[task], 1, 100_000);
        bench.deliver_from(0);
        bench.step();
        let objects = bench.workers[0].objects.keys();
        most = most.max(objects.filter(|(_, task)| *task < LOADS).count());
    }
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert!(most <= 3, "{most} of {LOADS} loads were held at once");
}

#[test]
fn a_reader_goes_where_its_bytes_are() {
    let mut bench = Bench::with(CoreConfig {
        max_lookahead: 0,
        ..CoreConfig::default()
    });
    bench.add_worker(2);
    bench.add_worker(2);
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let big = graph.task(op, options, b"", &[]);
    let small = graph.task(op, options, b"", &[]);
    let join = graph.task(op, options, b"", &[Dep::whole(big), Dep::whole(small)]);
    graph.want(join);
    let job = bench.submit(&graph.finish());
    let at = bench.holder_of(job, big.0).unwrap();
    let other = bench.holder_of(job, small.0).unwrap();
    assert_ne!(at, other);
    bench.workers[at].finish(job, &[big.0], 100 << 20, 10);
    bench.deliver_from(at);
    bench.workers[other].finish(job, &[small.0], 1, 10);
    bench.deliver_from(other);
    bench.step();
    assert_eq!(bench.holder_of(job, join.0), Some(at));
    let inputs = &bench.workers[at].tasks[&(job, join.0)].inputs;
    assert_eq!(inputs[0].holders, [], "it is here");
    assert_eq!(inputs[1].holders, [bench.workers[other].info.worker]);
}

#[test]
fn a_chain_is_sent_ahead_to_the_worker_that_makes_its_inputs() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let job = bench.submit(&chain(100));
    let at = bench.holder_of(job, 0).unwrap();
    assert_eq!(bench.workers[at].tasks.len(), 100);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn tasks_sent_ahead_come_back_when_their_input_fails() {
    let mut bench = Bench::with_workers(&[1]);
    let mut graph = chain(4);
    graph.options[0].retries = 1;
    let job = bench.submit(&graph);
    bench.workers[0].fail(job, 0, ErrorKind::User);
    assert!(bench.workers[0].tasks.is_empty());
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.job(job).counts.waiting, 4);
    bench.pass(Duration::from_millis(200));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_long_queue_is_shared_with_a_worker_that_comes_late() {
    let mut bench = Bench::with_workers(&[4]);
    let job = bench.submit(&map(8));
    assert_eq!(bench.workers[0].tasks.len(), 8);
    let running: Vec<_> = bench.workers[0].task_list()[..4]
        .iter()
        .map(|task| (job, *task))
        .collect();
    bench.workers[0].execute(&running);
    bench.deliver_from(0);
    bench.add_worker(4);
    for _ in 0..5 {
        bench.pass(Duration::from_millis(60));
    }
    assert!(
        bench.workers[1].tasks.len() >= 2,
        "{}",
        bench.workers[1].tasks.len()
    );
    bench.run();
    let executed: usize = bench.workers.iter().map(|worker| worker.executed.len()).sum();
    assert_eq!(executed, 8, "nothing ran twice");
}

#[test]
fn a_task_asked_back_is_not_given_elsewhere_before_the_answer() {
    let mut bench = Bench::with_workers(&[4]);
    let job = bench.submit(&map(8));
    bench.workers[0].answers = false;
    bench.add_worker(4);
    bench.pass(Duration::from_millis(60));
    let asked: Vec<u32> = bench.workers[0]
        .unanswered
        .iter()
        .map(|(_, task, _)| *task)
        .collect();
    assert!(!asked.is_empty());
    assert!(bench.workers[1].tasks.is_empty());
    // One has started, the others come back.
    bench.workers[0].execute(&[(job, asked[0])]);
    bench.workers[0].answer_all();
    bench.deliver_from(0);
    bench.step();
    let mut moved = bench.workers[1].task_list();
    moved.sort_unstable();
    let mut expected = asked[1..].to_vec();
    expected.sort_unstable();
    assert_eq!(moved, expected);
}

#[test]
fn resources_are_never_oversubscribed() {
    let mut bench = Bench::new();
    bench.add_worker_of(|info| {
        info.slots = 8;
        info.resources = ResourceSet::new().with("gpu", Amount::whole(2));
    });
    bench.add_worker(8);
    let options = TaskOptions {
        resources: ResourceSet::new().with("gpu", Amount::whole(1)),
        ..TaskOptions::default()
    };
    let job = bench.submit(&map_of(5, options));
    for left in [2, 2, 1] {
        assert_eq!(bench.workers[0].tasks.len(), left);
        let tasks = bench.workers[0].task_list();
        bench.finish(0, job, &tasks);
    }
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn what_no_worker_can_run_waits_with_an_explanation_and_fails_in_the_end() {
    let mut bench = Bench::with(CoreConfig {
        unschedulable_after: Some(Duration::from_secs(30)),
        ..CoreConfig::default()
    });
    bench.add_worker(1);
    let options = TaskOptions {
        resources: ResourceSet::new().with("gpu", Amount::whole(1)),
        ..TaskOptions::default()
    };
    let job = bench.submit(&map_of(1, options.clone()));
    let told = bench.task(job, 0);
    assert!(told.explain[0].contains("gpu"), "{:?}", told.explain);
    assert!(
        bench
            .events(job)
            .iter()
            .any(|event| matches!(event, JobEventKind::Unschedulable { .. }))
    );
    bench.pass_with(Duration::from_secs(31), &[0]);
    let ended = bench.ended(job).unwrap();
    assert_eq!(ended.meta.error.as_ref().unwrap().kind, ErrorKind::Unschedulable);
    // A worker that can comes in time.
    let job = bench.submit(&map_of(1, options));
    bench.pass_with(Duration::from_secs(10), &[0]);
    bench.add_worker_of(|info| info.resources = ResourceSet::new().with("gpu", Amount::whole(1)));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_task_runs_only_on_the_workers_it_names() {
    let mut bench = Bench::with_workers(&[4, 4]);
    let options = TaskOptions {
        workers: vec!["worker-1".to_owned()],
        ..TaskOptions::default()
    };
    bench.submit(&map_of(4, options));
    assert_eq!(
        (bench.workers[0].tasks.len(), bench.workers[1].tasks.len()),
        (0, 4)
    );
}

#[test]
fn new_roots_are_withheld_while_memory_is_short_but_never_all_of_them() {
    let mut bench = Bench::new();
    bench.add_worker_of(|info| {
        info.slots = 8;
        info.memory_limit = ByteSize::from_mib(100);
    });
    let job = bench.submit(&map(40));
    let tasks = bench.workers[0].task_list();
    assert_eq!(tasks.len(), 16);
    // The sizes are known now: 16 MiB each, and only the first one is done.
    bench.workers[0].finish(job, &tasks[..1], 16 << 20, 10);
    bench.deliver_from(0);
    bench.step();
    while bench.workers[0].tasks.len() > 1 {
        let tasks = bench.workers[0].task_list();
        bench.workers[0].finish(job, &tasks[..1], 16 << 20, 10);
        bench.deliver_from(0);
        bench.step();
    }
    // All that was given before is done. Now one at a time goes on, since nothing else can.
    for _ in 0..5 {
        let tasks = bench.workers[0].task_list();
        assert_eq!(tasks.len(), 1);
        bench.workers[0].finish(job, &tasks, 16 << 20, 10);
        bench.deliver_from(0);
        bench.step();
    }
}

#[test]
fn a_paused_worker_gets_nothing_while_another_takes_work() {
    let mut bench = Bench::with_workers(&[1, 1]);
    pause(&mut bench, 0, 0);
    bench.submit(&map(8));
    assert!(bench.workers[0].tasks.is_empty());
    bench.workers[0].heartbeat();
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.workers[0].tasks.len(), 2);
}

#[test]
fn when_all_workers_are_paused_each_idle_one_gets_one_task() {
    let mut bench = Bench::with_workers(&[1, 1]);
    pause(&mut bench, 0, 0);
    pause(&mut bench, 1, 1);
    let job = bench.submit(&map(4));
    assert_eq!(bench.workers[0].tasks.len(), 1);
    assert!(bench.workers[1].tasks.is_empty(), "it still executes something");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

fn pause(bench: &mut Bench, at: usize, executing: u32) {
    let mut load = bench.workers[at].load();
    load.paused = true;
    load.executing = executing;
    bench.workers[at].say(FromWorker::Heartbeat(load));
    bench.deliver_from(at);
}

#[test]
fn a_draining_worker_gives_its_tasks_back_has_its_objects_copied_and_leaves() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let job = bench.submit(&map(4));
    let first = bench.workers[0].task_list();
    bench.finish(0, job, &first[..1]);
    let worker = bench.workers[0].info.worker;
    bench.ask(GatewayRequest::Drain { worker }).unwrap();
    assert!(bench.workers[0].is_draining);
    assert!(bench.workers[0].tasks.is_empty());
    assert!(!bench.workers[0].is_shut_down, "its result is only there");
    bench.workers[1].replicated();
    bench.deliver_from(1);
    bench.step();
    assert!(bench.workers[0].is_shut_down);
    bench.kill(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.core.counters().workers_lost, 0, "it left as told");
    assert_eq!(bench.core.counters().recomputed, 0);
}

#[test]
fn what_one_of_two_draining_workers_takes_over_from_the_other_is_copied_on() {
    let mut bench = Bench::with_workers(&[1, 1, 1]);
    let job = bench.submit(&map(3));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    // The first object goes to the worker that is told to leave just then.
    for at in [0, 1] {
        let worker = bench.workers[at].info.worker;
        bench.ask(GatewayRequest::Drain { worker }).unwrap();
    }
    for _ in 0..3 {
        for at in 0..3 {
            bench.workers[at].replicated();
            bench.deliver_from(at);
            bench.step();
        }
    }
    assert!(bench.workers[0].is_shut_down && bench.workers[1].is_shut_down);
    assert_eq!(bench.workers[2].objects.len(), 3);
}

#[test]
fn workers_that_all_drain_finish_what_runs_and_leave_without_copies() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let job = bench.submit(&map(4));
    let first = bench.workers[0].task_list();
    bench.finish(0, job, &first[..1]);
    let running = bench.workers[1].task_list()[0];
    bench.workers[1].execute(&[(job, running)]);
    bench.deliver_from(1);
    for at in [1, 0] {
        let worker = bench.workers[at].info.worker;
        bench.ask(GatewayRequest::Drain { worker }).unwrap();
    }
    assert!(
        bench.workers[0].is_shut_down,
        "nobody can take over what it holds"
    );
    assert!(!bench.workers[1].is_shut_down, "one of its tasks runs");
    bench.finish(1, job, &[running]);
    assert!(bench.workers[1].is_shut_down);
    bench.kill(0);
    bench.kill(1);
    bench.add_worker(1);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.core.counters().workers_lost, 0, "they left as told");
}

#[test]
fn a_tree_runs_on_both_workers_and_frees_what_it_has_read() {
    let mut bench = Bench::with_workers(&[2, 2]);
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let leaves = graph.blockwise(64, op, options, vec![]);
    let tree = graph.tree_reduce(leaves, 4, op, options);
    let all = graph.all_to_all(leaves, 3, op, options);
    graph.want(tree.at(tree.count - 1));
    graph.want(all.at(0));
    let job = bench.submit(&graph.finish());
    bench.run();
    let answer = bench.job(job);
    assert_eq!(answer.meta.state, JobState::Succeeded);
    assert_eq!(answer.counts.stored, 2);
    let held: usize = bench.workers.iter().map(|worker| worker.objects.len()).sum();
    assert_eq!(held, 2);
    assert!(bench.workers.iter().all(|worker| worker.executed.len() > 10));
}

#[test]
fn a_copy_on_its_way_to_a_worker_is_not_forgotten_with_the_end_of_its_job() {
    let mut bench = Bench::with_workers(&[1, 1, 1]);
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let tasks = graph.blockwise(3, op, options, vec![]);
    graph.want(tasks.at(1));
    graph.want(tasks.at(2));
    let job = bench.submit(&graph.finish());
    for task in 0..3 {
        assert_eq!(bench.holder_of(job, task), Some(task as usize));
    }
    bench.finish(0, job, &[0]);
    bench.finish(1, job, &[1]);
    let worker = bench.workers[1].info.worker;
    bench.ask(GatewayRequest::Drain { worker }).unwrap();
    assert_eq!(bench.workers[0].replicate.len(), 1);
    bench.finish(2, job, &[2]);
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert!(bench.workers[0].forgotten.is_empty());
    bench.workers[0].replicated();
    bench.deliver_from(0);
    bench.step();
    assert!(bench.workers[1].is_shut_down);
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    bench.nothing_left();
}
