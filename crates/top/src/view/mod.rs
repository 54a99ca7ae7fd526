//! What the state looks like. Drawing reads the state and nothing else.
//!
//! ```text
//!  header.rs   the cluster, its curve, what it depends on, alerts
//!  mod.rs      tabs, filter and order
//!  table.rs    the rows of a list that are on the screen, or detail.rs: one job or worker
//!  mod.rs      how the last command went, or the question that is asked
//!  mod.rs      keys
//! ```

mod detail;
mod header;
mod overlay;
pub(crate) mod plain;
mod style;
mod table;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::list::{List, Row};
use crate::model::{Link, Mode, Model, Question, Tab};
use style::{BAD, DIM, HEAD, WARN};

/// Screens from this width on show full ids and every column.
const WIDE: u16 = 120;

/// Where the parts are.
#[derive(Debug, Clone, Copy)]
struct Layout {
    header: Rect,
    tabs: Rect,
    body: Rect,
    status: Rect,
    keys: Rect,
}

impl Layout {
    fn of(model: &Model, area: Rect) -> Self {
        let wanted = header::height(model);
        // Rows matter more than the header on a screen that has no room for both.
        let header = wanted.min(area.height.saturating_sub(6));
        let body = area.height.saturating_sub(header + 3);
        let mut y = area.y;
        let mut next = |height: u16| {
            let part = Rect { y, height, ..area };
            y += height;
            part.intersection(area)
        };
        Self {
            header: next(header),
            tabs: next(1),
            body: next(body),
            status: next(1),
            keys: next(1),
        }
    }
}

/// Tells the state how much of it the screen shows. To be called before [`draw`].
pub(crate) fn fit(model: &mut Model, area: Rect) {
    let body = Layout::of(model, area).body;
    let rows = usize::from(body.height.saturating_sub(1));
    model.jobs.fit(rows);
    model.workers.fit(rows);
    if let Some(detail) = &model.detail {
        let lines = detail::lines(model, detail).len();
        let last = lines.saturating_sub(usize::from(body.height));
        let offset = detail.offset.min(last);
        if let Some(detail) = &mut model.detail {
            detail.offset = offset;
        }
    }
}

/// Draws the whole screen.
pub(crate) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let layout = Layout::of(model, area);
    header::draw(model, layout.header, buffer);
    put(buffer, layout.tabs, &tabs(model));
    match &model.detail {
        Some(detail) => {
            let lines = detail::lines(model, detail);
            for (row, line) in rows_of(layout.body).zip(lines.iter().skip(detail.offset)) {
                put(buffer, row, line);
            }
        }
        None => match model.tab {
            Tab::Jobs => list(model, &model.jobs, layout.body, buffer),
            Tab::Workers => list(model, &model.workers, layout.body, buffer),
        },
    }
    put(buffer, layout.status, &status(model));
    put(buffer, layout.keys, &Line::styled(KEYS, DIM));
    if model.mode == Mode::Help {
        overlay::help(area, buffer);
    }
}

const KEYS: &str =
    "? help  q quit  Tab pane  jk move  s sort  r reverse  / filter  Enter details  c cancel  d drain";

fn list<R: Row>(model: &Model, list: &List<R>, area: Rect, buffer: &mut Buffer) {
    table::draw(list, model.cluster.now_ms(), area, buffer);
    if list.len() == 0 && area.height > 1 {
        let words = match (&model.link, list.filter().is_empty()) {
            (Link::Opening, _) => "waiting for the gateway",
            (_, false) => "nothing has these words: Esc takes the filter away",
            (_, true) => "none yet",
        };
        let row = Rect {
            y: area.y + 1,
            height: 1,
            ..area
        };
        put(buffer, row, &Line::styled(words, DIM));
    }
}

fn tabs(model: &Model) -> Line<'static> {
    let older = if model.has_older_jobs { "+" } else { "" };
    let mut spans = Vec::new();
    for (tab, title) in [
        (Tab::Jobs, format!(" Jobs {}{older} ", model.jobs.len())),
        (Tab::Workers, format!(" Workers {} ", model.workers.len())),
    ] {
        let style = if tab == model.tab { HEAD } else { Style::new() };
        spans.push(Span::styled(title, style));
    }
    let (title, is_descending) = match model.tab {
        Tab::Jobs => (model.jobs.column().title, model.jobs.is_descending()),
        Tab::Workers => (model.workers.column().title, model.workers.is_descending()),
    };
    if model.detail.is_some() {
        spans.push(Span::raw("  details; Esc goes back"));
    } else {
        let arrow = if is_descending { '▼' } else { '▲' };
        spans.push(Span::raw(format!("  by {title} {arrow}")));
        if !model.filter().is_empty() {
            let filter = crate::text::clean(model.filter(), FILTER);
            spans.push(Span::styled(format!("  only \"{filter}\""), WARN));
        }
    }
    Line::from(spans)
}

/// Columns of a filter that are shown.
const FILTER: usize = 60;

/// The line of questions and answers.
fn status(model: &Model) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    match &model.mode {
        Mode::Filter => {
            let filter = crate::text::clean(model.filter(), FILTER);
            return Line::styled(
                format!("filter: {filter}_  Enter keeps it, Esc takes it away"),
                bold,
            );
        }
        Mode::Ask(question) => return Line::styled(question_of(model, *question), BAD),
        Mode::Browse | Mode::Help => {}
    }
    match (&model.trouble, &model.notice) {
        (Some(trouble), _) => Line::styled(trouble.clone(), BAD),
        (None, Some(notice)) => Line::raw(notice.clone()),
        (None, None) => Line::default(),
    }
}

/// Columns of a name in a question.
const NAME: usize = 24;

fn question_of(model: &Model, question: Question) -> String {
    match question {
        Question::Cancel(id) => {
            let job = model.jobs.rows().iter().find(|row| row.id == id);
            let name = crate::text::clean(job.map_or("", |row| &row.name), NAME);
            format!("[y/n] Cancel job {id} {name}?")
        }
        Question::Drain(id) => {
            let worker = model.workers.rows().iter().find(|row| row.id == id);
            let name = crate::text::clean(worker.map_or("", |row| &row.name), NAME);
            format!("[y/n] Drain worker {name}? It finishes what it runs and leaves.")
        }
    }
}

/// Writes a line, as far as it fits.
fn put(buffer: &mut Buffer, row: Rect, line: &Line<'_>) {
    let row = row.intersection(buffer.area);
    if !row.is_empty() {
        buffer.set_line(row.x, row.y, line, row.width);
    }
}

/// The rows of an area, one by one.
fn rows_of(area: Rect) -> impl Iterator<Item = Rect> {
    (area.y..area.bottom()).map(move |y| Rect { y, height: 1, ..area })
}

#[cfg(test)]
mod tests;
