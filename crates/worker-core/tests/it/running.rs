//! Starting, ending, stopping.

use std::time::Duration;

use millstream_protocol::ErrorKind;
use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::graph::{GraphExtension, TaskOptions};
use millstream_protocol::wire::{FromWorker, ReturnOutcome, ToWorker};
use millstream_types::{Amount, ResourceSet, TaskIdx};
use millstream_worker_core::{TaskOutput, WorkerEffect, WorkerEvent};

use super::rig::{
    JOB, Rig, Step, assign, attempt, dropped, finished, local, ops, returned, row, run, started,
};

fn cancel(task: u32) -> ToWorker {
    ToWorker::Cancel {
        job: JOB,
        tasks: U32s(vec![task]),
    }
}

fn retract(tasks: &[u32]) -> ToWorker {
    ToWorker::Retract {
        job: JOB,
        tasks: U32s(tasks.to_vec()),
    }
}

fn free(task: u32, n: u32) -> ToWorker {
    ToWorker::Free {
        job: JOB,
        tasks: U32s(vec![task]),
        attempts: U64s(vec![attempt(n).packed()]),
    }
}

#[test]
fn tasks_start_by_priority_and_never_beyond_the_slots() {
    let mut rig = Rig::in_session(2);
    rig.tell(&[assign(&[row(3, &[]), row(1, &[]), row(2, &[])])]);
    rig.expect_started(&[run(1, 1), run(2, 1)]);
    rig.finish(1, 1);
    let step = rig.step();
    assert_eq!(started(&step), [run(3, 1)]);
    assert_eq!(finished(&step), [1]);
    rig.finish(2, 1);
    rig.finish(3, 1);
    let step = rig.step();
    assert_eq!((step.effects.len(), finished(&step)), (0, vec![2, 3]));
    assert_eq!(rig.core.stats().objects, 3);
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    let mut rig = Rig::in_session(2);
    let wide = TaskOptions {
        resources: ResourceSet::new().with("cpu", Amount::whole(2)),
        ..TaskOptions::default()
    };
    rig.tell(&[ops(vec![TaskOptions::default(), wide])]);
    let mut large = row(2, &[]);
    large.options = 1;
    rig.tell(&[assign(&[row(1, &[]), large, row(3, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.finish(2, 1);
    assert_eq!(started(&rig.step()), [run(3, 1)]);
}

#[test]
fn a_request_beyond_the_worker_fails_typed() {
    let mut rig = Rig::in_session(2);
    let gpu = TaskOptions {
        resources: ResourceSet::new().with("gpu", Amount::whole(1)),
        ..TaskOptions::default()
    };
    rig.tell(&[ops(vec![gpu]), assign(&[row(1, &[])])]);
    let step = rig.step();
    assert!(
        matches!(&step.said[..], [FromWorker::Failed(msg)] if msg.error.kind == ErrorKind::Unschedulable)
    );
    assert!(step.effects.is_empty());
}

#[test]
fn a_task_without_tables_fails_typed() {
    let mut rig = Rig::in_session(2);
    let mut unknown = row(1, &[]);
    unknown.options = 9;
    rig.tell(&[assign(&[unknown])]);
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Failed(msg)] if msg.error.kind == ErrorKind::Internal));
}

#[test]
fn small_wanted_outputs_travel_inline() {
    let mut rig = Rig::in_session(1);
    let mut wanted = row(1, &[]);
    wanted.inline = true;
    rig.tell(&[assign(&[wanted])]);
    let step = rig.step();
    assert!(matches!(&step.effects[..], [WorkerEffect::StartTask(start)] if start.inline));
    rig.finish_with(1, 1, Some(b"42"));
    let step = rig.step();
    let [FromWorker::Finished(msg)] = &step.said[..] else {
        panic!("{step:?}")
    };
    assert_eq!(msg.inline, [(0, b"42"[..].into())]);
}

#[test]
fn a_failure_is_reported_with_its_host_and_takes_descendants_along() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[
        row(1, &[]),
        row(2, &[local(1, 1)]),
        row(3, &[local(2, 1)]),
    ])]);
    rig.expect_started(&[run(1, 1)]);
    rig.fail(1, 1);
    let step = rig.step();
    let failed = &step.said[0];
    assert!(matches!(failed, FromWorker::Failed(msg) if msg.error.host.as_deref() == Some("here")));
    let gone = [(2, 1, ReturnOutcome::Returned), (3, 1, ReturnOutcome::Returned)];
    assert_eq!(returned(&step), gone);
    assert_eq!((step.effects.len(), step.said.len()), (0, 2));
}

