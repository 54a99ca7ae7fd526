//! How fast the scheduler core is: no-op tasks against two perfect workers in memory, through real frames.
//!
//! Only the time inside the core counts; the workers' own is left out. `cargo run --release -p
//! millstream-scheduler-core --example core_rate`
#![expect(clippy::print_stdout, reason = "an example that prints a table")]
#![expect(clippy::unwrap_used, reason = "an example stops at the first surprise")]
#![expect(
    clippy::disallowed_methods,
    reason = "only the core must not read the clock; this measures it"
)]

use std::time::{Duration, Instant};

use millstream_protocol::codec;
use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::envelope::{decode_batch, decode_header};
use millstream_protocol::graph::{BlockInput, Dep, Graph, GraphBuilder, OpSpec, TaskOptions};
use millstream_protocol::session::{Session, Verdict};
use millstream_protocol::wire::{
    FinishedMsg, FromWorker, GraphSource, InventoryMsg, JobOptions, JobState, RegisterMsg, SubmitMsg,
    ToGateway, ToWorker, WorkerInfo,
};
use millstream_scheduler_core::{
    Clock, CoreConfig, Effect, Identity, SchedulerCore, SchedulerEvent, SubmittedGraph,
};
use millstream_types::{
    ByteSize, ClusterName, ContentKey, JobId, LeaderId, ResourceSet, SessionNo, Term, Timestamp, WorkerId,
};
use uuid::Uuid;

fn main() {
    println!(
        "{:<22} {:>9} {:>11} {:>9} {:>12} {:>14}",
        "workload", "tasks", "tasks/s", "µs/task", "bytes/task", "first task µs"
    );
    for (name, graph) in [
        ("merge-100k", merge(100_000)),
        ("tree-17 (131k)", tree(17)),
        ("map-1M symbolic", map(1_000_000)),
        ("map-1M + tree", map_tree(1_000_000)),
        ("chain-10k", chain(10_000)),
    ] {
        run(name, &graph);
    }
}

fn run(name: &str, graph: &Graph) {
    let mut bench = Bench::new();
    let tasks = graph.task_count();
    let first = bench.submit(graph);
    let bytes = bench.core.heap_bytes();
    bench.finish_all();
    let micros = bench.inside.as_secs_f64() * 1e6 / f64::from(tasks);
    println!(
        "{name:<22} {tasks:>9} {:>11.0} {micros:>9.2} {:>12.1} {:>14}",
        1e6 / micros,
        bytes as f64 / f64::from(tasks),
        first.as_micros()
    );
}

struct Bench {
    core: SchedulerCore,
    start: Instant,
    inside: Duration,
    workers: Vec<Worker>,
    has_ended: bool,
}

struct Worker {
    id: WorkerId,
    queue: String,
    session: Session,
    pending: Vec<FinishedMsg>,
}

impl Bench {
    fn new() -> Self {
        let identity = Identity {
            cluster: ClusterName::default(),
            leader: LeaderId::from_u128(1),
            term: Term(1),
            queue: "leader".to_owned(),
        };
        let core = SchedulerCore::new(CoreConfig::default(), identity.clone(), Clock::default());
        let mut bench = Self {
            core,
            start: Instant::now(),
            inside: Duration::ZERO,
            workers: (0..2).map(|at| Worker::new(at, &identity)).collect(),
            has_ended: false,
        };
        bench.apply(SchedulerEvent::BrokerUp);
        for at in 0..2 {
            bench.workers[at].register();
            bench.deliver(at);
        }
        bench.poll();
        bench
    }

    fn clock(&self) -> Clock {
        Clock {
            now: Timestamp::from_micros(1 + self.start.elapsed().as_micros() as u64),
            unix_ms: 0,
        }
    }

    fn apply(&mut self, event: SchedulerEvent) {
        let (clock, begin) = (self.clock(), Instant::now());
        self.core.apply(clock, event);
        self.inside += begin.elapsed();
    }

    fn deliver(&mut self, at: usize) {
        while let Some(frame) = self.workers[at].session.poll() {
            self.apply(SchedulerEvent::WorkerFrame(frame));
        }
    }

    fn poll(&mut self) {
        let (clock, begin) = (self.clock(), Instant::now());
        let mut out = Vec::new();
        self.core.poll(clock, &mut out);
        let notes = self.core.take_notes();
        self.inside += begin.elapsed();
        drop(notes);
        for effect in out {
            match effect {
                Effect::SendToWorker { queue, frame } => {
                    let worker = self
                        .workers
                        .iter_mut()
                        .find(|worker| worker.queue == queue)
                        .unwrap();
                    worker.receive(&frame);
                }
                Effect::ReplyToGateway {
                    msg: ToGateway::Ended(answer),
                    ..
                } => {
                    assert_eq!(answer.meta.state, JobState::Succeeded);
                    self.has_ended = true;
                }
                _ => {}
            }
        }
    }

