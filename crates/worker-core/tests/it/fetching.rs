//! Copies of other workers' outputs.

use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::wire::{FromWorker, ReplicateMsg, ReturnOutcome, ToWorker};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{ByteSize, TaskIdx};
use millstream_worker_core::{Fetch, FetchId, FetchOutcome, WorkerEffect, WorkerEvent};

use super::rig::{
    JOB, Rig, Step, assign, attempt, dropped, finished, local, peer, remote, returned, row, run, started,
};

fn fetches(step: &Step) -> Vec<&Fetch> {
    let fetches = step.effects.iter().filter_map(|effect| match effect {
        WorkerEffect::Fetch(fetch) => Some(fetch),
        _ => None,
    });
    fetches.collect()
}

fn tasks_of(fetch: &Fetch) -> Vec<u32> {
    fetch.objects.iter().map(|object| object.object.task.0).collect()
}

fn ended(rig: &mut Rig, id: FetchId, outcomes: &[FetchOutcome]) {
    rig.apply(WorkerEvent::FetchEnded {
        id,
        outcomes: outcomes.to_vec(),
    });
}

fn fetched(bytes: u64) -> FetchOutcome {
    FetchOutcome::Fetched {
        bytes: ByteSize::new(bytes),
    }
}

#[test]
fn inputs_of_one_peer_come_in_one_fetch() {
    let mut rig = Rig::in_session(1);
    let deps = [
        remote(1, 1, &[0], 10),
        remote(2, 1, &[0], 10),
        remote(3, 1, &[1], 10),
    ];
    rig.tell(&[assign(&[row(9, &deps)])]);
    let step = rig.step();
    let fetches = fetches(&step);
    assert_eq!(step.effects.len(), 2);
    assert_eq!((fetches[0].from.number, tasks_of(fetches[0])), (0, vec![1, 2]));
    assert_eq!((fetches[1].from.number, tasks_of(fetches[1])), (1, vec![3]));
    ended(&mut rig, FetchId(1), &[fetched(10)]);
    assert_eq!(rig.step(), Step::default());
    ended(&mut rig, FetchId(0), &[fetched(10), fetched(12)]);
    rig.expect_started(&[run(9, 1)]);
    rig.finish(9, 1);
    let step = rig.step();
    assert_eq!(finished(&step), [9]);
    assert_eq!(rig.core.stats().copies, 3, "small copies stay in the cache");
}

#[test]
fn a_cached_copy_is_not_fetched_again() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(8, &[remote(1, 1, &[0], 10)])])]);
    rig.step();
    ended(&mut rig, FetchId(0), &[fetched(10)]);
    rig.expect_started(&[run(8, 1)]);
    rig.finish(8, 1);
    rig.step();
    rig.tell(&[assign(&[row(9, &[remote(1, 1, &[0], 10)])])]);
    rig.expect_started(&[run(9, 1)]);
}

#[test]
fn a_ready_task_whose_copy_came_for_another_leaves_no_wish_behind() {
    let mut rig = Rig::in_session(1);
    // More than the share of fetches: the first gets its room as nothing else is here, the second still wants some.
    let huge = [remote(1, 1, &[0], 500)];
    rig.tell(&[assign(&[row(8, &huge), row(9, &huge)])]);
    rig.step();
    ended(&mut rig, FetchId(0), &[fetched(500)]);
    rig.expect_started(&[run(8, 1)]);
    rig.tell(&[ToWorker::Retract {
        job: JOB,
        tasks: U32s(vec![9]),
    }]);
    assert_eq!(returned(&rig.step()), [(9, 1, ReturnOutcome::Returned)]);
}

