//! Progress: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use millstream::{Error, Event, JobEventKind, Running};

use crate::output;

/// Least time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How long a job that is followed may take to be known.
const UNKNOWN_TRIES: u32 = 50;
const UNKNOWN_PAUSE: Duration = Duration::from_millis(100);

/// Shows a job's progress until it is ended or dropped.
pub(crate) struct Progress {
    task: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Follows the events of `job`.
    pub(crate) fn of(job: &Running, name: &str) -> Self {
        let mut events = job.events();
        let mut display = Display::new(name, "tasks");
        let task = tokio::spawn(async move {
            let mut patience = UNKNOWN_TRIES;
            loop {
                match events.next().await {
                    Ok(Some(event)) => display.show(&event),
                    // It is about to be submitted.
                    Err(Error::Refused(problem)) if problem.status == 404 && patience > 0 => {
                        patience -= 1;
                        tokio::time::sleep(UNKNOWN_PAUSE).await;
                    }
                    // What cannot be shown is no failure of the job.
                    Ok(None) | Err(_) => return,
                }
            }
        });
        Self { task }
    }

    /// Takes the display away, so that what is written next stands alone.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        // It was told to stop: how it did says nothing.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How much of something is done: a bar, or a line every few seconds.
pub(crate) struct Display {
    name: String,
    unit: &'static str,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Display {
    /// A display of so many `unit`, such as "tasks".
    pub(crate) fn new(name: &str, unit: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let template = format!("{{prefix}} [{{bar:30}}] {{pos}}/{{len}} {unit} {{elapsed}} {{msg}}");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(name.to_owned());
            bar
        });
        Self {
            name: name.to_owned(),
            unit,
            bar,
            last_line: Instant::now(),
        }
    }

    /// Shows that so many are done.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                output::tell(&format!("{}: {done} of {total} {}", self.name, self.unit));
            }
            None => {}
        }
    }

    fn show(&mut self, event: &Event) {
        let Event::Job(event) = event else { return };
        match &event.kind {
            JobEventKind::Progress { counts } => {
                let done = u64::from(counts.stored) + u64::from(counts.released);
                self.set(done, u64::from(counts.total));
            }
            JobEventKind::Retried { key, error, .. } => self.tell(&format!("{key} is tried again: {error}")),
            JobEventKind::WorkerLost { worker, requeued, .. } => {
                self.tell(&format!("worker {worker} was lost; {requeued} tasks run again"));
            }
            _ => {}
        }
    }

    fn tell(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("{}: {text}", self.name)),
            None => output::tell(&format!("{}: {text}", self.name)),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
