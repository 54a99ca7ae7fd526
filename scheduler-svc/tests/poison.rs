//! Messages that the leader cannot read: put aside, counted and logged, and nothing else suffers.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_bus::{Address, Bus, Consumer, InprocBroker, Link, Names, QueueSpec};
use millstream_config::SchedulerSettings;
use millstream_protocol::envelope::Header;
use millstream_protocol::wire::{
    ClusterTotals, Datagram, FromGateway, GatewayRequest, Hello, LiveMsg, Response, ToGateway,
    decode_datagrams, encode_datagrams,
};
use millstream_scheduler_svc::SchedulerService;
use millstream_state::MemoryState;
use millstream_telemetry::{LogOptions, SchedulerMetrics, subscriber};
use millstream_types::{ClusterName, Term};
use uuid::Uuid;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// Where log lines go.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The next datagram on a queue that `pick` takes something from.
async fn next<T>(queue: &mut Consumer, pick: impl Fn(Datagram) -> Option<T>) -> T {
    let search = async {
        loop {
            let delivery = queue.next().await.unwrap();
            let batch = decode_datagrams(&ClusterName::default(), &delivery.frame).unwrap();
            if let Some(found) = batch.items.into_iter().find_map(&pick) {
                return found;
            }
        }
    };
    tokio::time::timeout(LIMIT, search).await.unwrap()
}

fn question(reply_to: &str) -> Bytes {
    let header = Header::datagram(ClusterName::default(), Uuid::from_u128(5), Term(1));
    let question = Datagram::FromGateway(FromGateway {
        id: 1,
        reply_to: reply_to.to_owned(),
        request: GatewayRequest::Workers,
    });
    encode_datagrams(&header, &[question]).unwrap()
}

/// A message as a later version would send it: the version is the first byte.
fn of_another_version(frame: &Bytes) -> Bytes {
    let mut bytes = frame.to_vec();
    bytes[0] += 1;
    bytes.into()
}

/// Runs `test` beside a scheduler.
fn beside_a_scheduler<F: Future<Output = ()>>(test: impl FnOnce(Arc<dyn Bus>, Log) -> F) {
    let log = Log::default();
    let writer = {
        let log = log.clone();
        move || log.clone()
    };
    let subscriber = subscriber(&LogOptions::default(), writer, false).unwrap();
    let _logging = tracing::subscriber::set_default(subscriber);
    let bus: Arc<dyn Bus> = InprocBroker::new().bus(Names::new(ClusterName::default()));
    let service = SchedulerService {
        settings: SchedulerSettings::default(),
        graph_limit: 1000,
        max_active_jobs: 10,
        bus: Arc::clone(&bus),
        state: Arc::new(MemoryState::new()),
        metrics: SchedulerMetrics::new(),
        on_progress: Arc::new(|| {}),
    };
    actix_rt::System::new().block_on(service.run(test(bus, log)));
}

async fn leader_of(link: &Arc<dyn Link>) -> Address {
    let ear = QueueSpec::private_with_hello("test.ear".into());
    let mut ear = link.consume(ear).await.unwrap();
    let hello: Hello = next(&mut ear, |item| match item {
        Datagram::Hello(hello) => Some(hello),
        _ => None,
    })
    .await;
    Address::Queue(hello.queue.into())
}

#[test]
fn message_of_another_version_is_put_aside_counted_and_logged() {
    beside_a_scheduler(|bus, log| async move {
        let link = bus.connect("test").await;
        let leader = leader_of(&link).await;
        let mut replies = link
            .consume(QueueSpec::private("test.replies".into()))
            .await
            .unwrap();
        let snapshots = QueueSpec::live("test.snapshots".into(), ["snapshot"], 4);
        let mut snapshots = link.consume(snapshots).await.unwrap();
        let mut dead = link.consume(QueueSpec::dead(bus.names(), 4)).await.unwrap();

        let poison = of_another_version(&question("test.replies"));
        let intake = Address::Queue(bus.names().intake());
        for queue in [&leader, &intake] {
            link.publish(queue, poison.clone()).await.unwrap();
            let letter = tokio::time::timeout(LIMIT, dead.next()).await.unwrap().unwrap();
            assert_eq!(letter.frame, poison, "from {queue:?}");
            letter.ack().await.unwrap();
        }

        let totals: ClusterTotals = next(&mut snapshots, |item| match item {
            Datagram::Live(LiveMsg::Snapshot(snapshot)) => {
                Some(snapshot.totals).filter(|totals| totals.dead_letters >= 2)
            }
            _ => None,
        })
        .await;
        assert_eq!(totals.dead_letters, 2);
        let text = log.text();
        for line in [
            "a message on the leader's queue cannot be read",
            "a message on the intake queue cannot be read",
        ] {
            let line = text.lines().find(|found| found.contains(line)).unwrap();
            assert!(line.contains("WARN") && line.contains("version"), "{line}");
        }

        link.publish(&leader, question("test.replies")).await.unwrap();
        let workers = next(&mut replies, |item| match item {
            Datagram::ToGateway(ToGateway::Response {
                result: Ok(Response::Workers(workers)),
                ..
            }) => Some(workers),
            _ => None,
        });
        assert!(workers.await.is_empty(), "the leader goes on");
    });
}
