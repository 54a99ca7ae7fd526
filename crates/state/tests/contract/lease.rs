//! Leadership: one holder at a time, terms that only rise.

use millstream_state::{Fence, StateError};
use millstream_types::{LeaderId, Term};

use crate::harness::{Harness, LONG, SHORT, eventually};

const ANNA: LeaderId = LeaderId::from_u128(1);
const BERT: LeaderId = LeaderId::from_u128(2);
const NO_TERM: Term = Term(0);

pub(crate) async fn only_one_candidate_holds_the_lease(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.lease_holder().await, Ok(None));
    let fence = store.acquire_lease(ANNA, NO_TERM, LONG).await.unwrap();
    assert_eq!(
        fence,
        Some(Fence {
            term: Term(1),
            leader: ANNA
        })
    );
    assert_eq!(store.acquire_lease(BERT, Term(9), LONG).await, Ok(None));
    assert_eq!(store.lease_holder().await, Ok(fence));
}

pub(crate) async fn an_expired_lease_goes_to_the_next_candidate_with_a_higher_term(harness: impl Harness) {
    let store = harness.store();
    let first = store.acquire_lease(ANNA, NO_TERM, SHORT).await.unwrap().unwrap();
    eventually("the lease expires", async || {
        store.lease_holder().await == Ok(None)
    })
    .await;
    let second = store.acquire_lease(BERT, NO_TERM, LONG).await.unwrap().unwrap();
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
    let fence = store.acquire_lease(ANNA, Term(41), LONG).await.unwrap().unwrap();
    assert_eq!(fence.term, Term(42));
    store.release_lease(&fence).await.unwrap();
    let fence = store.acquire_lease(BERT, Term(7), LONG).await.unwrap().unwrap();
    assert_eq!(fence.term, Term(43));
}

pub(crate) async fn a_repeated_acquire_returns_the_same_fence(harness: impl Harness) {
    let store = harness.store();
    let fence = store.acquire_lease(ANNA, NO_TERM, SHORT).await.unwrap();
    assert_eq!(store.acquire_lease(ANNA, NO_TERM, LONG).await.unwrap(), fence);
}

pub(crate) async fn the_holder_takes_a_new_term_when_peers_report_its_own(harness: impl Harness) {
    let store = harness.store();
    let old = store.acquire_lease(ANNA, NO_TERM, LONG).await.unwrap().unwrap();
    let new = store.acquire_lease(ANNA, old.term, LONG).await.unwrap().unwrap();
    assert_eq!(
        new,
        Fence {
            term: old.term.next(),
            leader: ANNA
        }
    );
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
    let renewed = store.acquire_lease(ANNA, NO_TERM, SHORT).await.unwrap().unwrap();
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
    let lost = store.acquire_lease(ANNA, NO_TERM, LONG).await.unwrap().unwrap();
    store.release_lease(&lost).await.unwrap();
    let refused = store.renew_lease(&lost, LONG).await;
    assert_eq!(
        refused,
        Err(StateError::Fenced {
            ours: lost,
            holder: None
        })
    );
    let held = store.acquire_lease(BERT, NO_TERM, LONG).await.unwrap();
    store.release_lease(&lost).await.unwrap();
    assert_eq!(store.lease_holder().await, Ok(held));
}

pub(crate) async fn a_released_lease_is_free_at_once(harness: impl Harness) {
    let store = harness.store();
    let fence = store.acquire_lease(ANNA, NO_TERM, LONG).await.unwrap().unwrap();
    store.release_lease(&fence).await.unwrap();
    let next = store.acquire_lease(BERT, NO_TERM, LONG).await.unwrap().unwrap();
    assert_eq!(next.term, Term(2));
}

pub(crate) async fn no_term_follows_the_last(harness: impl Harness) {
    let store = harness.store();
    let last = Term(u32::MAX);
    assert_eq!(
        store.acquire_lease(ANNA, last, LONG).await,
        Err(StateError::TermsExhausted(last))
    );
    let fence = store.acquire_lease(ANNA, Term(5), LONG).await.unwrap().unwrap();
    assert_eq!(fence.term, Term(6), "an absurd report leaves no trace");
}
