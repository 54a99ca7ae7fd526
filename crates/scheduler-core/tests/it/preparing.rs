//! What tasks wait for before their code begins, among the events of their job.

use millstream_protocol::wire::*;
use millstream_types::{Attempt, JobId, TaskIdx};

use crate::bench::{Bench, map};

fn told(bench: &mut Bench, job: JobId, attempt: Attempt, text: &str) -> Vec<JobEventKind> {
    bench.workers[0].say(FromWorker::Preparing(PreparingMsg {
        job,
        task: TaskIdx(0),
        attempt,
        text: text.to_owned(),
    }));
    bench.deliver_from(0);
    bench.step();
    let events = bench.events(job).into_iter();
    events
        .filter(|event| matches!(event, JobEventKind::Preparing { .. }))
        .collect()
}

#[test]
fn the_events_of_a_job_say_what_its_tasks_wait_for() {
    let mut bench = Bench::with_workers(&[1]);
    let job = bench.submit(&map(1));
    let attempt = bench.workers[0].tasks[&(job, 0)].attempt;
    let worker = bench.workers[0].info.name.clone();
    let events = told(&mut bench, job, attempt, "installs numpy");
    assert_eq!(
        events,
        [JobEventKind::Preparing {
            key: "0".to_owned(),
            worker,
            message: "installs numpy".to_owned(),
        }]
    );
    // Of an attempt or a job that is over, nobody needs to know.
    let other = Attempt::new(attempt.term, attempt.n + 1);
    assert_eq!(told(&mut bench, job, other, "installs pandas"), events);
    assert_eq!(
        told(&mut bench, JobId::from_u128(99), attempt, "installs polars"),
        []
    );
}
