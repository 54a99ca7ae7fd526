//! CSV files as people have them, read as pandas reads them.

use std::path::{Path, PathBuf};

use millstream_frame::arrow::array::RecordBatch;
use millstream_frame::arrow::datatypes::DataType;
use millstream_frame::{CsvOptions, FrameError, PlannerOptions, TableSource};
use serde::Deserialize;

use crate::cluster::{distributed, query, request, rows, run};

/// What pandas makes of a file.
#[derive(Deserialize)]
struct Expected {
    options: CsvOptions,
    columns: Vec<(String, String)>,
    rows: Vec<Vec<serde_json::Value>>,
}

fn kind(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 => "int",
        DataType::Float64 => "float",
        DataType::Boolean => "bool",
        DataType::Utf8View => "text",
        _ => "other",
    }
}

fn same(cell: &Option<String>, value: &serde_json::Value) -> bool {
    match (cell, value) {
        (None, serde_json::Value::Null) => true,
        (Some(cell), serde_json::Value::String(text)) => cell == text,
        (Some(cell), serde_json::Value::Bool(value)) => cell == &value.to_string(),
        (Some(cell), serde_json::Value::Number(number)) if number.is_f64() => {
            cell.parse::<f64>().ok() == number.as_f64()
        }
        (Some(cell), serde_json::Value::Number(number)) => cell == &number.to_string(),
        _ => false,
    }
}

async fn read(
    path: &Path,
    options: CsvOptions,
    planner: &PlannerOptions,
) -> Result<Vec<RecordBatch>, FrameError> {
    let mut request = request("SELECT * FROM t", &[]);
    let source = TableSource {
        csv: options,
        ..TableSource::path(path.display().to_string())
    };
    request.tables.insert("t".to_owned(), source);
    run(&request, planner).await
}

#[tokio::test]
async fn ugly_files_have_the_types_and_values_that_pandas_gives_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/csv");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() != "csv" {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        let options = CsvOptions {
            infer_dates: false,
            ..expected.options
        };
        for partitions in [1, 3] {
            let batches = read(&path, options.clone(), &distributed(partitions))
                .await
                .unwrap();
            let schema = batches[0].schema();
            let columns: Vec<(String, String)> = schema
                .fields()
                .iter()
                .map(|field| (field.name().clone(), kind(field.data_type()).to_owned()))
                .collect();
            assert_eq!(columns, expected.columns, "{}", path.display());
            let got = rows(&batches);
            assert_eq!(got.len(), expected.rows.len(), "{}", path.display());
            for (row, wanted) in got.iter().zip(&expected.rows) {
                assert!(
                    row.iter().zip(wanted).all(|(cell, value)| same(cell, value)),
                    "{}: {row:?} instead of {wanted:?}",
                    path.display()
                );
            }
        }
    }
    assert!(files > 10);
}

fn file(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// A file of about `bytes` whose rows are numbered.
fn numbered(bytes: usize) -> (String, usize) {
    let mut text = String::from("id,name\n");
    let mut rows = 0;
    while text.len() < bytes {
        text.push_str(&format!("{rows},row number {rows}\r\n"));
        rows += 1;
    }
    (text, rows)
}

#[tokio::test]
async fn a_split_file_has_every_row_once_and_in_order() {
    let (text, count) = numbered(20_000);
    let (_folder, path) = file("t.csv", text);
    for partitions in [1, 2, 3, 7, 16, 61] {
        let got = query("SELECT id FROM t", &[("t", &path)], &distributed(partitions)).await;
        let wanted: Vec<_> = (0..count).map(|id| vec![Some(id.to_string())]).collect();
        assert_eq!(got, wanted, "{partitions}");
    }
}

#[tokio::test]
async fn more_partitions_than_bytes_still_read_every_row_once() {
    let (_folder, path) = file("t.csv", "a\n1\n2\n3\n");
    let got = query(
        "SELECT sum(a), count(*) FROM t",
        &[("t", &path)],
        &distributed(40),
    )
    .await;
    assert_eq!(got, [[Some("6".to_owned()), Some("3".to_owned())]]);
}

#[tokio::test]
async fn a_file_with_quoted_line_breaks_is_read_whole() {
    let text: String = (0..500)
        .map(|id| format!("{id},\"line\nbreak, \"\"{id}\"\"\"\n"))
        .collect();
    let (_folder, path) = file("t.csv", format!("id,note\n{text}"));
    let got = query(
        "SELECT count(*), sum(id) FROM t WHERE note LIKE 'line%'",
        &[("t", &path)],
        &distributed(5),
    )
    .await;
    assert_eq!(got, [[Some("500".to_owned()), Some("124750".to_owned())]]);
}

#[tokio::test]
async fn a_quoted_line_break_that_no_sample_saw_is_an_error_and_never_a_wrong_row() {
    // Sampled are the first, middle and last bytes of a big file; the quoted field lies at a quarter of it.
    let (text, rows) = numbered(9 << 20);
    let plain = text.strip_prefix("id,name\n").unwrap();
    let quoted = "1,x\n".repeat(1 << 19);
    let (_folder, path) = file("t.csv", format!("{text}7,\"{quoted}\"\n{plain}{plain}{plain}"));
    let sql = request("SELECT count(*) FROM t", &[("t", &path)]);
    let error = run(&sql, &distributed(31)).await.unwrap_err();
    assert!(
        ["csv_multiline", "csv_ragged_row"].contains(&error.code()),
        "{error}"
    );
    let whole = CsvOptions {
        multiline: true,
        ..CsvOptions::default()
    };
    let batches = read(&path, whole, &distributed(31)).await.unwrap();
    let read: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(read, 4 * rows + 1);
}

#[tokio::test]
async fn gzipped_files_and_several_files_are_one_table() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a,b\n1,x\n2,y\n").unwrap();
    std::fs::write(folder.path().join("1.csv.gz"), gzip.finish().unwrap()).unwrap();
    std::fs::write(folder.path().join("2.csv"), "a,b\n2.5,z\n").unwrap();
    let got = query(
        "SELECT sum(a), max(b) FROM t",
        &[("t", folder.path())],
        &distributed(2),
    )
    .await;
    assert_eq!(got, [[Some("5.5".to_owned()), Some("z".to_owned())]]);
}

