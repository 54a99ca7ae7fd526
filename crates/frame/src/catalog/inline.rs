//! Tables whose rows are in the request, as an Arrow IPC stream.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::datasource::MemTable;

use super::OpenTable;
use crate::error::{FrameError, from_engine};
use crate::ipc::decode_ipc;
use crate::request::TableSource;

/// What the parameters of one operation may hold, and so what a request's rows may.
const MAX_BYTES: usize = 32 << 20;

/// Fewer rows than this in a partition are not worth a task.
const MIN_ROWS: usize = 4096;

/// Opens the rows of `source` as a table of up to `partitions` partitions, so that no task is sent all of them.
pub(super) fn open(table: &str, source: TableSource, partitions: usize) -> Result<OpenTable, FrameError> {
    let invalid = |problem: String| FrameError::InvalidTable {
        table: table.to_owned(),
        problem,
    };
    let stream = source.arrow.unwrap_or_default().into_vec();
    if !source.paths.is_empty() {
        return Err(invalid("it has both paths and rows of its own".to_owned()));
    }
    let bytes = stream.len();
    if bytes > MAX_BYTES {
        return Err(invalid(format!(
            "its rows are {bytes} bytes, and a request may hold {MAX_BYTES}: write them as Parquet where the workers read it"
        )));
    }
    let (schema, batches) = decode_ipc(Bytes::from(stream)).map_err(|error| match error {
        FrameError::MalformedObject { message } => invalid(format!("not an Arrow IPC stream: {message}")),
        other => other,
    })?;
    let (schema, batches) =
        without_dictionaries(&schema, &batches).map_err(|error| invalid(error.to_string()))?;
    let provider = MemTable::try_new(schema, divide(&batches, partitions));
    Ok(OpenTable {
        provider: Arc::new(provider.map_err(|error| from_engine(&error))?),
        bytes: bytes as u64,
    })
}

/// Dictionaries replaced by their values: files with the same column have none either.
fn without_dictionaries(
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, values) => {
            Arc::new(field.as_ref().clone().with_data_type(values.as_ref().clone()))
        }
        _ => Arc::clone(field),
    };
    // Metadata (pandas' index and types) says nothing to the engine, and plans that differ only in it are equal.
    let target = Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()));
    let convert = |batch: &RecordBatch| {
        let columns = batch.columns().iter().zip(target.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()));
        let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
        RecordBatch::try_new(Arc::clone(&target), columns)
    };
    let batches = batches.iter().map(convert).collect::<Result<_, _>>()?;
    Ok((target, batches))
}

/// The rows in order, in as many partitions as they are worth.
fn divide(batches: &[RecordBatch], partitions: usize) -> Vec<Vec<RecordBatch>> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let partitions = rows.div_ceil(MIN_ROWS).clamp(1, partitions.max(1));
    let share = rows.div_ceil(partitions).max(1);
    let mut parts = vec![Vec::new(); partitions];
    let mut start = 0;
    for batch in batches {
        let mut taken = 0;
        while taken < batch.num_rows() {
            let part = (start + taken) / share;
            let count = ((part + 1) * share - start - taken).min(batch.num_rows() - taken);
            parts[part].push(batch.slice(taken, count));
            taken += count;
        }
        start += batch.num_rows();
    }
    parts
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use datafusion::arrow::array::Int64Array;

    use super::*;

    fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(range));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    #[test]
    fn rows_are_divided_evenly_and_in_order() {
        let parts = divide(&[numbers(0..9000), numbers(9000..9001), numbers(9001..20000)], 3);
        let rows = |part: &Vec<RecordBatch>| part.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(parts.iter().map(rows).collect::<Vec<_>>(), [6667, 6667, 6666]);
        let all: Vec<i64> = parts
            .iter()
            .flatten()
            .flat_map(|batch| {
                let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
                column.values().to_vec()
            })
            .collect();
        assert!(all.into_iter().eq(0..20000));
    }

    #[test]
    fn few_rows_are_one_partition_and_none_too() {
        assert_eq!(divide(&[numbers(0..100)], 8).len(), 1);
        assert_eq!(divide(&[], 8), [Vec::new()]);
    }
}
