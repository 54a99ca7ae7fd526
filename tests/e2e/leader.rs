//! Leaders that die or freeze.

use std::time::Duration;

use anyhow::ensure;
use millstream_testkit::wait_until;
use millstream_tests::cluster::FAILOVER;
use millstream_tests::jobs::new_id;
use millstream_tests::{Cluster, ClusterOptions, ServerChoice};

use crate::support::{LIMIT, LONG_WORK, Timed, WORK, check_fan_in, events_named, lasts};

#[tokio::test]
async fn standby_finishes_the_job_of_a_killed_leader() -> anyhow::Result<()> {
    let mut cluster = Cluster::with_standby(ServerChoice::Shared).await?;
    let timed = Timed::new(&cluster, WORK);
    let job = cluster.api.submit(&timed.body(&new_id())?).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    let old = cluster.kill_leader().await?;
    check_fan_in(&cluster.api, &job, WORK).await?;
    ensure!(cluster.leader().await? != old, "a dead scheduler leads");
    let pause = timed.longest_pause()?;
    ensure!(pause < FAILOVER, "nothing ran for {pause:?}");
    let lost = events_named(&cluster.api, &job, "worker_lost").await?;
    ensure!(lost.is_empty(), "the leader's end is no worker's fault: {lost:?}");
    Ok(())
}

#[tokio::test]
async fn frozen_leader_is_fenced_when_it_resumes() -> anyhow::Result<()> {
    let cluster = Cluster::with_standby(ServerChoice::Shared).await?;
    let timed = Timed::new(&cluster, LONG_WORK);
    let job = cluster.api.submit(&timed.body(&new_id())?).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    let old = cluster.leader().await?;
    cluster.schedulers[old].freeze()?;
    lasts(Duration::from_secs(10)).await;
    let new = cluster.leader().await?;
    ensure!(new != old, "nobody took over");
    cluster.schedulers[old].thaw()?;
    check_fan_in(&cluster.api, &job, LONG_WORK).await?;

    let next = cluster.api.submit(&WORK.body(&new_id())).await?;
    check_fan_in(&cluster.api, &next, WORK).await?;
    ensure!(cluster.leader().await? == new, "the old leader leads again");
    let pause = timed.longest_pause()?;
    ensure!(pause < FAILOVER, "nothing ran for {pause:?}");
    Ok(())
}

#[tokio::test]
async fn fresh_scheduler_goes_on_where_the_only_one_died() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    cluster.kill_leader().await?;
    let answer = cluster.api.job(&job).await?;
    ensure!(
        answer["state"] == "running",
        "without a leader the journal answers: {answer}"
    );
    cluster.start_scheduler()?;
    check_fan_in(&cluster.api, &job, WORK).await
}

#[tokio::test]
async fn finished_jobs_are_known_to_the_next_leader() -> anyhow::Result<()> {
    let mut cluster = Cluster::with_standby(ServerChoice::Shared).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    check_fan_in(&cluster.api, &job, WORK).await?;
    let old = cluster.kill_leader().await?;
    wait_until("the standby to lead", LIMIT, async || {
        cluster.leader().await.is_ok_and(|leader| leader != old)
    })
    .await?;
    check_fan_in(&cluster.api, &job, WORK).await?;
    let again = cluster.api.submit_within(&WORK.body(&job), LIMIT).await?;
    ensure!(again == job, "the same submission is another job");
    let page = cluster.api.get("/v1/jobs").await?.ok()?;
    ensure!(
        page["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1),
        "{page}"
    );
    Ok(())
}
