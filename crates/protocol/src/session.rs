//! One end of a session: numbers batches, bounds what is unacknowledged, notices duplicates and gaps.
//!
//! Pure: frames in, frames out, no clock. The same code runs over RabbitMQ, in one process and in the simulator.
//!
//! ```text
//!        push / push_urgent                    poll
//!  items ───────────────────► [waiting items] ──────► frame (seq, ack) ──► peer
//!                                  │ at most WINDOW batches unacknowledged; urgent items may go beyond
//!  peer ──► frame ──► accept ──► Verdict: Accepted(items) | Duplicate | Foreign | Gap (the session is over)
//! ```

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_types::{ClusterName, SessionNo, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::codec::{self, DecodeError, EncodeError, MAX_BATCH_BYTES};
use crate::envelope::{self, Header};
use crate::pieces::{self, MAX_ITEM_BYTES, Pieces};

/// Unacknowledged batches per direction. What comes meanwhile joins the next batch, so batches grow with load.
pub const WINDOW: u64 = 4;

/// Unacknowledged batches per direction once urgent items are counted: their reserved room.
const URGENT_WINDOW: u64 = 2 * WINDOW;

/// Why an item cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The item is larger than anything a session carries.
    #[error("an item of {size} bytes is larger than a message may be ({MAX_ITEM_BYTES})")]
    Oversized {
        /// Its encoded size.
        size: usize,
    },
    /// The item has no encoding.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What a received header means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next batch: process its items.
    Accepted,
    /// Only an acknowledgement.
    AckOnly,
    /// Seen before: drop it.
    Duplicate,
    /// Of another session or term: drop it.
    Foreign,
    /// A batch was lost: this session is over, open a new one.
    Gap {
        /// The batch that should have come.
        expected: u64,
        /// The batch that came.
        got: u64,
    },
}

/// One end of a session.
#[derive(Debug, Clone)]
pub struct Session {
    cluster: ClusterName,
    own: Uuid,
    peer: Uuid,
    term: Term,
    number: SessionNo,
    sent: u64,
    acked: u64,
    received: u64,
    ack_owed: bool,
    data: VecDeque<Vec<u8>>,
    urgent: VecDeque<Vec<u8>>,
    arriving: Pieces,
}

impl Session {
    /// A fresh session between `own` and `peer`.
    pub fn new(cluster: ClusterName, own: Uuid, peer: Uuid, term: Term, number: SessionNo) -> Self {
        Self {
            cluster,
            own,
            peer,
            term,
            number,
            sent: 0,
            acked: 0,
            received: 0,
            ack_owed: false,
            data: VecDeque::new(),
            urgent: VecDeque::new(),
            arriving: Pieces::default(),
        }
    }

    /// The leader's term.
    pub const fn term(&self) -> Term {
        self.term
    }

    /// The session's number.
    pub const fn number(&self) -> SessionNo {
        self.number
    }

    /// The process at the other end.
    pub const fn peer(&self) -> Uuid {
        self.peer
    }

    /// Batches sent and acknowledged by the peer.
    pub const fn acked(&self) -> u64 {
        self.acked
    }

    /// The number of the last batch sent.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether a new batch of data may go out and nothing waits to fill it: time to ask the core for more.
    pub fn wants_data(&self) -> bool {
        self.data.is_empty() && self.in_flight() < WINDOW
    }

    /// Whether queued items still wait for room in the window.
    pub fn has_unsent(&self) -> bool {
        !self.data.is_empty() || !self.urgent.is_empty()
    }

    /// Whether urgent items queued now leave with the next poll.
    pub fn has_urgent_room(&self) -> bool {
        self.urgent.is_empty() && self.in_flight() < URGENT_WINDOW
    }

    /// Queues an item. Order among such items is kept. One that is larger than a batch travels in several.
    pub fn push<T: Serialize>(&mut self, item: &T) -> Result<(), PushError> {
        self.data.extend(pieces::cut(encode_item(item)?));
        Ok(())
    }

