//! `CREATE EXTERNAL TABLE`: files that get a name.

use datafusion::sql::parser::CreateExternalTable;
use datafusion::sql::sqlparser::ast::{ColumnDef, DataType, Ident, Value};

use super::{CatalogChange, Done, Name, Script, Taken, answered, invalid};
use crate::error::FrameError;
use crate::request::{ColumnType, TableFormat, TableSource};
use crate::sql::nearest;

/// Options of text files that statements can give.
const OPTIONS: [&str; 10] = [
    "header",
    "delimiter",
    "quote",
    "escape",
    "comment",
    "null_value",
    "keep_default_na",
    "infer_dates",
    "multiline",
    "ignore_unknown",
];

impl Script<'_> {
    pub(super) async fn external(&mut self, table: CreateExternalTable) -> Result<Done, FrameError> {
        let name = Name::of(&table.name)?;
        let taken = Taken::of(table.or_replace, table.if_not_exists);
        if let Some(kept) = self.check_free(&name, "table", taken)? {
            return Ok(kept);
        }
        let problem = |problem: String| FrameError::InvalidTable {
            table: name.text.clone(),
            problem,
        };
        let source = source_of(&table).map_err(&problem)?;
        // Opened now, so that a file that is missing or broken is told to who names it.
        let opened = {
            let catalog = self.names();
            catalog
                .open_source(&name.text, source.clone(), &self.context.state())
                .await?
        };
        let schema = opened.provider.schema();
        if let Some(missing) = table
            .table_partition_cols
            .iter()
            .find(|column| schema.column_with_name(column).is_none())
        {
            let text = format!("no folder is named {missing}=…, by which it is said to be partitioned");
            return Err(problem(text));
        }
        if source.arrow.is_some() {
            return Err(invalid(
                "a table of a session is made of files".to_owned(),
                name.position,
            ));
        }
        self.change(CatalogChange::Table {
            name: name.text.clone(),
            table: source,
            taken,
        });
        answered(format!("table '{}' is made", name.text))
    }
}

fn source_of(table: &CreateExternalTable) -> Result<TableSource, String> {
    if table.unbounded || !table.order_exprs.is_empty() || !table.constraints.is_empty() {
        return Err("UNBOUNDED, WITH ORDER and constraints are not supported".to_owned());
    }
    let format = format_named(&table.file_type)?;
    let mut source = TableSource {
        paths: table.locations.clone(),
        format: Some(format),
        ..TableSource::path("")
    };
    for (name, value) in &table.options {
        set(&mut source, name, value)?;
    }
    name_columns(&mut source, &table.columns, format)?;
    Ok(source)
}

fn format_named(name: &str) -> Result<TableFormat, String> {
    match name.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => Ok(TableFormat::Csv),
        "json" | "jsonl" | "ndjson" => Ok(TableFormat::Json),
        "arrow" | "feather" | "ipc" => Ok(TableFormat::Arrow),
        "parquet" => Ok(TableFormat::Parquet),
        _ => Err(format!("STORED AS {name}: files are PARQUET, CSV, JSON or ARROW")),
    }
}

fn set(source: &mut TableSource, name: &str, value: &Value) -> Result<(), String> {
    let name = name.to_ascii_lowercase();
    // The engine's own names begin so.
    let name = name.strip_prefix("format.").unwrap_or(&name);
    let text = match value {
        Value::Boolean(value) => value.to_string(),
        Value::Number(text, _) => text.clone(),
        other => other.clone().into_string().unwrap_or_else(|| other.to_string()),
    };
    let (csv, json) = (&mut source.csv, &mut source.json);
    match (name, source.format) {
        ("header" | "has_header", Some(TableFormat::Csv)) => csv.header = truth(name, &text)?,
        ("delimiter", Some(TableFormat::Csv)) => csv.delimiter = Some(character(name, &text)?),
        ("quote", Some(TableFormat::Csv)) => csv.quote = character(name, &text)?,
        ("escape", Some(TableFormat::Csv)) => csv.escape = Some(character(name, &text)?),
        ("comment", Some(TableFormat::Csv)) => csv.comment = Some(character(name, &text)?),
        ("null_value", Some(TableFormat::Csv)) => csv.na_values.push(text),
        ("keep_default_na", Some(TableFormat::Csv)) => csv.keep_default_na = truth(name, &text)?,
        ("multiline" | "newlines_in_values", Some(TableFormat::Csv)) => csv.multiline = truth(name, &text)?,
        ("infer_dates", Some(TableFormat::Csv)) => csv.infer_dates = truth(name, &text)?,
        ("infer_dates", Some(TableFormat::Json)) => json.infer_dates = truth(name, &text)?,
        ("ignore_unknown", Some(TableFormat::Json)) => json.ignore_unknown = truth(name, &text)?,
        (known, _) if OPTIONS.contains(&known) => {
            return Err(format!("files of this format have no option '{known}'"));
        }
        (other, _) => {
            let near = nearest(other, OPTIONS.into_iter());
            let near = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
            return Err(format!(
                "there is no option '{other}'{near} ({})",
                OPTIONS.join(", ")
            ));
        }
    }
    Ok(())
}

fn truth(option: &str, text: &str) -> Result<bool, String> {
    let parsed = text.to_ascii_lowercase().parse();
    parsed.map_err(|_| format!("{option} is true or false, not '{text}'"))
}

fn character(option: &str, text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        // In SQL a backslash is one, and nobody can type a tab.
        (Some('\\'), Some('t')) if text.len() == 2 => Ok('\t'),
        _ => Err(format!("{option} is one character, not '{text}'")),
    }
}

/// Gives text files the names and types that the statement lists.
fn name_columns(source: &mut TableSource, columns: &[ColumnDef], format: TableFormat) -> Result<(), String> {
    if columns.is_empty() {
        return Ok(());
    }
    let types = columns
        .iter()
        .map(|column| Ok((name_of(&column.name), column_type(&column.data_type)?)))
        .collect::<Result<_, String>>()?;
    match format {
        TableFormat::Csv => {
            source.csv.columns = Some(columns.iter().map(|column| name_of(&column.name)).collect());
            source.csv.types = types;
        }
        TableFormat::Json => source.json.types = types,
        TableFormat::Arrow | TableFormat::Parquet => {
            return Err("such files name and type their columns themselves: leave out the list".to_owned());
        }
    }
    Ok(())
}

fn name_of(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn column_type(kind: &DataType) -> Result<ColumnType, String> {
    let text = kind.to_string().to_ascii_uppercase();
    let word = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    match word {
        "BOOLEAN" | "BOOL" => Ok(ColumnType::Bool),
        "TINYINT" | "SMALLINT" | "INT" | "INTEGER" | "BIGINT" | "INT2" | "INT4" | "INT8" => {
            Ok(ColumnType::Int)
        }
        "FLOAT" | "REAL" | "DOUBLE" | "FLOAT4" | "FLOAT8" => Ok(ColumnType::Float),
        "DATE" => Ok(ColumnType::Date),
        "TIMESTAMPTZ" => Ok(ColumnType::TimestampUtc),
        "TIMESTAMP" if text.contains("WITH TIME ZONE") => Ok(ColumnType::TimestampUtc),
        "TIMESTAMP" | "DATETIME" => Ok(ColumnType::Timestamp),
        "VARCHAR" | "CHAR" | "CHARACTER" | "TEXT" | "STRING" => Ok(ColumnType::Text),
        _ => Err(format!(
            "columns of text files are BOOLEAN, BIGINT, DOUBLE, DATE, TIMESTAMP or VARCHAR, not {text}: cast them in a query"
        )),
    }
}
