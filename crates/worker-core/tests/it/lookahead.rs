//! Tasks sent before their inputs exist.

use millstream_protocol::columns::U32s;
use millstream_protocol::wire::{FromWorker, ReturnOutcome, ToWorker};

use super::rig::{JOB, Rig, WORKER, assign, finished, local, returned, row, run, started};

#[test]
fn a_successor_starts_without_a_round_trip() {
    let mut rig = Rig::in_session(1);
    rig.acks = false;
    rig.tell(&[assign(&[
        row(1, &[]),
        row(2, &[local(1, 1)]),
        row(3, &[local(2, 1), local(1, 1)]),
    ])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.finish(2, 1);
    assert_eq!(started(&rig.step()), [run(3, 1)]);
}

#[test]
fn an_input_read_twice_counts_twice() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[local(1, 1), local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.finish(2, 1);
    assert_eq!(finished(&rig.step()), [2]);
}

#[test]
fn an_unknown_input_without_holders_is_gone() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(2, &[local(1, 1)])])]);
    let step = rig.step();
    let [FromWorker::Gone(msg)] = &step.said[..] else {
        panic!("{step:?}")
    };
    assert_eq!((msg.task.0, msg.inputs.len()), (2, 1));
    assert_eq!(msg.inputs[0].gone_at, [WORKER]);
}

#[test]
fn another_generation_is_not_good_enough() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.tell(&[assign(&[row(2, &[local(1, 2)])])]);
    assert!(matches!(&rig.step().said[..], [FromWorker::Gone(_)]));
}

#[test]
fn a_diamond_is_returned_whole() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[
        row(1, &[]),
        row(2, &[]),
        row(3, &[local(2, 1)]),
        row(4, &[local(2, 1), local(3, 1)]),
        row(5, &[local(3, 1), local(4, 1), local(1, 1)]),
    ])]);
    rig.expect_started(&[run(1, 1)]);
    rig.tell(&[ToWorker::Retract {
        job: JOB,
        tasks: U32s(vec![2]),
    }]);
    let mut tasks: Vec<_> = returned(&rig.step());
    tasks.sort_by_key(|answer| answer.0);
    assert_eq!(tasks, [2, 3, 4, 5].map(|task| (task, 1, ReturnOutcome::Returned)));
    assert_eq!(rig.core.stats().queued, 0);
}
