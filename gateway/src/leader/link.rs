//! Keeps the link to the broker and hands what arrives to the table.

use std::sync::Arc;
use std::time::Duration;

use millstream_bus::{Address, Consumer, Delivery, Link, QueueName, QueueSpec};
use millstream_protocol::wire::{Datagram, ToGateway, decode_datagrams};
use millstream_telemetry::{DropReason, Metrics};
use millstream_types::{GatewayId, SessionNo};
use tracing::{debug, info, warn};

use super::Leader;

/// How often watches are offered to the leader again that it has not confirmed: a job in the intake queue is unknown
/// to it at first.
const REWATCH: Duration = Duration::from_millis(500);

/// Runs until aborted.
pub(super) async fn keep(leader: Leader, gateway: GatewayId, metrics: Metrics) {
    let mut number = SessionNo(1);
    loop {
        let link = leader.bus.connect("gateway").await;
        // A new name each time: the broker may hold the old one until it has noticed the old link's death.
        let queue = leader.bus.names().gateway(gateway, number);
        match link.consume(QueueSpec::private_with_hello(queue.clone())).await {
            Ok(consumer) => {
                leader.table.link_up(Arc::clone(&link), queue.as_str().to_owned());
                leader.resend_all().await;
                serve(&leader, &link, consumer, &queue, &metrics).await;
                leader.table.link_down();
                metrics.reconnects.of(millstream_telemetry::Link::Broker).inc();
                info!(reason = ?link.closed(), "link to the broker ended; connecting again");
            }
            Err(error) => warn!(%error, %queue, "cannot listen for answers; connecting again"),
        }
        number = number.next();
    }
}

async fn serve(
    leader: &Leader,
    link: &Arc<dyn Link>,
    mut consumer: Consumer,
    queue: &QueueName,
    metrics: &Metrics,
) {
    let mut returns = link.returns();
    let mut rewatch = tokio::time::interval(REWATCH);
    rewatch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            delivery = consumer.next() => match delivery {
                Some(delivery) => receive(leader, link, delivery, queue, metrics).await,
                None => return,
            },
            Some(Address::Queue(address)) = returns.next() => leader.table.returned(address.as_str()),
            _ = rewatch.tick() => {
                for job in leader.table.unasked_watches() {
                    leader.ask_watch(job).await;
                }
            }
            _ = link.wait_closed() => return,
        }
    }
}

async fn receive(
    leader: &Leader,
    link: &Arc<dyn Link>,
    delivery: Delivery,
    queue: &QueueName,
    metrics: &Metrics,
) {
    let batch = match decode_datagrams(leader.cluster(), &delivery.frame) {
        Ok(batch) => batch,
        Err(error) => {
            metrics.dropped_messages.of(DropReason::Undecodable).inc();
            debug!(%error, "undecodable message");
            if let Err(error) = link.dead_letter(queue, delivery.frame, error.code()).await {
                debug!(%error, "undecodable message not kept");
            }
            return;
        }
    };
    for message in batch.items {
        match message {
            Datagram::Hello(hello) => {
                let term = hello.term;
                if leader.table.heard(hello) {
                    metrics.term.set(u64::from(term.0));
                    debug!(%term, "following a leader");
                    leader.resend_all().await;
                }
            }
            Datagram::ToGateway(ToGateway::Response { id, result }) => leader.table.answered(id, result),
            Datagram::ToGateway(ToGateway::Submitted { job, result }) => {
                leader.table.verdict(job, result.map(|_| ()));
            }
            Datagram::ToGateway(ToGateway::Ended(answer)) => leader.table.ended(answer),
            other => debug!(?other, "message is not for gateways"),
        }
    }
}
