//! Sessions: registration, gaps, stale frames, terms.

use std::time::Duration;

use bytes::Bytes;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

use crate::bench::{Bench, chain, map};
use crate::recovery::next_leader;

#[test]
fn a_worker_is_settled_after_its_inventory_and_then_gets_work() {
    let mut bench = Bench::new();
    bench.submit(&map(1));
    bench.add_worker(1);
    assert_eq!(bench.workers[0].settled, 1);
    assert_eq!(bench.workers[0].task_list(), [0]);
}

#[test]
fn a_returning_worker_keeps_its_tasks_and_finished_ones_count() {
    let mut bench = Bench::with_workers(&[2]);
    let job = bench.submit(&map(3));
    // Task 0 is done, but its report is lost with the session; task 1 still runs; task 2 never arrived.
    let worker = &mut bench.workers[0];
    worker.finish(job, &[0], 5, 10);
    worker.tasks.remove(&(job, 2));
    let before = worker.tasks[&(job, 1)].attempt;
    bench.connect(0);
    let worker = &bench.workers[0];
    assert_eq!(worker.settled, 2);
    assert_eq!(
        worker.tasks[&(job, 1)].attempt,
        before,
        "a kept task keeps its attempt"
    );
    assert_eq!(
        worker.tasks[&(job, 2)].attempt.n,
        2,
        "a task that was not there is given again"
    );
    let counts = bench.job(job).counts;
    assert_eq!((counts.stored, counts.assigned), (1, 2));
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_lost_batch_ends_the_session_and_a_new_one_settles_everything() {
    let mut bench = Bench::with_workers(&[2]);
    let job = bench.submit(&map(8));
    bench.workers[0].finish(job, &[0], 1, 10);
    drop(bench.workers[0].frames());
    bench.workers[0].finish(job, &[1], 1, 10);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.core.counters().gaps, 1);
    assert_eq!(bench.job(job).counts.stored, 0);
    bench.connect(0);
    assert_eq!(bench.job(job).counts.stored, 2);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn frames_of_an_old_session_are_ignored() {
    let mut bench = Bench::with_workers(&[2]);
    let job = bench.submit(&map(1));
    bench.workers[0].finish(job, &[0], 1, 10);
    let late = bench.workers[0].frames();
    bench.workers[0].objects.clear();
    bench.connect(0);
    let attempt = bench.workers[0].tasks[&(job, 0)].attempt;
    assert_eq!(attempt.n, 2);
    for frame in late {
        bench.apply(SchedulerEvent::WorkerFrame(frame));
    }
    assert_eq!(bench.job(job).counts.stored, 0);
    assert!(bench.core.counters().foreign_frames >= 1);
}

#[test]
fn noise_is_counted_and_changes_nothing() {
    let mut bench = Bench::with_workers(&[1]);
    for frame in [&b""[..], b"\x01", b"\x07nonsense", b"\x01\x96\xa1x"] {
        bench.apply(SchedulerEvent::WorkerFrame(Bytes::from_static(frame)));
    }
    assert_eq!(bench.core.counters().malformed_frames, 4);
}

#[test]
fn impossible_reports_are_counted_and_ignored() {
    let mut bench = Bench::with_workers(&[1]);
    bench.workers[0].strict = false;
    let job = bench.submit(&map(1));
    let finished = |job, task: u32, attempts: Vec<u64>| {
        FromWorker::Finished(FinishedMsg {
            job,
            tasks: vec![task].into(),
            attempts: attempts.into(),
            bytes: vec![1].into(),
            durations_us: vec![1].into(),
            inline: vec![(9, Bytes::from_static(b"x"))],
        })
    };
    let stranger = JobId::from_u128(77);
    for item in [
        finished(job, 99, vec![1]),
        finished(job, 0, vec![]),
        finished(job, 0, vec![u64::MAX]),
        finished(stranger, 0, vec![1]),
    ] {
        bench.workers[0].say(item);
    }
    bench.deliver_from(0);
    bench.step();
    let counters = bench.core.counters();
    assert_eq!((counters.impossible_messages, counters.stale_reports), (2, 2));
    assert_eq!(bench.workers[0].forgotten, [stranger]);
    assert_eq!(bench.job(job).counts.assigned, 1);
}

#[test]
fn a_higher_term_anywhere_ends_this_leader() {
    let evidence: [fn(&mut Bench); 3] = [
        |bench| bench.apply(SchedulerEvent::StaleTermHeard(StaleTerm { known: Term(5) })),
        |bench| {
            bench.apply(SchedulerEvent::HelloHeard(Hello {
                term: Term(5),
                leader: LeaderId::from_u128(1),
                queue: "q".to_owned(),
            }));
        },
        |bench| {
            let mut other = crate::bench::identity(5);
            other.leader = LeaderId::from_u128(5);
            bench.workers[0].open_session(&other);
            bench.deliver_from(0);
        },
    ];
    for tell in evidence {
        let mut bench = Bench::with_workers(&[1]);
        tell(&mut bench);
        bench.step();
        assert_eq!(bench.step_down, Some(Term(5)));
        bench.commits.clear();
        bench.submit(&map(1));
        assert!(bench.commits.is_empty(), "a leader of the past decides nothing");
    }
}

#[test]
fn a_worker_that_follows_another_leader_of_this_term_ends_it() {
    let mut bench = Bench::of_term(CoreConfig::default(), 3);
    bench.apply(SchedulerEvent::StaleTermHeard(StaleTerm { known: Term(3) }));
    bench.step();
    assert_eq!(bench.step_down, Some(Term(3)));
}

#[test]
fn a_lower_term_is_ignored() {
    let mut bench = Bench::of_term(CoreConfig::default(), 3);
    bench.apply(SchedulerEvent::StaleTermHeard(StaleTerm { known: Term(2) }));
    bench.apply(SchedulerEvent::HelloHeard(Hello {
        term: Term(1),
        leader: LeaderId::from_u128(1),
        queue: "q".to_owned(),
    }));
    bench.step();
    assert_eq!(bench.step_down, None);
}

#[test]
fn nothing_leaves_while_the_lease_is_uncertain() {
    let mut bench = Bench::with_workers(&[1]);
    bench.apply(SchedulerEvent::LeaseUncertain);
    let job = bench.submit(&map(1));
    assert!(bench.commits.is_empty() && bench.replies.is_empty());
    assert!(bench.workers[0].tasks.is_empty());
    bench.apply(SchedulerEvent::LeaseSure);
    bench.step();
    assert_eq!(bench.commits.len(), 1);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn a_worker_whose_queue_is_gone_gets_nothing_until_it_returns() {
    let mut bench = Bench::with_workers(&[1]);
    let queue = bench.workers[0].queue.clone();
    bench.apply(SchedulerEvent::WorkerUnroutable { queue });
    let job = bench.submit(&map(1));
    assert!(bench.workers[0].tasks.is_empty());
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn work_waits_in_columns_while_the_window_is_full() {
    let mut bench = Bench::with_workers(&[1]);
    bench.lose_frames_to = Some(0);
    for _ in 0..10 {
        bench.submit(&chain(3));
    }
    // Four batches are under way, and the worker has acknowledged none.
    let sent = bench.core.counters().assigned;
    assert!(sent > 0);
    bench.lose_frames_to = None;
    bench.workers[0].tasks.clear();
    bench.connect(0);
    bench.run();
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    graph.task(op, options, b"", &[]);
    let last = bench.submit(&graph.finish());
    bench.run();
    assert_eq!(bench.state(last), JobState::Succeeded);
}

#[test]
fn a_term_that_was_given_twice_is_led_by_nobody() {
    let mut bench = Bench::of_term(CoreConfig::default(), 4);
    bench.apply(SchedulerEvent::HelloHeard(Hello {
        term: Term(4),
        leader: LeaderId::from_u128(1),
        queue: "q".to_owned(),
    }));
    bench.step();
    assert_eq!(bench.step_down, Some(Term(4)));
}

#[test]
fn a_last_batch_that_was_lost_ends_the_session() {
    let mut bench = Bench::with_workers(&[1]);
    bench.pass_with(Duration::from_secs(2), &[0]);
    bench.lose_frames_to = Some(0);
    let job = bench.submit(&map(1));
    bench.lose_frames_to = None;
    assert!(bench.workers[0].tasks.is_empty(), "the assignment was lost");
    let said = bench.workers[0].session.sent();
    // Its heartbeats go on, and acknowledge nothing new.
    bench.pass_with(Duration::from_secs(5), &[0]);
    assert!(bench.workers[0].session.sent() > said);
    assert_eq!(bench.core.counters().gaps, 1);
    bench.connect(0);
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
}

#[test]
fn what_ends_while_a_new_leader_waits_for_other_workers_is_kept() {
    let mut old = Bench::with_workers(&[1, 1]);
    let job = old.submit(&map(2));
    let task = old.workers[0].task_list()[0];
    let mut bench = next_leader(old);
    bench.workers[1].is_dead = true;
    bench.connect(0);
    bench.finish(0, job, &[task]);
    assert!(bench.core.is_recovering());
    bench.pass_with(Duration::from_secs(3), &[0]);
    assert!(!bench.core.is_recovering());
    assert_eq!(bench.task(job, task).state, "stored");
    bench.run();
    assert_eq!(bench.state(job), JobState::Succeeded);
    assert_eq!(bench.workers[0].executed.len(), 2, "nothing ran twice");
}
