//! Values that clients leave on workers ahead of their jobs.

use anyhow::{Context, ensure};
use millstream_tests::jobs::{TOTAL, new_id};
use millstream_tests::{Api, Cluster, ClusterOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{LIMIT, SOON};

fn value() -> Vec<u8> {
    (0..3_000_000_u32)
        .map(|i| i.wrapping_mul(2_654_435_761) as u8)
        .collect()
}

/// Leaves the value; returns its id and the workers that have it.
async fn upload(api: &Api) -> anyhow::Result<(String, Vec<Value>)> {
    let id = new_id();
    let request = api
        .request(Method::PUT, &format!("/v1/uploads/{id}"))
        .body(value());
    let view = api.send(request).await?.ok()?;
    ensure!(view["length"] == 3_000_000, "{view}");
    let workers = view["workers"].as_array().context("no workers")?.clone();
    Ok((id, workers))
}

fn reader(upload: &str, workers: &[Value]) -> Value {
    let task = json!({"key": TOTAL, "op": "native", "function": "millstream:upload", "args": [upload],
        "workers": workers});
    json!({"id": new_id(), "tasks": [task]})
}

#[tokio::test]
async fn an_upload_survives_the_worker_that_has_read_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let (id, workers) = upload(&cluster.api).await?;
    ensure!(workers.len() == 2 && workers[0] != workers[1], "{workers:?}");
    let job = cluster.api.submit(&reader(&id, &workers)).await?;
    ensure!(
        cluster.api.result(&job, TOTAL, LIMIT).await? == value(),
        "the result differs"
    );
    let holder = cluster.worker_of_task(&job, TOTAL).await?;
    cluster.workers[holder].kill()?;
    ensure!(
        cluster.api.result(&job, TOTAL, LIMIT).await? == value(),
        "the result made again differs"
    );
    Ok(())
}

#[tokio::test]
async fn a_task_whose_upload_is_gone_fails_and_names_it() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let (id, workers) = upload(&cluster.api).await?;
    let removed = cluster.api.delete(&format!("/v1/uploads/{id}")).await?;
    ensure!(removed.status == 204, "{removed:?}");
    let job = cluster.api.submit(&reader(&id, &workers)).await?;
    let view = cluster.api.ended(&job, LIMIT).await?;
    ensure!(view["state"] == "failed", "{view}");
    let task = cluster.api.task(&job, TOTAL).await?;
    ensure!(task["error"]["kind"] == "input_lost", "{task}");
    ensure!(task["error"]["message"].to_string().contains(&id), "{task}");
    Ok(())
}

#[tokio::test]
async fn an_upload_waits_for_nobody_when_there_is_no_worker() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    for worker in &mut cluster.workers {
        worker.kill()?;
    }
    let request = || {
        let path = format!("/v1/uploads/{}", new_id());
        cluster.api.request(Method::PUT, &path).body(value())
    };
    // Until the leader knows, the gateway tries those that it was told of.
    let gone = async || {
        let answer = cluster.api.send(request()).await?;
        answer
            .problem(503, "no_worker")
            .or_else(|_| answer.problem(503, "upload_failed"))?;
        Ok::<_, anyhow::Error>(answer.problem(503, "no_worker").is_ok())
    };
    millstream_testkit::wait_until("the workers to be given up", SOON, async || {
        gone().await.is_ok_and(|is_gone| is_gone)
    })
    .await?;
    Ok(())
}
