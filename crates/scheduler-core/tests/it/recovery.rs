//! A new leader, and a state store that lost its data.

use std::time::Duration;

use millstream_protocol::ErrorKind;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, chain, chain_of, dice, map};

/// The next leader, with what the journal has, and the old one's workers not yet connected.
pub(crate) fn next_leader(mut old: Bench) -> Bench {
    let jobs = old.journal();
    let registered = old.workers.iter().map(|worker| worker.info.worker).collect();
    let mut bench = Bench::of_term(CoreConfig::default(), 2);
    bench.next_job = old.next_job;
    bench.workers = std::mem::take(&mut old.workers);
    for worker in &mut bench.workers {
        worker.queue = "old".to_owned();
    }
    bench.core.recover(bench.clock, jobs, registered);
    bench.check();
    bench.step();
    bench
}

#[test]
fn a_new_leader_waits_for_inventories_and_keeps_what_runs() {
    let mut old = Bench::with_workers(&[2, 2]);
    let job = old.submit(&map(12));
    let tasks = old.workers[0].task_list();
    old.finish(0, job, &tasks[..2]);
    let mut bench = next_leader(old);
    let kept = bench.workers[0].tasks.clone();
    bench.connect(0);
    assert_eq!(bench.workers[0].settled, 1, "not yet settled by the new leader");
    assert!(bench.core.is_recovering());
    bench.connect(1);
    assert!(!bench.core.is_recovering());
    assert_eq!(bench.workers[0].settled, 2);
    for (key, row) in &kept {
        assert_eq!(bench.workers[0].tasks[key].attempt, row.attempt);
    }
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let executed: usize = bench.workers.iter().map(|worker| worker.executed.len()).sum();
    assert_eq!(executed, 12, "nothing ran twice");
}

#[test]
fn the_window_ends_after_three_seconds_without_the_missing_worker() {
    let mut old = Bench::with_workers(&[2, 2]);
    let job = old.submit(&chain(6));
    let at = old.holder_of(job, 0).unwrap();
    old.finish(at, job, &[0]);
    let mut bench = next_leader(old);
    bench.workers[at].is_dead = true;
    let other = 1 - at;
    bench.connect(other);
    assert!(bench.workers[other].tasks.is_empty());
    bench.pass_with(Duration::from_secs(3), &[other]);
    assert!(!bench.core.is_recovering());
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn what_was_noted_as_stored_and_is_nowhere_is_made_again() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&chain(4));
    old.finish(0, job, &[0]);
    old.finish(0, job, &[1]);
    old.workers[0].objects.clear();
    old.workers[0].tasks.clear();
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[0].executed.len(), 6);
}

#[test]
fn an_object_that_was_never_noted_is_adopted() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&chain(4));
    old.workers[0].finish(job, &[0, 1], 1, 10);
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[0].executed.len(), 4);
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    bench.nothing_left();
}

#[test]
fn a_committed_extension_is_not_planned_again() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&chain(2));
    let mut graph = GraphBuilder::fragment();
    let op = graph.op(OpSpec::native("g"));
    let options = graph.options(TaskOptions::default());
    let task = graph.task(op, options, b"", &[]);
    let extension = GraphExtension {
        fragment: graph.finish(),
        replacement: Some(task),
    };
    old.workers[0].extend(job, 0, extension);
    old.deliver_from(0);
    old.step();
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let executed: Vec<u32> = bench.workers[0].executed.iter().map(|(_, task)| *task).collect();
    assert_eq!(executed, [0, 2, 1]);
}

#[test]
fn a_committed_cancel_is_carried_out_by_the_next_leader() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&map(3));
    old.workers[0].answers = false;
    old.ask(GatewayRequest::Cancel { job }).unwrap();
    old.workers[0].unanswered.clear();
    old.workers[0].answers = true;
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.step();
    assert_eq!(bench.state(job), JobState::Cancelled);
    bench.nothing_left();
}

#[test]
fn counted_failures_survive_the_leader() {
    let mut old = Bench::with_workers(&[1]);
    let mut graph = map(1);
    graph.options[0].retries = 1;
    let job = old.submit(&graph);
    old.workers[0].fail(job, 0, ErrorKind::User);
    old.deliver_from(0);
    old.step();
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.workers[0].fail(job, 0, ErrorKind::User);
    bench.deliver_from(0);
    bench.step();
    assert!(bench.ended(job).is_none(), "its watcher was the old leader's");
    assert_eq!(bench.state(job), JobState::Failed);
}

#[test]
fn results_of_ended_jobs_are_found_and_kept() {
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&chain(2));
    old.run();
    let mut bench = next_leader(old);
    bench.connect(0);
    assert_eq!(bench.state(job), JobState::Succeeded);
    let located = bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(1),
        failed: vec![],
    });
    assert!(matches!(located, Ok(Response::Location(ObjectLocation::Held(_)))));
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    bench.nothing_left();
}

