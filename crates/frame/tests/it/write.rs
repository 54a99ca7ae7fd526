//! Results written to files: each row once, whatever attempts there were, and nothing where nothing may be.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use millstream_frame::{
    Compression, EncodedObject, FrameError, PlannedQuery, PlannerOptions, SqlRequest, StageData, StageEnv,
    StageInput, StageLimits, WriteMode, WriteTarget, plan_sql, run_stage,
};

use crate::cluster::{Rows, distributed, query, request, rows, run};

/// A folder with a table of 1,000 rows in three files, and the folder to write to.
struct Place {
    folder: tempfile::TempDir,
    table: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("table");
        fs::create_dir(&table).unwrap();
        for (file, numbers) in [("a", 0..300), ("b", 300..310), ("c", 310..1000)] {
            let lines: String = numbers.map(line).collect();
            fs::write(table.join(format!("{file}.csv")), format!("n,kind,note\n{lines}")).unwrap();
        }
        Self { folder, table }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn copy(&self, rest: &str) -> SqlRequest {
        let rest = rest.replace('@', &self.folder.path().display().to_string());
        request(&format!("COPY {rest}"), &[("t", &self.table)])
    }

    async fn written(&self, rest: &str) -> Rows {
        rows(&run(&self.copy(rest), &distributed(3)).await.unwrap())
    }

    async fn fails(&self, rest: &str) -> FrameError {
        run(&self.copy(rest), &distributed(3)).await.unwrap_err()
    }

    async fn read(&self, name: &str, columns: &str) -> Rows {
        let path = self.path(name);
        let sql = format!("SELECT {columns} FROM w ORDER BY n");
        query(&sql, &[("w", &path)], &distributed(2)).await
    }

