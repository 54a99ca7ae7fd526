//! Keeps the link to the broker and hands what arrives to the table.

use std::sync::Arc;
use std::time::Duration;

use millstream_bus::{Address, BusError, Consumer, Delivery, Link, QueueName, QueueSpec};
use millstream_protocol::wire::{Datagram, ToGateway, decode_datagrams};
use millstream_telemetry::{Metrics, Reader};
use millstream_types::{GatewayId, SessionNo};
use tracing::{debug, info, warn};

use super::Leader;

/// How often watches are offered to the leader again that it has not confirmed: a job in the intake queue is unknown
/// to it at first.
const REWATCH: Duration = Duration::from_millis(500);

/// The task that listens, and what it tells.
pub(super) struct Ear {
    pub(super) leader: Leader,
    pub(super) gateway: GatewayId,
    pub(super) metrics: Metrics,
}

/// What is listened to through one link.
struct Sources {
    answers: Consumer,
    queue: QueueName,
}

impl Ear {
    /// Runs until aborted.
    pub(super) async fn keep(self) {
        let mut number = SessionNo(1);
        loop {
            let link = self.leader.bus.connect("gateway").await;
            match self.listen(&link, number).await {
                Ok(sources) => {
                    let reply_to = sources.queue.as_str().to_owned();
                    self.leader.table.link_up(Arc::clone(&link), reply_to);
                    self.leader.resend_all().await;
                    self.serve(&link, sources).await;
                    self.leader.table.link_down();
                    self.metrics.reconnects.inc();
                    info!(reason = ?link.closed(), "link to the broker ended; connecting again");
                }
                Err(error) => warn!(%error, "cannot listen for answers; connecting again"),
            }
            number = number.next();
        }
    }

    async fn listen(&self, link: &Arc<dyn Link>, number: SessionNo) -> Result<Sources, BusError> {
        let names = self.leader.bus.names();
        // A new name each time: the broker may hold the old one until it has noticed the old link's death.
        let queue = names.gateway(self.gateway, number);
        let answers = link.consume(QueueSpec::private_with_hello(queue.clone())).await?;
        Ok(Sources { answers, queue })
    }

    async fn serve(&self, link: &Arc<dyn Link>, mut sources: Sources) {
        let leader = &self.leader;
        let mut returns = link.returns();
        let mut rewatch = tokio::time::interval(REWATCH);
        rewatch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                delivery = sources.answers.next() => match delivery {
                    Some(delivery) => self.receive(link, delivery, &sources.queue).await,
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

    async fn receive(&self, link: &Arc<dyn Link>, delivery: Delivery, queue: &QueueName) {
        let leader = &self.leader;
        let batch = match decode_datagrams(leader.cluster(), &delivery.frame) {
            Ok(batch) => batch,
            Err(error) => {
                self.metrics.dead_letters.of(Reader::Gateway).inc();
                warn!(%error, "a message to this gateway cannot be read");
                if let Err(error) = link.dead_letter(queue, delivery.frame, error.code()).await {
                    debug!(%error, "unreadable message not kept");
                }
                return;
            }
        };
        for message in batch.items {
            match message {
                Datagram::Hello(hello) => {
                    let term = hello.term;
                    if leader.table.heard(hello) {
                        self.metrics.term.set(u64::from(term.0));
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
}
