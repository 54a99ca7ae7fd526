//! A make-believe leader: commits jobs, answers gateways, and publishes what workers and itself would.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_bus::{Address, Bus, Delivery, Link, QueueName, QueueSpec};
use millstream_protocol::codec;
use millstream_protocol::envelope::Header;
use millstream_protocol::graph::OpKind;
use millstream_protocol::wire::{
    ClusterSnapshot, ClusterTotals, Datagram, FromGateway, GatewayRequest, Hello, Intake, JobAnswer,
    JobEvent, JobEventKind, JobState, LiveMsg, RequestError, Response, ToGateway, decode_datagrams,
    encode_datagrams,
};
use millstream_state::{Fence, MemoryState, StateStore, Write};
use millstream_types::{ClusterName, JobId, LeaderId, TaskIdx, Term};
use uuid::Uuid;

use super::cluster::{Cluster, now_us};
use super::jobs::{Behaviour, Job};

const STEP: Duration = Duration::from_millis(50);
/// Steps in a second, in which workers tell, and in five, in which the leader does.
const TELL_EVERY: u64 = 20;
const SNAPSHOT_EVERY: u64 = 40;
/// Jobs that run at once.
const AT_ONCE: usize = 2;

struct Leader {
    link: Arc<dyn Link>,
    state: Arc<MemoryState>,
    fence: Fence,
    queue: QueueName,
    cluster: Cluster,
    jobs: Vec<Job>,
    told: Vec<JobState>,
    made: u32,
    tasks: u32,
}

pub(crate) async fn lead(bus: Arc<dyn Bus>, state: Arc<MemoryState>, cluster: Cluster, tasks: u32) {
    let id = LeaderId::from_u128(0xfeed);
    let fence = state
        .acquire_lease(id, Term(0), Duration::from_secs(1 << 20))
        .await
        .unwrap()
        .unwrap()
        .fence;
    let link = bus.connect("feeder").await;
    let queue = bus.names().leader(fence.term, id);
    let mut asked = link.consume(QueueSpec::private(queue.clone())).await.unwrap();
    let mut intake = link.consume(QueueSpec::intake(bus.names(), 16)).await.unwrap();
    let mut leader = Leader {
        link,
        state,
        fence,
        queue,
        cluster,
        jobs: Vec::new(),
        told: Vec::new(),
        made: 0,
        tasks,
    };
    let mut steps = tokio::time::interval(STEP);
    let mut step = 0_u64;
    loop {
        tokio::select! {
            _ = steps.tick() => {
                leader.step(step).await;
                step += 1;
            }
            Some(delivery) = asked.next() => leader.heard(&delivery).await,
            Some(delivery) = intake.next() => {
                leader.took(&delivery).await;
                let _ = delivery.ack().await;
            }
        }
    }
}

impl Leader {
    async fn heard(&mut self, delivery: &Delivery) {
        for item in decode_datagrams(&ClusterName::default(), &delivery.frame)
            .unwrap()
            .items
        {
            if let Datagram::FromGateway(request) = item {
                self.answer(request).await;
            }
        }
    }

    /// Whatever is submitted, a job of our own runs under its id.
    async fn took(&mut self, delivery: &Delivery) {
        for item in decode_datagrams(&ClusterName::default(), &delivery.frame)
            .unwrap()
            .items
        {
            let Datagram::Intake(Intake::Submit(submit)) = item else {
                continue;
            };
            let mut job = Job::group_by(&submit.name, 48, 12_000);
            job.id = submit.job;
            job.meta.job = submit.job;
            job.meta.options = submit.options;
            self.begin(job).await;
            let verdict = ToGateway::Submitted {
                job: submit.job,
                result: Ok(JobState::Running),
            };
            let reply = Address::Queue(submit.reply_to.into());
            self.publish(&reply, Datagram::ToGateway(verdict)).await;
        }
    }

