//! Time: Hello, liveness, retries, deadlines, retention, snapshots.

use std::collections::BTreeMap;

use millstream_protocol::wire::{ClusterSnapshot, ClusterTotals, Hello, JobState, LiveMsg, WorkerSnapshot};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::Timestamp;

use super::{drain, frame, lost, recover, submit};
use crate::Effect;
use crate::core::SchedulerCore;
use crate::ids::{JobNo, WorkerNo};
use crate::shared::{Counters, Shared};
use crate::timers::Timer;
use crate::worker::WorkerState;

/// How often silence is looked at.
const LIVENESS_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// Arms what recurs.
pub(crate) fn start(cx: &mut Shared) {
    let now = cx.clock.now;
    cx.timers.arm(now + LIVENESS_EVERY, Timer::Liveness);
    cx.timers.arm(now + cx.config.snapshot_every, Timer::Snapshot);
}

/// The leader's own connection is up: says Hello at once, and again and again.
pub(crate) fn broker_up(core: &mut SchedulerCore) {
    let now = core.cx.clock.now;
    core.cx.broker_up = Some(now);
    core.cx.next_hello = None;
    core.cx.timers.arm(now, Timer::Hello);
}

/// Runs every timer that is due.
pub(crate) fn run_timers(core: &mut SchedulerCore) {
    while let Some(timer) = core.cx.timers.pop_due(core.cx.clock.now) {
        match timer {
            Timer::Retry { job, task } => {
                if let Some(job) = core.jobs.get_mut(job) {
                    job.retry_now(&mut core.cx, task);
                }
            }
            Timer::Deadline { job } => deadline(core, job),
            Timer::Retention { job } => submit::retention_over(core, job),
            Timer::Liveness => {
                // A leader that was stopped meanwhile finds both due: nobody is judged before the jobs are settled.
                recover::close_window_if_due(core);
                liveness(core);
            }
            Timer::Hello => hello(core),
            Timer::Snapshot => snapshot(core),
            Timer::Progress { job } => {
                if let Some(job) = core.jobs.get_mut(job) {
                    job.tell_progress(&mut core.cx);
                }
            }
            Timer::Recovery => recover::close_window_if_due(core),
            // Placement runs in every poll; these only make sure that there is one.
            Timer::Unschedulable | Timer::Balance => {}
        }
    }
}

fn hello(core: &mut SchedulerCore) {
    let cx = &mut core.cx;
    if cx.broker_up.is_none() {
        return;
    }
    let now = cx.clock.now;
    if cx.next_hello.is_some_and(|next| now < next) {
        // A timer from before the connection was lost.
        return;
    }
    cx.first_hello.get_or_insert(now);
    let hello = Hello {
        term: cx.identity.term,
        leader: cx.identity.leader,
        queue: cx.identity.queue.clone(),
    };
    cx.effects.push(Effect::SayHello(hello));
    let next = now + cx.config.hello_every;
    cx.next_hello = Some(next);
    cx.timers.arm(next, Timer::Hello);
}

fn deadline(core: &mut SchedulerCore, no: JobNo) {
    let Some(job) = core.jobs.get_mut(no) else { return };
    if job.is_over() || job.is_raw || job.ending.is_some() {
        return;
    }
    let limit = job.meta.options.deadline_ms.unwrap_or_default();
    let message = format!(
        "the job did not end within its deadline of {limit} ms: {} of {} tasks were done",
        job.cols.len() - job.cols.unfinished(),
        job.cols.len()
    );
    job.fail_job(&mut core.cx, TaskError::new(ErrorKind::DeadlineExceeded, message));
}

