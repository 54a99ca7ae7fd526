//! A table of CSV files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::dialect::Dialect;
use super::infer::{Profile, profile};
use super::read::{CsvColumn, stat};
use super::scan::{CsvScanExec, CsvScanSpec};
use super::split::{CsvFile, split};
use crate::error::FrameError;
use crate::request::{CsvOptions, CsvType};

/// Bytes that are sampled of all files together, so that a table of thousands of files is planned in seconds.
const SAMPLE_BUDGET: u64 = 256 << 20;
/// Bytes of one sample: small enough to be quick, and files up to four times this are read whole.
const LARGEST_SAMPLE: u64 = 2 << 20;
const SMALLEST_SAMPLE: u64 = 64 << 10;

/// CSV files with the same columns, read as one table in the order of the files.
#[derive(Debug)]
pub(crate) struct CsvTable {
    schema: SchemaRef,
    columns: Arc<[CsvColumn]>,
    dialect: Dialect,
    files: Vec<CsvFile>,
    bytes_per_row: f64,
    min_split_bytes: u64,
}

impl CsvTable {
    /// Infers the columns of `paths`, which must not be empty. Blocks on file reads.
    pub(crate) fn infer(
        name: &str,
        paths: &[PathBuf],
        options: &CsvOptions,
        min_split_bytes: u64,
    ) -> Result<Self, FrameError> {
        let invalid = |problem: String| FrameError::InvalidTable {
            table: name.to_owned(),
            problem,
        };
        let first = paths.first().ok_or_else(|| invalid("no files".to_owned()))?;
        let dialect = Dialect::new(name, options, first)?;
        let window = (SAMPLE_BUDGET / 3 / paths.len() as u64).clamp(SMALLEST_SAMPLE, LARGEST_SAMPLE);
        let mut files = Vec::with_capacity(paths.len());
        let mut table: Option<Profile> = None;
        for path in paths {
            let mut file = open(path, options)?;
            let seen = profile(&file, &dialect, options, window)?;
            file.multiline |= seen.multiline;
            files.push(file);
            table = Some(match table {
                None => seen,
                Some(table) => merge(table, seen, path)?,
            });
        }
        let table = table.ok_or_else(|| invalid("no files".to_owned()))?;
        if let Some(unknown) = options.types.keys().find(|column| !table.names.contains(column)) {
            return Err(invalid(format!(
                "the CSV option types names '{unknown}', which is not a column"
            )));
        }
        let columns = columns(&table, options);
        let fields = columns
            .iter()
            .map(|column| Field::new(&column.name, column.kind.data_type(), true));
        Ok(Self {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            columns: columns.into(),
            dialect,
            files,
            bytes_per_row: table.sampled_bytes as f64 / table.sampled_rows.max(1) as f64,
            min_split_bytes,
        })
    }

    /// Size of all files.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

fn open(path: &Path, options: &CsvOptions) -> Result<CsvFile, FrameError> {
    let (size, modified) = stat(path)?;
    let gzip = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(CsvFile {
        path: path.to_owned(),
        size,
        modified,
        gzip,
        multiline: options.multiline,
    })
}

fn merge(mut table: Profile, file: Profile, path: &Path) -> Result<Profile, FrameError> {
    if table.names != file.names {
        return Err(FrameError::CsvColumns {
            path: path.to_owned(),
            expected: table.names,
            found: file.names,
        });
    }
    for (kind, other) in table.kinds.iter_mut().zip(file.kinds) {
        *kind = match (*kind, other) {
            (Some(kind), Some(other)) => Some(kind.widen(other)),
            (kind, other) => kind.or(other),
        };
    }
    table.sampled_rows += file.sampled_rows;
    table.sampled_bytes += file.sampled_bytes;
    Ok(table)
}

fn columns(profile: &Profile, options: &CsvOptions) -> Vec<CsvColumn> {
    let column = |(name, kind): (&String, &Option<CsvType>)| CsvColumn {
        name: name.clone(),
        // A column that seems all missing is text, which holds whatever turns up.
        kind: options
            .types
            .get(name)
            .copied()
            .or(*kind)
            .unwrap_or(CsvType::Text),
    };
    profile.names.iter().zip(&profile.kinds).map(column).collect()
}

#[async_trait]
impl TableProvider for CsvTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let parts = state.config().target_partitions();
        let spec = CsvScanSpec {
            slices: split(&self.files, parts, self.min_split_bytes),
            dialect: self.dialect.clone(),
            columns: self.columns.to_vec(),
            projection: projection
                .cloned()
                .unwrap_or_else(|| (0..self.columns.len()).collect()),
            limit,
            estimated_rows: (self.total_bytes() as f64 / self.bytes_per_row.max(1.0)) as usize,
        };
        Ok(Arc::new(CsvScanExec::new(spec)))
    }
}
