//! Whole screens as text, of a made-up cluster.

mod keys;
mod screens;

use std::collections::BTreeMap;

use millstream::api::{JobView, TaskView, WorkerView};
use millstream::{
    JobCounts, JobId, JobState, LayerView, LayersView, LiveAlert, LiveCluster, LiveEvent, LiveHistory,
    LiveJob, LiveNumbers, LivePoint, LiveWorker, LiveWorkers, Surroundings, WorkerId,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::detail::{JobReport, Report, Subject};
use crate::keys::Action;
use crate::model::{Command, Told};

pub(super) const NOW: u64 = 1_700_000_000_000;

pub(super) const FIELDS: [&str; 10] = [
    "tasks_per_s",
    "cpu_cores",
    "slots",
    "managed",
    "unmanaged",
    "spilled",
    "memory_limit",
    "executing",
    "workers",
    "jobs",
];

pub(super) fn point(seq: u64, rate: f64) -> LivePoint {
    let mib = 1_048_576.0;
    LivePoint {
        seq,
        at_ms: NOW,
        values: vec![
            rate,
            1.5,
            8.0,
            512.0 * mib,
            256.0 * mib,
            0.0,
            4096.0 * mib,
            3.0,
            2.0,
            1.0,
        ],
    }
}

pub(super) fn counts(total: u32, stored: u32, assigned: u32) -> JobCounts {
    JobCounts {
        total,
        stored,
        assigned,
        ..JobCounts::default()
    }
}

pub(super) fn job(number: u128, name: &str, state: JobState, age_s: u64) -> JobView {
    JobView {
        state,
        accepted_ms: Some(NOW - age_s * 1_000),
        ended_ms: state.is_terminal().then_some(NOW - age_s * 500),
        tasks: counts(100, 25, 4),
        ..JobView::accepted(JobId::from_u128(number), name)
    }
}

pub(super) fn cluster(alerts: Vec<LiveAlert>) -> Told {
    Told::Live(LiveEvent::Cluster(LiveCluster {
        point: point(3, 120.0),
        alerts,
        surroundings: Surroundings {
            broker: true,
            term: Some(7),
            leader: Some("l1".to_owned()),
            state_us: Some(400),
            state_error: None,
        },
    }))
}

pub(super) fn table(workers: u32) -> [Told; 2] {
    let worker = |number: u32| LiveWorker {
        id: WorkerId::from_u128(u128::from(number) + 1),
        name: format!("worker-{number}"),
        host: "host".to_owned(),
        slots: 4,
        memory_limit: millstream::ByteSize::from_mib(1_024),
    };
    let numbers = LiveNumbers {
        version: 1,
        state: (0..workers).map(|_| "active".to_owned()).collect(),
        executing: (0..workers).map(|number| number % 5).collect(),
        stored: (0..workers).map(|number| u64::from(number) << 20).collect(),
        ..LiveNumbers::default()
    };
    [
        Told::Live(LiveEvent::Table(LiveWorkers {
            version: 1,
            workers: (0..workers).map(worker).collect(),
        })),
        Told::Live(LiveEvent::Workers(numbers)),
    ]
}

/// Two jobs, two workers, and seconds in which 0, 60 and 120 tasks ended.
pub(super) fn model() -> Model {
    let mut model = Model::new("http://gateway:8787");
    model.hear(Told::Live(LiveEvent::History(LiveHistory {
        fields: FIELDS.map(str::to_owned).to_vec(),
        points: vec![point(1, 0.0), point(2, 60.0)],
    })));
    model.hear(cluster(Vec::new()));
    model.hear(Told::Jobs(
        vec![
            job(0xabcd, "prepare", JobState::Running, 65),
            job(0x1234, "report", JobState::Succeeded, 4_000),
        ],
        false,
    ));
    table(2).into_iter().for_each(|told| model.hear(told));
    model
}

/// The screen, line by line, without the spaces at the ends.
pub(super) fn screen(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| {
        fit(model, frame.area());
        draw(model, frame.area(), frame.buffer_mut());
    });
    let buffer = terminal.backend().buffer();
    let mut lines = Vec::new();
    for y in 0..height {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        lines.push(line.trim_end().to_owned());
    }
    lines
}

pub(super) fn row_of<'a>(lines: &'a [String], words: &str) -> &'a str {
    lines
        .iter()
        .find(|line| line.contains(words))
        .map_or("", String::as_str)
}

pub(super) fn job_report() -> Report {
    let task = |key: &str, state: &str| TaskView {
        key: key.to_owned(),
        state: state.to_owned(),
        op: "command sh".to_owned(),
        ..TaskView::default()
    };
    Report::Job(Box::new(JobReport {
        job: job(0xabcd, "prepare", JobState::Running, 65),
        layers: Some(LayersView {
            exact: true,
            layers: vec![LayerView {
                op: "command sh".to_owned(),
                tasks: counts(10, 5, 2),
                ..LayerView::default()
            }],
        }),
        failed: vec![task("key\u{1b}[31m", "failed")],
        running: vec![task("k2", "running")],
    }))
}
