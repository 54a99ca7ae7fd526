//! Jobs from submission to release.

use std::time::Duration;

use crate::bench::{Bench, map, map_of};
use millstream_protocol::ErrorKind;
use millstream_protocol::graph::*;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

/// `a` and `b`, read by `c`, which is wanted.
fn join() -> Graph {
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let a = graph.named_task("a", op, options, b"", &[]);
    let b = graph.named_task("b", op, options, b"", &[]);
    let c = graph.named_task("c", op, options, b"", &[Dep::whole(a), Dep::whole(b)]);
    graph.want(c);
    graph.finish()
}

#[test]
fn a_job_runs_from_submission_to_removal() {
    let mut bench = Bench::with_workers(&[2]);
    let job = bench.submit(&join());
    assert!(matches!(&bench.commits[..], [Commit::PutJob { .. }]));
    assert_eq!(bench.acks, [7]);
    assert!(matches!(
        &bench.replies[..],
        [(
            _,
            ToGateway::Submitted {
                result: Ok(JobState::Running),
                ..
            }
        )]
    ));
    // c was sent ahead of its inputs, which are made by the same worker.
    assert_eq!(bench.workers[0].task_list(), [0, 1, 2]);
    bench.run();
    let ended = bench.ended(job).unwrap();
    assert_eq!(ended.meta.state, JobState::Succeeded);
    assert_eq!(ended.counts.released, 2);
    assert_eq!(ended.counts.stored, 1);
    assert_eq!(bench.workers[0].freed, 2);
    assert!(matches!(
        bench.commits.last(),
        Some(Commit::SetMeta { meta, expire_after: None }) if meta.state == JobState::Succeeded
    ));
    let located = bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(2),
        failed: vec![],
    });
    assert!(matches!(
        located,
        Ok(Response::Location(ObjectLocation::Held(entry))) if entry.holders.len() == 1
    ));
    bench.ask(GatewayRequest::Remove { job }).unwrap();
    assert_eq!(bench.workers[0].forgotten, [job]);
    bench.nothing_left();
    assert!(matches!(bench.commits.last(), Some(Commit::DeleteJob { .. })));
}

#[test]
fn a_repeated_submission_has_the_same_answer_and_another_body_conflicts() {
    let mut bench = Bench::with_workers(&[2]);
    let (job, msg, graph) = bench.submission(&join(), JobOptions::default());
    for body in [1, 1, 2] {
        let mut msg = msg.clone();
        msg.body_hash = ContentKey::from_bytes([body; 32]);
        bench.apply(SchedulerEvent::JobSubmitted {
            token: 1,
            msg: Box::new(msg),
            graph: Ok(graph.clone()),
        });
    }
    bench.step();
    assert_eq!(bench.acks.len(), 3);
    assert_eq!(bench.commits.len(), 1);
    let verdicts: Vec<_> = bench
        .replies
        .iter()
        .map(|(_, msg)| match msg {
            ToGateway::Submitted { result, .. } => result.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            Ok(JobState::Running),
            Ok(JobState::Running),
            Err(RequestError::IdConflict(job))
        ]
    );
}

#[test]
fn a_malformed_graph_is_refused_with_its_code() {
    let mut bench = Bench::new();
    let mut graph = join();
    graph.outputs.push(77);
    bench.submit(&graph);
    assert!(bench.commits.is_empty());
    assert!(matches!(
        &bench.replies[..],
        [(_, ToGateway::Submitted { result: Err(RequestError::InvalidGraph { code, .. }), .. })]
            if code == "missing_output"
    ));
}

#[test]
fn more_jobs_than_allowed_are_refused_as_overload() {
    let mut bench = Bench::with(CoreConfig {
        max_active_jobs: 1,
        ..CoreConfig::default()
    });
    bench.submit(&join());
    bench.submit(&join());
    assert!(matches!(
        bench.replies.last(),
        Some((
            _,
            ToGateway::Submitted {
                result: Err(RequestError::Overloaded),
                ..
            }
        ))
    ));
}

#[test]
fn a_small_wanted_output_travels_with_the_answer() {
    let mut bench = Bench::with_workers(&[2]);
    let job = bench.submit(&join());
    bench.workers[0].finish(job, &[0, 1], 1, 10);
    assert_eq!(bench.workers[0].tasks[&(job, 2)].flags, AssignMsg::INLINE);
    bench.workers[0].finish_inline(job, 2, b"42");
    bench.deliver_from(0);
    bench.step();
    let ended = bench.ended(job).unwrap();
    assert_eq!(ended.inline.len(), 1);
    assert_eq!(
        (&ended.inline[0].key[..], &ended.inline[0].value[..]),
        ("c", &b"42"[..])
    );
}

