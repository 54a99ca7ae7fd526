//! The worker's end of its session with the leader: who leads, when a session opens, what leaves in which frame.
//!
//! ```text
//!   no link ◄──────── LinkDown ─────────┐
//!      │ LinkUp                         │
//!   waiting for a Hello ── Hello ──► in session ── gap, malformed ──► a pause, then a new session
//!      ▲                                │      └── Hello of a higher term ──► a new session
//!      └───── unroutable, silence ──────┘
//! ```
//!
//! Owns the session and nothing of the graph; [`crate::core`] fills it.

use bytes::Bytes;
use millstream_protocol::envelope::{self, Header};
use millstream_protocol::session::{PushError, Session, Verdict};
use millstream_protocol::wire::{Datagram, FromWorker, Hello, StaleTerm, ToWorker, encode_datagrams};
use millstream_types::{ClusterName, SessionNo, Term, Timestamp, WorkerId};
use uuid::Uuid;

use crate::fetch::PeerRef;
use crate::fx::TaskMap;
use crate::{WorkerConfig, WorkerEffect};

/// See the module.
#[derive(Debug)]
pub(crate) struct Conversation {
    cluster: ClusterName,
    own: Uuid,
    /// What this worker's queues are called before the number, while there is a link.
    link: Option<String>,
    leader: Option<Hello>,
    /// The highest term ever heard of.
    known_term: Term,
    last_number: SessionNo,
    last_opened: Option<Timestamp>,
    live: Option<Live>,
    /// Whether a session should be opened as soon as possible.
    wanted: bool,
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Live {
    session: Session,
    leader_queue: String,
    /// When the leader last acknowledged something, or something to acknowledge first left.
    progress_at: Timestamp,
    /// When a heartbeat last left.
    pub(crate) heartbeat_at: Option<Timestamp>,
    /// Whether the leader believes that this worker starts no tasks.
    pub(crate) told_paused: bool,
    /// Peers by the numbers of this session.
    pub(crate) peers: TaskMap<PeerRef>,
}

/// What became of a frame from the leader.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// A batch of items.
    Items(Vec<ToWorker>),
    /// Nothing to do.
    Nothing,
    /// A batch is missing: the session is over.
    Gap,
    /// It is no frame of this cluster and version.
    Malformed,
    /// A batch whose items cannot be read: nobody knows what it said.
    Unreadable,
}

impl Conversation {
    pub(crate) fn new(cluster: ClusterName, worker: WorkerId) -> Self {
        Self {
            cluster,
            own: Uuid::from_u128(worker.as_u128()),
            link: None,
            leader: None,
            known_term: Term::default(),
            last_number: SessionNo::default(),
            last_opened: None,
            live: None,
            wanted: false,
        }
    }

    /// The broker is reachable.
    pub(crate) fn link_up(&mut self, queue_base: String) {
        self.link = Some(queue_base);
        self.live = None;
        self.last_opened = None;
        self.wanted = self.leader.is_some();
    }

    /// The broker is not reachable.
    pub(crate) fn link_down(&mut self) {
        self.link = None;
        self.live = None;
        self.wanted = false;
    }

    /// Follows a leader, or answers one that is none any more.
    pub(crate) fn hello(&mut self, hello: Hello, out: &mut Vec<WorkerEffect>) {
        let is_rival = self
            .leader
            .as_ref()
            .is_some_and(|leader| leader.leader != hello.leader);
        // A store that lost data gives a term a second time. Its attempts would be taken for those of the first
        // leader, so that nobody may lead in it again: the refused one campaigns for a term above.
        if hello.term < self.known_term || (hello.term == self.known_term && is_rival) {
            if self.link.is_some() {
                out.extend(self.refusal(hello));
            }
            return;
        }
        // A leader that connected anew listens elsewhere; what was sent to its old queue is lost.
        let has_moved = self
            .live
            .as_ref()
            .is_some_and(|live| live.leader_queue != hello.queue);
        if hello.term > self.known_term || has_moved {
            self.live = None;
            self.last_opened = None;
        }
        self.known_term = hello.term;
        self.wanted |= self.live.is_none() && self.link.is_some();
        self.leader = Some(hello);
    }

    /// Tells another leader which term is followed.
    fn refusal(&self, hello: Hello) -> Option<WorkerEffect> {
        let header = Header::datagram(self.cluster.clone(), self.own, self.known_term);
        let known = self.known_term;
        let frame = encode_datagrams(&header, &[Datagram::StaleTerm(StaleTerm { known })]).ok()?;
        Some(WorkerEffect::Send {
            queue: hello.queue,
            frame,
        })
    }

    /// A queue is gone. If it is the session's, the next Hello says where the leader is now.
    pub(crate) fn unroutable(&mut self, queue: &str) {
        if self.live.as_ref().is_some_and(|live| live.leader_queue == queue) {
            self.live = None;
            self.wanted = false;
        }
    }

