//! A list as a table: its head, and the rows that are on the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::style::{self, HEAD};
use super::{WIDE, put, rows_of};
use crate::list::{Column, List, Row, Width};
use crate::text;

/// Begins the selected row, so that it is seen without colours too.
const SELECTED: &str = ">";
const NOT_SELECTED: &str = " ";

/// Draws the head and as many rows as there is room for.
pub(super) fn draw<R: Row>(list: &List<R>, now_ms: u64, area: Rect, buffer: &mut Buffer) {
    let columns = columns_of::<R>(area.width);
    let mut rows = rows_of(area);
    if let Some(row) = rows.next() {
        put(buffer, row, &head(list, &columns));
    }
    for (row, (item, is_selected)) in rows.zip(list.visible()) {
        let mark = if is_selected { SELECTED } else { NOT_SELECTED };
        put(buffer, row, &line(item, &columns, mark, now_ms));
        if is_selected {
            buffer.set_style(row, HEAD);
        }
    }
}

/// The columns that a screen of this width has room for, and how wide they are.
pub(super) fn columns_of<R: Row>(width: u16) -> Vec<(&'static Column<R>, usize)> {
    let is_wide = width >= WIDE;
    let fixed = |column: &Column<R>| match column.width {
        Width::Fixed(columns) => columns,
        Width::Wide(columns) if is_wide => columns,
        Width::End { wide, .. } if is_wide => wide,
        Width::End { narrow, .. } => narrow,
        Width::Wide(_) | Width::Rest => 0,
    };
    let shown = R::COLUMNS.iter().filter(|column| match column.width {
        Width::Wide(_) => is_wide,
        _ => true,
    });
    let shown: Vec<_> = shown.collect();
    // One column before each, and the mark.
    let used: usize = shown.iter().map(|column| usize::from(fixed(column)) + 1).sum();
    let rest = usize::from(width).saturating_sub(used + 1);
    let sized = shown.into_iter().map(|column| match column.width {
        Width::Rest => (column, rest),
        _ => (column, usize::from(fixed(column))),
    });
    sized.collect()
}

/// The names of the columns.
pub(super) fn head<R: Row>(list: &List<R>, columns: &[(&'static Column<R>, usize)]) -> Line<'static> {
    let mut spans = vec![Span::raw(NOT_SELECTED)];
    for (column, width) in columns {
        let is_chosen = column.title == list.column().title;
        let style = if is_chosen {
            style::BOLD.patch(style::BUSY)
        } else {
            style::BOLD
        };
        spans.push(Span::raw(" "));
        spans.push(Span::styled(
            padded(column.title, *width, column.is_number),
            style,
        ));
    }
    Line::from(spans)
}

/// One row.
pub(super) fn line<R: Row>(
    item: &R,
    columns: &[(&'static Column<R>, usize)],
    mark: &'static str,
    now_ms: u64,
) -> Line<'static> {
    let mut spans = vec![Span::raw(mark)];
    for (column, width) in columns {
        let mut text = (column.text)(item, now_ms);
        if let Width::End { .. } = column.width {
            let skip = text.chars().count().saturating_sub(*width);
            text = text.chars().skip(skip).collect();
        }
        let style: Style = style::of((column.tone)(item));
        spans.push(Span::raw(" "));
        spans.push(Span::styled(padded(&text, *width, column.is_number), style));
    }
    Line::from(spans)
}

/// A text on exactly so many columns.
fn padded(text: &str, width: usize, is_number: bool) -> String {
    let text = text::clean(text, width);
    let space = " ".repeat(width.saturating_sub(text.width()));
    if is_number { space + &text } else { text + &space }
}
