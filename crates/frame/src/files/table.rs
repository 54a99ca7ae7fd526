//! A table of files that our own operator reads.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::DataFile;
use super::format::FileFormat;
use super::scan::{FileScanExec, FileScanSpec};
use super::split::split;
use crate::catalog::{FolderColumn, Folders};

/// Bytes that are sampled of all files together, so that a table of thousands of files is planned in seconds.
const SAMPLE_BUDGET: u64 = 256 << 20;
/// Bytes of one sample: small enough to be quick, and files up to four times this are read whole.
const LARGEST_SAMPLE: u64 = 2 << 20;
const SMALLEST_SAMPLE: u64 = 64 << 10;

/// How many bytes to look at in each of three places of a file, to infer the columns of a table of `files`.
pub(crate) fn sample_window(files: usize) -> u64 {
    (SAMPLE_BUDGET / 3 / files.max(1) as u64).clamp(SMALLEST_SAMPLE, LARGEST_SAMPLE)
}

/// Files of one format with the same columns, read as one table in the order of the files.
#[derive(Debug)]
pub(crate) struct FileTable {
    schema: SchemaRef,
    format: FileFormat,
    folders: Folders,
    /// The columns of `schema` among those of the format and, after them, of the folders.
    columns: Vec<usize>,
    files: Vec<DataFile>,
    bytes_per_row: f64,
    min_split_bytes: u64,
}

impl FileTable {
    /// A table of `files`, whose rows are `bytes_per_row` long on average.
    pub(crate) fn new(
        format: FileFormat,
        folders: Folders,
        files: Vec<DataFile>,
        bytes_per_row: f64,
        min_split_bytes: u64,
    ) -> Self {
        let own = format.fields();
        let is_hidden = |index: &usize| {
            own.get(*index)
                .is_some_and(|field| folders.contains(field.name()))
        };
        let mut fields = own.clone();
        fields.extend(folders.columns().iter().map(FolderColumn::field));
        let columns: Vec<usize> = (0..fields.len()).filter(|index| !is_hidden(index)).collect();
        let visible = columns.iter().map(|index| fields[*index].clone());
        Self {
            schema: Arc::new(Schema::new(visible.collect::<Vec<_>>())),
            format,
            folders,
            columns,
            files,
            bytes_per_row,
            min_split_bytes,
        }
    }

    /// Size of all files.
    pub(crate) fn total_bytes(&self) -> u64 {
        total(&self.files)
    }
}

fn total(files: &[DataFile]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
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
            .prune(self.files.iter().map(|file| &file.folders[..]), filters, state)?;
        let files: Vec<DataFile> = self
            .files
            .iter()
            .zip(wanted)
            .filter(|(_, wanted)| *wanted)
            .map(|(file, _)| file.clone())
            .collect();
        let parts = state.config().target_partitions();
        Ok(Arc::new(FileScanExec::try_new(FileScanSpec {
            slices: split(&files, parts, self.min_split_bytes),
            format: self.format.clone(),
            folders: self.folders.columns().to_vec(),
            projection: match projection {
                Some(wanted) => wanted.iter().map(|index| self.columns[*index]).collect(),
                None => self.columns.clone(),
            },
            limit,
            estimated_rows: (total(&files) as f64 / self.bytes_per_row.max(1.0)) as usize,
        })?))
    }
}
