//! Results in the formats that users ask for.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::WriterBuilder as JsonWriterBuilder;
use datafusion::arrow::json::writer::{JsonArray, LineDelimited};
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::error::FrameError;
use crate::ipc::encode_ipc;

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultFormat {
    /// A table for people, framed with ASCII characters.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object per line.
    JsonLines,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

impl ResultFormat {
    /// The media type of a result in this format.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// Writes the rows of a result.
///
/// # Errors
/// Batches whose columns are not those of `schema`, and types that the format cannot hold.
pub fn render(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    format: ResultFormat,
) -> Result<Bytes, FrameError> {
    let failed = |error: ArrowError| FrameError::Evaluation {
        message: format!("the result cannot be written as {format:?}: {error}"),
    };
    // Not every reader of Arrow and Parquet knows string views yet.
    let (schema, batches) = without_views(schema, batches).map_err(failed)?;
    match format {
        ResultFormat::Table => table(&schema, &batches).map_err(failed),
        ResultFormat::Csv => csv(&schema, &batches).map_err(failed),
        ResultFormat::Json => json(&batches).map_err(failed),
        ResultFormat::JsonLines => json_lines(&batches).map_err(failed),
        ResultFormat::Arrow => encode_ipc(&schema, &batches),
        ResultFormat::Parquet => parquet(&schema, &batches).map_err(|error| failed(error.into())),
    }
}

fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Bytes, ArrowError> {
    let text = pretty_format_batches_with_schema(Arc::clone(schema), batches)?;
    Ok(format!("{text}\n").into())
}

fn csv(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Bytes, ArrowError> {
    let mut bytes = Vec::new();
    let mut writer = WriterBuilder::new().with_header(true).build(&mut bytes);
    // An empty batch first, so that a result without rows has its header.
    writer.write(&RecordBatch::new_empty(Arc::clone(schema)))?;
    for batch in batches {
        writer.write(batch)?;
    }
    drop(writer);
    Ok(bytes.into())
}

fn json(batches: &[RecordBatch]) -> Result<Bytes, ArrowError> {
    let mut writer = with_nulls().build::<_, JsonArray>(Vec::new());
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(writer.into_inner().into())
}

/// Every row has every column, as the schema says; a column that is left out could not be told from none.
fn with_nulls() -> JsonWriterBuilder {
    JsonWriterBuilder::new().with_explicit_nulls(true)
}

fn json_lines(batches: &[RecordBatch]) -> Result<Bytes, ArrowError> {
    let mut writer = with_nulls().build::<_, LineDelimited>(Vec::new());
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(writer.into_inner().into())
}

fn parquet(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Bytes, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?.into())
}

/// Columns of string and binary views as plain ones.
pub(crate) fn without_views(
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        DataType::BinaryView => Arc::new(field.as_ref().clone().with_data_type(DataType::Binary)),
        _ => Arc::clone(field),
    };
    let fields: Vec<Arc<Field>> = schema.fields().iter().map(plain).collect();
    let target = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let convert = |batch: &RecordBatch| {
        let columns = batch.columns().iter().zip(target.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()));
        RecordBatch::try_new(Arc::clone(&target), columns.collect::<Result<_, _>>()?)
    };
    let batches = batches.iter().map(convert).collect::<Result<_, _>>()?;
    Ok((target, batches))
}
