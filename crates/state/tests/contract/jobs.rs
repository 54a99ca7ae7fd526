//! What is kept of a job, and how it is listed.

use bytes::Bytes;
use millstream_state::{LogRef, StateStore, StoredJob, Write};
use millstream_types::{Attempt, TaskIdx, Term};

use crate::harness::{Harness, LIMITS, commit, job, lead, put_job};

fn extension(task: u32, fragment: &'static str) -> Write {
    Write::PutExtension {
        job: job(1),
        task: TaskIdx(task),
        fragment: fragment.into(),
    }
}

fn error(task: u32, text: &'static str) -> Write {
    Write::PutError {
        job: job(1),
        task: TaskIdx(task),
        error: text.into(),
    }
}

fn result(task: u32, text: &'static str) -> Write {
    Write::PutResult {
        job: job(1),
        task: TaskIdx(task),
        entry: text.into(),
    }
}

fn log_ref(task: u32) -> LogRef {
    LogRef {
        task: TaskIdx(task),
        attempt: Attempt::new(Term(2), 1),
    }
}

fn log(task: u32, text: impl Into<Bytes>) -> Write {
    let LogRef { task, attempt } = log_ref(task);
    Write::PutLog {
        job: job(1),
        task,
        attempt,
        log: text.into(),
    }
}

fn page(no: u32, byte: u8) -> Write {
    Write::SetPages {
        job: job(1),
        pages: vec![(no, vec![byte; 3].into())],
    }
}

async fn load(store: &dyn StateStore) -> StoredJob {
    store.load_job(job(1)).await.unwrap().unwrap()
}

pub(crate) async fn a_stored_job_loads_as_it_was_put(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let graph = Bytes::from((0..3_000_000_u32).map(|n| (n / 1000) as u8).collect::<Vec<_>>());
    let put = Write::PutJob {
        job: job(1),
        meta: Bytes::from_static(&[0, 255, 13, 10]),
        graph: graph.clone(),
        created_ms: 1_763_800_000_123,
    };
    let writes = [
        put,
        extension(4, "more"),
        error(5, "oops"),
        result(6, "there"),
        page(0, 9),
    ];
    commit(store, &fence, &writes).await;
    let stored = load(store).await;
    assert_eq!(stored.graph, graph);
    assert_eq!(stored.record.meta, Bytes::from_static(&[0, 255, 13, 10]));
    assert_eq!(stored.record.created_ms, 1_763_800_000_123);
    assert!(!stored.record.cancel_requested);
    assert_eq!(stored.extensions, [(TaskIdx(4), Bytes::from("more"))]);
    assert_eq!(stored.errors, [(TaskIdx(5), Bytes::from("oops"))]);
    assert_eq!(stored.results, [(TaskIdx(6), Bytes::from("there"))]);
    assert_eq!(stored.pages, Bytes::from_static(&[9, 9, 9]));
    assert_eq!(store.job_record(job(1)).await, Ok(Some(stored.record)));
}

pub(crate) async fn an_unknown_job_is_none(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.load_job(job(9)).await, Ok(None));
    assert_eq!(store.job_record(job(9)).await, Ok(None));
    assert_eq!(store.result_entry(job(9), TaskIdx(0)).await, Ok(None));
    assert_eq!(store.task_error(job(9), TaskIdx(0)).await, Ok(None));
    assert_eq!(store.task_log(job(9), log_ref(0)).await, Ok(None));
    assert_eq!(store.results(job(9)).await, Ok(vec![]));
    assert_eq!(store.task_errors(job(9)).await, Ok(vec![]));
    assert_eq!(store.logs(job(9)).await, Ok(vec![]));
    assert_eq!(store.pages(job(9), 0, 10).await, Ok(Bytes::new()));
}

