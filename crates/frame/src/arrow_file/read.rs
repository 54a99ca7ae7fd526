//! Reads one slice of an Arrow file as record batches of the table's columns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion_proto::protobuf;
use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_bytes::ByteBuf;

use super::file::{Reader, malformed};
use crate::error::FrameError;
use crate::files::{BatchSink, SliceRead};

/// The columns of a table's files, some of which a file may lack, or have with a narrower type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ArrowFormat {
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub(super) schema: SchemaRef,
}

impl ArrowFormat {
    /// The columns as the engine sees them.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone())
            .collect()
    }

    /// Hands the batches of a slice to `sink`: those that begin in its bytes.
    pub(crate) fn read(&self, read: &SliceRead<'_>, sink: &mut BatchSink<'_>) -> Result<(), FrameError> {
        let slice = read.slice;
        let path = &slice.file.path;
        let malformed = |error: ArrowError| malformed(path, &error);
        let all = Reader::open(path, None)?.schema();
        let is_wanted = |index: &usize| read.schema.column_with_name(all.field(*index).name()).is_some();
        let projection = (0..all.fields().len()).filter(is_wanted).collect();
        match Reader::open(path, Some(projection))? {
            Reader::File(mut reader, offsets) => {
                for (index, offset) in offsets.into_iter().enumerate() {
                    if !(slice.start..slice.end).contains(&offset) {
                        continue;
                    }
                    reader.set_index(index).map_err(malformed)?;
                    let Some(batch) = reader.next() else { break };
                    if !give(&batch.map_err(malformed)?, read, sink).map_err(malformed)? {
                        break;
                    }
                }
            }
            Reader::Stream(reader) => {
                for batch in reader {
                    if !give(&batch.map_err(malformed)?, read, sink).map_err(malformed)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Hands a batch of the file to `sink` in pieces of the engine's size.
fn give(batch: &RecordBatch, read: &SliceRead<'_>, sink: &mut BatchSink<'_>) -> Result<bool, ArrowError> {
    let rows = batch.num_rows();
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => fit(column, field),
        None => Ok(new_null_array(field.data_type(), rows)),
    };
    let columns = read
        .schema
        .fields()
        .iter()
        .map(column)
        .collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&read.schema), columns, &options)?;
    let size = read.batch_size.max(1);
    Ok((0..rows)
        .step_by(size)
        .all(|start| sink(batch.slice(start, size.min(rows - start)))))
}

fn fit(column: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, field.data_type(), &options)
}

fn encode<S: Serializer>(schema: &SchemaRef, serializer: S) -> Result<S::Ok, S::Error> {
    let schema = protobuf::Schema::try_from(schema.as_ref()).map_err(ser::Error::custom)?;
    ByteBuf::from(schema.encode_to_vec()).serialize(serializer)
}

fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SchemaRef, D::Error> {
    let bytes = ByteBuf::deserialize(deserializer)?;
    let schema = protobuf::Schema::decode(&bytes[..]).map_err(de::Error::custom)?;
    Ok(Arc::new(Schema::try_from(&schema).map_err(de::Error::custom)?))
}
