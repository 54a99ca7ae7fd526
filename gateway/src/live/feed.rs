//! Listens to the live exchange, for ever.

use std::sync::Arc;
use std::time::Instant;

use millstream_bus::{Bus, Consumer, QueueSpec};
use millstream_protocol::graph::OpKind;
use millstream_protocol::wire::{Datagram, LiveMsg, WorkMsg, decode_datagrams};
use millstream_telemetry::{Metrics, TaskKind};
use millstream_types::{GatewayId, SessionNo};
use tracing::{debug, warn};

use super::{Live, now_us};
use crate::cluster::Cluster;

/// Frames that may wait: a few seconds of a thousand workers. Beyond it the oldest are dropped.
const MAX_WAITING: u32 = 4_096;

/// Everything that is told.
const ALL_TOPICS: [&str; 1] = ["#"];

/// Runs until aborted.
pub(super) async fn listen(live: Live, bus: Arc<dyn Bus>, gateway: GatewayId, ear: Ear) {
    let mut number = SessionNo(1);
    loop {
        let link = bus.connect("gateway live").await;
        let name = bus.names().live_viewer(gateway, number);
        match link.consume(QueueSpec::live(name, ALL_TOPICS, MAX_WAITING)).await {
            Ok(consumer) => {
                tokio::select! {
                    () = ear.hear(&live, &bus, consumer) => {}
                    _ = link.wait_closed() => {}
                }
                debug!("the link to the live exchange ended; connecting again");
            }
            Err(error) => warn!(%error, "cannot listen to the live exchange; connecting again"),
        }
        link.close().await;
        number = number.next();
    }
}

/// Who is told besides the board.
pub(super) struct Ear {
    pub(super) cluster: Arc<Cluster>,
    pub(super) metrics: Metrics,
}

impl Ear {
    async fn hear(&self, live: &Live, bus: &Arc<dyn Bus>, mut consumer: Consumer) {
        while let Some(delivery) = consumer.next().await {
            match decode_datagrams(bus.names().cluster(), &delivery.frame) {
                Ok(batch) => {
                    for item in batch.items {
                        if let Datagram::Live(msg) = item {
                            self.take(live, msg);
                        }
                    }
                }
                // Not kept: it is of another version, and nothing depends on it.
                Err(error) => {
                    self.metrics.live_dropped.inc();
                    live.with(|board| board.dropped += 1);
                    debug!(%error, "a message of the live exchange cannot be read");
                }
            }
        }
    }

    fn take(&self, live: &Live, msg: LiveMsg) {
        if let LiveMsg::Snapshot(snapshot) = &msg {
            self.cluster.heard(snapshot.clone(), Instant::now());
        }
        if let LiveMsg::Work(work) = &msg {
            self.count_failures(work);
        }
        live.with(|board| board.take(msg, now_us()));
    }

    fn count_failures(&self, work: &WorkMsg) {
        for total in work.totals.iter().filter(|total| total.failed > 0) {
            if let Some(op) = work.ops.get(usize::from(total.op)) {
                let failures = self.metrics.task_failures.of(task_kind(op.kind));
                failures.add(u64::from(total.failed));
            }
        }
    }
}

const fn task_kind(kind: OpKind) -> TaskKind {
    match kind {
        OpKind::Native => TaskKind::Native,
        OpKind::Frame => TaskKind::Frame,
        OpKind::Array => TaskKind::Array,
        OpKind::Python => TaskKind::Python,
        OpKind::Command => TaskKind::Command,
        OpKind::Import => TaskKind::Import,
    }
}