    /// Time until the first assignment left.
    fn submit(&mut self, graph: &Graph) -> Duration {
        let encoded: bytes::Bytes = codec::encode(graph).unwrap().into();
        let msg = SubmitMsg {
            job: JobId::from_u128(1),
            body_hash: ContentKey::from_bytes([0; 32]),
            name: "rate".to_owned(),
            graph: GraphSource::Inline(encoded.clone()),
            options: JobOptions::default(),
            reply_to: "gateway".to_owned(),
            watch: true,
            submitted_ms: 0,
        };
        let graph = SubmittedGraph::decode(encoded).unwrap();
        let before = self.inside;
        self.apply(SchedulerEvent::JobSubmitted {
            token: 1,
            msg: Box::new(msg),
            graph: Ok(graph),
        });
        self.poll();
        self.inside - before
    }

    fn finish_all(&mut self) {
        while !self.has_ended {
            for at in 0..self.workers.len() {
                self.workers[at].report();
                self.deliver(at);
            }
            self.poll();
        }
    }
}

impl Worker {
    fn new(at: u128, leader: &Identity) -> Self {
        let id = WorkerId::from_u128(100 + at);
        Self {
            id,
            queue: format!("worker.{at}"),
            session: Session::new(
                ClusterName::default(),
                Uuid::from_u128(id.as_u128()),
                Uuid::from_u128(leader.leader.as_u128()),
                leader.term,
                SessionNo(1),
            ),
            pending: Vec::new(),
        }
    }

    fn register(&mut self) {
        let info = WorkerInfo {
            worker: self.id,
            name: self.queue.clone(),
            host: "here".to_owned(),
            pid: 1,
            data_address: "here:1".to_owned(),
            slots: 1,
            memory_limit: ByteSize::from_mib(4096),
            resources: ResourceSet::new(),
            version: String::new(),
        };
        let register = RegisterMsg {
            info,
            queue: self.queue.clone(),
            session: SessionNo(1),
            known_term: Term(1),
        };
        self.session.push(&FromWorker::Register(register)).unwrap();
        let inventory = InventoryMsg {
            last: true,
            ..InventoryMsg::default()
        };
        self.session.push(&FromWorker::Inventory(inventory)).unwrap();
    }

    fn receive(&mut self, frame: &bytes::Bytes) {
        let cluster = ClusterName::default();
        let (header, _) = decode_header(&cluster, frame).unwrap();
        if self.session.accept(&header) != Verdict::Accepted {
            return;
        }
        for item in decode_batch::<ToWorker>(&cluster, frame).unwrap().items {
            if let ToWorker::Assign(msg) = item {
                let rows = msg.tasks.len();
                self.pending.push(FinishedMsg {
                    job: msg.job.0,
                    tasks: msg.tasks,
                    attempts: msg.attempts,
                    bytes: U64s(vec![8; rows]),
                    durations_us: U32s(vec![1; rows]),
                    inline: Vec::new(),
                });
            }
        }
    }

    fn report(&mut self) {
        for msg in self.pending.drain(..) {
            self.session.push(&FromWorker::Finished(msg)).unwrap();
        }
    }
}

fn merge(count: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let (op, options) = (
        graph.op(OpSpec::native("noop")),
        graph.options(TaskOptions::default()),
    );
    let deps: Vec<Dep> = (0..count)
        .map(|_| Dep::whole(graph.task(op, options, b"", &[])))
        .collect();
    let last = graph.task(op, options, b"", &deps);
    graph.want(last);
    graph.finish()
}

fn tree(depth: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let (op, options) = (
        graph.op(OpSpec::native("noop")),
        graph.options(TaskOptions::default()),
    );
    let mut level: Vec<Dep> = (0..1 << (depth - 1))
        .map(|_| Dep::whole(graph.task(op, options, b"", &[])))
        .collect();
    while level.len() > 1 {
        let next = level
            .chunks(2)
            .map(|pair| Dep::whole(graph.task(op, options, b"", pair)));
        level = next.collect();
    }
    graph.want(level[0].task);
    graph.finish()
}

fn chain(count: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let (op, options) = (
        graph.op(OpSpec::native("noop")),
        graph.options(TaskOptions::default()),
    );
    let mut last = graph.task(op, options, b"", &[]);
    for _ in 1..count {
        last = graph.task(op, options, b"", &[Dep::whole(last)]);
    }
    graph.want(last);
    graph.finish()
}

fn map(count: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let (op, options) = (
        graph.op(OpSpec::native("noop")),
        graph.options(TaskOptions::default()),
    );
    graph.blockwise(count, op, options, vec![]);
    graph.finish()
}

fn map_tree(count: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let (op, options) = (
        graph.op(OpSpec::native("noop")),
        graph.options(TaskOptions::default()),
    );
    let map = graph.blockwise(count, op, options, vec![]);
    let step = graph.blockwise(count, op, options, vec![BlockInput::Aligned(map)]);
    let tree = graph.tree_reduce(step, 16, op, options);
    graph.want(tree.at(tree.count - 1));
    graph.finish()
}
