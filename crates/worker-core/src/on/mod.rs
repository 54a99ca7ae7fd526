//! What each event does: one file per kind.

mod assign;
mod fetch_ended;
mod free;
mod leader_frame;
mod memory;
mod object_lost;
mod replicate;
mod run_ended;
mod run_prepares;
mod run_waits;
mod take_back;

use millstream_types::Timestamp;

use crate::{WorkerCore, WorkerEvent};

/// Applies one event.
pub(crate) fn event(core: &mut WorkerCore, now: Timestamp, event: WorkerEvent) {
    match event {
        WorkerEvent::Hello(hello) => core.conversation.hello(hello, &mut core.out),
        WorkerEvent::LinkUp { queue_base } => core.conversation.link_up(queue_base),
        WorkerEvent::LinkDown => core.conversation.link_down(),
        WorkerEvent::LeaderFrame(frame) => leader_frame::heard(core, now, &frame),
        WorkerEvent::LeaderUnroutable { queue } => core.conversation.unroutable(&queue),
        WorkerEvent::TaskFinished {
            run,
            output,
            duration_us,
            log,
        } => run_ended::finished(core, run, output, duration_us, log),
        WorkerEvent::TaskExtended {
            run,
            output,
            extension,
            duration_us,
            log,
        } => run_ended::extended(core, run, output, *extension, duration_us, log),
        WorkerEvent::TaskFailed {
            run,
            error,
            duration_us,
            log,
        } => run_ended::failed(core, run, *error, duration_us, log),
        WorkerEvent::TaskWaits { run, waits } => run_waits::changed(core, run, waits),
        WorkerEvent::TaskPrepares { run, text } => run_prepares::told(core, run, text),
        WorkerEvent::NotStarted { run } => run_ended::not_started(core, run),
        WorkerEvent::FetchEnded { id, outcomes } => fetch_ended::ended(core, id, outcomes),
        WorkerEvent::ObjectLost {
            object,
            attempt,
            part,
        } => object_lost::lost(core, object, attempt, part),
        WorkerEvent::MemoryChanged(report) => memory::changed(core, report),
        WorkerEvent::DrainAsked => memory::drain_asked(core),
        WorkerEvent::Tick => {}
    }
}
