//! The formats that are read by our own operator.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, SchemaRef};
use serde::{Deserialize, Serialize};

use super::Slice;
use crate::arrow_file::ArrowFormat;
use crate::csv::CsvFormat;
use crate::error::FrameError;
use crate::json::JsonFormat;

/// Takes batches; returns false when it wants no more.
pub(crate) type BatchSink<'a> = dyn FnMut(RecordBatch) -> bool + 'a;

/// What to read from a slice.
#[derive(Debug)]
pub(crate) struct SliceRead<'a> {
    pub(crate) slice: &'a Slice,
    /// Indices of the columns wanted among those of the format.
    pub(crate) projection: &'a [usize],
    /// Schema of the columns wanted.
    pub(crate) schema: SchemaRef,
    /// Rows of a batch.
    pub(crate) batch_size: usize,
}

/// How the files of one table are read: all that a worker must know to read them as the planner did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum FileFormat {
    Csv(CsvFormat),
    Json(JsonFormat),
    Arrow(ArrowFormat),
}

impl FileFormat {
    /// What the operator is called in plans.
    pub(crate) fn operator(&self) -> &'static str {
        match self {
            Self::Csv(_) => "CsvScanExec",
            Self::Json(_) => "JsonScanExec",
            Self::Arrow(_) => "ArrowScanExec",
        }
    }

    /// Columns of the files.
    pub(crate) fn fields(&self) -> Vec<Field> {
        match self {
            Self::Csv(format) => format.fields(),
            Self::Json(format) => format.fields(),
            Self::Arrow(format) => format.fields(),
        }
    }

    /// Hands the batches of a slice to `sink` until it returns false or the slice ends.
    pub(crate) fn read(&self, read: &SliceRead<'_>, sink: &mut BatchSink<'_>) -> Result<(), FrameError> {
        read.slice.file.check_unchanged()?;
        match self {
            Self::Csv(format) => format.read(read, sink),
            Self::Json(format) => format.read(read, sink),
            Self::Arrow(format) => format.read(read, sink),
        }
    }
}
