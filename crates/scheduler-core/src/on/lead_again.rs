//! The lease was lost and won again, and nobody led in between: the leader goes on with what it holds, in a new term.

use super::recover;
use crate::Identity;
use crate::core::SchedulerCore;

/// Takes the new term. Sessions end, as with any new leader; their inventories say what still runs. What was on its
/// way to the journal when the lease was lost may not have arrived, so everything is written again.
pub(crate) fn lead_again(core: &mut SchedulerCore, identity: Identity) {
    let cx = &mut core.cx;
    cx.identity = identity;
    cx.effects.clear();
    cx.has_stepped_down = false;
    cx.is_lease_sure = true;
    cx.broker_up = None;
    cx.first_hello = None;
    cx.next_hello = None;
    let now = cx.clock.now;
    for worker in cx.workers.iter_mut() {
        worker.end_session();
        worker.last_heard = now;
    }
    for job in core.jobs.iter_mut() {
        for commit in recover::rewrite(job) {
            core.cx.commit(commit);
        }
        recover::note_again(job);
    }
}
