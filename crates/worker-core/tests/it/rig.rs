//! A worker core, a leader's session, and exact expectations.

use std::time::Duration;

use millstream_protocol::columns::{BytesColumnBuilder, U32s};
use millstream_protocol::envelope::{decode_header, decode_items};
use millstream_protocol::graph::{ExplicitLayer, OpSpec, TaskOptions};
use millstream_protocol::session::{Session, Verdict};
use millstream_protocol::wire::{
    AssignJob, AssignMsg, FromWorker, Hello, OpsMsg, PeerInfo, RegisterMsg, ReturnOutcome, ToWorker,
    WorkerInfo,
};
use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::{
    Attempt, ByteSize, ClusterName, JobId, LeaderId, ObjectId, ResourceSet, TaskIdx, Term, Timestamp,
    WorkerId,
};
use millstream_worker_core::{
    MemoryLevel, MemoryReport, TaskOutput, TaskRun, WorkerConfig, WorkerCore, WorkerEffect, WorkerEvent,
};
use uuid::Uuid;

pub(crate) const WORKER: WorkerId = WorkerId::from_u128(7);
pub(crate) const JOB: JobId = JobId::from_u128(1);
pub(crate) const TERM: Term = Term(1);

pub(crate) struct Rig {
    pub(crate) core: WorkerCore,
    pub(crate) now: Timestamp,
    pub(crate) session: Option<Session>,
    pub(crate) register: Option<RegisterMsg>,
    /// Whether the leader acknowledges at once what it receives.
    pub(crate) acks: bool,
}

/// What came of a poll.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Step {
    pub(crate) effects: Vec<WorkerEffect>,
    pub(crate) said: Vec<FromWorker>,
}

/// A dependency of a row: task, attempt number, holders, bytes, part.
#[derive(Clone)]
pub(crate) struct Dep {
    pub(crate) task: u32,
    pub(crate) n: u32,
    pub(crate) holders: Vec<u32>,
    pub(crate) bytes: u64,
    pub(crate) part: u32,
    /// The object, where another job made it.
    pub(crate) foreign: Option<ObjectId>,
}

/// The output of `task`'s run `n`, made on this worker.
pub(crate) fn local(task: u32, n: u32) -> Dep {
    remote(task, n, &[], 10)
}

/// The output of `task`'s run `n`, held by peers.
pub(crate) fn remote(task: u32, n: u32, holders: &[u32], bytes: u64) -> Dep {
    Dep {
        task,
        n,
        holders: holders.to_vec(),
        bytes,
        part: ExplicitLayer::WHOLE,
        foreign: None,
    }
}

pub(crate) struct Row {
    pub(crate) task: u32,
    pub(crate) n: u32,
    pub(crate) options: u16,
    pub(crate) priority: u64,
    pub(crate) inline: bool,
    pub(crate) deps: Vec<Dep>,
}

pub(crate) fn row(task: u32, deps: &[Dep]) -> Row {
    Row {
        task,
        n: 1,
        options: 0,
        priority: u64::from(task),
        inline: false,
        deps: deps.to_vec(),
    }
}

pub(crate) fn attempt(n: u32) -> Attempt {
    Attempt::new(TERM, n)
}

pub(crate) fn run(task: u32, n: u32) -> TaskRun {
    TaskRun {
        job: JOB,
        task: TaskIdx(task),
        attempt: attempt(n),
    }
}

pub(crate) fn assign(rows: &[Row]) -> ToWorker {
    let mut msg = AssignMsg {
        job: AssignJob(JOB),
        ..AssignMsg::default()
    };
    let mut params = BytesColumnBuilder::default();
    msg.dep_offsets.push(0);
    msg.holder_offsets.push(0);
    for row in rows {
        msg.tasks.push(row.task);
        msg.attempts.push(attempt(row.n).packed());
        msg.ops.push(0);
        msg.options.push(row.options);
        msg.priorities.push(row.priority);
        msg.flags.push(u16::from(row.inline));
        params.push(&row.task.to_le_bytes());
        for dep in &row.deps {
            if let Some(object) = dep.foreign {
                msg.foreign.push(object);
            }
            let row = dep.foreign.map_or(0, |_| msg.foreign.len() as u32);
            msg.dep_foreign.push(row);
            msg.dep_tasks.push(dep.task);
            msg.dep_parts.push(dep.part);
            msg.dep_attempts.push(attempt(dep.n).packed());
            msg.dep_bytes.push(dep.bytes);
            msg.holders.extend(&dep.holders);
            msg.holder_offsets.push(msg.holders.len() as u32);
        }
        msg.dep_offsets.push(msg.dep_tasks.len() as u32);
    }
    if msg.foreign.is_empty() {
        // As leaders send it: columns that say nothing are left out, both or none.
        msg.dep_foreign = U32s::default();
    }
    msg.params = params.finish();
    ToWorker::Assign(Box::new(msg))
}

