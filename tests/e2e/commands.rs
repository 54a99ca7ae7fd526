//! Commands that ask a cluster, and those that take sizes and formats.

use anyhow::{Context, ensure};
use millstream_testkit::{free_port, wait_until};
use millstream_tests::cli::Shell;
use millstream_tests::jobs::{command, new_id};
use millstream_tests::{Cluster, ClusterOptions, Up, program};
use serde_json::{Value, json};

use crate::support::LIMIT;

/// An id that nothing has.
const NOBODY: &str = "0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10";

#[tokio::test]
async fn submit_reads_a_job_from_standard_input() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let shell = Shell::on(up.api())?;
    let job = json!({"tasks": [command("a", "echo hello")]}).to_string();
    let output = shell.feed(&["submit", "-"], &job).await?;
    ensure!(output.code == Some(0) && output.out == "hello\n", "{output:?}");
    let output = shell.feed(&["submit", "-"], "{").await?;
    ensure!(
        output.code == Some(2) && output.err.contains("is no job"),
        "{output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn job_cancel_stops_the_job() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let shell = Shell::on(up.api())?;
    let job = new_id();
    let body = json!({"id": job, "tasks": [command("endless", "sleep 600")]});
    up.api().submit(&body).await?;
    up.api().task_in(&job, "endless", &["running"], LIMIT).await?;
    let output = shell.run(&["job", "cancel", &job]).await?;
    ensure!(output.code == Some(0) && output.err.contains(&job), "{output:?}");
    let view = up.api().ended(&job, LIMIT).await?;
    ensure!(view["state"] == "cancelled", "{view}");

    let output = shell.run(&["job", "cancel", NOBODY]).await?;
    ensure!(
        output.code == Some(2) && output.err.contains(NOBODY),
        "{output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn worker_is_shown_and_let_go() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let shell = Shell::on(&cluster.api)?;
    let workers = cluster.api.workers().await?;
    let worker = workers.first().context("no workers")?;
    let position = cluster.position_of(worker)?;
    let id = worker["id"].as_str().context("no id")?;
    let shown: Value = serde_json::from_str(&shell.data(&["worker", "show", id]).await?)?;
    ensure!(shown["id"] == id && shown["pid"] == worker["pid"], "{shown}");

    shell.data(&["worker", "drain", id]).await?;
    let service = &mut cluster.workers[position];
    wait_until("the drained worker to end", LIMIT, async || {
        service.ended().is_ok_and(|status| status.is_some())
    })
    .await?;
    let status = service.ended()?.context("it runs")?;
    ensure!(status.success(), "{status}");
    cluster.wait_for_workers(1).await?;

    let output = shell.run(&["worker", "show", NOBODY]).await?;
    ensure!(
        output.code == Some(1) && output.err.contains(NOBODY),
        "{output:?}"
    );
    let output = shell.run(&["worker", "drain", NOBODY]).await?;
    ensure!(
        output.code == Some(2) && output.err.contains(NOBODY),
        "{output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn doctor_tells_what_is_right_and_what_is_wrong() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let mut shell = Shell::on(&cluster.api)?;
    shell.set(&program::variable("broker.url"), cluster.servers.broker_url());
    shell.set(&program::variable("redis.url"), &cluster.servers.redis_url());
    let output = shell.run(&["doctor"]).await?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output.out.lines().all(|line| line.starts_with("ok ")) && output.out.contains("2 workers"),
        "{output:?}"
    );

    let nobody = free_port()?;
    shell.set(
        &program::variable("redis.url"),
        &format!("redis://127.0.0.1:{nobody}/0"),
    );
    shell.set("MILLSTREAM_GATEWAY", &format!("http://127.0.0.1:{nobody}"));
    let output = shell.run(&["doctor"]).await?;
    ensure!(output.code == Some(1), "{output:?}");
    for part in ["redis", "gateway"] {
        let wrong = |line: &str| line.starts_with("wrong") && line.contains(part);
        ensure!(output.out.lines().any(wrong), "nothing about {part}: {output:?}");
    }
    ensure!(output.err.contains("2 of these are wrong"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn sql_writes_arrow_and_parquet_and_reads_it_again() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    shell.write("numbers.csv", "n\n1\n2\nNA\n39\n")?;
    let query = ["sql", "SELECT n FROM t", "-t", "t=numbers.csv"];
    let run = async |further: &[&str]| {
        let arguments: Vec<&str> = query.iter().chain(further).copied().collect();
        shell.data(&arguments).await
    };
    // Told by the name of the file.
    run(&["-o", "out.parquet"]).await?;
    run(&["--format", "arrow", "-o", "out.bin"]).await?;
    let parquet = std::fs::read(shell.folder().join("out.parquet"))?;
    ensure!(
        parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"),
        "no Parquet"
    );
    let arrow = std::fs::read(shell.folder().join("out.bin"))?;
    ensure!(arrow.starts_with(&[0xff; 4]), "no Arrow stream");
    let again = "SELECT count(*) AS lines, sum(n) AS total FROM 'out.parquet'";
    let read = shell.data(&["sql", again, "--format", "csv"]).await?;
    ensure!(read == "lines,total\n4,42\n", "{read}");
    Ok(())
}

#[tokio::test]
async fn sql_runs_on_the_cluster_that_it_is_given() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let path = cluster.write("numbers.csv", "n\n1\n2\nNA\n39\n")?;
    let table = format!("t={path}");
    let (url, token) = (cluster.api.url(), cluster.api.token());
    let query = "SELECT sum(n) AS total FROM t";
    let shell = Shell::new()?;
    let read = shell
        .data(&[
            "sql",
            query,
            "-t",
            &table,
            "--format",
            "csv",
            "--gateway",
            url,
            "--token",
            token,
        ])
        .await?;
    ensure!(read == "total\n42\n", "{read}");
    let jobs = cluster.api.get("/v1/jobs").await?.ok()?;
    ensure!(
        jobs["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1),
        "{jobs}"
    );
    Ok(())
}

#[tokio::test]
async fn up_gives_its_workers_the_memory_it_is_told() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "2", "--memory-limit", "320MiB"], &[]).await?;
    let workers = up.api().workers().await?;
    ensure!(workers.len() == 2, "{workers:?}");
    let limit = 320_u64 << 20;
    ensure!(
        workers.iter().all(|worker| worker["memory_limit"] == limit),
        "{workers:?}"
    );
    Ok(())
}
