//! The gateway's side of its conversation with the leader.
//!
//! [`Leader`] is a cheap handle for routes: ask, publish to the intake, watch a job. One task ([`link`]) keeps the
//! link to the broker, follows the leader's hello and hands answers to whoever waits. Nothing here is kept when the
//! gateway ends: every request is idempotent, and is sent again when the link or the leader changes.

mod link;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_bus::{Address, Bus, BusError, QueueName};
use millstream_protocol::envelope::Header;
use millstream_protocol::wire::{
    Datagram, FromGateway, GatewayRequest, Hello, Intake, JobAnswer, RequestError, Response, SubmitMsg,
    encode_datagrams,
};
use millstream_telemetry::Metrics;
use millstream_types::{ClusterName, GatewayId, JobId, Term};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::error::ApiError;
use link::Ear;
use table::Table;

/// What a watch tells.
#[derive(Debug, Clone)]
pub(crate) enum JobNews {
    /// The leader has committed the submission, or refuses it.
    Verdict(Result<(), RequestError>),
    /// The job ended.
    Ended(Box<JobAnswer>),
}

/// News of one job, until dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    news: mpsc::Receiver<JobNews>,
    job: JobId,
    id: u64,
    table: Arc<Table>,
}

impl Watch {
    /// The next news. Cancelling the call loses nothing.
    pub(crate) async fn next(&mut self) -> Option<JobNews> {
        self.news.recv().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.table.remove_watch(self.job, self.id);
    }
}

/// The leader as routes reach it. Clones are the same conversation.
#[derive(Clone)]
pub(crate) struct Leader {
    bus: Arc<dyn Bus>,
    table: Arc<Table>,
    sender: Uuid,
    timeout: Duration,
    metrics: Metrics,
}

impl Leader {
    /// Starts the conversation. It ends with the returned task.
    pub(crate) fn start(
        bus: Arc<dyn Bus>,
        gateway: GatewayId,
        timeout: Duration,
        metrics: Metrics,
    ) -> (Self, JoinHandle<()>) {
        let leader = Self {
            bus,
            table: Arc::new(Table::default()),
            sender: Uuid::from_u128(gateway.as_u128()),
            timeout,
            metrics: metrics.clone(),
        };
        let ear = Ear {
            leader: leader.clone(),
            gateway,
            metrics,
        };
        let task = tokio::spawn(ear.keep());
        (leader, task)
    }

    /// Asks the leader, again whenever the link or the leader changes, until the time is up.
    pub(crate) async fn ask(&self, request: GatewayRequest) -> Result<Response, ApiError> {
        let (id, answer) = self.table.add_request(request.clone());
        let _forget = Forget {
            table: &self.table,
            id,
        };
        self.send_request(id, request).await;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(result)) => Ok(result?),
            _ if !self.table.has_link() => Err(ApiError::NoBroker),
            _ if self.table.hello().is_none() => Err(ApiError::NoLeader),
            _ => Err(ApiError::LeaderSilent),
        }
    }

    /// Watches a job. With `asked`, a submission on its way asks for the news, else the leader is asked now.
    pub(crate) async fn watch(&self, job: JobId, asked: bool) -> Watch {
        let (id, news) = self.table.add_watch(job, asked);
        if !asked {
            self.ask_watch(job).await;
        }
        Watch {
            news,
            job,
            id,
            table: Arc::clone(&self.table),
        }
    }

    /// Puts a submission into the intake queue and waits until the broker holds it.
    pub(crate) async fn publish(&self, mut msg: SubmitMsg, patience: Duration) -> Result<(), ApiError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let (link, reply_to) = tokio::time::timeout_at(deadline, self.table.link())
                .await
                .map_err(|_| ApiError::NoBroker)?;
            msg.reply_to = reply_to;
            let frame = self.frame(Datagram::Intake(Intake::Submit(msg.clone())))?;
            let intake = Address::Queue(self.bus.names().intake());
            let sent = Instant::now();
            match link.publish_confirmed(&intake, frame).await {
                Ok(()) => {
                    self.metrics.broker_confirm_seconds.observe(sent.elapsed());
                    return Ok(());
                }
                // Sent again on the next link: the leader recognises a repeated submission.
                Err(BusError::Broken { .. } | BusError::Closed) if tokio::time::Instant::now() < deadline => {
                    self.table.link_down();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The leader followed at the moment.
    pub(crate) fn hello(&self) -> Option<Hello> {
        self.table.hello()
    }

    /// Whether there is a link to the broker.
    pub(crate) fn has_link(&self) -> bool {
        self.table.has_link()
    }

    async fn ask_watch(&self, job: JobId) {
        let request = GatewayRequest::Watch { job };
        let id = self.table.add_watch_request(job);
        self.send_request(id, request).await;
    }

    /// Sends a request if it can go now; otherwise the link task sends it later.
    async fn send_request(&self, id: u64, request: GatewayRequest) {
        let Some((link, reply_to, leader)) = self.table.route() else {
            return;
        };
        let message = Datagram::FromGateway(FromGateway {
            id,
            reply_to,
            request,
        });
        match self.frame(message) {
            Ok(frame) => {
                if let Err(error) = link
                    .publish(&Address::Queue(QueueName::from(leader)), frame)
                    .await
                {
                    tracing::debug!(%error, "request not sent; it is sent again on the next link");
                }
            }
            Err(error) => tracing::warn!(%error, "request has no encoding"),
        }
    }

    async fn resend_all(&self) {
        for (id, request) in self.table.open_requests() {
            self.send_request(id, request).await;
        }
        for job in self.table.unasked_watches() {
            self.ask_watch(job).await;
        }
    }

    fn frame(&self, message: Datagram) -> Result<bytes::Bytes, BusError> {
        let term = self.table.hello().map_or(Term(0), |hello| hello.term);
        let header = Header::datagram(self.cluster().clone(), self.sender, term);
        encode_datagrams(&header, &[message]).map_err(|error| {
            // Our own messages always encode; a frame without content cannot be sent.
            tracing::warn!(%error, "message has no encoding");
            BusError::FrameTooLarge {
                bytes: 0,
                max: millstream_bus::MAX_FRAME,
            }
        })
    }

    fn cluster(&self) -> &ClusterName {
        self.bus.names().cluster()
    }
}

/// Forgets a request when its asker stops waiting.
struct Forget<'a> {
    table: &'a Table,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.table.remove_request(self.id);
    }
}
