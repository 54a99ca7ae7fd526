//! Measures what the bus costs: frames per second one way, and the time of a round trip.
//!
//! `cargo run --release -p millstream-bus --example bus_rate [amqp://user:password@host:5672]`. Without an address it
//! starts a private RabbitMQ.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use millstream_bus::{Address, AmqpBus, Bus, Consumer, InprocBroker, Link, Names, QueueName, QueueSpec};
use millstream_testkit::{RabbitMq, unique_name};

const PINGS: usize = 5_000;
/// Frame sizes in bytes, and how many of each: some tenths of a second per row.
const ONE_WAY: [(usize, usize); 4] = [(64, 50_000), (4 << 10, 30_000), (64 << 10, 5_000), (1 << 20, 500)];

#[tokio::main]
async fn main() -> Result<()> {
    let names = Names::new(unique_name("rate").parse()?);
    report("in-process", &*InprocBroker::new().bus(names.clone())).await?;
    let private = match std::env::args().nth(1) {
        Some(url) => (url, None),
        None => {
            let server = RabbitMq::start().await?;
            (server.url().to_owned(), Some(server))
        }
    };
    report("RabbitMQ", &*AmqpBus::new(&private.0, names)?).await
}

async fn report(kind: &str, bus: &dyn Bus) -> Result<()> {
    let mut out = std::io::stdout();
    for (size, count) in ONE_WAY {
        let rate = one_way(bus, size, count).await?;
        let megabytes = rate * size as f64 / 1e6;
        writeln!(
            out,
            "{kind}: one way, {size} B: {rate:.0} msg/s, {megabytes:.0} MB/s"
        )?;
    }
    let (p50, p99) = ping_pong(bus).await?;
    writeln!(out, "{kind}: ping-pong: p50 {p50:?}, p99 {p99:?}")?;
    let (p50, p99) = confirmed(bus).await?;
    writeln!(out, "{kind}: confirmed intake: p50 {p50:?}, p99 {p99:?}")?;
    Ok(())
}

async fn one_way(bus: &dyn Bus, size: usize, count: usize) -> Result<f64> {
    let (from, to) = (bus.connect("rate-from").await, bus.connect("rate-to").await);
    let (address, mut consumer) = open(bus, &to, "one-way").await?;
    let frame = Bytes::from(vec![0; size]);
    let start = Instant::now();
    let publish = tokio::spawn(async move {
        for _ in 0..count {
            from.publish(&address, frame.clone()).await?;
        }
        // The link must outlive its frames, which are under way for a while.
        anyhow::Ok(from)
    });
    for _ in 0..count {
        consumer.next().await.context("the link broke")?;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    publish.await??;
    Ok(rate)
}

async fn ping_pong(bus: &dyn Bus) -> Result<(Duration, Duration)> {
    let (a, b) = (bus.connect("rate-a").await, bus.connect("rate-b").await);
    let (to_a, mut at_a) = open(bus, &a, "ping-a").await?;
    let (to_b, mut at_b) = open(bus, &b, "ping-b").await?;
    let echo = tokio::spawn(async move {
        while let Some(delivery) = at_b.next().await {
            b.publish(&to_a, delivery.frame).await?;
        }
        anyhow::Ok(())
    });
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let start = Instant::now();
        a.publish(&to_b, Bytes::from_static(&[0; 64])).await?;
        at_a.next().await.context("the link broke")?;
        times.push(start.elapsed());
    }
    echo.abort();
    Ok(percentiles(times))
}

async fn confirmed(bus: &dyn Bus) -> Result<(Duration, Duration)> {
    let link = bus.connect("rate-confirmed").await;
    let intake = Address::Queue(bus.names().intake());
    let mut times = Vec::with_capacity(PINGS / 10);
    for _ in 0..PINGS / 10 {
        let start = Instant::now();
        link.publish_confirmed(&intake, Bytes::from_static(&[0; 64]))
            .await?;
        times.push(start.elapsed());
    }
    Ok(percentiles(times))
}

async fn open(bus: &dyn Bus, link: &Arc<dyn Link>, suffix: &str) -> Result<(Address, Consumer)> {
    let name = QueueName::from(format!("{}.{}", bus.names().cluster(), unique_name(suffix)));
    let consumer = link.consume(QueueSpec::private(name.clone())).await?;
    Ok((name.into(), consumer))
}

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
