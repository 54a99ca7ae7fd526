//! Parquet files as a table of the engine.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::catalog::{FolderColumn, Folders};

/// Parquet files of one table, and the values of their folders. The engine's own listing table takes neither
/// files of different columns nor a list of files in folders.
#[derive(Debug)]
pub(super) struct ParquetTable {
    schema: TableSchema,
    folders: Folders,
    files: Vec<PartitionedFile>,
    /// The values of each file's folders, as the folders spell them.
    values: Vec<Vec<Option<String>>>,
}

impl ParquetTable {
    /// A table whose files have the columns of `schema`, or some of them.
    pub(super) fn new(
        schema: Schema,
        folders: Folders,
        files: Vec<PartitionedFile>,
        values: Vec<Vec<Option<String>>>,
    ) -> Self {
        let columns = folders.columns().iter();
        let columns: Vec<FieldRef> = columns.map(FolderColumn::field).map(Field::into).collect();
        Self {
            schema: TableSchema::builder(Arc::new(schema))
                .with_table_partition_cols(columns)
                .build(),
            folders,
            files,
            values,
        }
    }
}

#[async_trait]
impl TableProvider for ParquetTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(self.folders.pushdown(filters))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = self
            .folders
            .prune(self.values.iter().map(Vec::as_slice), filters, state)?;
        let files = self.files.iter().zip(wanted).filter(|(_, wanted)| *wanted);
        let files: Vec<PartitionedFile> = files.map(|(file, _)| file.clone()).collect();
        if files.is_empty() {
            let all = (0..self.schema.table_schema().fields().len()).collect();
            let schema = self.schema.table_schema().project(projection.unwrap_or(&all))?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema))));
        }
        let known = files.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = Statistics::try_merge_iter(known, self.schema.table_schema())?;
        let share = files.len().div_ceil(state.config().target_partitions().max(1));
        let groups = files.chunks(share).map(|files| FileGroup::new(files.to_vec()));
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_groups(groups.collect())
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        ParquetFormat::default().create_physical_plan(state, config).await
    }
}
