//! Folders whose names hold values, in every format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_frame::{PlannedQuery, ResultFormat, SqlRequest, plan_sql, render};

use crate::cluster::{Rows, distributed, query, request, run, run_planned};

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The bytes of a file in each format that hold one row with the columns `id` and `name`.
async fn formats(id: u32) -> BTreeMap<&'static str, Vec<u8>> {
    let sql = SqlRequest {
        query: format!("SELECT {id} AS id, 'row {id}' AS name"),
        ..SqlRequest::default()
    };
    let planned = plan_sql(&sql, &distributed(1)).await.unwrap();
    let batches = run_planned(&planned).await.unwrap();
    let bytes = |format| render(&planned.schema, &batches, format).unwrap().to_vec();
    BTreeMap::from([
        ("csv", bytes(ResultFormat::Csv)),
        ("jsonl", bytes(ResultFormat::JsonLines)),
        ("arrows", bytes(ResultFormat::Arrow)),
        ("parquet", bytes(ResultFormat::Parquet)),
    ])
}

/// Files in the folders of two keys: a number, which is missing once, and a date.
async fn sales(format: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut id = 0;
    for year in ["2023", "2024", "__HIVE_DEFAULT_PARTITION__"] {
        for day in ["2024-01-01", "2024-01-02"] {
            id += 1;
            let name = format!("year={year}/day={day}/part-0.{format}");
            write(folder.path(), &name, &formats(id).await[format]);
        }
    }
    write(folder.path(), "_SUCCESS", "");
    write(folder.path(), "_temporary/0/part.csv", "not,this\n");
    folder
}

