//! What a task waits for before its code begins is told to the leader once.

use millstream_protocol::wire::{FromWorker, PreparingMsg};
use millstream_types::TaskIdx;
use millstream_worker_core::WorkerEvent;

use super::rig::{JOB, Rig, Step, assign, row, run};

fn told(step: &Step) -> Vec<&PreparingMsg> {
    let said = step.said.iter().filter_map(|item| match item {
        FromWorker::Preparing(msg) => Some(msg),
        _ => None,
    });
    said.collect()
}

fn prepares(task: u32) -> WorkerEvent {
    WorkerEvent::TaskPrepares {
        run: run(task, 1),
        text: "installs numpy".to_owned(),
    }
}

#[test]
fn the_leader_hears_what_a_running_task_waits_for() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(prepares(1));
    let expected = PreparingMsg {
        job: JOB,
        task: TaskIdx(1),
        attempt: run(1, 1).attempt,
        text: "installs numpy".to_owned(),
    };
    assert_eq!(told(&rig.step()), [&expected]);
    rig.finish(1, 1);
    assert!(told(&rig.step()).is_empty(), "told twice");
    rig.apply(prepares(1));
    assert!(told(&rig.step()).is_empty(), "it is over");
}
