//! Cells, queues and semaphores.

use std::time::Duration;

use bytes::Bytes;
use millstream_state::{
    Cell, Entry, Expected, Push, QueuePage, SemaphoreView, SharedError, SharedKind, StateStore,
};
use tokio::time::Instant;

use crate::harness::{Harness, LIMITS, LONG, SHORT, eventually};

const NOW: Duration = Duration::ZERO;

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

fn push(id: &str, items: &[&str]) -> Push {
    Push {
        id: id.to_owned(),
        items: items.iter().map(|item| bytes(item)).collect(),
        limit: None,
        drop_oldest: false,
    }
}

fn entry(ticket: &str, limit: usize) -> Entry {
    Entry {
        ticket: ticket.to_owned(),
        limit,
        ttl: LONG,
    }
}

async fn put(
    store: &dyn StateStore,
    name: &str,
    value: &str,
    expected: Expected,
) -> Result<u64, SharedError> {
    store.put_cell(name, bytes(value), expected, LONG).await
}

async fn items(store: &dyn StateStore, name: &str) -> Vec<Bytes> {
    store.queue(name, 0, 100).await.unwrap().items
}

// ---- cells

pub(crate) async fn a_cell_is_written_only_as_it_was_seen(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.cell("a", None, NOW).await, Ok(None));
    assert_eq!(
        put(store, "a", "x", Expected::Version(1)).await,
        Err(SharedError::Conflict { current: None })
    );
    let first = put(store, "a", "x", Expected::Absent).await.unwrap();
    let conflict = Err(SharedError::Conflict { current: Some(first) });
    assert_eq!(put(store, "a", "y", Expected::Absent).await, conflict);
    let second = put(store, "a", "y", Expected::Version(first)).await.unwrap();
    assert!(second > first);
    let stale = put(store, "a", "z", Expected::Version(first)).await;
    assert_eq!(
        stale,
        Err(SharedError::Conflict {
            current: Some(second)
        })
    );
    let cell = Cell {
        version: second,
        value: bytes("y"),
    };
    assert_eq!(store.cell("a", None, NOW).await, Ok(Some(cell)));
}

