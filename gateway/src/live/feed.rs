//! Listens to the live exchange, for ever.

use std::sync::Arc;

use millstream_bus::{Bus, Consumer, QueueSpec};
use millstream_protocol::wire::{Datagram, decode_datagrams};
use millstream_telemetry::Metrics;
use millstream_types::{GatewayId, SessionNo};
use tracing::{debug, warn};

use super::{Live, now_us};

/// Frames that may wait: a few seconds of a thousand workers. Beyond it the oldest are dropped.
const MAX_WAITING: u32 = 4_096;

/// Everything that is told.
const ALL_TOPICS: [&str; 1] = ["#"];

/// Runs until aborted.
pub(super) async fn listen(live: Live, bus: Arc<dyn Bus>, gateway: GatewayId, metrics: Metrics) {
    let mut number = SessionNo(1);
    loop {
        let link = bus.connect("gateway live").await;
        let name = bus.names().live_viewer(gateway, number);
        match link.consume(QueueSpec::live(name, ALL_TOPICS, MAX_WAITING)).await {
            Ok(consumer) => {
                tokio::select! {
                    () = hear(&live, &bus, consumer, &metrics) => {}
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

async fn hear(live: &Live, bus: &Arc<dyn Bus>, mut consumer: Consumer, metrics: &Metrics) {
    while let Some(delivery) = consumer.next().await {
        match decode_datagrams(bus.names().cluster(), &delivery.frame) {
            Ok(batch) => live.with(|board| {
                for item in batch.items {
                    if let Datagram::Live(msg) = item {
                        board.take(msg, now_us());
                    }
                }
            }),
            // Not kept: it is of another version, and nothing depends on it.
            Err(error) => {
                metrics.live_dropped.inc();
                live.with(|board| board.dropped += 1);
                debug!(%error, "a message of the live exchange cannot be read");
            }
        }
    }
}
