//! JSON lines, read as another engine reads them.

use std::io::Write;
use std::path::{Path, PathBuf};

use millstream_frame::arrow::datatypes::{DataType, SchemaRef};
use millstream_frame::{ColumnType, FrameError, JsonOptions, ResultFormat, TableSource, plan_sql, render};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::{distributed, query, request, run, run_planned};

/// What DuckDB makes of a file.
#[derive(Deserialize)]
struct Expected {
    columns: Vec<(String, Value)>,
    rows: Vec<Vec<Value>>,
}

/// A type as the expected ones are spelled.
fn spell(kind: &DataType) -> Value {
    match kind {
        DataType::List(item) => json!([spell(item.data_type())]),
        DataType::Struct(members) => members
            .iter()
            .map(|member| (member.name().clone(), spell(member.data_type())))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        DataType::Timestamp(..) => json!("Timestamp(Microsecond, None)"),
        other => json!(other.to_string()),
    }
}

/// All rows of a file as JSON objects.
async fn objects(
    path: &Path,
    options: JsonOptions,
    partitions: usize,
) -> Result<(SchemaRef, Vec<Value>), FrameError> {
    let mut request = request("SELECT * FROM t", &[]);
    let source = TableSource {
        json: options,
        ..TableSource::path(path.display().to_string())
    };
    request.tables.insert("t".to_owned(), source);
    let planned = plan_sql(&request, &distributed(partitions)).await?;
    let batches = run_planned(&planned).await?;
    let text = render(&planned.schema, &batches, ResultFormat::Json).unwrap();
    Ok((planned.schema, serde_json::from_slice(&text).unwrap()))
}

fn file(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn with_type(column: &str, kind: ColumnType) -> JsonOptions {
    let mut options = JsonOptions::default();
    options.types.insert(column.to_owned(), kind);
    options
}

#[tokio::test]
async fn files_have_the_types_and_values_that_duckdb_gives_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/json");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() != "jsonl" {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        for partitions in [1, 3] {
            let (schema, rows) = objects(&path, JsonOptions::default(), partitions).await.unwrap();
            let columns: Vec<(String, Value)> = schema
                .fields()
                .iter()
                .map(|field| (field.name().clone(), spell(field.data_type())))
                .collect();
            assert_eq!(columns, expected.columns, "{}", path.display());
            let names = expected.columns.iter().map(|(name, _)| name.clone());
            let wanted: Vec<Value> = expected
                .rows
                .iter()
                .map(|row| {
                    names
                        .clone()
                        .zip(row.iter().cloned())
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                })
                .collect();
            assert_eq!(rows, wanted, "{}", path.display());
        }
    }
    assert!(files > 8);
}

#[tokio::test]
async fn what_is_not_all_of_one_kind_is_text_as_written() {
    let lines = [
        r#"{"a": {"x": 1}}"#,
        r#"{"a": "text"}"#,
        r#"{"a": 3.50}"#,
        r#"{"a": null}"#,
        r#"{"a": [1, 2]}"#,
    ];
    let (_folder, path) = file("t.json", lines.join("\n"));
    let (schema, rows) = objects(&path, JsonOptions::default(), 2).await.unwrap();
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8View);
    let values: Vec<Value> = rows.into_iter().map(|row| row["a"].clone()).collect();
    assert_eq!(
        values,
        [
            json!(r#"{"x": 1}"#),
            json!("text"),
            json!("3.50"),
            Value::Null,
            json!("[1, 2]")
        ]
    );
}

#[tokio::test]
async fn a_split_file_has_every_row_once_and_in_order() {
    let text: String = (0..2000)
        .map(|id| format!("{{\"name\": \"row {id}\", \"id\": {id}}}\r\n"))
        .collect();
    let (_folder, path) = file("t.ndjson", text);
    let wanted: Vec<_> = (0..2000).map(|id: u32| vec![Some(id.to_string())]).collect();
    for partitions in [1, 2, 7, 61] {
        let got = query("SELECT id FROM t", &[("t", &path)], &distributed(partitions)).await;
        assert_eq!(got, wanted, "{partitions}");
    }
    let planned = plan_sql(
        &request("SELECT count(*) FROM t", &[("t", &path)]),
        &distributed(7),
    )
    .await
    .unwrap();
    assert_eq!(planned.stages[0].tasks.len(), 7);
}

#[tokio::test]
async fn a_late_change_of_type_is_seen_in_the_middle_and_at_the_end() {
    // Sampled are the first, middle and last bytes of a big file.
    let filler = |rows: u32| -> String {
        (0..rows)
            .map(|id| format!("{{\"a\": {id}, \"b\": {id}, \"pad\": \"{id:030}\"}}\n"))
            .collect()
    };
    let (start, end) = (filler(230_000), filler(220_000));
    let text = format!("{start}{{\"a\": 0.5, \"b\": 1}}\n{end}{{\"a\": 1, \"b\": \"x\", \"c\": true}}\n");
    assert!(text.len() > 24 << 20);
    let (_folder, path) = file("t.jsonl", text);
    let got = query(
        "SELECT count(*), count(c), sum(a) % 1, max(b) FROM t",
        &[("t", &path)],
        &distributed(5),
    )
    .await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(got, [[text("450002"), text("1"), text("0.5"), text("x")]]);
}

