//! Where jobs meet: imports are linked to what they stand for, follow it, and let it go.
//!
//! An import that waits or is stored holds its source's object; in any other state it does not. [`reconcile`] alone
//! brings that about, whatever happened on either side: both only note that they changed. A job that imports holds the
//! lineage of its sources, their graphs, until it is dropped itself.

use std::collections::BTreeSet;

use millstream_protocol::graph::{Graph, ImportSource, TaskName};
use millstream_protocol::wire::{LetGo, RequestError};
use millstream_protocol::{ErrorKind, TaskError};

use crate::core::SchedulerCore;
use crate::ids::JobNo;
use crate::job::{ImportRef, Job, TaskState, flag};
use crate::on::submit;

impl SchedulerCore {
    /// Looks after imports that changed, or whose source did. Tells whether there were any.
    pub(crate) fn settle_imports(&mut self) -> bool {
        // The jobs of a new leader know what they have only when the window is over.
        if self.cx.recovery.is_some() {
            return false;
        }
        let rolled_back = std::mem::take(&mut self.cx.rolled_back);
        let changed = std::mem::take(&mut self.cx.imports);
        let any = !rolled_back.is_empty() || !changed.is_empty();
        for import in rolled_back {
            roll_back(self, import);
        }
        for import in changed {
            reconcile(self, import);
        }
        any
    }
}

/// Checks that everything a submitted graph imports is there.
///
/// # Errors
/// [`RequestError::Gone`] with what is not.
pub(crate) fn check(core: &SchedulerCore, graph: &Graph) -> Result<(), RequestError> {
    let mut result = Ok(());
    graph.for_each_import(0, |task, params| {
        if result.is_err() {
            return;
        }
        let Ok(source) = ImportSource::decode(params) else {
            return;
        };
        let found = find(core, &source).and_then(|(no, object)| is_to_be_had(core, no, object));
        result = found.map_err(|message| {
            let key = graph.key_of(millstream_types::TaskIdx(task));
            RequestError::Gone(format!("task `{key}` imports {source}, but {message}"))
        });
    });
    result
}

/// A job may name what is there, or is being made, or can be made again.
fn is_to_be_had(core: &SchedulerCore, no: JobNo, object: u32) -> Result<(), String> {
    let Some(job) = core.jobs.get(no) else {
        return Ok(());
    };
    if job.meta.let_go.is_some() {
        return Err("that job's results were let go: run it again".to_owned());
    }
    if job.is_called_off(object) {
        return Err("that task was cancelled: submit it again".to_owned());
    }
    let is_nowhere = match job.cols.state(object) {
        TaskState::Released | TaskState::Cancelled => true,
        TaskState::Stored => !job.is_raw && !job.cols.is_held(object),
        _ => false,
    };
    if is_nowhere && !job.is_raw && !job.can_make_again() {
        return Err("that is gone and cannot be made again: run that job again".to_owned());
    }
    Ok(())
}

/// The job and the object that a source names, or why there is none.
fn find(core: &SchedulerCore, source: &ImportSource) -> Result<(JobNo, u32), String> {
    let ImportSource::Task { job: id, task } = source;
    let no = core
        .jobs
        .find(*id)
        .ok_or_else(|| match core.jobs.record_of(*id) {
            Some(_) => "that job's results were let go when their retention ended: run it again".to_owned(),
            None => "there is no such job: submit it first, or again if it was removed".to_owned(),
        })?;
    let job = core.jobs.get(no).ok_or("there is no such job")?;
    let index = match task {
        TaskName::Index(index) => Some(*index),
        TaskName::Key(key) => job.graph.task_of_key(key).map(|task| task.0),
    };
    let index = index.filter(|index| *index < job.cols.len());
    let index = index.ok_or("that job has no such task")?;
    let object = job.alias.resolve(index);
    if job.cols.has(object, flag::IMPORT) {
        return Err("that is an import itself: name the job that makes it".to_owned());
    }
    Ok((no, object))
}

