//! What happens when consumers, links and brokers end.

use std::time::Duration;

use bytes::Bytes;
use millstream_bus::{Address, BusError, QueueName, QueueSpec};
use millstream_testkit::wait_until;

use crate::harness::{DEADLINE, Harness, receive, within};

const JOB: Bytes = Bytes::from_static(b"job");
const OTHER_JOB: Bytes = Bytes::from_static(b"other job");

fn queue(harness: &impl Harness, suffix: &str) -> QueueName {
    format!("{}.test.{suffix}", harness.bus().names().cluster()).into()
}

/// Waits until frames for `queue` come back.
async fn vanished(link: &dyn millstream_bus::Link, queue: &QueueName) {
    let to = Address::Queue(queue.clone());
    wait_until("the queue to vanish", DEADLINE, async || {
        link.publish_confirmed(&to, JOB).await == Err(BusError::Unroutable { queue: queue.clone() })
    })
    .await
    .unwrap();
}

pub(crate) async fn an_exclusive_name_is_never_taken_twice(harness: impl Harness) {
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let name = queue(&harness, "taken");
    let mut consumer = a.consume(QueueSpec::private(name.clone())).await.unwrap();
    for link in [&a, &b] {
        let refused = within("the refusal", link.consume(QueueSpec::private(name.clone()))).await;
        assert_eq!(refused.unwrap_err(), BusError::QueueTaken { queue: name.clone() });
    }
    b.publish(&name.into(), JOB).await.unwrap();
    assert_eq!(
        receive(&mut consumer).await.frame,
        JOB,
        "the owner and both links are unharmed"
    );
}

pub(crate) async fn a_private_queue_vanishes_with_its_consumer(harness: impl Harness) {
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let name = queue(&harness, "short-lived");
    let consumer = a.consume(QueueSpec::private(name.clone())).await.unwrap();
    within("the confirm", b.publish_confirmed(&name.clone().into(), JOB))
        .await
        .unwrap();
    drop(consumer);
    vanished(&*b, &name).await;
    assert_eq!(a.closed(), None);
}

pub(crate) async fn a_private_queue_vanishes_with_its_link(harness: impl Harness) {
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let name = queue(&harness, "short-lived");
    let mut consumer = a.consume(QueueSpec::private(name.clone())).await.unwrap();
    drop(a);
    assert!(within("the consumer to end", consumer.next()).await.is_none());
    vanished(&*b, &name).await;
    let mut returns = b.returns();
    b.publish(&name.clone().into(), JOB).await.unwrap();
    assert_eq!(
        within("the return", returns.next()).await,
        Some(Address::Queue(name))
    );
}

pub(crate) async fn unacknowledged_intake_returns_when_the_consumer_ends(harness: impl Harness) {
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let names = harness.bus().names();
    within("the confirm", a.publish_confirmed(&names.intake().into(), JOB))
        .await
        .unwrap();
    let mut consumer = a.consume(QueueSpec::intake(names, 8)).await.unwrap();
    let unacknowledged = receive(&mut consumer).await;
    assert!(!unacknowledged.redelivered);
    drop(consumer);
    let mut consumer = b.consume(QueueSpec::intake(names, 8)).await.unwrap();
    let again = receive(&mut consumer).await;
    assert_eq!(again.frame, JOB);
    assert!(again.redelivered);
    assert!(
        unacknowledged.ack().await.is_err(),
        "the delivery is another consumer's by now"
    );
    again.ack().await.unwrap();
}

pub(crate) async fn unacknowledged_intake_returns_when_the_link_breaks(harness: impl Harness) {
    let a = harness.connect("a").await;
    let names = harness.bus().names();
    within("the confirm", a.publish_confirmed(&names.intake().into(), JOB))
        .await
        .unwrap();
    let mut consumer = a.consume(QueueSpec::intake(names, 8)).await.unwrap();
    let unacknowledged = receive(&mut consumer).await;
    harness.break_links().await;
    within("the link to end", a.wait_closed()).await;
    assert!(unacknowledged.ack().await.is_err());
    let again = harness.connect("a").await;
    let mut consumer = again.consume(QueueSpec::intake(names, 8)).await.unwrap();
    let delivery = receive(&mut consumer).await;
    assert_eq!(delivery.frame, JOB);
    assert!(delivery.redelivered);
}

