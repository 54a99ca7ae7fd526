//! Gateways and clients that die.

use std::time::Duration;

use anyhow::{Context, ensure};
use millstream_tests::events::{EventReader, history};
use millstream_tests::jobs::{TOTAL, new_id, script};
use millstream_tests::{Cluster, ClusterOptions};
use reqwest::Method;

use crate::support::{LIMIT, SOON, WORK, check_fan_in};

#[tokio::test]
async fn submission_is_repeated_at_a_gateway_that_was_killed() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let body = WORK.body(&new_id());
    let job = cluster.api.submit(&body).await?;
    cluster.restart_gateway(0).await?;
    let again = cluster.api.submit_within(&body, LIMIT).await?;
    ensure!(again == job, "{again} is not {job}");
    check_fan_in(&cluster.api, &job, WORK).await?;
    let page = cluster.api.get("/v1/jobs").await?.ok()?;
    ensure!(
        page["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1),
        "{page}"
    );

    let other = cluster
        .api
        .post("/v1/jobs", &script(&job, "echo another"))
        .await?;
    other.problem(409, "id_conflict")?;
    Ok(())
}

#[tokio::test]
async fn event_stream_resumes_at_another_gateway() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions {
        gateways: 2,
        ..ClusterOptions::default()
    })
    .await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    let mut reader = EventReader::open(&cluster.api, &job, None).await?;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let event = reader.next(LIMIT).await?.context("the stream ended early")?;
        seen.push(event);
    }
    cluster.gateways[0].kill()?;
    let second = cluster.gateway(1)?;
    let last = seen.last().map(|event| event.id.clone()).unwrap_or_default();
    let mut resumed = EventReader::open(&second, &job, Some(&last)).await?;
    seen.extend(resumed.rest(LIMIT).await?);
    let whole = history(&second, &job).await?;
    let ids = |events: &[millstream_tests::events::ServerEvent]| -> Vec<String> {
        events.iter().map(|event| event.id.clone()).collect()
    };
    ensure!(
        ids(&seen) == ids(&whole),
        "read in two parts {seen:?}, at once {whole:?}"
    );
    ensure!(
        whole.iter().any(|event| event.data["state"] == "succeeded"),
        "{whole:?}"
    );
    check_fan_in(&second, &job, WORK).await
}

#[tokio::test]
async fn job_goes_on_without_its_client() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let id = new_id();
    let request = cluster
        .api
        .request(Method::POST, "/v1/jobs?wait=60s")
        .json(&script(&id, "sleep 3; echo done without you"));
    // The client gives up in the middle of its wait.
    let gone = tokio::time::timeout(Duration::from_millis(1500), request.send()).await;
    ensure!(gone.is_err(), "the wait ended early");
    cluster.api.succeeded(&id, LIMIT).await?;
    ensure!(cluster.api.text(&id, TOTAL, SOON).await? == "done without you");
    Ok(())
}

#[tokio::test]
async fn gateway_tells_when_it_cannot_be_of_use() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster.kill_leader().await?;
    let answer = cluster
        .api
        .retry("the gateway to miss its leader", LIMIT, async || {
            let answer = cluster.api.get("/v1/workers").await.ok()?;
            (answer.status == 503).then_some(answer)
        })
        .await?;
    ensure!(!answer.header("retry-after").is_empty(), "no Retry-After");
    ensure!(cluster.api.get("/healthz").await?.status == 200);
    Ok(())
}
