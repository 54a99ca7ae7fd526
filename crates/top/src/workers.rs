//! The rows of the list of workers.

use std::cmp::Ordering;

use millstream::{LiveNumbers, LiveWorker, WorkerId};

use crate::list::{Column, Row, Tone, Width};
use crate::{text, units};

/// Columns of a name that are kept.
const NAME: usize = 80;

/// Share of its memory limit above which a worker is short of memory.
const MEMORY_SHORT: f64 = 0.9;

/// A worker.
#[derive(Debug, Clone)]
pub(crate) struct WorkerRow {
    pub(crate) id: WorkerId,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) state: String,
    slots: u32,
    memory_limit: u64,
    executing: u32,
    queued: u32,
    cpu_milli: u32,
    stored: u64,
    unmanaged: u64,
    spilled: u64,
    objects: u32,
    tasks_per_s: u32,
}

impl WorkerRow {
    /// The worker at `row` of the table, with its numbers; zeros where there are none.
    pub(crate) fn of(worker: &LiveWorker, numbers: &LiveNumbers, row: usize) -> Self {
        let small = |column: &[u32]| column.get(row).copied().unwrap_or_default();
        let bytes = |column: &[u64]| column.get(row).copied().unwrap_or_default();
        let state = numbers.state.get(row).map(String::as_str).unwrap_or_default();
        Self {
            id: worker.id,
            name: text::clean(&worker.name, NAME),
            host: text::clean(&worker.host, NAME),
            state: text::clean(state, NAME),
            slots: worker.slots,
            memory_limit: worker.memory_limit.as_u64(),
            executing: small(&numbers.executing),
            queued: small(&numbers.queued),
            cpu_milli: small(&numbers.cpu_milli),
            stored: bytes(&numbers.stored),
            unmanaged: bytes(&numbers.unmanaged),
            spilled: bytes(&numbers.spilled),
            objects: small(&numbers.objects),
            tasks_per_s: small(&numbers.tasks_per_s),
        }
    }

    fn memory(&self) -> u64 {
        self.stored.saturating_add(self.unmanaged)
    }

    fn memory_share(&self) -> f64 {
        self.memory() as f64 / self.memory_limit.max(1) as f64
    }
}

/// `worker-10` after `worker-9`: a name, parted before its last number.
fn natural(name: &str) -> (&str, u64, &str) {
    let head = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (head, name[head.len()..].parse().unwrap_or(0), name)
}

/// The list's first order: by name.
pub(crate) const BY_NAME: usize = 0;

impl Row for WorkerRow {
    type Id = WorkerId;

    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "NAME",
            width: Width::Fixed(16),
            is_number: false,
            largest_first: false,
            compare: |a, b| natural(&a.name).cmp(&natural(&b.name)),
            text: |row, _| row.name.clone(),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "STATE",
            width: Width::Fixed(8),
            is_number: false,
            // Anything but `active` on top.
            largest_first: true,
            compare: |a, b| a.state.cmp(&b.state),
            text: |row, _| row.state.clone(),
            tone: |row| match row.state.as_str() {
                "active" | "" => Tone::Good,
                "suspect" => Tone::Bad,
                _ => Tone::Warn,
            },
        },
        Column {
            title: "BUSY",
            width: Width::Fixed(7),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.executing.cmp(&b.executing),
            text: |row, _| format!("{}/{}", row.executing, row.slots),
            tone: |row| {
                if row.executing > 0 {
                    Tone::Busy
                } else {
                    Tone::Plain
                }
            },
        },
        Column {
            title: "QUEUED",
            width: Width::Wide(7),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.queued.cmp(&b.queued),
            text: |row, _| row.queued.to_string(),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "CPU",
            width: Width::Fixed(6),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.cpu_milli.cmp(&b.cpu_milli),
            text: |row, _| units::percent(f64::from(row.cpu_milli), 1_000.0),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "MEMORY",
            width: Width::Fixed(9),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.memory().cmp(&b.memory()),
            text: |row, _| units::bytes(row.memory() as f64),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "USED",
            width: Width::Fixed(5),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.memory_share().total_cmp(&b.memory_share()),
            text: |row, _| units::percent(row.memory() as f64, row.memory_limit as f64),
            tone: |row| {
                if row.memory_limit > 0 && row.memory_share() > MEMORY_SHORT {
                    Tone::Bad
                } else {
                    Tone::Plain
                }
            },
        },
        Column {
            title: "MANAGED",
            width: Width::Wide(9),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.stored.cmp(&b.stored),
            text: |row, _| units::bytes(row.stored as f64),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "SPILLED",
            width: Width::Fixed(9),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.spilled.cmp(&b.spilled),
            text: |row, _| units::bytes(row.spilled as f64),
            tone: |row| if row.spilled > 0 { Tone::Warn } else { Tone::Plain },
        },
        Column {
            title: "OBJECTS",
            width: Width::Wide(8),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.objects.cmp(&b.objects),
            text: |row, _| row.objects.to_string(),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "TASKS/S",
            width: Width::Fixed(8),
            is_number: true,
            largest_first: true,
            compare: |a, b| a.tasks_per_s.cmp(&b.tasks_per_s),
            text: |row, _| units::count(f64::from(row.tasks_per_s)),
            tone: |_| Tone::Plain,
        },
        Column {
            title: "HOST",
            width: Width::Rest,
            is_number: false,
            largest_first: false,
            compare: |a, b| natural(&a.host).cmp(&natural(&b.host)),
            text: |row, _| row.host.clone(),
            tone: |_| Tone::Plain,
        },
    ];

    fn id(&self) -> WorkerId {
        self.id
    }

    fn matches(&self, filter: &str) -> bool {
        self.name.to_lowercase().contains(filter)
            || self.host.to_lowercase().contains(filter)
            || self.state.contains(filter)
            || self.id.to_string().contains(filter)
    }

    fn tie(&self, other: &Self) -> Ordering {
        (natural(&self.name), self.id).cmp(&(natural(&other.name), other.id))
    }
}
