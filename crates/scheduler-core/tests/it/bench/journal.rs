//! The state store as the bench's commits and notes would have filled it.

use std::collections::BTreeMap;

use millstream_protocol::codec;
use millstream_scheduler_core::{Commit, Note, RecoveredJob};
use millstream_types::JobId;

use super::Bench;

impl Bench {
    /// What a new leader of the next term would find in the state store.
    pub(crate) fn journal(&self) -> Vec<RecoveredJob> {
        let mut jobs: BTreeMap<JobId, RecoveredJob> = BTreeMap::new();
        for commit in &self.commits {
            apply_commit(&mut jobs, commit);
        }
        for note in &self.notes {
            apply_note(&mut jobs, note);
        }
        jobs.into_values().collect()
    }
}

fn apply_commit(jobs: &mut BTreeMap<JobId, RecoveredJob>, commit: &Commit) {
    match commit {
        Commit::PutJob { meta, graph } => {
            let found = RecoveredJob {
                meta: (**meta).clone(),
                cancel_requested: false,
                graph: codec::decode(graph).unwrap(),
                extensions: Vec::new(),
                pages: bytes::Bytes::new(),
                failures: Vec::new(),
                results: Vec::new(),
            };
            jobs.insert(meta.job, found);
        }
        Commit::SetMeta { meta, .. } => {
            if let Some(job) = jobs.get_mut(&meta.job) {
                job.meta = (**meta).clone();
            }
        }
        Commit::RequestCancel { job } => {
            if let Some(job) = jobs.get_mut(job) {
                job.cancel_requested = true;
            }
        }
        Commit::PutExtension { job, task, extension } => {
            if let Some(job) = jobs.get_mut(job) {
                job.extensions.push((*task, codec::decode(extension).unwrap()));
            }
        }
        Commit::PutFailure { job, task, failure } => {
            if let Some(job) = jobs.get_mut(job) {
                job.failures.retain(|(other, _)| other != task);
                job.failures.push((*task, (**failure).clone()));
            }
        }
        Commit::PutPages { job, pages } => put_pages(jobs, *job, pages),
        Commit::DeleteJob { job } => {
            jobs.remove(job);
        }
    }
}

fn apply_note(jobs: &mut BTreeMap<JobId, RecoveredJob>, note: &Note) {
    match note {
        Note::Pages { job, pages } => put_pages(jobs, *job, pages),
        Note::Result { job, task, entry } => {
            if let Some(job) = jobs.get_mut(job) {
                job.results.retain(|(other, _)| other != task);
                job.results.push((*task, (**entry).clone()));
            }
        }
        Note::ResultGone { job, task } => {
            if let Some(job) = jobs.get_mut(job) {
                job.results.retain(|(other, _)| other != task);
            }
        }
        _ => {}
    }
}

fn put_pages(jobs: &mut BTreeMap<JobId, RecoveredJob>, job: JobId, pages: &[(u32, bytes::Bytes)]) {
    let Some(job) = jobs.get_mut(&job) else { return };
    let mut all = job.pages.to_vec();
    for (page, bytes) in pages {
        let at = *page as usize * 256;
        if all.len() < at + bytes.len() {
            all.resize(at + bytes.len(), 0);
        }
        all[at..at + bytes.len()].copy_from_slice(bytes);
    }
    job.pages = all.into();
}
