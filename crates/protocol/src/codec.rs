//! MessagePack in and out, with limits and typed errors.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of everything this crate writes. Readers refuse any other.
pub const PROTOCOL_VERSION: u8 = 1;

/// The largest batch a sender makes. A larger item travels in several ([`crate::pieces`]).
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// The largest frame a reader accepts: a full batch and its envelope.
pub const MAX_FRAME_BYTES: usize = MAX_BATCH_BYTES + (64 << 10);

/// Deepest nesting a reader follows; our own messages stay below 20.
const MAX_DEPTH: usize = 64;

/// Why bytes are not the message that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the message does.
    #[error("the message is truncated")]
    Truncated,
    /// The bytes are longer than any message may be.
    #[error("the message has {size} bytes, the limit is {limit}")]
    Oversized {
        /// Bytes that arrived.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The sender speaks another version.
    #[error("the message has protocol version {got}, this process speaks {PROTOCOL_VERSION}")]
    Version {
        /// The sender's version.
        got: u8,
    },
    /// The message belongs to another cluster on the same broker.
    #[error("the message is for cluster `{got}`, this one is `{own}`")]
    WrongCluster {
        /// The sender's cluster.
        got: String,
        /// Our cluster.
        own: String,
    },
    /// The bytes are no MessagePack, or not of the expected shape.
    #[error("the message is malformed: {reason}")]
    Malformed {
        /// The decoder's words.
        reason: String,
    },
}

impl DecodeError {
    /// A stable name for metrics and for the header of a dead letter.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversized { .. } => "oversized",
            Self::Version { .. } => "version",
            Self::WrongCluster { .. } => "wrong_cluster",
            Self::Malformed { .. } => "malformed",
        }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed {
            reason: reason.into(),
        }
    }
}

/// A value that MessagePack cannot hold. Our own messages never are such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode: {reason}")]
pub struct EncodeError {
    reason: String,
}

/// Encodes positionally: small, for messages between services of one version.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    rmp_serde::to_vec(value).map_err(|error| EncodeError {
        reason: error.to_string(),
    })
}

/// Encodes with field names: for what is stored, and for what users read and write.
pub fn encode_named<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    rmp_serde::to_vec_named(value).map_err(|error| EncodeError {
        reason: error.to_string(),
    })
}

/// Decodes what either encoder wrote; bytes after the value are an error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = decode_prefix(&mut rest)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::malformed(format!(
            "{} bytes after its end",
            rest.len()
        )))
    }
}

/// Decodes one value at the front of `bytes` and moves past it.
pub fn decode_prefix<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    let mut decoder = rmp_serde::Deserializer::new(&mut *bytes);
    decoder.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut decoder).map_err(|error| match &error {
        rmp_serde::decode::Error::InvalidMarkerRead(io) | rmp_serde::decode::Error::InvalidDataRead(io)
            if io.kind() == std::io::ErrorKind::UnexpectedEof =>
        {
            DecodeError::Truncated
        }
        _ => DecodeError::malformed(error.to_string()),
    })
}
