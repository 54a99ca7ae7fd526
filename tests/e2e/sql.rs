//! Queries on several workers.

use std::fmt::Write as _;
use std::ops::Range;

use anyhow::{Context, bail, ensure};
use millstream_testkit::wait_until;
use millstream_tests::{Cluster, ClusterOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{LIMIT, SOON, events_named};

const CARRIERS: [&str; 3] = ["LH", "UA", "DL"];
/// Enough bytes for a query that is worth sharing: smaller ones run as one task.
const ROWS: u64 = 900_000;

/// Files of the large table, each of which is read by a task of its own.
const FILES: u64 = 8;

/// Flights as people really have them: `NA` and nothing are missing values, and a column of whole numbers has
/// fractions further down.
fn flights(ids: Range<u64>) -> String {
    let mut text = String::from("id,carrier,delay,distance\n");
    for id in ids {
        let carrier = CARRIERS[(id % 3) as usize];
        let delay = match id % 10 {
            0 => "NA".to_owned(),
            5 => String::new(),
            _ => (id % 7).to_string(),
        };
        let distance = if id + 1 == ROWS {
            "0.5".to_owned()
        } else {
            (id % 100).to_string()
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{id},{carrier},{delay},{distance}");
    }
    text
}

/// Rows and known delays of each carrier, counted without the product.
fn expected() -> Vec<Value> {
    let mut rows: Vec<Value> = (0..3)
        .map(|carrier| {
            let ids = (0..ROWS).filter(|id| id % 3 == carrier);
            let known = ids.clone().filter(|id| id % 10 != 0 && id % 10 != 5);
            json!({
                "carrier": CARRIERS[carrier as usize],
                "name": format!("{} Airlines", CARRIERS[carrier as usize]),
                "flights": ids.count(),
                "known": known.clone().count(),
                "total": known.map(|id| id % 7).sum::<u64>(),
            })
        })
        .collect();
    rows.sort_by_key(|row| row["carrier"].to_string());
    rows
}

/// Queries that are begun at most until one is caught in its middle.
const QUERIES: usize = 8;

const QUERY: &str = "SELECT f.carrier, c.name, count(*) AS flights, count(f.delay) AS known, sum(f.delay) AS total \
                     FROM flights f JOIN carriers c ON f.carrier = c.code GROUP BY f.carrier, c.name ORDER BY 1";

async fn cluster() -> anyhow::Result<(Cluster, Value)> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let mut carriers = String::from("code,name\n");
    for carrier in CARRIERS {
        let _ = writeln!(carriers, "{carrier},{carrier} Airlines");
    }
    for file in 0..FILES {
        let ids = file * ROWS / FILES..(file + 1) * ROWS / FILES;
        cluster.write(&format!("flights-{file}.csv"), &flights(ids))?;
    }
    let tables = json!({
        "flights": cluster.data().join("flights-*.csv"),
        "carriers": cluster.write("carriers.csv", &carriers)?,
    });
    let request = json!({"query": QUERY, "tables": tables, "options": {"partitions": 4}});
    Ok((cluster, request))
}

#[tokio::test]
async fn query_runs_on_several_workers_that_exchange_rows() -> anyhow::Result<()> {
    let (cluster, request) = cluster().await?;
    let answer = cluster.api.post("/v1/sql", &request).await?;
    ensure!(answer.ok()? == Value::Array(expected()), "{}", answer.text());
    ensure!(
        !answer.header("millstream-job").is_empty(),
        "the answer names no job"
    );
    // Heartbeats tell the traffic about once a second.
    wait_until("bytes to have crossed between workers", SOON, async || {
        cluster.api.workers().await.is_ok_and(|workers| {
            let moved = |field: &str| {
                workers
                    .iter()
                    .any(|worker| worker["load"][field].as_u64().is_some_and(|bytes| bytes > 0))
            };
            moved("fetched") && moved("served")
        })
    })
    .await
}

/// The worker that holds rows of a stage while the query runs; none if the query ended before one was seen.
async fn holder_of_rows(cluster: &Cluster, job: &str) -> anyhow::Result<Option<Value>> {
    let stored = format!("/v1/jobs/{job}/tasks?state=stored");
    let look = async || {
        let page = cluster.api.get(&stored).await.ok()?.ok().ok()?;
        let tasks = page["tasks"].as_array()?;
        let held = tasks.iter().find(|task| task["op"] == "frame stage");
        let holder = held.map(|task| task["workers"][0].clone());
        let view = cluster.api.job(job).await.ok()?;
        if view["ended_ms"].is_null() {
            holder.filter(Value::is_string).map(Some)
        } else {
            Some(None)
        }
    };
    cluster
        .api
        .retry("rows of a stage, or the query's end", LIMIT, look)
        .await
}

#[tokio::test]
async fn query_survives_the_loss_of_a_worker_that_holds_rows_of_it() -> anyhow::Result<()> {
    let (mut cluster, request) = cluster().await?;
    // A query that ended before its worker was found has shown nothing: the next one is broken.
    for _ in 0..QUERIES {
        let job = millstream_tests::jobs::new_id();
        let path = format!("/v1/sql?id={job}&wait=1ms");
        let accepted = cluster.api.post(&path, &request).await?;
        ensure!(accepted.status.is_success(), "{}", accepted.text());
        let Some(holder) = holder_of_rows(&cluster, &job).await? else {
            continue;
        };
        let position = cluster.worker_with_id(&holder).await?;
        cluster.workers[position].kill()?;
        cluster.api.succeeded(&job, LIMIT).await?;
        let rows: Value = serde_json::from_slice(&cluster.api.result(&job, "result", LIMIT).await?)?;
        ensure!(rows == Value::Array(expected()), "{rows}");
        let lost = events_named(&cluster.api, &job, "worker_lost").await?;
        if lost
            .iter()
            .any(|event| event.data["recomputed"].as_u64() > Some(0))
        {
            return Ok(());
        }
        cluster.start_worker()?;
        cluster.wait_for_workers(2).await?;
    }
    bail!("none of {QUERIES} queries lost rows to the kill");
}

#[tokio::test]
async fn rows_come_in_the_format_that_is_asked_for() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions {
        workers: 1,
        ..ClusterOptions::default()
    })
    .await?;
    let ask = async |accept: &str| {
        let request = cluster
            .api
            .request(Method::POST, "/v1/sql")
            .header("accept", accept)
            .json(&json!({"query": "SELECT 1 + $1 AS n, 'a,b' AS t, NULL AS z", "params": [41]}));
        let answer = cluster.api.send(request).await?;
        ensure!(answer.status == 200, "{accept}: {}", answer.text());
        ensure!(
            answer.header("content-type").starts_with(accept),
            "{accept}: {:?}",
            answer.headers
        );
        Ok(answer)
    };
    let rows = ask("application/json").await?.json()?;
    ensure!(rows == json!([{"n": 42, "t": "a,b", "z": null}]), "{rows}");
    let csv = ask("text/csv").await?.text();
    ensure!(
        csv.lines().collect::<Vec<_>>() == ["n,t,z", "42,\"a,b\","],
        "{csv}"
    );
    let lines = ask("application/x-ndjson").await?.text();
    ensure!(serde_json::from_str::<Value>(lines.trim())?["n"] == 42, "{lines}");
    ensure!(ask("text/plain").await?.text().contains("42"));
    let parquet = ask("application/vnd.apache.parquet").await?.body;
    ensure!(
        parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"),
        "no Parquet"
    );
    let arrow = ask("application/vnd.apache.arrow.stream").await?.body;
    ensure!(arrow.starts_with(&[0xff; 4]), "no Arrow stream");
    Ok(())
}

