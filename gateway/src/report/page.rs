//! A report as HTML: one file that asks no host for anything and runs no script.

use millstream_protocol::api::JobView;

use super::facts::{Facts, LayerFacts, Moves};
use super::findings::{Finding, findings};
use super::picture;
use super::words::{bytes, count, duration, escape, percent};
use crate::live::Level;

const STYLE: &str = "\
body{font:14px sans-serif;margin:2em;color:#212121;max-width:1200px}\
h2{margin-top:1.6em}table{border-collapse:collapse}\
td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd;vertical-align:top}\
td:first-child,th:first-child{text-align:left}\
li{margin:.5em 0}small{color:#616161;display:block}svg{max-width:100%;height:auto}\
.error{color:#c62828}.warn{color:#b35900}";

/// The page.
pub(crate) fn page(facts: &Facts) -> String {
    let title = match facts.job.name.as_str() {
        "" => facts.job.id.to_string(),
        name => name.to_owned(),
    };
    let sections = [
        ("Findings", list_of(&findings(facts))),
        ("Layers", layers(facts)),
        ("What ran where", picture::stream(&facts.stream)),
        ("Transfers and disk", moves(facts)),
        ("Memory of all workers", picture::memory(&facts.memory)),
        ("Pauses", pauses(facts)),
        ("Events", events(facts)),
    ];
    let body: Vec<String> = sections
        .into_iter()
        .map(|(title, content)| format!("<h2>{title}</h2>{content}"))
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}: Millstream report</title>\
        <style>{STYLE}</style></head><body><h1>{title}</h1>{}{}{}</body></html>\n",
        summary(facts),
        caveats(facts),
        body.concat(),
        title = escape(&title),
    )
}

fn summary(facts: &Facts) -> String {
    let JobView { id, state, tasks, .. } = &facts.job;
    let busy: u64 = facts.layers.iter().map(LayerFacts::busy_us).sum();
    let room = facts.took_us().saturating_mul(u64::from(facts.slots));
    let failed = if tasks.failed > 0 {
        format!(", {} failed", count(u64::from(tasks.failed)))
    } else {
        String::new()
    };
    let done = u64::from(tasks.stored) + u64::from(tasks.released);
    let mut rows = vec![
        ["Job".to_owned(), id.to_string()],
        ["State".to_owned(), state.name().to_owned()],
        ["Duration".to_owned(), duration(facts.took_us())],
        [
            "Tasks".to_owned(),
            format!(
                "{} of {} done{failed}",
                count(done),
                count(u64::from(tasks.total))
            ),
        ],
        [
            "Cluster now".to_owned(),
            format!("{} workers with {} slots", facts.workers, facts.slots),
        ],
        [
            "Busy".to_owned(),
            format!(
                "{} in slots, {} of what they had",
                duration(busy),
                percent(busy, room)
            ),
        ],
    ];
    if let Some(error) = &facts.job.error {
        rows.push(["Error".to_owned(), error.message.clone()]);
    }
    table(&[], rows.into_iter())
}

/// What the reader must know of the numbers.
fn caveats(facts: &Facts) -> String {
    let mut told = Vec::new();
    if facts.job.ended_ms.is_none() {
        told.push("The job had not ended when this was written.");
    }
    if facts.is_partial {
        told.push(
            "The gateway has not seen all of the job, or has forgotten some of it: it remembers an hour, and begins \
            anew when it is started. Times below may be too small.",
        );
    }
    if facts.is_sample() {
        told.push(
            "There were more runs than workers tell one by one: medians, the picture and transfers are of a sample.",
        );
    }
    let paragraph = |text: &&str| format!("<p>{text}</p>");
    told.iter().map(paragraph).collect()
}

fn list_of(found: &[Finding]) -> String {
    if found.is_empty() {
        return "<p>Nothing that stands out.</p>".to_owned();
    }
    let item = |finding: &Finding| {
        let (text, advice) = (escape(&finding.text), escape(finding.advice));
        format!("<li>{text}.<small>{advice}</small></li>")
    };
    let items: String = found.iter().map(item).collect();
    format!("<ul>{items}</ul>")
}

fn layers(facts: &Facts) -> String {
    let row = |layer: &LayerFacts| {
        let runs = &layer.runs;
        let known = |us: u64| {
            if runs.count == 0 {
                String::new()
            } else {
                duration(us)
            }
        };
        let of_totals =
            |text: fn(&super::facts::Totals) -> String| layer.totals.as_ref().map_or(String::new(), text);
        let after = |us: u64| known(us.saturating_sub(facts.from_us));
        [
            format!("{} {}", layer.layer, layer.op),
            count(u64::from(layer.tasks.total)),
            of_totals(|totals| count(totals.failed)),
            after(runs.first_us),
            after(runs.last_us),
            duration(layer.busy_us()),
            known(runs.median_us),
            known(runs.longest_us),
            of_totals(|totals| bytes(totals.bytes)),
            bytes(layer.held),
        ]
    };
    let head = [
        "Layer",
        "Tasks",
        "Failed runs",
        "First began after",
        "Last ended after",
        "Time in slots",
        "Median",
        "Longest",
        "Made",
        "Held now",
    ];
    table(&head, facts.layers.iter().map(row))
}

fn moves(facts: &Facts) -> String {
    let moved = facts
        .layers
        .iter()
        .filter(|layer| layer.fetched.count + layer.spilled.count > 0);
    let rows: Vec<[String; 7]> = moved
        .map(|layer| {
            let told = |moves: Moves| [count(moves.count), bytes(moves.bytes), duration(moves.busy_us)];
            let ([fetches, fetched, fetching], [spills, spilled, spilling]) =
                (told(layer.fetched), told(layer.spilled));
            let name = format!("{} {}", layer.layer, layer.op);
            [name, fetches, fetched, fetching, spills, spilled, spilling]
        })
        .collect();
    if rows.is_empty() {
        return "<p>None of its objects is known to have moved.</p>".to_owned();
    }
    let head = [
        "Objects of layer",
        "Fetches",
        "Bytes",
        "Time",
        "To disk and back",
        "Bytes",
        "Time",
    ];
    table(&head, rows.into_iter())
}

fn pauses(facts: &Facts) -> String {
    if facts.pauses.is_empty() {
        return "<p>No worker is known to have paused for lack of memory.</p>".to_owned();
    }
    let rows = facts.pauses.iter().map(|pause| {
        [
            pause.worker.clone(),
            duration(pause.from_us.saturating_sub(facts.from_us)),
            duration(pause.to_us.saturating_sub(pause.from_us)),
        ]
    });
    table(&["Worker", "After", "For"], rows)
}

fn events(facts: &Facts) -> String {
    let item = |event: &super::facts::Event| {
        let class = match event.level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info | Level::Output => "info",
        };
        let after = duration(event.at_us.saturating_sub(facts.from_us));
        format!("<li class=\"{class}\">{after}: {}</li>", escape(&event.text))
    };
    let items: String = facts.events.iter().map(item).collect();
    if items.is_empty() {
        return "<p>None is known.</p>".to_owned();
    }
    format!("<ul>{items}</ul>")
}

/// A table; its texts need not be escaped.
fn table<const N: usize>(head: &[&str], rows: impl Iterator<Item = [String; N]>) -> String {
    let head: String = head.iter().map(|name| format!("<th>{name}</th>")).collect();
    let row = |cells: [String; N]| {
        let cells: String = cells
            .iter()
            .map(|cell| format!("<td>{}</td>", escape(cell)))
            .collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: String = rows.map(row).collect();
    format!("<table><tr>{head}</tr>{rows}</table>")
}
