//! Tasks that wait for other tasks, whose slots are free meanwhile.

use std::time::Duration;

use millstream_protocol::graph::TaskOptions;
use millstream_protocol::wire::{ExecutingMsg, FromWorker, JobAttempts};
use millstream_types::{Amount, ResourceSet};
use millstream_worker_core::{MemoryLevel, WorkerEffect, WorkerEvent};

use super::rig::{JOB, Rig, Step, assign, finished, ops, row, run, started};

fn waits(task: u32, waits: bool) -> WorkerEvent {
    WorkerEvent::TaskWaits {
        run: run(task, 1),
        waits,
    }
}

fn executing(step: &Step) -> Option<&ExecutingMsg> {
    let mut lists = step.said.iter().filter_map(|item| match item {
        FromWorker::Executing(list) => Some(list),
        _ => None,
    });
    lists.next_back()
}

fn tasks(of_jobs: &[JobAttempts]) -> Vec<u32> {
    assert!(of_jobs.iter().all(|of_job| of_job.job == JOB));
    of_jobs.iter().flat_map(|of_job| of_job.tasks.to_vec()).collect()
}

#[test]
fn another_task_has_the_slot_of_one_that_waits() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(waits(1, true));
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.finish(2, 1);
    rig.apply(waits(1, false));
    rig.finish(1, 1);
    assert_eq!(finished(&rig.step()), [2, 1]);
}

#[test]
fn a_task_that_goes_on_has_its_slot_at_once_and_none_starts_before_enough_have_ended() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[]), row(3, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(waits(1, true));
    rig.expect_started(&[run(2, 1)]);
    rig.apply(waits(1, false));
    rig.finish(2, 1);
    assert_eq!(started(&rig.step()), [], "the first runs");
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(3, 1)]);
}

#[test]
fn a_task_that_ends_while_it_waits_leaves_one_slot_not_two() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[]), row(3, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(waits(1, true));
    rig.expect_started(&[run(2, 1)]);
    rig.fail(1, 1);
    assert_eq!(started(&rig.step()), []);
    rig.finish(2, 1);
    assert_eq!(started(&rig.step()), [run(3, 1)]);
}

#[test]
fn the_leader_is_told_at_once_who_waits_and_who_does_no_more() {
    let mut rig = Rig::in_session(2);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[])])]);
    rig.step();
    rig.pass(Duration::from_millis(20));
    rig.step_with_all();
    rig.apply(waits(2, true));
    let step = rig.step_with_all();
    let list = executing(&step).unwrap();
    assert_eq!((tasks(&list.tasks), tasks(&list.waiting)), (vec![1, 2], vec![2]));
    rig.apply(waits(2, false));
    let step = rig.step_with_all();
    let list = executing(&step).unwrap();
    assert_eq!((tasks(&list.tasks), tasks(&list.waiting)), (vec![1, 2], vec![]));
}

#[test]
fn a_task_that_waits_lends_its_cores_and_keeps_what_else_it_took() {
    let mut rig = Rig::in_session(2);
    let wanting = |memory, cpu| TaskOptions {
        resources: ResourceSet::new()
            .with("memory", Amount::whole(memory))
            .with("cpu", Amount::whole(cpu)),
        ..TaskOptions::default()
    };
    // The worker has 1000 bytes.
    rig.tell(&[ops(vec![wanting(600, 2), wanting(0, 2)])]);
    let (mut cores, mut memory) = (row(2, &[]), row(3, &[]));
    (cores.options, memory.options) = (1, 0);
    rig.tell(&[assign(&[row(1, &[]), cores, memory])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(waits(1, true));
    assert_eq!(started(&rig.step()), [run(2, 1)], "both cores are free");
    rig.finish(2, 1);
    assert_eq!(started(&rig.step()), [], "the memory is not");
    rig.apply(waits(1, false));
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(3, 1)]);
}

#[test]
fn a_paused_worker_whose_tasks_all_wait_runs_one_more() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(waits(1, true));
    rig.memory(MemoryLevel::Pause, 0);
    rig.tell(&[assign(&[row(2, &[])])]);
    let step = rig.step();
    assert_eq!(step.effects[0], WorkerEffect::RelievePressure);
    assert_eq!(started(&step), [run(2, 1)]);
}

#[test]
fn what_is_said_of_a_task_that_has_ended_is_ignored() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    rig.step();
    rig.apply(waits(1, true));
    rig.apply(waits(1, false));
    assert_eq!(rig.core.stats().ignored, 2);
}
