//! `SHOW TABLES`, `SHOW COLUMNS` and `DESCRIBE`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{ObjectName, ShowStatementOptions};

use super::{Done, Name, Script, invalid, rows};
use crate::error::FrameError;
use crate::sql::open_table;

impl Script<'_> {
    /// The names of the session, in order.
    pub(super) fn show_tables(&self, options: &ShowStatementOptions) -> Result<Done, FrameError> {
        if options.show_in.is_some() || is_filtered(options) {
            return Err(invalid(
                "SHOW TABLES shows all, without conditions".to_owned(),
                None,
            ));
        }
        let tables = self.catalog.tables.iter();
        let tables = tables.map(|(name, source)| (name.as_str(), "table", source.paths.join(", ")));
        let views = self.catalog.views.iter();
        let views = views.map(|(name, query)| (name.as_str(), "view", query.clone()));
        let mut all: Vec<(&str, &str, String)> = tables.chain(views).collect();
        all.sort();
        rows([
            ("name", texts(all.iter().map(|(name, ..)| *name))),
            ("kind", texts(all.iter().map(|(_, kind, _)| *kind))),
            ("definition", texts(all.iter().map(|(.., definition)| definition))),
        ])
    }

    pub(super) async fn show_columns(&self, options: &ShowStatementOptions) -> Result<Done, FrameError> {
        let table = options
            .show_in
            .as_ref()
            .and_then(|place| place.parent_name.as_ref());
        match table {
            Some(table) if !is_filtered(options) => self.describe(table).await,
            _ => Err(invalid(
                "write SHOW COLUMNS FROM a table, without conditions".to_owned(),
                None,
            )),
        }
    }

    /// The columns of a table, a view or a path.
    pub(super) async fn describe(&self, table: &ObjectName) -> Result<Done, FrameError> {
        let name = Name::of(table)?;
        let catalog = self.names();
        let open = Box::pin(open_table(&name.text, &catalog, &self.context)).await?;
        let schema = open.ok_or_else(|| self.unknown(&name))?.provider.schema();
        let fields = || schema.fields().iter();
        let nullable: BooleanArray = fields().map(|field| Some(field.is_nullable())).collect();
        rows([
            ("column", texts(fields().map(|field| field.name()))),
            ("type", texts(fields().map(|field| type_name(field.data_type())))),
            ("nullable", Arc::new(nullable)),
        ])
    }
}

const fn is_filtered(options: &ShowStatementOptions) -> bool {
    options.starts_with.is_some() || options.limit.is_some() || options.filter_position.is_some()
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// What SQL calls a type; the engine's name where it has none.
fn type_name(kind: &DataType) -> String {
    let name = match kind {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA",
        DataType::Date32 => "DATE",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Decimal128(precision, scale) => return format!("DECIMAL({precision}, {scale})"),
        other => return other.to_string(),
    };
    name.to_owned()
}
