//! Leadership: one holder at a time, terms that only rise.

use std::time::Duration;

use millstream_state::{Fence, StateError, StateStore};
use millstream_types::{LeaderId, Term};

use crate::harness::{Harness, LONG, SHORT, eventually};

const ANNA: LeaderId = LeaderId::from_u128(1);
const BERT: LeaderId = LeaderId::from_u128(2);
const NO_TERM: Term = Term(0);

/// Takes the lease, which nobody else holds.
async fn take(store: &dyn StateStore, leader: LeaderId, at_least: Term, ttl: Duration) -> Fence {
    let lease = store.acquire_lease(leader, at_least, ttl).await.unwrap();
    lease.unwrap().fence
}

pub(crate) async fn only_one_candidate_holds_the_lease(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.lease_holder().await, Ok(None));
    let fence = take(store, ANNA, NO_TERM, LONG).await;
    assert_eq!(fence.leader, ANNA);
    assert!(fence.term > NO_TERM);
    assert_eq!(store.acquire_lease(BERT, fence.term, LONG).await, Ok(None));
    assert_eq!(store.lease_holder().await, Ok(Some(fence)));
}

pub(crate) async fn an_expired_lease_goes_to_the_next_candidate_with_a_higher_term(harness: impl Harness) {
    let store = harness.store();
    let first = take(store, ANNA, NO_TERM, SHORT).await;
    eventually("the lease expires", async || {
        store.lease_holder().await == Ok(None)
    })
    .await;
    let second = take(store, BERT, NO_TERM, LONG).await;
    assert!(second.term > first.term);
    let refused = store.renew_lease(&first, LONG).await;
    assert_eq!(
        refused,
        Err(StateError::Fenced {
            ours: first,
            holder: Some(second)
        })
    );
}

pub(crate) async fn terms_rise_above_what_peers_report(harness: impl Harness) {
    let store = harness.store();
    let first = take(store, ANNA, NO_TERM, LONG).await;
    store.release_lease(&first).await.unwrap();
    // Above the store's clock, for longer than the test takes.
    let reported = Term(first.term.0 + 10_000);
    let fence = take(store, ANNA, reported, LONG).await;
    assert_eq!(fence.term, reported.next());
    store.release_lease(&fence).await.unwrap();
    let fence = take(store, BERT, Term(7), LONG).await;
    assert_eq!(fence.term, reported.next().next());
}

pub(crate) async fn a_repeated_acquire_returns_the_same_fence(harness: impl Harness) {
    let store = harness.store();
    let earlier = take(store, BERT, NO_TERM, LONG).await;
    store.release_lease(&earlier).await.unwrap();
    let first = store.acquire_lease(ANNA, NO_TERM, LONG).await.unwrap();
    assert!(first.is_some_and(|lease| lease.before == Some(earlier)));
    // As by a caller whose answer was lost.
    assert_eq!(store.acquire_lease(ANNA, NO_TERM, LONG).await.unwrap(), first);
}

pub(crate) async fn the_holder_takes_a_new_term_when_peers_report_its_own(harness: impl Harness) {
    let store = harness.store();
    let old = take(store, ANNA, NO_TERM, LONG).await;
    let new = take(store, ANNA, old.term, LONG).await;
    assert_eq!(new.leader, ANNA);
    assert!(new.term > old.term);
    let refused = store.commit(&old, &[]).await;
    assert_eq!(
        refused,
        Err(StateError::Fenced {
            ours: old,
            holder: Some(new)
        })
    );
}

pub(crate) async fn renewing_makes_the_lease_last(harness: impl Harness) {
    let store = harness.store();
    let renewed = take(store, ANNA, NO_TERM, SHORT).await;
    store.renew_lease(&renewed, LONG).await.unwrap();
    // Something that was made later and lives as long as the lease would have: once it is gone, the lease is.
    store.put_blob("hourglass", "sand".into(), SHORT).await.unwrap();
    eventually("the first ttl has passed", async || {
        store.get_blob("hourglass").await == Ok(None)
    })
    .await;
    assert_eq!(store.lease_holder().await, Ok(Some(renewed)));
}

pub(crate) async fn a_lost_lease_is_neither_renewed_nor_released(harness: impl Harness) {
    let store = harness.store();
    let lost = take(store, ANNA, NO_TERM, LONG).await;
    store.release_lease(&lost).await.unwrap();
    let refused = store.renew_lease(&lost, LONG).await;
    assert_eq!(
        refused,
        Err(StateError::Fenced {
            ours: lost,
            holder: None
        })
    );
    let held = take(store, BERT, NO_TERM, LONG).await;
    store.release_lease(&lost).await.unwrap();
    assert_eq!(store.lease_holder().await, Ok(Some(held)));
}

pub(crate) async fn a_released_lease_is_free_at_once(harness: impl Harness) {
    let store = harness.store();
    let fence = take(store, ANNA, NO_TERM, LONG).await;
    store.release_lease(&fence).await.unwrap();
    let next = take(store, BERT, NO_TERM, LONG).await;
    assert!(next.term > fence.term);
}

pub(crate) async fn no_term_follows_the_last(harness: impl Harness) {
    let store = harness.store();
    let last = Term(u32::MAX);
    assert_eq!(
        store.acquire_lease(ANNA, last, LONG).await,
        Err(StateError::TermsExhausted(last))
    );
    let fence = take(store, ANNA, Term(5), LONG).await;
    store.release_lease(&fence).await.unwrap();
    let next = take(store, ANNA, NO_TERM, LONG).await;
    assert!(
        next.term.0 - fence.term.0 < 10_000,
        "an absurd report leaves no trace"
    );
}

pub(crate) async fn a_lease_names_who_was_given_the_term_before(harness: impl Harness) {
    let store = harness.store();
    let first = store.acquire_lease(ANNA, NO_TERM, SHORT).await.unwrap().unwrap();
    assert_eq!(first.before, None);
    eventually("the lease expires", async || {
        store.lease_holder().await == Ok(None)
    })
    .await;
    let second = store.acquire_lease(BERT, NO_TERM, LONG).await.unwrap().unwrap();
    assert_eq!(second.before, Some(first.fence));
    store.release_lease(&second.fence).await.unwrap();
    let third = store.acquire_lease(BERT, NO_TERM, LONG).await.unwrap().unwrap();
    assert_eq!(third.before, Some(second.fence));
}

pub(crate) async fn a_store_that_lost_everything_gives_no_term_again(harness: impl Harness) {
    let mut harness = harness.own_server().await;
    let before = take(harness.store(), ANNA, NO_TERM, LONG).await;
    // A clock in seconds has moved on once this is gone.
    let store = harness.store();
    let ttl = Duration::from_secs(2);
    store.put_blob("hourglass", "sand".into(), ttl).await.unwrap();
    eventually("two seconds have passed", async || {
        store.get_blob("hourglass").await == Ok(None)
    })
    .await;
    harness.lose_everything().await;
    let store = harness.store();
    let after = store.acquire_lease(BERT, NO_TERM, LONG).await.unwrap().unwrap();
    assert_eq!(after.before, None, "nobody remembers");
    assert!(after.fence.term > before.term);
}
