//! One sample of every message, with no field at its default where that can be helped.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod live;

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_protocol::columns::{BytesColumnBuilder, U16s, U32s, U64s};
use millstream_protocol::graph::{
    Backoff, BlockInput, Dep, Graph, GraphBuilder, GraphExtension, ImportSource, OpSpec, Rerun, TaskName,
    TaskOptions, fragment_task,
};
use millstream_protocol::wire::*;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{
    Amount, Attempt, ByteSize, ContentKey, JobId, LeaderId, ObjectId, ResourceSet, SessionNo, TaskIdx, Term,
    Timestamp, WorkerId,
};

const JOB: JobId = JobId::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
const WORKER: WorkerId = WorkerId::from_u128(0xfeed);

fn attempt(n: u32) -> Attempt {
    Attempt::new(Term(2), n)
}

fn options() -> TaskOptions {
    TaskOptions {
        resources: ResourceSet::new()
            .with("cpu", Amount::whole(1))
            .with("gpu", Amount::milli(500)),
        retries: 3,
        backoff: Backoff {
            initial_ms: 10,
            factor: 1.5,
            max_ms: 1000,
        },
        timeout_ms: Some(60_000),
        priority: -1,
        workers: vec!["alpha".to_owned()],
        rerun: Rerun::Never,
    }
}

/// A graph whose first two tasks stand for objects of another job.
pub(crate) fn graph_of_imports() -> Graph {
    let mut builder = GraphBuilder::new();
    let import = builder.op(OpSpec::import());
    let add = builder.op(OpSpec::native("demo:add"));
    let plain = builder.options(TaskOptions::default());
    let sources = [
        ImportSource::task(JobId::from_u128(77), 5),
        ImportSource::Task {
            job: JobId::from_u128(77),
            task: TaskName::Key("mean".to_owned()),
        },
    ];
    let inputs = sources.map(|source| {
        let params = source.encode().unwrap_or_default();
        Dep::whole(builder.task(import, plain, &params, &[]))
    });
    let sum = builder.task(add, plain, b"", &inputs);
    builder.want(sum);
    builder.finish()
}

pub(crate) fn graph() -> Graph {
    let mut builder = GraphBuilder::new();
    let native = builder.op(OpSpec::native("demo:add"));
    let command = builder.op(OpSpec::command());
    let plain = builder.options(TaskOptions::default());
    let special = builder.options(options());
    let a = builder.named_task("a", command, plain, b"argv", &[]);
    let b = builder.named_task(
        "b",
        native,
        special,
        b"",
        &[
            Dep::whole(a),
            Dep {
                task: a,
                part: Some(1),
            },
        ],
    );
    let map = builder.blockwise(100, native, plain, vec![BlockInput::Broadcast(b)]);
    builder.number_keys(map, "part");
    let tree = builder.tree_reduce(map, 8, native, plain);
    let shuffle = builder.all_to_all(map, 4, native, plain);
    builder.want(tree.at(tree.count - 1));
    builder.want(shuffle.at(0));
    builder.finish()
}

pub(crate) fn extension() -> GraphExtension {
    let mut builder = GraphBuilder::fragment();
    let op = builder.op(OpSpec::native("demo:stage"));
    let plain = builder.options(TaskOptions::default());
    let first = builder.task(op, plain, b"p", &[Dep::whole(TaskIdx(3))]);
    builder.task(
        op,
        plain,
        b"",
        &[Dep {
            task: first,
            part: Some(0),
        }],
    );
    GraphExtension {
        fragment: builder.finish(),
        replacement: Some(fragment_task(1)),
    }
}

pub(crate) fn error() -> TaskError {
    TaskError {
        kind: ErrorKind::CommandFailed,
        message: "`false` ended with code 1".to_owned(),
        exit_code: Some(1),
        signal: Some(9),
        host: Some("node1".to_owned()),
        log_tail: Some("last words\n".to_owned()),
        traceback: Some("Traceback …\n".into()),
        exception: Some(Box::new(Bytes::from_static(b"\x80\x05N."))),
    }
}

