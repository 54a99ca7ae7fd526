//! The simulated state store: commits in order, fenced by term; snapshots to roll back to.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use millstream_protocol::codec;
use millstream_protocol::wire::{FailureRecord, JobMeta, ResultEntry};
use millstream_scheduler_core::{Commit, Note, RecoveredJob};
use millstream_types::{JobId, LeaderId, TaskIdx, Term, WorkerId};

/// How long a lease lasts.
pub(crate) const LEASE_US: u64 = 3_000_000;
/// An append-only file flushed each second may miss this much after a kill.
const SNAPSHOTS: usize = 3;

#[derive(Debug, Clone, Default)]
struct StoredJob {
    meta: Option<JobMeta>,
    cancel_requested: bool,
    graph: Bytes,
    extensions: Vec<(TaskIdx, Bytes)>,
    failures: BTreeMap<u32, FailureRecord>,
    pages: Vec<u8>,
    results: BTreeMap<u32, ResultEntry>,
}

#[derive(Debug, Clone, Default)]
struct Data {
    jobs: BTreeMap<JobId, StoredJob>,
    /// Registered workers, and until when.
    workers: BTreeMap<WorkerId, u64>,
    lease: Option<Lease>,
    /// Who was given the highest term.
    last: Option<(LeaderId, Term)>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    leader: LeaderId,
    term: Term,
    until: u64,
}

/// What a store says to somebody who wants to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// The lease is theirs.
    Lease {
        /// The new term.
        term: Term,
        /// Who was given the term before, as far as the store remembers.
        before: Option<(LeaderId, Term)>,
    },
    /// Somebody else has it.
    Held {
        /// Who, and in which term.
        by: (LeaderId, Term),
    },
    /// The store does not answer.
    Down,
}

/// What a store says to a leader that writes or renews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fenced {
    /// It is the leader.
    No,
    /// Somebody else is.
    Yes,
    /// The store does not answer.
    Down,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Store {
    data: Data,
    snapshots: VecDeque<Data>,
    /// Raised when data was lost; leaders that saw another number write everything again.
    pub(crate) epoch: u64,
    /// The last loss that a leader has made good by writing everything again.
    pub(crate) repaired: u64,
    /// Until when nobody gets an answer.
    pub(crate) down_until: u64,
}

impl Store {
    /// Takes the lease under a new term, if nobody has it.
    pub(crate) fn acquire(&mut self, now: u64, leader: LeaderId, at_least: Term) -> Acquired {
        if now < self.down_until {
            return Acquired::Down;
        }
        if let Some(lease) = self.data.lease.filter(|lease| lease.until > now) {
            return Acquired::Held {
                by: (lease.leader, lease.term),
            };
        }
        let before = self.data.last;
        let last = before.map_or(at_least, |(_, term)| term.max(at_least));
        // Not below the seconds of the clock, which began at 1.
        let clock = u32::try_from(1 + now / 1_000_000).unwrap_or(u32::MAX);
        let term = last.next().max(Term(clock));
        self.data.last = Some((leader, term));
        self.data.lease = Some(Lease {
            leader,
            term,
            until: now + LEASE_US,
        });
        Acquired::Lease { term, before }
    }

    /// Renews the lease of a term.
    pub(crate) fn renew(&mut self, now: u64, leader: LeaderId, term: Term) -> Fenced {
        let fenced = self.fence(now, leader, term);
        if fenced == Fenced::No
            && let Some(lease) = &mut self.data.lease
        {
            lease.until = now + LEASE_US;
        }
        fenced
    }

    fn fence(&self, now: u64, leader: LeaderId, term: Term) -> Fenced {
        if now < self.down_until {
            return Fenced::Down;
        }
        match self.data.lease {
            Some(lease) if lease.leader == leader && lease.term == term && lease.until > now => Fenced::No,
            _ => Fenced::Yes,
        }
    }

    /// Writes a commit of a leader.
    pub(crate) fn commit(&mut self, now: u64, leader: LeaderId, term: Term, commit: Commit) -> Fenced {
        let fenced = self.fence(now, leader, term);
        if fenced == Fenced::No {
            self.apply(commit);
        }
        fenced
    }

