//! What keys make of the screen.

use super::*;

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
