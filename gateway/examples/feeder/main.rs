//! A gateway with a make-believe cluster behind it, to look at the dashboard without one and to show it more than one
//! machine can run: by default 8 workers, or as many as asked for, and a job of a million tasks if asked for.
//!
//! ```text
//! cargo run --release -p millstream-gateway --example feeder -- --port 8787 --workers 500 --slots 4 --tasks 1000000
//! ```
//!
//! Everything between the message bus and the browser is the real thing; leader and workers are not: they send the same
//! messages and run nothing. The first line on stdout is the link.
#![expect(clippy::unwrap_used, reason = "an example ends at its first error")]
#![expect(clippy::print_stdout, reason = "the link is for whoever started it")]

mod cluster;
mod jobs;
mod leader;

use std::sync::Arc;

use millstream_bus::{Bus, InprocBroker, Names};
use millstream_config::{Secret, Settings};
use millstream_gateway::Gateway;
use millstream_state::{MemoryState, StateStore};
use millstream_types::ClusterName;

/// What was asked for.
struct Options {
    port: u16,
    workers: u32,
    slots: u32,
    tasks: u32,
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u32| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    Options {
        port: u16::try_from(number("--port", 8787)).unwrap(),
        workers: number("--workers", 8),
        slots: number("--slots", 4),
        tasks: number("--tasks", 4_000),
    }
}

const TOKEN: &str = "feeder";

#[tokio::main]
async fn main() {
    let asked = options();
    let broker = InprocBroker::new();
    let bus: Arc<dyn Bus> = broker.bus(Names::new(ClusterName::default()));
    let state = Arc::new(MemoryState::new());
    let mut settings = Settings::default();
    settings.gateway.port = asked.port;
    settings.gateway.token = Some(Secret::new(TOKEN));
    let store: Arc<dyn StateStore> = state.clone();
    let gateway = Gateway::start(&settings, Arc::clone(&bus), store).await.unwrap();
    println!("http://{}/ token {TOKEN}", gateway.address());
    let cluster = cluster::Cluster::new(asked.workers, asked.slots);
    leader::lead(bus, state, cluster, asked.tasks).await;
}