#[test]
fn retract_answers_for_each_task_and_returns_descendants() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[]), row(3, &[local(2, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.tell(&[retract(&[1, 2, 8])]);
    let step = rig.step();
    assert_eq!(
        returned(&step),
        [
            (1, 1, ReturnOutcome::Started),
            (2, 1, ReturnOutcome::Returned),
            (3, 1, ReturnOutcome::Returned),
            (8, 0, ReturnOutcome::Done),
        ]
    );
    rig.finish(1, 1);
    rig.tell(&[retract(&[1])]);
    let step = rig.step();
    assert_eq!(finished(&step), [1]);
    assert_eq!(returned(&step), [(1, 1, ReturnOutcome::Done)]);
}

#[test]
fn a_cancelled_run_is_killed_and_answered_when_it_ended() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.tell(&[cancel(1)]);
    let step = rig.step();
    assert_eq!(step.effects, [WorkerEffect::KillTask(run(1, 1))]);
    assert_eq!(returned(&step), [(2, 1, ReturnOutcome::Returned)]);
    rig.tell(&[cancel(1)]);
    assert_eq!(rig.step(), Step::default());
    rig.finish(1, 1);
    let step = rig.step();
    assert_eq!(step.effects, [dropped(1, 1)]);
    assert_eq!(returned(&step), [(1, 1, ReturnOutcome::Stopped)]);
    assert_eq!(rig.core.stats().objects, 0);
}

#[test]
fn a_task_beyond_its_timeout_is_killed_and_fails() {
    let mut rig = Rig::in_session(1);
    let limited = TaskOptions {
        timeout_ms: Some(50),
        ..TaskOptions::default()
    };
    rig.tell(&[ops(vec![limited]), assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    assert!(rig.core.next_wakeup().unwrap() <= rig.now + Duration::from_millis(50));
    rig.pass(Duration::from_millis(49));
    assert_eq!(rig.step().effects, []);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.step().effects, [WorkerEffect::KillTask(run(1, 1))]);
    rig.fail(1, 1);
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Failed(msg)] if msg.error.kind == ErrorKind::TimedOut));
}

#[test]
fn a_newer_attempt_takes_the_place_of_an_older_one() {
    let mut rig = Rig::in_session(2);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    let mut again = row(1, &[]);
    again.n = 2;
    rig.tell(&[assign(&[again])]);
    let step = rig.step();
    assert_eq!(step.effects[0], WorkerEffect::KillTask(run(1, 1)));
    assert_eq!(started(&step), [run(1, 2)]);
    rig.tell(&[assign(&[row(1, &[])])]);
    assert_eq!(rig.step(), Step::default());
    rig.finish(1, 1);
    assert_eq!(rig.step().effects, [dropped(1, 1)]);
    rig.finish(1, 2);
    assert_eq!(finished(&rig.step()), [1]);
}

#[test]
fn free_drops_exactly_the_generation() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    rig.step();
    rig.tell(&[free(1, 2)]);
    assert_eq!(rig.step(), Step::default());
    rig.tell(&[free(1, 1)]);
    assert_eq!(rig.step().effects, [dropped(1, 1)]);
    assert_eq!(rig.core.stats().objects, 0);
}

#[test]
fn an_object_read_by_a_running_task_leaves_with_it() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.tell(&[free(1, 1)]);
    assert_eq!(rig.step().effects, [dropped(1, 1)]);
    rig.finish(2, 1);
    assert_eq!(finished(&rig.step()), [2]);
}

#[test]
fn a_forgotten_job_leaves_nothing_behind() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[]), row(3, &[local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.tell(&[ToWorker::ForgetJob { job: JOB }]);
    let step = rig.step();
    assert_eq!(step.effects, [WorkerEffect::KillTask(run(2, 1)), dropped(1, 1)]);
    assert_eq!(step.said, []);
    rig.finish(2, 1);
    assert_eq!(rig.step().effects, [dropped(2, 1)]);
    let stats = rig.core.stats();
    assert_eq!(
        (stats.queued, stats.executing, stats.objects, stats.copies),
        (0, 0, 0, 0)
    );
}

#[test]
fn an_extension_that_replaces_the_output_returns_descendants() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    let extension = GraphExtension {
        replacement: Some(TaskIdx(0)),
        ..GraphExtension::default()
    };
    rig.apply(WorkerEvent::TaskExtended {
        run: run(1, 1),
        output: None,
        extension: Box::new(extension.clone()),
        duration_us: 5,
        log: None,
    });
    let step = rig.step();
    assert!(matches!(&step.said[0], FromWorker::Extended(msg) if msg.extension == extension));
    assert_eq!(returned(&step), [(2, 1, ReturnOutcome::Returned)]);
    assert_eq!(rig.core.stats().objects, 0);
}

#[test]
fn an_extension_that_keeps_the_output_lets_descendants_go_on() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(WorkerEvent::TaskExtended {
        run: run(1, 1),
        output: Some(TaskOutput::default()),
        extension: Box::default(),
        duration_us: 5,
        log: None,
    });
    let step = rig.step();
    assert_eq!(started(&step), [run(2, 1)]);
    assert_eq!(rig.core.stats().objects, 1);
}

#[test]
fn an_oversized_extension_becomes_a_failure() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    let mut extension = GraphExtension::default();
    extension.fragment.ops = vec![millstream_protocol::graph::OpSpec::native("x".repeat(65 << 20))];
    rig.apply(WorkerEvent::TaskExtended {
        run: run(1, 1),
        output: None,
        extension: Box::new(extension),
        duration_us: 5,
        log: None,
    });
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Failed(msg)] if msg.error.kind == ErrorKind::BadInput));
}
