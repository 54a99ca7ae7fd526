//! Commits: fenced, atomic, in order, counted.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use millstream_state::{PAGE_BYTES, StateError, Table, Write};
use millstream_types::{ByteSize, LeaderId, TaskIdx, Term};

use crate::harness::{Harness, LONG, commit, job, lead, put_job};

pub(crate) async fn a_fenced_commit_writes_nothing(harness: impl Harness) {
    let store = harness.store();
    let old = lead(store).await;
    store.release_lease(&old).await.unwrap();
    let new = store
        .acquire_lease(LeaderId::from_u128(5), Term(0), LONG)
        .await
        .unwrap()
        .unwrap()
        .fence;
    let before = commit(store, &new, &[put_job(1)]).await;
    let refused = store
        .commit(&old, &[put_job(2), Write::DeleteJob { job: job(1) }])
        .await;
    assert_eq!(
        refused,
        Err(StateError::Fenced {
            ours: old,
            holder: Some(new)
        })
    );
    assert_eq!(store.active_jobs().await, Ok(vec![job(1)]));
    assert_eq!(store.load_job(job(2)).await, Ok(None));
    assert_eq!(store.journal().await, Ok(before));
}

pub(crate) async fn a_commit_without_any_lease_is_fenced(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    store.release_lease(&fence).await.unwrap();
    let refused = store.commit(&fence, &[put_job(1)]).await;
    assert_eq!(
        refused,
        Err(StateError::Fenced {
            ours: fence,
            holder: None
        })
    );
    assert_eq!(store.list_jobs(None, 10).await, Ok(vec![]));
}

pub(crate) async fn the_sequence_rises_with_each_commit(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    assert_eq!(store.journal().await.unwrap().seq, 0);
    let first = commit(store, &fence, &[put_job(1)]).await;
    let second = commit(store, &fence, &[put_job(2)]).await;
    assert!(second.seq > first.seq);
    assert_eq!(second.run_id, first.run_id);
    assert_eq!(store.journal().await, Ok(second));
}

pub(crate) async fn an_empty_commit_checks_the_fence(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[]).await;
    store.release_lease(&fence).await.unwrap();
    assert!(matches!(
        store.commit(&fence, &[]).await,
        Err(StateError::Fenced { .. })
    ));
}

pub(crate) async fn writes_of_a_batch_apply_in_order(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let task = TaskIdx(3);
    let entry = |text: &'static str| Write::PutResult {
        job: job(1),
        task,
        entry: text.into(),
    };
    let batch = [
        entry("before the job exists"),
        put_job(1),
        entry("first"),
        Write::RemoveResult { job: job(1), task },
        entry("last"),
        put_job(2),
        Write::DeleteJob { job: job(2) },
        Write::DeleteJob { job: job(3) },
        put_job(3),
    ];
    commit(store, &fence, &batch).await;
    assert_eq!(store.results(job(1)).await, Ok(vec![(task, Bytes::from("last"))]));
    assert_eq!(store.load_job(job(2)).await, Ok(None));
    let listed = store.list_jobs(None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|record| record.job).collect::<Vec<_>>(),
        [job(3), job(1)]
    );
}

pub(crate) async fn a_value_above_its_limit_refuses_the_whole_batch(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let too_long = Bytes::from(vec![0; PAGE_BYTES + 1]);
    let batch = [
        put_job(1),
        Write::SetPages {
            job: job(1),
            pages: vec![(0, too_long)],
        },
    ];
    let refused = store.commit(&fence, &batch).await;
    let limit = ByteSize::of_len(PAGE_BYTES);
    let size = ByteSize::of_len(PAGE_BYTES + 1);
    assert_eq!(
        refused,
        Err(StateError::TooLarge {
            what: "state page",
            size,
            limit
        })
    );
    let far = Write::SetPages {
        job: job(1),
        pages: vec![(u32::MAX, Bytes::from_static(b"x"))],
    };
    assert!(matches!(
        store.commit(&fence, &[put_job(1), far]).await,
        Err(StateError::TooLarge { .. })
    ));
    let key = "k".repeat(1000);
    let long_name = Write::PutRecord {
        table: Table::Datasets,
        key,
        value: Bytes::new(),
    };
    assert!(matches!(
        store.commit(&fence, &[put_job(1), long_name]).await,
        Err(StateError::TooLarge { .. })
    ));
    assert_eq!(store.journal().await.unwrap().seq, 0);
    assert_eq!(store.active_jobs().await, Ok(vec![]));
}

pub(crate) async fn a_batch_of_many_thousand_writes_lands_completely(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    const RESULTS: u32 = 10_000;
    const PAGES: u32 = 9_000;
    let entry = |task| Write::PutResult {
        job: job(1),
        task: TaskIdx(task),
        entry: vec![7; 900].into(),
    };
    // Every second page, so that none can be joined with its neighbour.
    let pages = (0..PAGES)
        .map(|no| (2 * no, Bytes::from(vec![(no % 251) as u8; PAGE_BYTES])))
        .collect();
    let mut batch = vec![put_job(1)];
    batch.extend((0..RESULTS).map(entry));
    batch.push(Write::SetPages { job: job(1), pages });
    batch.push(Write::CancelRequested { job: job(1) });
    commit(store, &fence, &batch).await;
    let stored = store.load_job(job(1)).await.unwrap().unwrap();
    assert_eq!(stored.results.len(), RESULTS as usize);
    assert_eq!(stored.pages.len(), (2 * PAGES as usize - 1) * PAGE_BYTES);
    assert!(stored.record.cancel_requested);
    for no in 0..PAGES as usize {
        let page = &stored.pages[2 * no * PAGE_BYTES..][..PAGE_BYTES];
        assert!(
            page.iter().all(|byte| usize::from(*byte) == no % 251),
            "page {no}"
        );
    }
}

pub(crate) async fn concurrent_commits_all_land(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1)]).await;
    let entry = Arc::new(Bytes::from("entry"));
    let commits = (0..100).map(|task| {
        let entry = Arc::clone(&entry);
        async move {
            let write = Write::PutResult {
                job: job(1),
                task: TaskIdx(task),
                entry: entry.as_ref().clone(),
            };
            store.commit(&fence, &[write]).await
        }
    });
    let mut seqs: Vec<u64> = try_join_all(commits)
        .await
        .unwrap()
        .into_iter()
        .map(|journal| journal.seq)
        .collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 100, "each commit has its own number");
    assert_eq!(store.results(job(1)).await.unwrap().len(), 100);
}
