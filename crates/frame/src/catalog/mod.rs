//! The tables of a query: finds their files, checks that they may be read, and opens them.
//!
//! Only tables that the query names are looked at, and each once.

mod columns;
mod hive;
mod inline;
mod parquet;
mod paths;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::session_state::SessionState;
use parking_lot::Mutex;

use crate::arrow_file;
use crate::csv;
use crate::error::FrameError;
use crate::files::FileTable;
use crate::json;
use crate::request::{PlannerOptions, TableFormat, TableSource};

pub(crate) use columns::merge as merge_columns;
pub(crate) use hive::{FolderColumn, Folders};
pub(crate) use paths::{FoundFile, looks_like_path};

/// A table that is ready to be planned with.
#[derive(Debug, Clone)]
pub(crate) struct OpenTable {
    pub(crate) provider: Arc<dyn TableProvider>,
    /// Size of its files or rows.
    pub(crate) bytes: u64,
}

/// Where the tables of one query come from.
#[derive(Debug)]
pub(crate) struct Catalog<'a> {
    tables: &'a BTreeMap<String, TableSource>,
    options: &'a PlannerOptions,
    opened: Mutex<BTreeMap<String, OpenTable>>,
}

impl<'a> Catalog<'a> {
    pub(crate) fn new(tables: &'a BTreeMap<String, TableSource>, options: &'a PlannerOptions) -> Self {
        Self {
            tables,
            options,
            opened: Mutex::default(),
        }
    }

    /// Size of all tables that have been opened.
    pub(crate) fn bytes(&self) -> u64 {
        self.opened.lock().values().map(|table| table.bytes).sum()
    }

    /// Names of the tables that the request declares.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// Opens the table that the query calls `name`: one of the request (in any case, as SQL has it), else a path.
    pub(crate) async fn open(
        &self,
        name: &str,
        state: &SessionState,
    ) -> Result<Option<OpenTable>, FrameError> {
        let declared = self.tables.get_key_value(name).or_else(|| {
            self.tables
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
        });
        let (name, source) = match declared {
            Some((name, source)) => (name.as_str(), source.clone()),
            None if looks_like_path(name) => (name, TableSource::path(name)),
            None => return Ok(None),
        };
        let known = self.opened.lock().get(name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let table = self.open_source(name, source, state).await?;
        self.opened.lock().insert(name.to_owned(), table.clone());
        Ok(Some(table))
    }

    async fn open_source(
        &self,
        name: &str,
        source: TableSource,
        state: &SessionState,
    ) -> Result<OpenTable, FrameError> {
        if source.arrow.is_some() {
            let (table, partitions) = (name.to_owned(), state.config().target_partitions());
            return run_blocking(move || inline::open(&table, source, partitions)).await;
        }
        let (table, roots, min_split) = (
            name.to_owned(),
            self.options.roots.clone(),
            self.options.min_split_bytes,
        );
        let located = run_blocking(move || locate(&table, &source, roots.as_deref(), min_split)).await?;
        match located {
            Located::Ours(table) => Ok(OpenTable {
                bytes: table.total_bytes(),
                provider: Arc::new(table),
            }),
            Located::Parquet(files, folders) => parquet::open(&files, folders, state).await,
        }
    }
}

enum Located {
    /// Files that our own operator reads.
    Ours(FileTable),
    Parquet(Vec<FoundFile>, Folders),
}

/// Everything about a table that reads files and blocks.
fn locate(
    table: &str,
    source: &TableSource,
    roots: Option<&[PathBuf]>,
    min_split: u64,
) -> Result<Located, FrameError> {
    let files = paths::expand(table, &source.paths, source.format, roots)?;
    let format = paths::format_of(table, &files, source.format)?;
    let folders = Folders::of(table, &files)?;
    match format {
        TableFormat::Csv => csv::open(table, &files, folders, &source.csv, min_split).map(Located::Ours),
        TableFormat::Json => json::open(table, &files, folders, &source.json, min_split).map(Located::Ours),
        TableFormat::Arrow => arrow_file::open(table, &files, folders, min_split).map(Located::Ours),
        TableFormat::Parquet => Ok(Located::Parquet(files, folders)),
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FrameError> + Send + 'static,
) -> Result<T, FrameError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(FrameError::Engine {
            message: error.to_string(),
        })
    })
}