#[tokio::test]
async fn query_is_a_task_among_others() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let path = cluster.write("numbers.csv", "n\n1\n2\nNA\n39\n")?;
    let body = json!({"tasks": [
        {"key": "rows", "op": "sql", "query": "SELECT sum(n) AS total FROM numbers", "tables": {"numbers": path}},
        {"key": "text", "op": "command", "argv": ["cat"], "stdin": {"task": "rows"}},
    ]});
    let job = cluster.api.submit(&body).await?;
    cluster.api.succeeded(&job, LIMIT).await?;
    let text = cluster.api.text(&job, "text", SOON).await?;
    let rows: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    ensure!(rows == json!([{"total": 42}]), "{rows}");
    Ok(())
}

/// The answer of a text in a session.
async fn said(cluster: &Cluster, session: &str, text: &str) -> anyhow::Result<Value> {
    let request = json!({"query": text, "session": session});
    cluster.api.post("/v1/sql", &request).await?.ok()
}

#[tokio::test]
async fn tables_and_views_of_a_session_are_kept_until_they_are_dropped() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let path = cluster.write("numbers.csv", "n,word\n1,one\n2,two\n3,three\n")?;
    let table = format!("CREATE EXTERNAL TABLE numbers STORED AS CSV LOCATION '{path}'");
    let made = said(&cluster, "team", &table).await?;
    ensure!(made == json!([{"result": "table 'numbers' is made"}]), "{made}");
    said(
        &cluster,
        "team",
        "CREATE VIEW odd AS SELECT * FROM numbers WHERE n % 2 = 1",
    )
    .await?;
    let rows = said(&cluster, "team", "SELECT sum(n) AS total FROM odd").await?;
    ensure!(rows == json!([{"total": 4}]), "{rows}");
    let shown = said(&cluster, "team", "SHOW TABLES").await?;
    let names: Vec<&Value> = shown
        .as_array()
        .context("rows")?
        .iter()
        .map(|row| &row["name"])
        .collect();
    ensure!(names == ["numbers", "odd"], "{shown}");
    // Another session has names of its own, and none of this are among the users' cells.
    let other = cluster
        .api
        .post(
            "/v1/sql",
            &json!({"query": "SELECT * FROM odd", "session": "else"}),
        )
        .await?;
    ensure!(
        other.status == 400 && other.text().contains("table 'odd' not found"),
        "{}",
        other.text()
    );
    let cells = cluster.api.get("/v1/cells").await?.ok()?;
    ensure!(cells["cells"] == json!([]), "{cells}");
    said(&cluster, "team", "DROP VIEW odd; DROP TABLE numbers").await?;
    ensure!(said(&cluster, "team", "SHOW TABLES").await? == json!([]));
    Ok(())
}

