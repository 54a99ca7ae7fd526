//! Tables of Parquet files, read by the engine's own scan, which splits them by row groups.

mod table;

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::session_state::SessionState;
use datafusion::object_store::path::Path as ObjectPath;
use datafusion::object_store::{ObjectMeta, ObjectStore};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::{Folders, FoundFile, OpenTable, columns};
use crate::error::{FrameError, from_engine};
use table::ParquetTable;

/// Footers that are read at a time.
const CONCURRENCY: usize = 32;

/// Opens `files` as one table; reads their footers.
pub(super) async fn open(
    files: &[FoundFile],
    folders: Folders,
    state: &SessionState,
) -> Result<OpenTable, FrameError> {
    let store = state
        .runtime_env()
        .object_store(ObjectStoreUrl::local_filesystem())
        .map_err(|error| from_engine(&error))?;
    let reader = FooterReader {
        format: ParquetFormat::default(),
        folders: &folders,
        store,
        state,
    };
    // Boxed, so that the compiler can tell that a future with borrowed files may go from thread to thread.
    let reads: Vec<BoxFuture<'_, _>> = files.iter().map(|file| reader.read(file).boxed()).collect();
    let footers: Vec<Footer> = futures::stream::iter(reads)
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let schemas = files.iter().zip(&footers);
    let schema = columns::merge(schemas.map(|(file, footer)| (file.path.as_path(), &*footer.schema)))?;
    let mut table = Vec::with_capacity(files.len());
    let mut bytes = 0;
    for (file, footer) in files.iter().zip(footers) {
        bytes += footer.meta.size;
        table.push(partitioned(file, footer, &schema, &folders)?);
    }
    let spelled = files.iter().map(FoundFile::folder_values).collect();
    let provider = ParquetTable::new(schema, folders, table, spelled);
    Ok(OpenTable {
        provider: Arc::new(provider),
        bytes,
    })
}

/// What the end of a file tells.
struct Footer {
    meta: ObjectMeta,
    schema: SchemaRef,
    /// Of the columns of `schema`.
    statistics: Statistics,
}

struct FooterReader<'a> {
    format: ParquetFormat,
    folders: &'a Folders,
    store: Arc<dyn ObjectStore>,
    state: &'a SessionState,
}

impl FooterReader<'_> {
    async fn read(&self, file: &FoundFile) -> Result<Footer, FrameError> {
        let meta = object_meta(file)?;
        let name = |error| name_file(&from_engine(&error), file);
        let objects = [meta.clone()];
        let schema = self.format.infer_schema(self.state, &self.store, &objects);
        let schema = schema.await.map_err(name)?;
        let own = schema
            .fields()
            .iter()
            .filter(|field| !self.folders.contains(field.name()));
        let schema = Arc::new(Schema::new(own.cloned().collect::<Vec<_>>()));
        let statistics = self
            .format
            .infer_stats(self.state, &self.store, Arc::clone(&schema), &meta);
        Ok(Footer {
            statistics: statistics.await.map_err(name)?,
            meta,
            schema,
        })
    }
}

fn object_meta(file: &FoundFile) -> Result<ObjectMeta, FrameError> {
    let unreadable = |error| FrameError::unreadable(&file.path, &error);
    let meta = std::fs::metadata(&file.path).map_err(unreadable)?;
    if meta.len() == 0 {
        return Err(FrameError::Parquet {
            message: format!("'{}' is empty", file.path.display()),
        });
    }
    let location = ObjectPath::from_absolute_path(&file.path).map_err(|error| FrameError::Engine {
        message: error.to_string(),
    })?;
    Ok(ObjectMeta {
        location,
        last_modified: meta.modified().map_err(unreadable)?.into(),
        size: meta.len(),
        e_tag: None,
        version: None,
    })
}

/// The file as the engine's scan wants it, with what is known of each of the table's columns.
fn partitioned(
    file: &FoundFile,
    footer: Footer,
    table: &Schema,
    folders: &Folders,
) -> Result<PartitionedFile, FrameError> {
    let Footer {
        meta,
        schema,
        statistics,
    } = footer;
    let rows = statistics.num_rows;
    let mut known = Statistics {
        num_rows: rows,
        total_byte_size: statistics.total_byte_size,
        column_statistics: Vec::new(),
    };
    for field in table.fields() {
        let own = schema.column_with_name(field.name());
        let column = match own {
            Some((index, own)) if own.data_type() == field.data_type() => {
                statistics.column_statistics[index].clone()
            }
            // Bounds of another type would be compared as if they were of this one.
            _ => ColumnStatistics::new_unknown(),
        };
        known.column_statistics.push(column);
    }
    let values = file.folders.iter().zip(folders.columns());
    let values = values.map(|((_, text), column)| column.value(text.as_deref()));
    let values = values
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| from_engine(&error))?;
    for value in &values {
        known.column_statistics.push(ColumnStatistics {
            null_count: if value.is_null() {
                rows
            } else {
                Precision::Exact(0)
            },
            min_value: Precision::Exact(value.clone()),
            max_value: Precision::Exact(value.clone()),
            ..ColumnStatistics::new_unknown()
        });
    }
    let mut partitioned = PartitionedFile::new_from_meta(meta).with_partition_values(values);
    partitioned.statistics = Some(Arc::new(known));
    Ok(partitioned)
}

fn name_file(error: &FrameError, file: &FoundFile) -> FrameError {
    let message = match error {
        FrameError::Parquet { message } | FrameError::Engine { message } => message,
        other => return other.clone(),
    };
    FrameError::Parquet {
        message: format!("'{}': {message}", file.path.display()),
    }
}
