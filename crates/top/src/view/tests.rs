//! Whole screens as text.

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

const NOW: u64 = 1_700_000_000_000;

const FIELDS: [&str; 10] = [
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

fn point(seq: u64, rate: f64) -> LivePoint {
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

fn counts(total: u32, stored: u32, assigned: u32) -> JobCounts {
    JobCounts {
        total,
        stored,
        assigned,
        ..JobCounts::default()
    }
}

fn job(number: u128, name: &str, state: JobState, age_s: u64) -> JobView {
    JobView {
        state,
        accepted_ms: Some(NOW - age_s * 1_000),
        ended_ms: state.is_terminal().then_some(NOW - age_s * 500),
        tasks: counts(100, 25, 4),
        ..JobView::accepted(JobId::from_u128(number), name)
    }
}

fn cluster(alerts: Vec<LiveAlert>) -> Told {
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

fn table(workers: u32) -> [Told; 2] {
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
fn model() -> Model {
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
fn screen(model: &mut Model, width: u16, height: u16) -> Vec<String> {
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

fn row_of<'a>(lines: &'a [String], words: &str) -> &'a str {
    lines
        .iter()
        .find(|line| line.contains(words))
        .map_or("", String::as_str)
}

#[test]
fn the_first_screen_shows_the_cluster_and_its_jobs() {
    let lines = screen(&mut model(), 100, 12);
    assert_eq!(
        lines,
        [
            "millstream top  http://gateway:8787  live",
            "2 workers  slots 3/8 busy  cpu 1.5 cores  jobs 1 open",
            "memory 768 MiB of 4.0 GiB (19%): 512 MiB managed, 256 MiB unmanaged, 0 B spilled",
            "120 tasks/s  0 queued  0 ready  0 waiting  moved 0 B/s  ▁▅█",
            "broker linked  state store 0.4 ms  leader l1 in term 7",
            " Jobs 2  Workers 2   by AGE ▼",
            "  ID       STATE       DONE    TASKS RUNNING  FAILED    TIME NAME",
            "> 0000abcd running      25%      100       4       0   1m05s prepare",
            "  00001234 succeeded    25%      100       4       0  33m20s report",
            "",
            "",
            "? help  q quit  Tab pane  jk move  s sort  r reverse  / filter  Enter details  c cancel  d drain",
        ]
    );
}

#[test]
fn the_other_tab_shows_workers() {
    let mut model = model();
    model.act(Action::NextTab);
    let lines = screen(&mut model, 130, 12);
    assert_eq!(
        lines[6..9],
        [
            "  NAME             STATE       BUSY  QUEUED    CPU    MEMORY  USED   MANAGED   SPILLED  OBJECTS  TASKS/S HOST",
            "> worker-0         active       0/4       0     0%       0 B    0%       0 B       0 B        0        0 host",
            "  worker-1         active       1/4       0     0%   1.0 MiB    0%   1.0 MiB       0 B        0        0 host",
        ]
    );
}

#[test]
fn the_last_second_is_put_beside_what_the_list_says() {
    let mut model = model();
    let told = |number, done| {
        let live = LiveJob {
            state: JobState::Running,
            tasks: counts(100, done, 1),
        };
        (JobId::from_u128(number), live)
    };
    let jobs = BTreeMap::from([told(0xabcd, 50), told(0x9999, 10)]);
    model.hear(Told::Live(LiveEvent::Jobs(jobs)));
    let lines = screen(&mut model, 100, 12);
    assert!(row_of(&lines, "prepare").contains(" 50% "), "{lines:#?}");
    // A job that runs and is older than the list is shown without its name, and asked for.
    assert!(row_of(&lines, "00009999").contains(" 10% "), "{lines:#?}");
    assert_eq!(model.interest().jobs, 1_000);
}

#[test]
fn a_lost_gateway_is_told_above_old_numbers_until_it_is_back() {
    let mut model = model();
    model.hear(Told::Lost("no gateway answers\u{1b}[2J".to_owned()));
    let lines = screen(&mut model, 100, 12);
    assert_eq!(lines[0], "millstream top  http://gateway:8787  lost");
    assert_eq!(lines[1], "! no gateway answers·[2J; trying again");
    assert!(lines[2].starts_with("2 workers"), "{lines:#?}");
    model.hear(cluster(Vec::new()));
    assert!(screen(&mut model, 100, 12)[0].ends_with("live"));
}

#[test]
fn alerts_stand_on_top_and_many_are_counted() {
    let mut model = model();
    let alert = |number: u32| LiveAlert {
        severity: "warn".to_owned(),
        code: "code".to_owned(),
        text: format!("alert {number}"),
    };
    model.hear(cluster((0..5).map(alert).collect()));
    let lines = screen(&mut model, 100, 14);
    assert_eq!(lines[1..4], ["! alert 0", "! alert 1", "! alert 2  (and 2 more)"]);
}

#[test]
fn nothing_is_cancelled_without_a_yes() {
    let mut model = model();
    assert_eq!(model.act(Action::Cancel), None);
    let lines = screen(&mut model, 100, 12);
    assert_eq!(
        lines[10],
        "[y/n] Cancel job 00000000-0000-0000-0000-00000000abcd prepare?"
    );
    assert_eq!(model.act(Action::Refuse), None);
    assert_eq!(model.act(Action::Confirm), None, "there is no question any more");
    model.act(Action::Cancel);
    assert_eq!(
        model.act(Action::Confirm),
        Some(Command::Cancel(JobId::from_u128(0xabcd)))
    );
}

#[test]
fn what_has_ended_is_not_cancelled_and_what_drains_not_drained() {
    let mut model = model();
    model.act(Action::Last);
    model.act(Action::Cancel);
    assert_eq!(model.mode, Mode::Browse);
    let lines = screen(&mut model, 100, 12);
    assert_eq!(
        lines[10],
        "job 00000000-0000-0000-0000-000000001234 is succeeded already"
    );
    model.act(Action::Drain);
    assert_eq!(
        model.notice.as_deref(),
        Some("no worker is selected: Tab shows the workers")
    );
    model.act(Action::ShowWorkers);
    model.act(Action::Drain);
    assert_eq!(
        model.act(Action::Confirm),
        Some(Command::Drain(WorkerId::from_u128(1)))
    );
}

#[test]
fn a_question_stays_about_its_job_when_rows_move() {
    let mut model = model();
    model.act(Action::Cancel);
    let newer = vec![
        job(0x7777, "newer", JobState::Running, 1),
        job(0xabcd, "prepare", JobState::Running, 66),
    ];
    model.hear(Told::Jobs(newer, false));
    assert_eq!(
        model.act(Action::Confirm),
        Some(Command::Cancel(JobId::from_u128(0xabcd)))
    );
}

#[test]
fn a_filter_is_typed_kept_and_taken_away() {
    let mut model = model();
    model.act(Action::BeginFilter);
    for letter in "REPo".chars() {
        model.act(Action::Type(letter));
    }
    let lines = screen(&mut model, 100, 12);
    assert_eq!(lines[10], "filter: REPo_  Enter keeps it, Esc takes it away");
    assert!(row_of(&lines, "prepare").is_empty() && !row_of(&lines, "report").is_empty());
    model.act(Action::KeepFilter);
    assert_eq!(
        screen(&mut model, 100, 12)[5],
        " Jobs 1  Workers 2   by AGE ▼  only \"REPo\""
    );
    model.act(Action::Back);
    assert_eq!(model.jobs.len(), 2);
}

#[test]
fn details_of_a_job_begin_with_its_errors() {
    let mut model = model();
    model.act(Action::Open);
    let subject = Subject::Job(JobId::from_u128(0xabcd));
    assert_eq!(model.interest().subject, Some(subject));
    assert_eq!(
        screen(&mut model, 100, 20)[6],
        "asking for job 00000000-0000-0000-0000-00000000abcd …"
    );
    model.hear(Told::Report(job_report()));
    let lines = screen(&mut model, 100, 20);
    assert_eq!(
        lines[6..16],
        [
            "Job 00000000-0000-0000-0000-00000000abcd  running  prepare",
            "25 of 100 tasks done (25%), 4 running or sent, 0 ready, 0 waiting, 0 failed, 0 cancelled, took 1m05s",
            "",
            "Errors",
            "  key·[31m  failed  command sh",
            "",
            "Layers",
            "   0  command sh                        ██████████░░░░░░░░░░  50%  5/10  2 running  0 B held",
            "",
            "Running or sent to a worker",
        ]
        .map(|line: &str| line.chars().take(100).collect::<String>())
    );
    model.act(Action::Back);
    assert!(model.detail.is_none());
}

fn job_report() -> Report {
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

#[test]
fn details_scroll_to_their_end_and_no_further() {
    let mut model = model();
    model.act(Action::Open);
    model.hear(Told::Report(job_report()));
    model.act(Action::Last);
    let lines = screen(&mut model, 100, 12);
    assert!(
        lines[9].contains("k2"),
        "the last line stands at the bottom: {lines:#?}"
    );
    model.act(Action::Move(-1));
    assert!(
        screen(&mut model, 100, 12)[9].starts_with("Running"),
        "one line back"
    );
}

#[test]
fn an_answer_about_something_else_is_not_shown() {
    let mut model = model();
    model.act(Action::ShowWorkers);
    model.act(Action::Open);
    model.hear(Told::Report(job_report()));
    let lines = screen(&mut model, 100, 12);
    assert!(lines[6].starts_with("asking for worker"), "{lines:#?}");
    let view: WorkerView = serde_json::from_value(serde_json::json!({
        "id": WorkerId::from_u128(1), "name": "worker-0", "host": "host", "pid": 7, "state": "active", "slots": 4,
        "memory_limit": "1GiB", "version": "0.1.0", "data_address": "host:1", "assigned": 0, "executing": 3,
        "objects": 0, "silent_ms": 20,
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    model.hear(Told::Report(Report::Worker(Box::new(view))));
    assert_eq!(
        row_of(&screen(&mut model, 100, 20), "slots  "),
        "slots         3 of 4 busy"
    );
}

#[test]
fn hostile_names_stay_in_their_place() {
    let mut model = model();
    let evil = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}漢字\u{1f469}\u{200d}\u{1f4bb}\r\n".repeat(700);
    model.hear(Told::Jobs(
        vec![
            job(1, &evil, JobState::Running, 1),
            job(2, "plain", JobState::Running, 2),
        ],
        false,
    ));
    for width in [1, 9, 40, 80, 131] {
        let lines = screen(&mut model, width, 12);
        assert!(
            lines.iter().all(|line| !line.contains(char::is_control)),
            "{lines:#?}"
        );
        assert!(lines.iter().all(|line| !line.contains('\u{202e}')), "{lines:#?}");
    }
    let lines = screen(&mut model, 100, 12);
    assert!(lines[8].ends_with("plain"), "{lines:#?}");
    assert!(row_of(&lines, "00000001").ends_with('…'), "{lines:#?}");
}

#[test]
fn no_size_of_the_screen_is_too_small() {
    let mut model = model();
    for mode in [Mode::Browse, Mode::Help] {
        model.mode = mode;
        for width in 0..40 {
            for height in 0..20 {
                screen(&mut model, width, height);
            }
        }
    }
    model.mode = Mode::Browse;
    assert_eq!(screen(&mut model, 30, 5)[1], "  ID       STATE       DONE");
}

#[test]
fn of_a_thousand_workers_those_on_the_screen_are_drawn() {
    let mut model = model();
    table(1_000).into_iter().for_each(|told| model.hear(told));
    model.act(Action::ShowWorkers);
    model.act(Action::Last);
    let lines = screen(&mut model, 100, 12);
    assert!(lines[9].starts_with("> worker-999 "), "{lines:#?}");
    assert!(lines[7].starts_with("  worker-997 "), "{lines:#?}");
    model.act(Action::NextColumn);
    model.act(Action::NextColumn);
    model.act(Action::First);
    assert_eq!(
        screen(&mut model, 100, 12)[5],
        " Jobs 2  Workers 1000   by BUSY ▼"
    );
    assert!(
        screen(&mut model, 100, 12)[7].starts_with("> worker-4 "),
        "the first of those with most to do"
    );
}

#[test]
fn more_jobs_are_asked_for_when_the_end_is_near_and_when_rows_are_searched() {
    let mut model = model();
    let many = (1..=100).map(|number| job(number, "job", JobState::Succeeded, 1));
    model.hear(Told::Jobs(many.collect(), true));
    assert_eq!(model.interest().jobs, 100);
    model.act(Action::Last);
    assert_eq!(model.interest().jobs, 200);
    model.act(Action::First);
    assert_eq!(model.interest().jobs, 100);
    model.act(Action::Type('x'));
    assert_eq!(model.interest().jobs, 1_000);
}

#[test]
fn numbers_of_another_table_are_not_shown() {
    let mut model = model();
    let numbers = LiveNumbers {
        version: 2,
        executing: vec![9, 9],
        ..LiveNumbers::default()
    };
    model.hear(Told::Live(LiveEvent::Workers(numbers)));
    model.act(Action::ShowWorkers);
    let lines = screen(&mut model, 130, 12);
    assert!(row_of(&lines, "worker-1").contains(" 1/4 "), "{lines:#?}");
}

#[test]
fn the_plain_frame_shows_everything_without_a_screen() {
    let text = plain::frame(&model(), 160);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "millstream top  http://gateway:8787  live");
    assert_eq!(lines[6], "2 jobs");
    assert!(
        lines[8].contains("00000000-0000-0000-0000-00000000abcd running"),
        "{text}"
    );
    assert_eq!(lines[11], "2 workers");
    assert_eq!(lines.len(), 15);
    assert!(!text.contains('\u{1b}'));
}
