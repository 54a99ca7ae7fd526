//! What is told each second: encoded once, whoever listens.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_protocol::wire::{JobCounts, JobState};
use millstream_types::JobId;
use serde::Serialize;

use super::board::Board;
use super::history::Point;

/// Share of a worker's memory limit above which it is called short of memory.
const MEMORY_SHORT: f64 = 0.9;
/// Workers named in one alert.
const MAX_NAMED: usize = 3;
/// Latency of the state store that is worth a word, in microseconds.
const SLOW_STATE_US: u64 = 50_000;

/// A part of a pulse that a page may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The cluster's numbers and alerts.
    Cluster,
    /// Jobs and their counts.
    Jobs,
    /// Workers and their numbers.
    Workers,
}

impl Topic {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "cluster" => Some(Self::Cluster),
            "jobs" => Some(Self::Jobs),
            "workers" => Some(Self::Workers),
            _ => None,
        }
    }
}

/// What the gateway itself depends on.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Surroundings {
    /// Whether there is a link to the message broker.
    pub(crate) broker: bool,
    /// The term of the leader that is followed.
    pub(crate) term: Option<u32>,
    /// The leader.
    pub(crate) leader: Option<String>,
    /// How long the state store takes to answer, in microseconds.
    pub(crate) state_us: Option<u64>,
    /// Why it does not.
    pub(crate) state_error: Option<String>,
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Work stands still or is lost.
    Error,
    /// Work is slower than it could be.
    Warn,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Alert {
    pub(crate) severity: Severity,
    /// A stable name.
    pub(crate) code: &'static str,
    pub(crate) text: String,
    /// The page that says more.
    pub(crate) page: &'static str,
}

/// One second, encoded.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    pub(crate) seq: u64,
    pub(crate) workers_version: u64,
    pub(crate) cluster: Bytes,
    pub(crate) jobs: Bytes,
    pub(crate) workers: Bytes,
}

#[derive(Serialize)]
struct ClusterView<'a> {
    point: Point,
    alerts: &'a [Alert],
    surroundings: &'a Surroundings,
    lines_seq: u64,
}

#[derive(Serialize)]
struct JobLine {
    state: JobState,
    tasks: JobCounts,
}

impl Pulse {
    pub(crate) fn of(board: &Board) -> Self {
        let point = board.history.last();
        let cluster = ClusterView {
            point,
            alerts: &board.alerts,
            surroundings: &board.surroundings,
            lines_seq: board.lines.seq(),
        };
        let line = |(id, row): (&JobId, &super::board::JobRow)| {
            let line = JobLine {
                state: row.state,
                tasks: row.counts,
            };
            (*id, line)
        };
        let jobs: BTreeMap<JobId, JobLine> = board.jobs.iter().map(line).collect();
        Self {
            seq: point.seq,
            workers_version: board.workers.version(),
            cluster: encode(&cluster),
            jobs: encode(&jobs),
            workers: encode(&board.workers.numbers()),
        }
    }
}

/// Numbers and texts always have a JSON form.
pub(crate) fn encode<T: Serialize>(view: &T) -> Bytes {
    serde_json::to_vec(view).unwrap_or_default().into()
}

/// What is wrong, the worst first.
pub(super) fn alerts(board: &Board) -> Vec<Alert> {
    let mut alerts = surrounding_alerts(&board.surroundings);
    let named = |wanted: &dyn Fn(&super::workers::WorkerRow) -> bool| -> Vec<String> {
        let rows = board.workers.by_name();
        let found = rows.into_iter().filter(|(_, row)| wanted(row));
        found.map(|(_, row)| row.name.clone()).collect()
    };
    let mut workers = |severity, code, names: Vec<String>, what: &str, page| {
        if !names.is_empty() {
            let text = format!("{} {what}", list(&names));
            alerts.push(Alert {
                severity,
                code,
                text,
                page,
            });
        }
    };
    workers(
        Severity::Error,
        "worker_suspect",
        named(&|row| row.state == "suspect"),
        "not heard of: its work goes elsewhere soon",
        "workers",
    );
    workers(
        Severity::Warn,
        "worker_paused",
        named(&|row| row.load.is_some_and(|load| load.paused)),
        "paused: memory is short, no new task starts",
        "memory",
    );
    let is_short = |row: &super::workers::WorkerRow| {
        let used = row.load.map_or(0, |load| load.stored.as_u64()) + row.unmanaged();
        row.memory_limit > 0 && used as f64 > row.memory_limit as f64 * MEMORY_SHORT
    };
    workers(
        Severity::Warn,
        "memory_short",
        named(&is_short),
        "above 90 % of the memory limit",
        "memory",
    );
    workers(
        Severity::Warn,
        "worker_draining",
        named(&|row| row.state == "draining"),
        "draining",
        "workers",
    );
    if board.workers.len() == 0 && board.surroundings.term.is_some() {
        alerts.push(Alert {
            severity: Severity::Warn,
            code: "no_workers",
            text: "no worker is connected: jobs wait".to_owned(),
            page: "workers",
        });
    }
    alerts.sort_by_key(|alert| alert.severity);
    alerts
}

fn surrounding_alerts(around: &Surroundings) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let mut add = |severity, code, text: String| {
        alerts.push(Alert {
            severity,
            code,
            text,
            page: "system",
        });
    };
    if !around.broker {
        add(
            Severity::Error,
            "no_broker",
            "no link to the message broker".to_owned(),
        );
    } else if around.term.is_none() {
        add(Severity::Error, "no_leader", "no scheduler leads".to_owned());
    }
    if let Some(error) = &around.state_error {
        add(
            Severity::Error,
            "state_failed",
            format!("the state store fails: {error}"),
        );
    } else if let Some(us) = around.state_us.filter(|us| *us > SLOW_STATE_US) {
        add(
            Severity::Warn,
            "state_slow",
            format!("the state store takes {} ms to answer", us / 1_000),
        );
    }
    alerts
}

fn list(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(MAX_NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 if names.len() == 1 => format!("worker {shown} is"),
        0 => format!("workers {shown} are"),
        more => format!("workers {shown} and {more} more are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_depends_on_is_missed_first() {
        let mut board = Board::default();
        board.close_second(1, Surroundings::default());
        assert_eq!(board.alerts.first().map(|alert| alert.code), Some("no_broker"));
        let healthy = Surroundings {
            broker: true,
            term: Some(1),
            ..Surroundings::default()
        };
        board.close_second(2, healthy);
        assert_eq!(
            board.alerts.len(),
            1,
            "only the missing workers: {:?}",
            board.alerts
        );
    }

    #[test]
    fn many_workers_are_not_all_named() {
        let names: Vec<String> = (0..5).map(|n| format!("w{n}")).collect();
        assert_eq!(list(&names), "workers w0, w1, w2 and 2 more are");
        assert_eq!(list(&names[..1]), "worker w0 is");
    }
}
