//! What queries can do besides TPC-H, and what their plans look like.

use std::path::PathBuf;

use millstream_frame::{
    ParamValue, PlannerOptions, ResultFormat, SqlRequest, StageEnv, StageLimits, compact, decode_ipc,
    memory_size, plan_sql, render, run_stage,
};

use crate::cluster::{Rows, distributed, query, request, rows, run, run_planned};

fn people() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    let people = (0..1000)
        .map(|id| format!("{id},name {},{}\n", id % 10, id % 7))
        .collect::<String>();
    std::fs::write(&path, format!("UserID,name,team\n{people}")).unwrap();
    (folder, path)
}

fn cells(rows: &[&[&str]]) -> Rows {
    rows.iter()
        .map(|row| row.iter().map(|cell| Some((*cell).to_owned())).collect())
        .collect()
}

#[tokio::test]
async fn names_of_columns_need_no_quotes_in_any_case() {
    let (_folder, path) = people();
    for sql in [
        "SELECT max(UserID) FROM P",
        "SELECT max(p.userid) FROM p",
        "SELECT max(\"UserID\") FROM p",
    ] {
        assert_eq!(
            query(sql, &[("p", &path)], &distributed(3)).await,
            cells(&[&["999"]]),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn parameters_are_values_and_not_text() {
    let (_folder, path) = people();
    let mut request = request(
        "SELECT count(*) FROM p WHERE team = $1 AND name = $2",
        &[("p", &path)],
    );
    request.params = vec![
        ParamValue::Int(3),
        ParamValue::Text("name 1' OR '1' = '1".to_owned()),
    ];
    assert_eq!(
        rows(&run(&request, &distributed(2)).await.unwrap()),
        cells(&[&["0"]])
    );
    request.params[1] = ParamValue::Text("name 1".to_owned());
    assert_eq!(
        rows(&run(&request, &distributed(2)).await.unwrap()),
        cells(&[&["14"]])
    );
}

#[tokio::test]
async fn the_order_of_a_result_is_the_order_of_its_tasks() {
    let (_folder, path) = people();
    let tables = [("p", path.as_path())];
    let sql = "SELECT userid FROM p ORDER BY team DESC, userid LIMIT 5 OFFSET 2";
    let got = query(sql, &tables, &distributed(4)).await;
    assert_eq!(got, cells(&[&["20"], &["27"], &["34"], &["41"], &["48"]]));
    let limited = query("SELECT userid FROM p LIMIT 3", &tables, &distributed(4)).await;
    assert_eq!(limited.len(), 3);
}

#[tokio::test]
async fn a_small_query_is_one_task_and_a_big_one_is_many() {
    let (_folder, path) = people();
    let request = request("SELECT team, count(*) FROM p GROUP BY team", &[("p", &path)]);
    let small = plan_sql(&request, &PlannerOptions::default()).await.unwrap();
    assert_eq!(
        small
            .stages
            .iter()
            .map(|stage| stage.tasks.len())
            .collect::<Vec<_>>(),
        [1]
    );
    let big = plan_sql(&request, &distributed(4)).await.unwrap();
    assert_eq!(
        big.stages
            .iter()
            .map(|stage| (stage.tasks.len(), stage.parts))
            .collect::<Vec<_>>(),
        [(4, 4), (4, 1)]
    );
    assert_eq!(rows(&run_planned(&small).await.unwrap()).len(), 7);
    assert_eq!(rows(&run_planned(&big).await.unwrap()).len(), 7);
}

#[tokio::test]
async fn equal_plans_have_equal_bytes_and_keys_and_volatile_ones_say_so() {
    let (_folder, path) = people();
    let sql =
        "SELECT p.name, count(*) FROM p JOIN p q ON p.userid = q.userid WHERE q.team > 2 GROUP BY p.name";
    let request = |sql: &str| request(sql, &[("p", &path)]);
    let first = plan_sql(&request(sql), &distributed(3)).await.unwrap();
    let second = plan_sql(&request(sql), &distributed(3)).await.unwrap();
    for (a, b) in first.stages.iter().zip(&second.stages) {
        assert_eq!(a.key, b.key);
        assert!(
            a.tasks
                .iter()
                .zip(&b.tasks)
                .all(|(a, b)| a.plan == b.plan && a.inputs == b.inputs)
        );
        assert!(!a.volatile);
    }
    let other = plan_sql(&request(&sql.replace("> 2", "> 3")), &distributed(3))
        .await
        .unwrap();
    assert_ne!(first.stages.last().unwrap().key, other.stages.last().unwrap().key);
    let random = plan_sql(&request("SELECT random() FROM p ORDER BY 1"), &distributed(3))
        .await
        .unwrap();
    assert!(random.stages.iter().all(|stage| stage.volatile));
}

#[tokio::test]
async fn an_equal_part_of_a_query_runs_once() {
    let (_folder, path) = people();
    let sql = "SELECT a.team, b.n FROM (SELECT team, count(*) n FROM p GROUP BY team) a
               JOIN (SELECT team, count(*) n FROM p GROUP BY team) b ON a.team = b.team";
    let planned = plan_sql(&request(sql, &[("p", &path)]), &distributed(3))
        .await
        .unwrap();
    let scans = planned
        .stages
        .iter()
        .filter(|stage| stage.display.contains("CsvScanExec"))
        .count();
    let texts: Vec<&str> = planned
        .stages
        .iter()
        .map(|stage| stage.display.as_str())
        .collect();
    assert!(scans <= 2, "{}", texts.join("\n"));
    let keys: std::collections::HashSet<_> = planned.stages.iter().map(|stage| stage.key).collect();
    assert_eq!(keys.len(), planned.stages.len());
}

#[tokio::test]
async fn explain_shows_the_stages() {
    let (_folder, path) = people();
    let sql = "EXPLAIN SELECT team, count(*) FROM p GROUP BY team";
    let got = query(sql, &[("p", &path)], &distributed(4)).await;
    assert_eq!(got.len(), 2);
    assert_eq!(
        got[0][..3],
        [Some("0".to_owned()), Some("4".to_owned()), Some("4".to_owned())]
    );
    assert!(got[0][3].as_ref().unwrap().contains("CsvScanExec"));
    assert!(got[1][3].as_ref().unwrap().contains("StageReadExec: stage=0"));
}

#[tokio::test]
async fn queries_without_tables_run_too() {
    let sql = "SELECT x, 0.06 + 0.01 = 0.07 FROM (VALUES (1), (2)) t(x) ORDER BY x DESC";
    assert_eq!(
        query(sql, &[], &distributed(3)).await,
        cells(&[&["2", "true"], &["1", "true"]])
    );
}

#[tokio::test]
async fn a_request_reads_tables_in_every_form_from_json_and_messagepack() {
    let json = r#"{"query": "SELECT 1", "tables": {"a": "a.csv", "b": ["b.csv", "c.csv"],
        "d": {"path": "d.txt", "format": "csv", "csv": {"delimiter": ";", "na_values": ["-"]}}},
        "params": [null, true, 1, 2.5, "x"], "options": {"partitions": 3}}"#;
    let request: SqlRequest = serde_json::from_str(json).unwrap();
    assert_eq!(request.tables["b"].paths, ["b.csv", "c.csv"]);
    assert_eq!(request.tables["d"].csv.delimiter, Some(';'));
    assert!(request.tables["d"].csv.header);
    assert_eq!(request.params[2], ParamValue::Int(1));
    let packed = rmp_serde::to_vec_named(&request).unwrap();
    assert_eq!(rmp_serde::from_slice::<SqlRequest>(&packed).unwrap(), request);
    assert!(serde_json::from_str::<SqlRequest>(r#"{"query": "SELECT 1", "tabels": {}}"#).is_err());
}

#[tokio::test]
async fn results_are_rendered_in_every_format() {
    let (_folder, path) = people();
    let sql = "SELECT userid, name, CASE WHEN team > 0 THEN 0.5 END AS half FROM p ORDER BY userid LIMIT 2";
    let planned = plan_sql(&request(sql, &[("p", &path)]), &distributed(2))
        .await
        .unwrap();
    let batches = run_planned(&planned).await.unwrap();
    let text =
        |format| String::from_utf8(render(&planned.schema, &batches, format).unwrap().to_vec()).unwrap();
    assert_eq!(
        text(ResultFormat::Csv),
        "UserID,name,half\n0,name 0,\n1,name 1,0.5\n"
    );
    assert!(
        text(ResultFormat::Table).contains("| 1      | name 1 | 0.5  |"),
        "{}",
        text(ResultFormat::Table)
    );
    let lines: Vec<serde_json::Value> = text(ResultFormat::JsonLines)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"UserID": 0, "name": "name 0", "half": null})
    );
    let array: Vec<serde_json::Value> = serde_json::from_str(&text(ResultFormat::Json)).unwrap();
    assert_eq!(array[1], lines[1]);
    let arrow = render(&planned.schema, &batches, ResultFormat::Arrow).unwrap();
    assert_eq!(rows(&decode_ipc(arrow).unwrap().1), rows(&batches));
    let folder = tempfile::tempdir().unwrap();
    let parquet = folder.path().join("out.parquet");
    std::fs::write(
        &parquet,
        render(&planned.schema, &batches, ResultFormat::Parquet).unwrap(),
    )
    .unwrap();
    assert_eq!(
        query("SELECT * FROM t", &[("t", &parquet)], &distributed(2)).await,
        rows(&batches)
    );
    let empty = render(&planned.schema, &[], ResultFormat::Csv).unwrap();
    assert_eq!(empty, "UserID,name,half\n");
}

