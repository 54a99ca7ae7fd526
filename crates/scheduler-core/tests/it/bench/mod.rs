//! A test bench: the real core against workers that are played by hand, through real frames in both directions.
//!
//! Every step checks the core's invariants. Whatever a test does not take from the bench is left over, and
//! [`Bench::nothing_left`] says so.
#![allow(dead_code, reason = "each test binary uses its own part of the bench")]

mod graphs;
mod journal;
mod worker;

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_protocol::codec;
use millstream_protocol::graph::Graph;
use millstream_protocol::wire::*;
use millstream_scheduler_core::*;
use millstream_types::*;

pub(crate) use graphs::*;
pub(crate) use worker::{FakeWorker, objects};

/// The core and everybody it talks to.
pub(crate) struct Bench {
    pub(crate) core: SchedulerCore,
    pub(crate) clock: Clock,
    pub(crate) workers: Vec<FakeWorker>,
    /// Effects that no test has looked at, in order; frames to workers are delivered instead.
    pub(crate) commits: Vec<Commit>,
    pub(crate) replies: Vec<(String, ToGateway)>,
    pub(crate) acks: Vec<u64>,
    pub(crate) published: Vec<LiveMsg>,
    pub(crate) hellos: usize,
    pub(crate) step_down: Option<Term>,
    pub(crate) notes: Vec<Note>,
    /// Frames that the network lost, on request.
    pub(crate) lose_frames_to: Option<usize>,
    pub(crate) checks: bool,
    pub(crate) has_faults: bool,
    pub(crate) next_job: u128,
}

pub(crate) const GATEWAY: &str = "gateway.1";