#[test]
fn room_is_reserved_for_all_inputs_of_a_task_or_none() {
    let mut rig = Rig::in_session(2);
    let first = [remote(1, 1, &[0], 100), remote(2, 1, &[1], 100)];
    let second = [remote(3, 1, &[0], 40), remote(4, 1, &[1], 40)];
    rig.tell(&[assign(&[row(8, &first), row(9, &second)])]);
    let step = rig.step();
    let asked: Vec<_> = fetches(&step).into_iter().flat_map(tasks_of).collect();
    assert_eq!(
        asked,
        [1, 2],
        "250 bytes may be fetched: 200 and 80 do not fit together"
    );
    ended(&mut rig, FetchId(0), &[fetched(100)]);
    ended(&mut rig, FetchId(1), &[fetched(100)]);
    rig.expect_started(&[run(8, 1)]);
    rig.finish(8, 1);
    let step = rig.step();
    let asked: Vec<_> = fetches(&step).into_iter().flat_map(tasks_of).collect();
    assert_eq!(asked, [3, 4]);
    assert_eq!(
        step.effects[..2],
        [dropped(1, 1), dropped(2, 1)],
        "too large for the cache"
    );
}

#[test]
fn inputs_that_can_never_fit_fail_typed() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(9, &[remote(1, 1, &[0], 900)])])]);
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Failed(msg)] if msg.error.kind == ErrorKind::OutOfMemory));
    assert_eq!((step.effects.len(), rig.core.stats().copies), (0, 0));
}

#[test]
fn a_failed_fetch_goes_to_another_holder_and_then_back_to_the_leader() {
    let mut rig = Rig::in_session(1);
    let reader = row(9, &[remote(1, 1, &[0, 1], 10)]);
    rig.tell(&[assign(&[reader, row(10, &[local(9, 1)])])]);
    let step = rig.step();
    let first = fetches(&step)[0].clone();
    ended(&mut rig, first.id, &[FetchOutcome::Gone]);
    let step = rig.step();
    let second = fetches(&step)[0].clone();
    assert_ne!(first.from, second.from);
    ended(&mut rig, second.id, &[FetchOutcome::Unreachable]);
    let step = rig.step();
    let FromWorker::Gone(msg) = &step.said[0] else {
        panic!("{step:?}")
    };
    assert_eq!(msg.inputs[0].gone_at, [first.from.worker]);
    assert_eq!(msg.inputs[0].unreachable, [second.from.worker]);
    assert_eq!(returned(&step), [(10, 1, ReturnOutcome::Returned)]);
    let stats = rig.core.stats();
    assert_eq!((stats.queued, stats.copies), (0, 0));
}

#[test]
fn a_copy_that_the_store_refuses_fails_its_readers_and_blames_no_holder() {
    let mut rig = Rig::in_session(1);
    let reader = row(9, &[remote(1, 1, &[0, 1], 10)]);
    rig.tell(&[assign(&[reader, row(10, &[local(9, 1)])])]);
    let id = fetches(&rig.step())[0].id;
    let full = TaskError::new(ErrorKind::SpillFailed, "no space left on /spill for 10 B");
    ended(&mut rig, id, &[FetchOutcome::Unstored(Box::new(full.clone()))]);
    let step = rig.step();
    assert!(
        matches!(&step.said[..], [FromWorker::Failed(msg), ..] if (msg.error.kind, &msg.error.message) == (full.kind, &full.message)),
        "{step:?}"
    );
    assert_eq!(returned(&step), [(10, 1, ReturnOutcome::Returned)]);
    let stats = rig.core.stats();
    assert_eq!((stats.queued, stats.copies), (0, 0));
}

#[test]
fn all_missing_inputs_are_named_at_once() {
    let mut rig = Rig::in_session(1);
    let deps = [remote(1, 1, &[0], 10), remote(2, 1, &[0], 10)];
    rig.tell(&[assign(&[row(9, &deps)])]);
    rig.step();
    ended(&mut rig, FetchId(0), &[]);
    let step = rig.step();
    let [FromWorker::Gone(msg)] = &step.said[..] else {
        panic!("{step:?}")
    };
    assert_eq!(msg.inputs.len(), 2);
}

#[test]
fn a_fetch_that_nobody_wants_is_called_off() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(9, &[remote(1, 1, &[0], 10)])])]);
    rig.step();
    rig.tell(&[ToWorker::Cancel {
        job: JOB,
        tasks: U32s(vec![9]),
    }]);
    let step = rig.step();
    assert_eq!(step.effects, [WorkerEffect::CancelFetch { id: FetchId(0) }]);
    ended(&mut rig, FetchId(0), &[FetchOutcome::Unreachable]);
    assert_eq!(rig.step(), Step::default());
    assert_eq!(rig.core.stats().copies, 0);
}

