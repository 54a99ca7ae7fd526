//! Objects of other jobs as inputs: held, followed, lost, let go.

use millstream_protocol::ErrorKind;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, chain, chain_of, dice, map, objects};
use crate::recovery::next_leader;

/// Task 0 stands for a task of another job; `readers` wanted tasks read it.
fn importing(job: JobId, task: u32, readers: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let import = add_import(&mut graph, job, task);
    for _ in 0..readers {
        let reader = graph.task(f, options, b"", &[Dep::whole(import)]);
        graph.want(reader);
    }
    graph.finish()
}

fn add_import(graph: &mut GraphBuilder, job: JobId, task: u32) -> TaskIdx {
    let op = graph.op(OpSpec::import());
    let options = graph.options(TaskOptions::default());
    let params = ImportSource::task(job, task).encode().unwrap();
    graph.task(op, options, &params, &[])
}

/// A bench with one worker and a job that has succeeded there.
fn with_source(graph: &Graph) -> (Bench, JobId) {
    let mut bench = Bench::with_workers(&[1]);
    let source = bench.submit(graph);
    bench.run();
    (bench, source)
}

fn remove(bench: &mut Bench, job: JobId) {
    bench.ask(GatewayRequest::Remove { job }).unwrap();
}

fn deleted(bench: &Bench) -> Vec<JobId> {
    let deleted = bench.commits.iter().filter_map(|commit| match commit {
        Commit::DeleteJob { job } => Some(*job),
        _ => None,
    });
    deleted.collect()
}

fn refusal(bench: &mut Bench, graph: &Graph) -> RequestError {
    bench.replies.clear();
    bench.submit(graph);
    let refusal = bench.replies.iter().find_map(|(_, msg)| match msg {
        ToGateway::Submitted { result, .. } => result.clone().err(),
        _ => None,
    });
    refusal.unwrap()
}

fn error_of(bench: &mut Bench, job: JobId) -> (ErrorKind, String) {
    let error = bench.job(job).meta.error.unwrap();
    (error.kind, error.message)
}

#[test]
fn an_import_is_there_with_its_source_and_is_read_under_its_name() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let source = bench.submit(&map(1));
    let job = bench.submit(&importing(source, 0, 1));
    assert_eq!(bench.task(job, 0).state, "waiting");
    assert_eq!(bench.holder_of(job, 1), None);
    let at = bench.holder_of(source, 0).unwrap();
    bench.finish(at, source, &[0]);
    assert_eq!(bench.task(job, 0).state, "stored");
    let reader = bench.holder_of(job, 1).unwrap();
    let input = bench.workers[reader].tasks[&(job, 1)].inputs[0].clone();
    assert_eq!((input.task, input.object), (0, (source, 0)));
    assert_eq!(input.attempt, Attempt::new(Term(1), 1));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let executed: usize = bench.workers.iter().map(|worker| worker.executed.len()).sum();
    assert_eq!(executed, 2, "nothing runs for an import");
    remove(&mut bench, job);
    remove(&mut bench, source);
    bench.nothing_left();
}

#[test]
fn an_unwanted_source_is_held_until_its_last_reader_is_done() {
    let mut bench = Bench::with_workers(&[1]);
    let source = bench.submit(&chain(2));
    bench.finish(0, source, &[0]);
    let job = bench.submit(&importing(source, 0, 2));
    bench.finish(0, source, &[1]);
    assert_eq!(bench.state(source), JobState::Succeeded);
    bench.finish(0, job, &[1]);
    assert!(bench.workers[0].objects.contains_key(&(source, 0)));
    bench.finish(0, job, &[2]);
    assert!(!bench.workers[0].objects.contains_key(&(source, 0)));
    assert_eq!(bench.task(job, 0).state, "released");
}

#[test]
fn a_removed_job_stays_for_the_jobs_that_import_from_it_and_goes_with_the_last_one() {
    let (mut bench, source) = with_source(&map(2));
    let job = bench.submit(&importing(source, 0, 1));
    remove(&mut bench, source);
    assert_eq!(deleted(&bench), []);
    assert!(bench.workers[0].objects.contains_key(&(source, 0)));
    assert!(
        !bench.workers[0].objects.contains_key(&(source, 1)),
        "nobody imports it"
    );
    let located = bench.ask(GatewayRequest::Locate {
        job: source,
        task: TaskIdx(0),
        failed: vec![],
    });
    assert!(matches!(located, Err(RequestError::Gone(_))));
    assert!(matches!(
        refusal(&mut bench, &importing(source, 0, 1)),
        RequestError::Gone(_)
    ));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert!(
        !bench.workers[0].objects.contains_key(&(source, 0)),
        "its graph is enough now"
    );
    assert_eq!(deleted(&bench), []);
    remove(&mut bench, job);
    assert_eq!(deleted(&bench), [job, source]);
    bench.nothing_left();
}

