//! What only a broker behind a network can do wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_bus::{Address, AmqpBus, Bus, BusError, Names, QueueSpec};
use millstream_testkit::{RabbitMq, unique_name, wait_until};

use crate::harness::{DEADLINE, receive, within};

fn bus(url: &str) -> Arc<AmqpBus> {
    AmqpBus::new(url, Names::new(unique_name("contract").parse().unwrap())).unwrap()
}

#[tokio::test]
async fn a_frozen_broker_ends_the_link_and_a_thawed_one_is_found_again() {
    let mut rabbit = RabbitMq::start().await.unwrap();
    let bus = bus(rabbit.url());
    let link = within("a link", bus.connect("a")).await;
    rabbit.signal("STOP").unwrap();
    let reason = within("the missing heartbeats to be noticed", link.wait_closed()).await;
    assert!(matches!(reason, BusError::Broken { .. }), "{reason:?}");
    rabbit.signal("CONT").unwrap();
    let link = within("a new link", bus.connect("a")).await;
    let intake = bus.names().intake().into();
    within(
        "a confirm",
        link.publish_confirmed(&intake, Bytes::from_static(b"job")),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_tried_again_and_counted() {
    let rabbit = RabbitMq::shared().await.unwrap();
    let address = rabbit.url().rsplit('@').next().unwrap();
    let bus = bus(&format!("amqp://guest:wrong@{address}"));
    let trying = Arc::clone(&bus);
    let attempt = tokio::spawn(async move { trying.connect("a").await });
    wait_until("two refusals", DEADLINE, async || {
        bus.counters().snapshot().connect_failures >= 2
    })
    .await
    .unwrap();
    assert!(!attempt.is_finished());
    attempt.abort();
}

#[tokio::test]
async fn an_abandoned_connect_stops_trying() {
    let port = millstream_testkit::free_port().unwrap();
    let bus = bus(&format!("amqp://guest:guest@127.0.0.1:{port}"));
    let abandoned = tokio::time::timeout(Duration::from_millis(300), bus.connect("a")).await;
    assert!(abandoned.is_err());
    let failures = bus.counters().snapshot().connect_failures;
    assert!(failures > 0);
    // Longer than the longest pause between attempts, so an attempt that went on would show.
    let went_on = wait_until("another attempt", Duration::from_millis(1500), async || {
        bus.counters().snapshot().connect_failures > failures + 1
    });
    assert!(went_on.await.is_err(), "attempts go on for nobody");
}

#[test]
fn a_link_serves_executors_on_several_threads() {
    let executor = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let runtime = executor();
    let rabbit = runtime.block_on(RabbitMq::shared()).unwrap();
    let bus = bus(rabbit.url());
    let link = runtime.block_on(async { within("a link", bus.connect("a")).await });
    let name = bus.names().worker(
        millstream_types::WorkerId::from_u128(1),
        millstream_types::SessionNo(1),
    );
    let mut consumer =
        runtime.block_on(async { link.consume(QueueSpec::private(name.clone())).await.unwrap() });
    // The executor that opened the link is not polled while another thread's publishes through it.
    let publisher = Arc::clone(&link);
    std::thread::spawn(move || {
        let publish = async {
            publisher
                .publish(&Address::Queue(name), Bytes::from_static(b"frame"))
                .await
        };
        executor().block_on(publish).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(runtime.block_on(receive(&mut consumer)).frame, "frame");
}
