//! The alerts and the dashboard that the repository ships name only metrics and labels that exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::describe::Description;
use crate::metrics::{Metrics, SchedulerMetrics, WorkerMetrics};

const ALERTS: &str = include_str!("../../../docker/prometheus/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../../docker/prometheus/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../../docker/grafana/millstream.json");

/// Labels that Prometheus adds to each series.
const OF_THE_SCRAPE: [&str; 2] = ["job", "instance"];

/// Each series that a scrape of any service shows, with its labels.
fn declared() -> BTreeMap<String, BTreeSet<&'static str>> {
    let all = [
        Metrics::descriptions(),
        SchedulerMetrics::descriptions(),
        WorkerMetrics::descriptions(),
    ];
    all.concat().iter().flat_map(Description::all_series).collect()
}

/// The rest of the text from each metric's name on.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("millstream_").map(|(at, _)| &text[at..])
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The names of the labels in braces right after a metric's name.
fn labels(rest: &str) -> Vec<&str> {
    let inside = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
    let conditions = inside
        .unwrap_or_default()
        .split(',')
        .filter(|part| !part.is_empty());
    let name = |condition: &str| condition.find(|c| !is_part_of_name(c));
    conditions
        .map(|condition| &condition[..name(condition).unwrap_or(condition.len())])
        .collect()
}

/// Uses of metrics or labels that there are not.
fn unknown(text: &str) -> Vec<&str> {
    let declared = declared();
    let is_unknown = |used: &&str| {
        let end = used.find(|c| !is_part_of_name(c)).unwrap_or(used.len());
        let (name, rest) = used.split_at(end);
        let Some(known) = declared.get(name) else {
            return true;
        };
        let is_known = |label: &&str| known.contains(label) || OF_THE_SCRAPE.contains(label);
        !labels(rest).iter().all(is_known)
    };
    uses(text)
        .filter(is_unknown)
        .map(|used| used.lines().next().unwrap_or(used))
        .collect()
}

/// The expressions of a dashboard.
fn expressions(dashboard: &serde_json::Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.filter_map(|target| target["expr"].as_str()).collect()
}

#[test]
fn alerts_and_their_tests_name_metrics_and_labels_that_exist() {
    for (text, least) in [(ALERTS, 20), (ALERTS_TEST, 40)] {
        assert!(uses(text).count() >= least);
        assert_eq!(unknown(text), Vec::<&str>::new());
    }
}

#[test]
fn the_dashboard_names_metrics_and_labels_that_exist() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap_or_default();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() >= 30, "{}", expressions.len());
    for expression in expressions {
        assert!(uses(expression).count() >= 1, "{expression}");
        assert_eq!(unknown(expression), Vec::<&str>::new());
    }
}

#[test]
fn an_invented_name_or_label_is_found() {
    for text in [
        "millstream_invented > 0",
        "millstream_jobs > 0",
        "rate(millstream_state_ping_seconds[5m])",
        "millstream_workers{colour=\"red\"}",
        "sum(millstream_jobs_total{job=\"m\",state=\"x\"})",
    ] {
        assert_eq!(unknown(text).len(), 1, "{text}");
    }
    assert_eq!(
        unknown("millstream_workers{state=\"paused\"} + on() millstream_term"),
        Vec::<&str>::new()
    );
}
