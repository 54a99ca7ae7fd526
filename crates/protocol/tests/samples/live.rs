//! What travels on the live exchange, and what is asked for what it shows.

use std::collections::BTreeMap;

use millstream_protocol::graph::OpKind;
use millstream_protocol::wire::*;
use millstream_types::{ByteSize, TaskIdx, Term};

use super::{JOB, WORKER, counts, error, heartbeat};

pub(crate) fn live() -> Vec<(&'static str, LiveMsg)> {
    let event = |kind| LiveMsg::Job {
        job: JOB,
        event: JobEvent { at_ms: 1, kind },
    };
    let key = || "b".to_owned();
    vec![
        ("accepted", event(JobEventKind::Accepted { tasks: 36 })),
        ("progress", event(JobEventKind::Progress { counts: counts() })),
        ("extended", event(JobEventKind::Extended { key: key(), added: 4 })),
        (
            "retried",
            event(JobEventKind::Retried {
                key: key(),
                error: error(),
                delay_ms: 100,
            }),
        ),
        (
            "task_failed",
            event(JobEventKind::TaskFailed {
                key: key(),
                error: error(),
            }),
        ),
        (
            "unschedulable",
            event(JobEventKind::Unschedulable {
                key: key(),
                reason: "no worker has 1 gpu".to_owned(),
            }),
        ),
        (
            "preparing",
            event(JobEventKind::Preparing {
                key: key(),
                worker: "alpha".to_owned(),
                message: "installs numpy".to_owned(),
            }),
        ),
        (
            "worker_lost",
            event(JobEventKind::WorkerLost {
                worker: "alpha".to_owned(),
                requeued: 1,
                recomputed: 2,
            }),
        ),
        (
            "recovered",
            event(JobEventKind::Recovered {
                term: 3,
                message: "12 tasks kept".to_owned(),
            }),
        ),
        (
            "state",
            event(JobEventKind::State {
                state: JobState::Failed,
                error: Some(error()),
            }),
        ),
        (
            "snapshot",
            LiveMsg::Snapshot(ClusterSnapshot {
                term: Term(2),
                jobs: BTreeMap::from([(JOB, (JobState::Running, counts()))]),
                workers: vec![WorkerSnapshot {
                    worker: WORKER,
                    name: "alpha".to_owned(),
                    state: "active".to_owned(),
                    assigned: 3,
                    load: Some(heartbeat()),
                    host: "h1".to_owned(),
                    slots: 4,
                    memory_limit: ByteSize::from_mib(64),
                    executing: 2,
                    objects: 5,
                }],
                totals: ClusterTotals {
                    dead_letters: 1,
                    finished: 2,
                    recomputed: 3,
                    workers_lost: 4,
                    succeeded: 5,
                    failed: 6,
                    cancelled: 7,
                },
            }),
        ),
        ("work", LiveMsg::Work(Box::new(work()))),
    ]
}

fn work() -> WorkMsg {
    WorkMsg {
        worker: WORKER,
        name: "alpha".to_owned(),
        at_us: 1_700_000_000_000_000,
        covers_us: 1_000_000,
        slots: 4,
        memory_limit: ByteSize::from_mib(64),
        load: Some(heartbeat()),
        jobs: vec![JOB],
        ops: vec![OpLabel {
            kind: OpKind::Native,
            name: "demo:f".to_owned(),
        }],
        totals: vec![OpTotal {
            job: 0,
            op: 0,
            finished: 2,
            failed: 1,
            busy_us: 900,
            bytes: ByteSize::new(128),
        }],
        spans: SpanColumns {
            kinds: vec![SpanKind::Run.code(), SpanKind::Fetch.code()].into(),
            slots: vec![0, 1].into(),
            jobs: vec![0, 0].into(),
            ops: vec![0, 0].into(),
            tasks: vec![7, 8].into(),
            ended_ago_us: vec![500, 20].into(),
            durations_us: vec![300, 40].into(),
            bytes: vec![64, 4096].into(),
        },
        skipped: 1,
        transfers: vec![TransferTotal {
            from: WORKER,
            objects: 1,
            bytes: ByteSize::new(4096),
            busy_us: 40,
        }],
        lines: vec![OutputLine {
            job: 0,
            task: TaskIdx(7),
            text: "hello".to_owned(),
        }],
    }
}

pub(super) fn layers_answer() -> LayersAnswer {
    LayersAnswer {
        layers: vec![LayerAnswer {
            layer: 1,
            op: "native demo:f".to_owned(),
            first: TaskIdx(4),
            counts: counts(),
            held: ByteSize::new(96),
            wanted: ByteSize::new(32),
            cost_us: 25,
        }],
        largest: vec![HeldObject {
            task: TaskIdx(4),
            key: "b".to_owned(),
            op: "native demo:f".to_owned(),
            bytes: ByteSize::new(64),
            is_wanted: true,
            readers: 3,
            workers: vec![WORKER],
        }],
    }
}