/// One operation and the given options.
pub(crate) fn ops(options: Vec<TaskOptions>) -> ToWorker {
    ToWorker::Ops(OpsMsg {
        job: JOB,
        first_op: 0,
        ops: vec![OpSpec::native("f")],
        first_options: 0,
        options,
        label: "job".into(),
    })
}

pub(crate) fn peer(number: u32) -> PeerInfo {
    PeerInfo {
        number,
        worker: WorkerId::from_u128(100 + u128::from(number)),
        data_address: format!("peer-{number}:1"),
        host: "elsewhere".into(),
    }
}

pub(crate) fn hello(term: u32) -> Hello {
    Hello {
        term: Term(term),
        leader: LeaderId::from_u128(u128::from(term) + 1000),
        queue: format!("leader.{term}"),
    }
}

pub(crate) fn object(task: u32) -> ObjectId {
    ObjectId::new(JOB, TaskIdx(task))
}

pub(crate) fn dropped(task: u32, n: u32) -> WorkerEffect {
    WorkerEffect::DropObject {
        object: object(task),
        attempt: attempt(n),
        part: None,
    }
}

impl Rig {
    /// A worker without a leader that starts one task for each slot.
    pub(crate) fn alone(slots: u32) -> Self {
        Self::alone_with(slots, Duration::ZERO)
    }

    fn alone_with(slots: u32, lane: Duration) -> Self {
        let info = WorkerInfo {
            worker: WORKER,
            name: "w".into(),
            host: "here".into(),
            pid: 1,
            data_address: "here:1".into(),
            slots,
            memory_limit: ByteSize::new(1000),
            resources: ResourceSet::new(),
            version: "1".into(),
        };
        let config = WorkerConfig {
            lane,
            lane_bytes: info.memory_limit,
            ..WorkerConfig::for_memory(info.memory_limit)
        };
        let now = Timestamp::from_micros(1_000_000);
        Self {
            core: WorkerCore::new(config, info, ClusterName::default(), now),
            now,
            session: None,
            register: None,
            acks: true,
        }
    }

    /// A worker in session with a leader of term 1 that has sent the job's tables and two peers.
    pub(crate) fn in_session(slots: u32) -> Self {
        Self::open(Self::alone(slots))
    }

    /// The same for a worker that hands over tasks for this long at once.
    pub(crate) fn with_lanes(slots: u32, lane: Duration) -> Self {
        Self::open(Self::alone_with(slots, lane))
    }

    fn open(mut rig: Self) -> Self {
        rig.apply(WorkerEvent::LinkUp {
            queue_base: "w".into(),
        });
        rig.apply(WorkerEvent::Hello(hello(1)));
        rig.step();
        rig.tell(&[
            ops(vec![TaskOptions::default()]),
            ToWorker::Peers(vec![peer(0), peer(1)]),
        ]);
        assert_eq!(rig.step(), Step::default());
        rig
    }

    pub(crate) fn apply(&mut self, event: WorkerEvent) {
        self.core.apply(self.now, event);
        self.core.check_invariants().unwrap();
    }

    /// Sends items in one batch.
    pub(crate) fn tell(&mut self, items: &[ToWorker]) {
        let session = self.session.as_mut().unwrap();
        for item in items {
            session.push(item).unwrap();
        }
        let frame = session.poll().unwrap();
        self.apply(WorkerEvent::LeaderFrame(frame));
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.apply(WorkerEvent::Tick);
    }

    pub(crate) fn finish(&mut self, task: u32, n: u32) {
        self.finish_with(task, n, None);
    }