#[tokio::test]
async fn compressed_files_and_plain_ones_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let line = |id: u32| format!("{{\"id\": {id}}}\n").into_bytes();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("1.json", line(1));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&line(2)).unwrap();
    write("2.json.gz", gzip.finish().unwrap());
    write("3.jsonl.zst", zstd::encode_all(&line(4)[..], 3).unwrap());
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&line(8)).unwrap();
    write("4.ndjson.bz2", bzip.finish().unwrap());
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 3);
    xz.write_all(&line(16)).unwrap();
    write("5.ndjson.xz", xz.finish().unwrap());
    let got = query(
        "SELECT sum(id), count(*) FROM t",
        &[("t", folder.path())],
        &distributed(3),
    )
    .await;
    assert_eq!(got, [[Some("31".to_owned()), Some("5".to_owned())]]);
}

#[tokio::test]
async fn a_cut_off_compressed_file_is_an_error_with_its_name() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(&b"{\"id\": 1}\n".repeat(100)).unwrap();
    let bytes = gzip.finish().unwrap();
    let (_folder, path) = file("t.json.gz", &bytes[..bytes.len() / 2]);
    let error = objects(&path, JsonOptions::default(), 2).await.unwrap_err();
    assert_eq!(error.code(), "file_unreadable");
    assert!(error.to_string().contains("t.json.gz"), "{error}");
}

#[tokio::test]
async fn a_bad_line_is_named_in_every_split() {
    let good: String = (0..500).map(|id| format!("{{\"id\": {id}}}\n")).collect();
    for (bad, code, problem) in [
        (
            "{\"id\": 1",
            "json_syntax",
            "line 501, column 10: ends before its object does",
        ),
        (
            "{\"id\": 1} {\"id\": 2}",
            "json_syntax",
            "line 501, column 11: there is more after the object",
        ),
        (
            "{\"id\": 01}",
            "json_syntax",
            "line 501, column 10: a number must not begin with 0",
        ),
        (
            "[{\"id\": 1}]",
            "json_syntax",
            "line 501, column 1: expected an object",
        ),
        (
            "{\"id\": 1, \"id\": 2}",
            "json_syntax",
            "line 501, column 1: the object has two members 'id'",
        ),
        (
            "{\"id\": 1.5}",
            "json_bad_value",
            "line 501: 1.5 in column 'id' is not an integer",
        ),
        (
            "{\"id\": \"7\"}",
            "json_bad_value",
            "line 501: \"7\" in column 'id' is not an integer",
        ),
        (
            "{\"id\": {\"x\": 1}}",
            "json_bad_value",
            "line 501: {\"x\": 1} in column 'id' is not an integer",
        ),
    ] {
        let (_folder, path) = file("t.json", format!("{good}{bad}\n{good}"));
        let options = with_type("id", ColumnType::Int);
        let error = objects(&path, options, 3).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(
            error.to_string().contains("t.json") && error.to_string().contains(problem),
            "{error}"
        );
        assert!(error.is_user_error());
    }
}

#[tokio::test]
async fn a_member_that_no_sample_shows_is_never_dropped_in_silence() {
    let filler: String = (0..150_000)
        .map(|id| format!("{{\"a\": {id}, \"pad\": \"{:060}\"}}\n", id))
        .collect();
    // At a quarter of the file, where no sample is taken.
    let text = format!("{filler}{{\"rare\": {{\"x\": 1}}}}\n{filler}{filler}{filler}");
    let (_folder, path) = file("t.json", text);
    let sql = request("SELECT count(*) FROM t", &[("t", &path)]);
    let error = run(&sql, &distributed(3)).await.unwrap_err();
    assert_eq!(error.code(), "json_unknown_member");
    assert!(
        error.to_string().contains("line 150001") && error.to_string().contains("'rare'"),
        "{error}"
    );
    let mut ignoring = sql.clone();
    let source = ignoring.tables.get_mut("t").unwrap();
    source.json.ignore_unknown = true;
    assert!(run(&ignoring, &distributed(3)).await.is_ok());
    let mut typed = request("SELECT rare FROM t WHERE rare IS NOT NULL", &[("t", &path)]);
    typed.tables.get_mut("t").unwrap().json = with_type("rare", ColumnType::Text);
    let batches = run(&typed, &distributed(3)).await.unwrap();
    assert_eq!(crate::cluster::rows(&batches), [[Some("{\"x\": 1}".to_owned())]]);
}

#[tokio::test]
async fn nested_members_are_reached_by_name_and_position() {
    let text =
        "{\"sender\": {\"name\": \"Ann\", \"tags\": [\"x\", \"y\"]}}\n{\"sender\": {\"name\": \"Bob\"}}\n";
    let (_folder, path) = file("t.json", text);
    let sql = "SELECT sender['name'], sender['tags'][2] FROM t ORDER BY 1";
    let got = query(sql, &[("t", &path)], &distributed(2)).await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(got, [[text("Ann"), text("y")], [text("Bob"), None]]);
}

#[tokio::test]
async fn files_without_an_object_and_other_encodings_are_named() {
    for (text, code) in [
        (&b""[..], "table_invalid"),
        (b"\n\n", "table_invalid"),
        (b"{\"a\": \"caf\xE9\"}\n", "json_syntax"),
    ] {
        let (_folder, path) = file("t.json", text);
        let error = objects(&path, JsonOptions::default(), 2).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}
