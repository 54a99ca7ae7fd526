//! Lost objects: lineage, generations, rollback, unreachable peers.

use std::time::Duration;

use millstream_protocol::ErrorKind;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, chain, chain_of, dice, map};

fn no_lookahead() -> CoreConfig {
    CoreConfig {
        max_lookahead: 0,
        ..CoreConfig::default()
    }
}

/// A bench with one worker that has done the first `done` tasks of a job, and then an idle second worker.
fn half_done(graph: &Graph, done: u32) -> (Bench, JobId) {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(graph);
    for task in 0..done {
        bench.finish(0, job, &[task]);
    }
    bench.add_worker(1);
    (bench, job)
}

#[test]
fn a_lost_object_is_made_again_with_the_released_inputs_below_it() {
    let (mut bench, job) = half_done(&chain(5), 3);
    assert_eq!(bench.job(job).counts.released, 2);
    bench.kill(0);
    assert_eq!(bench.core.counters().recomputed, 3);
    let counts = bench.job(job).counts;
    assert_eq!((counts.stored, counts.released), (0, 0));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let tasks: Vec<u32> = bench.workers[1].executed.iter().map(|(_, task)| *task).collect();
    assert_eq!(tasks, [0, 1, 2, 3, 4]);
    assert!(bench.events(job).iter().any(|event| matches!(
        event,
        JobEventKind::WorkerLost {
            requeued: 1,
            recomputed: 1,
            ..
        }
    )));
}

#[test]
fn an_object_that_nobody_needs_is_not_made_again() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&map(1));
    bench.run();
    bench.add_worker(1);
    bench.kill(0);
    assert_eq!(bench.core.counters().recomputed, 0);
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_lost_result_of_an_ended_job_is_recovered_when_it_is_asked_for() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&chain(3));
    bench.run();
    bench.add_worker(1);
    bench.kill(0);
    let locate = |bench: &mut Bench| {
        bench.ask(GatewayRequest::Locate {
            job,
            task: TaskIdx(2),
            failed: vec![],
        })
    };
    assert!(matches!(
        locate(&mut bench),
        Ok(Response::Location(ObjectLocation::Pending {
            state: JobState::Recovering
        }))
    ));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert!(matches!(
        locate(&mut bench),
        Ok(Response::Location(ObjectLocation::Held(_)))
    ));
}

#[test]
fn a_new_run_is_a_new_generation() {
    let (mut bench, job) = half_done(&chain(2), 1);
    let first = bench.workers[0].objects[&(job, 0)].0;
    bench.kill(0);
    bench.finish(1, job, &[0]);
    let second = bench.workers[1].objects[&(job, 0)].0;
    assert!(second > first);
    assert_eq!(bench.workers[1].tasks[&(job, 1)].inputs[0].attempt, second);
}

#[test]
fn what_was_made_from_a_lost_indeterminate_output_is_made_again_too() {
    // One throw of the dice, read by two tasks, whose outputs are read by a last one.
    let mut graph = GraphBuilder::new();
    let dice = graph.op(dice());
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let throw = graph.task(dice, options, b"", &[]);
    let a = graph.task(f, options, b"", &[Dep::whole(throw)]);
    let b = graph.task(f, options, b"", &[Dep::whole(throw)]);
    let sum = graph.task(f, options, b"", &[Dep::whole(a), Dep::whole(b)]);
    graph.want(sum);
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&graph.finish());
    bench.finish(0, job, &[throw.0]);
    bench.add_worker(1);
    // `a` is done; the dice are lost before `b` has read them.
    assert_eq!(bench.holder_of(job, a.0), Some(0));
    bench.finish(0, job, &[a.0]);
    bench.workers[0].objects.remove(&(job, throw.0));
    let lost = crate::bench::objects(job, throw.0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].say(FromWorker::Lost(lost));
    bench.deliver_from(0);
    bench.step();
    assert!(
        !bench.workers[0].objects.contains_key(&(job, a.0)),
        "the old throw's reader is dropped"
    );
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let runs = bench
        .workers
        .iter()
        .flat_map(|worker| &worker.executed)
        .filter(|(_, task)| *task == a.0)
        .count();
    assert_eq!(runs, 2);
}

#[test]
fn a_delivered_output_that_cannot_be_made_the_same_way_fails_the_job() {
    let mut graph = chain_of(2, &dice());
    graph.outputs.push(0);
    let (mut bench, job) = half_done(&graph, 1);
    let located = bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(0),
        failed: vec![],
    });
    assert!(matches!(located, Ok(Response::Location(ObjectLocation::Held(_)))));
    bench.kill(0);
    let ended = bench.ended(job).unwrap();
    assert_eq!(
        ended.meta.error.as_ref().unwrap().kind,
        ErrorKind::IndeterminateLoss
    );
}