#[tokio::test]
async fn names_that_are_made_at_once_are_all_kept() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let texts: Vec<String> = (0..8)
        .map(|n| format!("CREATE VIEW v{n} AS SELECT {n} AS n"))
        .collect();
    let all = texts.iter().map(|text| said(&cluster, "team", text));
    futures::future::try_join_all(all).await?;
    let union: Vec<String> = (0..8).map(|n| format!("SELECT n FROM v{n}")).collect();
    let total = format!("SELECT sum(n) AS total FROM ({})", union.join(" UNION ALL "));
    ensure!(said(&cluster, "team", &total).await? == json!([{"total": 28}]));
    Ok(())
}

#[tokio::test]
async fn a_clients_session_ends_with_its_names() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let session = millstream_tests::jobs::new_id();
    let text = "CREATE VIEW v AS SELECT 1 AS n; SELECT * FROM v";
    let request = json!({"query": text, "session": session});
    let unknown = cluster.api.post("/v1/sql", &request).await?;
    ensure!(unknown.status == 404, "{}", unknown.text());
    let path = format!("/v1/sessions/{session}");
    let open = async || {
        cluster
            .api
            .send(cluster.api.request(Method::PUT, &path))
            .await?
            .ok()
    };
    open().await?;
    ensure!(said(&cluster, &session, text).await? == json!([{"n": 1}]));
    open().await?;
    ensure!(said(&cluster, &session, "SELECT n + 1 AS n FROM v").await? == json!([{"n": 2}]));
    cluster
        .api
        .send(cluster.api.request(Method::DELETE, &path))
        .await?;
    open().await?;
    ensure!(said(&cluster, &session, "SHOW TABLES").await? == json!([]));
    Ok(())
}

#[tokio::test]
async fn statements_of_a_text_run_in_order_and_errors_name_theirs() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let text = "CREATE VIEW one AS SELECT 1 AS n;\nSELECT n FROM one;\nSELECT n + 1 AS n FROM one;";
    // Without a session names live as long as the request.
    let answer = cluster.api.post("/v1/sql", &json!({"query": text})).await?;
    ensure!(answer.ok()? == json!([{"n": 2}]), "{}", answer.text());
    let text = "SELECT 1;\nSELECT\n  m FROM one";
    let answer = cluster.api.post("/v1/sql", &json!({"query": text})).await?;
    let expected = "statement 2: table 'one' not found at line 3, column 10";
    ensure!(
        answer.status == 400 && answer.text().contains(expected),
        "{}",
        answer.text()
    );
    Ok(())
}
