//! One file of a result, in any of the formats.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::FileWriter as ArrowFile;
use datafusion::arrow::json;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::error::FrameError;
use crate::request::{Compression, WriteFormat};

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Style {
    pub(super) format: WriteFormat,
    pub(super) compression: Compression,
    /// Whether a CSV file begins with the names of its columns.
    pub(super) header: bool,
    /// What is between the fields of a CSV file.
    pub(super) delimiter: u8,
}

/// A file that is being written; one that is dropped before its end is removed.
pub(super) struct PartFile {
    path: PathBuf,
    /// Absent once the file is complete.
    writer: Option<Writer>,
    rows: i64,
}

enum Writer {
    Parquet(Box<ArrowWriter<File>>),
    Csv(Box<csv::Writer<Sink>>),
    Json(json::Writer<Sink, LineDelimited>),
    Arrow(Box<ArrowFile<BufWriter<File>>>),
}

/// Bytes on their way to a file.
enum Sink {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl PartFile {
    /// Makes the file, which must not be there, for rows of this schema.
    pub(super) fn create(path: PathBuf, schema: &SchemaRef, style: &Style) -> Result<Self, FrameError> {
        let file = File::create_new(&path).map_err(|error| FrameError::unwritable(&path, &error))?;
        // From here on the file is removed if anything fails.
        let mut part = Self {
            path,
            writer: None,
            rows: 0,
        };
        let writer = Writer::new(file, schema, style).map_err(|error| part.failed(&error));
        part.writer = Some(writer?);
        Ok(part)
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), FrameError> {
        let written = match &mut self.writer {
            Some(Writer::Parquet(writer)) => writer.write(batch).map_err(from_parquet),
            Some(Writer::Csv(writer)) => writer.write(batch),
            Some(Writer::Json(writer)) => writer.write(batch),
            Some(Writer::Arrow(writer)) => writer.write(batch),
            None => Ok(()),
        };
        written.map_err(|error| self.failed(&error))?;
        self.rows += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        Ok(())
    }

    /// Completes the file; gives the number of its rows and of its bytes.
    pub(super) fn finish(mut self) -> Result<(i64, i64), FrameError> {
        if let Some(writer) = self.writer.take() {
            writer.finish().map_err(|error| self.failed(&error))?;
        }
        let metadata = self.path.metadata();
        let bytes = metadata
            .map_err(|error| FrameError::unwritable(&self.path, &error))?
            .len();
        // It stays from here on.
        self.path = PathBuf::new();
        Ok((self.rows, i64::try_from(bytes).unwrap_or(i64::MAX)))
    }

    fn failed(&self, error: &ArrowError) -> FrameError {
        match error {
            ArrowError::IoError(_, error) => FrameError::unwritable(&self.path, error),
            other => FrameError::Evaluation {
                message: format!("the rows cannot be written as such a file: {other}"),
            },
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // The folder of unfinished files is removed in the end anyway.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Writer {
    fn new(file: File, schema: &SchemaRef, style: &Style) -> Result<Self, ArrowError> {
        Ok(match style.format {
            WriteFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(codec(style.compression))
                    .build();
                let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties));
                Self::Parquet(Box::new(writer.map_err(from_parquet)?))
            }
            WriteFormat::Csv => {
                let builder = csv::WriterBuilder::new()
                    .with_header(style.header)
                    .with_delimiter(style.delimiter);
                let mut writer = builder.build(Sink::new(file, style.compression));
                // A file without rows has its header.
                writer.write(&RecordBatch::new_empty(schema.clone()))?;
                Self::Csv(Box::new(writer))
            }
            WriteFormat::Json => {
                let builder = json::WriterBuilder::new().with_explicit_nulls(true);
                Self::Json(builder.build(Sink::new(file, style.compression)))
            }
            WriteFormat::Arrow => Self::Arrow(Box::new(ArrowFile::try_new(BufWriter::new(file), schema)?)),
        })
    }

    fn finish(self) -> Result<(), ArrowError> {
        match self {
            Self::Parquet(writer) => writer.close().map(drop).map_err(from_parquet),
            Self::Csv(writer) => Ok(writer.into_inner().finish()?),
            Self::Json(mut writer) => {
                writer.finish()?;
                Ok(writer.into_inner().finish()?)
            }
            Self::Arrow(mut writer) => {
                writer.finish()?;
                Ok(writer.into_inner()?.flush()?)
            }
        }
    }
}

impl Sink {
    fn new(file: File, compression: Compression) -> Self {
        let file = BufWriter::new(file);
        match compression {
            Compression::Gzip => Self::Gzip(Box::new(GzEncoder::new(file, flate2::Compression::default()))),
            _ => Self::Plain(file),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Gzip(encoder) => encoder.finish()?.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Gzip => Codec::GZIP(GzipLevel::default()),
        Compression::Snappy => Codec::SNAPPY,
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
    }
}

fn from_parquet(error: ParquetError) -> ArrowError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => ArrowError::IoError(error.to_string(), *error),
            Err(other) => ArrowError::ExternalError(other),
        },
        other => other.into(),
    }
}