    async fn step(&mut self, step: u64) {
        let now = now_us();
        if step.is_multiple_of(TELL_EVERY) {
            let hello = Hello {
                term: self.fence.term,
                leader: self.fence.leader,
                queue: self.queue.as_str().to_owned(),
            };
            self.publish(&Address::Hello, Datagram::Hello(hello)).await;
            self.keep_busy().await;
        }
        self.cluster.advance(&mut self.jobs, now);
        self.tell_ends().await;
        if step.is_multiple_of(TELL_EVERY) {
            for msg in self.cluster.tell(now) {
                let topic = Address::Live(format!("work.{}", msg.worker));
                self.publish(&topic, Datagram::Live(LiveMsg::Work(Box::new(msg))))
                    .await;
            }
            for at in 0..self.jobs.len() {
                if self.jobs[at].meta.state == JobState::Running {
                    let counts = self.jobs[at].counts();
                    self.event(self.jobs[at].id, JobEventKind::Progress { counts })
                        .await;
                }
            }
        }
        if step.is_multiple_of(SNAPSHOT_EVERY) {
            let open = self.jobs.iter().filter(|job| job.meta.state == JobState::Running);
            let snapshot = ClusterSnapshot {
                term: self.fence.term,
                jobs: open.map(|job| (job.id, (job.meta.state, job.counts()))).collect(),
                workers: self.cluster.snapshots(),
                totals: ClusterTotals::default(),
            };
            let topic = Address::Live("snapshot".to_owned());
            self.publish(&topic, Datagram::Live(LiveMsg::Snapshot(snapshot)))
                .await;
        }
    }

    /// Begins another job when one has ended.
    async fn keep_busy(&mut self) {
        let running = self
            .jobs
            .iter()
            .filter(|job| job.meta.state == JobState::Running)
            .count();
        if running >= AT_ONCE {
            return;
        }
        let width = (self.tasks / 5).max(8);
        let job = match self.made % 5 {
            0 if self.tasks >= 100_000 => {
                Job::map("simulate paths, one million", self.tasks, simulate(20_000))
            }
            0 => Job::group_by("revenue by customer", width.min(400), 9_000),
            1 => Job::hostile(),
            2 => Job::map(
                "fit models",
                width.min(2_000),
                Behaviour {
                    fails: 300,
                    ..simulate(260_000)
                },
            ),
            3 => Job::group_by(
                "SELECT region, sum(price) FROM orders GROUP BY region",
                96,
                14_000,
            ),
            _ => Job::map(
                "resize images",
                width.min(3_000),
                Behaviour {
                    kind: OpKind::Command,
                    name: "command".to_owned(),
                    skewed: 200,
                    ..simulate(90_000)
                },
            ),
        };
        self.made += 1;
        self.begin(job).await;
    }

    async fn begin(&mut self, mut job: Job) {
        job.meta.counts = job.counts();
        let id = job.id;
        let put = Write::PutJob {
            job: id,
            meta: encode(&job.meta),
            graph: job.encoded_graph(),
            created_ms: job.meta.accepted_ms,
        };
        self.state.commit(&self.fence, &[put]).await.unwrap();
        let tasks = job.graph.task_count();
        self.jobs.push(job);
        self.told.push(JobState::Running);
        self.event(id, JobEventKind::Accepted { tasks }).await;
    }

    async fn tell_ends(&mut self) {
        for at in 0..self.jobs.len() {
            if self.jobs[at].meta.state == self.told[at] {
                continue;
            }
            self.told[at] = self.jobs[at].meta.state;
            let counts = self.jobs[at].counts();
            self.jobs[at].meta.counts = counts;
            let meta = self.jobs[at].meta.clone();
            let id = meta.job;
            let write = Write::SetMeta {
                job: id,
                meta: encode(&meta),
                expire_after: None,
            };
            self.state.commit(&self.fence, &[write]).await.unwrap();
            for task in self.jobs[at].failures.clone().into_iter().take(20) {
                let answer = self.jobs[at].task(task, &self.cluster.ids());
                if let Some(error) = answer.error {
                    self.event(
                        id,
                        JobEventKind::TaskFailed {
                            key: answer.key,
                            error,
                        },
                    )
                    .await;
                }
            }
            self.event(id, JobEventKind::Progress { counts }).await;
            self.event(
                id,
                JobEventKind::State {
                    state: meta.state,
                    error: meta.error,
                },
            )
            .await;
        }
    }