    /// Queues an item that must not wait behind data: heartbeats, cancels. Sent before queued data, never cut.
    pub fn push_urgent<T: Serialize>(&mut self, item: &T) -> Result<(), PushError> {
        let encoded = encode_item(item)?;
        if encoded.len() > MAX_BATCH_BYTES {
            return Err(PushError::Oversized { size: encoded.len() });
        }
        self.urgent.push_back(encoded);
        Ok(())
    }

    /// The next frame to send, if the window allows one or an acknowledgement is owed.
    pub fn poll(&mut self) -> Option<Bytes> {
        let urgent_room = self.in_flight() < URGENT_WINDOW;
        let data_room = self.in_flight() < WINDOW;
        let may_send = (urgent_room && !self.urgent.is_empty()) || (data_room && !self.data.is_empty());
        if !may_send {
            return std::mem::take(&mut self.ack_owed)
                .then(|| self.frame(0, &[]))
                .flatten();
        }
        let mut items = Vec::new();
        take_fitting(&mut self.urgent, &mut items);
        if data_room && self.urgent.is_empty() {
            take_fitting(&mut self.data, &mut items);
        }
        self.sent += 1;
        self.ack_owed = false;
        self.frame(self.sent, &items)
    }

    /// Judges a received header and records its sequence and acknowledgement.
    pub fn accept(&mut self, header: &Header) -> Verdict {
        if header.sender != self.peer || header.term != self.term || header.session != self.number {
            return Verdict::Foreign;
        }
        // An acknowledgement of what was never sent is the peer's fault; it must not open the window.
        self.acked = self.acked.max(header.ack.min(self.sent));
        let expected = self.received + 1;
        match header.seq {
            0 => Verdict::AckOnly,
            seq if seq < expected => {
                self.ack_owed = true;
                Verdict::Duplicate
            }
            seq if seq > expected => Verdict::Gap { expected, got: seq },
            seq => {
                self.received = seq;
                self.ack_owed = true;
                Verdict::Accepted
            }
        }
    }

    /// Reads the items of an accepted batch.
    ///
    /// # Errors
    /// If they cannot be decoded: the batch counts as received, so the session cannot go on.
    pub fn read<T: DeserializeOwned>(&mut self, items: &[u8]) -> Result<Vec<T>, DecodeError> {
        self.arriving.read(items)
    }

    const fn in_flight(&self) -> u64 {
        self.sent - self.acked
    }

    fn frame(&self, seq: u64, items: &[u8]) -> Option<Bytes> {
        let header = Header {
            cluster: self.cluster.clone(),
            sender: self.own,
            term: self.term,
            session: self.number,
            seq,
            ack: self.received,
        };
        // A header of plain integers and a name always encodes.
        envelope::encode_frame(&header, items).ok()
    }
}

fn encode_item<T: Serialize>(item: &T) -> Result<Vec<u8>, PushError> {
    let encoded = codec::encode(item)?;
    if encoded.len() > MAX_ITEM_BYTES {
        Err(PushError::Oversized { size: encoded.len() })
    } else {
        Ok(encoded)
    }
}

