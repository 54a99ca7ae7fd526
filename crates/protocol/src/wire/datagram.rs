//! Messages outside any session: between gateways and the leader, and the leader's hello.
//!
//! They travel in the same envelope as session batches, under session number 0, which no session has: sessions count
//! from 1. So whoever receives both on one queue reads the header first and asks [`Header::is_datagram`]. Nothing
//! numbers or acknowledges them: each is repeated by its sender until it is answered, or it does not matter.

use bytes::Bytes;
use millstream_types::{ClusterName, SessionNo, Term};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FromGateway, Hello, Intake, LiveMsg, StaleTerm, ToGateway};
use crate::codec::{DecodeError, EncodeError};
use crate::envelope::{self, Batch, Header};

/// One message outside any session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Datagram {
    /// Leader → everybody, on the fanout.
    Hello(Hello),
    /// Anybody → a leader that is one no more.
    StaleTerm(StaleTerm),
    /// Gateway → intake queue.
    Intake(Intake),
    /// Gateway → leader.
    FromGateway(FromGateway),
    /// Leader → gateway.
    ToGateway(ToGateway),
    /// Leader → live exchange.
    Live(LiveMsg),
}

impl Header {
    /// The head of a frame outside any session. `term` is the highest that the sender knows.
    pub const fn datagram(cluster: ClusterName, sender: Uuid, term: Term) -> Self {
        Self {
            cluster,
            sender,
            term,
            session: SessionNo(0),
            seq: 0,
            ack: 0,
        }
    }

    /// Whether the items behind this header are [`Datagram`]s.
    pub const fn is_datagram(&self) -> bool {
        self.session.0 == 0
    }
}

/// Encodes datagrams into one frame.
///
/// # Errors
/// When an item has no encoding; ours always have.
pub fn encode_datagrams(header: &Header, items: &[Datagram]) -> Result<Bytes, EncodeError> {
    envelope::encode_batch(header, items)
}

/// Reads a frame of datagrams.
///
/// # Errors
/// When the frame is not of this cluster and version, or is no frame of datagrams.
pub fn decode_datagrams(own: &ClusterName, frame: &[u8]) -> Result<Batch<Datagram>, DecodeError> {
    let (header, rest) = envelope::decode_header(own, frame)?;
    if !header.is_datagram() {
        return Err(DecodeError::malformed(format!(
            "a batch of session {} where a message outside any session belongs",
            header.session
        )));
    }
    Ok(Batch {
        header,
        items: envelope::decode_items(rest)?,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use millstream_types::LeaderId;

    use super::*;

    fn hello() -> Datagram {
        Datagram::Hello(Hello {
            term: Term(7),
            leader: LeaderId::from_u128(1),
            queue: "millstream.scheduler.7.x".to_owned(),
        })
    }

    #[test]
    fn datagrams_survive_the_wire() {
        let header = Header::datagram(ClusterName::default(), Uuid::from_u128(9), Term(7));
        let frame = encode_datagrams(&header, &[hello(), hello()]).unwrap();
        let batch = decode_datagrams(&ClusterName::default(), &frame).unwrap();
        assert_eq!((batch.header, batch.items), (header, vec![hello(), hello()]));
    }

    #[test]
    fn a_session_batch_is_no_datagram() {
        let mut header = Header::datagram(ClusterName::default(), Uuid::from_u128(9), Term(7));
        header.session = SessionNo(1);
        let frame = encode_datagrams(&header, &[hello()]).unwrap();
        assert!(decode_datagrams(&ClusterName::default(), &frame).is_err());
    }
}
