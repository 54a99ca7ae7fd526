//! The user's terminal: taken over, and given back however the program ends.

use std::io::{self, Stdout};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::layout::Rect;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::Show;
use ratatui_crossterm::crossterm::event::{self, Event};
use ratatui_crossterm::crossterm::execute;
use ratatui_crossterm::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::sync::mpsc;

use crate::model::Model;
use crate::view;

/// How long the reader of keys waits before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);
/// Keys that wait; a hand on the keyboard is slower.
const WAITING: usize = 256;

/// The terminal while it belongs to this program. Dropping it gives it back; a panic gives it back before its message.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    _back: GiveBack,
}

#[derive(Debug)]
struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        give_back();
    }
}

/// Leaves the terminal as a shell expects it. Harmless when it was never taken.
fn give_back() {
    // Each step on its own: a terminal that is gone can be given nothing, but one that fails a step may take the next.
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}

/// Lets a panic's message be read: it is written after the terminal was given back.
fn give_back_before_panics() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        give_back();
        tell(info);
    }));
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn open() -> io::Result<Self> {
        // Before the first step, so that half of them are taken back too.
        let back = GiveBack;
        give_back_before_panics();
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        terminal.clear()?;
        Ok(Self {
            terminal,
            _back: back,
        })
    }

    /// Draws the state.
    ///
    /// # Errors
    /// A terminal that is gone.
    pub(crate) fn draw(&mut self, model: &mut Model) -> io::Result<()> {
        self.terminal.draw(|frame| {
            let area: Rect = frame.area();
            view::fit(model, area);
            view::draw(model, area, frame.buffer_mut());
        })?;
        Ok(())
    }

    /// Draws everything again, whatever was written over it.
    ///
    /// # Errors
    /// A terminal that is gone.
    pub(crate) fn renew(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

/// Keys and changes of size, read by a thread of their own.
#[derive(Debug)]
pub(crate) struct Keys {
    events: mpsc::Receiver<io::Result<Event>>,
    is_wanted: Arc<AtomicBool>,
}

impl Keys {
    pub(crate) fn read() -> Self {
        let (tell, events) = mpsc::channel(WAITING);
        let is_wanted = Arc::new(AtomicBool::new(true));
        let wanted = Arc::clone(&is_wanted);
        std::thread::spawn(move || {
            while wanted.load(Ordering::Relaxed) {
                let event = match event::poll(LOOK) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let is_broken = event.is_err();
                if tell.blocking_send(event).is_err() || is_broken {
                    return;
                }
            }
        });
        Self { events, is_wanted }
    }

    /// The next one.
    ///
    /// # Errors
    /// A terminal that cannot be read.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        self.events
            .recv()
            .await
            .unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    /// One that is there already.
    pub(crate) fn ready(&mut self) -> Option<io::Result<Event>> {
        self.events.try_recv().ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_wanted.store(false, Ordering::Relaxed);
    }
}
