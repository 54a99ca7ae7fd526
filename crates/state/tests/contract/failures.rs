//! What callers see when the store goes away, comes back, or comes back with less.

use std::time::Duration;

use bytes::Bytes;
use millstream_state::{StateError, Write};
use millstream_types::{LeaderId, Term};
use tokio::time::{Instant, timeout};

use crate::harness::{Harness, LONG, commit, eventually, job, lead, put_job};

pub(crate) async fn calls_fail_fast_while_the_store_is_down_and_work_again_after(harness: impl Harness) {
    let mut harness = harness.own_server().await;
    let fence = lead(harness.store()).await;
    commit(harness.store(), &fence, &[put_job(1)]).await;
    harness.take_down().await;

    let store = harness.store();
    let begun = Instant::now();
    let failures = [
        store.commit(&fence, &[put_job(2)]).await.unwrap_err(),
        store.renew_lease(&fence, LONG).await.unwrap_err(),
        store.load_job(job(1)).await.unwrap_err(),
        store.put_blob("key", "data".into(), LONG).await.unwrap_err(),
        store.events(job(1), None, 10, Some(LONG)).await.unwrap_err(),
        store.ping().await.unwrap_err(),
    ];
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for failure in failures {
        assert!(matches!(failure, StateError::Unreachable { .. }), "{failure}");
        assert!(failure.is_retryable());
    }

    harness.bring_up().await;
    let store = harness.store();
    eventually("the store answers", async || store.ping().await.is_ok()).await;
    commit(store, &fence, &[put_job(3)]).await;
    store.renew_lease(&fence, LONG).await.unwrap();
    let listed = store.list_jobs(None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|record| record.job).collect::<Vec<_>>(),
        [job(3), job(1)]
    );
}

pub(crate) async fn a_restart_keeps_data_and_changes_the_run_id(harness: impl Harness) {
    let mut harness = harness.own_server().await;
    let fence = lead(harness.store()).await;
    let before = commit(harness.store(), &fence, &[put_job(1)]).await;
    harness.take_down().await;
    harness.bring_up().await;
    // No call was made meanwhile: the broken connections are noticed and replaced within these calls.
    let store = harness.store();
    let after = commit(store, &fence, &[put_job(2)]).await;
    assert_eq!(after.seq, before.seq + 1, "each commit counts once");
    assert_ne!(after.run_id, before.run_id);
    assert_eq!(store.list_jobs(None, 10).await.unwrap().len(), 2);
    assert_eq!(store.lease_holder().await, Ok(Some(fence)));
}

pub(crate) async fn a_store_that_lost_its_data_shows_a_lower_sequence(harness: impl Harness) {
    let mut harness = harness.own_server().await;
    let fence = lead(harness.store()).await;
    for n in 0..5 {
        commit(harness.store(), &fence, &[put_job(n)]).await;
    }
    let before = harness.store().journal().await.unwrap();
    harness.lose_everything().await;

    let store = harness.store();
    let refused = store.commit(&fence, &[put_job(9)]).await;
    assert_eq!(
        refused,
        Err(StateError::Fenced {
            ours: fence,
            holder: None
        })
    );
    let leader = LeaderId::from_u128(78);
    let again = store
        .acquire_lease(leader, fence.term, LONG)
        .await
        .unwrap()
        .unwrap()
        .fence;
    assert!(again.term > fence.term, "terms rise although the counter is lost");
    let after = commit(store, &again, &[put_job(0)]).await;
    assert!(after.seq < before.seq);
    assert_ne!(after.run_id, before.run_id);
    assert_eq!(store.active_jobs().await, Ok(vec![job(0)]));
    assert!(again.term > Term(0));
}

pub(crate) async fn a_waiting_reader_survives_a_restart(harness: impl Harness) {
    let mut harness = harness.own_server().await;
    let fence = lead(harness.store()).await;
    let event = |text: &'static str| Write::AppendEvent {
        job: job(1),
        event: text.into(),
    };
    commit(harness.store(), &fence, &[put_job(1), event("before")]).await;
    let first = harness
        .store()
        .events(job(1), None, 1, Some(LONG))
        .await
        .unwrap()
        .events[0]
        .0;
    harness.take_down().await;
    harness.bring_up().await;
    let store = harness.store();
    let reading = timeout(
        Duration::from_secs(10),
        store.events(job(1), Some(first), 10, Some(LONG)),
    );
    let writes = [event("after")];
    let writing = commit(store, &fence, &writes);
    let (page, _) = tokio::join!(reading, writing);
    let page = page.expect("the reader is woken").unwrap();
    let texts: Vec<_> = page.events.into_iter().map(|(_, text)| text).collect();
    assert_eq!((texts, page.gap), (vec![Bytes::from("after")], false));
}