pub(crate) async fn acknowledged_intake_does_not_return(harness: impl Harness) {
    let a = harness.connect("a").await;
    let names = harness.bus().names();
    for job in [JOB, OTHER_JOB] {
        within("the confirm", a.publish_confirmed(&names.intake().into(), job))
            .await
            .unwrap();
    }
    let mut consumer = a.consume(QueueSpec::intake(names, 8)).await.unwrap();
    receive(&mut consumer).await.ack().await.unwrap();
    let _unacknowledged = receive(&mut consumer).await;
    // In good order, so that the acknowledgement is sent.
    drop(consumer);
    a.close().await;
    let b = harness.connect("b").await;
    let mut consumer = b.consume(QueueSpec::intake(names, 8)).await.unwrap();
    assert_eq!(
        receive(&mut consumer).await.frame,
        OTHER_JOB,
        "the acknowledged job came back"
    );
}

pub(crate) async fn a_broken_link_tells_everybody_on_it(harness: impl Harness) {
    let a = harness.connect("a").await;
    let mut returns = a.returns();
    let mut consumer = a
        .consume(QueueSpec::private(queue(&harness, "broken")))
        .await
        .unwrap();
    harness.break_links().await;
    let reason = within("the link to end", a.wait_closed()).await;
    assert!(matches!(reason, BusError::Broken { .. }), "{reason:?}");
    assert!(reason.is_retryable());
    assert!(within("the consumer to end", consumer.next()).await.is_none());
    assert!(within("the returns to end", returns.next()).await.is_none());
    let hello = a.publish(&Address::Hello, JOB).await;
    assert_eq!(hello, Err(reason.clone()));
    let intake = harness.bus().names().intake().into();
    assert_eq!(
        within("the refusal", a.publish_confirmed(&intake, JOB)).await,
        Err(reason.clone())
    );
    let spec = QueueSpec::private(queue(&harness, "another"));
    assert_eq!(within("the refusal", a.consume(spec)).await.unwrap_err(), reason);
}

pub(crate) async fn a_closed_link_sends_what_was_published_before(harness: impl Harness) {
    const COUNT: usize = 1_000;
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let name = queue(&harness, "last-words");
    let mut consumer = b.consume(QueueSpec::private(name.clone())).await.unwrap();
    for _ in 0..COUNT {
        a.publish(&name.clone().into(), JOB).await.unwrap();
    }
    within("the close", a.close()).await;
    assert_eq!(a.closed(), Some(BusError::Closed));
    for _ in 0..COUNT {
        receive(&mut consumer).await;
    }
}

pub(crate) async fn intake_survives_a_restart_and_links_open_again(mut harness: impl Harness) {
    let names = harness.bus().names().clone();
    let a = harness.connect("a").await;
    within("the confirm", a.publish_confirmed(&names.intake().into(), JOB))
        .await
        .unwrap();
    let private = queue(&harness, "private");
    let mut consumer = a.consume(QueueSpec::private(private.clone())).await.unwrap();
    harness.stop_broker().await;
    within("the link to end", a.wait_closed()).await;
    assert!(within("the consumer to end", consumer.next()).await.is_none());
    harness.start_broker().await;
    let b = harness.connect("b").await;
    vanished(&*b, &private).await;
    let mut consumer = b.consume(QueueSpec::intake(&names, 8)).await.unwrap();
    assert_eq!(receive(&mut consumer).await.frame, JOB);
}

pub(crate) async fn connecting_waits_for_the_broker(mut harness: impl Harness) {
    harness.stop_broker().await;
    let early = tokio::time::timeout(Duration::from_millis(500), harness.bus().connect("a")).await;
    assert!(early.is_err(), "connected to a stopped broker");
    let bus_before = harness.bus().counters().snapshot();
    assert_eq!(bus_before.connected, 0);
    harness.start_broker().await;
    let link = harness.connect("a").await;
    assert_eq!(link.closed(), None);
}
