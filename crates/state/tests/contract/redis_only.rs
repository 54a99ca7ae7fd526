//! What only a real server can show: crashes, freezes, refusals, and which keys are left.

use std::time::Duration;

use bytes::Bytes;
use millstream_state::{RedisState, StateError, StateStore, Write};
use millstream_testkit::RedisServer;
use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use crate::harness::{LONG, SHORT, commit, eventually, job, lead, put_job, redis_settings, redis_store};

async fn raw(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn key_names(connection: &mut MultiplexedConnection) -> Vec<String> {
    let mut names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(connection).await.unwrap();
    names.sort_unstable();
    names
}

fn every_part_of_a_job(n: u128) -> Vec<Write> {
    use millstream_types::{Attempt, TaskIdx};
    let (job, task) = (job(n), TaskIdx(0));
    vec![
        put_job(n),
        Write::PutExtension {
            job,
            task,
            fragment: "x".into(),
        },
        Write::SetPages {
            job,
            pages: vec![(0, "x".into())],
        },
        Write::PutError {
            job,
            task,
            error: "x".into(),
        },
        Write::PutResult {
            job,
            task,
            entry: "x".into(),
        },
        Write::PutLog {
            job,
            task,
            attempt: Attempt::default(),
            log: "x".into(),
        },
        Write::AppendEvent {
            job,
            event: "x".into(),
        },
    ]
}

#[tokio::test]
async fn a_killed_server_that_wrote_its_log_loses_nothing() {
    let mut server = RedisServer::start().await.unwrap();
    let store = redis_store(&server.url());
    let fence = lead(&store).await;
    let before = commit(&store, &fence, &every_part_of_a_job(1)).await;
    let stored = store.load_job(job(1)).await.unwrap();
    let mut connection = raw(&server).await;
    eventually("the append-only file is written", async || {
        let info: String = redis::cmd("INFO")
            .arg("persistence")
            .query_async(&mut connection)
            .await
            .unwrap();
        info.contains("aof_buffer_length:0") && info.contains("aof_pending_bio_fsync:0")
    })
    .await;
    server.kill().unwrap();
    assert!(matches!(store.ping().await, Err(StateError::Unreachable { .. })));
    server.restart().await.unwrap();
    eventually("the store answers", async || store.ping().await.is_ok()).await;
    assert_eq!(store.load_job(job(1)).await.unwrap(), stored);
    let after = commit(&store, &fence, &[]).await;
    assert_eq!(after.seq, before.seq + 1);
    assert_ne!(after.run_id, before.run_id);
}

#[tokio::test]
async fn a_commit_that_was_given_up_is_never_applied_after_a_later_one() {
    let server = RedisServer::start().await.unwrap();
    let mut settings = redis_settings(&server.url());
    settings.connect_timeout = Duration::from_secs(1);
    settings.command_timeout = Duration::from_millis(500);
    let store = RedisState::connect(&settings).unwrap();
    let fence = lead(&store).await;
    let mark = |text: &'static str| Write::SetPages {
        job: job(1),
        pages: vec![(0, text.into())],
    };
    commit(&store, &fence, &[put_job(1), mark("first")]).await;

    server.freeze().unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        let given_up = store.commit(&fence, &[mark("stale")]).await;
        assert!(
            matches!(given_up, Err(StateError::Unreachable { .. })),
            "{given_up:?}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.thaw().unwrap();

    eventually("the store commits", async || {
        store.commit(&fence, &[mark("final")]).await.is_ok()
    })
    .await;
    let last = store.journal().await.unwrap();
    assert_eq!(store.pages(job(1), 0, 1).await, Ok(Bytes::from("final")));
    // Later commits of a fresh connection come after whatever the server still had buffered.
    for _ in 0..20 {
        commit(&store, &fence, &[]).await;
    }
    assert_eq!(store.pages(job(1), 0, 1).await, Ok(Bytes::from("final")));
    assert!(store.journal().await.unwrap().seq >= last.seq + 20);
}

#[tokio::test]
async fn nothing_of_an_expired_or_deleted_job_is_left() {
    let server = RedisServer::start().await.unwrap();
    let store = redis_store(&server.url());
    let fence = lead(&store).await;
    let mut connection = raw(&server).await;
    let empty = key_names(&mut connection).await;
    for n in 1..=2 {
        commit(&store, &fence, &every_part_of_a_job(n)).await;
    }
    assert_eq!(
        key_names(&mut connection).await.len(),
        empty.len() + 3 + 2 * 9,
        "nine keys per job"
    );
    commit(&store, &fence, &[Write::DeleteJob { job: job(1) }]).await;
    commit(
        &store,
        &fence,
        &[Write::ExpireJob {
            job: job(2),
            ttl: SHORT,
        }],
    )
    .await;
    eventually("job 2 expires", async || store.load_job(job(2)).await == Ok(None)).await;
    // The next change of a job's life trims the list.
    commit(&store, &fence, &[put_job(3)]).await;
    commit(&store, &fence, &[Write::DeleteJob { job: job(3) }]).await;
    let left = key_names(&mut connection).await;
    let own = |name: &&String| {
        ![":lease", ":term", ":last_lease"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let left: Vec<_> = left.iter().filter(own).collect();
    assert_eq!(left.len(), 1, "only the sequence is left: {left:?}");
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_never_shown() {
    let server = RedisServer::start_with(&[("requirepass", "correct-horse")])
        .await
        .unwrap();
    redis_store(&server.url()).ping().await.unwrap();
    let wrong = format!("redis://:battery-staple@127.0.0.1:{}/0", server.port());
    for url in [wrong, format!("redis://127.0.0.1:{}/0", server.port())] {
        let store = redis_store(&url);
        let error = store.ping().await.unwrap_err();
        assert!(matches!(error, StateError::Denied { .. }), "{error:?}");
        assert!(!error.is_retryable());
        assert!(error.to_string().contains(&server.port().to_string()), "{error}");
        assert!(!format!("{error:?} {error} {store:?}").contains("battery-staple"));
    }
}

#[tokio::test]
async fn the_database_of_the_url_is_used() {
    let server = RedisServer::start().await.unwrap();
    let url = format!("redis://127.0.0.1:{}/3", server.port());
    let store = redis_store(&url);
    store.put_blob("key", "data".into(), LONG).await.unwrap();
    let mut connection = raw(&server).await;
    assert!(
        key_names(&mut connection).await.is_empty(),
        "database 0 stays empty"
    );
    assert_eq!(store.get_blob("key").await, Ok(Some(Bytes::from("data"))));
}

async fn limit_memory(connection: &mut MultiplexedConnection, bytes: u64) {
    let mut limit = redis::cmd("CONFIG");
    let () = limit
        .arg("SET")
        .arg("maxmemory")
        .arg(bytes)
        .query_async(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_server_refuses_commits_as_a_whole_but_not_deletions() {
    let server = RedisServer::start().await.unwrap();
    let store = redis_store(&server.url());
    let fence = lead(&store).await;
    commit(&store, &fence, &[put_job(1), put_job(2)]).await;
    let mut connection = raw(&server).await;
    limit_memory(&mut connection, 1).await;
    let cancel = Write::CancelRequested { job: job(1) };
    let refused = store.commit(&fence, &[cancel, put_job(3)]).await.unwrap_err();
    assert!(matches!(refused, StateError::OutOfMemory { .. }), "{refused:?}");
    assert!(
        !store.job_record(job(1)).await.unwrap().unwrap().cancel_requested,
        "nothing was written"
    );
    store.renew_lease(&fence, LONG).await.unwrap();
    commit(&store, &fence, &[Write::DeleteJob { job: job(2) }]).await;
    assert_eq!(store.active_jobs().await, Ok(vec![job(1)]));
    limit_memory(&mut connection, 0).await;
    commit(&store, &fence, &[put_job(3)]).await;
}

#[tokio::test]
async fn a_replica_is_read_only() {
    let server = RedisServer::start().await.unwrap();
    let store = redis_store(&server.url());
    let fence = lead(&store).await;
    let mut connection = raw(&server).await;
    let mut become_replica = redis::cmd("REPLICAOF");
    let () = become_replica
        .arg("127.0.0.1")
        .arg(1)
        .query_async(&mut connection)
        .await
        .unwrap();
    let refused = store.commit(&fence, &[put_job(1)]).await.unwrap_err();
    assert!(matches!(refused, StateError::ReadOnly { .. }), "{refused:?}");
    assert!(refused.is_retryable());
}

#[tokio::test]
async fn the_store_opens_before_its_server_is_up() {
    let mut server = RedisServer::start().await.unwrap();
    server.stop().await.unwrap();
    let store = redis_store(&server.url());
    assert!(matches!(store.ping().await, Err(StateError::Unreachable { .. })));
    server.restart().await.unwrap();
    eventually("the store answers", async || store.ping().await.is_ok()).await;
}

#[tokio::test]
async fn scripts_are_loaded_again_when_the_server_forgets_them() {
    let server = RedisServer::start().await.unwrap();
    let store = redis_store(&server.url());
    let fence = lead(&store).await;
    let before = commit(&store, &fence, &[put_job(1)]).await;
    let mut connection = raw(&server).await;
    let () = redis::cmd("SCRIPT")
        .arg("FLUSH")
        .query_async(&mut connection)
        .await
        .unwrap();
    let after = commit(&store, &fence, &[put_job(2)]).await;
    assert_eq!(after.seq, before.seq + 1);
}

#[tokio::test]
async fn a_term_that_was_counted_without_a_name_has_no_holder() {
    let server = RedisServer::start().await.unwrap();
    let settings = redis_settings(&server.url());
    let store = RedisState::connect(&settings).unwrap();
    let fence = lead(&store).await;
    store.release_lease(&fence).await.unwrap();
    let counted = fence.term.0 + 5;
    let () = redis::cmd("SET")
        .arg(format!("{}:term", settings.cluster))
        .arg(counted)
        .query_async(&mut raw(&server).await)
        .await
        .unwrap();
    let lease = store.acquire_lease(fence.leader, fence.term, LONG).await;
    let lease = lease.unwrap().unwrap();
    assert_eq!(lease.before, None, "the name is of an earlier term");
    assert!(lease.fence.term.0 > counted);
}

#[tokio::test]
async fn foreign_content_is_reported_as_corrupt_with_its_key() {
    let server = RedisServer::start().await.unwrap();
    let settings = redis_settings(&server.url());
    let store = RedisState::connect(&settings).unwrap();
    let fence = lead(&store).await;
    commit(&store, &fence, &[put_job(1)]).await;
    let mut connection = raw(&server).await;
    let graph = format!("{}:job:{}:graph", settings.cluster, job(1));
    let () = redis::cmd("SET")
        .arg(&graph)
        .arg("junk")
        .query_async(&mut connection)
        .await
        .unwrap();
    let refused = store.load_job(job(1)).await.unwrap_err();
    assert!(
        matches!(&refused, StateError::Corrupt { key, .. } if *key == graph),
        "{refused:?}"
    );
}

#[test]
fn urls_that_cannot_work_are_refused_without_their_password() {
    for url in [
        "",
        "localhost",
        "http://:battery-staple@localhost",
        "rediss://:battery-staple@localhost:1",
    ] {
        let error = millstream_state::open(url, &Default::default()).unwrap_err();
        assert!(matches!(error, StateError::InvalidUrl { .. }), "{url}: {error:?}");
        assert!(!error.to_string().contains("battery-staple"), "{error}");
    }
}

#[tokio::test]
async fn clusters_on_one_server_do_not_see_each_other() {
    let server = RedisServer::start().await.unwrap();
    let (one, other) = (redis_store(&server.url()), redis_store(&server.url()));
    let fence = lead(&one).await;
    commit(&one, &fence, &[put_job(1)]).await;
    assert_eq!(other.lease_holder().await, Ok(None));
    assert_eq!(other.active_jobs().await, Ok(vec![]));
    assert!(matches!(
        other.commit(&fence, &[]).await,
        Err(StateError::Fenced { .. })
    ));
}
