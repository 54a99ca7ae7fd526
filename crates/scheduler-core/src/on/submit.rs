//! Jobs come, are cancelled, expire and are removed.

use millstream_protocol::graph::{Graph, GraphError};
use millstream_protocol::wire::{
    JobCounts, JobEventKind, JobMeta, JobState, LetGo, RequestError, SubmitMsg, ToGateway,
};
use millstream_types::JobId;

use crate::core::SchedulerCore;
use crate::ids::JobNo;
use crate::job::{Ending, Job};
use crate::{Commit, Effect, SubmittedGraph, imports};

/// Parameters of one operation or task that fit into one message beside everything else.
const MAX_PARAMS: usize = 32 << 20;

/// A submission arrived. Its verdict is told and its delivery acknowledged in every case.
pub(crate) fn submitted(
    core: &mut SchedulerCore,
    token: u64,
    msg: SubmitMsg,
    graph: Result<SubmittedGraph, RequestError>,
) {
    let (job, reply_to) = (msg.job, msg.reply_to.clone());
    let result = accept(core, msg, graph);
    core.cx.effects.push(Effect::AckIntake { token });
    core.reply(reply_to, ToGateway::Submitted { job, result });
}

fn accept(
    core: &mut SchedulerCore,
    msg: SubmitMsg,
    graph: Result<SubmittedGraph, RequestError>,
) -> Result<JobState, RequestError> {
    if let Some(state) = repeated(core, &msg)? {
        return Ok(state);
    }
    let SubmittedGraph { encoded, graph } = graph?;
    graph
        .validate(&core.cx.config.graph)
        .map_err(|error| invalid(&error))?;
    check_params(&graph)?;
    imports::check(core, &graph)?;
    check_room(core, &graph)?;
    let tasks = graph.task_count();
    let meta = JobMeta {
        job: msg.job,
        body_hash: msg.body_hash,
        options: msg.options,
        state: JobState::Running,
        accepted_ms: core.cx.clock.unix_ms,
        ended_ms: None,
        counts: JobCounts {
            total: tasks,
            waiting: tasks,
            ..JobCounts::default()
        },
        error: None,
        failed_task: None,
        name: msg.name,
        let_go: None,
        accepted_in: core.cx.identity.term,
    };
    core.cx.commit(Commit::PutJob {
        meta: Box::new(meta.clone()),
        graph: encoded,
    });
    core.cx.tell(msg.job, JobEventKind::Accepted { tasks });
    let no = core.jobs.next_no();
    let mut job = Job::new(&mut core.cx, no, no.0, meta, graph);
    job.arm_deadline(&mut core.cx);
    job.queue_roots(&mut core.cx, 0);
    job.touch(&mut core.cx);
    if msg.watch {
        job.watchers.push(msg.reply_to);
    }
    core.jobs.add(job);
    Ok(JobState::Running)
}

/// A submission that came before: the same answer again. Another one under the same id is refused.
fn repeated(core: &mut SchedulerCore, msg: &SubmitMsg) -> Result<Option<JobState>, RequestError> {
    let same = |meta: &JobMeta| {
        if meta.body_hash == msg.body_hash {
            Ok(Some(meta.state))
        } else {
            Err(RequestError::IdConflict(msg.job))
        }
    };
    if let Some(meta) = core.jobs.record_of(msg.job) {
        return same(meta);
    }
    let Some(job) = core.jobs.by_id_mut(msg.job) else {
        return Ok(None);
    };
    let state = same(&job.meta)?;
    if msg.watch {
        super::gateway::watch(&mut core.cx, job, &msg.reply_to);
    }
    Ok(state)
}

fn invalid(error: &GraphError) -> RequestError {
    RequestError::InvalidGraph {
        code: error.code().to_owned(),
        message: error.to_string(),
    }
}

fn check_params(graph: &Graph) -> Result<(), RequestError> {
    match graph.ops.iter().find(|op| op.params.len() > MAX_PARAMS) {
        None => Ok(()),
        Some(op) => Err(RequestError::InvalidGraph {
            code: "graph_too_large".to_owned(),
            message: format!(
                "the parameters of operation `{}` have {} bytes, the limit is {MAX_PARAMS}: let a task read them from a file, or make them in tasks",
                op.name,
                op.params.len()
            ),
        }),
    }
}

