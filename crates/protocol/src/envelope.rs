//! The envelope of a batch: who speaks, in which term and session, and which batch this is.
//!
//! On the wire: the version byte, then a MessagePack array with the header, then the items end to end. The version is
//! outside MessagePack so that a later version may change everything behind it.

use bytes::Bytes;
use millstream_types::{ClusterName, SessionNo, Term};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::{self, DecodeError, EncodeError, MAX_FRAME_BYTES, PROTOCOL_VERSION};

/// The head of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The cluster both ends belong to.
    pub cluster: ClusterName,
    /// The sending process.
    pub sender: Uuid,
    /// The leader's term that the session belongs to.
    pub term: Term,
    /// The session that numbers `seq`.
    pub session: SessionNo,
    /// The batch's number, from 1; 0 for a batch that only acknowledges.
    pub seq: u64,
    /// The highest batch number received from the other end.
    pub ack: u64,
}

/// A decoded batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<T> {
    /// Its head.
    pub header: Header,
    /// Its items in order.
    pub items: Vec<T>,
}

/// Joins a header and already encoded items into one frame.
pub fn encode_frame(header: &Header, items: &[u8]) -> Result<Bytes, EncodeError> {
    let head = codec::encode(header)?;
    let mut frame = Vec::with_capacity(1 + head.len() + items.len());
    frame.push(PROTOCOL_VERSION);
    frame.extend_from_slice(&head);
    frame.extend_from_slice(items);
    Ok(frame.into())
}

/// Encodes a whole batch. Senders inside a session use [`crate::session`] instead.
pub fn encode_batch<T: Serialize>(header: &Header, items: &[T]) -> Result<Bytes, EncodeError> {
    let mut encoded = Vec::new();
    for item in items {
        encoded.extend_from_slice(&codec::encode(item)?);
    }
    encode_frame(header, &encoded)
}

/// Reads only the header, and returns the bytes of the items behind it.
pub fn decode_header<'a>(own: &ClusterName, frame: &'a [u8]) -> Result<(Header, &'a [u8]), DecodeError> {
    if frame.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::Oversized {
            size: frame.len(),
            limit: MAX_FRAME_BYTES,
        });
    }
    let (&version, mut rest) = frame.split_first().ok_or(DecodeError::Truncated)?;
    if version != PROTOCOL_VERSION {
        return Err(DecodeError::Version { got: version });
    }
    let header: Header = codec::decode_prefix(&mut rest)?;
    if header.cluster != *own {
        return Err(DecodeError::WrongCluster {
            got: header.cluster.into(),
            own: own.to_string(),
        });
    }
    Ok((header, rest))
}

/// Reads a batch of items of one type.
pub fn decode_batch<T: DeserializeOwned>(own: &ClusterName, frame: &[u8]) -> Result<Batch<T>, DecodeError> {
    let (header, rest) = decode_header(own, frame)?;
    Ok(Batch {
        header,
        items: decode_items(rest)?,
    })
}

/// Reads the items behind a header.
pub fn decode_items<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        items.push(codec::decode_prefix(&mut bytes)?);
    }
    Ok(items)
}
