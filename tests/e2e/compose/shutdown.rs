//! Containers that are asked to end, or end by themselves.

use std::time::{Duration, Instant};

use anyhow::ensure;
use millstream_testkit::wait_until;
use millstream_tests::Stack;
use millstream_tests::compose::WORKERS;
use millstream_tests::jobs::new_id;

use crate::support::{LIMIT, Timed, WORK, check_fan_in, events_named};

/// The shortest grace period in `compose.yaml`.
const GRACE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn stopped_worker_hands_over_and_nothing_runs_twice() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    let job = new_id();
    let timed = Timed::contained(&stack, &job, WORK);
    stack.api.submit(&timed.body(&job)?).await?;
    stack.api.progressed(&job, 8, LIMIT).await?;
    let worker = stack.containers("worker")?.swap_remove(0);
    let begin = Instant::now();
    let status = worker.stop()?;
    let took = begin.elapsed();
    ensure!(status == "0", "the worker ended with {status}");
    ensure!(took < GRACE, "draining took {took:?}");
    check_fan_in(&stack.api, &job, WORK).await?;
    ensure!(
        timed.runs() as u64 == WORK.tasks(),
        "{} runs of {} tasks",
        timed.runs(),
        WORK.tasks()
    );
    let lost = events_named(&stack.api, &job, "worker_lost").await?;
    ensure!(lost.is_empty(), "{lost:?}");
    Ok(())
}

#[tokio::test]
async fn cluster_stopped_in_mid_job_goes_on_when_it_is_started() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    let job = new_id();
    stack.api.submit(&WORK.body(&job)).await?;
    stack.api.progressed(&job, 8, LIMIT).await?;
    stack.compose(&["stop"])?;
    for container in stack.all()? {
        let end = container.inspect("{{.State.ExitCode}} {{.Name}}")?;
        // A broker that is asked to end says so by its exit code, as Erlang does.
        ensure!(
            end.starts_with("0 ") || end.contains("rabbitmq"),
            "exit code and name: {end}"
        );
        ensure!(!end.starts_with("137 "), "killed after its grace period: {end}");
    }
    stack.compose(&["start"])?;
    stack.whole().await?;
    check_fan_in(&stack.api, &job, WORK).await
}

/// What the services use to know each other, as their containers see it.
fn secrets(stack: &Stack) -> anyhow::Result<String> {
    let files = "/secrets/config/millstream/token /secrets/cluster /secrets/broker-password \
        /secrets/redis-password /secrets/metrics-token";
    stack.one("gateway")?.exec(&[
        "sh",
        "-c",
        &format!("for file in {files}; do cat $file; echo; done"),
    ])
}

#[tokio::test]
async fn cluster_taken_down_and_up_keeps_its_volumes_and_secrets() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    let job = new_id();
    stack.api.submit(&WORK.body(&job)).await?;
    check_fan_in(&stack.api, &job, WORK).await?;
    let (before, containers) = (secrets(&stack)?, stack.all()?);
    ensure!(before.lines().count() == 5, "secrets are missing");

    stack.compose(&["down"])?;
    ensure!(stack.all()?.is_empty(), "containers are left");
    stack.scale(WORKERS)?;
    stack.whole().await?;
    ensure!(
        stack
            .all()?
            .iter()
            .all(|container| !containers.contains(container)),
        "containers were kept"
    );
    ensure!(secrets(&stack)? == before, "the secrets were made anew");
    // The token of before is still good, and what Redis was told is still known.
    let view = stack.api.job(&job).await?;
    ensure!(view["state"] == "succeeded", "{view}");
    let again = new_id();
    stack.api.submit(&WORK.body(&again)).await?;
    check_fan_in(&stack.api, &again, WORK).await
}

#[tokio::test]
async fn crashed_process_is_started_again() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    let before = stack.active_workers().await?;
    for service in ["worker", "gateway"] {
        let container = stack.containers(service)?.swap_remove(0);
        let process = container.main_process()?;
        container.exec(&["sh", "-c", &format!("kill -9 {process}")])?;
        wait_until("Docker to start the container again", LIMIT, async || {
            container
                .inspect("{{.RestartCount}} {{.State.Status}}")
                .is_ok_and(|state| state.ends_with("running") && !state.starts_with("0 "))
        })
        .await?;
    }
    wait_until("a new worker in place of the old one", LIMIT, async || {
        stack.active_workers().await.is_ok_and(|now| {
            now.len() == WORKERS && now.iter().filter(|id| before.contains(id)).count() == WORKERS - 1
        })
    })
    .await
}

#[tokio::test]
async fn worker_added_by_scale_takes_work_and_leaves_in_good_order() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    stack.scale(WORKERS + 1)?;
    stack.whole().await?;
    let job = new_id();
    let timed = Timed::contained(&stack, &job, WORK);
    stack.api.submit(&timed.body(&job)?).await?;
    let work_everywhere = async || {
        stack.api.workers().await.is_ok_and(|workers| {
            let busy = workers.iter().filter(|worker| worker["executing"] != 0);
            busy.count() == WORKERS + 1
        })
    };
    wait_until("work on each worker", LIMIT, work_everywhere).await?;
    stack.scale(WORKERS)?;
    check_fan_in(&stack.api, &job, WORK).await?;
    ensure!(
        timed.runs() as u64 == WORK.tasks(),
        "{} runs of {} tasks",
        timed.runs(),
        WORK.tasks()
    );
    stack.whole().await
}
