//! A whole cluster in one process.

use anyhow::ensure;
use millstream_tests::Up;
use millstream_tests::jobs::{TOTAL, new_id, script};

use crate::support::{LIMIT, SOON, WORK, check_fan_in};

#[tokio::test]
async fn one_process_gives_the_answer_of_many() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "2", "--slots", "2"], &[]).await?;
    let workers = up.api().workers().await?;
    ensure!(workers.len() == 2, "{workers:?}");
    let job = up.api().submit(&WORK.body(&new_id())).await?;
    check_fan_in(up.api(), &job, WORK).await
}

#[tokio::test]
async fn stopped_cluster_ends_in_good_order_and_leaves_nothing() -> anyhow::Result<()> {
    let mut up = Up::start(&[], &[]).await?;
    let job = up.api().submit(&script(&new_id(), "echo hi")).await?;
    up.api().succeeded(&job, LIMIT).await?;
    ensure!(up.api().text(&job, TOTAL, SOON).await? == "hi");
    let status = up.service().terminate().await?;
    ensure!(status.success(), "{status}");
    for kind in ["spill", "scratch"] {
        let folder = up.folder().join(kind);
        let left = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        ensure!(left == 0, "{left} entries are left in {}", folder.display());
    }
    Ok(())
}

#[tokio::test]
async fn token_file_is_its_owners_alone() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let up = Up::start(&[], &[]).await?;
    let mode = std::fs::metadata(up.folder().join("millstream/token"))?
        .permissions()
        .mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    Ok(())
}