#[test]
fn a_fetch_called_off_and_wanted_again_blames_nobody() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(9, &[remote(1, 1, &[0], 10)])])]);
    rig.step();
    rig.tell(&[ToWorker::Cancel {
        job: JOB,
        tasks: U32s(vec![9]),
    }]);
    rig.step();
    let mut again = row(9, &[remote(1, 1, &[0], 10)]);
    again.n = 2;
    rig.tell(&[assign(&[again])]);
    assert_eq!(rig.step(), Step::default());
    ended(&mut rig, FetchId(0), &[FetchOutcome::Unreachable]);
    let step = rig.step();
    assert_eq!(tasks_of(fetches(&step)[0]), [1]);
    assert_eq!(step.said, []);
}

#[test]
fn a_part_is_fetched_as_a_part_and_dropped_after_use() {
    let mut rig = Rig::in_session(1);
    let mut part = remote(1, 1, &[0], 10);
    part.part = 3;
    rig.tell(&[assign(&[row(9, &[part])])]);
    let step = rig.step();
    assert_eq!(fetches(&step)[0].objects[0].part, Some(3));
    ended(&mut rig, FetchId(0), &[fetched(10)]);
    rig.expect_started(&[run(9, 1)]);
    rig.finish(9, 1);
    let step = rig.step();
    assert!(matches!(
        step.effects[..],
        [WorkerEffect::DropObject { part: Some(3), .. }]
    ));
}

#[test]
fn a_part_of_an_object_made_here_is_not_fetched() {
    let mut rig = Rig::in_session(1);
    let mut part = local(1, 1);
    part.part = 3;
    rig.tell(&[assign(&[row(1, &[]), row(9, &[part])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    let step = rig.step();
    assert_eq!(started(&step), [run(9, 1)]);
}

#[test]
fn nothing_is_reserved_for_a_task_that_waits_for_one_of_its_own() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[
        row(1, &[]),
        row(9, &[local(1, 1), remote(2, 1, &[0], 10)]),
    ])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    let step = rig.step();
    assert_eq!(tasks_of(fetches(&step)[0]), [2]);
    ended(&mut rig, FetchId(0), &[fetched(10)]);
    rig.expect_started(&[run(9, 1)]);
}

#[test]
fn a_replica_is_fetched_reported_and_kept_until_freed() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[ToWorker::Replicate(ReplicateMsg {
        job: JOB,
        task: TaskIdx(1),
        attempt: attempt(1),
        bytes: ByteSize::new(10),
        holders: U32s(vec![1]),
    })]);
    let step = rig.step();
    assert_eq!(fetches(&step)[0].from, peer(1));
    ended(&mut rig, FetchId(0), &[fetched(10)]);
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Replicated(msg)] if msg.tasks.0 == [1]));
    assert_eq!(rig.core.stats().objects, 1);
    rig.tell(&[ToWorker::Free {
        job: JOB,
        tasks: U32s(vec![1]),
        attempts: U64s(vec![attempt(1).packed()]),
    }]);
    assert_eq!(rig.step().effects, [dropped(1, 1)]);
}

#[test]
fn a_replica_that_cannot_be_had_is_reported_lost() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[ToWorker::Replicate(ReplicateMsg {
        job: JOB,
        task: TaskIdx(1),
        attempt: attempt(1),
        bytes: ByteSize::new(10),
        holders: U32s(vec![1]),
    })]);
    rig.step();
    ended(&mut rig, FetchId(0), &[FetchOutcome::Damaged]);
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Lost(msg)] if msg.tasks.0 == [1]));
    assert_eq!(rig.core.stats().copies, 0);
}

#[test]
fn a_damaged_object_is_reported_and_its_queued_readers_go_back() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[]), row(3, &[local(1, 1)])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.apply(WorkerEvent::ObjectLost {
        object: super::rig::object(1),
        attempt: attempt(1),
        part: None,
    });
    let step = rig.step();
    assert!(step.effects.is_empty());
    assert!(
        matches!(&step.said[..], [FromWorker::Gone(gone), FromWorker::Lost(lost)]
        if gone.task.0 == 3 && lost.tasks.0 == [1])
    );
}
