//! A number that is given twice: of a job that is submitted again after the journal was lost, and of a task whose
//! extension was lost. What was made under it before is of something else.

use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, FakeWorker, map};

/// A leader of `term` that finds this journal, and that worker registered, if any; it has not come yet.
fn leader_of(term: u32, jobs: Vec<RecoveredJob>, worker: Option<FakeWorker>) -> Bench {
    let mut bench = Bench::of_term(CoreConfig::default(), term);
    bench.workers.extend(worker);
    let registered = bench.workers.iter().map(|worker| worker.info.worker).collect();
    bench.core.recover(bench.clock, jobs, registered);
    bench.check();
    bench.step();
    bench
}

/// A worker that ran the first task of a job and has the second, and what a later leader's journal has of the job: the
/// store lost it, and the client submitted it again.
fn submitted_again() -> (JobId, FakeWorker, Vec<RecoveredJob>) {
    let graph = map(2);
    let mut first = Bench::with_workers(&[2]);
    let job = first.submit(&graph);
    first.finish(0, job, &[0]);
    assert!(first.workers[0].objects.contains_key(&(job, 0)));
    // The new run takes the place of the one that is refused.
    first.workers[0].strict = false;
    let mut second = leader_of(2, Vec::new(), None);
    assert_eq!(second.submit(&graph), job, "the same id");
    (job, first.workers.remove(0), second.journal())
}

#[test]
fn what_was_made_before_the_job_was_submitted_again_is_refused() {
    let (job, worker, journal) = submitted_again();
    let mut bench = leader_of(3, journal, Some(worker));
    bench.connect(0);
    assert!(!bench.core.is_recovering());
    let worker = &bench.workers[0];
    assert!(!worker.objects.contains_key(&(job, 0)), "it is freed");
    let terms: Vec<Term> = worker.tasks.values().map(|row| row.attempt.term).collect();
    assert_eq!(terms, [Term(3), Term(3)], "the run of before is not kept");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[0].executed, [(job, 0), (job, 0), (job, 1)]);
}

#[test]
fn it_is_refused_as_well_when_it_comes_later() {
    let (job, worker, journal) = submitted_again();
    let mut bench = leader_of(3, journal, None);
    assert!(!bench.core.is_recovering());
    bench.workers.push(worker);
    bench.connect(0);
    let worker = &bench.workers[0];
    assert!(!worker.objects.contains_key(&(job, 0)), "it is freed");
    assert!(worker.tasks.values().all(|row| row.attempt.term == Term(3)));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[0].executed.len(), 3);
}

#[test]
fn the_leader_that_takes_the_job_again_refuses_it_too() {
    let graph = map(2);
    let mut first = Bench::with_workers(&[2]);
    let job = first.submit(&graph);
    first.finish(0, job, &[0]);
    first.workers[0].strict = false;
    let mut bench = leader_of(2, Vec::new(), None);
    bench.submit(&graph);
    bench.workers.push(first.workers.remove(0));
    bench.connect(0);
    assert!(!bench.workers[0].objects.contains_key(&(job, 0)), "it is freed");
    bench.run();
    assert_eq!(bench.workers[0].executed.len(), 3);
}

#[test]
fn a_record_of_before_that_names_no_term_refuses_nothing() {
    let (job, worker, mut journal) = submitted_again();
    journal[0].meta.accepted_in = Term(0);
    let mut bench = leader_of(3, journal, Some(worker));
    bench.connect(0);
    assert!(bench.workers[0].objects.contains_key(&(job, 0)));
}

#[test]
fn a_leader_that_writes_the_journal_again_keeps_the_term() {
    let mut bench = Bench::with_workers(&[2]);
    bench.submit(&map(2));
    bench.core.lead_again(bench.clock, crate::bench::identity(5));
    bench.commits.clear();
    bench.apply(SchedulerEvent::BrokerUp);
    bench.step();
    bench.apply(SchedulerEvent::JournalLost);
    bench.step();
    assert_eq!(bench.journal()[0].meta.accepted_in, Term(1));
}

/// A task in the place of the one that returns it.
fn replacing() -> GraphExtension {
    let mut graph = GraphBuilder::fragment();
    let op = graph.op(OpSpec::native("g"));
    let options = graph.options(TaskOptions::default());
    let task = graph.task(op, options, b"", &[]);
    GraphExtension {
        fragment: graph.finish(),
        replacement: Some(task),
    }
}

#[test]
fn what_was_made_by_a_task_of_a_lost_extension_is_not_of_the_next_one() {
    let mut first = Bench::with_workers(&[2]);
    let job = first.submit(&map(2));
    first.workers[0].extend(job, 0, replacing());
    first.deliver_from(0);
    first.step();
    first.finish(0, job, &[2]);
    // The store lost the extension with its leader, and the worker is cut off.
    first
        .commits
        .retain(|commit| !matches!(commit, Commit::PutExtension { .. }));
    first.notes.clear();
    first.workers[0].strict = false;
    let mut second = leader_of(2, first.journal(), None);
    // It writes on.
    second.commits.splice(0..0, first.commits.drain(..));
    let other = FakeWorker::new(1, second.core.identity());
    second.workers.push(other);
    second.connect(0);
    second.workers[0].extend(job, 1, replacing());
    second.deliver_from(0);
    second.step();
    let journal = second.journal();
    assert_eq!(
        journal[0].extensions[0].0,
        TaskIdx(1),
        "another task's has the number"
    );
    let mut bench = leader_of(3, journal, Some(first.workers.remove(0)));
    assert!(bench.workers[0].objects.contains_key(&(job, 2)));
    bench.connect(0);
    assert!(!bench.workers[0].objects.contains_key(&(job, 2)), "it is freed");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}
