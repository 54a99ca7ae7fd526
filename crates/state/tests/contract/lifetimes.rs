//! What expires, when, and what never does.

use std::time::Duration;

use bytes::Bytes;
use millstream_state::{LogRef, StateStore, Table, Write};
use millstream_types::{Attempt, TaskIdx, WorkerId};

use crate::harness::{Harness, LONG, SHORT, commit, eventually, job, lead, put_job};

fn set_meta(n: u128, expire_after: Option<Duration>) -> Write {
    Write::SetMeta {
        job: job(n),
        meta: "new".into(),
        expire_after,
    }
}

async fn is_gone(store: &dyn StateStore, n: u128) -> bool {
    store.load_job(job(n)).await.unwrap().is_none()
}

pub(crate) async fn a_terminal_job_leaves_the_active_ones_and_expires(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1), put_job(2), put_job(3)]).await;
    commit(
        store,
        &fence,
        &[
            set_meta(1, Some(SHORT)),
            Write::ExpireJob {
                job: job(2),
                ttl: SHORT,
            },
        ],
    )
    .await;
    assert_eq!(store.active_jobs().await, Ok(vec![job(3)]));
    eventually("job 1 expires", async || is_gone(store, 1).await).await;
    eventually("job 2 expires", async || is_gone(store, 2).await).await;
    assert!(!is_gone(store, 3).await);
}

pub(crate) async fn a_job_that_lives_again_does_not_expire(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let results = |n| Write::PutResult {
        job: job(n),
        task: TaskIdx(0),
        entry: "there".into(),
    };
    let terminal = |n| set_meta(n, Some(SHORT));
    let all = [put_job(1), results(1), put_job(2), results(2), put_job(3)];
    commit(store, &fence, &all).await;
    commit(store, &fence, &[terminal(1), terminal(2), terminal(3)]).await;
    // Recovering, and submitted again.
    commit(store, &fence, &[set_meta(1, None), put_job(2)]).await;
    eventually("job 3 expires", async || is_gone(store, 3).await).await;
    for n in [1, 2] {
        let stored = store.load_job(job(n)).await.unwrap().unwrap();
        assert_eq!(stored.results.len(), 1, "everything of job {n} is still there");
    }
    let mut active = store.active_jobs().await.unwrap();
    active.sort_unstable();
    assert_eq!(active, [job(1), job(2)]);
}

pub(crate) async fn late_writes_to_an_expiring_job_expire_with_it(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1), set_meta(1, Some(SHORT))]).await;
    let log = LogRef {
        task: TaskIdx(0),
        attempt: Attempt::default(),
    };
    let late = [
        Write::PutLog {
            job: job(1),
            task: log.task,
            attempt: log.attempt,
            log: "late".into(),
        },
        Write::PutResult {
            job: job(1),
            task: TaskIdx(0),
            entry: "late".into(),
        },
        Write::SetPages {
            job: job(1),
            pages: vec![(0, "late".into())],
        },
        Write::AppendEvent {
            job: job(1),
            event: "late".into(),
        },
    ];
    commit(store, &fence, &late).await;
    eventually("job 1 expires", async || is_gone(store, 1).await).await;
    assert_eq!(store.task_log(job(1), log).await, Ok(None));
    assert_eq!(store.result_entry(job(1), TaskIdx(0)).await, Ok(None));
    assert_eq!(store.pages(job(1), 0, 1).await, Ok(Bytes::new()));
    assert!(
        store
            .events(job(1), None, 10, None)
            .await
            .unwrap()
            .events
            .is_empty()
    );
}

pub(crate) async fn expired_jobs_leave_the_list(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let jobs: Vec<Write> = (0..30).map(put_job).collect();
    commit(store, &fence, &jobs).await;
    let expire: Vec<Write> = (5..30)
        .map(|n| Write::ExpireJob {
            job: job(n),
            ttl: SHORT,
        })
        .collect();
    commit(store, &fence, &expire).await;
    eventually("only five are listed", async || {
        store.list_jobs(None, 5).await.unwrap()[0].job == job(4)
    })
    .await;
    let listed = store.list_jobs(None, 3).await.unwrap();
    assert_eq!(
        listed.iter().map(|record| record.job).collect::<Vec<_>>(),
        [job(4), job(3), job(2)]
    );
    let rest = store.list_jobs(Some(listed[2].cursor()), 100).await.unwrap();
    assert_eq!(
        rest.iter().map(|record| record.job).collect::<Vec<_>>(),
        [job(1), job(0)]
    );
}

pub(crate) async fn worker_registrations_lapse(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let worker = |n, ttl| Write::PutWorker {
        worker: WorkerId::from_u128(n),
        info: Bytes::from(format!("worker {n}")),
        ttl,
    };
    commit(
        store,
        &fence,
        &[
            worker(1, LONG),
            worker(2, SHORT),
            worker(3, LONG),
            worker(4, SHORT),
        ],
    )
    .await;
    commit(
        store,
        &fence,
        &[
            worker(4, LONG),
            Write::RemoveWorker {
                worker: WorkerId::from_u128(3),
            },
        ],
    )
    .await;
    let expected = [1, 4].map(|n| (WorkerId::from_u128(n), Bytes::from(format!("worker {n}"))));
    eventually("worker 2 lapses", async || {
        store.workers().await.unwrap() == expected
    })
    .await;
}

pub(crate) async fn client_sessions_lapse_unless_renewed(harness: impl Harness) {
    let store = harness.store();
    store.put_session("kept", "a".into(), SHORT).await.unwrap();
    store.put_session("lapsing", "b".into(), SHORT).await.unwrap();
    store.put_session("ended", "c".into(), LONG).await.unwrap();
    assert_eq!(store.renew_session("kept", LONG).await, Ok(true));
    store.remove_session("ended").await.unwrap();
    let kept = [("kept".to_owned(), Bytes::from("a"))];
    eventually("one session lapses", async || {
        store.sessions().await.unwrap() == kept
    })
    .await;
    assert_eq!(store.renew_session("lapsing", LONG).await, Ok(false));
    assert_eq!(store.session("lapsing").await, Ok(None));
    assert_eq!(store.session("kept").await, Ok(Some(Bytes::from("a"))));
}

pub(crate) async fn records_stay_until_removed(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let put = |table, key: &str, value: &'static str| Write::PutRecord {
        table,
        key: key.to_owned(),
        value: value.into(),
    };
    let writes = [
        put(Table::Datasets, "sales", "old"),
        put(Table::Datasets, "sales", "new"),
        put(Table::Datasets, "flights", "x"),
        put(Table::Uploads, "sales", "elsewhere"),
    ];
    commit(store, &fence, &writes).await;
    let flights = ("flights".to_owned(), Bytes::from("x"));
    let sales = ("sales".to_owned(), Bytes::from("new"));
    assert_eq!(
        store.records(Table::Datasets).await,
        Ok(vec![flights, sales.clone()])
    );
    let remove = Write::RemoveRecord {
        table: Table::Datasets,
        key: "flights".to_owned(),
    };
    commit(store, &fence, &[remove]).await;
    assert_eq!(store.records(Table::Datasets).await, Ok(vec![sales]));
    assert_eq!(
        store.record(Table::Uploads, "sales").await,
        Ok(Some(Bytes::from("elsewhere")))
    );
    assert_eq!(store.record(Table::References, "sales").await, Ok(None));
}