#[test]
fn a_failed_task_is_retried_with_growing_delays_and_then_fails_the_job() {
    let mut bench = Bench::with_workers(&[1]);
    let options = TaskOptions {
        retries: 2,
        ..TaskOptions::default()
    };
    let job = bench.submit(&map_of(1, options));
    for delay_ms in [100_u64, 200] {
        bench.workers[0].fail(job, 0, ErrorKind::User);
        bench.deliver_from(0);
        bench.step();
        assert!(bench.workers[0].tasks.is_empty());
        bench.pass(Duration::from_millis(delay_ms - 1));
        assert!(bench.workers[0].tasks.is_empty(), "too early");
        bench.pass(Duration::from_millis(1));
        assert_eq!(bench.workers[0].task_list(), [0]);
    }
    let failures = bench
        .commits
        .iter()
        .filter(|commit| matches!(commit, Commit::PutFailure { .. }));
    assert_eq!(failures.count(), 2);
    bench.workers[0].fail(job, 0, ErrorKind::User);
    bench.deliver_from(0);
    bench.step();
    let ended = bench.ended(job).unwrap();
    assert_eq!(ended.meta.state, JobState::Failed);
    assert_eq!(ended.meta.failed_task, Some(TaskIdx(0)));
    bench.nothing_left();
}

#[test]
fn an_error_that_a_retry_cannot_help_is_final_at_once() {
    let mut bench = Bench::with_workers(&[1]);
    let options = TaskOptions {
        retries: 5,
        ..TaskOptions::default()
    };
    let job = bench.submit(&map_of(1, options));
    bench.workers[0].fail(job, 0, ErrorKind::UnknownOp);
    bench.deliver_from(0);
    bench.step();
    assert_eq!(bench.ended(job).unwrap().meta.state, JobState::Failed);
}

#[test]
fn a_failure_fails_its_readers_and_cancels_what_only_they_needed() {
    let mut bench = Bench::with_workers(&[1]);
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let a = graph.task(op, options, b"", &[]);
    let b = graph.task(op, options, b"", &[Dep::whole(a)]);
    // Nobody but d reads the long side branch.
    let side = graph.blockwise(50, op, options, vec![]);
    let deps: Vec<Dep> = (0..50)
        .map(|i| Dep::whole(side.at(i)))
        .chain([Dep::whole(b)])
        .collect();
    let d = graph.task(op, options, b"", &deps);
    let free = graph.task(op, options, b"", &[]);
    graph.want(d);
    graph.want(free);
    let job = bench.submit(&graph.finish());
    bench.workers[0].fail(job, 0, ErrorKind::BadInput);
    bench.deliver_from(0);
    bench.step();
    bench.run();
    let answer = bench.job(job);
    assert_eq!(answer.meta.state, JobState::Failed);
    assert_eq!(answer.counts.failed, 3);
    assert_eq!(answer.counts.stored, 1, "an independent output is still made");
    assert!(answer.counts.cancelled > 40, "{:?}", answer.counts);
    let told = bench.task(job, d.0);
    assert_eq!(told.error.unwrap().kind, ErrorKind::UpstreamFailed);
}

#[test]
fn cancel_is_committed_before_workers_hear_of_it_and_ends_when_they_have_answered() {
    let mut bench = Bench::with_workers(&[1, 1]);
    let job = bench.submit(&map(10));
    bench.workers[1].answers = false;
    bench.ask(GatewayRequest::Cancel { job }).unwrap();
    let kinds: Vec<_> = bench
        .commits
        .iter()
        .skip(1)
        .map(|commit| match commit {
            Commit::RequestCancel { .. } => "cancel",
            Commit::SetMeta { meta, .. } => meta.state.name(),
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["cancel", "cancelling"]);
    assert_eq!(bench.state(job), JobState::Cancelling);
    bench.workers[1].answer_all();
    bench.deliver_from(1);
    bench.step();
    assert_eq!(bench.ended(job).unwrap().meta.state, JobState::Cancelled);
    bench.nothing_left();
}

#[test]
fn a_result_that_comes_after_the_cancel_is_freed() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(1));
    bench.workers[0].answers = false;
    bench.ask(GatewayRequest::Cancel { job }).unwrap();
    bench.workers[0].unanswered.clear();
    bench.finish(0, job, &[0]);
    assert_eq!(bench.state(job), JobState::Cancelled);
    bench.nothing_left();
}

#[test]
fn a_deadline_stops_the_job_and_names_itself() {
    let mut bench = Bench::with_workers(&[1]);
    let options = JobOptions {
        deadline_ms: Some(5_000),
        ..JobOptions::default()
    };
    let job = bench.submit_with(&map(4), options);
    bench.pass_with(Duration::from_secs(6), &[0]);
    let ended = bench.ended(job).unwrap();
    assert_eq!(
        ended.meta.error.as_ref().unwrap().kind,
        ErrorKind::DeadlineExceeded
    );
    bench.nothing_left();
}

