//! Single tasks of a job: outputs that their client releases, tasks that it cancels.

use millstream_protocol::ErrorKind;
use millstream_protocol::columns::U32s;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, chain, map};
use crate::recovery::next_leader;

pub(crate) fn release(bench: &mut Bench, job: JobId, tasks: &[u32]) -> u32 {
    let tasks = U32s(tasks.to_vec());
    changed(bench.ask(GatewayRequest::ReleaseTasks { job, tasks }))
}

pub(crate) fn cancel(bench: &mut Bench, job: JobId, tasks: &[u32]) -> u32 {
    let tasks = U32s(tasks.to_vec());
    changed(bench.ask(GatewayRequest::CancelTasks { job, tasks }))
}

fn changed(answer: Result<Response, RequestError>) -> u32 {
    match answer {
        Ok(Response::Changed { tasks }) => tasks,
        other => panic!("{other:?}"),
    }
}

fn locate(bench: &mut Bench, job: JobId, task: u32) -> Result<Response, RequestError> {
    bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(task),
        failed: vec![],
    })
}

/// What a client hears that asks for an output which was released.
fn gone(bench: &mut Bench, job: JobId, task: u32) -> String {
    match locate(bench, job, task) {
        Err(RequestError::Gone(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// What a client hears that asks for an output which was cancelled.
fn failure(bench: &mut Bench, job: JobId, task: u32) -> ErrorKind {
    match locate(bench, job, task) {
        Ok(Response::Location(ObjectLocation::Failed(error))) => error.kind,
        other => panic!("{other:?}"),
    }
}

fn state_of(bench: &mut Bench, job: JobId, task: u32) -> String {
    bench.task(job, task).state
}

fn executed(bench: &Bench) -> Vec<u32> {
    let executed = bench.workers.iter().flat_map(|worker| &worker.executed);
    executed.map(|(_, task)| *task).collect()
}

/// Tasks in a row, all of them wanted.
fn wanted_chain(count: u32) -> Graph {
    let mut graph = chain(count);
    graph.outputs = U32s((0..count).collect());
    graph
}

/// A job whose one task stands for a task of another, with one wanted reader.
fn importing(job: JobId, task: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let (import, f) = (graph.op(OpSpec::import()), graph.op(OpSpec::native("f")));
    let options = graph.options(TaskOptions::default());
    let params = ImportSource::task(job, task).encode().unwrap();
    let import = graph.task(import, options, &params, &[]);
    let reader = graph.task(f, options, b"", &[Dep::whole(import)]);
    graph.want(reader);
    graph.finish()
}

/// Whether the last entry of the index of results for a task says that it is gone.
fn is_unlisted(bench: &Bench, task: u32) -> bool {
    let told = bench.notes.iter().rev().find_map(|note| match note {
        Note::Result { task: of, .. } if of.0 == task => Some(false),
        Note::ResultGone { task: of, .. } if of.0 == task => Some(true),
        _ => None,
    });
    told == Some(true)
}

#[test]
fn an_output_that_is_released_before_it_runs_never_runs() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&wanted_chain(3));
    assert_eq!(release(&mut bench, job, &[2]), 1);
    assert_eq!(state_of(&mut bench, job, 2), "cancelled");
    assert!(gone(&mut bench, job, 2).contains("was released by its client"));
    bench.run();
    let answer = bench.job(job);
    assert_eq!(answer.meta.state, JobState::Succeeded);
    assert_eq!(answer.outputs, [TaskIdx(0), TaskIdx(1)]);
    assert_eq!(executed(&bench), [0, 1]);
}

#[test]
fn what_only_a_released_output_needs_does_not_run_either() {
    let mut bench = Bench::new();
    let job = bench.submit(&chain(4));
    assert_eq!(release(&mut bench, job, &[3]), 1);
    let answer = bench.job(job);
    assert_eq!(
        (answer.meta.state, answer.counts.cancelled),
        (JobState::Succeeded, 4)
    );
    assert!(bench.ended(job).is_some(), "whoever watches is told");
}

#[test]
fn a_released_output_stays_while_a_task_needs_it() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&wanted_chain(2));
    assert_eq!(release(&mut bench, job, &[0]), 1);
    bench.finish(0, job, &[0]);
    assert!(bench.workers[0].objects.contains_key(&(job, 0)));
    assert!(
        gone(&mut bench, job, 0).contains("released"),
        "not for its client"
    );
    bench.finish(0, job, &[1]);
    assert!(!bench.workers[0].objects.contains_key(&(job, 0)));
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_running_task_whose_output_is_released_is_stopped() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(2));
    bench.workers[0].execute(&[(job, 0)]);
    bench.workers[0].answers = false;
    assert_eq!(release(&mut bench, job, &[0]), 1);
    assert_eq!(bench.workers[0].unanswered, [(job, 0, true)]);
    assert_eq!(
        state_of(&mut bench, job, 0),
        "running",
        "until the worker answers"
    );
    bench.workers[0].answer_all();
    bench.deliver_from(0);
    bench.step();
    assert_eq!(state_of(&mut bench, job, 0), "cancelled");
    bench.run();
    assert_eq!(
        (bench.state(job), executed(&bench)),
        (JobState::Succeeded, vec![1])
    );
}