fn info() -> WorkerInfo {
    WorkerInfo {
        worker: WORKER,
        name: "alpha".to_owned(),
        host: "node1".to_owned(),
        pid: 42,
        data_address: "127.0.0.1:40001".to_owned(),
        slots: 2,
        memory_limit: ByteSize::from_mib(1024),
        resources: ResourceSet::new().with("cpu", Amount::whole(2)),
        version: "0.1.0".to_owned(),
    }
}

fn heartbeat() -> HeartbeatMsg {
    HeartbeatMsg {
        stored: ByteSize::new(1),
        spilled: ByteSize::new(2),
        process: ByteSize::new(3),
        cpu_milli: 4,
        paused: true,
        queued: 5,
        executing: 6,
        fetched: ByteSize::new(7),
        served: ByteSize::new(8),
    }
}

fn attempts() -> JobAttempts {
    JobAttempts {
        job: JOB,
        tasks: U32s(vec![1, 5]),
        attempts: U64s(vec![attempt(1).packed(); 2]),
    }
}

fn objects() -> JobObjects {
    JobObjects {
        job: JOB,
        tasks: U32s(vec![1, 5]),
        attempts: U64s(vec![attempt(1).packed(); 2]),
        bytes: U64s(vec![10, 1 << 40]),
    }
}

fn assign() -> AssignMsg {
    let mut params = BytesColumnBuilder::default();
    params.push(b"");
    params.push(b"xyz");
    AssignMsg {
        job: AssignJob(JOB),
        tasks: U32s(vec![4, 5]),
        attempts: U64s(vec![attempt(1).packed(); 2]),
        ops: U16s(vec![0, 1]),
        options: U16s(vec![1, 1]),
        flags: U16s(vec![0, 1]),
        priorities: U64s(vec![9, 10]),
        indexes: U32s(vec![2, 3]),
        params: params.finish(),
        dep_offsets: U32s(vec![0, 1, 3]),
        dep_tasks: U32s(vec![0, 1, 2]),
        dep_parts: U32s(vec![u32::MAX, 7, u32::MAX]),
        dep_attempts: U64s(vec![attempt(1).packed(); 3]),
        dep_bytes: U64s(vec![100, 200, 0]),
        holder_offsets: U32s(vec![0, 1, 3, 3]),
        holders: U32s(vec![0, 1, 0]),
        foreign: Vec::new(),
        dep_foreign: U32s::default(),
    }
}

/// An assignment whose second input is an object of another job.
fn assign_foreign() -> AssignMsg {
    AssignMsg {
        foreign: vec![ObjectId::new(JobId::from_u128(77), TaskIdx(5))],
        dep_foreign: U32s(vec![0, 1, 0]),
        ..assign()
    }
}

pub(crate) fn to_worker() -> Vec<(&'static str, ToWorker)> {
    let tasks = U32s(vec![1, 2, 9]);
    vec![
        ("settled", ToWorker::Settled),
        (
            "ops",
            ToWorker::Ops(OpsMsg {
                job: JOB,
                first_op: 1,
                ops: vec![OpSpec {
                    params: Bytes::from_static(b"common"),
                    code: Some(ContentKey::from_bytes([9; 32])),
                    ..OpSpec::native("demo:add")
                }],
                first_options: 2,
                options: vec![options()],
                label: "nightly".to_owned(),
            }),
        ),
        (
            "peers",
            ToWorker::Peers(vec![PeerInfo {
                number: 1,
                worker: WORKER,
                data_address: "10.0.0.1:4000".to_owned(),
                host: "node1".to_owned(),
            }]),
        ),
        ("assign", ToWorker::Assign(Box::new(assign()))),
        ("assign_foreign", ToWorker::Assign(Box::new(assign_foreign()))),
        (
            "retract",
            ToWorker::Retract {
                job: JOB,
                tasks: tasks.clone(),
            },
        ),
        (
            "cancel",
            ToWorker::Cancel {
                job: JOB,
                tasks: tasks.clone(),
            },
        ),
        (
            "free",
            ToWorker::Free {
                job: JOB,
                tasks,
                attempts: U64s(vec![attempt(4).packed(); 3]),
            },
        ),
        ("forget_job", ToWorker::ForgetJob { job: JOB }),
        (
            "replicate",
            ToWorker::Replicate(ReplicateMsg {
                job: JOB,
                task: TaskIdx(3),
                attempt: attempt(2),
                bytes: ByteSize::new(77),
                holders: U32s(vec![1]),
            }),
        ),
        ("drain", ToWorker::Drain),
        ("shutdown", ToWorker::Shutdown),
    ]
}