#[test]
fn a_submission_is_taken_but_not_started_while_inventories_are_missing() {
    let old = Bench::with_workers(&[1, 1]);
    let mut bench = next_leader(old);
    bench.connect(0);
    let job = bench.submit(&map(1));
    assert_eq!(bench.commits.len(), 1);
    assert!(bench.workers[0].tasks.is_empty());
    bench.pass_with(Duration::from_secs(3), &[0]);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_lost_journal_is_written_again_as_it_stands() {
    let mut bench = Bench::with_workers(&[1]);
    let mut graph = chain(4);
    graph.options[0].retries = 2;
    let job = bench.submit(&graph);
    bench.finish(0, job, &[0]);
    let mut fragment = GraphBuilder::fragment();
    let op = fragment.op(OpSpec::native("g"));
    let options = fragment.options(TaskOptions::default());
    let task = fragment.task(op, options, b"", &[]);
    let extension = GraphExtension {
        fragment: fragment.finish(),
        replacement: Some(task),
    };
    bench.workers[0].extend(job, 1, extension);
    bench.deliver_from(0);
    bench.step();
    bench.finish(0, job, &[4]);
    bench.workers[0].fail(job, 2, ErrorKind::User);
    bench.deliver_from(0);
    bench.step();
    let before = bench.journal();
    bench.commits.clear();
    bench.notes.clear();
    bench.apply(SchedulerEvent::JournalLost);
    bench.step();
    let after = bench.journal();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].graph, before[0].graph);
    assert_eq!(after[0].extensions, before[0].extensions);
    assert_eq!(after[0].pages, before[0].pages);
    assert_eq!(after[0].failures, before[0].failures);
    let mut bench = next_leader(bench);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_leader_that_leads_again_goes_on_with_what_it_has() {
    let mut bench = Bench::with_workers(&[2]);
    let job = bench.submit(&map(6));
    bench.finish(0, job, &[0]);
    let before = bench.workers[0].tasks[&(job, 1)].attempt;
    bench.commits.clear();
    bench.core.lead_again(bench.clock, crate::bench::identity(2));
    bench.apply(SchedulerEvent::BrokerUp);
    bench.step();
    assert!(matches!(&bench.commits[..], [Commit::PutJob { .. }, ..]));
    bench.connect(0);
    assert_eq!(bench.workers[0].tasks[&(job, 1)].attempt, before);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[0].executed.len(), 6);
}

#[test]
fn reports_that_were_not_acknowledged_count_before_the_inventory_is_settled() {
    let mut bench = Bench::with_workers(&[2]);
    let mut graph = map(2);
    graph.options[0].retries = 1;
    let job = bench.submit(&graph);
    bench.workers[0].fail(job, 0, ErrorKind::User);
    let report = bench.workers[0].unsaid();
    drop(bench.workers[0].frames());
    let identity = bench.core.identity().clone();
    bench.workers[0].open_session_with(&identity, report);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.task(job, 0).failures, 1);
}

#[test]
fn an_extension_whose_report_comes_after_its_output_was_adopted_still_counts() {
    let mut old = Bench::with_workers(&[2]);
    let job = old.submit(&chain(1));
    let mut graph = GraphBuilder::fragment();
    let op = graph.op(OpSpec::native("g"));
    let options = graph.options(TaskOptions::default());
    let task = graph.task(op, options, b"", &[]);
    graph.want(task);
    let extension = GraphExtension {
        fragment: graph.finish(),
        replacement: None,
    };
    old.workers[0].extend(job, 0, extension);
    let report = old.workers[0].unsaid();
    let mut bench = next_leader(old);
    let identity = bench.core.identity().clone();
    bench.workers[0].open_session_with(&identity, report);
    bench.deliver_from(0);
    bench.step();
    bench.run();
    let answer = bench.job(job);
    assert_eq!((answer.meta.state, answer.counts.total), (JobState::Succeeded, 2));
    assert_eq!(bench.workers[0].executed.len(), 2);
}

#[test]
fn a_new_leader_knows_what_was_delivered() {
    let mut graph = chain_of(2, &dice());
    graph.outputs.push(0);
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&graph);
    old.run();
    let told = old.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(0),
        failed: vec![],
    });
    assert!(matches!(told, Ok(Response::Location(ObjectLocation::Held(_)))));
    assert!(matches!(old.commits.last(), Some(Commit::PutPages { .. })));
    old.notes.retain(|note| !matches!(note, Note::Pages { .. }));
    old.workers[0].objects.clear();
    let mut bench = next_leader(old);
    bench.connect(0);
    let asked = bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(1),
        failed: vec![],
    });
    assert!(matches!(
        asked,
        Ok(Response::Location(ObjectLocation::Pending { .. }))
    ));
    assert_eq!(bench.state(job), JobState::Failed);
}

#[test]
fn an_index_entry_says_whether_a_throw_was_told() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&chain_of(1, &dice()));
    bench.run();
    let is_untold = |bench: &Bench| {
        let entries = bench.notes.iter().rev().filter_map(|note| match note {
            Note::Result { entry, .. } => Some(entry.is_untold),
            _ => None,
        });
        entries.clone().next()
    };
    assert_eq!(is_untold(&bench), Some(true));
    bench
        .ask(GatewayRequest::Locate {
            job,
            task: TaskIdx(0),
            failed: vec![],
        })
        .unwrap();
    assert_eq!(is_untold(&bench), Some(false));
}

