//! Record batches as bytes (Arrow IPC streams) and what a stage hands to another.
//!
//! Within a process batches are handed over by reference; they are encoded only for a peer or for spill.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayData, RecordBatch};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamDecoder;
use datafusion::arrow::ipc::writer::StreamWriter;

use crate::error::FrameError;

/// Data that a task reads: one object of another stage, or one part of it.
#[derive(Debug, Clone)]
pub struct StageData {
    content: Content,
    /// Rows that the writer counted.
    rows: u64,
}

#[derive(Debug, Clone)]
enum Content {
    Batches(Arc<[RecordBatch]>),
    Encoded(Bytes),
}

impl StageData {
    /// Data of the same process, of which the writer counted `rows`.
    pub fn from_batches(batches: impl Into<Arc<[RecordBatch]>>, rows: u64) -> Self {
        Self {
            content: Content::Batches(batches.into()),
            rows,
        }
    }

    /// Data of a peer or from disk, as [`encode_ipc`] made it; decoded batch by batch as it is read.
    pub fn from_ipc(bytes: Bytes, rows: u64) -> Self {
        Self {
            content: Content::Encoded(bytes),
            rows,
        }
    }

    /// The batches, and an error at the end if their rows are not as many as the writer counted. `input` is the
    /// index that the error names.
    pub(crate) fn into_batches(
        self,
        input: usize,
    ) -> Box<dyn Iterator<Item = Result<RecordBatch, FrameError>> + Send> {
        let expected = self.rows;
        let mut found = 0;
        let batches = self.content.into_batches();
        let mut ended = false;
        let mut batches = batches.fuse();
        Box::new(std::iter::from_fn(move || match batches.next() {
            Some(Ok(batch)) => {
                found += batch.num_rows() as u64;
                Some(Ok(batch))
            }
            Some(Err(error)) => {
                ended = true;
                Some(Err(error))
            }
            None if ended || found == expected => None,
            None => {
                ended = true;
                Some(Err(FrameError::RowCount {
                    input,
                    expected,
                    found,
                }))
            }
        }))
    }
}

impl Content {
    fn into_batches(self) -> Box<dyn Iterator<Item = Result<RecordBatch, FrameError>> + Send> {
        match self {
            Self::Batches(batches) => {
                let mut next = 0;
                Box::new(std::iter::from_fn(move || {
                    next += 1;
                    batches.get(next - 1).cloned().map(Ok)
                }))
            }
            Self::Encoded(bytes) => Box::new(Decoding::new(bytes)),
        }
    }
}

/// Encodes batches as one Arrow IPC stream, which any Arrow library reads.
///
/// # Errors
/// A batch whose columns are not those of `schema`.
pub fn encode_ipc(schema: &Schema, batches: &[RecordBatch]) -> Result<Bytes, FrameError> {
    let estimate = memory_size(batches);
    let encode = || -> Result<Vec<u8>, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::with_capacity(estimate + 1024), schema)?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.finish()?;
        writer.into_inner()
    };
    encode().map(Bytes::from).map_err(|error| FrameError::Engine {
        message: error.to_string(),
    })
}

/// Decodes what [`encode_ipc`] made. The columns point into `bytes` where alignment allows.
///
/// # Errors
/// Bytes that are not a whole Arrow IPC stream.
pub fn decode_ipc(bytes: Bytes) -> Result<(SchemaRef, Vec<RecordBatch>), FrameError> {
    let mut decoding = Decoding::new(bytes);
    let batches = decoding.by_ref().collect::<Result<Vec<_>, _>>()?;
    let schema = decoding
        .decoder
        .schema()
        .ok_or_else(|| FrameError::MalformedObject {
            message: "the stream has no schema".to_owned(),
        })?;
    Ok((schema, batches))
}

struct Decoding {
    decoder: StreamDecoder,
    rest: Buffer,
    failed: bool,
}

impl Decoding {
    fn new(bytes: Bytes) -> Self {
        Self {
            decoder: StreamDecoder::new(),
            rest: Buffer::from(bytes),
            failed: false,
        }
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        while !self.rest.is_empty() {
            if let Some(batch) = self.decoder.decode(&mut self.rest)? {
                return Ok(Some(batch));
            }
        }
        self.decoder.finish()?;
        Ok(None)
    }
}

impl Iterator for Decoding {
    type Item = Result<RecordBatch, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.map_err(|error| FrameError::MalformedObject {
            message: error.to_string(),
        })
        .transpose()
    }
}

/// Memory that the batches keep alive, each buffer counted once however many columns or batches share it.
pub fn memory_size(batches: &[RecordBatch]) -> usize {
    let mut seen = HashSet::new();
    batches
        .iter()
        .flat_map(|batch| batch.columns())
        .map(|column| data_size(&column.to_data(), &mut seen))
        .sum()
}

fn data_size(data: &ArrayData, seen: &mut HashSet<usize>) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.inner().inner());
    let own: usize = data
        .buffers()
        .iter()
        .chain(nulls)
        .filter(|buffer| seen.insert(buffer.data_ptr().as_ptr() as usize))
        .map(Buffer::capacity)
        .sum();
    own + data
        .child_data()
        .iter()
        .map(|child| data_size(child, seen))
        .sum::<usize>()
}