#[test]
fn a_stored_output_that_is_released_is_freed_and_unlisted() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(2));
    bench.workers[0].finish_inline(job, 0, b"value");
    bench.deliver_from(0);
    bench.step();
    assert!(!is_unlisted(&bench, 0));
    assert_eq!(release(&mut bench, job, &[0]), 1);
    assert!(bench.workers[0].objects.is_empty());
    assert!(is_unlisted(&bench, 0));
    bench.run();
    let answer = bench.job(job);
    let inline: Vec<TaskIdx> = answer.inline.iter().map(|value| value.task).collect();
    assert_eq!((answer.meta.state, inline), (JobState::Succeeded, vec![]));
    assert!(gone(&mut bench, job, 0).contains("task `0"), "names the task");
}

#[test]
fn a_job_that_is_over_still_frees_what_is_released() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(3));
    bench.run();
    assert_eq!(release(&mut bench, job, &[0, 2]), 2);
    assert_eq!(bench.workers[0].objects.keys().next(), Some(&(job, 1)));
    assert_eq!(bench.workers[0].objects.len(), 1);
    assert_eq!(cancel(&mut bench, job, &[1]), 0, "nothing is left to cancel");
    assert!(matches!(
        locate(&mut bench, job, 1),
        Ok(Response::Location(ObjectLocation::Held(_)))
    ));
    assert_eq!(release(&mut bench, job, &[1]), 1);
    bench.nothing_left();
    // Without outputs it is kept no longer than a job that never had any.
    bench.pass_with(std::time::Duration::from_secs(700), &[0]);
    assert!(matches!(gone(&mut bench, job, 1).as_str(), message if message.contains("retention")));
    assert_eq!(release(&mut bench, job, &[1]), 0);
}

#[test]
fn both_may_be_asked_again() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(4));
    let before = bench.commits.len();
    assert_eq!(release(&mut bench, job, &[0, 0, 1]), 2);
    assert_eq!(release(&mut bench, job, &[0, 1]), 0);
    assert_eq!(cancel(&mut bench, job, &[2]), 1);
    assert_eq!(cancel(&mut bench, job, &[2]), 0);
    assert_eq!(release(&mut bench, job, &[2]), 0, "nobody has it any more");
    assert_eq!(bench.commits.len(), before + 2, "one write for what changed");
    bench.run();
    assert_eq!(
        (bench.state(job), executed(&bench)),
        (JobState::Succeeded, vec![3])
    );
}

#[test]
fn a_cancelled_task_never_runs_nor_what_reads_it() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&wanted_chain(4));
    bench.finish(0, job, &[0]);
    assert_eq!(cancel(&mut bench, job, &[2]), 2);
    assert_eq!(failure(&mut bench, job, 2), ErrorKind::Cancelled);
    assert_eq!(failure(&mut bench, job, 3), ErrorKind::Cancelled);
    bench.run();
    assert_eq!(executed(&bench), [0, 1]);
    let answer = bench.job(job);
    assert_eq!(
        (answer.meta.state, answer.counts.cancelled),
        (JobState::Succeeded, 2)
    );
    assert!(bench.workers[0].objects.contains_key(&(job, 1)), "it is wanted");
}

#[test]
fn a_running_task_that_is_cancelled_is_stopped() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&wanted_chain(2));
    bench.workers[0].execute(&[(job, 0)]);
    bench.workers[0].answers = false;
    assert_eq!(cancel(&mut bench, job, &[0]), 2);
    assert_eq!(failure(&mut bench, job, 0), ErrorKind::Cancelled, "at once");
    // The next task was sent ahead: it goes first.
    while !bench.workers[0].unanswered.is_empty() {
        bench.workers[0].answer_all();
        bench.deliver_from(0);
        bench.step();
    }
    assert_eq!(bench.state(job), JobState::Succeeded);
    bench.nothing_left();
}

