//! RabbitMQ and Redis that die, vanish or lose their data, and messages that nobody can read.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use millstream_bus::{Address, AmqpBus, Bus, Names, QueueSpec};
use millstream_testkit::wait_until;
use millstream_tests::events::EventReader;
use millstream_tests::jobs::{TOTAL, new_id, script};
use millstream_tests::{Cluster, ClusterOptions, ServerChoice};
use millstream_types::ClusterName;

use crate::support::{LIMIT, LONG_WORK, SOON, WORK, check_fan_in, events_named, lasts};

async fn cluster_with(servers: ServerChoice) -> anyhow::Result<Cluster> {
    Cluster::start(ClusterOptions {
        servers,
        ..ClusterOptions::default()
    })
    .await
}

#[tokio::test]
async fn job_survives_a_restart_of_rabbitmq() -> anyhow::Result<()> {
    let mut cluster = cluster_with(ServerChoice::PrivateBroker).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    let broker = cluster.servers.broker()?;
    broker.kill()?;
    broker.restart().await?;
    check_fan_in(&cluster.api, &job, WORK).await?;
    cluster.wait_for_workers(2).await
}

#[tokio::test]
async fn nobody_is_blamed_while_the_broker_is_away() -> anyhow::Result<()> {
    let mut cluster = cluster_with(ServerChoice::PrivateBroker).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    cluster.servers.broker()?.kill()?;
    lasts(Duration::from_secs(20)).await;
    cluster.servers.broker()?.restart().await?;
    check_fan_in(&cluster.api, &job, WORK).await?;
    let lost = events_named(&cluster.api, &job, "worker_lost").await?;
    ensure!(lost.is_empty(), "{lost:?}");
    cluster.check_running([0, 1])
}

#[tokio::test]
async fn job_survives_a_restart_of_redis() -> anyhow::Result<()> {
    let mut cluster = cluster_with(ServerChoice::PrivateRedis).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    let redis = cluster.servers.redis()?;
    redis.kill()?;
    lasts(Duration::from_secs(1)).await;
    redis.restart().await?;
    check_fan_in(&cluster.api, &job, WORK).await
}

#[tokio::test]
async fn event_stream_goes_on_after_a_restart_of_redis() -> anyhow::Result<()> {
    let mut cluster = cluster_with(ServerChoice::PrivateRedis).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    let mut reader = EventReader::open(&cluster.api, &job, None).await?;
    let first = reader.next(SOON).await?.context("no event")?;
    ensure!(first.name == "accepted", "{first:?}");
    let redis = cluster.servers.redis()?;
    redis.kill()?;
    // Longer than the gateway waits for one answer.
    lasts(Duration::from_secs(6)).await;
    redis.restart().await?;
    let events = reader.rest(LIMIT).await?;
    ensure!(
        events.last().is_some_and(|event| event.name == "end"),
        "the stream ended without the job: {:?}",
        events.last()
    );
    let ids: Vec<&str> = std::iter::once(&first)
        .chain(&events)
        .map(|event| event.id.as_str())
        .filter(|id| !id.is_empty())
        .collect();
    let different: BTreeSet<&str> = ids.iter().copied().collect();
    ensure!(different.len() == ids.len(), "an event came twice: {ids:?}");
    check_fan_in(&cluster.api, &job, WORK).await
}

#[tokio::test]
async fn leader_writes_its_jobs_back_when_redis_lost_everything() -> anyhow::Result<()> {
    let mut cluster = cluster_with(ServerChoice::PrivateRedis).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    cluster.servers.redis()?.restart_empty().await?;
    check_fan_in(&cluster.api, &job, WORK).await?;
    // Not only the leader knows it: another one finds it in Redis.
    cluster.kill_leader().await?;
    cluster.start_scheduler()?;
    check_fan_in(&cluster.api, &job, WORK).await
}

#[tokio::test]
async fn accepted_job_outlives_a_redis_killed_at_once() -> anyhow::Result<()> {
    let mut cluster = cluster_with(ServerChoice::PrivateRedis).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    let redis = cluster.servers.redis()?;
    redis.kill()?;
    redis.restart().await?;
    check_fan_in(&cluster.api, &job, WORK).await
}