/// Brings one import and its source together.
fn reconcile(core: &mut SchedulerCore, import: ImportRef) {
    let (no, task) = import;
    let Some(job) = core.jobs.get(no).filter(|job| !job.is_raw) else {
        return;
    };
    let Some(link) = job.sharing.imports.get(&task).map(|import| import.link) else {
        return;
    };
    let holds = matches!(job.cols.state(task), TaskState::Waiting | TaskState::Stored);
    match (holds, link) {
        (true, Some(link)) => follow(core, import, link),
        (true, None) => match connect(core, import) {
            Ok(link) => follow(core, import, link),
            Err(error) => fail(core, import, error),
        },
        (false, Some(link)) => unlink(core, import, link),
        (false, None) => {}
    }
}

fn fail(core: &mut SchedulerCore, (no, task): ImportRef, error: TaskError) {
    if let Some(job) = core.jobs.get_mut(no)
        && !job.cols.state(task).is_done()
        && job.ending.is_none()
    {
        job.fail_with(&mut core.cx, task, error);
    }
}

/// Finds an import's source and holds it.
fn connect(core: &mut SchedulerCore, import: ImportRef) -> Result<(JobNo, u32), TaskError> {
    let (no, task) = import;
    let lost = |message: String| TaskError::new(ErrorKind::InputLost, message);
    let known = core.jobs.get(no).and_then(|job| job.sharing.imports.get(&task));
    let Some(source) = known.map(|import| import.source.clone()) else {
        return Err(lost("the task is no import".to_owned()));
    };
    let (from, object) = find(core, &source).map_err(|why| lost(format!("{source} is not there: {why}")))?;
    if is_reached(core, from, no) {
        let message = format!("{source} cannot be imported: that job waits for this one");
        return Err(TaskError::new(ErrorKind::BadInput, message));
    }
    let is_left = core
        .jobs
        .get(from)
        .is_some_and(|job| job.meta.let_go.is_some() && !job.sharing.dependants.contains(&no));
    if is_left {
        return Err(lost(format!(
            "{source} is not there: that job's results were let go"
        )));
    }
    if let Some(job) = core.jobs.get(from)
        && job.sharing.dependants.is_empty()
    {
        job.stay(&mut core.cx);
    }
    register(core, import, (from, object));
    if let Some(job) = core.jobs.get_mut(from) {
        job.hold(object, import);
    }
    if let Some(import) = core
        .jobs
        .get_mut(no)
        .and_then(|job| job.sharing.imports.get_mut(&task))
    {
        import.link = Some((from, object));
    }
    Ok((from, object))
}

/// Whether `from` imports from `target`, directly or not, or is it.
fn is_reached(core: &SchedulerCore, from: JobNo, target: JobNo) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut stack = vec![from];
    while let Some(no) = stack.pop() {
        if no == target {
            return true;
        }
        let sources = core.jobs.get(no).map(|job| &job.sharing.sources);
        stack.extend(
            sources
                .into_iter()
                .flatten()
                .filter(|source| seen.insert(**source)),
        );
    }
    false
}

/// Notes on both sides that one job's import stands for the other's object.
fn register(core: &mut SchedulerCore, import: ImportRef, (from, object): (JobNo, u32)) {
    let (no, task) = import;
    let Some(source) = core.jobs.get_mut(from) else {
        return;
    };
    source.sharing.dependants.insert(no);
    source.sharing.importers.entry(object).or_default().insert(import);
    let is_determinate = !source.has_indeterminate;
    if let Some(job) = core.jobs.get_mut(no) {
        job.sharing.sources.insert(from);
        note_determinacy(job, task, is_determinate);
    }
}

fn note_determinacy(job: &mut Job, task: u32, is_determinate: bool) {
    if let Some(import) = job.sharing.imports.get_mut(&task) {
        import.is_determinate = is_determinate;
    }
    job.has_indeterminate |= !is_determinate;
}