#[test]
fn the_output_of_a_task_that_was_quicker_than_its_cancel_is_freed() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(1));
    bench.workers[0].finish(job, &[0], 1, 10);
    // Its report arrives behind the client's request.
    assert_eq!(cancel(&mut bench, job, &[0]), 1);
    assert_eq!(bench.core.counters().finished, 1);
    assert_eq!(state_of(&mut bench, job, 0), "cancelled");
    bench.nothing_left();
}

#[test]
fn what_is_done_is_not_cancelled() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&wanted_chain(2));
    bench.finish(0, job, &[0]);
    assert_eq!(cancel(&mut bench, job, &[0]), 0);
    bench.run();
    assert_eq!(
        (bench.state(job), executed(&bench)),
        (JobState::Succeeded, vec![0, 1])
    );
    assert!(matches!(
        locate(&mut bench, job, 0),
        Ok(Response::Location(ObjectLocation::Held(_)))
    ));
}

#[test]
fn a_task_that_failed_still_fails_the_job() {
    let mut bench = Bench::with_workers(&[2]);
    let job = bench.submit(&map(2));
    bench.workers[0].fail(job, 0, ErrorKind::User);
    bench.deliver_from(0);
    bench.step();
    cancel(&mut bench, job, &[0, 1]);
    release(&mut bench, job, &[0]);
    assert_eq!(bench.state(job), JobState::Failed);
    assert_eq!(failure(&mut bench, job, 0), ErrorKind::User);
}

#[test]
fn what_another_job_imports_is_made_for_it() {
    let mut bench = Bench::with_workers(&[1]);
    let source = bench.submit(&wanted_chain(3));
    let job = bench.submit(&importing(source, 1));
    // The first is read by the imported one; the last is not.
    assert_eq!(cancel(&mut bench, source, &[0]), 2);
    assert_eq!(release(&mut bench, source, &[1]), 1);
    assert_eq!(state_of(&mut bench, source, 2), "cancelled");
    bench.run();
    assert_eq!(
        (bench.state(source), bench.state(job)),
        (JobState::Succeeded, JobState::Succeeded)
    );
    let held: Vec<_> = bench.workers[0].objects.keys().copied().collect();
    assert_eq!(held, [(job, 1)], "nobody needs the source any more");
}

#[test]
fn a_released_import_lets_its_source_go() {
    let mut bench = Bench::with_workers(&[1]);
    let source = bench.submit(&chain(2));
    bench.finish(0, source, &[0]);
    let job = bench.submit(&importing(source, 0));
    bench.finish(0, source, &[1]);
    assert!(bench.workers[0].objects.contains_key(&(source, 0)));
    assert_eq!(release(&mut bench, job, &[1]), 1);
    assert!(!bench.workers[0].objects.contains_key(&(source, 0)));
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_cancelled_task_is_not_imported() {
    let mut bench = Bench::new();
    let source = bench.submit(&map(2));
    cancel(&mut bench, source, &[0]);
    bench.replies.clear();
    bench.submit(&importing(source, 0));
    let refused = bench.replies.iter().any(|(_, msg)| {
        matches!(msg, ToGateway::Submitted { result: Err(RequestError::Gone(why)), .. } if why.contains("cancelled"))
    });
    assert!(refused, "{:?}", bench.replies);
}

#[test]
fn an_output_that_stands_in_for_another_is_released_with_its_last_name() {
    let mut graph = map(1);
    graph.outputs = U32s(vec![0]);
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&graph);
    let mut fragment = GraphBuilder::fragment();
    let op = fragment.op(OpSpec::native("g"));
    let options = fragment.options(TaskOptions::default());
    let task = fragment.task(op, options, b"", &[]);
    fragment.want(task);
    let extension = GraphExtension {
        fragment: fragment.finish(),
        replacement: Some(task),
    };
    bench.workers[0].extend(job, 0, extension);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(release(&mut bench, job, &[0]), 1);
    bench.run();
    assert!(
        bench.workers[0].objects.contains_key(&(job, 1)),
        "wanted by its own name"
    );
    assert!(gone(&mut bench, job, 0).contains("released"));
    assert_eq!(release(&mut bench, job, &[1]), 1);
    bench.nothing_left();
}

