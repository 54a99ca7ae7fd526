//! Balance: what waits in a long queue is asked back while another worker idles.

use std::time::Duration;

use crate::core::SchedulerCore;
use crate::ids::WorkerNo;
use crate::job::flag;
use crate::timers::Timer;
use crate::worker::Worker;

/// Queues that differ by less are left alone: the answer would come when the work is done.
const WORTHWHILE_US: u64 = 20_000;
/// A queue that was asked is not asked again before this.
const AGAIN: Duration = Duration::from_millis(50);
/// Most tasks asked back at once.
const MOST: usize = 1024;

impl SchedulerCore {
    /// Asks back tasks from the longest queue if some worker has free slots and nothing is ready for it.
    pub(crate) fn balance(&mut self) {
        let now = self.cx.clock.now;
        let idle = |worker: &&Worker| worker.takes_work() && worker.queued < worker.slots();
        let Some(thief) = self.cx.workers.iter().find(idle).map(|worker| worker.no) else {
            return;
        };
        let victim = self
            .cx
            .workers
            .iter()
            .filter(|worker| !worker.is_gone() && worker.queued > worker.slots() && worker.retracting == 0)
            .max_by_key(|worker| (worker.wait_us(), std::cmp::Reverse(worker.no)));
        let Some(victim) = victim else { return };
        let (no, again) = (victim.no, victim.retract_again);
        let difference = victim.wait_us().saturating_sub(self.cx.workers[thief].wait_us());
        if difference < WORTHWHILE_US {
            return;
        }
        if now < again {
            self.cx.timers.arm(again, Timer::Balance);
            return;
        }
        self.ask_back(no, thief);
    }

    fn ask_back(&mut self, victim: WorkerNo, thief: WorkerNo) {
        let worker = &self.cx.workers[victim];
        let spare = worker.queued - worker.slots();
        let share = (spare / 2).max(1) as usize;
        let mut asked = 0;
        let candidates: Vec<_> = worker.given.iter().rev().take(4 * MOST).copied().collect();
        for given in candidates {
            if asked >= share.min(MOST) {
                break;
            }
            let Some(job) = self.jobs.get_mut(given.job) else {
                continue;
            };
            let is_free = job.is_given(given.task, victim, given.attempt)
                && !job
                    .cols
                    .has(given.task, flag::RETRACTING | flag::CANCELLING | flag::LOOKAHEAD)
                && !self.cx.workers[victim].executing.contains(&given)
                && super::choose::could_run(job, given.task, &self.cx.workers[thief]);
            if !is_free {
                continue;
            }
            job.cols.set(given.task, flag::RETRACTING);
            let worker = &mut self.cx.workers[victim];
            worker.retracting += 1;
            worker.outbox.retract(job.id, given.task);
            asked += 1;
        }
        let again = self.cx.clock.now + AGAIN;
        self.cx.workers[victim].retract_again = again;
        if asked > 0 {
            self.cx.workers.touch(victim);
        }
    }

    /// Asks back everything that has not started, as a drain does.
    pub(crate) fn ask_back_all(&mut self, no: WorkerNo) {
        for given in self.cx.workers[no].given.clone() {
            let Some(job) = self.jobs.get_mut(given.job) else {
                continue;
            };
            if job.is_given(given.task, no, given.attempt)
                && !job.cols.has(given.task, flag::RETRACTING | flag::CANCELLING)
            {
                job.cols.set(given.task, flag::RETRACTING);
                self.cx.workers[no].retracting += 1;
                self.cx.workers[no].outbox.retract(job.id, given.task);
            }
        }
        self.cx.workers.touch(no);
    }
}