#[test]
fn a_lost_source_is_made_again_by_its_own_job() {
    let (mut bench, source) = with_source(&chain(2));
    let job = bench.submit(&importing(source, 1, 1));
    bench.add_worker(1);
    bench.kill(0);
    assert_eq!(bench.state(source), JobState::Recovering);
    assert_eq!(bench.task(job, 0).state, "waiting");
    bench.run();
    assert_eq!(bench.state(source), JobState::Succeeded);
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[1].executed, [(source, 0), (source, 1), (job, 1)]);
}

#[test]
fn a_released_source_is_made_again_for_a_job_that_imports_it() {
    let (mut bench, source) = with_source(&chain(3));
    assert_eq!(bench.task(source, 0).state, "released");
    let job = bench.submit(&importing(source, 0, 1));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.state(source), JobState::Succeeded);
    remove(&mut bench, source);
    remove(&mut bench, job);
    bench.nothing_left();
}

#[test]
fn a_failed_source_fails_the_import_by_name() {
    let mut bench = Bench::with_workers(&[1]);
    let source = bench.submit(&map(1));
    let job = bench.submit(&importing(source, 0, 1));
    bench.workers[0].fail(source, 0, ErrorKind::User);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.state(job), JobState::Failed);
    let (kind, message) = error_of(&mut bench, job);
    assert_eq!(kind, ErrorKind::UpstreamFailed);
    assert!(
        message.contains(&source.to_string()) && message.contains("it broke"),
        "{message}"
    );
}

#[test]
fn a_cancelled_source_fails_what_it_has_not_made_and_keeps_what_it_has() {
    let mut bench = Bench::with_workers(&[1]);
    let source = bench.submit(&map(2));
    bench.finish(0, source, &[0]);
    let made = bench.submit(&importing(source, 0, 1));
    let unmade = bench.submit(&importing(source, 1, 1));
    bench.ask(GatewayRequest::Cancel { job: source }).unwrap();
    assert_eq!(bench.state(source), JobState::Cancelled);
    let (kind, message) = error_of(&mut bench, unmade);
    assert_eq!(kind, ErrorKind::InputLost);
    assert!(message.contains("was cancelled"), "{message}");
    bench.run();
    assert_eq!(bench.state(made), JobState::Succeeded);
    assert!(
        !bench.workers[0].objects.contains_key(&(source, 0)),
        "nobody reads it any more"
    );
    for job in [source, made, unmade] {
        remove(&mut bench, job);
    }
    bench.nothing_left();
}

#[test]
fn what_is_not_there_is_refused_with_its_name() {
    let (mut bench, source) = with_source(&map(1));
    let unknown = JobId::from_u128(4711);
    let refused = refusal(&mut bench, &importing(unknown, 0, 1));
    assert!(matches!(&refused, RequestError::Gone(text) if text.contains(&unknown.to_string())));
    let refused = refusal(&mut bench, &importing(source, 9, 1));
    assert!(matches!(&refused, RequestError::Gone(text) if text.contains("no such task")));
    bench.ask(GatewayRequest::Remove { job: source }).unwrap();
    assert!(matches!(
        refusal(&mut bench, &importing(source, 0, 1)),
        RequestError::Gone(_)
    ));
}

#[test]
fn a_source_may_be_named_by_its_key() {
    let mut graph = GraphBuilder::new();
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let mean = graph.named_task("mean", f, options, b"", &[]);
    graph.want(mean);
    let (mut bench, source) = with_source(&graph.finish());
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::import());
    let options = graph.options(TaskOptions::default());
    let named = ImportSource::Task {
        job: source,
        task: TaskName::Key("mean".to_owned()),
    };
    let import = graph.task(op, options, &named.encode().unwrap(), &[]);
    let f = graph.op(OpSpec::native("f"));
    let reader = graph.task(f, options, b"", &[Dep::whole(import)]);
    graph.want(reader);
    let job = bench.submit(&graph.finish());
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_new_leader_finds_imports_where_their_sources_are() {
    let (mut old, source) = with_source(&map(1));
    let job = old.submit(&importing(source, 0, 3));
    old.finish(0, job, &[1]);
    let mut bench = next_leader(old);
    bench.connect(0);
    assert_eq!(bench.task(job, 0).state, "stored");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[0].executed.len(), 4, "nothing ran twice");
    remove(&mut bench, source);
    remove(&mut bench, job);
    bench.nothing_left();
}

