//! `millstream sql`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail};
use millstream::api::{ResultFormat, SqlOptions, SqlRequest, TableSource};
use millstream::{Client, ClientOptions, JobId};

use crate::args::{Format, SqlArgs};
use crate::progress::Progress;
use crate::settings::Loading;
use crate::{interrupt, output};

pub(crate) async fn run(args: SqlArgs, loading: Loading) -> anyhow::Result<()> {
    let format = args
        .format
        .or_else(|| args.output.as_deref().and_then(format_of_name))
        .unwrap_or(Format::Table);
    if matches!(format, Format::Arrow | Format::Parquet)
        && args.output.is_none()
        && std::io::IsTerminal::is_terminal(&std::io::stdout())
    {
        bail!("{format:?} is not for a terminal: write it to a file with -o FILE, or choose --format table");
    }
    let gateway = args.gateway.is_some() || std::env::var_os(millstream::GATEWAY_VARIABLE).is_some();
    let request = SqlRequest {
        query: query(&args)?,
        session: args.session.clone(),
        tables: tables(&args.tables, gateway)?,
        params: args.params.iter().map(|text| param(text)).collect(),
        options: SqlOptions {
            format: Some(result_format(format)),
            ..SqlOptions::default()
        },
        ..SqlRequest::default()
    };
    let client = if gateway {
        Client::connect(&ClientOptions {
            url: args.gateway.clone(),
            token: args.token.clone(),
        })?
    } else {
        super::local::start(&args.size, 1, loading).await?
    };
    let id = JobId::from(uuid::Uuid::now_v7());
    let job = client.job(id);
    interrupt::attach(&job);
    let progress = Progress::of(&job, "query");
    let answer = client.sql_as(id, &request).await;
    progress.end().await;
    let answer = answer?;
    match &args.output {
        Some(path) => output::file(path, &answer),
        None => Ok(output::data(&answer)?),
    }
}

fn query(args: &SqlArgs) -> anyhow::Result<String> {
    if let Some(file) = &args.file {
        return std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the statements from `{}`", file.display()));
    }
    let text = args.query.as_deref().unwrap_or_default();
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut query = String::new();
    std::io::stdin()
        .read_to_string(&mut query)
        .context("cannot read the query from standard input")?;
    Ok(query)
}

/// Tables by name. Inside this process a path is relative to the working folder; on a cluster it stays as it is.
fn tables(tables: &[String], remote: bool) -> anyhow::Result<BTreeMap<String, TableSource>> {
    let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in tables {
        let Some((name, path)) = table
            .split_once('=')
            .filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            bail!("`{table}` is no table: write NAME=PATH, such as --table flights=flights.csv");
        };
        let path = if remote || path.contains("://") {
            path.to_owned()
        } else {
            absolute(path)?
        };
        sources.entry(name.to_owned()).or_default().push(path);
    }
    Ok(sources
        .into_iter()
        .map(|(name, paths)| (name, TableSource::Paths(paths)))
        .collect())
}

fn absolute(path: &str) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path).with_context(|| format!("`{path}` is no path"))?;
    absolute
        .into_os_string()
        .into_string()
        .ok()
        .with_context(|| format!("`{path}` is not UTF-8"))
}

fn param(text: &str) -> rmpv::Value {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Null) => rmpv::Value::Nil,
        Ok(serde_json::Value::Bool(value)) => value.into(),
        Ok(serde_json::Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.into(),
            (None, Some(float)) => float.into(),
            (None, None) => text.into(),
        },
        Ok(serde_json::Value::String(value)) => value.into(),
        _ => text.into(),
    }
}

const fn result_format(format: Format) -> ResultFormat {
    match format {
        Format::Table => ResultFormat::Table,
        Format::Csv => ResultFormat::Csv,
        Format::Json => ResultFormat::Json,
        Format::Arrow => ResultFormat::Arrow,
        Format::Parquet => ResultFormat::Parquet,
    }
}

fn format_of_name(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "json" => Some(Format::Json),
        "arrow" | "arrows" | "ipc" => Some(Format::Arrow),
        "parquet" => Some(Format::Parquet),
        "txt" => Some(Format::Table),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn a_table_named_twice_has_both_files() {
        let given = ["t=/a.csv".to_owned(), "t=/b.csv".to_owned()];
        let read = tables(&given, true).unwrap();
        assert_eq!(
            read["t"],
            TableSource::Paths(vec!["/a.csv".to_owned(), "/b.csv".to_owned()])
        );
    }

    #[test]
    fn a_table_without_a_path_says_what_to_write() {
        let error = tables(&["flights.csv".to_owned()], true).unwrap_err().to_string();
        assert!(error.contains("NAME=PATH"), "{error}");
    }

    #[test]
    fn params_are_json_or_text() {
        assert_eq!(param("41"), 41.into());
        assert_eq!(param("1.5"), 1.5.into());
        assert_eq!(param("null"), rmpv::Value::Nil);
        assert_eq!(param("LH"), "LH".into());
        assert_eq!(param("\"41\""), "41".into());
    }
}
