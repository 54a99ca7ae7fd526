//! Objects of other jobs as inputs: the job's name for them, and the name they have where they are.

use millstream_protocol::graph::TaskOptions;
use millstream_protocol::wire::{FromWorker, OpsMsg, ToWorker};
use millstream_types::{ByteSize, JobId, ObjectId, TaskIdx};
use millstream_worker_core::{Fetch, FetchOutcome, WorkerEffect, WorkerEvent};

use super::rig::{Dep, JOB, Rig, Step, assign, attempt, ops, remote, row, run, started};

const OTHER: JobId = JobId::from_u128(2);

/// Task 5 of another job, which this job calls `task`, held by a peer.
fn foreign(task: u32, holders: &[u32]) -> Dep {
    Dep {
        foreign: Some(ObjectId::new(OTHER, TaskIdx(5))),
        ..remote(task, 1, holders, 10)
    }
}

fn fetch_of(step: &Step) -> Fetch {
    let fetch = step.effects.iter().find_map(|effect| match effect {
        WorkerEffect::Fetch(fetch) => Some(fetch.clone()),
        _ => None,
    });
    fetch.unwrap()
}

fn end(rig: &mut Rig, fetch: &Fetch, outcome: FetchOutcome) {
    let outcomes = vec![outcome; fetch.objects.len()];
    rig.apply(WorkerEvent::FetchEnded {
        id: fetch.id,
        outcomes,
    });
}

fn fetched() -> FetchOutcome {
    FetchOutcome::Fetched {
        bytes: ByteSize::new(10),
    }
}

#[test]
fn an_object_of_another_job_is_fetched_and_read_under_its_own_name() {
    let mut rig = Rig::in_session(1);
    // The job has a task 5 as well, which is something else.
    rig.tell(&[assign(&[row(9, &[foreign(3, &[0]), remote(5, 1, &[0], 10)])])]);
    let fetch = fetch_of(&rig.step());
    let objects: Vec<_> = fetch.objects.iter().map(|object| object.object).collect();
    let own = ObjectId::new(JOB, TaskIdx(5));
    let other = ObjectId::new(OTHER, TaskIdx(5));
    assert!(objects.contains(&own) && objects.contains(&other), "{objects:?}");
    end(&mut rig, &fetch, fetched());
    let step = rig.step();
    let [WorkerEffect::StartTask(start)] = &step.effects[..] else {
        panic!("{step:?}");
    };
    let read: Vec<_> = start
        .inputs
        .iter()
        .map(|input| (input.object, input.task.0))
        .collect();
    assert_eq!(read, [(other, 3), (own, 5)]);
}

#[test]
fn what_cannot_be_had_is_reported_by_the_readers_name_for_it() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(9, &[foreign(3, &[0])])])]);
    let fetch = fetch_of(&rig.step());
    end(&mut rig, &fetch, FetchOutcome::Gone);
    let step = rig.step();
    let [FromWorker::Gone(msg)] = &step.said[..] else {
        panic!("{step:?}");
    };
    assert_eq!((msg.job, msg.task), (JOB, TaskIdx(9)));
    assert_eq!(
        (msg.inputs[0].task, msg.inputs[0].attempt),
        (TaskIdx(3), attempt(1))
    );
}

#[test]
fn an_object_of_another_job_that_is_said_to_be_here_and_is_not_is_gone() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(9, &[foreign(3, &[])])])]);
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Gone(msg)] if msg.inputs[0].task == TaskIdx(3)));
    assert_eq!(step.effects, []);
}

#[test]
fn a_copy_of_another_jobs_object_stays_while_the_job_that_read_it_lasts() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(8, &[foreign(3, &[0])])])]);
    let fetch = fetch_of(&rig.step());
    end(&mut rig, &fetch, fetched());
    rig.expect_started(&[run(8, 1)]);
    rig.finish(8, 1);
    rig.step();
    rig.tell(&[assign(&[row(9, &[foreign(3, &[0])])])]);
    assert_eq!(started(&rig.step()), [run(9, 1)], "it is not fetched again");
    rig.finish(9, 1);
    rig.step();
    rig.tell(&[ToWorker::ForgetJob { job: JOB }]);
    let step = rig.step();
    let dropped = WorkerEffect::DropObject {
        object: ObjectId::new(OTHER, TaskIdx(5)),
        attempt: attempt(1),
        part: None,
    };
    assert!(step.effects.contains(&dropped), "{:?}", step.effects);
    assert_eq!(rig.core.stats().copies, 0);
}

#[test]
fn an_output_made_here_is_read_by_another_job_without_a_copy() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(5, &[])])]);
    rig.expect_started(&[run(5, 1)]);
    rig.finish(5, 1);
    rig.step();
    let here = Dep {
        foreign: Some(ObjectId::new(JOB, TaskIdx(5))),
        ..remote(0, 1, &[], 10)
    };
    let tables = match ops(vec![TaskOptions::default()]) {
        ToWorker::Ops(msg) => ToWorker::Ops(OpsMsg { job: OTHER, ..msg }),
        other => other,
    };
    let reader = match assign(&[row(1, &[here])]) {
        ToWorker::Assign(mut msg) => {
            msg.job.0 = OTHER;
            ToWorker::Assign(msg)
        }
        other => other,
    };
    rig.tell(&[tables, reader]);
    let step = rig.step();
    let [WorkerEffect::StartTask(start)] = &step.effects[..] else {
        panic!("{step:?}");
    };
    assert_eq!(start.run.job, OTHER);
    assert_eq!(start.inputs[0].object, ObjectId::new(JOB, TaskIdx(5)));
}