/// Under a new leader `job` ends; when it is removed, `source`, which stayed for it alone, goes too, and nothing is left.
fn next_leader_ends_and_drops(old: Bench, job: JobId, source: JobId) {
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    remove(&mut bench, job);
    assert_eq!(deleted(&bench), [job, source]);
    bench.nothing_left();
}

#[test]
fn a_new_leader_knows_that_a_removed_job_is_there_for_others_alone() {
    let (mut old, source) = with_source(&map(2));
    let job = old.submit(&importing(source, 0, 1));
    remove(&mut old, source);
    next_leader_ends_and_drops(old, job, source);
}

#[test]
fn a_new_leader_fails_an_import_whose_source_the_journal_lost() {
    let mut old = Bench::with_workers(&[1]);
    let source = old.submit(&map(1));
    let job = old.submit(&importing(source, 0, 1));
    old.commits
        .retain(|commit| !matches!(commit, Commit::PutJob { meta, .. } if meta.job == source));
    old.workers[0].strict = false;
    let mut bench = next_leader(old);
    bench.connect(0);
    let (kind, message) = error_of(&mut bench, job);
    assert_eq!(kind, ErrorKind::InputLost);
    assert!(message.contains(&source.to_string()), "{message}");
}

#[test]
fn what_other_jobs_made_from_a_lost_indeterminate_output_is_made_again_too() {
    let (mut bench, source) = with_source(&chain_of(1, &dice()));
    let job = bench.submit(&importing(source, 0, 2));
    bench.finish(0, job, &[1]);
    bench.workers[0].objects.remove(&(source, 0));
    let lost = objects(source, 0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].say(FromWorker::Lost(lost));
    bench.deliver_from(0);
    bench.step();
    assert!(
        !bench.workers[0].objects.contains_key(&(job, 1)),
        "it is of the lost throw"
    );
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let runs = bench.workers[0]
        .executed
        .iter()
        .filter(|run| **run == (job, 1))
        .count();
    assert_eq!(runs, 2);
}

#[test]
fn a_job_that_delivered_what_came_of_a_lost_indeterminate_output_fails() {
    let (mut bench, source) = with_source(&chain_of(1, &dice()));
    let job = bench.submit(&importing(source, 0, 1));
    bench.run();
    let located = |bench: &mut Bench, job, task| {
        bench
            .ask(GatewayRequest::Locate {
                job,
                task: TaskIdx(task),
                failed: vec![],
            })
            .unwrap()
    };
    located(&mut bench, job, 1);
    // Lost before anybody but the other job has read it, and then asked for.
    bench.workers[0].objects.remove(&(source, 0));
    let lost = objects(source, 0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].say(FromWorker::Lost(lost));
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.state(job), JobState::Succeeded, "nothing is made again yet");
    located(&mut bench, source, 0);
    bench.run();
    assert_eq!(bench.state(source), JobState::Succeeded);
    let (kind, _) = error_of(&mut bench, job);
    assert_eq!(kind, ErrorKind::IndeterminateLoss);
}

#[test]
fn an_import_that_nobody_has_any_more_is_taken_from_its_source() {
    let (mut bench, source) = with_source(&map(1));
    let job = bench.submit(&importing(source, 0, 1));
    bench.workers[0].strict = false;
    bench.workers[0].objects.clear();
    let here = bench.workers[0].info.worker;
    let input = GoneInput {
        task: TaskIdx(0),
        attempt: Attempt::new(Term(1), 1),
        gone_at: vec![here],
        unreachable: vec![],
    };
    bench.workers[0].gone(job, 1, input);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.state(source), JobState::Recovering);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn an_extension_cannot_import_what_waits_for_its_own_job() {
    let mut bench = Bench::with_workers(&[1]);
    let source = bench.submit(&chain(2));
    let job = bench.submit(&importing(source, 1, 1));
    let mut graph = GraphBuilder::fragment();
    let f = graph.op(OpSpec::native("f"));
    let import = add_import(&mut graph, job, 1);
    let options = graph.options(TaskOptions::default());
    let reader = graph.task(f, options, b"", &[Dep::whole(import)]);
    let extension = GraphExtension {
        fragment: graph.finish(),
        replacement: Some(reader),
    };
    bench.workers[0].extend(source, 0, extension);
    bench.deliver_from(0);
    bench.step();
    let (kind, message) = error_of(&mut bench, source);
    assert_eq!(kind, ErrorKind::BadInput);
    assert!(message.contains("waits for this one"), "{message}");
    assert_eq!(bench.state(job), JobState::Failed);
}

