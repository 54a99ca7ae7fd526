//! Memory and disks that are too small.

use std::time::Duration;

use anyhow::{Context, ensure};
use millstream_testkit::wait_until;
use millstream_tests::jobs::{bytes_kept, kept_bytes, new_id};
use millstream_tests::measure::anonymous_bytes;
use millstream_tests::{Cluster, ClusterOptions};
use reqwest::Method;
use serde_json::Value;

use crate::support::{LIMIT, SOON};

const MIB: u64 = 1 << 20;

/// What each worker may use. One in a container takes what the container has for its limit, and is killed above it.
const WORKER_LIMIT: u64 = 192 * MIB;

/// How often a worker's memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A cluster of two workers that hold 384 MiB together.
fn small(settings: Vec<(&'static str, String)>) -> ClusterOptions {
    ClusterOptions {
        slots: 1,
        memory_limit: "192MiB",
        settings,
        ..ClusterOptions::default()
    }
}

#[tokio::test]
async fn job_larger_than_memory_finishes_by_spilling() -> anyhow::Result<()> {
    let (count, bytes) = (32, 20 * MIB);
    let mut cluster = Cluster::start(small(Vec::new())).await?;
    let job = cluster.api.submit(&bytes_kept(&new_id(), count, bytes)).await?;
    let peak = peak_until(cluster.api.succeeded(&job, LIMIT), &cluster).await?;
    ensure!(
        peak <= WORKER_LIMIT,
        "a worker with {WORKER_LIMIT} bytes to use held {peak}"
    );
    // A heartbeat tells it, and the job may have ended before one left.
    wait_until("a worker to tell that it spilled", SOON, async || {
        cluster.api.workers().await.is_ok_and(|workers| {
            let mut spilled = workers.iter().map(|worker| worker["load"]["spilled"].as_u64());
            spilled.any(|bytes| bytes > Some(0))
        })
    })
    .await?;
    for number in [0, count / 2, count - 1] {
        let result = cluster.api.result(&job, &format!("big-{number}"), SOON).await?;
        ensure!(result == kept_bytes(number, bytes), "big-{number} is damaged");
    }
    cluster.check_running([0, 1])
}

/// The most memory that a worker held until something happened.
async fn peak_until<T>(
    happening: impl Future<Output = anyhow::Result<T>>,
    cluster: &Cluster,
) -> anyhow::Result<u64> {
    let mut peak = 0;
    tokio::pin!(happening);
    loop {
        for worker in &cluster.workers {
            peak = peak.max(anonymous_bytes(worker.pid())?);
        }
        tokio::select! {
            happened = &mut happening => return happened.map(|_| peak),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Reads a result as it comes. Returns what the gateway held at most meanwhile, and whether the bytes were right.
async fn stream_result(cluster: &Cluster, path: &str, expected: &[u8]) -> anyhow::Result<(u64, bool)> {
    let gateway = cluster.gateways[0].pid();
    let mut response = cluster.api.request(Method::GET, path).send().await?;
    ensure!(response.status().is_success(), "{path}: {}", response.status());
    let (mut peak, mut at, mut is_right) = (0, 0, true);
    while let Some(chunk) = response.chunk().await? {
        is_right &= expected.get(at..at + chunk.len()) == Some(&chunk[..]);
        let before = at;
        at += chunk.len();
        // Often enough to see a body that is collected whole.
        if before >> 22 != at >> 22 {
            peak = peak.max(anonymous_bytes(gateway)?);
        }
    }
    Ok((peak, is_right && at == expected.len()))
}

#[tokio::test]
async fn large_result_goes_through_the_gateway_without_being_held_there() -> anyhow::Result<()> {
    let bytes = 256 * MIB;
    let cluster = Cluster::start(ClusterOptions {
        memory_limit: "2GiB",
        ..ClusterOptions::default()
    })
    .await?;
    let job = cluster.api.submit(&bytes_kept(&new_id(), 1, bytes)).await?;
    cluster.api.succeeded(&job, LIMIT).await?;
    let before = anonymous_bytes(cluster.gateways[0].pid())?;
    let path = format!("/v1/jobs/{job}/results/big-0");
    let expected = kept_bytes(0, bytes);
    let streamed = stream_result(&cluster, &path, &expected);
    let (peak, is_right) = tokio::time::timeout(LIMIT, streamed).await??;
    ensure!(is_right, "the result is damaged");
    let grown = peak.saturating_sub(before);
    ensure!(
        grown < 64 * MIB,
        "the gateway grew by {grown} bytes while {bytes} went through"
    );
    Ok(())
}

#[tokio::test]
async fn spill_quota_that_is_used_up_fails_the_task_with_path_and_bytes() -> anyhow::Result<()> {
    let quota = vec![("worker.spill_quota", "32MiB".to_owned())];
    let cluster = Cluster::start(small(quota)).await?;
    let job = cluster.api.submit(&bytes_kept(&new_id(), 40, 20 * MIB)).await?;
    let view = cluster.api.ended(&job, LIMIT).await?;
    let message = failure(&view)?;
    let folders = [0, 1].map(|worker| cluster.folder().join(format!("worker-{worker}-spill")));
    let said = folders.iter().any(|folder| {
        let beginning = format!("spill quota 32.0 MiB of folder {}", folder.display());
        let used_up = message.split_once(&beginning).map(|(_, rest)| rest);
        // One object fits, the next does not.
        used_up.is_some_and(|rest| {
            rest.contains(
                " is used up: 20.0 MiB are there, 20.0 MiB more are needed; raise worker.spill_quota",
            )
        })
    });
    ensure!(said, "{message}");
    Ok(())
}

#[tokio::test]
async fn full_disk_fails_the_task_with_path_and_bytes() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mount = format!(
        "mount -t tmpfs -o size=32m millstream-test {} && exec \"$@\"",
        folder.path().display()
    );
    let mut launcher: Vec<String> = ["unshare", "--mount", "--propagation", "private"]
        .map(str::to_owned)
        .to_vec();
    if !may_mount(&launcher, &mount) {
        launcher.extend(["--user", "--map-root-user"].map(str::to_owned));
        ensure!(
            may_mount(&launcher, &mount),
            "this test needs a file system of its own, and may not mount one"
        );
    }
    launcher.extend(["sh", "-c", &mount, "sh"].map(str::to_owned));
    let disk = vec![("worker.spill_dir", folder.path().display().to_string())];
    let cluster = Cluster::start(ClusterOptions {
        workers: 1,
        worker_launcher: launcher,
        ..small(disk)
    })
    .await?;
    let job = cluster.api.submit(&bytes_kept(&new_id(), 30, 20 * MIB)).await?;
    let view = cluster.api.ended(&job, LIMIT).await?;
    let message = failure(&view)?;
    let beginning = format!(
        "no space left on the disk of spill folder {}/",
        folder.path().display()
    );
    let (_, rest) = message.split_once(&beginning).context(message.to_owned())?;
    ensure!(
        rest.contains(" for 20.0 MiB: free space there, or set worker.spill_dir to a larger disk"),
        "{message}"
    );
    Ok(())
}

/// Whether a process of this launcher may run the script.
fn may_mount(launcher: &[String], script: &str) -> bool {
    let Some((program, arguments)) = launcher.split_first() else {
        return false;
    };
    std::process::Command::new(program)
        .args(arguments)
        .args(["sh", "-c", script, "sh", "true"])
        .status()
        .is_ok_and(|status| status.success())
}

fn failure(view: &Value) -> anyhow::Result<&str> {
    ensure!(view["state"] == "failed", "{view}");
    ensure!(view["error"]["kind"] == "spill_failed", "{view}");
    view["error"]["message"].as_str().context("no message")
}