/// Lets a linked import take over where its source stands.
fn follow(core: &mut SchedulerCore, (no, task): ImportRef, (from, object): (JobNo, u32)) {
    let Some(source) = core.jobs.get_mut(from) else {
        return;
    };
    let object = source.alias.resolve(object);
    let state = source.source_state(&mut core.cx, object);
    let is_determinate = !source.has_indeterminate;
    if let Some(job) = core.jobs.get_mut(no) {
        note_determinacy(job, task, is_determinate);
        job.follow_source(&mut core.cx, task, state);
    }
}

fn unlink(core: &mut SchedulerCore, (no, task): ImportRef, (from, object): (JobNo, u32)) {
    if let Some(import) = core
        .jobs
        .get_mut(no)
        .and_then(|job| job.sharing.imports.get_mut(&task))
    {
        import.link = None;
    }
    if let Some(source) = core.jobs.get_mut(from) {
        let object = source.alias.resolve(object);
        source.unhold(&mut core.cx, object);
    }
}

/// The source's job drops what was made from an output that may come out differently: so does the import's.
fn roll_back(core: &mut SchedulerCore, (no, task): ImportRef) {
    let Some(job) = core.jobs.get_mut(no) else { return };
    note_determinacy(job, task, false);
    job.roll_back_import(&mut core.cx, task);
}

/// A job is dropped: it lets go of what it imports. Jobs that stayed for it alone go with it, one after the other.
pub(crate) fn drop_references(core: &mut SchedulerCore, no: JobNo) {
    let Some(job) = core.jobs.get_mut(no) else { return };
    let linked: Vec<_> = job
        .sharing
        .imports
        .iter()
        .filter_map(|(task, import)| Some(((no, *task), import.link?)))
        .collect();
    let sources = std::mem::take(&mut job.sharing.sources);
    for (import, link) in linked {
        unlink(core, import, link);
    }
    for from in sources {
        let Some(source) = core.jobs.get_mut(from) else {
            continue;
        };
        source.sharing.dependants.remove(&no);
        source.sharing.importers.retain(|_, importers| {
            importers.retain(|(importer, _)| *importer != no);
            !importers.is_empty()
        });
        core.cx.unreferenced.push(from);
    }
}

/// Drops jobs that stayed for others alone, which are gone.
pub(crate) fn drop_unreferenced(core: &mut SchedulerCore) {
    while let Some(no) = core.cx.unreferenced.pop() {
        let Some(job) = core.jobs.get(no) else { continue };
        let (id, is_free) = (
            job.id,
            job.sharing.dependants.is_empty() && !job.is_raw && job.is_over(),
        );
        match job.meta.let_go {
            Some(LetGo::Removed) if is_free => submit::drop_removed(core, id),
            Some(LetGo::Expired) if is_free => submit::drop_expired(core, no),
            _ => {}
        }
    }
}

/// A new leader has read all graphs: who imports from whom is known again before any inventory comes.
pub(crate) fn recover_links(core: &mut SchedulerCore) {
    for import in all_imports(core) {
        let (no, task) = import;
        let Some(source) = source_of(core, import) else {
            continue;
        };
        let Ok((from, object)) = find(core, &source) else {
            continue;
        };
        if is_reached(core, from, no) {
            continue;
        }
        register(core, import, (from, object));
        let holds = core
            .jobs
            .get(no)
            .is_some_and(|job| matches!(job.cols.state(task), TaskState::Waiting | TaskState::Stored));
        if !holds {
            continue;
        }
        if let Some(source) = core.jobs.get_mut(from) {
            source.hold(object, import);
        }
        if let Some(import) = core
            .jobs
            .get_mut(no)
            .and_then(|job| job.sharing.imports.get_mut(&task))
        {
            import.link = Some((from, object));
        }
    }
    spread_indeterminacy(core);
}

