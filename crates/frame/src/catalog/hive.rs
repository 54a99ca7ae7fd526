//! Folders named `key=value` as columns of the files beneath them, as Hive and Spark write them.
//!
//! A query that filters by such a column reads only the files of the folders that it wants.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::FoundFile;
use crate::error::FrameError;
use crate::files::value::{parse_date, parse_int};
use crate::request::ColumnType;

/// What Hive and Spark write for a missing value.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The `key=value` folders of a path, in order; a missing value is `None`. Other folders say nothing.
pub(super) fn folder_values(folders: &Path) -> Vec<(String, Option<String>)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    folders
        .components()
        .filter_map(|folder| folder.as_os_str().to_str()?.split_once('='))
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (decode(key), (value != MISSING).then(|| decode(value))))
        .collect()
}

/// A column whose values are in the names of folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FolderColumn {
    name: String,
    kind: ColumnType,
}

impl FolderColumn {
    /// The column as the engine sees it.
    pub(crate) fn field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), true)
    }

    /// The value that a folder spells.
    pub(crate) fn value(&self, text: Option<&str>) -> Result<ScalarValue> {
        let Some(text) = text else {
            return ScalarValue::try_from(self.kind.data_type());
        };
        let value = match self.kind {
            ColumnType::Int => parse_int(text).map(|value| ScalarValue::Int64(Some(value))),
            ColumnType::Date => parse_date(text).map(|value| ScalarValue::Date32(Some(value))),
            _ => Some(ScalarValue::Utf8View(Some(text.to_owned()))),
        };
        value.map_or_else(
            || exec_err!("folder {}={text} is not {}", self.name, self.kind.noun()),
            Ok,
        )
    }
}

/// The folder columns of a table; none if its folders are plain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folders {
    columns: Vec<FolderColumn>,
}

impl Folders {
    /// The names of the columns, outermost folder first.
    pub(super) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The columns of `files`, which must all lie in folders of the same keys. A column is of integers or of dates
    /// if all its values are, else of texts.
    pub(crate) fn of(table: &str, files: &[FoundFile]) -> Result<Self, FrameError> {
        let invalid = |problem: String| FrameError::InvalidTable {
            table: table.to_owned(),
            problem,
        };
        let Some(first) = files.first() else {
            return Ok(Self::default());
        };
        let keys = keys(first);
        if let Some(other) = files.iter().find(|file| self::keys(file) != keys) {
            return Err(invalid(format!(
                "'{}' is in {}, but '{}' is in {}: all files need folders of the same keys in the same order",
                other.path.display(),
                spell(other),
                first.path.display(),
                spell(first)
            )));
        }
        let column = |(index, name): (usize, &&str)| -> Result<FolderColumn, FrameError> {
            if keys[..index].contains(name) {
                return Err(invalid(format!(
                    "'{}' is in two folders of the key '{name}'",
                    first.path.display()
                )));
            }
            let values = || files.iter().filter_map(|file| file.folders[index].1.as_deref());
            let kind = [ColumnType::Int, ColumnType::Date]
                .into_iter()
                .find(|kind| values().next().is_some() && values().all(|text| kind.accepts(text)));
            Ok(FolderColumn {
                name: (*name).to_owned(),
                kind: kind.unwrap_or(ColumnType::Text),
            })
        };
        let columns = keys.iter().enumerate().map(column).collect::<Result<_, _>>()?;
        Ok(Self { columns })
    }

    /// The columns, in the order of the folders.
    pub(crate) fn columns(&self) -> &[FolderColumn] {
        &self.columns
    }

    /// Whether `column` is one of them. It hides a column of that name in the files, as with other readers of Hive's
    /// folders.
    pub(crate) fn contains(&self, column: &str) -> bool {
        self.columns.iter().any(|folder| folder.name == column)
    }

    /// Which filters [`Self::prune`] answers in full: those on nothing but the folders.
    pub(crate) fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        let answer = |filter: &&Expr| {
            if self.decides(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        filters.iter().map(answer).collect()
    }

    fn decides(&self, filter: &Expr) -> bool {
        let is_query = |expr: &Expr| {
            matches!(
                expr,
                Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
            )
        };
        let columns = filter.column_refs();
        !columns.is_empty()
            && columns.iter().all(|column| self.contains(&column.name))
            && !filter.is_volatile()
            && !filter.contains_outer()
            && !filter.exists(|expr| Ok(is_query(expr))).unwrap_or(true)
    }

    /// Which files may hold rows that pass `filters`, by the values of their folders.
    pub(crate) fn prune<'a>(
        &self,
        files: impl Iterator<Item = &'a [Option<String>]>,
        filters: &[Expr],
        session: &dyn Session,
    ) -> Result<Vec<bool>> {
        let files: Vec<_> = files.collect();
        if filters.is_empty() || files.is_empty() {
            return Ok(vec![true; files.len()]);
        }
        let column = |(index, column): (usize, &FolderColumn)| -> Result<ArrayRef> {
            let values = files.iter().map(|file| column.value(file[index].as_deref()));
            ScalarValue::iter_to_array(values.collect::<Result<Vec<_>>>()?)
        };
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(column)
            .collect::<Result<_>>()?;
        let fields: Vec<Field> = self.columns.iter().map(FolderColumn::field).collect();
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let schema = DFSchema::try_from(schema)?;
        let mut wanted = vec![true; files.len()];
        for filter in filters {
            let filter = session.create_physical_expr(filter.clone(), &schema)?;
            let passes = filter.evaluate(&rows)?.into_array(files.len())?;
            let Some(passes) = passes.as_boolean_opt() else {
                return internal_err!("a filter is not a truth value");
            };
            for (row, wanted) in wanted.iter_mut().enumerate() {
                *wanted &= passes.is_valid(row) && passes.value(row);
            }
        }
        Ok(wanted)
    }
}

fn keys(file: &FoundFile) -> Vec<&str> {
    file.folders.iter().map(|(key, _)| key.as_str()).collect()
}

fn spell(file: &FoundFile) -> String {
    if file.folders.is_empty() {
        return "no key=value folder".to_owned();
    }
    let folders = keys(file).into_iter().map(|key| format!("{key}=…"));
    folders.collect::<Vec<_>>().join("/")
}
