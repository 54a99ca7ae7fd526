//! Many tasks: how fast, how soon, how large. Each test needs the machine for itself, and nextest gives it that.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use millstream::graph::{Graph, GraphBuilder, OpSpec, TaskOptions};
use millstream_protocol::args::CommandSpec;
use millstream_protocol::wire::JobOptions;
use millstream_tests::cli::Shell;
use millstream_tests::measure::resident_bytes;
use millstream_tests::yardstick::Speed;
use millstream_tests::{Cluster, ClusterOptions};
use serde_json::Value;

use crate::support::{LIMIT, SOON, sdk};

const TASKS: u32 = 1_000_000;

/// Resident bytes of the scheduler per task.
const BYTES_PER_TASK: u64 = 200;

/// From the submission to the first task.
const FIRST_TASK: Duration = Duration::from_millis(50);

/// Submissions measured, of which the median counts: the machine has other work.
const SUBMISSIONS: usize = 5;

/// Tasks per second of a merge on two workers, in one process and through RabbitMQ and Redis: least rates.
const LOCAL_RATE: f64 = 100_000.0;
const CLUSTER_RATE: f64 = 50_000.0;

/// How often a promise is put to the test before it counts as broken, and the rest in between: a shared machine has bad
/// moments.
const ATTEMPTS: usize = 4;
const REST: Duration = Duration::from_secs(5);

/// The shape that the rates are promised for.
const MERGE: [&str; 6] = ["bench", "merge", "--tasks", "100000", "--json", "--runs"];

/// Runs of the merge, of which the quickest counts: what else the machine does can only slow one down, and the first
/// also teaches the leader how short the tasks are.
const RUNS: &str = "3";

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

/// What one attempt found.
struct Found {
    /// What was measured, as a multiple of what is promised: 1 and more keeps the promise.
    kept: f64,
    told: String,
}

/// Tries until `attempt` keeps its promise beside what the machine could do just before and just after.
async fn keeps_promise(mut attempt: impl AsyncFnMut() -> anyhow::Result<Found>) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for number in 0..ATTEMPTS {
        if number > 0 {
            tokio::time::sleep(REST).await;
        }
        let before = Speed::measure()?;
        let found = attempt().await?;
        let after = Speed::measure()?;
        if found.kept * before.slowdown().max(after.slowdown()) >= 1.0 {
            return Ok(());
        }
        all.push(format!("{}, with {before} before and {after} after", found.told));
    }
    bail!("none of {ATTEMPTS} attempts: {}", all.join("; "))
}

/// Runs of the merge: the rate of the quickest beside the one that is promised.
async fn merge(shell: &Shell, further: &[&str], promised: f64) -> anyhow::Result<Found> {
    let mut arguments = MERGE.to_vec();
    arguments.push(RUNS);
    arguments.extend(further);
    let line = shell.data(&arguments).await?;
    let report: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
    let runs = report["runs"].as_array().context("no runs")?;
    let quickest = runs
        .iter()
        .filter_map(Value::as_f64)
        .fold(f64::INFINITY, f64::min);
    let tasks = report["tasks"].as_f64().context("no tasks")?;
    ensure!(tasks >= 100_000.0 && quickest > 0.0, "{line}");
    let rate = tasks / quickest;
    Ok(Found {
        kept: rate / promised,
        told: format!("{rate:.0} of {promised:.0} tasks/s"),
    })
}

#[tokio::test]
async fn local_cluster_runs_100k_tasks_a_second() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    keeps_promise(async || merge(&shell, &["--workers", "2"], LOCAL_RATE).await).await
}

#[tokio::test]
async fn cluster_runs_50k_tasks_a_second_through_rabbitmq_and_redis() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let shell = Shell::new()?;
    let gateway = ["--gateway", cluster.api.url(), "--token", cluster.api.token()];
    keeps_promise(async || merge(&shell, &gateway, CLUSTER_RATE).await).await
}

/// From the submission of a million tasks to the time that the first one writes into `file`.
async fn first_task(cluster: &Cluster, file: &Path) -> anyhow::Result<Duration> {
    let graph = map(TASKS, clock(file)?);
    let began = unix_nanos()?;
    let (job, _) = sdk(&cluster.api)
        .submit_graph("million", &graph, JobOptions::default(), Duration::ZERO)
        .await?;
    let ran = cluster
        .api
        .retry("the first task", SOON, async || {
            std::fs::read_to_string(file).ok()?.trim().parse::<u128>().ok()
        })
        .await?;
    job.cancel().await?;
    cluster.api.ended(&job.id().to_string(), LIMIT).await?;
    let delay = ran.checked_sub(began).context("it ran before its submission")?;
    Ok(Duration::from_nanos(u64::try_from(delay)?))
}

#[tokio::test]
async fn first_of_a_million_tasks_runs_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let mut number = 0;
    keeps_promise(async || {
        let mut delays = Vec::new();
        for _ in 0..SUBMISSIONS {
            number += 1;
            let file = cluster.data().join(format!("first-{number}"));
            delays.push(first_task(&cluster, &file).await?);
        }
        delays.sort();
        let median = delays[SUBMISSIONS / 2];
        Ok(Found {
            kept: FIRST_TASK.as_secs_f64() / median.as_secs_f64(),
            told: format!("{median:?} until the first task"),
        })
    })
    .await
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
