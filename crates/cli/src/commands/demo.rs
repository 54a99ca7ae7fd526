//! `millstream demo`: a cluster, real files, a few queries and a task graph, with nothing to install.

mod data;
mod queries;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use millstream::api::{ResultFormat, SqlOptions, SqlRequest, TableSource};
use millstream::{ByteSize, Client, Job, JobId, TaskHandle};

use crate::args::DemoArgs;
use crate::progress::Progress;
use crate::settings::Loading;
use crate::{interrupt, output};

pub(crate) async fn run(args: DemoArgs, loading: Loading) -> anyhow::Result<()> {
    let began = Instant::now();
    let tables = if args.paths.is_empty() {
        made(args.scale)?
    } else {
        given(&args.paths)?
    };
    let bytes: ByteSize = tables.values().map(|path| ByteSize::new(size_of(path))).sum();
    output::tell(&format!("{} tables, {bytes} in files", tables.len()));

    let client = super::local::start(&args.size, 2, loading).await?;
    let workers = client.workers().await?;
    let slots: u32 = workers.iter().map(|worker| worker.slots).sum();
    output::tell(&format!(
        "a cluster of {} workers with {slots} slots is up in this process: {}",
        workers.len(),
        client.access().url
    ));
    let questions = if args.paths.is_empty() {
        queries::tpch()
    } else {
        queries::of(&tables)
    };
    for (title, query) in questions {
        ask(&client, &title, &query, &tables).await?;
    }
    graph(&client, &tables).await?;
    let moved: ByteSize = client
        .workers()
        .await?
        .iter()
        .filter_map(|worker| worker.load)
        .map(|load| load.fetched)
        .sum();
    output::tell(&format!(
        "\n{moved} went from worker to worker; all of it took {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    output::tell(
        "next: `millstream sql --help`, `millstream up` and then `millstream jobs`; docs/ARCHITECTURE.md says how it works",
    );
    Ok(())
}

async fn ask(
    client: &Client,
    title: &str,
    query: &str,
    tables: &BTreeMap<String, PathBuf>,
) -> anyhow::Result<()> {
    output::tell(&format!("\n-- {title}\n{query}"));
    let source = |path: &PathBuf| TableSource::Path(path.display().to_string());
    let request = SqlRequest {
        query: query.to_owned(),
        tables: tables
            .iter()
            .map(|(name, path)| (name.clone(), source(path)))
            .collect(),
        options: SqlOptions {
            format: Some(ResultFormat::Table),
            ..SqlOptions::default()
        },
        ..SqlRequest::default()
    };
    let began = Instant::now();
    let id = JobId::from(uuid::Uuid::now_v7());
    let job = client.job(id);
    interrupt::attach(&job);
    let progress = Progress::of(&job, "query");
    let answer = client.sql_as(id, &request).await;
    progress.end().await;
    output::data(&answer?)?;
    output::tell(&format!("{:.2} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Each file's checksum by a command of its own, and one command that joins them.
async fn graph(client: &Client, tables: &BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    output::tell("\n-- a task graph: every file's lines are counted by a task, one task adds them up");
    let mut job = Job::new("demo: lines of all files");
    let counts: Vec<TaskHandle> = tables
        .iter()
        .map(|(name, path)| {
            let script = format!("wc -l < '{}'", path.display().to_string().replace('\'', r"'\''"));
            job.command(["sh".to_owned(), "-c".to_owned(), script])
                .key(format!("count-{name}"))
                .add()
        })
        .collect();
    let mut last: Option<TaskHandle> = None;
    for count in &counts {
        let sum = match &last {
            None => count.clone(),
            Some(sum) => job
                .command(["sh", "-c", "read total; read more < more; echo $((total + more))"])
                .stdin(sum)
                .file("more", count)
                .key(format!("sum-{}", count.key()))
                .add(),
        };
        last = Some(sum);
    }
    let Some(sum) = last else { return Ok(()) };
    job.want(&sum);
    let began = Instant::now();
    let running = client.submit(&job).await?;
    interrupt::attach(&running);
    let progress = Progress::of(&running, "lines of all files");
    let finished = running.wait().await;
    progress.end().await;
    let answer = finished?.bytes(sum.key()).await?;
    output::data(&answer)?;
    output::tell(&format!("{:.2} s", began.elapsed().as_secs_f64()));
    Ok(())
}

fn made(scale: f64) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    if !(scale > 0.0 && scale <= 100.0) {
        bail!("--scale {scale}: a scale is above 0 and at most 100");
    }
    data::tpch(scale)
}

/// Each file is a table by its stem.
fn given(paths: &[PathBuf]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut tables = BTreeMap::new();
    for path in paths {
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot read {}", path.display()))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("t");
        let name: String = stem
            .chars()
            .map(|c| {
                if c.is_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .collect();
        if tables.insert(name.clone(), path.clone()).is_some() {
            bail!(
                "two files would be the table `{name}`: {} is one of them",
                path.display()
            );
        }
    }
    Ok(tables)
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