    /// All that is below a name, hidden or not, by its path from there.
    fn entries(&self, name: &str) -> Vec<String> {
        let base = self.path(name);
        let mut found = Vec::new();
        let mut open = vec![base.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(&base).unwrap().display().to_string());
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

fn line(n: u32) -> String {
    match n % 10 {
        0 => format!("{n},,\"a, {n}\"\n"),
        1 => format!("{n},x/y,\n"),
        _ => format!("{n},plain,note {n}\n"),
    }
}

fn all_rows() -> Rows {
    let row = |n: u32| {
        let (kind, note) = match n % 10 {
            0 => (None, Some(format!("a, {n}"))),
            1 => (Some("x/y".to_owned()), None),
            _ => (Some("plain".to_owned()), Some(format!("note {n}"))),
        };
        vec![Some(n.to_string()), kind, note]
    };
    (0..1000).map(row).collect()
}

fn count(rows: u32) -> Rows {
    vec![vec![Some(rows.to_string())]]
}

#[tokio::test]
async fn a_file_has_all_rows_in_their_order() {
    let place = Place::new();
    assert_eq!(place.written("t TO '@/out/all.parquet'").await, count(1000));
    assert_eq!(place.entries("out"), ["all.parquet"], "nothing is left beside it");
    let path = place.path("out/all.parquet");
    let found = query("SELECT * FROM w", &[("w", &path)], &distributed(1)).await;
    assert!(found == all_rows());
}

#[tokio::test]
async fn a_file_that_is_there_is_replaced() {
    let place = Place::new();
    place.written("t TO '@/all.csv'").await;
    assert_eq!(
        place
            .written("(SELECT * FROM t WHERE n < 2) TO '@/all.csv'")
            .await,
        count(2)
    );
    assert_eq!(
        fs::read_to_string(place.path("all.csv")).unwrap(),
        "n,kind,note\n0,,\"a, 0\"\n1,x/y,\n"
    );
}

/// Runs each task twice, the commit too; what the first attempts gave is thrown away.
async fn run_twice(planned: &PlannedQuery) {
    let env = StageEnv::new(&StageLimits::default()).unwrap();
    let mut objects: Vec<Vec<EncodedObject>> = Vec::new();
    for stage in &planned.stages {
        let mut outputs = Vec::new();
        for task in &stage.tasks {
            let read = |input: &StageInput| {
                let object: &EncodedObject = &objects[input.stage as usize][input.task as usize];
                object.part(input.part.unwrap_or(0) as usize).unwrap()
            };
            let inputs: Vec<StageData> = task.inputs.iter().map(read).collect();
            run_stage(&task.plan, inputs.clone(), &env).await.unwrap();
            outputs.push(
                run_stage(&task.plan, inputs, &env)
                    .await
                    .unwrap()
                    .encode()
                    .unwrap(),
            );
        }
        objects.push(outputs);
    }
}

#[tokio::test]
async fn attempts_that_are_given_up_leave_nothing() {
    let place = Place::new();
    for target in ["t TO '@/many' STORED AS PARQUET", "t TO '@/one.parquet'"] {
        let planned = plan_sql(&place.copy(target), &distributed(3)).await.unwrap();
        run_twice(&planned).await;
    }
    let files = place.entries("many");
    assert!(files.len() > 1, "several tasks wrote: {files:?}");
    let are_parts = files
        .iter()
        .all(|file| file.starts_with("part-0") && file.ends_with(".parquet"));
    assert!(are_parts, "nothing but published files is there: {files:?}");
    assert!(place.read("many", "*").await == all_rows());
    assert!(place.read("one.parquet", "*").await == all_rows());
}

#[tokio::test]
async fn columns_name_folders() {
    let place = Place::new();
    let copy = "t TO '@/by' STORED AS CSV PARTITIONED BY (KIND)";
    assert_eq!(place.written(copy).await, count(1000));
    let entries = place.entries("by");
    let folders: Vec<&String> = entries.iter().filter(|entry| !entry.contains('/')).collect();
    assert_eq!(
        folders,
        ["kind=__HIVE_DEFAULT_PARTITION__", "kind=plain", "kind=x%2Fy"]
    );
    let ones = place.read("by/kind=x%2Fy", "*").await;
    let expected = (0..100).map(|ten| vec![Some((10 * ten + 1).to_string()), None]);
    assert_eq!(ones, expected.collect::<Rows>());
}

#[tokio::test]
async fn each_format_and_compression_holds_the_rows() {
    let place = Place::new();
    for name in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let copy = format!("t TO '@/{name}.parquet' OPTIONS (compression '{name}')");
        place.written(&copy).await;
        assert!(
            place.read(&format!("{name}.parquet"), "*").await == all_rows(),
            "{name}"
        );
    }
    place.written("t TO '@/t.csv.gz'").await;
    assert!(place.read("t.csv.gz", "*").await == all_rows());
    place
        .written("(SELECT * FROM t WHERE n < 2) TO '@/t.tsv' OPTIONS (header false)")
        .await;
    assert_eq!(
        fs::read_to_string(place.path("t.tsv")).unwrap(),
        "0\t\ta, 0\n1\tx/y\t\n"
    );
    place
        .written("(SELECT * FROM t WHERE n < 2) TO '@/t.jsonl.gz'")
        .await;
    let mut text = String::new();
    let file = fs::File::open(place.path("t.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(
        text,
        "{\"n\":0,\"kind\":null,\"note\":\"a, 0\"}\n{\"n\":1,\"kind\":\"x/y\",\"note\":null}\n"
    );
    place.written("t TO '@/t.arrow'").await;
    let file = fs::File::open(place.path("t.arrow")).unwrap();
    let reader = millstream_frame::arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert!(rows(&batches) == all_rows());
}

#[tokio::test]
async fn data_in_a_folder_is_touched_only_if_that_was_asked_for() {
    let place = Place::new();
    let first = "(SELECT * FROM t WHERE n < 500) TO '@/out/' STORED AS PARQUET";
    let second = "(SELECT * FROM t WHERE n >= 500) TO '@/out/' STORED AS PARQUET";
    place.written(first).await;
    assert_eq!(place.fails(second).await.code(), "target_exists");
    place.written(&format!("{second} OPTIONS (mode append)")).await;
    assert!(place.read("out", "*").await == all_rows());
    fs::write(place.path("out/README"), "kept").unwrap();
    place.written(&format!("{second} OPTIONS (mode overwrite)")).await;
    assert!(place.read("out", "*").await == all_rows()[500..]);
    assert!(place.path("out/README").exists(), "only data is replaced");
    let error = place.fails("t TO '@/all.csv' OPTIONS (mode append)").await;
    assert_eq!(error.code(), "target_invalid");
    place.written("t TO '@/all.csv' OPTIONS (mode error)").await;
    let error = place.fails("t TO '@/all.csv' OPTIONS (mode error)").await;
    assert_eq!(error.code(), "target_exists");
}

#[tokio::test]
async fn a_result_without_rows_keeps_its_columns() {
    let place = Place::new();
    for target in ["none.parquet", "none.csv"] {
        let copy = format!("(SELECT n, note FROM t WHERE n < 0) TO '@/{target}'");
        assert_eq!(place.written(&copy).await, count(0));
        assert_eq!(place.read(target, "n, note").await, Rows::new(), "{target}");
    }
    place
        .written("(SELECT n FROM t WHERE n < 0) TO '@/none' STORED AS PARQUET")
        .await;
    assert_eq!(place.entries("none").len(), 1);
    assert_eq!(place.read("none", "n").await, Rows::new());
}

#[tokio::test]
async fn a_request_says_the_same_as_a_statement() {
    let place = Place::new();
    let into = WriteTarget {
        path: place.path("into").display().to_string(),
        format: Some(millstream_frame::WriteFormat::Csv),
        partition_by: vec!["kind".to_owned()],
        mode: Some(WriteMode::Error),
        compression: Some(Compression::Gzip),
        header: None,
        delimiter: Some(';'),
    };
    let request = SqlRequest {
        into: Some(into),
        ..request("SELECT * FROM t", &[("t", &place.table)])
    };
    assert_eq!(rows(&run(&request, &distributed(3)).await.unwrap()), count(1000));
    let files = place.entries("into");
    assert!(
        files
            .iter()
            .any(|file| file.starts_with("kind=plain/part-") && file.ends_with(".csv.gz")),
        "{files:?}"
    );
}

#[tokio::test]
async fn nothing_is_written_by_what_only_shows_or_fails() {
    let place = Place::new();
    let target = place.path("shown");
    let sql = format!("EXPLAIN COPY t TO '{}' STORED AS CSV", target.display());
    let shown = query(&sql, &[("t", &place.table)], &distributed(3)).await;
    let text = format!("{shown:?}");
    assert!(
        text.contains("WriteExec: format=csv") && text.contains("CommitExec"),
        "{text}"
    );
    assert!(!target.exists());

    let error = place.fails("(SELECT 1 / (n - 700) FROM t) TO '@/bad.csv'").await;
    assert_eq!(error.code(), "query_failed", "{error}");
    assert!(!place.path("bad.csv").exists());
}

#[tokio::test]
async fn a_worker_without_the_folder_says_so() {
    let place = Place::new();
    let planned = plan_sql(&place.copy("t TO '@/out' STORED AS CSV"), &distributed(3))
        .await
        .unwrap();
    fs::remove_dir_all(place.path("out")).unwrap();
    let env = StageEnv::new(&StageLimits::default()).unwrap();
    let error = run_stage(&planned.stages[0].tasks[0].plan, Vec::new(), &env)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "target_not_shared");
    assert!(error.to_string().contains("out'"), "{error}");
    assert!(!place.path("out").exists());
}

#[tokio::test]
async fn targets_outside_the_writable_roots_are_refused() {
    let place = Place::new();
    let inside = place.path("inside");
    fs::create_dir(&inside).unwrap();
    std::os::unix::fs::symlink(place.folder.path(), inside.join("link")).unwrap();
    std::os::unix::fs::symlink(place.path("nowhere.csv"), inside.join("dangling.csv")).unwrap();
    let options = PlannerOptions {
        writable_roots: Some(vec![inside.clone()]),
        ..distributed(2)
    };
    for refused in [
        "@/x.csv",
        "@/inside/../x.csv",
        "@/inside/link/x.csv",
        "@/inside/dangling.csv",
        "/proc/x.csv",
    ] {
        let error = run(&place.copy(&format!("t TO '{refused}'")), &options)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "outside_writable_roots", "{refused}");
    }
    assert!(!place.path("x.csv").exists() && !place.path("nowhere.csv").exists());
    run(&place.copy("t TO '@/inside/deep/er/x.csv'"), &options)
        .await
        .unwrap();
    assert!(place.path("inside/deep/er/x.csv").is_file());
    let none = PlannerOptions {
        writable_roots: Some(Vec::new()),
        ..distributed(2)
    };
    let error = run(&place.copy("t TO '@/inside/y.csv'"), &none)
        .await
        .unwrap_err();
    assert_eq!(
        error.code(),
        "outside_writable_roots",
        "without roots nothing is writable"
    );
}

