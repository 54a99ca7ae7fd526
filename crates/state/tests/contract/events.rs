//! The capped event stream of a job.

use std::time::Duration;

use bytes::Bytes;
use millstream_state::{EventId, EventPage, Fence, StateStore, Write};
use tokio::time::{Instant, timeout};

use crate::harness::{Harness, LIMITS, LONG, SHORT, commit, job, lead, put_job};

fn event(n: u128, text: impl Into<Bytes>) -> Write {
    Write::AppendEvent {
        job: job(n),
        event: text.into(),
    }
}

/// A job with events numbered from 0.
async fn with_events(store: &dyn StateStore, count: usize) -> Fence {
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1), put_job(2)]).await;
    let events: Vec<Write> = (0..count).map(|n| event(1, n.to_string())).collect();
    for batch in events.chunks(7) {
        commit(store, &fence, batch).await;
    }
    fence
}

async fn read(store: &dyn StateStore, after: Option<EventId>, limit: usize) -> EventPage {
    store.events(job(1), after, limit, None).await.unwrap()
}

fn numbers(page: &EventPage) -> Vec<usize> {
    page.events
        .iter()
        .map(|(_, text)| std::str::from_utf8(text).unwrap().parse().unwrap())
        .collect()
}

pub(crate) async fn events_are_read_in_order_and_resumed_by_id(harness: impl Harness) {
    let store = harness.store();
    with_events(store, 40).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = read(store, after, 9).await;
        assert!(!page.gap);
        let Some((last, _)) = page.events.last() else {
            break;
        };
        after = Some(last.to_string().parse().unwrap());
        seen.extend(numbers(&page));
    }
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

pub(crate) async fn dropped_events_are_told_as_a_gap(harness: impl Harness) {
    let store = harness.store();
    let fence = with_events(store, 10).await;
    let old = read(store, None, 1).await.events[0].0;
    assert!(!read(store, Some(old), 100).await.gap);
    let many: Vec<Write> = (10..1000).map(|n| event(1, n.to_string())).collect();
    commit(store, &fence, &many).await;

    let page = read(store, Some(old), 10_000).await;
    assert!(page.gap);
    let kept = numbers(&page);
    assert!(kept.len() >= LIMITS.events, "{}", kept.len());
    assert!(kept.len() <= LIMITS.events + 100, "{}", kept.len());
    assert_eq!(
        kept,
        (1000 - kept.len()..1000).collect::<Vec<_>>(),
        "the newest are kept"
    );
    assert!(read(store, None, 10).await.gap, "the beginning is missing");
    let recent = page.events[page.events.len() - 3].0;
    let page = read(store, Some(recent), 10).await;
    assert_eq!((numbers(&page), page.gap), (vec![998, 999], false));
}

pub(crate) async fn a_waiting_reader_wakes_at_the_next_event(harness: impl Harness) {
    let store = harness.store();
    let fence = with_events(store, 1).await;
    let after = read(store, None, 1).await.events[0].0;
    for round in 0..20_usize {
        let reading = store.events(job(1), Some(after), 100, Some(LONG));
        let writing = async {
            // The reader polls first: it is waiting by the time of this commit, or about to.
            tokio::task::yield_now().await;
            commit(store, &fence, &[event(1, round.to_string())]).await;
        };
        let (page, ()) = tokio::join!(reading, writing);
        let page = page.unwrap();
        assert!(!page.events.is_empty());
        if round == 0 {
            assert_eq!(numbers(&page), [0]);
        }
    }
    let last = read(store, None, 100).await.events.last().unwrap().0;
    let begun = Instant::now();
    let reading = store.events(job(1), Some(last), 100, Some(LONG));
    let writing = async {
        while begun.elapsed() < SHORT {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        commit(store, &fence, &[event(1, "77")]).await;
        Instant::now()
    };
    let (page, written) = tokio::join!(reading, writing);
    assert_eq!(numbers(&page.unwrap()), [77]);
    assert!(
        written.elapsed() < Duration::from_millis(900),
        "woken, not polled: {:?}",
        written.elapsed()
    );
}

pub(crate) async fn a_waiting_reader_gives_up_in_time(harness: impl Harness) {
    let store = harness.store();
    with_events(store, 1).await;
    let after = read(store, None, 1).await.events[0].0;
    let begun = Instant::now();
    let page = store.events(job(1), Some(after), 100, Some(SHORT)).await.unwrap();
    assert_eq!(page, EventPage::default());
    assert!(begun.elapsed() >= SHORT);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

pub(crate) async fn readers_of_other_jobs_are_not_served(harness: impl Harness) {
    let store = harness.store();
    let fence = with_events(store, 0).await;
    let reading = timeout(SHORT, store.events(job(2), None, 10, Some(LONG)));
    let writes = [event(1, "0")];
    let writing = commit(store, &fence, &writes);
    let (outcome, _) = tokio::join!(reading, writing);
    assert!(outcome.is_err(), "an event of job 1 is none of job 2");
    assert_eq!(numbers(&read(store, None, 10).await), [0]);
}

pub(crate) async fn a_reader_that_resumes_a_deleted_job_learns_of_the_gap(harness: impl Harness) {
    let store = harness.store();
    let fence = with_events(store, 3).await;
    let after = read(store, None, 10).await.events[2].0;
    let reading = store.events(job(1), Some(after), 10, Some(LONG));
    let writes = [Write::DeleteJob { job: job(1) }];
    let deleting = commit(store, &fence, &writes);
    let (page, _) = tokio::join!(reading, deleting);
    assert_eq!(
        page,
        Ok(EventPage {
            events: vec![],
            gap: true
        })
    );
}