pub(crate) fn from_worker() -> Vec<(&'static str, FromWorker)> {
    vec![
        (
            "register",
            FromWorker::Register(RegisterMsg {
                info: info(),
                queue: "millstream.worker.x.1".to_owned(),
                session: SessionNo(1),
                known_term: Term(2),
            }),
        ),
        (
            "inventory",
            FromWorker::Inventory(InventoryMsg {
                objects: vec![objects()],
                queued: vec![attempts()],
                running: vec![attempts()],
                last: true,
            }),
        ),
        (
            "finished",
            FromWorker::Finished(FinishedMsg {
                job: JOB,
                tasks: U32s(vec![1, 2]),
                attempts: U64s(vec![attempt(1).packed(), attempt(2).packed()]),
                bytes: U64s(vec![8, 9]),
                durations_us: U32s(vec![100, 200]),
                inline: vec![(1, Bytes::from_static(b"\x2a"))],
            }),
        ),
        (
            "extended",
            FromWorker::Extended(ExtendedMsg {
                job: JOB,
                task: TaskIdx(3),
                attempt: attempt(1),
                bytes: ByteSize::new(5),
                duration_us: 6,
                extension: extension(),
            }),
        ),
        (
            "failed",
            FromWorker::Failed(FailedMsg {
                job: JOB,
                task: TaskIdx(3),
                attempt: attempt(1),
                duration_us: 12,
                error: error(),
            }),
        ),
        (
            "returned",
            FromWorker::Returned(ReturnedMsg {
                job: JOB,
                tasks: U32s(vec![1, 2, 3, 4]),
                attempts: U64s(vec![1, 2, 3, 0]),
                outcomes: vec![
                    ReturnOutcome::Returned,
                    ReturnOutcome::Started,
                    ReturnOutcome::Stopped,
                    ReturnOutcome::Done,
                ],
            }),
        ),
        (
            "executing",
            FromWorker::Executing(ExecutingMsg {
                tasks: vec![attempts()],
                waiting: vec![attempts()],
            }),
        ),
        (
            "gone",
            FromWorker::Gone(GoneMsg {
                job: JOB,
                task: TaskIdx(8),
                attempt: attempt(3),
                inputs: vec![GoneInput {
                    task: TaskIdx(1),
                    attempt: attempt(1),
                    gone_at: vec![WORKER],
                    unreachable: vec![WorkerId::from_u128(5)],
                }],
            }),
        ),
        ("lost", FromWorker::Lost(objects())),
        ("replicated", FromWorker::Replicated(objects())),
        (
            "preparing",
            FromWorker::Preparing(PreparingMsg {
                job: JOB,
                task: TaskIdx(1),
                attempt: attempt(1),
                text: "installs numpy".to_owned(),
            }),
        ),
        (
            "log",
            FromWorker::Log(TaskLogMsg {
                job: JOB,
                task: TaskIdx(1),
                attempt: attempt(1),
                log: TaskLog {
                    head: "h".to_owned(),
                    tail: "t".to_owned(),
                    omitted: 3,
                },
            }),
        ),
        ("heartbeat", FromWorker::Heartbeat(heartbeat())),
        ("draining", FromWorker::Draining),
    ]
}

pub(crate) fn counts() -> JobCounts {
    JobCounts {
        total: 36,
        waiting: 1,
        ready: 2,
        assigned: 3,
        stored: 4,
        released: 5,
        failed: 6,
        cancelled: 7,
    }
}

pub(crate) fn job_options() -> JobOptions {
    JobOptions {
        priority: 7,
        deadline_ms: Some(1000),
        result_ttl_s: Some(60),
        attached_to: Some("client-1".to_owned()),
        tenant: "lab".to_owned(),
        labels: BTreeMap::from([("team".to_owned(), "ocean".to_owned())]),
    }
}

