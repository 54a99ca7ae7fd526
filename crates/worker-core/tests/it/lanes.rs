//! Short tasks handed to a slot together.

use std::time::Duration;

use millstream_protocol::ErrorKind;
use millstream_protocol::columns::U32s;
use millstream_protocol::wire::{FromWorker, ReturnOutcome, ToWorker};
use millstream_types::ByteSize;
use millstream_worker_core::{MemoryLevel, TaskOutput, TaskRun, WorkerEffect, WorkerEvent};

use super::rig::{JOB, Rig, Row, Step, assign, finished, local, returned, row, run, started};

const LANE: Duration = Duration::from_micros(100);

/// A worker that knows its operation to take 5 µs, of which a lane holds a dozen.
fn experienced(slots: u32) -> Rig {
    let mut rig = Rig::with_lanes(slots, LANE);
    for task in [1000, 1001] {
        rig.tell(&[assign(&[row(task, &[])])]);
        rig.expect_started(&[run(task, 1)]);
        rig.finish(task, 1);
        rig.step();
    }
    rig
}

fn rows(tasks: std::ops::Range<u32>) -> Vec<Row> {
    tasks.map(|task| row(task, &[])).collect()
}

fn after(step: &Step) -> Vec<(u32, Option<u32>)> {
    let starts = step.effects.iter().filter_map(|effect| match effect {
        WorkerEffect::StartTask(start) => Some((start.run.task.0, start.after.map(|run| run.task.0))),
        _ => None,
    });
    starts.collect()
}

fn recalled(step: &Step) -> Vec<TaskRun> {
    let recalls = step.effects.iter().filter_map(|effect| match effect {
        WorkerEffect::Recall(run) => Some(*run),
        _ => None,
    });
    recalls.collect()
}

#[test]
fn tasks_known_to_be_short_are_handed_over_together() {
    let mut rig = experienced(1);
    rig.tell(&[assign(&rows(0..40))]);
    let step = rig.step();
    let handed = after(&step);
    assert_eq!(handed[..3], [(0, None), (1, Some(0)), (2, Some(1))]);
    // 100 µs of tasks of 5 µs and their overhead behind the first.
    assert_eq!(handed.len(), 13);
    for task in 0..13 {
        rig.finish(task, 1);
    }
    let step = rig.step();
    assert_eq!(finished(&step), (0..13).collect::<Vec<_>>());
    assert_eq!(after(&step)[0], (13, None));
}

#[test]
fn operations_of_unknown_length_are_handed_over_one_by_one() {
    let mut rig = Rig::with_lanes(1, LANE);
    rig.tell(&[assign(&rows(0..4))]);
    rig.expect_started(&[run(0, 1)]);
}

#[test]
fn every_free_slot_gets_its_share() {
    let mut rig = experienced(4);
    rig.tell(&[assign(&rows(0..8))]);
    assert_eq!(
        after(&rig.step()),
        [
            (0, None),
            (1, Some(0)),
            (2, None),
            (3, Some(2)),
            (4, None),
            (5, Some(4)),
            (6, None),
            (7, Some(6))
        ]
    );
}

#[test]
fn what_waits_behind_a_task_that_takes_long_is_asked_back_and_runs_elsewhere() {
    let mut rig = experienced(2);
    rig.tell(&[assign(&rows(0..4))]);
    assert_eq!(
        after(&rig.step()),
        [(0, None), (1, Some(0)), (2, None), (3, Some(2))]
    );
    rig.finish(2, 1);
    rig.finish(3, 1);
    rig.step();
    rig.pass(Duration::from_millis(20));
    let step = rig.step();
    assert_eq!(recalled(&step), [run(1, 1)]);
    rig.apply(WorkerEvent::NotStarted { run: run(1, 1) });
    assert_eq!(after(&rig.step()), [(1, None)]);
    rig.finish(1, 1);
    rig.finish(0, 1);
    assert_eq!(finished(&rig.step()), [1, 0]);
}

#[test]
fn a_pause_asks_back_what_has_not_begun_and_returns_it() {
    let mut rig = experienced(1);
    rig.tell(&[assign(&rows(0..2))]);
    rig.step();
    rig.memory(MemoryLevel::Pause, 100);
    assert_eq!(recalled(&rig.step()), [run(1, 1)]);
    rig.apply(WorkerEvent::NotStarted { run: run(1, 1) });
    assert_eq!(returned(&rig.step()), [(1, 1, ReturnOutcome::Returned)]);
}

#[test]
fn a_cancelled_task_in_a_lane_is_killed_and_answered_when_its_slot_has_let_go() {
    let mut rig = experienced(1);
    rig.tell(&[assign(&[row(0, &[]), row(1, &[]), row(2, &[local(1, 1)])])]);
    assert_eq!(started(&rig.step()), [run(0, 1), run(1, 1)]);
    rig.tell(&[ToWorker::Cancel {
        job: JOB,
        tasks: U32s(vec![1]),
    }]);
    let step = rig.step();
    assert_eq!(step.effects, [WorkerEffect::KillTask(run(1, 1))]);
    assert_eq!(returned(&step), [(2, 1, ReturnOutcome::Returned)]);
    rig.apply(WorkerEvent::NotStarted { run: run(1, 1) });
    assert_eq!(returned(&rig.step()), [(1, 1, ReturnOutcome::Stopped)]);
    rig.finish(0, 1);
    assert_eq!(finished(&rig.step()), [0]);
}

#[test]
fn only_the_first_of_a_lane_executes() {
    let mut rig = experienced(1);
    rig.tell(&[assign(&rows(0..3))]);
    rig.step();
    assert_eq!(rig.core.stats().executing, 1);
    rig.pass(Duration::from_millis(30));
    let step = rig.step_with_all();
    let reported = step.said.iter().find_map(|item| match item {
        FromWorker::Executing(list) => Some(list.tasks[0].tasks.to_vec()),
        _ => None,
    });
    assert_eq!(reported, Some(vec![0]));
    rig.fail(0, 1);
    rig.step();
    assert_eq!(rig.core.stats().executing, 1, "the next took over");
}

#[test]
fn operations_with_large_outputs_are_handed_over_one_by_one() {
    let mut rig = Rig::with_lanes(1, LANE);
    for task in [1000, 1001] {
        rig.tell(&[assign(&[row(task, &[])])]);
        rig.expect_started(&[run(task, 1)]);
        rig.apply(WorkerEvent::TaskFinished {
            run: run(task, 1),
            output: TaskOutput {
                bytes: ByteSize::from_mib(1),
                ..TaskOutput::default()
            },
            duration_us: 5,
            log: None,
        });
        rig.step();
    }
    rig.tell(&[assign(&rows(0..4))]);
    rig.expect_started(&[run(0, 1)]);
    rig.apply(WorkerEvent::TaskFailed {
        run: run(0, 1),
        error: Box::new(millstream_protocol::TaskError::new(ErrorKind::User, "no")),
        duration_us: 5,
        log: None,
    });
    assert_eq!(started(&rig.step()), [run(1, 1)]);
}
