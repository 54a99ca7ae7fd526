//! `millstream workers` and `millstream worker show|drain`.

use millstream::api::WorkerView;

use crate::args::{GatewayArgs, WorkerCommand};
use crate::exit::Failed;
use crate::output;

pub(crate) async fn list(args: GatewayArgs) -> anyhow::Result<()> {
    let workers = super::connect(&args)?.workers().await?;
    if args.json {
        return output::json(&workers);
    }
    let rows = workers.iter().map(row).collect();
    Ok(output::table(
        &[
            "ID", "NAME", "HOST", "STATE", "SLOTS", "RUNNING", "ASSIGNED", "STORED", "SPILLED", "LIMIT",
        ],
        rows,
    )?)
}

pub(crate) async fn one(command: WorkerCommand) -> anyhow::Result<()> {
    match command {
        WorkerCommand::Show(args) => {
            let workers = super::connect(&args.gateway)?.workers().await?;
            match workers.iter().find(|worker| worker.id == args.worker) {
                Some(worker) => output::json(worker),
                None => Err(Failed(format!("no worker {}", args.worker)).into()),
            }
        }
        WorkerCommand::Drain(args) => Ok(super::connect(&args.gateway)?.drain(args.worker).await?),
    }
}

fn row(worker: &WorkerView) -> Vec<String> {
    let load = worker.load.as_ref();
    vec![
        worker.id.to_string(),
        worker.name.clone(),
        worker.host.clone(),
        worker.state.clone(),
        worker.slots.to_string(),
        worker.executing.to_string(),
        worker.assigned.to_string(),
        load.map(|load| load.stored.to_string()).unwrap_or_default(),
        load.map(|load| load.spilled.to_string()).unwrap_or_default(),
        worker.memory_limit.to_string(),
    ]
}