#[tokio::test]
async fn dates_and_timestamps_are_recognized() {
    let (_folder, path) = file(
        "t.csv",
        "d,t,z\n2013-01-31,2013-01-31 05:15:00,2013-01-31T10:00:00Z\nNA,2013-02-01,\n",
    );
    let sql = "SELECT extract(year FROM d), t, z FROM t ORDER BY t";
    let got = query(sql, &[("t", &path)], &distributed(2)).await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        got[0],
        [
            text("2013"),
            text("2013-01-31T05:15:00"),
            text("2013-01-31T10:00:00Z")
        ]
    );
    assert_eq!(got[1], [None, text("2013-02-01T00:00:00"), None]);
}

#[tokio::test]
async fn a_ragged_row_names_file_and_line_in_every_split() {
    let (mut text, _) = numbered(8_000);
    let line = text.lines().count() + 1;
    text.push_str("1,2,3\n");
    text.push_str(&numbered(8_000).0.replace("id,name\n", ""));
    let (_folder, path) = file("t.csv", &text);
    let declared = CsvOptions {
        multiline: false,
        ..CsvOptions::default()
    };
    let error = read(&path, declared, &distributed(3)).await.unwrap_err();
    assert_eq!(error.code(), "csv_ragged_row");
    assert!(
        error
            .to_string()
            .contains(&format!("line {line}: expected 2 fields, found 3")),
        "{error}"
    );
}

#[tokio::test]
async fn a_value_that_does_not_fit_names_file_line_and_column() {
    let (mut text, _) = numbered(8_000);
    text.push_str("oops,x\n");
    let line = text.lines().count();
    let (_folder, path) = file("t.csv", &text);
    let mut options = CsvOptions::default();
    options
        .types
        .insert("id".to_owned(), millstream_frame::ColumnType::Int);
    let error = read(&path, options, &distributed(3)).await.unwrap_err();
    assert_eq!(error.code(), "csv_bad_value");
    let message = error.to_string();
    assert!(
        message.contains(&format!("line {line}: 'oops' in column 'id' is not an integer")),
        "{message}"
    );
    assert!(message.contains("t.csv") && error.is_user_error());
}

#[tokio::test]
async fn other_encodings_and_empty_files_are_named() {
    let latin = file("latin.csv", b"a\ncaf\xE9\n");
    let wide = file("wide.csv", b"\xFF\xFEa\0\n\0");
    let empty = file("empty.csv", "");
    for ((_folder, path), code) in [
        (latin, "csv_encoding"),
        (wide, "csv_encoding"),
        (empty, "csv_empty"),
    ] {
        let error = read(&path, CsvOptions::default(), &distributed(2))
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn files_of_other_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1.csv"), "a,b\n1,x\n").unwrap();
    std::fs::write(folder.path().join("2.csv"), "a,c\n1,x\n").unwrap();
    let error = run(
        &request("SELECT * FROM t", &[("t", folder.path())]),
        &distributed(2),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code(), "csv_columns_differ");
    assert!(error.to_string().contains("2.csv"), "{error}");
}

#[tokio::test]
async fn a_header_without_rows_is_an_empty_table() {
    let (_folder, path) = file("t.csv", "a,b\n");
    let got = query(
        "SELECT count(*), sum(length(a)) FROM t",
        &[("t", &path)],
        &distributed(3),
    )
    .await;
    assert_eq!(got, [[Some("0".to_owned()), None]]);
}

#[tokio::test]
async fn a_file_that_changes_after_planning_is_an_error() {
    let (_folder, path) = file("t.csv", "a\n1\n");
    let planned =
        millstream_frame::plan_sql(&request("SELECT * FROM t", &[("t", &path)]), &distributed(2)).await;
    std::fs::write(&path, "a\n1\n2\n").unwrap();
    let error = crate::cluster::run_planned(&planned.unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "file_changed");
}

#[tokio::test]
async fn a_thousand_small_files_are_one_table_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..1000 {
        std::fs::write(
            folder.path().join(format!("{index}.csv")),
            format!("n\n{index}\n"),
        )
        .unwrap();
    }
    let started = std::time::Instant::now();
    let got = query(
        "SELECT sum(n), count(*) FROM t",
        &[("t", folder.path())],
        &distributed(4),
    )
    .await;
    assert_eq!(got, [[Some("499500".to_owned()), Some("1000".to_owned())]]);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[tokio::test]
async fn files_compressed_in_any_way_are_read_and_unknown_bytes_are_named() {
    use std::io::Write;
    let text = b"a,b\n1,x\n2,y\n";
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(text).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 3);
    xz.write_all(text).unwrap();
    for (name, bytes) in [
        ("t.csv.zst", zstd::encode_all(&text[..], 3).unwrap()),
        ("t.csv.bz2", bzip.finish().unwrap()),
        ("t.csv.xz", xz.finish().unwrap()),
    ] {
        let (_folder, path) = file(name, &bytes);
        let got = query("SELECT sum(a), max(b) FROM t", &[("t", &path)], &distributed(2)).await;
        assert_eq!(got, [[Some("3".to_owned()), Some("y".to_owned())]], "{name}");
        std::fs::write(&path, text).unwrap();
        let error = read(&path, CsvOptions::default(), &distributed(2))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "file_unreadable", "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}