    fn apply(&mut self, commit: Commit) {
        match commit {
            Commit::PutJob { meta, graph } => {
                let job = self.data.jobs.entry(meta.job).or_default();
                job.meta = Some(*meta);
                job.graph = graph;
            }
            Commit::SetMeta { meta, .. } => {
                let job = meta.job;
                self.data.jobs.entry(job).or_default().meta = Some(*meta);
            }
            Commit::RequestCancel { job } => self.data.jobs.entry(job).or_default().cancel_requested = true,
            Commit::PutExtension { job, task, extension } => {
                let extensions = &mut self.data.jobs.entry(job).or_default().extensions;
                // Written again after a loss: one per task.
                if extensions.iter().all(|(known, _)| *known != task) {
                    extensions.push((task, extension));
                }
            }
            Commit::PutFailure { job, task, failure } => {
                self.data
                    .jobs
                    .entry(job)
                    .or_default()
                    .failures
                    .insert(task.0, *failure);
            }
            Commit::PutPages { job, pages } => {
                if let Some(job) = self.data.jobs.get_mut(&job) {
                    put_pages(&mut job.pages, &pages);
                }
            }
            Commit::DeleteJob { job } => {
                self.data.jobs.remove(&job);
            }
        }
    }

    /// Writes a note of a leader. Notes of a job that is not there are lost with it.
    pub(crate) fn note(&mut self, now: u64, leader: LeaderId, term: Term, note: Note) -> Fenced {
        let fenced = self.fence(now, leader, term);
        if fenced != Fenced::No {
            return fenced;
        }
        match note {
            Note::Pages { job, pages } => {
                if let Some(job) = self.data.jobs.get_mut(&job) {
                    put_pages(&mut job.pages, &pages);
                }
            }
            Note::Result { job, task, entry } => {
                if let Some(job) = self.data.jobs.get_mut(&job) {
                    job.results.insert(task.0, *entry);
                }
            }
            Note::ResultGone { job, task } => {
                if let Some(job) = self.data.jobs.get_mut(&job) {
                    job.results.remove(&task.0);
                }
            }
            Note::Meta { meta } => {
                if let Some(job) = self.data.jobs.get_mut(&meta.job) {
                    job.meta = Some(*meta);
                }
            }
            Note::Worker { info, ttl } => {
                let until = now + u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX);
                self.data.workers.insert(info.worker, until);
            }
            Note::WorkerGone { worker } => {
                self.data.workers.remove(&worker);
            }
            Note::Event { .. } | Note::Log { .. } => {}
        }
        fenced
    }

    /// Where an output is, as a gateway reads it.
    pub(crate) fn result(&self, now: u64, job: JobId, task: TaskIdx) -> Option<ResultEntry> {
        let is_up = now >= self.down_until;
        let job = self.data.jobs.get(&job).filter(|_| is_up)?;
        job.results.get(&task.0).cloned()
    }

    /// What a new leader finds.
    pub(crate) fn load(&self, now: u64) -> (Vec<RecoveredJob>, Vec<WorkerId>) {
        let jobs = self.data.jobs.values().filter_map(recovered).collect();
        let workers = self.data.workers.iter().filter(|(_, until)| **until > now);
        (jobs, workers.map(|(worker, _)| *worker).collect())
    }

    /// Remembers how things are, to roll back to.
    pub(crate) fn snapshot(&mut self) {
        self.snapshots.push_back(self.data.clone());
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
    }

    /// Loses what was written since an earlier snapshot.
    pub(crate) fn roll_back(&mut self, which: usize) {
        if let Some(data) = self.snapshots.get(which % self.snapshots.len().max(1)) {
            self.data = data.clone();
            self.epoch += 1;
        }
    }

    /// Loses everything.
    pub(crate) fn wipe(&mut self) {
        self.data = Data::default();
        self.snapshots.clear();
        self.epoch += 1;
    }
}

fn put_pages(all: &mut Vec<u8>, pages: &[(u32, Bytes)]) {
    for (page, bytes) in pages {
        let from = *page as usize * 256;
        if all.len() < from + bytes.len() {
            all.resize(from + bytes.len(), 0);
        }
        all[from..from + bytes.len()].copy_from_slice(bytes);
    }
}

fn recovered(job: &StoredJob) -> Option<RecoveredJob> {
    let extensions = job.extensions.iter();
    let decoded = extensions.filter_map(|(task, bytes)| Some((*task, codec::decode(bytes).ok()?)));
    Some(RecoveredJob {
        meta: job.meta.clone()?,
        cancel_requested: job.cancel_requested,
        graph: codec::decode(&job.graph).ok()?,
        extensions: decoded.collect(),
        pages: job.pages.clone().into(),
        failures: job
            .failures
            .iter()
            .map(|(task, failure)| (TaskIdx(*task), failure.clone()))
            .collect(),
        results: job
            .results
            .iter()
            .map(|(task, entry)| (TaskIdx(*task), entry.clone()))
            .collect(),
    })
}
