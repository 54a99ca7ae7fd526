//! The table of jobs: live ones whole, ended ones without results as a record.

use std::collections::{BTreeMap, VecDeque};

use millstream_protocol::wire::JobMeta;
use millstream_types::JobId;

use crate::ids::JobNo;
use crate::job::Job;

/// All jobs this leader knows.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    rows: Vec<Option<Box<Job>>>,
    by_id: BTreeMap<JobId, JobNo>,
    ended: BTreeMap<JobId, JobMeta>,
    ended_order: VecDeque<JobId>,
}

impl Jobs {
    pub(crate) fn next_no(&self) -> JobNo {
        JobNo(self.rows.len() as u32)
    }

    /// Adds a job under the number that [`Jobs::next_no`] told.
    pub(crate) fn add(&mut self, job: Job) {
        self.by_id.insert(job.id, job.no);
        self.rows.push(Some(Box::new(job)));
    }

    pub(crate) fn find(&self, id: JobId) -> Option<JobNo> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn get(&self, no: JobNo) -> Option<&Job> {
        self.rows.get(no.index())?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, no: JobNo) -> Option<&mut Job> {
        self.rows.get_mut(no.index())?.as_deref_mut()
    }

    pub(crate) fn by_id_mut(&mut self, id: JobId) -> Option<&mut Job> {
        let no = self.find(id)?;
        self.get_mut(no)
    }

    /// The record of an ended job that is kept no more.
    pub(crate) fn record_of(&self, id: JobId) -> Option<&JobMeta> {
        self.ended.get(&id)
    }

    /// Live jobs, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.by_id_order().filter_map(|no| self.get(no))
    }

    /// Live jobs, by number.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.rows.iter_mut().filter_map(|row| row.as_deref_mut())
    }

    fn by_id_order(&self) -> impl Iterator<Item = JobNo> + '_ {
        (0..self.rows.len() as u32).map(JobNo)
    }

    /// Drops a job and keeps its record, at most so many.
    pub(crate) fn retire(&mut self, no: JobNo, keep: usize) {
        let Some(job) = self.rows.get_mut(no.index()).and_then(Option::take) else {
            return;
        };
        self.by_id.remove(&job.id);
        self.keep_record(job.record(), keep);
    }

    /// Keeps the record of an ended job.
    pub(crate) fn keep_record(&mut self, meta: JobMeta, keep: usize) {
        self.ended_order.push_back(meta.job);
        self.ended.insert(meta.job, meta);
        while self.ended_order.len() > keep {
            if let Some(oldest) = self.ended_order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
    }

    /// Drops a job and everything known of it.
    pub(crate) fn remove(&mut self, id: JobId) {
        if let Some(no) = self.by_id.remove(&id) {
            self.rows[no.index()] = None;
        }
        self.ended.remove(&id);
        self.ended_order.retain(|kept| *kept != id);
    }
}