#[tokio::test]
async fn targets_that_mean_nothing_are_explained() {
    let place = Place::new();
    for (copy, says) in [
        ("t TO '@/x'", "STORED AS PARQUET"),
        ("t TO '@/x.csv' STORED AS EXCEL", "EXCEL"),
        (
            "t TO '@/x.csv' OPTIONS (compresion gzip)",
            "did you mean 'compression'?",
        ),
        ("t TO '@/x.csv' OPTIONS (compression rar)", "rar"),
        (
            "t TO '@/x.csv' OPTIONS (compression snappy)",
            "csv files cannot be written with the compression snappy",
        ),
        ("t TO '@/x.csv' OPTIONS (mode sometimes)", "sometimes"),
        (
            "t TO '@/x.csv' OPTIONS (delimiter '||')",
            "'||' is not one character",
        ),
        (
            "t TO '@/x' STORED AS CSV PARTITIONED BY (kin)",
            "did you mean 'kind'?",
        ),
        (
            "(SELECT n FROM t) TO '@/x' STORED AS CSV PARTITIONED BY (n)",
            "no column is left",
        ),
        ("t TO ''", "the path is empty"),
    ] {
        let error = place.fails(copy).await;
        assert_eq!(error.code(), "target_invalid", "{copy}: {error}");
        assert!(error.to_string().contains(says), "{copy}: {error}");
    }
    assert_eq!(
        place.fails("nosuch TO '@/x.csv'").await.code(),
        "sql_unknown_table"
    );
    assert!(
        place.entries("")
            == place
                .entries("")
                .into_iter()
                .filter(|e| e.starts_with("table"))
                .collect::<Vec<_>>()
    );
    assert!(!Path::new(&place.path("x.csv")).exists());
}