pub(crate) async fn putting_a_job_again_keeps_what_else_it_has(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1), extension(4, "more"), page(0, 9)]).await;
    let again = Write::PutJob {
        job: job(1),
        meta: "new".into(),
        graph: "bigger".into(),
        created_ms: 1000,
    };
    commit(store, &fence, &[again]).await;
    let stored = load(store).await;
    assert_eq!(
        (stored.record.meta, stored.graph),
        (Bytes::from("new"), Bytes::from("bigger"))
    );
    assert_eq!(stored.extensions.len(), 1);
    assert_eq!(stored.pages.len(), 3);
    let listed = store.list_jobs(None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|record| record.created_ms).collect::<Vec<_>>(),
        [1000]
    );
}

pub(crate) async fn the_first_extension_of_a_task_wins(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(
        store,
        &fence,
        &[put_job(1), extension(4, "first"), extension(4, "same batch")],
    )
    .await;
    commit(store, &fence, &[extension(4, "later attempt")]).await;
    assert_eq!(load(store).await.extensions, [(TaskIdx(4), Bytes::from("first"))]);
}

pub(crate) async fn extensions_keep_the_order_of_their_commits(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1)]).await;
    let order: Vec<u32> = (0..300).map(|n| (n * 7919) % 300).collect();
    for chunk in order.chunks(50) {
        let writes: Vec<Write> = chunk.iter().map(|task| extension(*task, "fragment")).collect();
        commit(store, &fence, &writes).await;
    }
    let stored: Vec<u32> = load(store)
        .await
        .extensions
        .iter()
        .map(|(task, _)| task.0)
        .collect();
    assert_eq!(stored, order);
}

pub(crate) async fn errors_are_replaced_removed_and_capped(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let mut writes = vec![put_job(1)];
    writes.extend((10..20).map(|task| error(task, "first")));
    commit(store, &fence, &writes).await;
    commit(store, &fence, &[error(11, "second")]).await;
    let kept = store.task_errors(job(1)).await.unwrap();
    assert_eq!(kept.len(), LIMITS.errors);
    assert_eq!(kept[1], (TaskIdx(11), Bytes::from("second")));
    commit(
        store,
        &fence,
        &[
            Write::RemoveError {
                job: job(1),
                task: TaskIdx(11),
            },
            error(50, "room"),
        ],
    )
    .await;
    assert_eq!(store.task_error(job(1), TaskIdx(11)).await, Ok(None));
    assert_eq!(
        store.task_error(job(1), TaskIdx(50)).await,
        Ok(Some(Bytes::from("room")))
    );
}

pub(crate) async fn results_are_replaced_and_removed(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(
        store,
        &fence,
        &[put_job(1), result(200, "a"), result(3, "b"), result(3, "c")],
    )
    .await;
    let expected = vec![(TaskIdx(3), Bytes::from("c")), (TaskIdx(200), Bytes::from("a"))];
    assert_eq!(store.results(job(1)).await, Ok(expected));
    commit(
        store,
        &fence,
        &[Write::RemoveResult {
            job: job(1),
            task: TaskIdx(3),
        }],
    )
    .await;
    assert_eq!(store.result_entry(job(1), TaskIdx(3)).await, Ok(None));
    assert_eq!(
        store.result_entry(job(1), TaskIdx(200)).await,
        Ok(Some(Bytes::from("a")))
    );
}

pub(crate) async fn logs_are_capped_by_count_and_by_bytes(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(store, &fence, &[put_job(1)]).await;
    for task in 0..6 {
        commit(store, &fence, &[log(task, "a line")]).await;
    }
    assert_eq!(
        store.logs(job(1)).await.unwrap(),
        [2, 3, 4, 5].map(log_ref),
        "the oldest made room"
    );
    assert_eq!(store.task_log(job(1), log_ref(1)).await, Ok(None));

    commit(store, &fence, &[log(3, vec![b'x'; 900])]).await;
    assert_eq!(
        store.logs(job(1)).await.unwrap(),
        [2, 3, 4, 5].map(log_ref),
        "replacing keeps the order"
    );
    commit(store, &fence, &[log(6, vec![b'y'; 600])]).await;
    assert_eq!(store.logs(job(1)).await.unwrap(), [4, 5, 6].map(log_ref));
    assert_eq!(
        store.task_log(job(1), log_ref(6)).await.unwrap().unwrap().len(),
        600
    );

    commit(store, &fence, &[log(7, vec![b'z'; 5000])]).await;
    assert_eq!(
        store.logs(job(1)).await,
        Ok(vec![]),
        "one log above the bound is not kept"
    );
    commit(store, &fence, &[log(8, "fits again")]).await;
    assert_eq!(store.logs(job(1)).await.unwrap(), [8].map(log_ref));
}