pub(crate) fn identity(term: u32) -> Identity {
    Identity {
        cluster: ClusterName::default(),
        leader: LeaderId::from_u128(1000 + u128::from(term)),
        term: Term(term),
        queue: format!("millstream.scheduler.{term}"),
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(CoreConfig::default())
    }

    pub(crate) fn with(config: CoreConfig) -> Self {
        Self::of_term(config, 1)
    }

    pub(crate) fn of_term(config: CoreConfig, term: u32) -> Self {
        let clock = Clock {
            now: Timestamp::from_micros(1_000_000_000),
            unix_ms: 1_700_000_000_000,
        };
        let mut bench = Self {
            core: SchedulerCore::new(config, identity(term), clock),
            clock,
            workers: Vec::new(),
            commits: Vec::new(),
            replies: Vec::new(),
            acks: Vec::new(),
            published: Vec::new(),
            hellos: 0,
            step_down: None,
            notes: Vec::new(),
            lose_frames_to: None,
            checks: true,
            has_faults: false,
            next_job: 1,
        };
        bench.apply(SchedulerEvent::BrokerUp);
        bench.step();
        bench
    }

    /// A bench with workers of so many slots each, registered and settled.
    pub(crate) fn with_workers(slots: &[u32]) -> Self {
        let mut bench = Self::new();
        for slots in slots {
            bench.add_worker(*slots);
        }
        bench
    }

    pub(crate) fn add_worker(&mut self, slots: u32) -> usize {
        self.add_worker_of(|info| info.slots = slots)
    }

    pub(crate) fn add_worker_of(&mut self, change: impl FnOnce(&mut WorkerInfo)) -> usize {
        let at = self.workers.len();
        let mut worker = FakeWorker::new(at, self.core.identity());
        change(&mut worker.info);
        self.workers.push(worker);
        self.connect(at);
        at
    }

    /// Opens a new session with the worker's inventory.
    pub(crate) fn connect(&mut self, at: usize) {
        let identity = self.core.identity().clone();
        self.workers[at].open_session(&identity);
        self.deliver_from(at);
        self.step();
    }

    pub(crate) fn apply(&mut self, event: SchedulerEvent) {
        self.core.apply(self.clock, event);
        self.check();
    }

    pub(crate) fn check(&self) {
        if self.checks {
            let broken = self.core.check_invariants();
            assert!(broken.is_empty(), "{broken:#?}");
        }
    }

    /// Sends what a worker has to say.
    pub(crate) fn deliver_from(&mut self, at: usize) {
        for frame in self.workers[at].frames() {
            self.apply(SchedulerEvent::WorkerFrame(frame));
        }
    }

    /// Polls the core until it has nothing to do now, and delivers its frames.
    pub(crate) fn step(&mut self) {
        let mut out = Vec::new();
        loop {
            self.core.poll(self.clock, &mut out);
            self.check();
            if out.is_empty() {
                break;
            }
            for effect in out.drain(..) {
                self.take(effect);
            }
            for at in 0..self.workers.len() {
                self.deliver_from(at);
            }
        }
        let notes = self.core.take_notes();
        self.notes.extend(notes);
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(commit) => self.commits.push(commit),
            Effect::AckIntake { token } => self.acks.push(token),
            Effect::SendToWorker { queue, frame } => {
                let at = self.workers.iter().position(|worker| worker.queue == queue);
                match at {
                    Some(at) if self.lose_frames_to == Some(at) => {}
                    Some(at) => self.workers[at].receive(&frame),
                    None => {}
                }
            }
            Effect::ReplyToGateway { queue, msg } => self.replies.push((queue, msg)),
            Effect::Publish(msg) => self.published.push(msg),
            Effect::SayHello(_) => self.hellos += 1,
            Effect::StepDown { known } => self.step_down = Some(known),
        }
    }

    /// Lets time pass, in steps as small as the core's timers.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.clock.now + duration;
        loop {
            let next = self.core.next_wakeup().unwrap_or(end).max(self.clock.now);
            let to = next.min(end);
            self.clock.unix_ms += to.since(self.clock.now).as_millis() as u64;
            self.clock.now = to;
            self.apply(SchedulerEvent::Tick);
            self.step();
            if to >= end {
                return;
            }
        }
    }

    /// Lets time pass while the named workers send a heartbeat each second.
    pub(crate) fn pass_with(&mut self, duration: Duration, heard: &[usize]) {
        let mut left = duration;
        while !left.is_zero() {
            let part = left.min(Duration::from_secs(1));
            left -= part;
            self.pass(part);
            for at in heard {
                self.workers[*at].heartbeat();
                self.deliver_from(*at);
            }
            self.step();
        }
    }

    pub(crate) fn submission(
        &mut self,
        graph: &Graph,
        options: JobOptions,
    ) -> (JobId, SubmitMsg, SubmittedGraph) {
        let job = JobId::from_u128(self.next_job);
        self.next_job += 1;
        let encoded: bytes::Bytes = codec::encode_named(graph).unwrap().into();
        let msg = SubmitMsg {
            job,
            body_hash: ContentKey::from_bytes([1; 32]),
            name: "job".to_owned(),
            graph: GraphSource::Inline(encoded.clone()),
            options,
            reply_to: GATEWAY.to_owned(),
            watch: true,
            submitted_ms: self.clock.unix_ms,
        };
        (job, msg, SubmittedGraph::decode(encoded).unwrap())
    }

    pub(crate) fn submit(&mut self, graph: &Graph) -> JobId {
        self.submit_with(graph, JobOptions::default())
    }

    pub(crate) fn submit_with(&mut self, graph: &Graph, options: JobOptions) -> JobId {
        let (job, msg, graph) = self.submission(graph, options);
        self.apply(SchedulerEvent::JobSubmitted {
            token: 7,
            msg: Box::new(msg),
            graph: Ok(graph),
        });
        self.step();
        job
    }

    pub(crate) fn ask(&mut self, request: GatewayRequest) -> Result<Response, RequestError> {
        self.apply(SchedulerEvent::GatewayAsked(FromGateway {
            id: 99,
            reply_to: "asker".to_owned(),
            request,
        }));
        self.step();
        let at = self
            .replies
            .iter()
            .position(|(queue, msg)| queue == "asker" && matches!(msg, ToGateway::Response { id: 99, .. }));
        match self.replies.remove(at.unwrap()).1 {
            ToGateway::Response { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn job(&mut self, job: JobId) -> JobAnswer {
        match self.ask(GatewayRequest::Job { job }) {
            Ok(Response::Job(answer)) => *answer,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn state(&mut self, job: JobId) -> JobState {
        self.job(job).meta.state
    }

    pub(crate) fn task(&mut self, job: JobId, task: u32) -> TaskAnswer {
        match self.ask(GatewayRequest::Task {
            job,
            task: TaskIdx(task),
        }) {
            Ok(Response::Task(answer)) => *answer,
            other => panic!("{other:?}"),
        }
    }

    /// Finishes tasks on a worker, with one byte of output each.
    pub(crate) fn finish(&mut self, at: usize, job: JobId, tasks: &[u32]) {
        self.workers[at].finish(job, tasks, 1, 100);
        self.deliver_from(at);
        self.step();
    }

    /// Plays perfect workers until nothing moves. Inputs that are nowhere are reported, if faults are allowed.
    pub(crate) fn run(&mut self) {
        loop {
            let mut moved = false;
            for at in 0..self.workers.len() {
                let gone = self.unfetchable(at);
                assert!(gone.is_empty() || self.has_faults, "{gone:?}");
                moved |= !gone.is_empty();
                for (job, task, input) in gone {
                    if self.workers[at].tasks.contains_key(&(job, task)) {
                        self.workers[at].gone(job, task, input);
                    }
                }
                let ready = self.runnable(at);
                moved |= !ready.is_empty();
                for (job, tasks) in ready {
                    self.workers[at].finish(job, &tasks, 1, 100);
                }
                self.deliver_from(at);
            }
            self.step();
            if !moved {
                return;
            }
        }
    }

    fn is_at(&self, holder: WorkerId, object: (JobId, u32), attempt: Attempt) -> bool {
        self.workers.iter().any(|other| {
            other.info.worker == holder
                && other
                    .objects
                    .get(&object)
                    .is_some_and(|(held, _)| *held == attempt)
        })
    }

    /// The tasks of a worker whose inputs are where the leader said.
    pub(crate) fn runnable(&self, at: usize) -> BTreeMap<JobId, Vec<u32>> {
        let worker = &self.workers[at];
        let mut ready: BTreeMap<JobId, Vec<u32>> = BTreeMap::new();
        for ((job, task), row) in &worker.tasks {
            let mut inputs = row.inputs.iter();
            let is_there = inputs.all(|input| {
                let is_at = |worker| self.is_at(worker, input.object, input.attempt);
                is_at(worker.info.worker) || input.holders.iter().any(|holder| is_at(*holder))
            });
            if is_there {
                ready.entry(*job).or_default().push(*task);
            }
        }
        ready
    }

    /// The tasks of a worker with an input that nobody has whom the leader named.
    fn unfetchable(&self, at: usize) -> Vec<(JobId, u32, GoneInput)> {
        let worker = &self.workers[at];
        let mut gone = Vec::new();
        for ((job, task), row) in &worker.tasks {
            let lost = row.inputs.iter().find(|input| {
                let comes = worker
                    .tasks
                    .get(&input.object)
                    .is_some_and(|row| row.attempt == input.attempt);
                let is_at = |worker| self.is_at(worker, input.object, input.attempt);
                let is_here = comes || is_at(worker.info.worker);
                !is_here && !input.holders.iter().any(|holder| is_at(*holder))
            });
            if let Some(input) = lost {
                let input = GoneInput {
                    task: TaskIdx(input.task),
                    attempt: input.attempt,
                    gone_at: input.holders.clone(),
                    unreachable: vec![],
                };
                gone.push((*job, *task, input));
            }
        }
        gone
    }

    /// Which worker has a task.
    pub(crate) fn holder_of(&self, job: JobId, task: u32) -> Option<usize> {
        self.workers
            .iter()
            .position(|worker| worker.tasks.contains_key(&(job, task)))
    }

    /// Kills a worker: it is not heard any more, the others are, until it is declared lost.
    pub(crate) fn kill(&mut self, at: usize) {
        self.workers[at].queue = "nobody".to_owned();
        self.workers[at].is_dead = true;
        let others: Vec<usize> = (0..self.workers.len())
            .filter(|other| !self.workers[*other].is_dead)
            .collect();
        self.pass_with(Duration::from_secs(12), &others);
    }

    pub(crate) fn ended(&self, job: JobId) -> Option<&JobAnswer> {
        self.replies.iter().find_map(|(_, msg)| match msg {
            ToGateway::Ended(answer) if answer.meta.job == job => Some(&**answer),
            _ => None,
        })
    }

    pub(crate) fn events(&self, job: JobId) -> Vec<JobEventKind> {
        let kinds = self.notes.iter().filter_map(|note| match note {
            Note::Event { job: of, event } if *of == job => Some(event.kind.clone()),
            _ => None,
        });
        kinds.collect()
    }

    /// No worker has a task or an object, and nothing unexpected was sent.
    pub(crate) fn nothing_left(&self) {
        for worker in self.workers.iter().filter(|worker| !worker.is_dead) {
            assert!(worker.tasks.is_empty(), "tasks: {:?}", worker.tasks);
            assert!(worker.objects.is_empty(), "objects: {:?}", worker.objects);
            assert!(
                worker.unanswered.is_empty(),
                "unanswered: {:?}",
                worker.unanswered
            );
        }
        self.check();
    }
}
