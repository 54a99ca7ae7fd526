//! Memory was measured; the process was asked to end.

use millstream_protocol::wire::FromWorker;

use crate::{MemoryReport, WorkerCore};

/// Takes over the accountant's figures. What they mean is decided at the next poll.
pub(super) fn changed(core: &mut WorkerCore, report: MemoryReport) {
    core.memory = report;
}

/// Finishes what runs and gives the rest back. The leader says when nothing here is needed any more.
pub(super) fn drain_asked(core: &mut WorkerCore) {
    if !core.drain_is_own {
        core.drain_is_own = true;
        core.draining = true;
        core.reports.push_once(FromWorker::Draining);
    }
}
