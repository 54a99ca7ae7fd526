//! The workers as they were last heard of.

use std::collections::BTreeMap;

use millstream_protocol::wire::{HeartbeatMsg, WorkMsg, WorkerSnapshot};
use millstream_types::WorkerId;
use serde::Serialize;

/// Silence after which a worker is taken off the board, in microseconds: three snapshots without it.
const FORGET_US: u64 = 16_000_000;

/// A worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerRow {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) slots: u32,
    pub(crate) memory_limit: u64,
    pub(crate) objects: u32,
    pub(crate) load: Option<HeartbeatMsg>,
    /// Tasks that ended in the second before.
    pub(crate) tasks_per_s: u32,
    /// Bytes fetched in the second before.
    pub(crate) fetched_per_s: u64,
    /// Bytes served in the second before.
    pub(crate) served_per_s: u64,
    ended: u32,
    counted: Option<HeartbeatMsg>,
    heard_us: u64,
}

impl WorkerRow {
    /// Memory of the process that the store does not account for.
    pub(crate) fn unmanaged(&self) -> u64 {
        let bytes = |load: HeartbeatMsg| load.process.as_u64().saturating_sub(load.stored.as_u64());
        self.load.map_or(0, bytes)
    }

    fn close_second(&mut self) {
        self.tasks_per_s = std::mem::take(&mut self.ended);
        let before = std::mem::replace(&mut self.counted, self.load);
        let (Some(now), Some(before)) = (self.load, before) else {
            return;
        };
        self.fetched_per_s = now.fetched.as_u64().saturating_sub(before.fetched.as_u64());
        self.served_per_s = now.served.as_u64().saturating_sub(before.served.as_u64());
    }
}

/// All workers.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    rows: BTreeMap<WorkerId, WorkerRow>,
    /// Rises whenever a worker comes, goes, or is called otherwise.
    version: u64,
}

impl Workers {
    /// A leader's snapshot: who is there, and how.
    pub(crate) fn snapshot(&mut self, workers: Vec<WorkerSnapshot>, now_us: u64) {
        for told in workers {
            let row = self.row(told.worker, &told.name);
            row.state = told.state;
            row.objects = told.objects;
            row.heard_us = now_us;
            if told.load.is_some() {
                row.load = told.load;
            }
            if told.slots > 0 {
                (row.slots, row.memory_limit) = (told.slots, told.memory_limit.as_u64());
            }
            if row.host != told.host && !told.host.is_empty() {
                row.host = told.host;
                self.version += 1;
            }
        }
    }

    /// A worker's own words.
    pub(crate) fn work(&mut self, msg: &WorkMsg, now_us: u64) {
        let ended: u32 = msg.totals.iter().map(|total| total.finished + total.failed).sum();
        let row = self.row(msg.worker, &msg.name);
        row.heard_us = now_us;
        row.slots = msg.slots;
        row.memory_limit = msg.memory_limit.as_u64();
        row.ended += ended;
        if msg.load.is_some() {
            row.load = msg.load;
        }
    }

    /// Ends a second; forgets who was not heard of for long.
    pub(crate) fn close_second(&mut self, now_us: u64) {
        let before = self.rows.len();
        self.rows
            .retain(|_, row| now_us.saturating_sub(row.heard_us) < FORGET_US);
        if self.rows.len() != before {
            self.version += 1;
        }
        self.rows.values_mut().for_each(WorkerRow::close_second);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&WorkerId, &WorkerRow)> {
        self.rows.iter()
    }

    pub(crate) fn get(&self, worker: WorkerId) -> Option<&WorkerRow> {
        self.rows.get(&worker)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Workers by name.
    pub(crate) fn by_name(&self) -> Vec<(WorkerId, &WorkerRow)> {
        let mut sorted: Vec<_> = self.rows.iter().map(|(id, row)| (*id, row)).collect();
        sorted.sort_by(|a, b| natural(&a.1.name).cmp(&natural(&b.1.name)).then(a.0.cmp(&b.0)));
        sorted
    }

    fn row(&mut self, worker: WorkerId, name: &str) -> &mut WorkerRow {
        let row = self.rows.entry(worker).or_default();
        if row.name != name {
            name.clone_into(&mut row.name);
            self.version += 1;
        }
        row
    }
}

/// `worker-10` after `worker-9`: a name, parted before its last number.
fn natural(name: &str) -> (&str, u64, &str) {
    let head = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[head.len()..].parse().unwrap_or(0);
    (head, number, name)
}

/// Who is there: told when it changes.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerTable<'a> {
    pub(crate) version: u64,
    pub(crate) workers: Vec<WorkerName<'a>>,
}

/// A worker by what does not change.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerName<'a> {
    pub(crate) id: WorkerId,
    pub(crate) name: &'a str,
    pub(crate) host: &'a str,
    pub(crate) slots: u32,
    pub(crate) memory_limit: u64,
}

/// The numbers of all workers, in the table's order: told each second.
#[derive(Debug, Default, Serialize)]
pub(crate) struct WorkerNumbers<'a> {
    pub(crate) version: u64,
    pub(crate) state: Vec<&'a str>,
    pub(crate) cpu_milli: Vec<u32>,
    pub(crate) stored: Vec<u64>,
    pub(crate) unmanaged: Vec<u64>,
    pub(crate) spilled: Vec<u64>,
    pub(crate) executing: Vec<u32>,
    pub(crate) queued: Vec<u32>,
    pub(crate) objects: Vec<u32>,
    pub(crate) tasks_per_s: Vec<u32>,
    pub(crate) fetched_per_s: Vec<u64>,
    pub(crate) served_per_s: Vec<u64>,
}

impl Workers {
    pub(crate) fn table(&self) -> WorkerTable<'_> {
        WorkerTable {
            version: self.version,
            workers: self
                .by_name()
                .into_iter()
                .map(|(id, row)| WorkerName {
                    id,
                    name: &row.name,
                    host: &row.host,
                    slots: row.slots,
                    memory_limit: row.memory_limit,
                })
                .collect(),
        }
    }

    pub(crate) fn numbers(&self) -> WorkerNumbers<'_> {
        let mut numbers = WorkerNumbers {
            version: self.version,
            ..WorkerNumbers::default()
        };
        for (_, row) in self.by_name() {
            let load = row.load;
            let count = |value: fn(HeartbeatMsg) -> u32| load.map_or(0, value);
            numbers.state.push(&row.state);
            numbers.cpu_milli.push(count(|load| load.cpu_milli));
            numbers.stored.push(load.map_or(0, |load| load.stored.as_u64()));
            numbers.unmanaged.push(row.unmanaged());
            numbers.spilled.push(load.map_or(0, |load| load.spilled.as_u64()));
            numbers.executing.push(count(|load| load.executing));
            numbers.queued.push(count(|load| load.queued));
            numbers.objects.push(row.objects);
            numbers.tasks_per_s.push(row.tasks_per_s);
            numbers.fetched_per_s.push(row.fetched_per_s);
            numbers.served_per_s.push(row.served_per_s);
        }
        numbers
    }
}
