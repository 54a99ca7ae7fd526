//! What `/metrics` shows: only what is known, and that truly.

use std::collections::{BTreeMap, BTreeSet};

use millstream_protocol::wire::{
    ClusterSnapshot, ClusterTotals, HeartbeatMsg, JobCounts, JobState, LiveMsg, WorkerSnapshot,
};
use millstream_types::{ByteSize, JobId, Term, WorkerId};

use crate::support::TestGateway;

/// The page's samples by name and labels.
async fn samples(gateway: &TestGateway) -> BTreeMap<String, f64> {
    let page = gateway.get("/metrics").await.text().await.unwrap();
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn worker(n: u128, state: &str, executing: u32) -> WorkerSnapshot {
    WorkerSnapshot {
        worker: WorkerId::from_u128(n),
        name: format!("worker-{n}"),
        state: state.to_owned(),
        assigned: 3,
        load: Some(HeartbeatMsg {
            stored: ByteSize::new(100),
            spilled: ByteSize::new(10),
            process: ByteSize::new(1000),
            cpu_milli: 1,
            paused: false,
            queued: 1,
            executing,
            fetched: ByteSize::ZERO,
            served: ByteSize::ZERO,
        }),
        host: "alpha".to_owned(),
        slots: 2,
        memory_limit: ByteSize::from_mib(64),
        executing,
        objects: 1,
    }
}

fn cluster() -> ClusterSnapshot {
    let counts = |waiting, assigned, stored| JobCounts {
        total: waiting + assigned + stored,
        waiting,
        assigned,
        stored,
        ..JobCounts::default()
    };
    ClusterSnapshot {
        term: Term(1),
        jobs: BTreeMap::from([
            (JobId::from_u128(1), (JobState::Running, counts(10, 2, 0))),
            (JobId::from_u128(2), (JobState::Running, counts(5, 1, 7))),
        ]),
        workers: vec![
            worker(1, "active", 2),
            worker(2, "active", 1),
            worker(3, "paused", 0),
        ],
        totals: ClusterTotals {
            dead_letters: 4,
            finished: 70,
            recomputed: 3,
            workers_lost: 1,
            succeeded: 6,
            failed: 2,
            cancelled: 5,
        },
    }
}

#[tokio::test]
async fn metrics_are_what_the_leader_told_of_jobs_and_workers() {
    let gateway = TestGateway::start().await;
    let before = samples(&gateway).await;
    assert_eq!(before["millstream_leader"], 1.0);
    assert_eq!(before["millstream_term"], 1.0);
    assert!(
        !before.contains_key("millstream_workers{state=\"active\"}"),
        "nobody has told of workers yet: {before:?}"
    );
    gateway.leader().tell(LiveMsg::Snapshot(cluster())).await;
    let mut shown = BTreeMap::new();
    gateway
        .until("the snapshot shows", async || {
            shown = samples(&gateway).await;
            shown.contains_key("millstream_jobs_active")
        })
        .await;
    for (name, value) in [
        ("millstream_jobs_active", 2.0),
        ("millstream_tasks{state=\"waiting\"}", 15.0),
        ("millstream_tasks{state=\"assigned\"}", 3.0),
        ("millstream_tasks{state=\"stored\"}", 7.0),
        ("millstream_tasks{state=\"failed\"}", 0.0),
        ("millstream_tasks_executing", 3.0),
        ("millstream_workers{state=\"active\"}", 2.0),
        ("millstream_workers{state=\"paused\"}", 1.0),
        ("millstream_workers{state=\"suspect\"}", 0.0),
        ("millstream_store_bytes{tier=\"memory\"}", 300.0),
        ("millstream_store_bytes{tier=\"disk\"}", 30.0),
        ("millstream_process_bytes", 3000.0),
        ("millstream_slots", 6.0),
        ("millstream_memory_limit_bytes", 3.0 * 64.0 * 1048576.0),
        ("millstream_task_runs_total", 70.0),
        ("millstream_recomputed_total", 3.0),
        ("millstream_workers_lost_total", 1.0),
        ("millstream_jobs_total{outcome=\"succeeded\"}", 6.0),
        ("millstream_jobs_total{outcome=\"failed\"}", 2.0),
        ("millstream_jobs_total{outcome=\"cancelled\"}", 5.0),
        ("millstream_dead_letters_total{reader=\"scheduler\"}", 4.0),
    ] {
        assert_eq!(shown.get(name), Some(&value), "{name} in {shown:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn message_that_a_gateway_cannot_read_is_counted_and_put_aside() {
    let gateway = TestGateway::start().await;
    let link = gateway.bus.connect("stranger").await;
    let dead = millstream_bus::QueueSpec::dead(gateway.bus.names(), 1);
    let mut dead = link.consume(dead).await.unwrap();
    let garbage = bytes::Bytes::from_static(b"no message");
    link.publish(&millstream_bus::Address::Hello, garbage.clone())
        .await
        .unwrap();
    let letter = dead.next().await.unwrap();
    assert_eq!(letter.frame, garbage);
    letter.ack().await.unwrap();
    assert_eq!(
        samples(&gateway).await["millstream_dead_letters_total{reader=\"gateway\"}"],
        1.0
    );
    gateway.stop().await;
}

/// A series that is written by nothing but its declaration is a false zero. What a busy gateway shows is compared with
/// what an idle one declares.
#[tokio::test]
async fn every_declared_metric_is_written_by_something() {
    let gateway = TestGateway::start().await;
    gateway.leader().tell(LiveMsg::Snapshot(cluster())).await;
    gateway
        .until("the snapshot shows", async || {
            samples(&gateway).await.contains_key("millstream_jobs_active")
        })
        .await;
    let families = |page: &str| {
        let declared = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        declared
            .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
            .collect::<BTreeSet<String>>()
    };
    let page = gateway.get("/metrics").await.text().await.unwrap();
    let shown = samples(&gateway).await;
    let silent: Vec<_> = families(&page)
        .into_iter()
        .filter(|family| {
            let is_of = |name: &str| {
                let rest = name.strip_prefix(family.as_str());
                rest.is_some_and(|rest| {
                    rest.is_empty()
                        || rest.starts_with('{')
                        || rest.starts_with("_total")
                        || rest.starts_with("_info")
                        || rest.starts_with("_count")
                })
            };
            !shown.iter().any(|(name, value)| is_of(name) && *value != 0.0)
        })
        .collect();
    // Nothing broke and nobody listens here; `outages.rs`, `events.rs` and `dashboard.rs` see to what these count.
    assert_eq!(
        silent,
        [
            "millstream_broker_confirm_seconds",
            "millstream_event_streams",
            "millstream_fetch_failures",
            "millstream_live_dropped",
            "millstream_reconnects",
            "millstream_state_ping_failures",
            "millstream_task_failures",
        ]
    );
    gateway.stop().await;
}
