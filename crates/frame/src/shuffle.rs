//! Divides a task's output into parts, and makes batches of good size that keep nothing else alive.
//!
//! The engine's operators hand out slices and views: one slice keeps the whole batch that it was cut from, and
//! strings may point into buffers of far larger batches. What a stage stores is copied out of that.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::error::Result;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::metrics::Time;
use datafusion::physical_plan::repartition::BatchPartitioner;

use crate::ipc::memory_size;

/// Rows of a stored batch: enough that its header costs nothing, few enough that a reader's batches fit a cache.
const STORED_ROWS: usize = 16 << 10;

/// One part of a stage's output.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Compacted batches.
    pub batches: Vec<RecordBatch>,
    /// Rows of all batches.
    pub rows: u64,
    /// Memory that the batches keep alive.
    pub bytes: u64,
}

/// Takes the batches of a task and makes its parts.
pub(crate) struct PartWriter {
    partitioner: Option<BatchPartitioner>,
    parts: Vec<Compactor>,
}

impl PartWriter {
    pub(crate) fn try_new(schema: &SchemaRef, shuffle: Option<Partitioning>) -> Result<Self> {
        let count = shuffle.as_ref().map_or(1, Partitioning::partition_count);
        let partitioner = shuffle
            .map(|shuffle| BatchPartitioner::try_new(shuffle, Time::new(), 0, 1))
            .transpose()?;
        let parts = (0..count).map(|_| Compactor::new(Arc::clone(schema))).collect();
        Ok(Self { partitioner, parts })
    }

    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let Self { partitioner, parts } = self;
        match partitioner {
            Some(partitioner) => {
                partitioner.partition(batch, |part, batch| Ok(parts[part].push(batch)?))?;
            }
            None => parts[0].push(batch)?,
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Vec<Part>> {
        self.parts.into_iter().map(|part| Ok(part.finish()?)).collect()
    }
}

/// Copies batches together.
struct Compactor {
    coalescer: BatchCoalescer,
    done: Vec<RecordBatch>,
    rows: u64,
}

impl Compactor {
    fn new(schema: SchemaRef) -> Self {
        Self {
            coalescer: BatchCoalescer::new(schema, STORED_ROWS),
            done: Vec::new(),
            rows: 0,
        }
    }

    fn push(&mut self, batch: RecordBatch) -> Result<(), ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        self.coalescer.push_batch(batch)?;
        self.drain()
    }

    fn drain(&mut self) -> Result<(), ArrowError> {
        while let Some(batch) = self.coalescer.next_completed_batch() {
            self.done.push(without_foreign_buffers(&batch)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Part, ArrowError> {
        self.coalescer.finish_buffered_batch()?;
        self.drain()?;
        let bytes = memory_size(&self.done) as u64;
        Ok(Part {
            batches: self.done,
            rows: self.rows,
            bytes,
        })
    }
}

/// Coalesces batches by copying: rows stay in order, and no memory but that of the rows stays alive.
///
/// # Errors
/// Batches of different columns.
pub fn compact(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Part, crate::FrameError> {
    let run = || {
        let mut compactor = Compactor::new(Arc::clone(schema));
        for batch in batches {
            compactor.push(batch.clone())?;
        }
        compactor.finish()
    };
    run().map_err(|error: ArrowError| crate::FrameError::Engine {
        message: error.to_string(),
    })
}

fn without_foreign_buffers(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(own_buffers).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

/// Views are rewritten to point at their own bytes only; other arrays were copied by the coalescer.
fn own_buffers(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => {
            let views = column.as_string_view();
            let held: usize = views.data_buffers().iter().map(|buffer| buffer.capacity()).sum();
            if held > views.total_buffer_bytes_used() {
                Arc::new(views.gc())
            } else {
                Arc::clone(column)
            }
        }
        DataType::BinaryView => {
            let views = column.as_binary_view();
            let held: usize = views.data_buffers().iter().map(|buffer| buffer.capacity()).sum();
            if held > views.total_buffer_bytes_used() {
                Arc::new(views.gc())
            } else {
                Arc::clone(column)
            }
        }
        _ => Arc::clone(column),
    }
}
