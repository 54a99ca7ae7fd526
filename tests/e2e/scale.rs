//! A million tasks in one symbolic layer. Needs the machine for itself.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use millstream::graph::{Graph, GraphBuilder, OpSpec, TaskOptions};
use millstream_protocol::args::CommandSpec;
use millstream_protocol::wire::JobOptions;
use millstream_tests::measure::resident_bytes;
use millstream_tests::{Cluster, ClusterOptions};

use crate::support::{LIMIT, SOON, sdk};

const TASKS: u32 = 1_000_000;

/// Resident bytes of the scheduler per task.
const BYTES_PER_TASK: u64 = 200;

/// From the submission to the first task.
const FIRST_TASK: Duration = Duration::from_millis(50);

/// Submissions measured, of which the median counts: the machine has other work.
const SUBMISSIONS: usize = 5;

fn map(tasks: u32, op: OpSpec) -> Graph {
    let mut builder = GraphBuilder::new();
    let op = builder.op(op);
    let options = builder.options(TaskOptions::default());
    let map = builder.blockwise(tasks, op, options, Vec::new());
    builder.want(map.at(tasks - 1));
    builder.finish()
}

/// Commands of which the first writes down the time: the task's own clock is the submitter's.
fn clock(file: &Path) -> anyhow::Result<OpSpec> {
    let script = format!("set -C; date +%s%N > {} 2>/dev/null; sleep 1", file.display());
    let params = CommandSpec::new(["sh", "-c", &script]).to_params()?;
    Ok(OpSpec {
        params,
        ..OpSpec::command()
    })
}

fn unix_nanos() -> anyhow::Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}

#[tokio::test]
async fn first_of_a_million_tasks_runs_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let client = sdk(&cluster.api);
    let mut delays = Vec::new();
    for number in 0..SUBMISSIONS {
        let file = cluster.data().join(format!("first-{number}"));
        let graph = map(TASKS, clock(&file)?);
        let began = unix_nanos()?;
        let (job, _) = client
            .submit_graph("million", &graph, JobOptions::default(), Duration::ZERO)
            .await?;
        let ran = cluster
            .api
            .retry("the first task", SOON, async || {
                std::fs::read_to_string(&file).ok()?.trim().parse::<u128>().ok()
            })
            .await?;
        let delay = ran.checked_sub(began).context("it ran before its submission")?;
        delays.push(Duration::from_nanos(u64::try_from(delay)?));
        job.cancel().await?;
        cluster.api.ended(&job.id().to_string(), LIMIT).await?;
    }
    delays.sort();
    let median = delays[SUBMISSIONS / 2];
    ensure!(median < FIRST_TASK, "the first tasks ran after {delays:?}");
    Ok(())
}

#[tokio::test]
async fn million_tasks_cost_the_scheduler_few_bytes_each() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let client = sdk(&cluster.api);
    let noop = || OpSpec::native("bench:noop");
    // Buffers and caches that do not depend on the job's size.
    let (warm, _) = client
        .submit_graph(
            "warm-up",
            &map(1_000, noop()),
            JobOptions::default(),
            Duration::ZERO,
        )
        .await?;
    warm.wait().await?;

    let pid = cluster.schedulers[0].pid();
    let before = resident_bytes(pid)?;
    let (job, _) = client
        .submit_graph(
            "million",
            &map(TASKS, noop()),
            JobOptions::default(),
            Duration::ZERO,
        )
        .await?;
    let id = job.id().to_string();
    let mut peak = before;
    let ended = cluster.api.ended(&id, LIMIT);
    tokio::pin!(ended);
    let view = loop {
        tokio::select! {
            view = &mut ended => break view?,
            () = tokio::time::sleep(Duration::from_millis(20)) => peak = peak.max(resident_bytes(pid)?),
        }
    };
    ensure!(view["state"] == "succeeded", "{view}");
    let per_task = (peak - before) / u64::from(TASKS);
    ensure!(
        per_task <= BYTES_PER_TASK,
        "{per_task} bytes per task: {before} before, {peak} at most"
    );
    Ok(())
}