fn take_fitting(queue: &mut VecDeque<Vec<u8>>, items: &mut Vec<u8>) {
    while let Some(item) = queue.front() {
        if !items.is_empty() && items.len() + item.len() > MAX_BATCH_BYTES {
            break;
        }
        items.extend_from_slice(item);
        queue.pop_front();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;
    use crate::envelope::{decode_batch, decode_header};

    fn pair() -> (Session, Session) {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let cluster = ClusterName::default();
        let end = |own, peer| Session::new(cluster.clone(), own, peer, Term(3), SessionNo(1));
        (end(a, b), end(b, a))
    }

    fn deliver(frame: &Bytes, to: &mut Session) -> (Verdict, Vec<u32>) {
        let batch = decode_batch::<u32>(&ClusterName::default(), frame).unwrap();
        (to.accept(&batch.header), batch.items)
    }

    #[test]
    fn items_join_one_batch_while_the_window_is_full() {
        let (mut a, mut b) = pair();
        let mut frames = Vec::new();
        for i in 0..10_u32 {
            a.push(&i).unwrap();
            frames.extend(a.poll());
        }
        assert_eq!(frames.len() as u64, WINDOW);
        assert!(!a.wants_data());
        assert_eq!(deliver(&frames[0], &mut b), (Verdict::Accepted, vec![0]));
        let ack = b.poll().unwrap();
        assert_eq!(deliver(&ack, &mut a), (Verdict::AckOnly, vec![]));
        frames.extend(a.poll());
        for frame in &frames[1..4] {
            assert_eq!(deliver(frame, &mut b).0, Verdict::Accepted);
        }
        assert_eq!(
            deliver(&frames[4], &mut b),
            (Verdict::Accepted, vec![4, 5, 6, 7, 8, 9])
        );
    }

    #[test]
    fn urgent_items_pass_a_full_window() {
        let (mut a, mut b) = pair();
        for i in 0..8_u32 {
            a.push(&i).unwrap();
            if let Some(frame) = a.poll() {
                deliver(&frame, &mut b);
            }
        }
        a.push_urgent(&99_u32).unwrap();
        assert_eq!(deliver(&a.poll().unwrap(), &mut b), (Verdict::Accepted, vec![99]));
        assert_eq!(a.poll(), None);
    }

    #[test]
    fn duplicates_are_dropped_and_acknowledged_again() {
        let (mut a, mut b) = pair();
        a.push(&1_u32).unwrap();
        let frame = a.poll().unwrap();
        assert_eq!(deliver(&frame, &mut b).0, Verdict::Accepted);
        assert!(b.poll().is_some());
        assert_eq!(deliver(&frame, &mut b).0, Verdict::Duplicate);
        let ack = b.poll().unwrap();
        assert_eq!(decode_header(&ClusterName::default(), &ack).unwrap().0.ack, 1);
    }

    #[test]
    fn a_lost_batch_ends_the_session() {
        let (mut a, mut b) = pair();
        a.push(&1_u32).unwrap();
        drop(a.poll());
        a.push(&2_u32).unwrap();
        assert_eq!(
            deliver(&a.poll().unwrap(), &mut b).0,
            Verdict::Gap { expected: 1, got: 2 }
        );
    }

    #[test]
    fn a_false_acknowledgement_opens_no_window() {
        let (mut a, mut b) = pair();
        b.received = 100;
        b.ack_owed = true;
        deliver(&b.poll().unwrap(), &mut a);
        assert_eq!(a.acked(), 0);
    }

    #[test]
    fn an_item_beyond_a_batch_travels_in_several_and_urgent_ones_pass_it() {
        let (mut a, mut b) = pair();
        let item = serde_bytes::ByteBuf::from(vec![7; 6 * MAX_BATCH_BYTES]);
        a.push(&item).unwrap();
        let mut come = Vec::new();
        let mut batches = 0;
        while come.len() < 2 {
            while let Some(frame) = a.poll() {
                batches += 1;
                let (header, items) = decode_header(&ClusterName::default(), &frame).unwrap();
                assert_eq!(b.accept(&header), Verdict::Accepted);
                come.extend(b.read::<serde_bytes::ByteBuf>(items).unwrap());
            }
            if batches == WINDOW {
                a.push_urgent(&serde_bytes::ByteBuf::from(b"urgent")).unwrap();
            }
            if let Some(ack) = b.poll() {
                deliver(&ack, &mut a);
            }
        }
        assert_eq!((batches, come[0].as_ref()), (8, b"urgent".as_slice()));
        assert_eq!(come[1], item);
    }

    #[test]
    fn an_item_beyond_every_limit_is_refused() {
        let (mut a, _) = pair();
        let large = serde_bytes::ByteBuf::from(vec![0; MAX_BATCH_BYTES]);
        assert!(matches!(a.push_urgent(&large), Err(PushError::Oversized { .. })));
        let larger = serde_bytes::ByteBuf::from(vec![0; MAX_ITEM_BYTES]);
        assert!(matches!(a.push(&larger), Err(PushError::Oversized { .. })));
    }
}
