//! `millstream up`: a whole cluster in this process.

use millstream::{LocalCluster, LocalOptions};

use crate::args::UpArgs;
use crate::output;
use crate::settings::Loading;

pub(crate) fn run(args: UpArgs, loading: Loading) -> anyhow::Result<()> {
    let settings = loading.service(&[])?;
    let options = LocalOptions {
        workers: args.size.workers.unwrap_or(1),
        slots: args.size.slots,
        memory_limit: args.size.memory_limit,
        port: args.port,
        token: Some(millstream::ensure_token()?),
        settings,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let workers = options.workers;
        let cluster = LocalCluster::start(options).await?;
        output::tell(&format!(
            "millstream is up with {workers} worker(s) at {}",
            cluster.url()
        ));
        output::tell(&format!(
            "the dashboard, for one browser: {}",
            cluster.dashboard_link()
        ));
        output::tell("the token is printed by `millstream token`; stop with Ctrl-C");
        super::services::stop_signal().await;
        output::tell("stopping");
        cluster.stop().await;
        Ok(())
    })
}
