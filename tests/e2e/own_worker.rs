//! Workers that are a user's own binary.

use anyhow::ensure;
use millstream::Job;
use millstream_tests::{Cluster, ClusterOptions, program};

use crate::support::sdk;

#[tokio::test]
async fn functions_of_a_workers_own_binary_are_called_by_name() -> anyhow::Result<()> {
    let own = program::example("own_worker")?;
    let launcher = ["sh", "-c", "exec \"$0\""].map(str::to_owned);
    let cluster = Cluster::start(ClusterOptions {
        // The shell becomes the example; what would be the program and its arguments is left aside.
        worker_launcher: launcher.into_iter().chain([own.display().to_string()]).collect(),
        ..ClusterOptions::default()
    })
    .await?;
    let client = sdk(&cluster.api);
    let mut job = Job::new("words");
    let text = "to be or not to be";
    let be = job.call("words:count").arg(text).arg("be").key("be").add();
    let or = job.call("words:count").arg(text).arg("or").key("or").add();
    job.call("words:add").input(&be).input(&or).key("both").add();
    let finished = client.submit(&job).await?.wait().await?;
    ensure!(finished.value::<u64>("both").await? == 3, "{:?}", finished.view());
    Ok(())
}
