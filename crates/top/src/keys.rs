//! Which key asks for what.

use ratatui_crossterm::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::model::Mode;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    NextTab,
    ShowJobs,
    ShowWorkers,
    /// Rows, down if positive.
    Move(isize),
    /// Screens, down if positive.
    Page(isize),
    First,
    Last,
    NextColumn,
    Reverse,
    BeginFilter,
    Type(char),
    Erase,
    EraseAll,
    KeepFilter,
    DropFilter,
    Cancel,
    Drain,
    Confirm,
    Refuse,
    Open,
    Back,
    ToggleHelp,
}

/// The action of a key; none if it has none where the user is.
pub(crate) fn action(mode: &Mode, key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && key.code == KeyCode::Char('c') {
        return Some(Action::Quit);
    }
    match mode {
        Mode::Browse => browsing(key.code, is_control),
        Mode::Filter => typing(key.code, is_control),
        Mode::Ask(_) => Some(match key.code {
            KeyCode::Char('y' | 'Y') => Action::Confirm,
            _ => Action::Refuse,
        }),
        Mode::Help => Some(match key.code {
            KeyCode::Char('q') => Action::Quit,
            _ => Action::ToggleHelp,
        }),
    }
}

fn browsing(key: KeyCode, is_control: bool) -> Option<Action> {
    if is_control {
        return match key {
            KeyCode::Char('f') => Some(Action::Page(1)),
            KeyCode::Char('b') => Some(Action::Page(-1)),
            _ => None,
        };
    }
    Some(match key {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => Action::NextTab,
        KeyCode::Char('1') => Action::ShowJobs,
        KeyCode::Char('2') => Action::ShowWorkers,
        KeyCode::Down | KeyCode::Char('j') => Action::Move(1),
        KeyCode::Up | KeyCode::Char('k') => Action::Move(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => Action::Page(1),
        KeyCode::PageUp => Action::Page(-1),
        KeyCode::Home | KeyCode::Char('g') => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Last,
        KeyCode::Char('s') => Action::NextColumn,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('/') => Action::BeginFilter,
        KeyCode::Char('c') => Action::Cancel,
        KeyCode::Char('d') => Action::Drain,
        KeyCode::Enter => Action::Open,
        KeyCode::Esc | KeyCode::Backspace => Action::Back,
        KeyCode::Char('?' | 'h') => Action::ToggleHelp,
        _ => return None,
    })
}

fn typing(key: KeyCode, is_control: bool) -> Option<Action> {
    Some(match key {
        KeyCode::Char('u') if is_control => Action::EraseAll,
        KeyCode::Char(letter) if !is_control => Action::Type(letter),
        KeyCode::Backspace => Action::Erase,
        KeyCode::Enter => Action::KeepFilter,
        KeyCode::Esc => Action::DropFilter,
        KeyCode::Down => Action::Move(1),
        KeyCode::Up => Action::Move(-1),
        _ => return None,
    })
}

/// The keys as the page of help names them.
pub(crate) const HELP: [(&str, &str); 13] = [
    ("Tab, left, right", "jobs or workers; also 1 and 2"),
    ("up, down, k, j", "another row, or scroll the details"),
    ("PgUp, PgDn, space", "a screen up or down"),
    ("Home, End, g, G", "the first or the last row"),
    ("Enter", "details of the job or worker"),
    ("Esc", "back; then: no filter"),
    ("s", "sort by the next column"),
    ("r", "sort the other way round"),
    (
        "/",
        "show only rows with these words in their name, id, state or host",
    ),
    ("c", "cancel the job, after a question"),
    (
        "d",
        "drain the worker, after a question: it finishes what it runs and leaves",
    ),
    ("?", "this help"),
    ("q, Ctrl-C", "leave"),
];

#[cfg(test)]
mod tests {
    use millstream::JobId;

    use super::*;
    use crate::model::{Mode, Question};

    fn press(mode: &Mode, code: KeyCode) -> Option<Action> {
        action(mode, KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn letters_are_typed_into_a_filter_and_are_keys_elsewhere() {
        assert_eq!(press(&Mode::Browse, KeyCode::Char('c')), Some(Action::Cancel));
        assert_eq!(press(&Mode::Filter, KeyCode::Char('c')), Some(Action::Type('c')));
        assert_eq!(press(&Mode::Filter, KeyCode::Char('q')), Some(Action::Type('q')));
        assert_eq!(press(&Mode::Filter, KeyCode::Esc), Some(Action::DropFilter));
    }

    #[test]
    fn only_a_clear_yes_confirms() {
        let ask = Mode::Ask(Question::Cancel(JobId::from_u128(1)));
        assert_eq!(press(&ask, KeyCode::Char('y')), Some(Action::Confirm));
        for key in [
            KeyCode::Enter,
            KeyCode::Char('n'),
            KeyCode::Esc,
            KeyCode::Char('c'),
        ] {
            assert_eq!(press(&ask, key), Some(Action::Refuse), "{key:?}");
        }
    }

    #[test]
    fn control_c_leaves_from_everywhere() {
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let ask = Mode::Ask(Question::Cancel(JobId::from_u128(1)));
        for mode in [Mode::Browse, Mode::Filter, Mode::Help, ask] {
            assert_eq!(action(&mode, key), Some(Action::Quit), "{mode:?}");
        }
    }

    #[test]
    fn a_key_that_is_let_go_does_nothing() {
        let mut key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        key.kind = KeyEventKind::Release;
        assert_eq!(action(&Mode::Browse, key), None);
    }
}