#[tokio::test]
async fn accepted_job_outlives_its_leader_and_all_that_redis_had_within_two_seconds() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions {
        schedulers: 2,
        servers: ServerChoice::PrivateRedis,
        ..ClusterOptions::default()
    })
    .await?;
    let leader = cluster.leader().await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster
        .api
        .task_in(&job, "chain-0-0", &["assigned", "running", "stored"], SOON)
        .await?;
    cluster.schedulers[leader].kill()?;
    cluster.servers.redis()?.restart_empty().await?;
    wait_until("the job to be known again", LIMIT, async || {
        cluster.api.job(&job).await.is_ok()
    })
    .await?;
    check_fan_in(&cluster.api, &job, WORK).await
}

#[tokio::test]
async fn job_lost_with_leader_and_redis_runs_when_it_is_submitted_again() -> anyhow::Result<()> {
    let mut cluster = cluster_with(ServerChoice::PrivateRedis).await?;
    let body = LONG_WORK.body(&new_id());
    let job = cluster.api.submit(&body).await?;
    // By then the intake queue has let it go.
    lasts(Duration::from_secs(6)).await;
    cluster.kill_leader().await?;
    cluster.servers.redis()?.restart_empty().await?;
    cluster.start_scheduler()?;
    let again = cluster.api.submit_within(&body, LIMIT).await?;
    ensure!(again == job, "{again} is not {job}");
    check_fan_in(&cluster.api, &job, LONG_WORK).await
}

#[tokio::test]
async fn finished_job_whose_record_was_lost_is_unknown_and_that_is_said() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions {
        gateways: 2,
        servers: ServerChoice::PrivateRedis,
        ..ClusterOptions::default()
    })
    .await?;
    let job = cluster.api.submit(&script(&new_id(), "echo done")).await?;
    cluster.api.succeeded(&job, LIMIT).await?;
    // By then the intake queue has let it go.
    lasts(Duration::from_secs(6)).await;
    cluster.kill_leader().await?;
    cluster.servers.redis()?.restart_empty().await?;
    cluster.start_scheduler()?;
    // Not the gateway that took it, which remembers that it was there.
    let other = cluster.gateway(1)?;
    cluster.wait_ready(&other).await?;
    for path in [
        format!("/v1/jobs/{job}"),
        format!("/v1/jobs/{job}/results/{TOTAL}"),
    ] {
        let answer = other
            .retry("the job to be unknown", LIMIT, async || {
                let answer = other.get(&path).await.ok()?;
                (answer.status == 404).then_some(answer)
            })
            .await?;
        let problem = answer.problem(404, "unknown_job")?;
        ensure!(problem["job"] == job.as_str(), "{problem}");
        let hint = problem["hint"].as_str().unwrap_or_default();
        ensure!(hint.contains("lost with the data of Redis"), "{problem}");
    }
    // The cluster goes on.
    let next = other.submit(&script(&new_id(), "echo again")).await?;
    other.succeeded(&next, LIMIT).await?;
    ensure!(other.text(&next, TOTAL, SOON).await? == "again");
    Ok(())
}

#[tokio::test]
async fn poison_in_the_intake_is_put_aside() -> anyhow::Result<()> {
    let cluster = cluster_with(ServerChoice::Shared).await?;
    let names = Names::new(cluster.name().parse::<ClusterName>()?);
    let bus = AmqpBus::new(cluster.servers.broker_url(), names.clone())?;
    let link = bus.connect("test").await;
    let poison = bytes::Bytes::from_static(b"\xc1 no message of ours");
    link.publish_confirmed(&Address::Queue(names.intake()), poison.clone())
        .await?;

    let job = cluster.api.submit(&script(&new_id(), "echo still here")).await?;
    cluster.api.succeeded(&job, LIMIT).await?;
    ensure!(cluster.api.text(&job, TOTAL, SOON).await? == "still here");
    let mut dead = link.consume(QueueSpec::dead(&names, 1)).await?;
    let letter = tokio::time::timeout(SOON, dead.next()).await?;
    ensure!(
        letter.is_some_and(|letter| letter.frame == poison),
        "the message is not in the dead-letter queue"
    );
    Ok(())
}