    /// The session cannot go on: another one is needed.
    pub(crate) fn broken(&mut self) {
        self.live = None;
        self.wanted = self.link.is_some() && self.leader.is_some();
    }

    /// Ends a session of which nothing was acknowledged for too long.
    pub(crate) fn check_silence(&mut self, now: Timestamp, config: &WorkerConfig) {
        if self.silent_at(config).is_some_and(|at| at <= now) {
            self.live = None;
            self.wanted = false;
        }
    }

    fn silent_at(&self, config: &WorkerConfig) -> Option<Timestamp> {
        let live = self.live.as_ref()?;
        (live.session.sent() > live.session.acked()).then_some(live.progress_at + config.session_silence)
    }

    /// When a session may be opened, if one is wanted.
    fn opens_at(&self, config: &WorkerConfig) -> Option<Timestamp> {
        let earliest = self
            .last_opened
            .map_or(Timestamp::ZERO, |last| last + config.reopen_pause);
        self.wanted.then_some(earliest)
    }

    /// Opens the next session if it is time: its queue comes first, its register must be the first item pushed.
    pub(crate) fn open(&mut self, now: Timestamp, config: &WorkerConfig) -> Option<Opened> {
        let (Some(base), Some(leader)) = (&self.link, &self.leader) else {
            return None;
        };
        if self.opens_at(config).is_none_or(|at| at > now) {
            return None;
        }
        let number = self.last_number.next();
        let queue = format!("{base}.{number}");
        let peer = Uuid::from_u128(leader.leader.as_u128());
        self.live = Some(Live {
            session: Session::new(self.cluster.clone(), self.own, peer, leader.term, number),
            leader_queue: leader.queue.clone(),
            progress_at: now,
            heartbeat_at: None,
            told_paused: false,
            peers: TaskMap::default(),
        });
        self.last_number = number;
        self.last_opened = Some(now);
        self.wanted = false;
        Some(Opened {
            queue,
            number,
            known_term: self.known_term,
        })
    }

    /// Judges a frame. What it acknowledges is told by [`Live::acked`].
    pub(crate) fn hear(&mut self, now: Timestamp, frame: &[u8]) -> Heard {
        let Ok((header, items)) = envelope::decode_header(&self.cluster, frame) else {
            return Heard::Malformed;
        };
        let Some(live) = &mut self.live else {
            return Heard::Nothing;
        };
        let acked = live.session.acked();
        let verdict = live.session.accept(&header);
        if live.session.acked() > acked {
            live.progress_at = now;
        }
        match verdict {
            Verdict::Accepted => live.session.read(items).map_or(Heard::Unreadable, Heard::Items),
            Verdict::AckOnly | Verdict::Duplicate | Verdict::Foreign => Heard::Nothing,
            Verdict::Gap { .. } => Heard::Gap,
        }
    }

    /// The open session.
    pub(crate) const fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// The open session.
    pub(crate) const fn live_mut(&mut self) -> Option<&mut Live> {
        self.live.as_mut()
    }

    /// When something is due although nothing happens.
    pub(crate) fn next_wakeup(&self, config: &WorkerConfig) -> Option<Timestamp> {
        let heartbeat = self.live.as_ref().map(|live| live.heartbeat_due(config));
        [heartbeat, self.silent_at(config), self.opens_at(config)]
            .into_iter()
            .flatten()
            .min()
    }
}

/// A session that was just opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) queue: String,
    pub(crate) number: SessionNo,
    pub(crate) known_term: Term,
}

impl Live {
    /// When the next heartbeat is due.
    pub(crate) fn heartbeat_due(&self, config: &WorkerConfig) -> Timestamp {
        self.heartbeat_at
            .map_or(Timestamp::ZERO, |last| last + config.heartbeat)
    }

    /// Batches the leader has acknowledged.
    pub(crate) const fn acked(&self) -> u64 {
        self.session.acked()
    }

    /// Batches sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.session.sent()
    }

    /// Whether it is time to fill a batch.
    pub(crate) fn wants_data(&self) -> bool {
        self.session.wants_data()
    }

    /// Whether items still wait for room.
    pub(crate) fn has_unsent(&self) -> bool {
        self.session.has_unsent()
    }

    /// Whether an urgent item would leave at once.
    pub(crate) fn has_urgent_room(&self) -> bool {
        self.session.has_urgent_room()
    }

    /// Queues an item.
    pub(crate) fn push(&mut self, item: &FromWorker) -> Result<(), PushError> {
        self.session.push(item)
    }

    /// Queues an item that waits behind nothing. Its encoding is small and cannot fail.
    pub(crate) fn push_urgent(&mut self, item: &FromWorker) {
        let _ = self.session.push_urgent(item);
    }

    /// The next frame to send.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Option<WorkerEffect> {
        let idle = self.session.sent() == self.session.acked();
        let frame: Bytes = self.session.poll()?;
        if idle {
            self.progress_at = now;
        }
        Some(WorkerEffect::Send {
            queue: self.leader_queue.clone(),
            frame,
        })
    }
}
