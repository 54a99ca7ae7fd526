//! The loop: draw, wait for an answer or a key, take it in.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use millstream::Client;
use ratatui_crossterm::crossterm::event::{Event, KeyCode, KeyModifiers};
use ratatui_crossterm::crossterm::terminal;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::keys;
use crate::model::Model;
use crate::source::{self, Source};
use crate::terminal::{Keys, Screen};
use crate::view;

/// Shortest time between two looks: gateways sum up once a second.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// Longest time: what gateways allow of their stream.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Columns of a frame that no terminal shows: enough for full ids and every number.
const PLAIN_WIDTH: u16 = 160;

/// Answers and keys taken in before the screen is drawn again.
const AT_ONCE: usize = 256;

/// What can end the program besides its user.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// The gateway, at the start or in a single frame. Later failures are shown.
    #[error(transparent)]
    Gateway(#[from] millstream::Error),
    /// The terminal.
    #[error("cannot use this terminal: {0}; `--once` prints one frame as text")]
    Terminal(#[from] io::Error),
    /// What asks the gateway has stopped.
    #[error("the reader of the gateway's answers stopped")]
    NoSource,
}

/// How the user left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// By a key.
    ByKey,
    /// By this signal.
    BySignal(i32),
}

/// Shows the cluster behind `client` on this process's terminal, with new numbers each `every`, until the user leaves.
///
/// # Errors
/// No gateway at the start, or a terminal that cannot be used.
pub async fn run(client: &Client, every: Duration) -> Result<Left, TopError> {
    let mut model = Model::new(&client.access().url);
    let every = every.clamp(SHORTEST, LONGEST);
    // Before the terminal is taken: a gateway that is not there is told on it as by every other command.
    let mut source = Source::open(client, every, model.interest()).await?;
    let mut signals = Signals::listen()?;
    let mut screen = Screen::open()?;
    let mut keys = Keys::read();
    loop {
        screen.draw(&mut model)?;
        tokio::select! {
            told = source.next() => model.hear(told.ok_or(TopError::NoSource)?),
            event = keys.next() => take(&mut model, &mut screen, &source, event?)?,
            number = signals.next() => return Ok(Left::BySignal(number)),
        }
        for _ in 0..AT_ONCE {
            match (source.ready(), keys.ready()) {
                (None, None) => break,
                (told, event) => {
                    if let Some(told) = told {
                        model.hear(told);
                    }
                    if let Some(event) = event {
                        take(&mut model, &mut screen, &source, event?)?;
                    }
                }
            }
        }
        if model.is_over {
            return Ok(Left::ByKey);
        }
        source.want(model.interest());
    }
}

/// Takes in a key, or another size of the terminal.
fn take(model: &mut Model, screen: &mut Screen, source: &Source, event: Event) -> io::Result<()> {
    let key = match event {
        Event::Key(key) => key,
        // The next drawing is of the new size.
        _ => return Ok(()),
    };
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('l') {
        return screen.renew();
    }
    let Some(action) = keys::action(&model.mode, key) else {
        return Ok(());
    };
    if let Some(command) = model.act(action)
        && !source.give(command)
    {
        model.notice = Some("not done: too many commands are under way".to_owned());
    }
    Ok(())
}

/// One frame as plain text, as wide as the terminal if the output is one.
///
/// # Errors
/// No gateway.
pub async fn once(client: &Client) -> Result<String, TopError> {
    let size = io::stdout()
        .is_terminal()
        .then(terminal::size)
        .and_then(Result::ok);
    let width = size.map_or(PLAIN_WIDTH, |(columns, _)| columns);
    let mut model = Model::new(&client.access().url);
    for told in source::once(client, model.interest()).await? {
        model.hear(told);
    }
    Ok(view::plain::frame(&model, width))
}

/// Signals that ask the program to end. The one of Ctrl-C is a key here, and else the caller's.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    hang_up: Signal,
    quit: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hang_up.recv() => SignalKind::hangup(),
            _ = self.quit.recv() => SignalKind::quit(),
        };
        kind.as_raw_value()
    }
}