fn check_room(core: &mut SchedulerCore, graph: &Graph) -> Result<(), RequestError> {
    let (mut jobs, mut tasks) = (0, u64::from(graph.task_count()));
    for job in core.jobs.iter().filter(|job| !job.is_over()) {
        jobs += 1;
        tasks += u64::from(job.cols.len());
    }
    if jobs >= core.cx.config.max_active_jobs || tasks > core.cx.config.max_active_tasks {
        core.cx.counters.refused += 1;
        return Err(RequestError::Overloaded);
    }
    Ok(())
}

/// Cancels a job. Committed before any worker hears of it.
pub(crate) fn cancel(core: &mut SchedulerCore, no: JobNo) {
    let Some(job) = core.jobs.get_mut(no) else { return };
    if job.is_over() || job.meta.state == JobState::Cancelling {
        return;
    }
    core.cx.commit(Commit::RequestCancel { job: job.id });
    job.set_state(&mut core.cx, JobState::Cancelling);
    if !job.is_raw {
        job.stop(&mut core.cx, Ending::Cancel);
    }
}

/// A client is gone: what lives with it is cancelled, and its results are let go.
pub(crate) fn client_ended(core: &mut SchedulerCore, session: &str) {
    let attached: Vec<JobNo> = core
        .jobs
        .iter()
        .filter(|job| job.meta.options.attached_to.as_deref() == Some(session))
        .map(|job| job.no)
        .collect();
    for no in attached {
        cancel(core, no);
        expire(core, no);
    }
}

/// The results of a job may have outlived their retention.
pub(crate) fn retention_over(core: &mut SchedulerCore, no: JobNo) {
    let Some(job) = core.jobs.get_mut(no) else { return };
    if job.is_retention_over(&mut core.cx) {
        expire(core, no);
    }
}

/// Lets the results of an ended job go, and keeps its record for a while.
fn expire(core: &mut SchedulerCore, no: JobNo) {
    let Some(job) = core.jobs.get_mut(no) else { return };
    if !job.is_over() || job.is_raw {
        return;
    }
    if job.sharing.dependants.is_empty() {
        drop_expired(core, no);
    } else {
        job.leave(&mut core.cx, LetGo::Expired);
    }
}

/// Drops an ended job that nobody imports from, and keeps its record for a while.
pub(crate) fn drop_expired(core: &mut SchedulerCore, no: JobNo) {
    imports::drop_references(core, no);
    let Some(job) = core.jobs.get_mut(no) else { return };
    job.let_go(&mut core.cx);
    let expire_after = Some(core.cx.config.record_ttl);
    core.cx.commit(Commit::SetMeta {
        meta: Box::new(job.record()),
        expire_after,
    });
    flush_notes(core, no);
    core.jobs.retire(no, core.cx.config.max_ended_jobs);
}

/// Takes the last notes of a job that goes.
fn flush_notes(core: &mut SchedulerCore, no: JobNo) {
    let mut notes = Vec::new();
    if let Some(job) = core.jobs.get_mut(no) {
        job.take_notes(&core.cx, &mut notes);
    }
    core.cx.notes.append(&mut notes);
}

/// Removes an ended job: at once, or with the last job that imports from it.
pub(crate) fn remove(core: &mut SchedulerCore, id: JobId) {
    match core.jobs.by_id_mut(id) {
        Some(job) if !job.sharing.dependants.is_empty() => job.leave(&mut core.cx, LetGo::Removed),
        _ => drop_removed(core, id),
    }
}

/// Removes an ended job that nobody imports from, and everything of it.
pub(crate) fn drop_removed(core: &mut SchedulerCore, id: JobId) {
    if let Some(no) = core.jobs.find(id) {
        imports::drop_references(core, no);
    }
    if let Some(job) = core.jobs.by_id_mut(id) {
        job.let_go(&mut core.cx);
    }
    core.jobs.remove(id);
    core.cx.notes.retain(|note| !speaks_of(note, id));
    core.cx.commit(Commit::DeleteJob { job: id });
}

fn speaks_of(note: &crate::Note, id: JobId) -> bool {
    use crate::Note;
    match note {
        Note::Pages { job, .. }
        | Note::Result { job, .. }
        | Note::ResultGone { job, .. }
        | Note::Event { job, .. }
        | Note::Log { job, .. } => *job == id,
        Note::Meta { meta } => meta.job == id,
        Note::Worker { .. } | Note::WorkerGone { .. } => false,
    }
}
