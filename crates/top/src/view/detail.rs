//! One job or one worker, line by line.

use millstream::JobCounts;
use millstream::api::{TaskView, WorkerView};
use ratatui::text::{Line, Span};

use super::style::{self, BAD, BOLD, DIM};
use crate::detail::{Detail, JobReport, Report, Subject};
use crate::jobs::{done, tone};
use crate::model::Model;
use crate::text::{clean, lines as text_lines};
use crate::units::{bytes, duration, percent};

/// Columns of a text that are kept; a screen shows fewer.
const TEXT: usize = 400;
/// Columns of the name of an operation.
const OP: usize = 32;
/// Lines of a traceback or of a log's end.
const TRACE: usize = 40;
/// Columns of the bar of a layer.
const BAR: u32 = 20;

/// All lines; the screen shows some.
pub(super) fn lines(model: &Model, detail: &Detail) -> Vec<Line<'static>> {
    match &detail.report {
        Some(Report::Job(report)) => job(model, report),
        Some(Report::Worker(report)) => worker(report),
        None => vec![Line::styled(
            match detail.subject {
                Subject::Job(id) => format!("asking for job {id} …"),
                Subject::Worker(id) => format!("asking for worker {id} …"),
            },
            DIM,
        )],
    }
}

fn job(model: &Model, report: &JobReport) -> Vec<Line<'static>> {
    let job = &report.job;
    let row = model.jobs.rows().iter().find(|row| row.id == job.id);
    let took = row.and_then(|row| row.took(model.cluster.now_ms()));
    let mut lines = vec![
        Line::from(vec![
            Span::styled(format!("Job {}  ", job.id), BOLD),
            Span::styled(job.state.name(), style::of(tone(job.state))),
            Span::raw(format!("  {}", clean(&job.name, TEXT))),
        ]),
        Line::raw(format!(
            "{}{}",
            counts(&job.tasks),
            took.map(|ms| format!(", took {}", duration(ms)))
                .unwrap_or_default()
        )),
    ];
    errors(report, &mut lines);
    if let Some(layers) = &report.layers {
        let note = if layers.exact {
            ""
        } else {
            " (as last noted: no leader counts)"
        };
        section(&mut lines, &format!("Layers{note}"));
        for layer in &layers.layers {
            lines.push(layer_line(
                layer.layer,
                &layer.op,
                &layer.tasks,
                layer.held.as_u64(),
            ));
        }
    }
    if !report.running.is_empty() {
        section(&mut lines, "Running or sent to a worker");
        lines.extend(report.running.iter().map(task_line));
    }
    lines
}

/// What went wrong, before anything else.
fn errors(report: &JobReport, lines: &mut Vec<Line<'static>>) {
    let error = report.job.error.as_ref();
    if error.is_none() && report.failed.is_empty() {
        return;
    }
    section(lines, "Errors");
    if let Some(error) = error {
        let task = report.job.failed_task.as_deref().unwrap_or_default();
        let words = text_lines(&format!("{task} {error}"), TEXT, TRACE);
        lines.extend(words.into_iter().map(|line| Line::styled(line, BAD)));
        let more = [error.traceback.as_deref(), error.log_tail.as_deref()];
        for text in more.into_iter().flatten() {
            let shown = text_lines(text, TEXT, TRACE);
            lines.extend(shown.into_iter().map(|line| Line::raw(format!("  {line}"))));
        }
    }
    lines.extend(report.failed.iter().map(task_line));
}

fn section(lines: &mut Vec<Line<'static>>, title: &str) {
    lines.push(Line::default());
    lines.push(Line::styled(title.to_owned(), BOLD));
}

fn counts(tasks: &JobCounts) -> String {
    format!(
        "{} of {} tasks done ({}), {} running or sent, {} ready, {} waiting, {} failed, {} cancelled",
        done(tasks),
        tasks.total,
        percent(f64::from(done(tasks)), f64::from(tasks.total)),
        tasks.assigned,
        tasks.ready,
        tasks.waiting,
        tasks.failed,
        tasks.cancelled,
    )
}

fn layer_line(number: u32, op: &str, tasks: &JobCounts, held: u64) -> Line<'static> {
    let share = f64::from(done(tasks)) / f64::from(tasks.total.max(1));
    let full = (share * f64::from(BAR)) as usize;
    let bar = format!(
        "{}{}",
        "█".repeat(full),
        "░".repeat((BAR as usize).saturating_sub(full))
    );
    let failed = if tasks.failed > 0 {
        Span::styled(format!("  {} failed", tasks.failed), BAD)
    } else {
        Span::raw("")
    };
    let op = clean(op, OP);
    let pad = " ".repeat(OP.saturating_sub(Span::raw(op.as_str()).width()));
    Line::from(vec![
        Span::raw(format!("{number:>4}  {op}{pad}  ")),
        Span::styled(bar, style::BUSY),
        Span::raw(format!(
            " {:>4}  {}/{}  {} running  {} held",
            percent(share, 1.0),
            done(tasks),
            tasks.total,
            tasks.assigned,
            bytes(held as f64),
        )),
        failed,
    ])
}

fn task_line(task: &TaskView) -> Line<'static> {
    let words = task.error.as_ref().map(ToString::to_string).unwrap_or_default();
    let attempts = match task.attempts {
        0 | 1 => String::new(),
        more => format!("  attempt {more}"),
    };
    let tone = if task.state == "failed" { BAD } else { style::BUSY };
    Line::from(vec![
        Span::raw(format!("  {}  ", clean(&task.key, TEXT))),
        Span::styled(clean(&task.state, OP), tone),
        Span::raw(format!(
            "  {}{attempts}  {}",
            clean(&task.op, OP),
            clean(&words, TEXT)
        )),
    ])
}

fn worker(worker: &WorkerView) -> Vec<Line<'static>> {
    let field = |name: &str, value: String| Line::raw(format!("{name:14}{}", clean(&value, TEXT)));
    let mut lines = vec![
        Line::from(vec![
            Span::styled(format!("Worker {}  ", clean(&worker.name, TEXT)), BOLD),
            Span::raw(clean(&worker.state, OP)),
        ]),
        field("id", worker.id.to_string()),
        field("host", format!("{} (process {})", worker.host, worker.pid)),
        field("version", worker.version.clone()),
        field("data address", worker.data_address.clone()),
        field("last heard", format!("{} ago", duration(worker.silent_ms))),
        field("slots", format!("{} of {} busy", worker.executing, worker.slots)),
        field("tasks", format!("{} sent to it and not done", worker.assigned)),
        field("objects", worker.objects.to_string()),
        field("memory limit", bytes(worker.memory_limit.as_u64() as f64)),
    ];
    if let Some(load) = &worker.load {
        let size = |size: millstream::ByteSize| bytes(size.as_u64() as f64);
        lines.push(field("managed", size(load.stored)));
        lines.push(field("process", size(load.process)));
        lines.push(field("spilled", size(load.spilled)));
        lines.push(field("cpu", percent(f64::from(load.cpu_milli), 1_000.0)));
        lines.push(field("fetched", size(load.fetched)));
        lines.push(field("served", size(load.served)));
        if load.paused {
            lines.push(Line::styled("paused: memory is short, no new task starts", BAD));
        }
    }
    lines
}
