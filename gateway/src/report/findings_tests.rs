use millstream_protocol::api::JobView;
use millstream_types::JobId;

use super::*;
use crate::live::Pause;
use crate::report::facts::{Moves, Runs, Stream, Totals};

const SECOND: u64 = 1_000_000;

/// A job of a hundred seconds on four slots, all of which two layers filled.
fn facts() -> Facts {
    Facts {
        job: JobView::accepted(JobId::from_u128(1), "job"),
        from_us: 1_000 * SECOND,
        to_us: 1_100 * SECOND,
        workers: 2,
        slots: 4,
        is_partial: false,
        layers: vec![
            layer(0, "native read", 200, SECOND),
            layer(1, "python sum", 200, SECOND),
        ],
        pauses: Vec::new(),
        memory: Vec::new(),
        alone: None,
        stream: Stream::default(),
        events: Vec::new(),
    }
}

/// So many runs that took all the same.
fn layer(layer: u32, op: &str, count: u64, each_us: u64) -> LayerFacts {
    LayerFacts {
        layer,
        op: op.to_owned(),
        totals: Some(Totals {
            finished: count,
            failed: 0,
            busy_us: count * each_us,
            bytes: 0,
        }),
        runs: Runs {
            count,
            busy_us: count * each_us,
            median_us: each_us,
            longest_us: each_us,
            longest_task: format!("{op}-7"),
            first_us: 1_000 * SECOND,
            last_us: 1_100 * SECOND,
        },
        ..LayerFacts::default()
    }
}

fn texts(facts: &Facts) -> Vec<String> {
    findings(facts).into_iter().map(|finding| finding.text).collect()
}

fn moves(busy_us: u64) -> Moves {
    Moves {
        count: 10,
        bytes: 1 << 30,
        busy_us,
    }
}

#[test]
fn of_a_job_that_fills_its_slots_evenly_nothing_is_said() {
    assert_eq!(texts(&facts()), Vec::<String>::new());
}

#[test]
fn transfers_that_take_much_of_the_time_name_the_layer_that_takes_most() {
    let mut facts = facts();
    facts.layers[0].fetched = moves(200 * SECOND);
    facts.layers[1].fetched = moves(50 * SECOND);
    // 250 of 650 seconds; 200 of these 250.
    assert_eq!(
        texts(&facts),
        ["38 % of the time went into transfers, 80 % of it into those of `native read` (layer 0)"]
    );
    facts.layers[0].fetched = moves(30 * SECOND);
    assert!(texts(&facts).is_empty(), "80 of 480 seconds are not much");
}

#[test]
fn spilling_that_takes_much_of_the_time_is_told() {
    let mut facts = facts();
    facts.layers[1].spilled = moves(400 * SECOND);
    let expected = "50 % of the time went into writing objects to disk and reading them back, most for `python sum` \
        (layer 1)";
    assert_eq!(texts(&facts), [expected]);
}

#[test]
fn a_task_that_takes_many_times_the_median_is_skew() {
    let mut facts = facts();
    facts.layers[1].runs.longest_us = 50 * SECOND;
    let expected = "task durations differ 50× within `python sum` (layer 1): skew. `python sum-7` took 50 s, half of the \
        others 1.00 s or less";
    assert_eq!(texts(&facts), [expected]);
    facts.layers[1].runs.longest_us = 9 * SECOND;
    assert!(texts(&facts).is_empty(), "nine times is no skew");
    facts.layers[1].runs.count = 7;
    facts.layers[1].runs.longest_us = 50 * SECOND;
    assert!(texts(&facts).is_empty(), "of seven runs nothing is normal");
    // Many times the median, and yet nothing that anybody waited for.
    facts.layers[1].runs = Runs {
        count: 1_000,
        median_us: 1_000,
        longest_us: SECOND,
        ..facts.layers[1].runs.clone()
    };
    assert!(texts(&facts).is_empty());
}

#[test]
fn the_pauses_of_a_worker_are_added_up() {
    let mut facts = facts();
    let pause = |worker: &str, from: u64, to: u64| Pause {
        worker: worker.to_owned(),
        from_us: from * SECOND,
        to_us: to * SECOND,
    };
    facts.pauses = vec![
        pause("worker-3", 1_010, 1_040),
        pause("worker-1", 1_010, 1_012),
        pause("worker-3", 1_050, 1_060),
    ];
    assert_eq!(
        texts(&facts),
        ["worker worker-3 was paused for 40 s: its memory was short"]
    );
}

#[test]
fn one_slot_that_works_alone_is_told_where_there_are_others() {
    let mut facts = facts();
    facts.alone = Some((30 * SECOND, "last".to_owned()));
    assert_eq!(
        texts(&facts),
        ["for 30 s (30 %) one slot worked alone, most of it on `last`"]
    );
    facts.layers[0].runs.count -= 1;
    assert!(
        texts(&facts).is_empty(),
        "the run that was not told may have gone on then"
    );
    facts.layers[0].runs.count += 1;
    facts.slots = 1;
    assert!(texts(&facts).is_empty());
}

#[test]
fn slots_that_were_mostly_empty_are_told_if_all_is_known() {
    let mut facts = facts();
    facts.slots = 10;
    assert_eq!(texts(&facts), ["this job filled 40 % of the slots' time"]);
    facts.is_partial = true;
    assert!(texts(&facts).is_empty());
}

#[test]
fn many_tasks_that_are_too_short_are_told() {
    let mut facts = facts();
    facts.layers.push(layer(2, "native inc", 50_000, 40));
    assert_eq!(
        texts(&facts),
        ["50,000 tasks of `native inc` (layer 2) took 40 µs each"]
    );
}

#[test]
fn failures_come_first_and_even_of_a_short_job() {
    let mut facts = facts();
    facts.slots = 10;
    facts.layers[0].totals = Some(Totals {
        finished: 200,
        failed: 50,
        busy_us: 200 * SECOND,
        bytes: 0,
    });
    let failed = "50 of 250 runs of `native read` (layer 0) failed";
    assert_eq!(texts(&facts), [failed, "this job filled 40 % of the slots' time"]);
    facts.to_us = facts.from_us + 1;
    assert_eq!(texts(&facts), [failed]);
}

#[test]
fn nothing_is_found_where_nothing_is_known() {
    let empty = Facts {
        layers: Vec::new(),
        is_partial: true,
        ..facts()
    };
    assert!(texts(&empty).is_empty());
}