#[test]
fn an_input_that_its_holder_does_not_have_is_made_again() {
    let (mut bench, job) = half_done(&chain(2), 1);
    // What is said to be gone is freed all the same.
    bench.workers[0].strict = false;
    let holder = bench.workers[0].info.worker;
    bench.workers[0].objects.clear();
    let attempt = Attempt::new(Term(1), 1);
    bench.workers[0].gone(
        job,
        1,
        GoneInput {
            task: TaskIdx(0),
            attempt,
            gone_at: vec![holder],
            unreachable: vec![],
        },
    );
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.core.counters().recomputed, 1);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn workers_that_cannot_reach_each_other_do_not_stop_a_job() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    bench.add_worker(1);
    // Two inputs on two workers that cannot reach each other: one of them is given up in the end.
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let roots: Vec<_> = (0..2).map(|_| graph.task(op, options, b"", &[])).collect();
    let join = graph.task(op, options, b"", &[Dep::whole(roots[0]), Dep::whole(roots[1])]);
    graph.want(join);
    let job = bench.submit(&graph.finish());
    let homes = [bench.holder_of(job, 0).unwrap(), bench.holder_of(job, 1).unwrap()];
    assert_ne!(homes[0], homes[1]);
    for (task, home) in homes.into_iter().enumerate() {
        bench.finish(home, job, &[task as u32]);
    }
    for _ in 0..20 {
        let Some(at) = bench.holder_of(job, join.0) else {
            break;
        };
        let row = bench.workers[at].tasks[&(job, join.0)].clone();
        let far = row.inputs.iter().find(|input| !input.holders.is_empty()).cloned();
        let Some(input) = far else {
            break;
        };
        let holder = input.holders[0];
        bench.workers[at].gone(
            job,
            join.0,
            GoneInput {
                task: TaskIdx(input.task),
                attempt: input.attempt,
                gone_at: vec![],
                unreachable: vec![holder],
            },
        );
        bench.deliver_from(at);
        bench.step();
        for at in 0..2 {
            for root in 0..2 {
                if bench.workers[at].tasks.contains_key(&(job, root)) {
                    bench.finish(at, job, &[root]);
                }
            }
        }
    }
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_replica_saves_the_recomputation() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&map(1));
    bench.run();
    bench.add_worker(1);
    let (attempt, bytes) = bench.workers[0].objects[&(job, 0)];
    bench.workers[1].objects.insert((job, 0), (attempt, bytes));
    bench.connect(1);
    assert_eq!(bench.task(job, 0).workers.len(), 2);
    bench.kill(0);
    assert_eq!(bench.task(job, 0).workers, [bench.workers[1].info.worker]);
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    bench.nothing_left();
}

