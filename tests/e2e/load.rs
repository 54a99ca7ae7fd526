//! What workers tell of their use of the processor and of memory.

use anyhow::ensure;
use millstream_testkit::wait_until;
use millstream_tests::jobs::{new_id, script};
use millstream_tests::measure::anonymous_bytes;
use millstream_tests::{Api, Cluster, ClusterOptions, Up};

use crate::support::LIMIT;

/// A program that keeps one core busy for longer than anybody looks.
const BUSY: &str = "timeout 60 sh -c 'while :; do :; done'";

/// A number of each worker's load, the largest first.
async fn loads(api: &Api, name: &str) -> anyhow::Result<Vec<u64>> {
    let workers = api.workers().await?;
    let number = |worker: &serde_json::Value| worker["load"][name].as_u64().unwrap_or(0);
    let mut numbers: Vec<_> = workers.iter().map(number).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

/// Waits until one of two workers is told to be busy and the other not.
async fn one_is_busy(api: &Api) -> anyhow::Result<()> {
    api.submit(&script(&new_id(), BUSY)).await?;
    wait_until("one of two workers to tell that it is busy", LIMIT, async || {
        let told = loads(api, "cpu_milli").await.unwrap_or_default();
        matches!(told[..], [busy, idle] if (200..1_500).contains(&busy) && idle < busy / 2)
    })
    .await
}

#[tokio::test]
async fn a_busy_worker_of_services_tells_that_it_is() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    one_is_busy(&cluster.api).await?;
    ensure!(
        loads(&cluster.api, "process")
            .await?
            .iter()
            .all(|bytes| *bytes > 1 << 20)
    );
    Ok(())
}

#[tokio::test]
async fn of_workers_in_one_process_each_tells_its_own_part() -> anyhow::Result<()> {
    let mut up = Up::start(&["--workers", "2", "--slots", "1"], &[]).await?;
    let process = anonymous_bytes(up.service().pid())?;
    one_is_busy(up.api()).await?;
    let told: u64 = loads(up.api(), "process").await?.iter().sum();
    ensure!(
        (process / 2..process * 2).contains(&told),
        "{told} of {process} bytes"
    );
    Ok(())
}