/// What imports from an indeterminate job is indeterminate, in whatever order the jobs were found.
fn spread_indeterminacy(core: &mut SchedulerCore) {
    let mut stack: Vec<JobNo> = core
        .jobs
        .iter()
        .filter(|job| job.has_indeterminate)
        .map(|job| job.no)
        .collect();
    while let Some(from) = stack.pop() {
        let Some(source) = core.jobs.get(from) else {
            continue;
        };
        let id = source.id;
        for no in source.sharing.dependants.clone() {
            let Some(job) = core.jobs.get_mut(no) else {
                continue;
            };
            let was_indeterminate = job.has_indeterminate;
            let of_source: Vec<u32> = job
                .sharing
                .imports
                .iter()
                .filter(|(_, import)| import.is_determinate && import.source.job() == id)
                .map(|(task, _)| *task)
                .collect();
            for task in of_source {
                note_determinacy(job, task, false);
            }
            if !was_indeterminate {
                job.has_indeterminate = true;
                stack.push(no);
            }
        }
    }
}

/// The inventories are in: imports are where their sources were found.
pub(crate) fn recover_holders(core: &mut SchedulerCore) {
    for (no, task) in all_imports(core) {
        let link = core
            .jobs
            .get(no)
            .and_then(|job| job.sharing.imports.get(&task)?.link);
        let Some((from, object)) = link else { continue };
        let Some(source) = core.jobs.get_mut(from) else {
            continue;
        };
        if !source.cols.is_held(object) {
            continue;
        }
        let state = source.source_state(&mut core.cx, object);
        if let Some(job) = core.jobs.get_mut(no).filter(|job| job.is_raw) {
            job.follow_source_raw(&mut core.cx, task, state);
        }
    }
}

/// Has every import looked after, and every job that stayed for others.
pub(crate) fn recovered(core: &mut SchedulerCore) {
    let all = all_imports(core);
    core.cx.imports.extend(all);
    let left = core.jobs.iter().filter(|job| job.meta.let_go.is_some());
    let left: Vec<_> = left.map(|job| job.no).collect();
    core.cx.unreferenced.extend(left);
}

fn all_imports(core: &SchedulerCore) -> Vec<ImportRef> {
    let of_job = |job: &Job| {
        let no = job.no;
        job.sharing
            .imports
            .keys()
            .map(move |task| (no, *task))
            .collect::<Vec<_>>()
    };
    core.jobs.iter().flat_map(of_job).collect()
}

fn source_of(core: &SchedulerCore, (no, task): ImportRef) -> Option<ImportSource> {
    let job = core.jobs.get(no)?;
    Some(job.sharing.imports.get(&task)?.source.clone())
}

/// Whose object an input is, as the job that has it knows it: its own task, or another job's behind an import.
pub(crate) fn owner_of(core: &SchedulerCore, no: JobNo, task: u32) -> ImportRef {
    let link = core
        .jobs
        .get(no)
        .and_then(|job| job.sharing.imports.get(&task)?.link);
    match link {
        Some((from, object)) => {
            let object = core
                .jobs
                .get(from)
                .map_or(object, |job| job.alias.resolve(object));
            (from, object)
        }
        None => (no, task),
    }
}

/// What is broken about the imports of a job.
pub(crate) fn faults(core: &SchedulerCore, job: &Job) -> Vec<String> {
    let mut broken = Vec::new();
    for (task, import) in &job.sharing.imports {
        let mut fail = |text: &str| broken.push(format!("{} import {task}: {text}", job.id));
        let state = job.cols.state(*task);
        let holds = matches!(state, TaskState::Waiting | TaskState::Stored);
        if holds != import.link.is_some() {
            fail("it is linked although it needs nothing, or the other way round");
        }
        let Some((from, object)) = import.link else {
            continue;
        };
        let Some(source) = core.jobs.get(from) else {
            fail("its source's job is gone");
            continue;
        };
        let object = source.alias.resolve(object);
        if !source.cols.has(object, flag::EXPORTED) {
            fail("nothing holds its source");
        }
        let is_same = source.cols.is_held(object) == (state == TaskState::Stored)
            && (state != TaskState::Stored
                || (source.cols.attempt(object) == job.cols.attempt(*task)
                    && source.holders(object).eq(job.holders(*task))));
        if !is_same {
            fail("it stands elsewhere than its source");
        }
    }
    broken
}
