//! Colours: the terminal's own sixteen, so that they fit its theme. Nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};

use crate::list::Tone;

pub(super) const DIM: Style = Style::new().fg(Color::DarkGray);
pub(super) const HEAD: Style = Style::new().add_modifier(Modifier::REVERSED);
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const GOOD: Style = Style::new().fg(Color::Green);
pub(super) const WARN: Style = Style::new().fg(Color::Yellow);
pub(super) const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
pub(super) const BUSY: Style = Style::new().fg(Color::Cyan);

pub(super) fn of(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Busy => BUSY,
        Tone::Good => GOOD,
        Tone::Warn => WARN,
        Tone::Bad => BAD,
    }
}