/// Judges silence, counted from when the worker could have been heard at the earliest. A leader that hears nobody blames
/// nobody.
fn liveness(core: &mut SchedulerCore) {
    let now = core.cx.clock.now;
    core.cx.timers.arm(now + LIVENESS_EVERY, Timer::Liveness);
    let (Some(up), Some(hello)) = (core.cx.broker_up, core.cx.first_hello) else {
        return;
    };
    let earliest = up.max(hello + core.cx.config.recovery_window);
    let suspect_after = core.cx.config.suspect_after;
    let hears_somebody = core
        .cx
        .workers
        .iter()
        .any(|worker| !worker.is_gone() && now.since(worker.last_heard) < suspect_after);
    for no in core.cx.workers.numbers() {
        judge(core, no, earliest, hears_somebody);
    }
}

fn judge(core: &mut SchedulerCore, no: WorkerNo, earliest: Timestamp, hears_somebody: bool) {
    let now = core.cx.clock.now;
    let (suspect_after, lost_after) = (core.cx.config.suspect_after, core.cx.config.lost_after);
    let worker = &mut core.cx.workers[no];
    if worker.is_gone() {
        return;
    }
    let silence = now.since(worker.last_heard.max(earliest));
    let is_leaving = worker.state == WorkerState::Leaving;
    if silence >= lost_after && (hears_somebody || is_leaving) {
        lost::worker_lost(core, no);
        return;
    }
    if worker.has_missed_a_batch(now, suspect_after) {
        core.cx.counters.gaps += 1;
        // What it says next is not acknowledged, so that it opens another.
        core.cx.workers[no].end_session();
    }
    let worker = &mut core.cx.workers[no];
    if silence >= suspect_after && worker.state == WorkerState::Active {
        worker.state = WorkerState::Suspect;
    }
    if silence < suspect_after && now >= worker.registered_until {
        frame::note_registration(core, no);
    }
    if core.cx.workers[no].state == WorkerState::Draining {
        drain::advance(core, no);
    }
    compact_given(core, no);
}

/// Drops entries of tasks that have moved on.
pub(crate) fn compact_given(core: &mut SchedulerCore, no: WorkerNo) {
    let worker = &mut core.cx.workers[no];
    if worker.given.len() <= 2 * worker.assigned() as usize + 1024 {
        return;
    }
    let mut given = std::mem::take(&mut worker.given);
    given.retain(|given| {
        core.jobs
            .get(given.job)
            .is_some_and(|job| job.is_given(given.task, no, given.attempt))
    });
    core.cx.workers[no].given = given;
}

fn snapshot(core: &mut SchedulerCore) {
    let now = core.cx.clock.now;
    core.cx
        .timers
        .arm(now + core.cx.config.snapshot_every, Timer::Snapshot);
    let live = core
        .jobs
        .iter()
        .filter(|job| !job.is_over())
        .map(|job| (job.id, (job.meta.state, job.cols.counts)));
    let jobs: BTreeMap<_, (JobState, _)> = live.collect();
    let workers = core.cx.workers.iter().filter(|worker| !worker.is_gone());
    let snapshot = ClusterSnapshot {
        term: core.cx.identity.term,
        jobs,
        workers: workers
            .map(|worker| WorkerSnapshot {
                worker: worker.info.worker,
                name: worker.info.name.clone(),
                state: worker.state_name().to_owned(),
                assigned: worker.assigned(),
                load: worker.load,
                host: worker.info.host.clone(),
                slots: worker.info.slots,
                memory_limit: worker.info.memory_limit,
                executing: u32::try_from(worker.executing.len()).unwrap_or(u32::MAX),
                objects: worker.objects,
            })
            .collect(),
        totals: totals(&core.cx.counters),
    };
    core.cx.effects.push(Effect::Publish(LiveMsg::Snapshot(snapshot)));
}

const fn totals(counters: &Counters) -> ClusterTotals {
    ClusterTotals {
        dead_letters: counters.dead_letters,
        finished: counters.finished,
        recomputed: counters.recomputed,
        workers_lost: counters.workers_lost,
        succeeded: counters.succeeded,
        failed: counters.failed,
        cancelled: counters.cancelled,
    }
}