pub(crate) async fn a_deleted_job_is_gone_everywhere(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let event = Write::AppendEvent {
        job: job(1),
        event: "began".into(),
    };
    let all = [
        put_job(1),
        put_job(2),
        extension(4, "x"),
        error(5, "x"),
        result(6, "x"),
        log(7, "x"),
        event,
    ];
    commit(store, &fence, &all).await;
    commit(store, &fence, &[Write::DeleteJob { job: job(1) }]).await;
    assert_eq!(store.load_job(job(1)).await, Ok(None));
    assert_eq!(store.active_jobs().await, Ok(vec![job(2)]));
    assert_eq!(store.list_jobs(None, 10).await.unwrap().len(), 1);
    assert_eq!(store.task_log(job(1), log_ref(7)).await, Ok(None));
    assert!(
        store
            .events(job(1), None, 10, None)
            .await
            .unwrap()
            .events
            .is_empty()
    );
    commit(store, &fence, &[put_job(1)]).await;
    assert_eq!(load(store).await.extensions, [], "a job put again starts empty");
}

pub(crate) async fn writes_to_a_job_that_is_not_stored_do_nothing(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    let meta = Write::SetMeta {
        job: job(1),
        meta: "ghost".into(),
        expire_after: None,
    };
    let cancel = Write::CancelRequested { job: job(1) };
    let event = Write::AppendEvent {
        job: job(1),
        event: "ghost".into(),
    };
    let all = [
        meta,
        cancel,
        extension(4, "x"),
        error(5, "x"),
        result(6, "x"),
        log(7, "x"),
        page(0, 1),
        event,
    ];
    commit(store, &fence, &all).await;
    assert_eq!(store.load_job(job(1)).await, Ok(None));
    assert_eq!(store.active_jobs().await, Ok(vec![]));
    assert_eq!(store.results(job(1)).await, Ok(vec![]));
    assert_eq!(store.pages(job(1), 0, 1).await, Ok(Bytes::new()));
    assert_eq!(store.logs(job(1)).await, Ok(vec![]));
    assert!(
        store
            .events(job(1), None, 10, None)
            .await
            .unwrap()
            .events
            .is_empty()
    );
}

pub(crate) async fn jobs_are_listed_newest_first_in_pages(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    // Ten jobs in each of five milliseconds, put in an order of their own.
    let all: Vec<(u64, u128)> = (0..50_u128).map(|n| ((n % 5) as u64 * 1000, n)).collect();
    let put = |(created_ms, n): &(u64, u128)| Write::PutJob {
        job: job(*n),
        meta: "meta".into(),
        graph: "graph".into(),
        created_ms: *created_ms,
    };
    commit(store, &fence, &all.iter().map(put).collect::<Vec<_>>()).await;
    let mut expected = all;
    expected.sort_unstable();
    expected.reverse();

    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.list_jobs(cursor, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(last.cursor());
        seen.extend(
            page.iter()
                .map(|record| (record.created_ms, record.job.as_u128())),
        );
    }
    assert_eq!(seen, expected);
    assert_eq!(store.list_jobs(None, 0).await, Ok(vec![]));
}

pub(crate) async fn a_cancel_is_remembered(harness: impl Harness) {
    let store = harness.store();
    let fence = lead(store).await;
    commit(
        store,
        &fence,
        &[put_job(1), Write::CancelRequested { job: job(1) }],
    )
    .await;
    let meta = Write::SetMeta {
        job: job(1),
        meta: "cancelling".into(),
        expire_after: None,
    };
    commit(store, &fence, &[meta]).await;
    let record = store.job_record(job(1)).await.unwrap().unwrap();
    assert!(record.cancel_requested);
    assert_eq!(record.meta, Bytes::from("cancelling"));
}