#[test]
fn a_new_leader_does_not_mix_a_new_throw_with_what_was_made_from_the_last() {
    // The throw was read by `a`, whose output is there; that it ever ran was never noted.
    let mut graph = GraphBuilder::new();
    let dice = graph.op(dice());
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let throw = graph.task(dice, options, b"", &[]);
    let a = graph.task(f, options, b"", &[Dep::whole(throw)]);
    let b = graph.task(f, options, b"", &[Dep::whole(throw), Dep::whole(a)]);
    graph.want(b);
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&graph.finish());
    old.finish(0, job, &[throw.0]);
    old.finish(0, job, &[a.0]);
    old.notes.retain(|note| !matches!(note, Note::Pages { .. }));
    old.workers[0].objects.remove(&(job, throw.0));
    old.workers[0].tasks.clear();
    let mut bench = next_leader(old);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    let runs = bench.workers[0].executed.iter();
    assert_eq!(runs.filter(|(_, task)| *task == a.0).count(), 2);
}

#[test]
fn what_was_rolled_back_stays_void_under_the_next_leader() {
    let mut graph = GraphBuilder::new();
    let dice = graph.op(dice());
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let throw = graph.task(dice, options, b"", &[]);
    let a = graph.task(f, options, b"", &[Dep::whole(throw)]);
    let b = graph.task(f, options, b"", &[Dep::whole(throw), Dep::whole(a)]);
    graph.want(b);
    let mut old = Bench::with_workers(&[1]);
    let job = old.submit(&graph.finish());
    old.finish(0, job, &[throw.0]);
    old.finish(0, job, &[a.0]);
    let stale = old.workers[0].objects[&(job, a.0)];
    old.workers[0].objects.remove(&(job, throw.0));
    old.workers[0].say(FromWorker::Lost(crate::bench::objects(
        job,
        throw.0,
        Attempt::new(Term(1), 1),
        1,
    )));
    old.deliver_from(0);
    old.step();
    // The word that `a` is freed was lost with the leader.
    old.workers[0].objects.insert((job, a.0), stale);
    old.workers[0].tasks.clear();
    let mut bench = next_leader(old);
    bench.connect(0);
    assert!(!bench.workers[0].objects.contains_key(&(job, a.0)));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn an_extension_without_the_one_before_it_is_made_again() {
    let mut graph = GraphBuilder::new();
    let f = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let first = graph.task(f, options, b"", &[]);
    let second = graph.task(f, options, b"", &[]);
    graph.want(first);
    graph.want(second);
    let mut old = Bench::with_workers(&[2]);
    let job = old.submit(&graph.finish());
    for task in [first, second] {
        let mut fragment = GraphBuilder::fragment();
        let g = fragment.op(OpSpec::native("g"));
        let options = fragment.options(TaskOptions::default());
        let a = fragment.task(g, options, b"", &[]);
        let b = fragment.task(g, options, b"", &[Dep::whole(a)]);
        let extension = GraphExtension {
            fragment: fragment.finish(),
            replacement: Some(b),
        };
        old.workers[0].extend(job, task.0, extension);
    }
    old.deliver_from(0);
    old.step();
    // The store lost the first of the two extensions.
    old.commits
        .retain(|commit| !matches!(commit, Commit::PutExtension { task, .. } if *task == first));
    old.workers[0].tasks.clear();
    let mut bench = next_leader(old);
    assert!(
        bench
            .commits
            .iter()
            .any(|commit| matches!(commit, Commit::DeleteJob { .. })),
        "the journal is written again"
    );
    bench.connect(0);
    bench.run();
    assert_eq!(bench.job(job).counts.total, 2);
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_job_that_is_submitted_again_is_forgotten_before_it_is_assigned() {
    let mut old = Bench::with_workers(&[1]);
    let graph = map(1);
    let (job, msg, encoded) = old.submission(&graph, JobOptions::default());
    old.apply(SchedulerEvent::JobSubmitted {
        token: 7,
        msg: Box::new(msg.clone()),
        graph: Ok(encoded.clone()),
    });
    old.step();
    old.workers[0].finish(job, &[0], 1, 1);
    // The store lost the job with its leader; the worker comes while the window is still open, then the client.
    old.commits.clear();
    let missing = WorkerId::from_u128(77);
    let mut bench = Bench::of_term(CoreConfig::default(), 2);
    bench.workers = std::mem::take(&mut old.workers);
    bench.core.recover(bench.clock, Vec::new(), vec![missing]);
    bench.connect(0);
    bench.apply(SchedulerEvent::JobSubmitted {
        token: 8,
        msg: Box::new(msg),
        graph: Ok(encoded),
    });
    bench.step();
    bench.pass_with(Duration::from_secs(4), &[0]);
    assert!(!bench.core.is_recovering());
    assert!(bench.workers[0].tasks.contains_key(&(job, 0)), "still assigned");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}
