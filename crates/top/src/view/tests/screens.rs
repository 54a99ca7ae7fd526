//! What the screen shows.

use super::*;

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
    assert_eq!(lines[1], "! trying again: no gateway answers·[2J");
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
