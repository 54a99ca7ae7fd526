//! One object, read as it arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_stream::try_stream;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use millstream_store::{Format, Pinned};
use reqwest::{Response, header};

use super::{broken, damaged, describe};
use crate::error::FetchError;
use crate::wire::{CheckedPart, PARTS_HEADER, parse_parts};

/// An object on its way. Its bytes are whole and right if and only if `chunks` ends without an error.
pub struct ObjectStream {
    /// How its bytes are read.
    pub format: Format,
    /// Bytes of all parts.
    pub length: u64,
    /// Rows of all parts, where all are counted.
    pub rows: Option<u64>,
    /// The bytes of all parts, one after another.
    pub chunks: Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>,
}

impl ObjectStream {
    pub(super) fn local(address: &str, pinned: Pinned) -> Result<Self, FetchError> {
        let object = pinned
            .encode_all()
            .map_err(|error| damaged(address, error.to_string()))?;
        let rows = object.parts.iter().map(|part| part.rows).sum();
        let length = object.parts.iter().map(|part| part.bytes.len() as u64).sum();
        let format = object.format;
        let chunks = object.parts.into_iter().map(|part| Ok(part.bytes));
        Ok(Self {
            format,
            length,
            rows,
            chunks: Box::pin(futures::stream::iter(chunks)),
        })
    }

    pub(super) fn remote(
        address: &str,
        response: Response,
        fetched: Arc<AtomicU64>,
    ) -> Result<Self, FetchError> {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let format = header(header::CONTENT_TYPE.as_str()).and_then(Format::from_content_type);
        let format = format.ok_or_else(|| damaged(address, "an unknown content type"))?;
        let parts = header(PARTS_HEADER)
            .and_then(parse_parts)
            .ok_or_else(|| damaged(address, "a missing or malformed list of parts"))?;
        Ok(Self {
            format,
            length: parts.iter().map(|part| part.length).sum(),
            rows: parts.iter().map(|part| part.rows).sum(),
            chunks: Box::pin(checked(address.to_owned(), response, parts, fetched)),
        })
    }
}

/// Passes bytes on while checking them against the parts they belong to.
fn checked(
    address: String,
    response: Response,
    parts: Vec<CheckedPart>,
    fetched: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, FetchError>> + Send {
    try_stream! {
        let mut chunks = response.bytes_stream();
        let mut chunk = Bytes::new();
        for (i, part) in parts.into_iter().enumerate() {
            let mut left = part.length;
            let mut crc = crc32fast::Hasher::new();
            while left > 0 {
                if chunk.is_empty() {
                    let next = chunks.next().await;
                    let next = next.ok_or_else(|| broken(&address, "the answer ended early"))?;
                    chunk = next.map_err(|error| broken(&address, describe(&error)))?;
                }
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                let piece = chunk.split_to(take);
                left -= take as u64;
                crc.update(&piece);
                // The last piece of a part is held back until its checksum is known to match.
                if left == 0 && crc.clone().finalize() != part.crc {
                    Err(damaged(&address, format!("the checksum of part {i} does not match")))?;
                }
                fetched.fetch_add(take as u64, Ordering::Relaxed);
                yield piece;
            }
        }
    }
}
