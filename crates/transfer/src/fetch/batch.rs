//! Many objects in one answer: reads frame by frame, checks each part as it ends.

use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use millstream_store::{EncodedObject, EncodedPart};

use super::{Fetched, Fetcher, broken, damaged, describe};
use crate::error::FetchError;
use crate::wire::{AnswerHead, MAX_HEAD_BYTES, ObjectRequest, PartHead, format_of};

/// Reads the answers to `requests` and adds exactly as many to `answers`.
pub(super) async fn fetch(
    fetcher: &Fetcher,
    address: &str,
    requests: &[ObjectRequest],
    answers: &mut Vec<Result<Fetched, FetchError>>,
) {
    let end = answers.len() + requests.len();
    if let Err(error) = try_fetch(fetcher, address, requests, answers).await {
        answers.resize_with(end, || Err(error.clone()));
    }
}

async fn try_fetch(
    fetcher: &Fetcher,
    address: &str,
    requests: &[ObjectRequest],
    answers: &mut Vec<Result<Fetched, FetchError>>,
) -> Result<(), FetchError> {
    let body = rmp_serde::to_vec(requests).map_err(|error| damaged(address, error.to_string()))?;
    let url = format!("http://{address}/objects");
    let response = fetcher.send(address, fetcher.client.post(url).body(body)).await?;
    let chunks = response
        .bytes_stream()
        .map(|chunk| chunk.map_err(|error| broken(address, describe(&error))));
    let mut frames = Frames {
        address,
        chunks: Box::pin(chunks),
        chunk: Bytes::new(),
    };
    for _ in requests {
        let answer = frames.object().await?;
        if let Ok(object) = &answer {
            let bytes = object.parts.iter().map(|part| part.bytes.len() as u64).sum();
            fetcher.fetched.fetch_add(bytes, Ordering::Relaxed);
        }
        answers.push(answer.map(|object| Fetched::Remote(object.into())));
    }
    frames.end().await
}

/// The body of an answer, as frames.
struct Frames<'a, S> {
    address: &'a str,
    chunks: S,
    chunk: Bytes,
}

impl<S: Stream<Item = Result<Bytes, FetchError>> + Unpin> Frames<'_, S> {
    /// Reads one answer. The outer error ends the whole batch: what follows cannot be told apart any more.
    async fn object(&mut self) -> Result<Result<EncodedObject, FetchError>, FetchError> {
        let (format, heads) = match self.head().await? {
            AnswerHead::Found { format, parts } => (format, parts),
            AnswerHead::Gone { reason } => {
                let address = self.address.to_owned();
                return Ok(Err(FetchError::Gone { address, reason }));
            }
            AnswerHead::Damaged { reason } => return Ok(Err(damaged(self.address, reason))),
        };
        let format = format_of(format).map_err(|reason| damaged(self.address, reason))?;
        let mut parts = Vec::with_capacity(heads.len());
        let mut mismatch = None;
        for (i, head) in heads.into_iter().enumerate() {
            match self.part(head).await? {
                Some(part) => parts.push(part),
                None => mismatch = Some(i),
            }
        }
        Ok(match mismatch {
            None => Ok(EncodedObject { parts, format }),
            Some(i) => {
                let reason = format!("the checksum of part {i} does not match");
                Err(damaged(self.address, reason))
            }
        })
    }

    async fn head(&mut self) -> Result<AnswerHead, FetchError> {
        let length = self.u32().await? as usize;
        if length > MAX_HEAD_BYTES {
            return Err(damaged(self.address, format!("a head of {length} bytes")));
        }
        let head = self.bytes(length as u64).await?;
        rmp_serde::from_slice(&head)
            .map_err(|error| damaged(self.address, format!("a malformed head: {error}")))
    }

    /// Reads one part; `None` if its checksum does not match.
    async fn part(&mut self, head: PartHead) -> Result<Option<EncodedPart>, FetchError> {
        let bytes = self.bytes(head.length).await?;
        let matches = self.u32().await? == crc32fast::hash(&bytes);
        Ok(matches.then_some(EncodedPart {
            bytes,
            rows: head.rows,
        }))
    }

    async fn u32(&mut self) -> Result<u32, FetchError> {
        let mut bytes = self.bytes(4).await?;
        Ok(bytes.get_u32_le())
    }

    /// Reads exactly `length` bytes. What lies within one chunk is not copied.
    async fn bytes(&mut self, length: u64) -> Result<Bytes, FetchError> {
        let too_long = || {
            damaged(
                self.address,
                format!("a part of {length} bytes does not fit into memory"),
            )
        };
        let length = usize::try_from(length).map_err(|_| too_long())?;
        if self.chunk.is_empty() && length > 0 {
            self.next_chunk().await?;
        }
        // A small piece of a chunk would keep the whole chunk alive.
        let own = length <= self.chunk.len() / 2;
        if length <= self.chunk.len() {
            let piece = self.chunk.split_to(length);
            return Ok(if own {
                Bytes::copy_from_slice(&piece)
            } else {
                piece
            });
        }
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(length)
            .map_err(|_| damaged(self.address, format!("no memory for a part of {length} bytes")))?;
        loop {
            let take = self.chunk.len().min(length - bytes.len());
            bytes.extend_from_slice(&self.chunk.split_to(take));
            if bytes.len() == length {
                return Ok(bytes.into());
            }
            self.next_chunk().await?;
        }
    }

    async fn next_chunk(&mut self) -> Result<(), FetchError> {
        match self.chunks.next().await {
            Some(chunk) => {
                self.chunk = chunk?;
                Ok(())
            }
            None => Err(broken(self.address, "the answer ended early")),
        }
    }

    /// Reads to the end, so that the connection can be used again.
    async fn end(&mut self) -> Result<(), FetchError> {
        while let Some(chunk) = self.chunks.next().await {
            self.chunk = chunk?;
            if !self.chunk.is_empty() {
                return Err(damaged(self.address, "the answer goes on after its end"));
            }
        }
        Ok(())
    }
}
