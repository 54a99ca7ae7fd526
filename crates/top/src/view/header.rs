//! The cluster at a glance.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::style::{BAD, BOLD, BUSY, DIM, GOOD, WARN};
use super::{put, rows_of};
use crate::cluster::Cluster;
use crate::model::{Link, Model};
use crate::units::{bytes, count, percent};

/// Lines without alerts.
const LINES: u16 = 5;
/// Alerts that are shown; the worst come first.
const ALERTS: usize = 3;

/// Steps of the curve.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Lines that the header wants.
pub(super) fn height(model: &Model) -> u16 {
    LINES + u16::try_from(alerts(model).len()).unwrap_or(0)
}

pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    for (row, line) in rows_of(area).zip(lines(model, area.width)) {
        put(buffer, row, &line);
    }
}

/// The header's lines on a screen of this width.
pub(super) fn lines(model: &Model, width: u16) -> Vec<Line<'static>> {
    let mut lines = vec![title(model)];
    // What is wrong with the gateway comes before numbers that are old then.
    lines.extend(alerts(model));
    lines.push(load(&model.cluster));
    lines.push(memory(&model.cluster));
    lines.push(rate(&model.cluster, width));
    lines.push(services(model));
    lines
}

fn title(model: &Model) -> Line<'static> {
    let state = match model.link {
        Link::Opening => Span::styled("connecting", WARN),
        Link::Up => Span::styled("live", GOOD),
        Link::Lost(_) => Span::styled("lost", BAD),
    };
    Line::from(vec![
        Span::styled("millstream top", BOLD),
        Span::raw(format!("  {}  ", model.gateway)),
        state,
    ])
}

fn load(cluster: &Cluster) -> Line<'static> {
    let number = |field| cluster.number(field);
    Line::raw(format!(
        "{} workers  slots {}/{} busy  cpu {:.1} cores  jobs {} open",
        number("workers"),
        number("executing"),
        number("slots"),
        number("cpu_cores"),
        number("jobs"),
    ))
}

fn memory(cluster: &Cluster) -> Line<'static> {
    let number = |field| cluster.number(field);
    let (used, limit) = (number("managed") + number("unmanaged"), number("memory_limit"));
    Line::raw(format!(
        "memory {} of {} ({}): {} managed, {} unmanaged, {} spilled",
        bytes(used),
        bytes(limit),
        percent(used, limit),
        bytes(number("managed")),
        bytes(number("unmanaged")),
        bytes(number("spilled")),
    ))
}

fn rate(cluster: &Cluster, width: u16) -> Line<'static> {
    let number = |field| count(cluster.number(field));
    let failures = cluster.number("failures_per_s");
    let mut spans = vec![
        Span::styled(format!("{} tasks/s ", number("tasks_per_s")), BOLD),
        Span::raw(format!(
            " {} queued  {} ready  {} waiting  moved {}/s  ",
            number("queued"),
            number("ready"),
            number("waiting"),
            bytes(cluster.number("moved_per_s")),
        )),
    ];
    if failures > 0.0 {
        spans.push(Span::styled(format!("{} failures/s  ", count(failures)), BAD));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let rates: Vec<f64> = cluster.rates(usize::from(width).saturating_sub(used)).collect();
    spans.push(Span::styled(curve(&rates), BUSY));
    Line::from(spans)
}

/// One step for each number; the largest reaches to the top.
fn curve(values: &[f64]) -> String {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let step = |value: f64| {
        // Zero is the lowest step, and any more than zero is seen.
        let share = if largest > 0.0 {
            value.max(0.0) / largest
        } else {
            0.0
        };
        let index = (share * (STEPS.len() - 1) as f64).ceil() as usize;
        STEPS[index.min(STEPS.len() - 1)]
    };
    values.iter().map(|value| step(*value)).collect()
}

fn services(model: &Model) -> Line<'static> {
    if !model.cluster.is_known() {
        return Line::default();
    }
    let around = &model.cluster.surroundings;
    let leader = match (&around.leader, around.term) {
        (Some(leader), Some(term)) => Span::styled(format!("leader {leader} in term {term}"), DIM),
        _ => Span::styled("no leader", BAD),
    };
    let broker = match around.broker {
        true => Span::styled("broker linked", DIM),
        false => Span::styled("no broker", BAD),
    };
    let store = match (&around.state_error, around.state_us) {
        (Some(error), _) => Span::styled(format!("state store fails: {error}"), BAD),
        (None, Some(us)) => Span::styled(format!("state store {:.1} ms", us as f64 / 1e3), DIM),
        (None, None) => Span::styled("state store not asked yet", DIM),
    };
    Line::from(vec![broker, Span::raw("  "), store, Span::raw("  "), leader])
}

/// What somebody should look at: first that nothing here is new any more.
fn alerts(model: &Model) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Link::Lost(why) = &model.link {
        lines.push(Line::styled(format!("! trying again: {why}"), BAD));
    }
    let alerts = &model.cluster.alerts;
    for (number, alert) in alerts.iter().take(ALERTS).enumerate() {
        let more = alerts.len().saturating_sub(ALERTS);
        let rest = if number + 1 == ALERTS && more > 0 {
            format!("  (and {more} more)")
        } else {
            String::new()
        };
        let style = if alert.severity == "error" { BAD } else { WARN };
        lines.push(Line::styled(format!("! {}{rest}", alert.text), style));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_rate_reaches_the_top_and_none_stays_at_the_bottom() {
        assert_eq!(curve(&[0.0, 1.0, 50.0, 100.0]), "▁▂▅█");
        assert_eq!(curve(&[0.0, 0.0]), "▁▁");
        assert_eq!(curve(&[]), "");
    }
}