pub(crate) async fn of_writers_who_saw_the_same_one_succeeds(harness: impl Harness) {
    let store = harness.store();
    let seen = put(store, "a", "0", Expected::Any).await.unwrap();
    let writes = (0..20).map(|_| put(store, "a", "1", Expected::Version(seen)));
    let outcomes = futures::future::join_all(writes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

pub(crate) async fn versions_never_come_back(harness: impl Harness) {
    let store = harness.store();
    let first = put(store, "a", "x", Expected::Any).await.unwrap();
    let gone = store.remove_cell("a", Expected::Version(first)).await;
    assert_eq!(gone, Ok(true));
    assert_eq!(store.remove_cell("a", Expected::Any).await, Ok(false));
    let second = put(store, "a", "x", Expected::Absent).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(
        store.remove_cell("a", Expected::Version(first)).await,
        Err(SharedError::Conflict {
            current: Some(second)
        })
    );
}

pub(crate) async fn a_reader_of_a_cell_waits_for_a_change(harness: impl Harness) {
    let store = harness.store();
    let reading = store.cell("a", None, LONG);
    let writing = async {
        tokio::task::yield_now().await;
        put(store, "a", "x", Expected::Any).await.unwrap()
    };
    let (read, version) = tokio::join!(reading, writing);
    assert_eq!(read.unwrap().unwrap().version, version);

    let begun = Instant::now();
    let (read, next) = tokio::join!(store.cell("a", Some(version), LONG), async {
        tokio::task::yield_now().await;
        put(store, "a", "y", Expected::Any).await.unwrap()
    });
    assert_eq!(read.unwrap().unwrap().version, next);
    let (read, removed) = tokio::join!(
        store.cell("a", Some(next), LONG),
        store.remove_cell("a", Expected::Any)
    );
    assert_eq!((read, removed), (Ok(None), Ok(true)));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

pub(crate) async fn a_reader_of_an_unchanged_cell_gives_up_in_time(harness: impl Harness) {
    let store = harness.store();
    let version = put(store, "a", "x", Expected::Any).await.unwrap();
    let begun = Instant::now();
    let read = store.cell("a", Some(version), SHORT).await.unwrap();
    assert_eq!(read.unwrap().version, version);
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(store.cell("missing", None, SHORT).await, Ok(None));
}

pub(crate) async fn cells_are_listed_by_prefix_and_expire(harness: impl Harness) {
    let store = harness.store();
    for name in ["data/b", "data/a", "other"] {
        put(store, name, "x", Expected::Any).await.unwrap();
    }
    store
        .put_cell("data/short", bytes("x"), Expected::Any, SHORT)
        .await
        .unwrap();
    let kept = ["data/a", "data/b"].map(str::to_owned);
    eventually("one cell expires", async || {
        store.shared_names(SharedKind::Cell, "data/").await.unwrap() == kept
    })
    .await;
    // The index knows the end to the millisecond, and the value's own end may be one later.
    eventually("its value is gone", async || {
        store.cell("data/short", None, NOW).await == Ok(None)
    })
    .await;
    assert_eq!(store.shared_names(SharedKind::Queue, "").await, Ok(vec![]));
}

pub(crate) async fn a_cell_that_is_renewed_stays(harness: impl Harness) {
    let store = harness.store();
    for name in ["renewed", "left"] {
        let written = store.put_cell(name, bytes("x"), Expected::Any, SHORT).await;
        written.unwrap();
    }
    assert_eq!(store.renew_cell("renewed", LONG).await, Ok(true));
    eventually("the other cell expires", async || {
        store.cell("left", None, NOW).await == Ok(None)
    })
    .await;
    assert_eq!(store.renew_cell("left", LONG).await, Ok(false));
    assert_eq!(
        store.cell("renewed", None, NOW).await.unwrap().unwrap().value,
        bytes("x")
    );
    assert_eq!(
        store.shared_names(SharedKind::Cell, "").await,
        Ok(vec!["renewed".to_owned()])
    );
}

pub(crate) async fn what_is_shared_is_bounded(harness: impl Harness) {
    let store = harness.store();
    let limits = LIMITS.shared;
    let large = "x".repeat(limits.value.as_u64() as usize + 1);
    let refused = put(store, "large", &large, Expected::Any).await;
    assert!(
        matches!(refused, Err(SharedError::TooLarge { .. })),
        "{refused:?}"
    );
    for number in 0..limits.names {
        put(store, &number.to_string(), "x", Expected::Any).await.unwrap();
    }
    let refused = Err(SharedError::TooManyNames(limits.names));
    assert_eq!(put(store, "one more", "x", Expected::Any).await, refused);
    assert_eq!(
        store.enter("one more", &entry("t", 1), NOW).await.err(),
        refused.clone().err()
    );
    assert_eq!(
        store.push("one more", &push("1", &["x"]), NOW).await.err(),
        refused.err()
    );
    store.remove_cell("0", Expected::Any).await.unwrap();
    put(store, "one more", "x", Expected::Any).await.unwrap();

    let value = "x".repeat(limits.value.as_u64() as usize);
    let mut outcome = Ok(0);
    for number in 1..limits.names {
        outcome = put(store, &number.to_string(), &value, Expected::Any).await;
    }
    assert_eq!(outcome, Err(SharedError::OutOfRoom(limits.bytes)));
    for number in 1..limits.names {
        store
            .remove_cell(&number.to_string(), Expected::Any)
            .await
            .unwrap();
    }
    put(store, "2", &value, Expected::Any).await.unwrap();
}

// ---- queues

pub(crate) async fn items_are_taken_in_the_order_of_their_pushes(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.push("q", &push("1", &["a", "b"]), NOW).await, Ok(2));
    assert_eq!(store.push("q", &push("2", &["c"]), NOW).await, Ok(3));
    let page = store.queue("q", 1, 1).await.unwrap();
    let expected = QueuePage {
        length: 3,
        items: vec![bytes("b")],
    };
    assert_eq!(page, expected);
    assert_eq!(
        store.take("q", "t1", 2, NOW).await,
        Ok(vec![bytes("a"), bytes("b")])
    );
    assert_eq!(store.take("q", "t2", 2, NOW).await, Ok(vec![bytes("c")]));
    assert_eq!(store.take("q", "t3", 2, NOW).await, Ok(vec![]));
}

pub(crate) async fn a_repeated_request_changes_a_queue_once(harness: impl Harness) {
    let store = harness.store();
    for _ in 0..3 {
        assert_eq!(store.push("q", &push("1", &["a", "b"]), NOW).await, Ok(2));
    }
    for _ in 0..3 {
        assert_eq!(store.take("q", "t", 1, NOW).await, Ok(vec![bytes("a")]));
    }
    assert_eq!(items(store, "q").await, [bytes("b")]);
}

pub(crate) async fn a_full_queue_refuses_waits_or_drops_the_oldest(harness: impl Harness) {
    let store = harness.store();
    let limited = |id: &str, item: &str| Push {
        limit: Some(2),
        ..push(id, &[item])
    };
    store.push("q", &limited("1", "a"), NOW).await.unwrap();
    store.push("q", &limited("2", "b"), NOW).await.unwrap();
    let full = Err(SharedError::QueueFull { length: 2, limit: 2 });
    assert_eq!(store.push("q", &limited("3", "c"), NOW).await, full);
    let third = limited("3", "c");
    let (pushed, taken) = tokio::join!(store.push("q", &third, LONG), async {
        tokio::task::yield_now().await;
        store.take("q", "t", 1, NOW).await
    });
    assert_eq!((pushed, taken), (Ok(2), Ok(vec![bytes("a")])));
    let dropping = Push {
        drop_oldest: true,
        ..limited("4", "d")
    };
    assert_eq!(store.push("q", &dropping, NOW).await, Ok(2));
    assert_eq!(items(store, "q").await, [bytes("c"), bytes("d")]);
    let many = push("5", &["x"; 6]);
    assert!(LIMITS.shared.items < many.items.len());
    assert!(
        store.push("q", &many, NOW).await.is_err(),
        "no queue is unbounded"
    );
}

pub(crate) async fn a_taker_waits_for_an_item(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.take("q", "t0", 1, SHORT).await, Ok(vec![]));
    for round in 0..10 {
        let (request, id) = (push(&round.to_string(), &["a"]), format!("t{round}"));
        let (taken, pushed) = tokio::join!(store.take("q", &id, 5, LONG), async {
            tokio::task::yield_now().await;
            store.push("q", &request, NOW).await
        });
        assert_eq!((taken, pushed), (Ok(vec![bytes("a")]), Ok(1)));
    }
}

pub(crate) async fn every_item_is_taken_once(harness: impl Harness) {
    let store = harness.store();
    let takers = (0..8).map(|taker| async move {
        let mut taken = Vec::new();
        for round in 0..5 {
            taken.extend(
                store
                    .take("q", &format!("{taker}-{round}"), 1, LONG)
                    .await
                    .unwrap(),
            );
        }
        taken
    });
    let pushing = async {
        for number in 0..40 {
            let one = push(&number.to_string(), &[&number.to_string()]);
            store.push("q", &one, LONG).await.unwrap();
        }
    };
    let (taken, ()) = tokio::join!(futures::future::join_all(takers), pushing);
    let mut taken: Vec<Bytes> = taken.into_iter().flatten().collect();
    taken.sort_unstable_by_key(|item| std::str::from_utf8(item).unwrap().parse::<u32>().unwrap());
    let all: Vec<Bytes> = (0..40).map(|number| bytes(&number.to_string())).collect();
    assert_eq!(taken, all);
}

pub(crate) async fn a_removed_queue_is_empty_and_gives_its_room_back(harness: impl Harness) {
    let store = harness.store();
    let value = "x".repeat(LIMITS.shared.value.as_u64() as usize);
    for round in 0..20 {
        store
            .push("q", &push(&round.to_string(), &[&value]), NOW)
            .await
            .unwrap();
        store.take("q", &round.to_string(), 1, NOW).await.unwrap();
        store.remove_queue("q").await.unwrap();
        assert_eq!(store.queue("q", 0, 10).await, Ok(QueuePage::default()));
    }
    assert_eq!(store.shared_names(SharedKind::Queue, "").await, Ok(vec![]));
}

// ---- semaphores

pub(crate) async fn a_semaphore_is_held_in_the_order_of_arrival(harness: impl Harness) {
    let store = harness.store();
    for (ticket, ahead) in [("a", 0), ("b", 0), ("c", 1), ("d", 2), ("a", 0), ("c", 1)] {
        assert_eq!(
            store.enter("s", &entry(ticket, 2), NOW).await,
            Ok(ahead),
            "{ticket}"
        );
    }
    let view = SemaphoreView { tickets: 4, held: 2 };
    assert_eq!(store.semaphore("s").await, Ok(view));
    assert_eq!(store.leave("s", "b").await, Ok(true));
    assert_eq!(store.leave("s", "b").await, Ok(false));
    assert_eq!(store.enter("s", &entry("d", 2), NOW).await, Ok(1));
    assert_eq!(store.enter("s", &entry("c", 2), NOW).await, Ok(0));
    let other = store.enter("s", &entry("e", 3), NOW).await;
    assert_eq!(other, Err(SharedError::LimitDiffers { known: 2 }));
    for ticket in ["a", "c", "d"] {
        assert_eq!(store.leave("s", ticket).await, Ok(true));
    }
    assert_eq!(store.semaphore("s").await, Ok(SemaphoreView::default()));
    assert_eq!(
        store.enter("s", &entry("e", 3), NOW).await,
        Ok(0),
        "a free one has no limit"
    );
    assert_eq!(
        store.shared_names(SharedKind::Semaphore, "").await,
        Ok(vec!["s".to_owned()])
    );
}

pub(crate) async fn a_waiter_holds_as_soon_as_a_holder_leaves(harness: impl Harness) {
    let store = harness.store();
    store.enter("s", &entry("0", 1), NOW).await.unwrap();
    let begun = Instant::now();
    for round in 0..20_u32 {
        let (holder, next) = (round.to_string(), entry(&(round + 1).to_string(), 1));
        let (entered, left) = tokio::join!(store.enter("s", &next, LONG), async {
            tokio::task::yield_now().await;
            store.leave("s", &holder).await
        });
        assert_eq!((entered, left), (Ok(0), Ok(true)));
    }
    // Not by looking again once a second.
    assert!(begun.elapsed() < Duration::from_secs(10));
}

pub(crate) async fn a_holder_that_is_not_renewed_loses_its_place(harness: impl Harness) {
    let store = harness.store();
    let dying = Entry {
        ttl: SHORT,
        ..entry("dying", 1)
    };
    store.enter("s", &dying, NOW).await.unwrap();
    assert_eq!(store.enter("s", &entry("next", 1), LONG).await, Ok(0));
    assert_eq!(
        store.enter("s", &dying, NOW).await,
        Ok(1),
        "at the end of the line"
    );
}

pub(crate) async fn a_waiter_that_gives_up_does_not_hold_the_others_up(harness: impl Harness) {
    let store = harness.store();
    store.enter("s", &entry("a", 1), NOW).await.unwrap();
    assert_eq!(store.enter("s", &entry("b", 1), SHORT).await, Ok(1));
    assert_eq!(store.enter("s", &entry("c", 1), NOW).await, Ok(2));
    assert_eq!(store.leave("s", "b").await, Ok(true));
    assert_eq!(store.leave("s", "a").await, Ok(true));
    assert_eq!(store.enter("s", &entry("c", 1), NOW).await, Ok(0));
}

pub(crate) async fn the_line_of_a_semaphore_is_bounded(harness: impl Harness) {
    let store = harness.store();
    let most = LIMITS.shared.tickets;
    for number in 0..most {
        store
            .enter("s", &entry(&number.to_string(), 1), NOW)
            .await
            .unwrap();
    }
    let refused = store.enter("s", &entry("one more", 1), NOW).await;
    assert_eq!(refused, Err(SharedError::TooManyTickets(most)));
    assert_eq!(
        store.enter("s", &entry("1", 1), NOW).await,
        Ok(1),
        "but places are renewed"
    );
}