pub(crate) fn job_meta() -> JobMeta {
    JobMeta {
        job: JOB,
        body_hash: ContentKey::from_bytes([3; 32]),
        options: job_options(),
        state: JobState::Failed,
        accepted_ms: 1_790_000_000_000,
        ended_ms: Some(1_790_000_001_000),
        counts: counts(),
        error: Some(error()),
        failed_task: Some(TaskIdx(4)),
        name: "nightly".to_owned(),
        let_go: None,
        accepted_in: Term(0),
    }
}

/// A record as the journal keeps it.
pub(crate) fn job_record() -> JobMeta {
    JobMeta {
        accepted_in: Term(1_790_000_000),
        ..job_meta()
    }
}

/// A record of a job that others import from.
pub(crate) fn job_meta_let_go() -> JobMeta {
    JobMeta {
        let_go: Some(LetGo::Removed),
        ..job_meta()
    }
}

pub(crate) fn result_entry() -> ResultEntry {
    ResultEntry {
        task: TaskIdx(9),
        attempt: attempt(1),
        bytes: ByteSize::new(4096),
        holders: vec![(WORKER, "127.0.0.1:40001".to_owned())],
        inline: Some(Bytes::from_static(b"\x01")),
        is_untold: false,
    }
}

pub(crate) fn failure_record() -> FailureRecord {
    FailureRecord {
        error: error(),
        failures: 2,
        lost_workers: 1,
        terminal: true,
        void: attempt(3),
    }
}

fn submission() -> SubmitMsg {
    SubmitMsg {
        job: JOB,
        body_hash: ContentKey::from_bytes([3; 32]),
        name: "nightly".to_owned(),
        graph: GraphSource::Blob("graph-1".to_owned()),
        options: job_options(),
        reply_to: "millstream.gateway.x.1".to_owned(),
        watch: true,
        submitted_ms: 1_790_000_000_000,
    }
}

pub(crate) fn intake() -> Intake {
    Intake::Submit(submission())
}

pub(crate) fn job_answer() -> JobAnswer {
    JobAnswer {
        meta: job_meta(),
        counts: counts(),
        inline: vec![InlineResult {
            task: TaskIdx(1),
            key: "b".to_owned(),
            value: Bytes::from_static(b"\x2a"),
        }],
        outputs: vec![TaskIdx(1), TaskIdx(2)],
    }
}

fn task_answer() -> TaskAnswer {
    TaskAnswer {
        task: 1,
        key: "b".to_owned(),
        op: "native demo:add".to_owned(),
        state: "waiting".to_owned(),
        attempts: 2,
        failures: 1,
        workers: vec![WORKER],
        bytes: Some(ByteSize::new(4)),
        deps: vec!["a".to_owned()],
        error: Some(error()),
        explain: vec!["waits for `a`, which runs on alpha".to_owned()],
        story: vec![(Timestamp::from_micros(5), "waiting -> ready".to_owned())],
    }
}

