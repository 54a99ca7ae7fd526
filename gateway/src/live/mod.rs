//! What the dashboard shows: made from the live exchange, in bounded memory, once for everybody who looks.
//!
//! ```text
//!  live exchange ──► feed.rs ──► Board ──► pulse.rs, once a second ──► watch ──► routes/live.rs ──► browsers
//!                                  ▲
//!                                  └── routes/live.rs asks for windows of spans, flows, lines
//! ```
//!
//! Owns the board and the task that listens. The scheduler is never asked and never waits: a queue of the exchange that
//! is not read fast enough drops its oldest messages, and a browser that reads slowly skips pulses.

mod board;
mod feed;
mod history;
mod lines;
mod ops;
mod pauses;
mod pulse;
mod spans;
mod transfers;
mod workers;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_bus::Bus;
use millstream_telemetry::Metrics;
use millstream_types::GatewayId;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;

pub(crate) use board::Board;
use feed::Ear;
pub(crate) use history::{Point, Resolution};
pub(crate) use lines::{Level, Line, LineQuery};
pub(crate) use ops::{OpName, OpRow};
pub(crate) use pauses::Pause;
pub(crate) use pulse::{Pulse, Surroundings, Topic, encode};
pub(crate) use spans::{Blocks, Span, SpanQuery};

/// How often the board is summed up and told.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// The board and its beat. Clones are the same.
#[derive(Clone)]
pub(crate) struct Live {
    board: Arc<Mutex<Board>>,
    pulses: watch::Sender<Arc<Pulse>>,
}

impl Live {
    /// Starts to listen, also for `cluster`. It ends with the returned task.
    pub(crate) fn start(
        bus: Arc<dyn Bus>,
        gateway: GatewayId,
        metrics: Metrics,
        cluster: Arc<Cluster>,
    ) -> (Self, JoinHandle<()>) {
        let live = Self {
            board: Arc::default(),
            pulses: watch::Sender::default(),
        };
        let ear = Ear { cluster, metrics };
        let task = tokio::spawn(feed::listen(live.clone(), bus, gateway, ear));
        (live, task)
    }

    /// Looks at the board, or writes on it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Board) -> T) -> T {
        look(&mut self.board.lock())
    }

    /// The pulses from the next one on. A reader sees the newest and misses those it was too slow for.
    pub(crate) fn pulses(&self) -> watch::Receiver<Arc<Pulse>> {
        self.pulses.subscribe()
    }

    /// Sums up the second that ends now, and tells it if anybody listens.
    pub(crate) fn beat(&self, surroundings: Surroundings) {
        let is_watched = self.pulses.receiver_count() > 0;
        let mut board = self.board.lock();
        board.close_second(now_us(), surroundings);
        if is_watched {
            let pulse = Pulse::of(&board);
            drop(board);
            self.pulses.send_replace(Arc::new(pulse));
        }
    }
}

/// Unix microseconds, for display.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
