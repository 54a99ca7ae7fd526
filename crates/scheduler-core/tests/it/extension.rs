//! Graphs that grow while they run.

use millstream_protocol::ErrorKind;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, chain};

/// Two tasks, the second reads the first; with it standing in for the extender if asked.
fn pair(replace: bool) -> GraphExtension {
    let mut graph = GraphBuilder::fragment();
    let op = graph.op(OpSpec::native("g"));
    let options = graph.options(TaskOptions::default());
    let a = graph.task(op, options, b"", &[]);
    let b = graph.task(op, options, b"", &[Dep::whole(a)]);
    if !replace {
        graph.want(b);
    }
    GraphExtension {
        fragment: graph.finish(),
        replacement: replace.then_some(b),
    }
}

fn plan() -> Graph {
    chain(2)
}

#[test]
fn an_extension_takes_the_place_of_its_task() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&plan());
    bench.workers[0].extend(job, 0, pair(true));
    bench.deliver_from(0);
    bench.step();
    assert!(matches!(
        &bench.commits[1],
        Commit::PutExtension { task: TaskIdx(0), .. }
    ));
    bench.run();
    let answer = bench.job(job);
    assert_eq!((answer.meta.state, answer.counts.total), (JobState::Succeeded, 4));
    let executed: Vec<u32> = bench.workers[0].executed.iter().map(|(_, task)| *task).collect();
    assert_eq!(executed, [0, 2, 3, 1]);
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    bench.nothing_left();
}

#[test]
fn a_wanted_task_that_is_replaced_is_found_by_its_own_name() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&chain(1));
    bench.workers[0].extend(job, 0, pair(true));
    bench.deliver_from(0);
    bench.step();
    bench.run();
    let located = bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(0),
        failed: vec![],
    });
    assert!(matches!(
        located,
        Ok(Response::Location(ObjectLocation::Held(entry))) if entry.task == TaskIdx(2)
    ));
    assert!(bench.notes.iter().any(|note| matches!(
        note,
        Note::Result { task: TaskIdx(0), entry, .. } if entry.task == TaskIdx(2)
    )));
}

#[test]
fn an_extension_without_replacement_leaves_the_output_and_adds_wanted_ones() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&plan());
    bench.workers[0].extend(job, 0, pair(false));
    bench.deliver_from(0);
    bench.step();
    bench.run();
    let answer = bench.job(job);
    assert_eq!(answer.meta.state, JobState::Succeeded);
    assert_eq!(answer.outputs, [TaskIdx(1), TaskIdx(3)]);
    assert_eq!(bench.workers[0].objects.len(), 2);
}

#[test]
fn the_extension_of_a_later_run_is_ignored() {
    let mut bench = Bench::with_workers(&[4]);
    bench.has_faults = true;
    let mut graph = chain(2);
    graph.outputs.push(0);
    let job = bench.submit(&graph);
    bench.workers[0].extend(job, 0, pair(false));
    bench.deliver_from(0);
    bench.step();
    let lost = crate::bench::objects(job, 0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].objects.remove(&(job, 0));
    bench.workers[0].say(FromWorker::Lost(lost));
    bench.deliver_from(0);
    bench.step();
    bench.workers[0].extend(job, 0, pair(false));
    bench.deliver_from(0);
    bench.step();
    bench.run();
    let answer = bench.job(job);
    assert_eq!((answer.meta.state, answer.counts.total), (JobState::Succeeded, 4));
    let extensions = bench
        .commits
        .iter()
        .filter(|commit| matches!(commit, Commit::PutExtension { .. }));
    assert_eq!(extensions.count(), 1);
}

#[test]
fn an_extension_that_waits_for_itself_fails_its_task() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&plan());
    let mut graph = GraphBuilder::fragment();
    let op = graph.op(OpSpec::native("g"));
    let options = graph.options(TaskOptions::default());
    let task = graph.task(op, options, b"", &[Dep::whole(TaskIdx(0))]);
    let extension = GraphExtension {
        fragment: graph.finish(),
        replacement: Some(task),
    };
    bench.workers[0].extend(job, 0, extension);
    bench.deliver_from(0);
    bench.step();
    bench.run();
    let ended = bench.ended(job).unwrap();
    assert_eq!(ended.meta.error.as_ref().unwrap().kind, ErrorKind::BadInput);
}

#[test]
fn extensions_of_extensions_resolve_to_the_last_one() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&plan());
    bench.workers[0].extend(job, 0, pair(true));
    bench.deliver_from(0);
    bench.step();
    bench.finish(0, job, &[2]);
    bench.workers[0].extend(job, 3, pair(true));
    bench.deliver_from(0);
    bench.step();
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let executed: Vec<u32> = bench.workers[0].executed.iter().map(|(_, task)| *task).collect();
    assert_eq!(executed, [0, 2, 3, 4, 5, 1]);
}

#[test]
fn an_extension_may_read_what_was_let_go_already() {
    let mut bench = Bench::with(CoreConfig {
        max_lookahead: 0,
        ..CoreConfig::default()
    });
    bench.add_worker(1);
    let job = bench.submit(&chain(3));
    bench.finish(0, job, &[0]);
    bench.finish(0, job, &[1]);
    let mut graph = GraphBuilder::fragment();
    let op = graph.op(OpSpec::native("g"));
    let options = graph.options(TaskOptions::default());
    let task = graph.task(op, options, b"", &[Dep::whole(TaskIdx(0))]);
    graph.want(task);
    let extension = GraphExtension {
        fragment: graph.finish(),
        replacement: None,
    };
    bench.workers[0].extend(job, 2, extension);
    bench.deliver_from(0);
    bench.step();
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.core.counters().recomputed, 1);
}