fn cells(rows: &[&[&str]]) -> Rows {
    let cell = |cell: &&str| (*cell != "null").then(|| (*cell).to_owned());
    rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

#[tokio::test]
async fn folders_are_columns_of_numbers_dates_and_nulls_in_every_format() {
    for format in ["csv", "jsonl", "arrows", "parquet"] {
        let folder = sales(format).await;
        let pattern = folder.path().join(format!("**/*.{format}"));
        for path in [folder.path(), pattern.as_path()] {
            let sql = "SELECT id, name, year + 1, day + INTERVAL '1 day' FROM t ORDER BY id";
            let got = query(sql, &[("t", path)], &distributed(3)).await;
            let expected = cells(&[
                &["1", "row 1", "2024", "2024-01-02"],
                &["2", "row 2", "2024", "2024-01-03"],
                &["3", "row 3", "2025", "2024-01-02"],
                &["4", "row 4", "2025", "2024-01-03"],
                &["5", "row 5", "null", "2024-01-02"],
                &["6", "row 6", "null", "2024-01-03"],
            ]);
            assert_eq!(got, expected, "{format} {}", path.display());
            let names = query("SELECT * FROM t WHERE id = 1", &[("t", path)], &distributed(3)).await;
            assert_eq!(names, cells(&[&["1", "row 1", "2023", "2024-01-01"]]), "{format}");
            let counts = "SELECT year, count(*), count(year), min(day) FROM t GROUP BY year ORDER BY year";
            let got = query(counts, &[("t", path)], &distributed(3)).await;
            let expected = cells(&[
                &["2023", "2", "2", "2024-01-01"],
                &["2024", "2", "2", "2024-01-01"],
                &["null", "2", "0", "2024-01-01"],
            ]);
            assert_eq!(got, expected, "{format}");
            let whole = "SELECT count(year), count(*), max(year), min(year) FROM t";
            let got = query(whole, &[("t", path)], &distributed(3)).await;
            assert_eq!(got, cells(&[&["4", "6", "2024", "2023"]]), "{format}");
        }
    }
}

/// How many files the plan's scan reads: the plan names each, or the first and how many more.
fn files_read(query: &PlannedQuery) -> usize {
    let plans: Vec<&str> = query.stages.iter().map(|stage| stage.display.as_str()).collect();
    let plan = plans.join("\n");
    let more = plan
        .split_once(" more files")
        .and_then(|(before, _)| before.rsplit(' ').next()?.parse::<usize>().ok());
    plan.matches("part-0").count() + more.unwrap_or(0)
}

#[tokio::test]
async fn only_the_files_of_wanted_folders_are_read() {
    for format in ["csv", "jsonl", "arrows", "parquet"] {
        let folder = sales(format).await;
        for (condition, files, rows) in [
            ("year = 2024", Some(2), "7"),
            ("year > 2023 AND day = DATE '2024-01-02'", Some(1), "4"),
            ("year IS NULL", Some(2), "11"),
            ("year IN (2023, 2024) AND id > 1", Some(4), "9"),
            ("day = '2024-01-02' OR year = 2023", Some(4), "13"),
            ("year = 1999", Some(0), "null"),
            ("year < (SELECT max(id) + 2020 FROM t)", None, "10"),
        ] {
            let sql = request(
                &format!("SELECT sum(id) FROM t WHERE {condition}"),
                &[("t", folder.path())],
            );
            let planned = plan_sql(&sql, &distributed(1)).await.unwrap();
            if let Some(files) = files {
                assert_eq!(files_read(&planned), files, "{format} {condition}");
            }
            let got = crate::cluster::rows(&run_planned(&planned).await.unwrap());
            assert_eq!(got, cells(&[&[rows]]), "{format} {condition}");
        }
    }
    // A file that must not be read may as well be malformed, as long as its columns need not be inferred from it.
    let folder = sales("csv").await;
    write(
        folder.path(),
        "year=2023/day=2024-01-01/part-0.csv",
        "id,name\n1,row 1\n2,row 2,and more\n",
    );
    let sql = |condition: &str| {
        request(
            &format!("SELECT sum(id) FROM t WHERE {condition}"),
            &[("t", folder.path())],
        )
    };
    let error = run(&sql("year = 2023"), &distributed(2)).await.unwrap_err();
    assert_eq!(error.code(), "csv_ragged_row");
}

#[tokio::test]
async fn folders_of_one_key_with_values_of_several_kinds_are_text() {
    let folder = tempfile::tempdir().unwrap();
    for (index, name) in ["2024", "2024-01-01", "a%20b%2Fc", "東京"].iter().enumerate() {
        write(
            folder.path(),
            &format!("key={name}/{index}.csv"),
            format!("id\n{index}\n"),
        );
    }
    let got = query(
        "SELECT key, id FROM t ORDER BY id",
        &[("t", folder.path())],
        &distributed(2),
    )
    .await;
    assert_eq!(
        got,
        cells(&[
            &["2024", "0"],
            &["2024-01-01", "1"],
            &["a b/c", "2"],
            &["東京", "3"]
        ])
    );
}

#[tokio::test]
async fn only_the_folders_that_a_path_leaves_open_are_columns() {
    let folder = sales("csv").await;
    let year = folder.path().join("year=2023");
    let got = query("SELECT * FROM t ORDER BY id", &[("t", &year)], &distributed(2)).await;
    assert_eq!(
        got,
        cells(&[&["1", "row 1", "2024-01-01"], &["2", "row 2", "2024-01-02"]])
    );
    let days = folder.path().join("year=2023/day=*/part-0.csv");
    assert_eq!(
        query("SELECT * FROM t ORDER BY id", &[("t", &days)], &distributed(2)).await,
        got
    );
    let one = year.join("day=2024-01-02/part-0.csv");
    let got = query("SELECT * FROM t", &[("t", &one)], &distributed(2)).await;
    assert_eq!(got, cells(&[&["2", "row 2"]]));
}

#[tokio::test]
async fn a_folder_hides_a_column_of_its_name() {
    for format in ["csv", "jsonl", "arrows", "parquet"] {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &format!("id=100/part.{format}"),
            &formats(1).await[format],
        );
        let got = query("SELECT * FROM t", &[("t", folder.path())], &distributed(2)).await;
        assert_eq!(got, cells(&[&["row 1", "100"]]), "{format}");
        let got = query(
            "SELECT id, count(*) FROM t GROUP BY id",
            &[("t", folder.path())],
            &distributed(2),
        )
        .await;
        assert_eq!(got, cells(&[&["100", "1"]]), "{format}");
    }
}

#[tokio::test]
async fn plain_folders_within_a_folder_belong_to_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "id\n1\n");
    write(folder.path(), "more/b.csv", "id\n2\n");
    write(folder.path(), ".hidden/c.csv", "id\n4\n");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("more/loop")).unwrap();
    for path in [folder.path().to_owned(), folder.path().join("**")] {
        let got = query("SELECT sum(id) FROM t", &[("t", &path)], &distributed(2)).await;
        assert_eq!(got, cells(&[&["3"]]), "{}", path.display());
    }
}

#[tokio::test]
async fn files_in_folders_of_other_keys_are_named() {
    for (first, second, problem) in [
        ("year=1/a.csv", "b.csv", "no key=value folder"),
        ("year=1/month=2/a.csv", "year=1/b.csv", "year=…/month=…"),
        ("year=1/month=2/a.csv", "month=2/year=1/b.csv", "month=…/year=…"),
        (
            "year=1/year=2/a.csv",
            "year=1/year=3/b.csv",
            "two folders of the key 'year'",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), first, "id\n1\n");
        write(folder.path(), second, "id\n1\n");
        let sql = request("SELECT * FROM t", &[("t", folder.path())]);
        let error = run(&sql, &distributed(2)).await.unwrap_err();
        assert_eq!(error.code(), "table_invalid", "{error}");
        let message = error.to_string();
        assert!(message.contains(problem) && message.contains(".csv"), "{message}");
    }
}
