//! `millstream bench`: how fast tasks flow through a cluster.

use std::time::{Duration, Instant};

use anyhow::ensure;
use millstream::graph::{BlockInput, Dep, Graph, GraphBuilder, OpSpec, TaskOptions};
use millstream::{Client, ClientOptions, Error, JobState};
use millstream_protocol::wire::JobOptions;
use serde::Serialize;

use crate::args::{BenchArgs, Workload};
use crate::output;
use crate::progress::Display;
use crate::settings::Loading;

/// Longest wait of one request for a job's end.
const WAIT: Duration = Duration::from_secs(60);

/// The task every workload is made of: reads its inputs' names, does nothing, returns nothing.
const NOOP: &str = "bench:noop";

#[derive(Debug, Serialize)]
struct Report {
    workload: String,
    tasks: u32,
    seconds: f64,
    tasks_per_s: f64,
    runs: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
}

pub(crate) async fn run(args: BenchArgs, loading: Loading) -> anyhow::Result<()> {
    ensure!(
        args.tasks > 0 && args.runs > 0,
        "there is nothing to measure: --tasks and --runs are at least 1"
    );
    let client = match &args.gateway {
        Some(_) => Client::connect(&ClientOptions {
            url: args.gateway.clone(),
            token: args.token.clone(),
        })?,
        None => super::local::start(&args.size, 2, loading).await?,
    };
    let report = match args.workload {
        Workload::Rtt => round_trips(&client, args.tasks).await?,
        workload => throughput(&client, workload, args.tasks, args.runs).await?,
    };
    if args.json {
        return Ok(output::line(&serde_json::to_string(&report)?)?);
    }
    output::line(&format!(
        "{}: {} tasks in {:.3} s, {:.0} tasks/s",
        report.workload, report.tasks, report.seconds, report.tasks_per_s
    ))?;
    if let (Some(p50), Some(p99)) = (report.p50_ms, report.p99_ms) {
        output::line(&format!("submission to result: p50 {p50:.2} ms, p99 {p99:.2} ms"))?;
    }
    Ok(())
}

async fn throughput(client: &Client, workload: Workload, tasks: u32, runs: u32) -> anyhow::Result<Report> {
    let graph = graph(workload, tasks);
    let total = graph.task_count();
    let name = format!("{workload:?}").to_lowercase();
    let mut seconds = Vec::new();
    // Runs and not tasks: a job's events would be work of their own for the cluster that is measured.
    let mut display = Display::new(&name, "runs");
    for run in 0..runs {
        display.set(u64::from(run), u64::from(runs));
        let began = Instant::now();
        finish(client, &graph).await?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    drop(display);
    let median = median(&seconds);
    Ok(Report {
        workload: name,
        tasks: total,
        seconds: median,
        tasks_per_s: f64::from(total) / median,
        runs: seconds,
        p50_ms: None,
        p99_ms: None,
    })
}

async fn round_trips(client: &Client, tasks: u32) -> anyhow::Result<Report> {
    let graph = graph(Workload::Map, 1);
    finish(client, &graph).await?;
    let mut millis = Vec::with_capacity(tasks as usize);
    let began = Instant::now();
    let mut display = Display::new("rtt", "round trips");
    for done in 0..tasks {
        display.set(u64::from(done), u64::from(tasks));
        let sent = Instant::now();
        finish(client, &graph).await?;
        millis.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(display);
    millis.sort_by(f64::total_cmp);
    Ok(Report {
        workload: "rtt".to_owned(),
        tasks,
        seconds,
        tasks_per_s: f64::from(tasks) / seconds,
        runs: vec![seconds],
        p50_ms: Some(percentile(&millis, 0.50)),
        p99_ms: Some(percentile(&millis, 0.99)),
    })
}

/// Submits a graph and waits for its end.
async fn finish(client: &Client, graph: &Graph) -> Result<(), Error> {
    let (job, view) = client
        .submit_graph("bench", graph, JobOptions::default(), WAIT)
        .await?;
    if view.state != JobState::Succeeded {
        job.wait().await?;
    }
    Ok(())
}

fn graph(workload: Workload, tasks: u32) -> Graph {
    let mut builder = GraphBuilder::new();
    let noop = builder.op(OpSpec::native(NOOP));
    let plain = builder.options(TaskOptions::default());
    match workload {
        Workload::Map | Workload::Rtt => {
            let map = builder.blockwise(tasks, noop, plain, Vec::new());
            builder.want(map.at(tasks - 1));
        }
        Workload::Merge => {
            let inputs: Vec<Dep> = (0..tasks)
                .map(|_| Dep::whole(builder.task(noop, plain, &[], &[])))
                .collect();
            let merged = builder.task(noop, plain, &[], &inputs);
            builder.want(merged);
        }
        Workload::Chain => {
            let mut last = builder.task(noop, plain, &[], &[]);
            for _ in 1..tasks {
                last = builder.task(noop, plain, &[], &[Dep::whole(last)]);
            }
            builder.want(last);
        }
        Workload::Tree => {
            // A tree of n nodes has about n / 2 leaves.
            let leaves = builder.blockwise(tasks.div_ceil(2), noop, plain, Vec::<BlockInput>::new());
            let tree = builder.tree_reduce(leaves, 2, noop, plain);
            builder.want(tree.at(tree.count - 1));
        }
    }
    builder.finish()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile(&sorted, 0.5)
}

/// The value at a fraction of sorted values; nearest rank.
fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let rank = (sorted.len() as f64 * fraction).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_about_the_tasks_that_were_asked_for() {
        for (workload, expected) in [
            (Workload::Merge, 1001),
            (Workload::Chain, 1000),
            (Workload::Map, 1000),
            (Workload::Tree, 1003),
        ] {
            let graph = graph(workload, 1000);
            assert_eq!(graph.validate(&Default::default()), Ok(()));
            let tasks = graph.task_count();
            assert!(tasks.abs_diff(expected) <= 10, "{workload:?}: {tasks}");
        }
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            (percentile(&sorted, 0.5), percentile(&sorted, 0.99)),
            (50.0, 99.0)
        );
    }
}
