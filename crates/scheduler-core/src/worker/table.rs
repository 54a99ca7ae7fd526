//! The table of all workers this leader ever met, and which of them have something to send.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use millstream_protocol::wire::WorkerInfo;
use millstream_types::{Timestamp, WorkerId};

use super::Worker;
use crate::ids::WorkerNo;

/// Workers by number and id.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    rows: Vec<Worker>,
    by_id: BTreeMap<WorkerId, WorkerNo>,
    dirty: Vec<WorkerNo>,
}

impl Workers {
    pub(crate) fn find(&self, id: WorkerId) -> Option<WorkerNo> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn get(&self, no: WorkerNo) -> Option<&Worker> {
        self.rows.get(no.index())
    }

    /// Adds a worker that was never met.
    pub(crate) fn add(&mut self, info: WorkerInfo, now: Timestamp) -> WorkerNo {
        let no = WorkerNo(self.rows.len() as u32);
        self.by_id.insert(info.worker, no);
        self.rows.push(Worker::new(no, info, now));
        no
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.rows.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.rows.iter_mut()
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = WorkerNo> + use<> {
        (0..self.rows.len() as u32).map(WorkerNo)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Notes that a worker may have something to send.
    pub(crate) fn touch(&mut self, no: WorkerNo) {
        let worker = &mut self.rows[no.index()];
        if !worker.is_dirty {
            worker.is_dirty = true;
            self.dirty.push(no);
        }
    }

    /// Takes the workers that may have something to send.
    pub(crate) fn take_dirty(&mut self) -> Vec<WorkerNo> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for no in &dirty {
            self.rows[no.index()].is_dirty = false;
        }
        dirty
    }
}

// Numbers are only made by `add` and rows are never removed, so indexing cannot fail.
impl Index<WorkerNo> for Workers {
    type Output = Worker;

    fn index(&self, no: WorkerNo) -> &Worker {
        &self.rows[no.index()]
    }
}

impl IndexMut<WorkerNo> for Workers {
    fn index_mut(&mut self, no: WorkerNo) -> &mut Worker {
        &mut self.rows[no.index()]
    }
}