#[tokio::test]
async fn stored_parts_keep_no_foreign_memory_alive() {
    let (_folder, path) = people();
    let sql = "SELECT name || ' with a name too long to be held in a view' AS n FROM p";
    let planned = plan_sql(&request(sql, &[("p", &path)]), &PlannerOptions::default())
        .await
        .unwrap();
    let env = StageEnv::new(&StageLimits::default()).unwrap();
    let output = run_stage(&planned.stages[0].tasks[0].plan, Vec::new(), &env)
        .await
        .unwrap();
    let whole = output.parts[0].bytes;
    assert_eq!(memory_size(&output.parts[0].batches) as u64, whole);
    let slices: Vec<_> = (0..10)
        .map(|row| output.parts[0].batches[0].slice(row * 100, 1))
        .collect();
    assert!(memory_size(&slices) as u64 > whole / 2);
    let part = compact(&output.schema, &slices).unwrap();
    assert_eq!((part.rows, part.batches.len()), (10, 1));
    assert!(part.bytes < whole / 10, "{} of {whole}", part.bytes);
}

#[tokio::test]
async fn a_sort_beyond_its_memory_spills() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "SELECT value, -value FROM generate_series(1, 1000000) t ORDER BY value % 1000, value";
    let planned = plan_sql(&request(sql, &[]), &PlannerOptions::default())
        .await
        .unwrap();
    let limits = StageLimits {
        memory: Some(24 << 20),
        spill_dir: Some(folder.path().to_owned()),
        ..StageLimits::default()
    };
    let env = StageEnv::new(&limits).unwrap();
    let output = run_stage(&planned.stages[0].tasks[0].plan, Vec::new(), &env)
        .await
        .unwrap();
    assert_eq!(output.parts[0].rows, 1_000_000);
    assert_eq!(env.reserved(), 0);
}
