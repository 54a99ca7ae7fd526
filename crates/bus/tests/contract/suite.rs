//! Delivery while everything is up.

use bytes::Bytes;
use futures::FutureExt;
use millstream_bus::{Address, BusError, MAX_FRAME, QueueName, QueueSpec};

use crate::harness::{Harness, receive, within};

/// More frames than any client-side prefetch of live views.
const MANY_LIVE: u32 = 500;

fn queue(harness: &impl Harness, suffix: &str) -> QueueName {
    format!("{}.test.{suffix}", harness.bus().names().cluster()).into()
}

fn numbered(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

fn number(frame: &Bytes) -> u32 {
    u32::from_be_bytes(frame[..4].try_into().unwrap())
}

pub(crate) async fn frames_arrive_in_order(harness: impl Harness) {
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let name = queue(&harness, "order");
    let mut consumer = a.consume(QueueSpec::private(name.clone())).await.unwrap();
    let to = Address::Queue(name);
    // Sizes around the broker's frame size: large frames travel in pieces and must not be overtaken.
    for n in 0..40_u32 {
        let mut frame = vec![0; 4 + (n as usize % 4) * 100_000];
        frame[..4].copy_from_slice(&n.to_be_bytes());
        b.publish(&to, frame.into()).await.unwrap();
    }
    for n in 0..40 {
        let delivery = receive(&mut consumer).await;
        assert_eq!(number(&delivery.frame), n);
        assert_eq!(delivery.frame.len(), 4 + (n as usize % 4) * 100_000);
    }
}

pub(crate) async fn a_burst_of_ten_thousand_frames_arrives_whole(harness: impl Harness) {
    const COUNT: u32 = 10_000;
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let name = queue(&harness, "burst");
    let mut consumer = a.consume(QueueSpec::private(name.clone())).await.unwrap();
    let to = Address::Queue(name);
    let publish = async {
        for n in 0..COUNT {
            b.publish(&to, numbered(n)).await.unwrap();
        }
    };
    let consume = async {
        for n in 0..COUNT {
            assert_eq!(number(&receive(&mut consumer).await.frame), n);
        }
    };
    futures::join!(publish, consume);
    assert!(harness.bus().counters().snapshot().published >= u64::from(COUNT));
}

pub(crate) async fn a_frame_for_a_missing_queue_is_returned(harness: impl Harness) {
    let link = harness.connect("a").await;
    let mut returns = link.returns();
    let missing = Address::Queue(queue(&harness, "missing"));
    link.publish(&missing, numbered(1)).await.unwrap();
    assert_eq!(within("the return", returns.next()).await, Some(missing.clone()));
    link.publish(&missing, numbered(2)).await.unwrap();
    assert_eq!(within("the second return", returns.next()).await, Some(missing));
    assert_eq!(harness.bus().counters().snapshot().returned, 2);
    assert_eq!(link.closed(), None, "a returned frame does not harm the link");
}

pub(crate) async fn hello_reaches_every_listener(harness: impl Harness) {
    let (a, b) = (harness.connect("a").await, harness.connect("b").await);
    let mut first = a
        .consume(QueueSpec::private_with_hello(queue(&harness, "hello-1")))
        .await
        .unwrap();
    let mut second = b
        .consume(QueueSpec::private_with_hello(queue(&harness, "hello-2")))
        .await
        .unwrap();
    let mut deaf = b
        .consume(QueueSpec::private(queue(&harness, "deaf")))
        .await
        .unwrap();
    b.publish(&Address::Hello, Bytes::from_static(b"hello"))
        .await
        .unwrap();
    assert_eq!(receive(&mut first).await.frame, "hello");
    assert_eq!(receive(&mut second).await.frame, "hello");
    b.publish(
        &Address::Queue(queue(&harness, "deaf")),
        Bytes::from_static(b"direct"),
    )
    .await
    .unwrap();
    assert_eq!(
        receive(&mut deaf).await.frame,
        "direct",
        "hello is only for those who listen to it"
    );
}

pub(crate) async fn live_views_see_their_topics_once(harness: impl Harness) {
    let link = harness.connect("a").await;
    let topics = ["job.*.state", "job.7.#", "worker.#"];
    let mut view = link
        .consume(QueueSpec::live(queue(&harness, "live"), topics, 100))
        .await
        .unwrap();
    for topic in [
        "job.7.state",
        "job.8.log",
        "job.7",
        "worker",
        "job.8.state",
        "other",
    ] {
        link.publish(&Address::Live(topic.to_owned()), Bytes::from(topic.to_owned()))
            .await
            .unwrap();
    }
    for expected in ["job.7.state", "job.7", "worker", "job.8.state"] {
        assert_eq!(receive(&mut view).await.frame, expected);
    }
}

pub(crate) async fn a_full_live_view_drops_its_oldest_frames(harness: impl Harness) {
    const MAX_LENGTH: u32 = 10;
    let link = harness.connect("a").await;
    let view = QueueSpec::live(queue(&harness, "full"), ["#"], MAX_LENGTH);
    let mut view = link.consume(view).await.unwrap();
    let marker = queue(&harness, "marker");
    let mut marked = link.consume(QueueSpec::private(marker.clone())).await.unwrap();
    for n in 0..MANY_LIVE {
        link.publish(&Address::Live("n".to_owned()), numbered(n))
            .await
            .unwrap();
    }
    // Once this one has come back, the broker has routed all those before it.
    link.publish(&Address::Queue(marker), Bytes::new()).await.unwrap();
    receive(&mut marked).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&(MANY_LIVE - 1)) {
        seen.push(number(&receive(&mut view).await.frame));
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(
        seen.len() < MANY_LIVE as usize / 2,
        "{} frames were kept",
        seen.len()
    );
}

pub(crate) async fn a_confirmed_frame_needs_a_queue(harness: impl Harness) {
    let link = harness.connect("a").await;
    let missing = queue(&harness, "missing");
    let outcome = within(
        "the outcome",
        link.publish_confirmed(&missing.clone().into(), numbered(1)),
    )
    .await;
    assert_eq!(outcome, Err(BusError::Unroutable { queue: missing }));
    let outcome = link.publish_confirmed(&Address::Hello, numbered(2)).await;
    assert_eq!(outcome, Err(BusError::NotConfirmable));
    let intake = harness.bus().names().intake().into();
    within("the confirm", link.publish_confirmed(&intake, numbered(3)))
        .await
        .unwrap();
}

pub(crate) async fn oversized_frames_and_names_are_refused(harness: impl Harness) {
    let link = harness.connect("a").await;
    let intake: Address = harness.bus().names().intake().into();
    let frame = Bytes::from(vec![0; MAX_FRAME + 1]);
    let refused = Err(BusError::FrameTooLarge {
        bytes: MAX_FRAME + 1,
        max: MAX_FRAME,
    });
    assert_eq!(link.publish(&intake, frame.clone()).await, refused);
    assert_eq!(link.publish(&Address::Hello, frame.clone()).await, refused);
    assert_eq!(link.publish_confirmed(&intake, frame).await, refused);
    let long = "x".repeat(256);
    let refused = BusError::NameTooLong { bytes: 256, max: 255 };
    assert_eq!(
        link.publish(&Address::Live(long.clone()), numbered(1))
            .await
            .unwrap_err(),
        refused
    );
    let spec = QueueSpec::private(long.as_str().into());
    assert_eq!(link.consume(spec).await.unwrap_err(), refused);
    within(
        "a confirm on the unharmed link",
        link.publish_confirmed(&intake, numbered(1)),
    )
    .await
    .unwrap();
}

pub(crate) async fn the_largest_frame_passes(harness: impl Harness) {
    let link = harness.connect("a").await;
    let name = queue(&harness, "large");
    let mut consumer = link.consume(QueueSpec::private(name.clone())).await.unwrap();
    let frame: Bytes = (0..MAX_FRAME).map(|n| (n % 251) as u8).collect();
    link.publish(&name.into(), frame.clone()).await.unwrap();
    assert!(
        receive(&mut consumer).await.frame == frame,
        "the frame changed on its way"
    );
    let intake = harness.bus().names().intake().into();
    within("the confirm", link.publish_confirmed(&intake, frame.clone()))
        .await
        .unwrap();
    let mut consumer = link
        .consume(QueueSpec::intake(harness.bus().names(), 1))
        .await
        .unwrap();
    assert!(
        receive(&mut consumer).await.frame == frame,
        "the job changed on its way"
    );
}

pub(crate) async fn prefetch_bounds_unacknowledged_intake(harness: impl Harness) {
    let link = harness.connect("a").await;
    let names = harness.bus().names();
    for n in 0..5 {
        within(
            "a confirm",
            link.publish_confirmed(&names.intake().into(), numbered(n)),
        )
        .await
        .unwrap();
    }
    let mut consumer = link.consume(QueueSpec::intake(names, 2)).await.unwrap();
    let first = receive(&mut consumer).await;
    let second = receive(&mut consumer).await;
    assert_eq!([number(&first.frame), number(&second.frame)], [0, 1]);
    // A round trip through the broker on the same link: whatever it wanted to deliver would be here.
    let marker = queue(&harness, "marker");
    let mut marked = link.consume(QueueSpec::private(marker.clone())).await.unwrap();
    link.publish(&marker.into(), Bytes::new()).await.unwrap();
    receive(&mut marked).await;
    assert!(
        consumer.next().now_or_never().is_none(),
        "delivered beyond the prefetch"
    );
    second.ack().await.unwrap();
    assert_eq!(number(&receive(&mut consumer).await.frame), 2);
}

pub(crate) async fn undecodable_frames_are_put_aside_and_counted(harness: impl Harness) {
    let link = harness.connect("a").await;
    let names = harness.bus().names();
    let poison = Bytes::from_static(b"poison");
    link.dead_letter(&names.intake(), poison.clone(), "unknown version 9")
        .await
        .unwrap();
    let mut dead = link.consume(QueueSpec::dead(names, 1)).await.unwrap();
    let delivery = receive(&mut dead).await;
    assert_eq!(delivery.frame, poison);
    delivery.ack().await.unwrap();
    assert_eq!(harness.bus().counters().snapshot().dead_lettered, 1);
}