#[test]
fn a_retried_task_waits_again_when_its_input_is_lost_meanwhile() {
    let mut graph = chain(2);
    graph.options[0].retries = 3;
    let (mut bench, job) = half_done(&graph, 1);
    bench.workers[0].fail(job, 1, ErrorKind::User);
    bench.deliver_from(0);
    bench.step();
    bench.workers[0].objects.clear();
    let lost = crate::bench::objects(job, 0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].say(FromWorker::Lost(lost));
    bench.deliver_from(0);
    bench.step();
    bench.pass_with(Duration::from_secs(1), &[0, 1]);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_rollback_reaches_what_was_made_through_tasks_that_run_again_themselves() {
    // dice → a → b → {c, d}: b is lost when c is made and d is not.
    let mut graph = GraphBuilder::new();
    let dice = graph.op(dice());
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let throw = graph.task(dice, options, b"", &[]);
    let a = graph.task(f, options, b"", &[Dep::whole(throw)]);
    let b = graph.task(f, options, b"", &[Dep::whole(a)]);
    let c = graph.task(f, options, b"", &[Dep::whole(b)]);
    let d = graph.task(f, options, b"", &[Dep::whole(b)]);
    let sum = graph.task(f, options, b"", &[Dep::whole(c), Dep::whole(d)]);
    graph.want(sum);
    let (mut bench, job) = half_done(&graph.finish(), 4);
    bench.workers[0].objects.remove(&(job, b.0));
    let lost = crate::bench::objects(job, b.0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].say(FromWorker::Lost(lost));
    bench.deliver_from(0);
    bench.step();
    assert!(
        !bench.workers[0].objects.contains_key(&(job, c.0)),
        "it is of the old throw"
    );
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn an_output_that_cannot_be_made_the_same_way_again_is_refused_for_good() {
    let mut graph = chain_of(2, &dice());
    graph.outputs.push(0);
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&graph);
    bench.run();
    let locate = |bench: &mut Bench, task| {
        bench.ask(GatewayRequest::Locate {
            job,
            task: TaskIdx(task),
            failed: vec![],
        })
    };
    assert!(matches!(
        locate(&mut bench, 0),
        Ok(Response::Location(ObjectLocation::Held(_)))
    ));
    bench.add_worker(1);
    bench.kill(0);
    assert!(matches!(
        locate(&mut bench, 1),
        Ok(Response::Location(ObjectLocation::Pending { .. }))
    ));
    assert_eq!(bench.state(job), JobState::Failed);
    for task in [0, 1] {
        match locate(&mut bench, task) {
            Ok(Response::Location(ObjectLocation::Failed(error))) => {
                assert_eq!(error.kind, ErrorKind::IndeterminateLoss);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Dice, read by `a` and by `b`, whose outputs are read by a last task.
fn throw_and_readers() -> Graph {
    let mut graph = GraphBuilder::new();
    let dice = graph.op(dice());
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let throw = graph.task(dice, options, b"", &[]);
    let a = graph.task(f, options, b"", &[Dep::whole(throw)]);
    let b = graph.task(f, options, b"", &[Dep::whole(throw)]);
    let sum = graph.task(f, options, b"", &[Dep::whole(a), Dep::whole(b)]);
    graph.want(sum);
    graph.finish()
}

#[test]
fn what_comes_back_with_a_lost_worker_is_not_mixed_with_a_new_throw() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&throw_and_readers());
    bench.finish(0, job, &[0]);
    bench.finish(0, job, &[1]);
    let old = bench.workers[0].objects.clone();
    bench.add_worker(1);
    bench.kill(0);
    // The throw is made again; `a` of the last one comes back before it is.
    bench.workers[0].objects = old.into_iter().filter(|((_, task), _)| *task == 1).collect();
    bench.workers[0].tasks.clear();
    bench.connect(0);
    assert!(bench.workers[0].objects.is_empty(), "it is void");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let runs = bench
        .workers
        .iter()
        .flat_map(|worker| &worker.executed)
        .filter(|(_, task)| *task == 1)
        .count();
    assert_eq!(runs, 2);
}

#[test]
fn a_task_that_is_being_stopped_runs_again_when_it_is_needed_after_all() {
    // A last task reads `x` and the dice; `x` runs when the dice were thrown, and fails for good once.
    let mut graph = GraphBuilder::new();
    let dice = graph.op(dice());
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let throw = graph.task(dice, options, b"", &[]);
    let input = graph.task(f, options, b"", &[]);
    let a = graph.task(f, options, b"", &[Dep::whole(throw), Dep::whole(input)]);
    let b = graph.task(f, options, b"", &[Dep::whole(throw), Dep::whole(a)]);
    graph.want(b);
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(2);
    let job = bench.submit(&graph.finish());
    bench.finish(0, job, &[throw.0, input.0]);
    bench.finish(0, job, &[a.0]);
    // `input` is lost and freed, then the throw: `a` has to be made again, and with it everything.
    let lost = crate::bench::objects(job, throw.0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].objects.remove(&(job, throw.0));
    bench.workers[0].answers = false;
    bench.workers[0].say(FromWorker::Lost(lost.clone()));
    bench.deliver_from(0);
    bench.step();
    bench.workers[0].answers = true;
    bench.workers[0].answer_all();
    bench.deliver_from(0);
    bench.step();
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    bench.nothing_left();
}

#[test]
fn the_number_of_a_run_is_not_given_again_after_an_older_one_was_adopted() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&chain(2));
    bench.finish(0, job, &[0]);
    let old = bench.workers[0].objects.clone();
    bench.add_worker(1);
    bench.kill(0);
    let second = bench.workers[1].tasks[&(job, 0)].attempt;
    // The first run's output comes back; it is taken, and lost again.
    bench.workers[0].objects = old;
    bench.workers[0].tasks.clear();
    bench.connect(0);
    assert!(bench.workers[0].objects.contains_key(&(job, 0)));
    bench.kill(0);
    let third = bench.workers[1].tasks[&(job, 0)].attempt;
    assert!(third > second, "{third} after {second}");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn what_is_said_to_be_gone_is_freed_where_it_is_after_all() {
    let (mut bench, job) = half_done(&chain(2), 1);
    let holder = bench.workers[0].info.worker;
    let input = GoneInput {
        task: TaskIdx(0),
        attempt: Attempt::new(Term(1), 1),
        gone_at: vec![holder],
        unreachable: vec![],
    };
    bench.workers[0].gone(job, 1, input);
    bench.deliver_from(0);
    bench.step();
    assert!(bench.workers[0].objects.is_empty());
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    bench.nothing_left();
}

#[test]
fn a_holder_that_has_another_run_of_an_object_does_not_have_the_believed_one() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&map(1));
    bench.run();
    // Another leader had it made again there, and was forgotten with its term.
    let other = Attempt::new(Term(7), 1);
    bench.workers[0].objects.insert((job, 0), (other, 1));
    bench.connect(0);
    assert!(bench.workers[0].objects.is_empty(), "nobody wants it");
    assert_eq!(bench.task(job, 0).state, "released");
    let asked = bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(0),
        failed: vec![],
    });
    assert!(matches!(
        asked,
        Ok(Response::Location(ObjectLocation::Pending { .. }))
    ));
    bench.run();
    assert_eq!(bench.task(job, 0).state, "stored");
}

#[test]
fn the_output_of_a_task_that_the_job_does_not_have_is_freed() {
    let mut bench = Bench::with(no_lookahead());
    bench.add_worker(1);
    let job = bench.submit(&map(1));
    let row = bench.workers[0].tasks[&(job, 0)].clone();
    bench.workers[0].tasks.insert((job, 5), row);
    bench.finish(0, job, &[5]);
    assert_eq!(bench.core.counters().impossible_messages, 1);
    assert!(bench.workers[0].objects.is_empty());
}
