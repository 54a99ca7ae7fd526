//! A leader by script: it keeps the real protocol and the real state store, and "runs" tasks by their keys.
//!
//! A task whose key begins with `slow` runs until its job is cancelled, one with `fail` fails, one with `far` is held
//! by a worker that cannot be reached; any other gives its argv as text, a number, or a row.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_bus::{Address, Bus, Link, QueueName, QueueSpec};
use millstream_protocol::args::CommandSpec;
use millstream_protocol::codec;
use millstream_protocol::envelope::Header;
use millstream_protocol::graph::{Graph, OpKind};
use millstream_protocol::wire::{
    Datagram, FromGateway, GatewayRequest, GraphSource, Hello, InlineResult, Intake, JobAnswer, JobCounts,
    JobEvent, JobEventKind, JobMeta, JobState, LiveMsg, ObjectLocation, RequestError, Response, ResultEntry,
    StoredTaskState, SubmitMsg, TaskAnswer, ToGateway, WorkerAnswer, WorkerInfo, decode_datagrams,
    encode_datagrams,
};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_state::{Fence, MemoryState, StateStore, Write};
use millstream_types::{
    Attempt, ByteSize, ClusterName, JobId, LeaderId, ResourceSet, TaskIdx, Term, WorkerId,
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::plane::DataPlane;

pub(crate) const WORKER: WorkerId = WorkerId::from_u128(77);

/// How often the leader says hello: faster than the real one, to keep tests short.
const HELLO_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct FakeLeader {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    link: Arc<dyn Link>,
    state: Arc<MemoryState>,
    fence: Fence,
    queue: QueueName,
    jobs: Mutex<HashMap<JobId, Job>>,
    /// Requests that were received.
    asked: Mutex<Vec<GatewayRequest>>,
    /// Whether requests are left without an answer.
    silent: Mutex<bool>,
    /// Whether it is new, and still collects what workers have.
    is_collecting: Mutex<bool>,
    /// The data plane of the one worker.
    plane: DataPlane,
    /// Whether it listens nowhere.
    is_lost: Mutex<bool>,
}

#[derive(Clone)]
struct Job {
    meta: JobMeta,
    graph: Graph,
    watchers: Vec<String>,
    /// Tasks whose outputs were released, or which were cancelled.
    given_up: BTreeSet<u32>,
}

impl FakeLeader {
    pub(crate) async fn start(bus: &Arc<dyn Bus>, state: Arc<MemoryState>, term: u32) -> Self {
        let leader = LeaderId::from_u128(u128::from(term));
        let fence = loop {
            let ttl = Duration::from_secs(3600);
            if let Some(lease) = state.acquire_lease(leader, Term(term - 1), ttl).await.unwrap() {
                break lease.fence;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let link = bus.connect("scheduler").await;
        let queue = bus.names().leader(fence.term, leader);
        let consumer = link.consume(QueueSpec::private(queue.clone())).await.unwrap();
        let intake = link.consume(QueueSpec::intake(bus.names(), 16)).await.unwrap();
        let shared = Arc::new(Shared {
            link,
            state,
            fence,
            queue,
            jobs: Mutex::default(),
            asked: Mutex::default(),
            silent: Mutex::default(),
            is_collecting: Mutex::default(),
            plane: DataPlane::start(),
            is_lost: Mutex::default(),
        });
        let task = tokio::spawn(serve(Arc::clone(&shared), consumer, intake));
        Self { shared, task }
    }

    pub(crate) fn be_silent(&self, silent: bool) {
        *self.shared.silent.lock() = silent;
    }

    pub(crate) fn be_collecting(&self, collecting: bool) {
        *self.shared.is_collecting.lock() = collecting;
    }

    /// Lets the one worker listen nowhere.
    pub(crate) fn lose_worker(&self) {
        *self.shared.is_lost.lock() = true;
    }

    /// The data plane of the one worker.
    pub(crate) fn plane(&self) -> &DataPlane {
        &self.shared.plane
    }

    pub(crate) fn asked(&self) -> Vec<GatewayRequest> {
        self.shared.asked.lock().clone()
    }

    pub(crate) fn knows(&self, job: JobId) -> bool {
        self.shared.jobs.lock().contains_key(&job)
    }

    /// Lets the leader know nothing of a job, as if it had not taken it yet, until what is returned is called.
    pub(crate) fn forget(&self, job: JobId) -> impl FnOnce() + use<> {
        let shared = Arc::clone(&self.shared);
        let known = shared.jobs.lock().remove(&job);
        move || shared.jobs.lock().extend(known.map(|known| (job, known)))
    }

    /// Ends a job that runs.
    pub(crate) async fn finish(&self, job: JobId) {
        self.shared.end(job, JobState::Succeeded).await;
    }

    /// Publishes on the live exchange.
    pub(crate) async fn tell(&self, msg: LiveMsg) {
        let topic = match msg {
            LiveMsg::Snapshot(_) => "snapshot",
            LiveMsg::Job { .. } | LiveMsg::Work(_) => "test",
        };
        let topic = Address::Live(topic.to_owned());
        self.shared.publish(&topic, Datagram::Live(msg)).await;
    }

    /// Adds an event to a job's history.
    pub(crate) async fn event(&self, job: JobId, kind: JobEventKind) {
        self.shared.event(job, kind).await;
    }
}

impl Drop for FakeLeader {
    fn drop(&mut self) {
        self.task.abort();
        let (state, fence) = (Arc::clone(&self.shared.state), self.shared.fence);
        tokio::spawn(async move { state.release_lease(&fence).await });
    }
}

async fn serve(
    shared: Arc<Shared>,
    mut consumer: millstream_bus::Consumer,
    mut intake: millstream_bus::Consumer,
) {
    let mut hello = tokio::time::interval(HELLO_EVERY);
    loop {
        tokio::select! {
            _ = hello.tick() => shared.say_hello().await,
            Some(delivery) = intake.next() => {
                let batch = decode_datagrams(&ClusterName::default(), &delivery.frame).unwrap();
                for item in batch.items {
                    if let Datagram::Intake(Intake::Submit(submit)) = item {
                        shared.submitted(submit).await;
                    }
                }
                let _ = delivery.ack().await;
            }
            delivery = consumer.next() => {
                let Some(delivery) = delivery else { return };
                for item in decode_datagrams(&ClusterName::default(), &delivery.frame).unwrap().items {
                    if let Datagram::FromGateway(request) = item {
                        shared.asked(request).await;
                    }
                }
            }
        }
    }
}

impl Shared {
    async fn publish(&self, to: &Address, message: Datagram) {
        let header = Header::datagram(ClusterName::default(), Uuid::from_u128(1), self.fence.term);
        let frame = encode_datagrams(&header, &[message]).unwrap();
        let _ = self.link.publish(to, frame).await;
    }

    async fn say_hello(&self) {
        let hello = Hello {
            term: self.fence.term,
            leader: self.fence.leader,
            queue: self.queue.as_str().to_owned(),
        };
        self.publish(&Address::Hello, Datagram::Hello(hello)).await;
    }

    async fn reply(&self, queue: &str, message: ToGateway) {
        self.publish(&Address::Queue(queue.into()), Datagram::ToGateway(message))
            .await;
    }

    async fn commit(&self, writes: &[Write]) {
        self.state.commit(&self.fence, writes).await.unwrap();
    }

    async fn submitted(&self, submit: SubmitMsg) {
        let job = submit.job;
        let known = self.jobs.lock().get(&job).map(|known| known.meta.body_hash);
        if let Some(hash) = known {
            let result = if hash == submit.body_hash {
                Ok(JobState::Running)
            } else {
                Err(RequestError::IdConflict(job))
            };
            return self
                .reply(&submit.reply_to, ToGateway::Submitted { job, result })
                .await;
        }
        if submit.name == "refused" {
            let result = Err(RequestError::Overloaded);
            return self
                .reply(&submit.reply_to, ToGateway::Submitted { job, result })
                .await;
        }
        let encoded = match &submit.graph {
            GraphSource::Inline(bytes) => bytes.clone(),
            GraphSource::Blob(key) => self.state.get_blob(key).await.unwrap().unwrap(),
        };
        let graph: Graph = codec::decode(&encoded).unwrap();
        let counts = JobCounts {
            total: graph.task_count(),
            ready: graph.task_count(),
            ..JobCounts::default()
        };
        let meta = JobMeta {
            job,
            body_hash: submit.body_hash,
            options: submit.options,
            state: JobState::Running,
            accepted_ms: submit.submitted_ms,
            ended_ms: None,
            counts,
            error: None,
            failed_task: None,
            name: submit.name,
            let_go: None,
            accepted_in: Term(0),
        };
        let put = Write::PutJob {
            job,
            meta: encode(&meta),
            graph: encoded,
            created_ms: submit.submitted_ms,
        };
        self.commit(&[put]).await;
        self.event(
            job,
            JobEventKind::Accepted {
                tasks: graph.task_count(),
            },
        )
        .await;
        let watchers = if submit.watch {
            vec![submit.reply_to.clone()]
        } else {
            Vec::new()
        };
        let keys: Vec<String> = (0..graph.task_count().min(100))
            .map(|task| graph.key_of(TaskIdx(task)))
            .collect();
        self.jobs.lock().insert(
            job,
            Job {
                meta,
                graph,
                watchers,
                given_up: BTreeSet::new(),
            },
        );
        self.reply(
            &submit.reply_to,
            ToGateway::Submitted {
                job,
                result: Ok(JobState::Running),
            },
        )
        .await;
        if keys.iter().any(|key| key.starts_with("fail")) {
            self.end(job, JobState::Failed).await;
        } else if !keys.iter().any(|key| key.starts_with("slow")) {
            self.end(job, JobState::Succeeded).await;
        }
    }

    async fn event(&self, job: JobId, kind: JobEventKind) {
        let event = encode(&JobEvent { at_ms: 1, kind });
        self.commit(&[Write::AppendEvent { job, event }]).await;
    }

    async fn end(&self, job: JobId, state: JobState) {
        let ended = {
            let mut jobs = self.jobs.lock();
            let Some(ended) = jobs.get_mut(&job) else { return };
            ended.meta.state = state;
            ended.meta.ended_ms = Some(ended.meta.accepted_ms + 1);
            ended.meta.counts.ready = 0;
            ended.meta.counts.stored = ended.meta.counts.total;
            if state == JobState::Failed {
                ended.meta.failed_task = Some(TaskIdx(0));
                ended.meta.error = Some(TaskError::new(failure_of(&ended.graph), "it broke"));
            }
            ended.clone()
        };
        let mut writes = vec![Write::SetMeta {
            job,
            meta: encode(&ended.meta),
            expire_after: None,
        }];
        if state == JobState::Succeeded {
            for task in ended.graph.wanted() {
                let entry = entry_of(&ended.graph, task);
                writes.push(Write::PutResult {
                    job,
                    task,
                    entry: encode(&entry),
                });
            }
        }
        self.commit(&writes).await;
        self.event(
            job,
            JobEventKind::State {
                state,
                error: ended.meta.error.clone(),
            },
        )
        .await;
        let answer = answer_of(&ended);
        for watcher in &ended.watchers {
            self.reply(watcher, ToGateway::Ended(Box::new(answer.clone())))
                .await;
        }
    }

    async fn asked(&self, asked: FromGateway) {
        self.asked.lock().push(asked.request.clone());
        if *self.silent.lock() {
            return;
        }
        let result = match asked.request {
            GatewayRequest::Watch { job } => {
                if let Some(known) = self.jobs.lock().get_mut(&job) {
                    known.watchers.push(asked.reply_to.clone());
                }
                self.answer(job)
            }
            GatewayRequest::Job { job } => self.answer(job),
            GatewayRequest::Cancel { job } => {
                if self.runs(job) {
                    self.end(job, JobState::Cancelled).await;
                }
                self.answer(job)
            }
            GatewayRequest::Remove { job } => {
                let answer = self.answer(job);
                self.jobs.lock().remove(&job);
                self.commit(&[Write::DeleteJob { job }]).await;
                answer
            }
            GatewayRequest::Tasks(query) => self.with(query.job, |job| {
                let tasks = (query.from.0..job.graph.task_count()).take(query.limit as usize);
                let next = query.from.0 + query.limit;
                Response::Tasks {
                    tasks: tasks.map(|task| task_answer(job, TaskIdx(task))).collect(),
                    next: (next < job.graph.task_count()).then_some(TaskIdx(next)),
                }
            }),
            GatewayRequest::Task { job, task } => {
                self.with(job, |job| Response::Task(Box::new(task_answer(job, task))))
            }
            GatewayRequest::ReleaseTasks { job, tasks } => self.give_up(job, &tasks).await,
            GatewayRequest::CancelTasks { .. } if *self.is_collecting.lock() => Err(RequestError::Overloaded),
            GatewayRequest::CancelTasks { job, tasks } => match self.runs(job) {
                true => self.give_up(job, &tasks).await,
                false => self.with(job, |_| Response::Changed { tasks: 0 }),
            },
            GatewayRequest::Locate { job, task, .. } if self.has_given_up(job, task) => {
                Err(RequestError::Gone("it was released by its client".to_owned()))
            }
            GatewayRequest::Locate { job, .. } => self.with(job, |_| {
                Response::Location(ObjectLocation::Pending {
                    state: JobState::Recovering,
                })
            }),
            // As a leader of before, which does not know the question.
            GatewayRequest::Layers { job } => Err(RequestError::UnknownJob(job)),
            GatewayRequest::Workers => Ok(Response::Workers(vec![self.worker()])),
            GatewayRequest::Drain { worker } if worker == WORKER => Ok(Response::Done),
            GatewayRequest::Drain { worker } => Err(RequestError::UnknownWorker(worker)),
        };
        self.reply(&asked.reply_to, ToGateway::Response { id: asked.id, result })
            .await;
    }

    fn runs(&self, job: JobId) -> bool {
        let jobs = self.jobs.lock();
        jobs.get(&job)
            .is_some_and(|known| !known.meta.state.is_terminal())
    }

    fn has_given_up(&self, job: JobId, task: TaskIdx) -> bool {
        let jobs = self.jobs.lock();
        jobs.get(&job)
            .is_some_and(|known| known.given_up.contains(&task.0))
    }

    /// Notes tasks that are given up, in the journal as well, and takes their results off the index.
    async fn give_up(&self, job: JobId, tasks: &[u32]) -> Result<Response, RequestError> {
        let (newly, page) = {
            let mut jobs = self.jobs.lock();
            let known = jobs.get_mut(&job).ok_or(RequestError::UnknownJob(job))?;
            let newly = tasks.iter().filter(|task| known.given_up.insert(**task)).count();
            let marked = |task| {
                let is_given_up = known.given_up.contains(&task);
                if is_given_up { StoredTaskState::GIVEN_UP } else { 0 }
            };
            let page: Bytes = (0..known.graph.task_count().min(256)).map(marked).collect();
            (newly as u32, page)
        };
        let pages = vec![(0, page)];
        let removed = tasks.iter().map(|task| TaskIdx(*task));
        let mut writes: Vec<Write> = removed.map(|task| Write::RemoveResult { job, task }).collect();
        writes.push(Write::SetPages { job, pages });
        self.commit(&writes).await;
        Ok(Response::Changed { tasks: newly })
    }

    fn answer(&self, job: JobId) -> Result<Response, RequestError> {
        self.with(job, |job| Response::Job(Box::new(answer_of(job))))
    }

    fn with(&self, job: JobId, make: impl FnOnce(&Job) -> Response) -> Result<Response, RequestError> {
        let jobs = self.jobs.lock();
        jobs.get(&job).map(make).ok_or(RequestError::UnknownJob(job))
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Bytes {
    codec::encode(value).unwrap().into()
}

fn failure_of(graph: &Graph) -> ErrorKind {
    match graph.op_of(TaskIdx(0)).unwrap().kind {
        OpKind::Frame => ErrorKind::InvalidQuery,
        OpKind::Command => ErrorKind::CommandFailed,
        _ => ErrorKind::User,
    }
}

fn value_of(graph: &Graph, task: TaskIdx) -> Bytes {
    match graph.op_of(task).unwrap().kind {
        OpKind::Command => {
            let spec = CommandSpec::from_params(&graph.params_of(task)).unwrap();
            spec.argv[1..].join(" ").into()
        }
        OpKind::Frame => Bytes::from_static(b"[{\"two\":2}]"),
        _ => encode(&42),
    }
}

fn entry_of(graph: &Graph, task: TaskIdx) -> ResultEntry {
    let is_far = graph.key_of(task).starts_with("far");
    ResultEntry {
        task,
        attempt: Attempt::new(Term(1), 1),
        bytes: ByteSize::new(2),
        // Nothing listens on port 1.
        holders: vec![(WORKER, "127.0.0.1:1".to_owned())],
        inline: (!is_far).then(|| value_of(graph, task)),
        is_untold: false,
    }
}

fn answer_of(job: &Job) -> JobAnswer {
    let wanted: Vec<TaskIdx> = job.graph.wanted().collect();
    let is_there = job.meta.state == JobState::Succeeded;
    JobAnswer {
        meta: job.meta.clone(),
        counts: job.meta.counts,
        inline: wanted
            .iter()
            .filter(|_| is_there)
            .filter_map(|task| {
                let value = entry_of(&job.graph, *task).inline?;
                Some(InlineResult {
                    task: *task,
                    key: job.graph.key_of(*task),
                    value,
                })
            })
            .collect(),
        outputs: wanted,
    }
}

fn task_answer(job: &Job, task: TaskIdx) -> TaskAnswer {
    TaskAnswer {
        task: task.0,
        key: job.graph.key_of(task),
        op: "command command".to_owned(),
        state: "stored".to_owned(),
        attempts: 1,
        explain: vec!["its output is held by worker-0".to_owned()],
        ..TaskAnswer::default()
    }
}

impl Shared {
    fn worker(&self) -> WorkerAnswer {
        WorkerAnswer {
            info: WorkerInfo {
                worker: WORKER,
                name: "worker-0".to_owned(),
                host: "here".to_owned(),
                pid: 1,
                data_address: if *self.is_lost.lock() {
                    "127.0.0.1:1".to_owned()
                } else {
                    self.plane.address().to_owned()
                },
                slots: 2,
                memory_limit: ByteSize::from_mib(1),
                resources: ResourceSet::new(),
                version: "0".to_owned(),
            },
            state: "active".to_owned(),
            assigned: 0,
            executing: 0,
            objects: 0,
            silent_ms: 0,
            load: None,
        }
    }
}
