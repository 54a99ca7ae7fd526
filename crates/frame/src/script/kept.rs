//! `CREATE TABLE … AS` and `INSERT INTO`: queries whose rows a table keeps.

use std::path::Path;

use datafusion::sql::sqlparser::ast::{
    CreateTable, FileFormat, HiveFormat, HiveIOFormat, Insert, Statement as SqlStatement, TableObject,
};

use super::{CatalogChange, Done, Name, Script, Taken, invalid};
use crate::catalog::{Catalog, find};
use crate::error::FrameError;
use crate::request::{TableFormat, TableSource, WriteFormat, WriteMode, WriteTarget};
use crate::sql::{of_ast, unsupported};
use crate::write::unique;

/// The folder below a writable root for tables that are made without a place.
const FOLDER: &str = "tables";

impl Script<'_> {
    pub(super) fn create_table(&self, table: CreateTable) -> Result<Done, FrameError> {
        let name = Name::of(&table.name)?;
        let taken = Taken::of(table.or_replace, table.if_not_exists);
        if table.query.is_none() {
            let message = "a table is made of rows or of files: write CREATE TABLE … AS SELECT …, or \
                           CREATE EXTERNAL TABLE … STORED AS … LOCATION '…'";
            return Err(invalid(message.to_owned(), name.position));
        }
        if !table.columns.is_empty() || !table.constraints.is_empty() {
            let message = "a table that is made of a query has the query's columns: leave out the list";
            return Err(invalid(message.to_owned(), name.position));
        }
        if let Some(kept) = self.check_free(&name, "table", taken)? {
            return Ok(kept);
        }
        let path = self.place_of(&name, table.hive_formats.as_ref())?;
        let target = WriteTarget {
            format: Some(WriteFormat::Parquet),
            mode: Some(match taken {
                Taken::Replace => WriteMode::Overwrite,
                Taken::Keep | Taken::Refuse => WriteMode::Error,
            }),
            ..WriteTarget::of(path.clone())
        };
        let source = TableSource {
            format: Some(TableFormat::Parquet),
            ..TableSource::path(path)
        };
        Ok(Done::Query {
            into: Some(Box::new(target)),
            then: vec![CatalogChange::Table {
                name: name.text,
                table: source,
                taken,
            }],
        })
    }

    /// Where the rows of a new table go: where it says, else to a new folder below the first root that can be written.
    fn place_of(&self, name: &Name, format: Option<&HiveFormat>) -> Result<String, FrameError> {
        let stored = format.and_then(|format| format.storage.as_ref());
        let parquet = HiveIOFormat::FileFormat {
            format: FileFormat::PARQUET,
        };
        if stored.is_some_and(|stored| *stored != parquet) {
            let message = "tables that are made of queries are STORED AS PARQUET: for other formats write \
                           COPY … TO and CREATE EXTERNAL TABLE";
            return Err(invalid(message.to_owned(), name.position));
        }
        if let Some(location) = format.and_then(|format| format.location.clone()) {
            return Ok(location);
        }
        let root = self
            .options
            .writable_roots
            .as_ref()
            .and_then(|roots| roots.first());
        let root = root.and_then(|root| root.to_str()).ok_or_else(|| {
            let message = format!(
                "say where the rows of '{}' are kept: CREATE TABLE … STORED AS PARQUET LOCATION '/folder' AS …",
                name.text
            );
            invalid(message, name.position)
        })?;
        Ok(format!(
            "{root}/{FOLDER}/{}-{}",
            folder_name(&name.text),
            unique()?
        ))
    }

    /// The folder of the table that rows are added to.
    pub(super) async fn insert(&self, insert: &Insert) -> Result<Done, FrameError> {
        let refused = || unsupported(&of_ast(SqlStatement::Insert(insert.clone())));
        let TableObject::TableName(name) = &insert.table else {
            return Err(refused());
        };
        if insert.overwrite || insert.replace_into {
            return Err(invalid(
                "rows are added: write INSERT INTO, or CREATE OR REPLACE TABLE".to_owned(),
                None,
            ));
        }
        let name = Name::of(name)?;
        let request = find(&self.request.tables, &name.text);
        let Some((known, source)) = request.or_else(|| find(&self.catalog.tables, &name.text)) else {
            if let Some((known, _)) = find(&self.catalog.views, &name.text) {
                let message = format!("'{known}' is a view, and rows are added to tables");
                return Err(invalid(message, name.position));
            }
            return Err(self.unknown(&name));
        };
        let target = target_of(known, source, &self.names()).await?;
        Ok(Done::Query {
            into: Some(Box::new(target)),
            then: Vec::new(),
        })
    }
}

async fn target_of(
    name: &str,
    source: &TableSource,
    catalog: &Catalog<'_>,
) -> Result<WriteTarget, FrameError> {
    let invalid = |problem: &str| FrameError::InvalidTable {
        table: name.to_owned(),
        problem: problem.to_owned(),
    };
    let [path] = source.paths.as_slice() else {
        return Err(invalid("rows can be added to a table of one folder only"));
    };
    if !Path::new(path).is_dir() {
        return Err(invalid(
            "rows can be added to a folder only, and it is a file or a pattern",
        ));
    }
    if source.csv.quote != '"' || source.csv.escape.is_some() {
        return Err(invalid(
            "rows cannot be added to CSV files with quotes or escapes of their own",
        ));
    }
    let (format, partition_by) = catalog.layout(name, source).await?;
    Ok(WriteTarget {
        format: Some(match format {
            TableFormat::Csv => WriteFormat::Csv,
            TableFormat::Json => WriteFormat::Json,
            TableFormat::Arrow => WriteFormat::Arrow,
            TableFormat::Parquet => WriteFormat::Parquet,
        }),
        partition_by,
        mode: Some(WriteMode::Append),
        header: (format == TableFormat::Csv).then_some(source.csv.header),
        delimiter: source.csv.delimiter,
        ..WriteTarget::of(path.clone())
    })
}

/// A name as a part of a path.
fn folder_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '_' };
    let plain: String = name.chars().map(plain).take(100).collect();
    // Folders whose names begin so are hidden from readers.
    plain.trim_start_matches('_').to_owned()
}
