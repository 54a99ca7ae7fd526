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
use crate::request::{PlannerOptions, SessionCatalog, TableFormat, TableSource};

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
    session: &'a SessionCatalog,
    options: &'a PlannerOptions,
    opened: Mutex<BTreeMap<String, OpenTable>>,
    /// Views whose text is being planned, the outermost first.
    views: Vec<String>,
}

impl<'a> Catalog<'a> {
    pub(crate) fn new(
        tables: &'a BTreeMap<String, TableSource>,
        session: &'a SessionCatalog,
        options: &'a PlannerOptions,
    ) -> Self {
        Self {
            tables,
            session,
            options,
            opened: Mutex::default(),
            views: Vec::new(),
        }
    }

    /// Size of all tables that have been opened.
    pub(crate) fn bytes(&self) -> u64 {
        self.opened.lock().values().map(|table| table.bytes).sum()
    }

    /// Names of the tables and views that the request and its session declare.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.keys().map(String::as_str);
        tables.chain(self.session.names())
    }

    /// The view that the query calls `name`, unless a table of the request has that name.
    pub(crate) fn view(&self, name: &str) -> Option<(&str, &str)> {
        if find(self.tables, name).is_some() {
            return None;
        }
        find(&self.session.views, name).map(|(name, query)| (name.as_str(), query.as_str()))
    }

    /// What the text of a view sees: the session without the request's tables, which are gone when it is read.
    /// Refused for a view that is being planned already, which would never end.
    pub(crate) fn for_view(&self, name: &str) -> Result<Self, FrameError> {
        static NONE: BTreeMap<String, TableSource> = BTreeMap::new();
        if self.views.iter().any(|outer| outer.eq_ignore_ascii_case(name)) {
            return Err(FrameError::InvalidQuery {
                message: format!("the view '{name}' reads itself"),
                position: None,
            });
        }
        let mut catalog = Self::new(&NONE, self.session, self.options);
        catalog.views.clone_from(&self.views);
        catalog.views.push(name.to_owned());
        Ok(catalog)
    }

    /// A table that was opened under this name before.
    pub(crate) fn opened(&self, name: &str) -> Option<OpenTable> {
        self.opened.lock().get(name).cloned()
    }

    /// Keeps a table for the next time that it is named.
    pub(crate) fn keep(&self, name: &str, table: &OpenTable) {
        self.opened.lock().insert(name.to_owned(), table.clone());
    }

    /// Opens the table that the query calls `name`: one of the request or of the session (in any case, as SQL has it),
    /// else a path.
    pub(crate) async fn open(
        &self,
        name: &str,
        state: &SessionState,
    ) -> Result<Option<OpenTable>, FrameError> {
        let declared = find(self.tables, name).or_else(|| find(&self.session.tables, name));
        let (name, source) = match declared {
            Some((name, source)) => (name.as_str(), source.clone()),
            None if looks_like_path(name) => (name, TableSource::path(name)),
            None => return Ok(None),
        };
        if let Some(known) = self.opened(name) {
            return Ok(Some(known));
        }
        let table = self.open_source(name, source, state).await?;
        self.keep(name, &table);
        Ok(Some(table))
    }

    /// The format of a table's files, and the columns that their folders name.
    pub(crate) async fn layout(
        &self,
        name: &str,
        source: &TableSource,
    ) -> Result<(TableFormat, Vec<String>), FrameError> {
        let (table, source, roots) = (name.to_owned(), source.clone(), self.options.roots.clone());
        run_blocking(move || {
            let files = paths::expand(&table, &source.paths, source.format, roots.as_deref())?;
            let format = paths::format_of(&table, &files, source.format)?;
            Ok((format, Folders::of(&table, &files)?.names()))
        })
        .await
    }

    /// Opens what a table says that it is.
    pub(crate) async fn open_source(
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

/// By its name, else by one that differs in case.
pub(crate) fn find<'a, T>(named: &'a BTreeMap<String, T>, name: &str) -> Option<(&'a String, &'a T)> {
    let exact = named.get_key_value(name);
    exact.or_else(|| named.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)))
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
