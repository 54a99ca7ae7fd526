//! What the suite needs of an implementation besides the bus itself: ways to break it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use millstream_bus::{AmqpBus, Bus, Consumer, Delivery, InprocBroker, Link, Names};
use millstream_testkit::{RabbitMq, unique_name};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Long enough for a loaded machine; a test that passes never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) trait Harness {
    /// A bus of its own cluster on a broker that other tests may share.
    async fn start() -> Self;
    /// A bus on a broker that this test may stop.
    async fn start_own() -> Self;
    fn bus(&self) -> &dyn Bus;
    /// Breaks all links as a network failure would.
    async fn break_links(&self);
    async fn stop_broker(&mut self);
    async fn start_broker(&mut self);

    async fn connect(&self, who: &str) -> Arc<dyn Link> {
        within("a link", self.bus().connect(who)).await
    }
}

/// Fails the test when `future` takes too long.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}

/// The next delivery, which must come.
pub(crate) async fn receive(consumer: &mut Consumer) -> Delivery {
    within("a delivery", consumer.next()).await.unwrap()
}

fn names() -> Names {
    Names::new(unique_name("contract").parse().unwrap())
}

pub(crate) struct InprocHarness {
    broker: InprocBroker,
    bus: Arc<dyn Bus>,
}

impl Harness for InprocHarness {
    async fn start() -> Self {
        let broker = InprocBroker::new();
        Self {
            bus: broker.bus(names()),
            broker,
        }
    }

    async fn start_own() -> Self {
        Self::start().await
    }

    fn bus(&self) -> &dyn Bus {
        &*self.bus
    }

    async fn break_links(&self) {
        for who in ["a", "b"] {
            self.broker.cut(who);
        }
    }

    async fn stop_broker(&mut self) {
        self.broker.pause();
    }

    async fn start_broker(&mut self) {
        self.broker.resume();
    }
}

pub(crate) struct AmqpHarness {
    own: Option<RabbitMq>,
    proxy: Proxy,
    bus: Arc<dyn Bus>,
}

impl AmqpHarness {
    async fn on(url: &str, own: Option<RabbitMq>) -> Self {
        let (login, address) = url.trim_start_matches("amqp://").rsplit_once('@').unwrap();
        let target = tokio::net::lookup_host(address).await.unwrap().next().unwrap();
        let proxy = Proxy::start(target).await;
        let bus = AmqpBus::new(&format!("amqp://{login}@{}", proxy.address), names()).unwrap();
        Self { own, proxy, bus }
    }
}

impl Harness for AmqpHarness {
    async fn start() -> Self {
        Self::on(RabbitMq::shared().await.unwrap().url(), None).await
    }

    async fn start_own() -> Self {
        let own = RabbitMq::start().await.unwrap();
        let url = own.url().to_owned();
        Self::on(&url, Some(own)).await
    }

    fn bus(&self) -> &dyn Bus {
        &*self.bus
    }

    async fn break_links(&self) {
        self.proxy.sever();
    }

    async fn stop_broker(&mut self) {
        self.own.as_mut().unwrap().stop().await.unwrap();
    }

    async fn start_broker(&mut self) {
        self.own.as_mut().unwrap().restart().await.unwrap();
    }
}

/// Passes connections on to the broker until they are severed.
struct Proxy {
    address: SocketAddr,
    severed: watch::Sender<()>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let severed = watch::Sender::new(());
        let signal = severed.clone();
        let acceptor = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut severed = signal.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass_on(client, target) => {}
                        _ = severed.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            severed,
            acceptor,
        }
    }

    fn sever(&self) {
        self.severed.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn pass_on(mut client: TcpStream, target: SocketAddr) {
    if let Ok(mut broker) = TcpStream::connect(target).await {
        // Either side ending ends the connection, which is all a proxy needs to know.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut broker).await;
    }
}