#[test]
fn a_new_leader_keeps_both() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&map(5));
    old.finish(0, job, &[0]);
    release(&mut old, job, &[0, 1]);
    cancel(&mut old, job, &[2]);
    // Only commits are there for certain.
    old.notes.clear();
    let mut bench = next_leader(old);
    bench.connect(0);
    assert!(gone(&mut bench, job, 0).contains("was released by its client"));
    assert!(gone(&mut bench, job, 1).contains("was released by its client"));
    assert_eq!(failure(&mut bench, job, 2), ErrorKind::Cancelled);
    bench.run();
    assert_eq!(
        (bench.state(job), executed(&bench)),
        (JobState::Succeeded, vec![0, 3, 4])
    );
    assert_eq!(bench.workers[0].objects.len(), 2);
    assert_eq!(cancel(&mut bench, job, &[2]), 0);
}

#[test]
fn a_new_leader_frees_what_was_released_and_unlists_it() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&map(2));
    old.run();
    let listed = old.notes.clone();
    old.lose_frames_to = Some(0);
    release(&mut old, job, &[0]);
    // The index is as it was; the pages that were committed are younger than the noted ones.
    old.notes = listed;
    old.notes.retain(|note| !matches!(note, Note::Pages { .. }));
    assert_eq!(old.workers[0].objects.len(), 2, "its worker has not heard of it");
    let mut bench = next_leader(old);
    bench.connect(0);
    assert_eq!(bench.workers[0].objects.keys().next(), Some(&(job, 1)));
    assert!(is_unlisted(&bench, 0));
    assert!(!is_unlisted(&bench, 1));
}

#[test]
fn a_new_leader_that_still_collects_takes_releases_and_puts_cancels_off() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&map(3));
    old.finish(0, job, &[0]);
    let mut bench = next_leader(old);
    assert_eq!(release(&mut bench, job, &[0, 1]), 2);
    let tasks = U32s(vec![2]);
    let refused = bench.ask(GatewayRequest::CancelTasks { job, tasks });
    assert_eq!(refused, Err(RequestError::Overloaded));
    bench.connect(0);
    assert_eq!(state_of(&mut bench, job, 1), "cancelled");
    assert!(bench.workers[0].objects.is_empty());
    assert_eq!(cancel(&mut bench, job, &[2]), 1);
    assert_eq!(bench.state(job), JobState::Succeeded);
    bench.nothing_left();
}

#[test]
fn a_store_that_lost_its_data_is_told_what_was_given_up() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(3));
    release(&mut bench, job, &[0]);
    cancel(&mut bench, job, &[1]);
    bench.commits.clear();
    bench.notes.clear();
    bench.apply(SchedulerEvent::JournalLost);
    bench.step();
    bench.notes.clear();
    let mut bench = next_leader(bench);
    bench.connect(0);
    bench.run();
    assert_eq!(
        (bench.state(job), executed(&bench)),
        (JobState::Succeeded, vec![2])
    );
}

#[test]
fn a_lost_output_that_was_released_is_not_made_again() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let job = bench.submit(&wanted_chain(2));
    let at = bench.holder_of(job, 0).unwrap();
    bench.finish(at, job, &[0]);
    release(&mut bench, job, &[0]);
    let reader = bench.holder_of(job, 1).unwrap();
    bench.finish(reader, job, &[1]);
    bench.has_faults = true;
    bench.kill(reader);
    assert!(locate(&mut bench, job, 1).is_ok());
    bench.run();
    assert_eq!(
        executed(&bench),
        [0, 1, 0, 1],
        "its reader was lost, so it was needed again"
    );
    assert_eq!(release(&mut bench, job, &[1]), 1);
    bench.nothing_left();
}

#[test]
fn a_task_or_job_that_is_not_there_is_named() {
    let mut bench = Bench::new();
    let job = bench.submit(&map(2));
    for tasks in [vec![2], vec![0, 7]] {
        let last = TaskIdx(*tasks.last().unwrap());
        let tasks = U32s(tasks);
        let answer = bench.ask(GatewayRequest::ReleaseTasks { job, tasks });
        assert_eq!(answer, Err(RequestError::UnknownTask(last)));
    }
    assert_eq!(
        release(&mut bench, job, &[0]),
        1,
        "nothing was taken of the wrong requests"
    );
    let other = JobId::from_u128(77);
    let tasks = U32s(vec![0]);
    let answer = bench.ask(GatewayRequest::CancelTasks { job: other, tasks });
    assert_eq!(answer, Err(RequestError::UnknownJob(other)));
}
