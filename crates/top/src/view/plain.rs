//! One frame as plain text: for scripts, and where there is no screen.

use ratatui::text::Line;

use super::{header, table};
use crate::list::{List, Row};
use crate::model::Model;

/// Everything that is known, without colours, at most `width` columns wide: the cluster, all jobs that were asked for, all
/// workers.
pub(crate) fn frame(model: &Model, width: u16) -> String {
    let mut lines = header::lines(model, width);
    lines.push(Line::default());
    let older = if model.has_older_jobs {
        ", newest first; there are more"
    } else {
        ""
    };
    lines.push(Line::raw(format!("{} jobs{older}", model.jobs.len())));
    rows(&model.jobs, model.cluster.now_ms(), width, &mut lines);
    lines.push(Line::default());
    lines.push(Line::raw(format!("{} workers", model.workers.len())));
    rows(&model.workers, model.cluster.now_ms(), width, &mut lines);
    let mut text = String::new();
    for line in lines {
        text.push_str(line.to_string().trim_end());
        text.push('\n');
    }
    text
}

fn rows<R: Row>(list: &List<R>, now_ms: u64, width: u16, lines: &mut Vec<Line<'static>>) {
    if list.len() == 0 {
        return;
    }
    let columns = table::columns_of::<R>(width);
    lines.push(table::head(list, &columns));
    lines.extend(list.all().map(|row| table::line(row, &columns, " ", now_ms)));
}