#[test]
fn results_are_let_go_when_their_retention_ends() {
    let mut bench = Bench::with_workers(&[1]);
    let options = JobOptions {
        result_ttl_s: Some(60),
        ..JobOptions::default()
    };
    let job = bench.submit_with(&map(2), options);
    bench.run();
    bench.pass_with(Duration::from_secs(40), &[0]);
    bench
        .ask(GatewayRequest::Locate {
            job,
            task: TaskIdx(0),
            failed: vec![],
        })
        .unwrap();
    bench.pass_with(Duration::from_secs(40), &[0]);
    assert_eq!(
        bench.workers[0].objects.len(),
        2,
        "a read starts the retention anew"
    );
    bench.pass_with(Duration::from_secs(25), &[0]);
    bench.nothing_left();
    let gone = bench.ask(GatewayRequest::Locate {
        job,
        task: TaskIdx(0),
        failed: vec![],
    });
    assert!(matches!(gone, Err(RequestError::Gone(_))));
    assert_eq!(bench.state(job), JobState::Succeeded, "the record stays");
}

#[test]
fn an_attached_job_ends_with_its_client() {
    let mut bench = Bench::with_workers(&[1]);
    let options = JobOptions {
        attached_to: Some("notebook".to_owned()),
        ..JobOptions::default()
    };
    let job = bench.submit_with(&map(3), options);
    let other = bench.submit(&map(1));
    assert_eq!(bench.core.attached_sessions(), ["notebook"]);
    bench.apply(SchedulerEvent::ClientSessionEnded {
        session: "notebook".to_owned(),
    });
    bench.step();
    assert_eq!(bench.state(job), JobState::Cancelled);
    assert_eq!(bench.state(other), JobState::Running);
}

#[test]
fn higher_priority_runs_first_and_then_earlier_submission() {
    let mut bench = Bench::new();
    let low = bench.submit(&map(1));
    let next = bench.submit(&map(1));
    let high = bench.submit_with(
        &map(1),
        JobOptions {
            priority: 5,
            ..JobOptions::default()
        },
    );
    bench.add_worker(2);
    let mut order: Vec<_> = bench.workers[0]
        .tasks
        .iter()
        .map(|((job, _), row)| (row.priority, *job))
        .collect();
    order.sort_unstable();
    let jobs: Vec<_> = order.into_iter().map(|(_, job)| job).collect();
    assert_eq!(jobs, [high, low, next]);
}

#[test]
fn a_million_task_map_starts_at_once_and_expands_as_it_goes() {
    let mut bench = Bench::new();
    bench.checks = false;
    bench.add_worker(2);
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    graph.blockwise(1_000_000, op, options, vec![]);
    bench.submit(&graph.finish());
    assert_eq!(bench.workers[0].task_list(), [0, 1, 2, 3]);
    assert_eq!(bench.workers[0].tasks.values().next().unwrap().index, Some(0));
}

#[test]
fn tasks_are_listed_by_state_in_pages() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(10));
    let tasks = bench.workers[0].task_list();
    bench.finish(0, job, &tasks);
    let query = TaskQuery {
        job,
        state: Some("stored".to_owned()),
        from: TaskIdx(0),
        limit: 1,
    };
    let Ok(Response::Tasks { tasks, next }) = bench.ask(GatewayRequest::Tasks(query)) else {
        panic!("no page");
    };
    assert_eq!((tasks.len(), tasks[0].task, next), (1, 0, Some(TaskIdx(1))));
    let told = bench.task(job, 0);
    let story: Vec<_> = told.story.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(story, ["assigned on worker-0", "stored on worker-0"]);
    assert!(!told.explain.is_empty());
}

#[test]
fn a_task_that_its_worker_has_started_is_running() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(2));
    assert_eq!(bench.task(job, 0).state, "assigned");
    bench.workers[0].execute(&[(job, 0)]);
    bench.deliver_from(0);
    assert_eq!(bench.task(job, 0).state, "running");
    assert_eq!(bench.task(job, 1).state, "assigned");
    let running = GatewayRequest::Tasks(TaskQuery {
        job,
        state: Some("running".to_owned()),
        from: TaskIdx(0),
        limit: 10,
    });
    let Ok(Response::Tasks { tasks, .. }) = bench.ask(running) else {
        panic!("no page");
    };
    assert_eq!(tasks.len(), 1);
}

#[test]
fn a_task_whose_assignment_is_too_large_fails_with_advice() {
    let mut bench = Bench::with_workers(&[1]);
    let mut graph = GraphBuilder::new();
    let op = graph.op(OpSpec::native("f"));
    let options = graph.options(TaskOptions::default());
    let noise: Vec<u8> = (0..65 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let task = graph.task(op, options, &noise, &[]);
    graph.want(task);
    let job = bench.submit(&graph.finish());
    let ended = bench.ended(job).unwrap();
    assert_eq!(ended.meta.error.as_ref().unwrap().kind, ErrorKind::BadInput);
}
