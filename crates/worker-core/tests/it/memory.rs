//! Short memory, and leaving.

use millstream_protocol::wire::{FromWorker, ReturnOutcome, ToWorker};
use millstream_worker_core::{MemoryLevel, WorkerEffect, WorkerEvent};

use super::rig::{Rig, Step, assign, finished, local, returned, row, run, started};

#[test]
fn a_paused_worker_returns_what_has_not_started() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[]), row(3, &[local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.memory(MemoryLevel::Pause, 100);
    let step = rig.step_with_all();
    assert_eq!(
        returned(&step),
        [(2, 1, ReturnOutcome::Returned), (3, 1, ReturnOutcome::Returned)]
    );
    let told = step
        .said
        .iter()
        .any(|item| matches!(item, FromWorker::Heartbeat(load) if load.paused));
    assert!(told, "the leader hears of the pause at once");
    rig.finish(1, 1);
    assert_eq!(finished(&rig.step()), [1]);
}

#[test]
fn a_paused_idle_worker_runs_one_task_once_nothing_can_be_spilled() {
    let mut rig = Rig::in_session(2);
    rig.memory(MemoryLevel::Pause, 100);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[])])]);
    let step = rig.step();
    assert_eq!(returned(&step), [(2, 1, ReturnOutcome::Returned)]);
    assert!(step.effects.is_empty());
    rig.memory(MemoryLevel::Pause, 0);
    let step = rig.step();
    assert_eq!(step.effects[0], WorkerEffect::RelievePressure);
    assert_eq!(started(&step), [run(1, 1)]);
}

#[test]
fn work_goes_on_after_a_pause() {
    let mut rig = Rig::in_session(1);
    rig.memory(MemoryLevel::Pause, 100);
    rig.tell(&[assign(&[row(1, &[])])]);
    assert_eq!(rig.step(), Step::default());
    rig.memory(MemoryLevel::Spill, 100);
    rig.expect_started(&[run(1, 1)]);
}

#[test]
fn a_draining_worker_returns_its_queue_and_finishes_what_runs() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(WorkerEvent::DrainAsked);
    let step = rig.step();
    assert_eq!(returned(&step), [(2, 1, ReturnOutcome::Returned)]);
    assert!(step.said.contains(&FromWorker::Draining));
    rig.tell(&[assign(&[row(3, &[])])]);
    assert_eq!(returned(&rig.step()), [(3, 1, ReturnOutcome::Returned)]);
    rig.finish(1, 1);
    assert_eq!(finished(&rig.step()), [1]);
    rig.tell(&[ToWorker::Shutdown]);
    assert_eq!(rig.step().effects, [WorkerEffect::Exit]);
}
