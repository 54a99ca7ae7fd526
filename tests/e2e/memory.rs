//! Memory and disks that are too small.

use anyhow::{Context, ensure};
use millstream_testkit::wait_until;
use millstream_tests::jobs::{bytes_kept, kept_bytes, new_id};
use millstream_tests::{Cluster, ClusterOptions};
use serde_json::Value;

use crate::support::{LIMIT, SOON};

const MIB: u64 = 1 << 20;

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
    cluster.api.succeeded(&job, LIMIT).await?;
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

#[tokio::test]
async fn spill_quota_that_is_used_up_fails_the_task_with_path_and_bytes() -> anyhow::Result<()> {
    let quota = vec![("worker.spill_quota", "32MiB".to_owned())];
    let cluster = Cluster::start(small(quota)).await?;
    let job = cluster.api.submit(&bytes_kept(&new_id(), 40, 20 * MIB)).await?;
    let view = cluster.api.ended(&job, LIMIT).await?;
    check_spill_failure(&cluster, &view)
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
    ensure!(
        message.contains(&folder.path().display().to_string()),
        "no path: {message}"
    );
    check_spill_failure(&cluster, &view)
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

fn check_spill_failure(cluster: &Cluster, view: &Value) -> anyhow::Result<()> {
    let message = failure(view)?;
    let names_path = message.contains("spill") || message.contains(&cluster.folder().display().to_string());
    ensure!(names_path && message.contains('/'), "no path: {message}");
    let names_bytes = ["B", "bytes"].iter().any(|unit| message.contains(unit));
    ensure!(
        names_bytes && message.chars().any(|c| c.is_ascii_digit()),
        "no bytes: {message}"
    );
    Ok(())
}