/// A job that failed by its first task, as a new leader finds it: what became of the others was not noted.
#[test]
fn a_failed_job_that_makes_an_output_again_makes_its_other_ones_too() {
    let mut old = Bench::with_workers(&[1]);
    let source = old.submit(&map(3));
    old.workers[0].fail(source, 0, ErrorKind::User);
    old.deliver_from(0);
    old.step();
    old.run();
    assert_eq!(old.state(source), JobState::Failed);
    old.notes.clear();
    old.workers[0].objects.clear();
    let mut bench = next_leader(old);
    bench.connect(0);
    let job = bench.submit(&importing(source, 1, 1));
    bench.run();
    let answer = bench.job(job).meta;
    assert_eq!(answer.state, JobState::Succeeded, "{:?}", answer.error);
    assert_eq!(bench.state(source), JobState::Failed);
    assert_eq!(bench.task(source, 2).state, "stored");
}

#[test]
fn a_new_leader_keeps_no_value_of_a_job_that_was_let_go() {
    let (mut old, source) = (Bench::with_workers(&[1]), map(2));
    let source = old.submit(&source);
    old.finish(0, source, &[0]);
    old.workers[0].finish_inline(source, 1, b"seven");
    old.deliver_from(0);
    old.step();
    let job = old.submit(&importing(source, 0, 1));
    let noted = old.notes.len();
    remove(&mut old, source);
    // The index still has the value when the leader dies.
    old.notes.truncate(noted);
    next_leader_ends_and_drops(old, job, source);
}

#[test]
fn an_import_fails_when_its_source_turns_out_not_to_be_made_again() {
    let (mut bench, source) = with_source(&chain_of(1, &dice()));
    bench
        .ask(GatewayRequest::Locate {
            job: source,
            task: TaskIdx(0),
            failed: vec![],
        })
        .unwrap();
    bench.workers[0].objects.clear();
    let lost = objects(source, 0, Attempt::new(Term(1), 1), 1);
    bench.workers[0].say(FromWorker::Lost(lost));
    bench.deliver_from(0);
    bench.step();
    let job = bench.submit(&importing(source, 0, 1));
    assert_eq!(bench.state(source), JobState::Failed);
    let (kind, message) = error_of(&mut bench, job);
    assert_eq!(kind, ErrorKind::InputLost);
    assert!(message.contains("failed as a whole"), "{message}");
}

#[test]
fn a_new_leader_knows_why_an_import_failed() {
    let mut old = Bench::with_workers(&[2]);
    let source = old.submit(&map(1));
    let mut graph = GraphBuilder::new();
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let import = add_import(&mut graph, source, 0);
    let reader = graph.task(f, options, b"", &[Dep::whole(import)]);
    let other = graph.task(f, options, b"", &[]);
    graph.want(reader);
    graph.want(other);
    let job = old.submit(&graph.finish());
    old.workers[0].fail(source, 0, ErrorKind::User);
    old.deliver_from(0);
    old.step();
    assert_eq!(old.state(job), JobState::Running);
    // The failure was committed; the record of the job trails.
    old.notes.clear();
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Failed);
    assert_eq!(bench.job(job).meta.failed_task, Some(import));
    assert_eq!(error_of(&mut bench, job).0, ErrorKind::UpstreamFailed);
}

#[test]
fn a_task_that_runs_for_its_own_sake_runs_when_its_import_is_given_up() {
    let mut bench = Bench::new();
    let mut graph = map(2);
    graph.outputs = millstream_protocol::columns::U32s(vec![1]);
    let source = bench.submit(&graph);
    let job = bench.submit(&importing(source, 0, 1));
    bench.ask(GatewayRequest::Cancel { job }).unwrap();
    bench.add_worker(1);
    bench.run();
    assert_eq!(bench.state(source), JobState::Succeeded);
    let executed = &bench.workers[0].executed;
    assert_eq!(executed, &[(source, 0), (source, 1)]);
}
