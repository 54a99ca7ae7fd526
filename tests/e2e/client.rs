//! Clients that go away.

use std::time::Duration;

use anyhow::ensure;
use millstream_tests::jobs::{command, new_id};
use millstream_tests::{Cluster, ClusterOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{LIMIT, SOON, lasts};

fn endless(session: Option<&str>) -> Value {
    let mut job = json!({"id": new_id(), "tasks": [command("endless", "sleep 600")]});
    if let Some(session) = session {
        job["options"] = json!({"session": session});
    }
    job
}

#[tokio::test]
async fn attached_job_ends_with_a_client_that_is_gone_and_others_go_on() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions {
        workers: 1,
        settings: vec![
            ("gateway.session_ttl", "3s".to_owned()),
            ("scheduler.session_grace", "2s".to_owned()),
        ],
        ..ClusterOptions::default()
    })
    .await?;
    let session = new_id();
    let renew = async || {
        let request = cluster
            .api
            .request(Method::PUT, &format!("/v1/sessions/{session}"));
        let answer = cluster.api.send(request).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    };
    renew().await?;
    let attached = cluster.api.submit(&endless(Some(&session))).await?;
    let detached = cluster.api.submit(&endless(None)).await?;
    for job in [&attached, &detached] {
        cluster.api.task_in(job, "endless", &["running"], LIMIT).await?;
    }
    // Longer than the session lasts by itself and the leader's grace: it is the renewals that keep the job.
    for _ in 0..7 {
        renew().await?;
        lasts(Duration::from_secs(1)).await;
    }
    ensure!(cluster.api.job(&attached).await?["state"] == "running");

    let ended = cluster.api.ended(&attached, LIMIT).await?;
    ensure!(ended["state"] == "cancelled", "{ended}");
    ensure!(cluster.api.job(&detached).await?["state"] == "running");
    let request = cluster
        .api
        .request(Method::DELETE, &format!("/v1/jobs/{detached}"));
    cluster.api.send(request).await?;
    cluster.api.ended(&detached, SOON).await?;
    Ok(())
}
