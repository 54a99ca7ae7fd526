//! The page of help, above the rest.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget as _};

use super::style::BOLD;
use super::{put, rows_of};
use crate::keys::HELP;

const WIDTH: u16 = 100;
/// Columns for the names of keys.
const KEY: usize = 20;

pub(super) fn help(screen: Rect, buffer: &mut Buffer) {
    let wanted = Rect {
        width: WIDTH.min(screen.width),
        height: u16::try_from(HELP.len())
            .unwrap_or(0)
            .saturating_add(2)
            .min(screen.height),
        ..screen
    };
    let area = Rect {
        x: screen.x + (screen.width - wanted.width) / 2,
        y: screen.y + (screen.height - wanted.height) / 2,
        ..wanted
    };
    Clear.render(area, buffer);
    let block = Block::bordered().title(" Keys: any key closes this ");
    let inner = block.inner(area);
    block.render(area, buffer);
    for (row, (key, meaning)) in rows_of(inner).zip(HELP) {
        let key = Span::styled(format!(" {key:KEY$}"), BOLD);
        put(buffer, row, &Line::from(vec![key, Span::raw(meaning)]));
    }
}
