//! Work grows with the number of tasks, not with its square.

use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::wire::ToWorker;
use millstream_worker_core::WorkerEffect;

use super::rig::{JOB, Rig, assign, attempt, local, row};

/// Runs `rounds` batches of `batch` chained no-op tasks each through a core without the rig's checks.
fn run_noops(rig: &mut Rig, rounds: u32, batch: u32) -> u32 {
    let mut finished = 0;
    for round in 0..rounds {
        let first = round * batch;
        let rows: Vec<_> = (first..first + batch)
            .map(|task| {
                if task % 2 == 1 {
                    row(task, &[local(task - 1, 1)])
                } else {
                    row(task, &[])
                }
            })
            .collect();
        rig.tell(&[assign(&rows)]);
        loop {
            let step = rig.step();
            let runs: Vec<_> = step
                .effects
                .iter()
                .filter_map(|effect| match effect {
                    WorkerEffect::StartTask(start) => Some(start.run),
                    _ => None,
                })
                .collect();
            if runs.is_empty() {
                break;
            }
            for run in runs {
                finished += 1;
                rig.finish(run.task.0, 1);
            }
        }
        rig.tell(&[ToWorker::Free {
            job: JOB,
            tasks: U32s((first..first + batch).collect()),
            attempts: U64s(vec![attempt(1).packed(); batch as usize]),
        }]);
    }
    finished
}

#[test]
fn every_task_of_a_long_stream_is_run_and_let_go() {
    let mut rig = Rig::in_session(4);
    assert_eq!(run_noops(&mut rig, 20, 64), 20 * 64);
    rig.step();
    assert_eq!(rig.core.stats().objects, 0);
}