pub(crate) fn datagrams() -> Vec<(&'static str, Datagram)> {
    let ask = |request| {
        Datagram::FromGateway(FromGateway {
            id: 1,
            reply_to: "millstream.gateway.x.1".to_owned(),
            request,
        })
    };
    let answer = |result| Datagram::ToGateway(ToGateway::Response { id: 1, result });
    let worker = WorkerAnswer {
        info: info(),
        state: "active".to_owned(),
        assigned: 1,
        executing: 2,
        objects: 3,
        silent_ms: 4,
        load: Some(heartbeat()),
    };
    let task = TaskIdx(1);
    vec![
        (
            "hello",
            Datagram::Hello(Hello {
                term: Term(2),
                leader: LeaderId::from_u128(6),
                queue: "millstream.scheduler.2.x".to_owned(),
            }),
        ),
        ("stale", Datagram::StaleTerm(StaleTerm { known: Term(3) })),
        ("ask_watch", ask(GatewayRequest::Watch { job: JOB })),
        ("ask_job", ask(GatewayRequest::Job { job: JOB })),
        ("ask_cancel", ask(GatewayRequest::Cancel { job: JOB })),
        ("ask_remove", ask(GatewayRequest::Remove { job: JOB })),
        (
            "ask_tasks",
            ask(GatewayRequest::Tasks(TaskQuery {
                job: JOB,
                state: Some("failed".to_owned()),
                from: task,
                limit: 100,
            })),
        ),
        ("ask_task", ask(GatewayRequest::Task { job: JOB, task })),
        (
            "ask_locate",
            ask(GatewayRequest::Locate {
                job: JOB,
                task,
                failed: vec![WORKER],
            }),
        ),
        ("ask_workers", ask(GatewayRequest::Workers)),
        ("ask_drain", ask(GatewayRequest::Drain { worker: WORKER })),
        ("ask_layers", ask(GatewayRequest::Layers { job: JOB })),
        (
            "ask_release_tasks",
            ask(GatewayRequest::ReleaseTasks {
                job: JOB,
                tasks: U32s(vec![1, 300]),
            }),
        ),
        (
            "ask_cancel_tasks",
            ask(GatewayRequest::CancelTasks {
                job: JOB,
                tasks: U32s(vec![2, 70_000]),
            }),
        ),
        ("answer_changed", answer(Ok(Response::Changed { tasks: 2 }))),
        (
            "answer_layers",
            answer(Ok(Response::Layers(Box::new(live::layers_answer())))),
        ),
        ("answer_job", answer(Ok(Response::Job(Box::new(job_answer()))))),
        (
            "answer_tasks",
            answer(Ok(Response::Tasks {
                tasks: vec![task_answer()],
                next: Some(TaskIdx(2)),
            })),
        ),
        ("answer_task", answer(Ok(Response::Task(Box::new(task_answer()))))),
        (
            "answer_held",
            answer(Ok(Response::Location(ObjectLocation::Held(result_entry())))),
        ),
        (
            "answer_pending",
            answer(Ok(Response::Location(ObjectLocation::Pending {
                state: JobState::Recovering,
            }))),
        ),
        (
            "answer_failed",
            answer(Ok(Response::Location(ObjectLocation::Failed(error())))),
        ),
        ("answer_workers", answer(Ok(Response::Workers(vec![worker])))),
        ("answer_done", answer(Ok(Response::Done))),
        ("answer_unknown_job", answer(Err(RequestError::UnknownJob(JOB)))),
        (
            "answer_invalid_graph",
            answer(Err(RequestError::InvalidGraph {
                code: "cycle".to_owned(),
                message: "a -> a".to_owned(),
            })),
        ),
        (
            "answer_unknown_task",
            answer(Err(RequestError::UnknownTask(task))),
        ),
        (
            "answer_unknown_worker",
            answer(Err(RequestError::UnknownWorker(WORKER))),
        ),
        ("answer_id_conflict", answer(Err(RequestError::IdConflict(JOB)))),
        (
            "answer_graph_expired",
            answer(Err(RequestError::GraphExpired(JOB))),
        ),
        (
            "answer_wrong_state",
            answer(Err(RequestError::WrongState(JobState::Cancelling))),
        ),
        (
            "answer_gone",
            answer(Err(RequestError::Gone("its time is over".to_owned()))),
        ),
        ("answer_overloaded", answer(Err(RequestError::Overloaded))),
        (
            "submitted",
            Datagram::ToGateway(ToGateway::Submitted {
                job: JOB,
                result: Ok(JobState::Running),
            }),
        ),
        (
            "ended",
            Datagram::ToGateway(ToGateway::Ended(Box::new(job_answer()))),
        ),
        (
            "intake",
            Datagram::Intake(Intake::Submit(SubmitMsg {
                graph: GraphSource::Inline(Bytes::from_static(b"graph")),
                ..submission()
            })),
        ),
        (
            "live",
            Datagram::Live(LiveMsg::Job {
                job: JOB,
                event: JobEvent {
                    at_ms: 1,
                    kind: JobEventKind::Accepted { tasks: 36 },
                },
            }),
        ),
    ]
}
