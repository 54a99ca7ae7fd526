//! Clusters inside this process.

use millstream::{Client, LocalOptions};

use crate::args::SizeArgs;
use crate::settings::Loading;

/// Options of a cluster of this size.
pub(crate) fn options(
    size: &SizeArgs,
    default_workers: u32,
    loading: Loading,
) -> anyhow::Result<LocalOptions> {
    Ok(LocalOptions {
        workers: size.workers.unwrap_or(default_workers),
        slots: size.slots,
        memory_limit: size.memory_limit,
        settings: loading.quiet()?,
        ..LocalOptions::default()
    })
}

/// A client of a cluster of its own.
pub(crate) async fn start(size: &SizeArgs, default_workers: u32, loading: Loading) -> anyhow::Result<Client> {
    Ok(Client::local_with(options(size, default_workers, loading)?).await?)
}
