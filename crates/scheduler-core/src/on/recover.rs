//! A new leader takes over; or the state store lost what it had.

use std::collections::BTreeSet;

use millstream_protocol::codec;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::{ExtensionRecord, JobEventKind, JobState};
use millstream_types::{TaskIdx, WorkerId};

use super::inventory;
use crate::core::SchedulerCore;
use crate::job::{GraphMark, GraphPart, Job, graph_part};
use crate::shared::{RecoveryWindow, Shared};
use crate::timers::Timer;
use crate::worker::Link;
use crate::{Commit, RecoveredJob, imports};

/// Loads jobs and opens the recovery window.
pub(crate) fn recover(core: &mut SchedulerCore, mut jobs: Vec<RecoveredJob>, registered: Vec<WorkerId>) {
    jobs.sort_by_key(|found| (found.meta.accepted_ms, found.meta.job));
    for found in jobs {
        if core.jobs.find(found.meta.job).is_some() {
            continue;
        }
        let no = core.jobs.next_no();
        let mut job = Job::recovered(&mut core.cx, no, no.0, found);
        if std::mem::take(&mut job.is_journal_torn) {
            write_again(&mut core.cx, &mut job);
        }
        core.jobs.add(job);
    }
    imports::recover_links(core);
    let until = core.cx.clock.now + core.cx.config.recovery_window;
    core.cx.recovery = Some(RecoveryWindow {
        until,
        missing: registered.into_iter().collect::<BTreeSet<_>>(),
    });
    core.cx.timers.arm(until, Timer::Recovery);
    close_window_if_due(core);
}

/// Ends the window when every registered worker has answered, or its time is over.
pub(crate) fn close_window_if_due(core: &mut SchedulerCore) {
    let is_due = core
        .cx
        .recovery
        .as_ref()
        .is_some_and(|window| window.missing.is_empty() || core.cx.clock.now >= window.until);
    if !is_due {
        return;
    }
    core.cx.recovery = None;
    imports::recover_holders(core);
    for job in core.jobs.iter_mut().filter(|job| job.is_raw) {
        job.rebuild(&mut core.cx);
        if !job.is_over() {
            let kind = JobEventKind::Recovered {
                term: core.cx.identity.term.0,
                message: format!(
                    "a new leader took over: {} of {} tasks were done",
                    job.cols.len() - job.cols.unfinished(),
                    job.cols.len()
                ),
            };
            core.cx.tell(job.id, kind);
        }
    }
    imports::recovered(core);
    for no in core.cx.workers.numbers() {
        let is_complete = match &core.cx.workers[no].link {
            Link::Collecting { inventory, .. } => inventory.complete,
            Link::Down | Link::Open { .. } => false,
        };
        if is_complete {
            inventory::settle(core, no);
        }
    }
}

/// Writes everything held again, as if it were new.
pub(crate) fn journal_lost(core: &mut SchedulerCore) {
    for no in core.cx.workers.numbers() {
        if !core.cx.workers[no].is_gone() {
            super::frame::note_registration(core, no);
        }
    }
    for job in core.jobs.iter_mut() {
        let id = job.id;
        write_again(&mut core.cx, job);
        if !job.is_over() {
            let kind = JobEventKind::Recovered {
                term: core.cx.identity.term.0,
                message: "the state store had lost data: the job was written to it again".to_owned(),
            };
            core.cx.tell(id, kind);
        }
    }
}

fn write_again(cx: &mut Shared, job: &mut Job) {
    cx.commit(Commit::DeleteJob { job: job.id });
    for commit in rewrite(job) {
        cx.commit(commit);
    }
    note_again(job);
}

/// Makes everything that trails be noted again.
pub(crate) fn note_again(job: &mut Job) {
    job.cols.mark_all_dirty();
    job.dirty_results.extend(job.wanted.iter().copied());
    job.is_meta_dirty = true;
}

/// The commits that bring an empty journal to where the job stands.
pub(crate) fn rewrite(job: &Job) -> Vec<Commit> {
    let mut commits = Vec::new();
    let mut from = GraphMark::default();
    for part in &job.parts {
        let graph = graph_part(&job.graph, from, part.end);
        from = part.end;
        commits.extend(match part.extender {
            None => put_job(job, &graph),
            Some(task) => put_extension(job, task, part, graph),
        });
    }
    for (task, failure) in &job.failures {
        commits.push(Commit::PutFailure {
            job: job.id,
            task: TaskIdx(*task),
            failure: Box::new(failure.clone()),
        });
    }
    if let Some(pages) = job.marked_pages() {
        commits.push(Commit::PutPages { job: job.id, pages });
    }
    if job.meta.state == JobState::Cancelling {
        commits.push(Commit::RequestCancel { job: job.id });
    }
    commits
}

// What was decoded once always encodes again.
fn put_job(job: &Job, graph: &Graph) -> Option<Commit> {
    let graph = codec::encode_named(graph).ok()?;
    Some(Commit::PutJob {
        meta: Box::new(job.record()),
        graph: graph.into(),
    })
}

fn put_extension(job: &Job, task: TaskIdx, part: &GraphPart, fragment: Graph) -> Option<Commit> {
    let extension = codec::encode_named(&ExtensionRecord {
        fragment,
        replacement: part.replacement,
        term: part.term,
    })
    .ok()?;
    Some(Commit::PutExtension {
        job: job.id,
        task,
        extension: extension.into(),
    })
}