    async fn event(&self, job: JobId, kind: JobEventKind) {
        let event = JobEvent {
            at_ms: now_us() / 1_000,
            kind,
        };
        let append = Write::AppendEvent {
            job,
            event: encode(&event),
        };
        self.state.commit(&self.fence, &[append]).await.unwrap();
        let topic = Address::Live(format!("job.{job}"));
        self.publish(&topic, Datagram::Live(LiveMsg::Job { job, event }))
            .await;
    }

    async fn answer(&mut self, asked: FromGateway) {
        let workers = self.cluster.ids();
        let result = match asked.request {
            GatewayRequest::Watch { job } | GatewayRequest::Job { job } | GatewayRequest::Remove { job } => {
                self.find(job).map(|job| job_answer(job))
            }
            GatewayRequest::Cancel { job } => self.find(job).map(|job| {
                job.stop(JobState::Cancelled);
                job_answer(job)
            }),
            GatewayRequest::Tasks(query) => self.find(query.job).map(|job| {
                let total = job.graph.task_count();
                let tasks = (query.from.0..total).map(|task| job.task(task, &workers));
                let fits = tasks.filter(|task| query.state.as_ref().is_none_or(|state| *state == task.state));
                let end = query.from.0.saturating_add(query.limit);
                Response::Tasks {
                    tasks: fits.take(query.limit as usize).collect(),
                    next: (end < total).then_some(TaskIdx(end)),
                }
            }),
            GatewayRequest::Task { job, task } => self
                .find(job)
                .map(|job| Response::Task(Box::new(job.task(task.0, &workers)))),
            GatewayRequest::Layers { job } => self
                .find(job)
                .map(|job| Response::Layers(Box::new(job.layers_answer(&workers)))),
            // Its tasks end by themselves.
            GatewayRequest::ReleaseTasks { job, .. } | GatewayRequest::CancelTasks { job, .. } => {
                self.find(job).map(|_| Response::Changed { tasks: 0 })
            }
            GatewayRequest::Locate { job, .. } => Err(RequestError::UnknownJob(job)),
            GatewayRequest::Workers => Ok(Response::Workers(self.cluster.answers())),
            GatewayRequest::Drain { worker } => {
                match self.cluster.workers.iter_mut().find(|known| known.id == worker) {
                    Some(known) => {
                        known.is_draining = true;
                        Ok(Response::Done)
                    }
                    None => Err(RequestError::UnknownWorker(worker)),
                }
            }
        };
        let reply = ToGateway::Response { id: asked.id, result };
        self.publish(&Address::Queue(asked.reply_to.into()), Datagram::ToGateway(reply))
            .await;
    }

    fn find(&mut self, id: JobId) -> Result<&mut Job, RequestError> {
        let found = self.jobs.iter_mut().find(|job| job.id == id);
        found.ok_or(RequestError::UnknownJob(id))
    }

    async fn publish(&self, to: &Address, message: Datagram) {
        let header = Header::datagram(ClusterName::default(), Uuid::from_u128(1), self.fence.term);
        let frame = encode_datagrams(&header, &[message]).unwrap();
        let _ = self.link.publish(to, frame).await;
    }
}

fn simulate(mean_us: u32) -> Behaviour {
    Behaviour {
        kind: OpKind::Python,
        name: "risk.models:simulate".to_owned(),
        mean_us,
        bytes: 96 << 10,
        fetches: 0,
        fails: 0,
        skewed: 0,
    }
}

fn job_answer(job: &Job) -> Response {
    Response::Job(Box::new(JobAnswer {
        meta: job.meta.clone(),
        counts: job.counts(),
        inline: Vec::new(),
        outputs: Vec::new(),
    }))
}

fn encode<T: serde::Serialize>(value: &T) -> Bytes {
    codec::encode(value).unwrap().into()
}