    pub(crate) fn finish_with(&mut self, task: u32, n: u32, inline: Option<&'static [u8]>) {
        self.apply(WorkerEvent::TaskFinished {
            run: run(task, n),
            output: TaskOutput {
                bytes: ByteSize::new(10),
                inline: inline.map(Into::into),
                parts: 0,
            },
            duration_us: 5,
            log: None,
        });
    }

    pub(crate) fn fail(&mut self, task: u32, n: u32) {
        self.apply(WorkerEvent::TaskFailed {
            run: run(task, n),
            error: Box::new(TaskError::new(ErrorKind::User, "no")),
            duration_us: 5,
            log: None,
        });
    }

    pub(crate) fn memory(&mut self, level: MemoryLevel, spillable: u64) {
        self.apply(WorkerEvent::MemoryChanged(MemoryReport {
            level,
            spillable: ByteSize::new(spillable),
            ..MemoryReport::default()
        }));
    }

    /// Polls, and reads what leaves as the leader would. Heartbeats and lists of executing tasks are left out.
    pub(crate) fn step(&mut self) -> Step {
        let mut step = self.step_with_all();
        step.said
            .retain(|item| !matches!(item, FromWorker::Heartbeat(_) | FromWorker::Executing(_)));
        step
    }

    pub(crate) fn step_with_all(&mut self) -> Step {
        let mut out = Vec::new();
        self.core.poll(self.now, &mut out);
        self.core.check_invariants().unwrap();
        let mut step = Step::default();
        for effect in out {
            match effect {
                WorkerEffect::Send { frame, .. } => {
                    self.read(&frame, &mut step.said);
                }
                other => step.effects.push(other),
            }
        }
        if self.acks
            && let Some(ack) = self.session.as_mut().and_then(Session::poll)
        {
            self.apply(WorkerEvent::LeaderFrame(ack));
        }
        step
    }

    fn read(&mut self, frame: &[u8], said: &mut Vec<FromWorker>) {
        let (header, items) = decode_header(&ClusterName::default(), frame).unwrap();
        let items: Vec<FromWorker> = decode_items(items).unwrap();
        if let Some(FromWorker::Register(register)) = items.first() {
            let leader = Uuid::from_u128(1000 + u128::from(header.term.0));
            let worker = Uuid::from_u128(WORKER.as_u128());
            let session = Session::new(
                ClusterName::default(),
                leader,
                worker,
                header.term,
                header.session,
            );
            self.session = Some(session);
            self.register = Some(register.clone());
        }
        let verdict = self.session.as_mut().unwrap().accept(&header);
        assert!(
            matches!(verdict, Verdict::Accepted | Verdict::AckOnly),
            "{verdict:?}"
        );
        said.extend(items);
    }

    /// Polls, and expects nothing but that these tasks start.
    pub(crate) fn expect_started(&mut self, runs: &[TaskRun]) {
        let step = self.step();
        assert_eq!(started(&step), runs);
        assert_eq!(step.effects.len(), runs.len(), "{:?}", step.effects);
        assert_eq!(step.said, []);
    }
}

/// The tasks that a step started.
pub(crate) fn started(step: &Step) -> Vec<TaskRun> {
    let starts = step.effects.iter().filter_map(|effect| match effect {
        WorkerEffect::StartTask(start) => Some(start.run),
        _ => None,
    });
    starts.collect()
}

/// All answers of a step: task, attempt number and outcome.
pub(crate) fn returned(step: &Step) -> Vec<(u32, u32, ReturnOutcome)> {
    let mut answers = Vec::new();
    for item in &step.said {
        if let FromWorker::Returned(msg) = item {
            for (i, outcome) in msg.outcomes.iter().enumerate() {
                let attempt = Attempt::from_packed(msg.attempts[i]);
                answers.push((msg.tasks[i], attempt.n, *outcome));
            }
        }
    }
    answers
}

/// All finished tasks of a step.
pub(crate) fn finished(step: &Step) -> Vec<u32> {
    let reports = step.said.iter().filter_map(|item| match item {
        FromWorker::Finished(msg) => Some(msg.tasks.to_vec()),
        _ => None,
    });
    reports.flatten().collect()
}
