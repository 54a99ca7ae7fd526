//! The user's terminal: taken over, and given back however the program ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use ratatui::layout::Rect;
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
    terminal: DefaultTerminal,
    _back: GiveBack,
}

#[derive(Debug)]
struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        // A terminal that is gone cannot be given back.
        let _ = ratatui::try_restore();
    }
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn open() -> io::Result<Self> {
        // Before the first step, so that half of them are taken back too.
        let back = GiveBack;
        let mut terminal = ratatui::try_init()?;
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
