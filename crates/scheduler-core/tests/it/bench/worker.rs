//! A worker played by hand.

use std::collections::{BTreeMap, VecDeque};

use millstream_protocol::columns::{U32s, U64s};
use millstream_protocol::envelope::decode_header;
use millstream_protocol::graph::GraphExtension;
use millstream_protocol::session::{Session, Verdict};
use millstream_protocol::wire::*;
use millstream_protocol::{ErrorKind, TaskError};
use millstream_scheduler_core::Identity;
use millstream_types::*;
use uuid::Uuid;

/// A task as it was assigned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) attempt: Attempt,
    pub(crate) op: u16,
    pub(crate) priority: u64,
    pub(crate) index: Option<u32>,
    pub(crate) flags: u16,
    pub(crate) inputs: Vec<Input>,
}

/// An input as it was named in an assignment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    /// What the reader's job calls it.
    pub(crate) task: u32,
    /// The job and the task that made the object.
    pub(crate) object: (JobId, u32),
    pub(crate) attempt: Attempt,
    pub(crate) holders: Vec<WorkerId>,
}

/// A worker that does what the test says.
pub(crate) struct FakeWorker {
    pub(crate) info: WorkerInfo,
    pub(crate) queue: String,
    pub(crate) session: Session,
    pub(crate) number: SessionNo,
    pub(crate) tasks: BTreeMap<(JobId, u32), Row>,
    pub(crate) running: Vec<(JobId, u32)>,
    pub(crate) objects: BTreeMap<(JobId, u32), (Attempt, u64)>,
    pub(crate) peers: BTreeMap<u32, WorkerId>,
    /// Retracts and cancels without an answer: job, task, is a cancel.
    pub(crate) unanswered: Vec<(JobId, u32, bool)>,
    pub(crate) replicate: Vec<ReplicateMsg>,
    pub(crate) forgotten: Vec<JobId>,
    pub(crate) executed: Vec<(JobId, u32)>,
    pub(crate) freed: usize,
    pub(crate) settled: usize,
    pub(crate) is_draining: bool,
    pub(crate) is_shut_down: bool,
    pub(crate) is_dead: bool,
    /// Answers cancels and retracts at once.
    pub(crate) answers: bool,
    /// Checks that everything freed was there.
    pub(crate) strict: bool,
    out: VecDeque<FromWorker>,
}

impl FakeWorker {
    pub(crate) fn new(at: usize, leader: &Identity) -> Self {
        let worker = WorkerId::from_u128(100 + at as u128);
        Self {
            info: WorkerInfo {
                worker,
                name: format!("worker-{at}"),
                host: format!("host-{at}"),
                pid: at as u32,
                data_address: format!("10.0.0.{at}:1"),
                slots: 2,
                memory_limit: ByteSize::from_mib(1024),
                resources: ResourceSet::new(),
                version: "0".to_owned(),
            },
            queue: String::new(),
            session: session(worker, leader, SessionNo(0)),
            number: SessionNo(0),
            tasks: BTreeMap::new(),
            running: Vec::new(),
            objects: BTreeMap::new(),
            peers: BTreeMap::new(),
            unanswered: Vec::new(),
            replicate: Vec::new(),
            forgotten: Vec::new(),
            executed: Vec::new(),
            freed: 0,
            settled: 0,
            is_draining: false,
            is_shut_down: false,
            is_dead: false,
            answers: true,
            strict: true,
            out: VecDeque::new(),
        }
    }

    /// What was said and has not left.
    pub(crate) fn unsaid(&mut self) -> Vec<FromWorker> {
        self.out.iter().cloned().collect()
    }

    /// Begins a session with register and inventory.
    pub(crate) fn open_session(&mut self, leader: &Identity) {
        self.open_session_with(leader, Vec::new());
    }

    /// Begins a session with register, inventory, and reports that nobody acknowledged before the inventory's end.
    pub(crate) fn open_session_with(&mut self, leader: &Identity, reports: Vec<FromWorker>) {
        self.number = self.number.next();
        self.queue = format!("worker.{}.{}.{}", self.info.worker, leader.term, self.number);
        self.session = session(self.info.worker, leader, self.number);
        self.peers.clear();
        self.out.clear();
        self.is_dead = false;
        self.say(FromWorker::Register(RegisterMsg {
            info: self.info.clone(),
            queue: self.queue.clone(),
            session: self.number,
            known_term: leader.term,
        }));
        let inventory = InventoryMsg {
            last: false,
            ..self.inventory()
        };
        self.say(FromWorker::Inventory(inventory));
        self.out.extend(reports);
        self.say(FromWorker::Inventory(InventoryMsg {
            last: true,
            ..InventoryMsg::default()
        }));
    }

    pub(crate) fn inventory(&self) -> InventoryMsg {
        let mut inventory = InventoryMsg {
            last: true,
            ..InventoryMsg::default()
        };
        for ((job, task), (attempt, bytes)) in &self.objects {
            inventory.objects.push(objects(*job, *task, *attempt, *bytes));
        }
        for ((job, task), row) in &self.tasks {
            let list = if self.running.contains(&(*job, *task)) {
                &mut inventory.running
            } else {
                &mut inventory.queued
            };
            list.push(JobAttempts {
                job: *job,
                tasks: U32s(vec![*task]),
                attempts: U64s(vec![row.attempt.packed()]),
            });
        }
        inventory
    }

    pub(crate) fn say(&mut self, item: FromWorker) {
        self.out.push_back(item);
    }

    /// Frames for what was said, as the window allows.
    pub(crate) fn frames(&mut self) -> Vec<bytes::Bytes> {
        if self.is_dead {
            return Vec::new();
        }
        for item in self.out.drain(..) {
            self.session.push(&item).unwrap();
        }
        std::iter::from_fn(|| self.session.poll()).collect()
    }

    /// A frame from the leader.
    pub(crate) fn receive(&mut self, frame: &bytes::Bytes) {
        let cluster = ClusterName::default();
        let (header, items) = decode_header(&cluster, frame).unwrap();
        match self.session.accept(&header) {
            Verdict::AckOnly => {}
            Verdict::Accepted => {
                for item in self.session.read::<ToWorker>(items).unwrap() {
                    self.obey(item);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn obey(&mut self, item: ToWorker) {
        match item {
            ToWorker::Settled => self.settled += 1,
            ToWorker::Ops(_) => {}
            ToWorker::Peers(peers) => {
                self.peers
                    .extend(peers.into_iter().map(|peer| (peer.number, peer.worker)));
            }
            ToWorker::Assign(msg) => self.assigned(&msg),
            ToWorker::Retract { job, tasks } => self.asked(job, &tasks, false),
            ToWorker::Cancel { job, tasks } => self.asked(job, &tasks, true),
            ToWorker::Free { job, tasks, attempts } => {
                for (task, attempt) in tasks.iter().zip(attempts.iter()) {
                    let held = self.objects.get(&(job, *task)).map(|(held, _)| held.packed());
                    if held == Some(*attempt) {
                        self.objects.remove(&(job, *task));
                        self.freed += 1;
                    } else {
                        assert!(
                            !self.strict,
                            "task {task} generation {attempt} was freed, {held:?} is here"
                        );
                    }
                }
            }
            ToWorker::ForgetJob { job } => {
                self.forgotten.push(job);
                self.objects.retain(|(of, _), _| *of != job);
                self.tasks.retain(|(of, _), _| *of != job);
            }
            ToWorker::Replicate(msg) => self.replicate.push(msg),
            ToWorker::Drain => self.is_draining = true,
            ToWorker::Shutdown => self.is_shut_down = true,
        }
    }

    fn assigned(&mut self, msg: &AssignMsg) {
        for (row, task) in msg.tasks.iter().enumerate() {
            let deps = msg.dep_offsets[row] as usize..msg.dep_offsets[row + 1] as usize;
            let inputs = deps.map(|at| {
                let holders = msg.holder_offsets[at] as usize..msg.holder_offsets[at + 1] as usize;
                let holders = msg.holders[holders]
                    .iter()
                    .map(|number| self.peers[number])
                    .collect();
                let task = msg.dep_tasks[at];
                let foreign = msg.dep_foreign.get(at).filter(|row| **row > 0);
                let foreign = foreign.map(|row| msg.foreign[*row as usize - 1]);
                Input {
                    task,
                    object: foreign.map_or((msg.job.0, task), |object| (object.job, object.task.0)),
                    attempt: Attempt::from_packed(msg.dep_attempts[at]),
                    holders,
                }
            });
            let assigned = Row {
                attempt: Attempt::from_packed(msg.attempts[row]),
                op: msg.ops[row],
                priority: msg.priorities[row],
                index: msg.indexes.get(row).copied(),
                flags: msg.flags.get(row).copied().unwrap_or_default(),
                inputs: inputs.collect(),
            };
            let before = self.tasks.insert((msg.job.0, *task), assigned);
            assert!(before.is_none() || !self.strict, "task {task} was assigned twice");
        }
    }

    fn asked(&mut self, job: JobId, tasks: &[u32], is_cancel: bool) {
        for task in tasks {
            self.unanswered.push((job, *task, is_cancel));
        }
        if self.answers {
            self.answer_all();
        }
    }

    /// Answers everything asked, and gives descendants back, as a worker must.
    pub(crate) fn answer_all(&mut self) {
        for (job, task, is_cancel) in std::mem::take(&mut self.unanswered) {
            let is_running = self.running.contains(&(job, task));
            let outcome = match self.tasks.get(&(job, task)) {
                None => ReturnOutcome::Done,
                Some(_) if is_running && !is_cancel => ReturnOutcome::Started,
                Some(_) if is_running => ReturnOutcome::Stopped,
                Some(_) => ReturnOutcome::Returned,
            };
            self.answer(job, task, outcome);
        }
    }

    pub(crate) fn answer(&mut self, job: JobId, task: u32, outcome: ReturnOutcome) {
        self.unanswered
            .retain(|(of, other, _)| (*of, *other) != (job, task));
        let goes = matches!(outcome, ReturnOutcome::Returned | ReturnOutcome::Stopped);
        let attempt = self.tasks.get(&(job, task)).map_or(0, |row| row.attempt.packed());
        self.say(returned(job, task, attempt, outcome));
        if goes {
            self.drop_task(job, task);
        }
    }

    /// Forgets a task, and returns what waits for its output here.
    fn drop_task(&mut self, job: JobId, task: u32) {
        self.tasks.remove(&(job, task));
        self.running.retain(|run| *run != (job, task));
        let waiting: Vec<(u32, u64)> = self
            .tasks
            .iter()
            .filter(|((of, _), row)| {
                *of == job
                    && row.inputs.iter().any(|input| {
                        input.object == (job, task)
                            && input.holders.is_empty()
                            && self
                                .objects
                                .get(&input.object)
                                .is_none_or(|(held, _)| *held != input.attempt)
                    })
            })
            .map(|((_, waiting), row)| (*waiting, row.attempt.packed()))
            .collect();
        for (waiting, attempt) in waiting {
            self.say(returned(job, waiting, attempt, ReturnOutcome::Returned));
            self.drop_task(job, waiting);
        }
    }

    /// Finishes tasks that were assigned.
    pub(crate) fn finish(&mut self, job: JobId, tasks: &[u32], bytes: u64, duration_us: u32) {
        let mut msg = FinishedMsg {
            job,
            tasks: U32s(tasks.to_vec()),
            attempts: U64s::default(),
            bytes: U64s(vec![bytes; tasks.len()]),
            durations_us: U32s(vec![duration_us; tasks.len()]),
            inline: Vec::new(),
        };
        for task in tasks {
            let row = self.tasks.remove(&(job, *task)).unwrap();
            self.running.retain(|run| *run != (job, *task));
            self.objects.insert((job, *task), (row.attempt, bytes));
            self.executed.push((job, *task));
            msg.attempts.push(row.attempt.packed());
        }
        self.say(FromWorker::Finished(msg));
    }

    /// Finishes one task with its value in the report.
    pub(crate) fn finish_inline(&mut self, job: JobId, task: u32, value: &[u8]) {
        self.finish(job, &[task], value.len() as u64, 10);
        if let Some(FromWorker::Finished(msg)) = self.out.back_mut() {
            msg.inline.push((0, bytes::Bytes::copy_from_slice(value)));
        }
    }

    pub(crate) fn extend(&mut self, job: JobId, task: u32, extension: GraphExtension) {
        let row = self.tasks.remove(&(job, task)).unwrap();
        let bytes = ByteSize::new(1);
        self.executed.push((job, task));
        let is_replaced = extension.replacement.is_some();
        if !is_replaced {
            self.objects.insert((job, task), (row.attempt, 1));
        }
        self.say(FromWorker::Extended(ExtendedMsg {
            job,
            task: TaskIdx(task),
            attempt: row.attempt,
            bytes,
            duration_us: 10,
            extension,
        }));
        if is_replaced {
            // What waits for its output here waits for another task now.
            self.drop_task(job, task);
        }
    }

    pub(crate) fn fail(&mut self, job: JobId, task: u32, kind: ErrorKind) {
        let row = self.tasks[&(job, task)].clone();
        self.say(FromWorker::Failed(FailedMsg {
            job,
            task: TaskIdx(task),
            attempt: row.attempt,
            duration_us: 10,
            error: TaskError::new(kind, "it broke"),
        }));
        self.drop_task(job, task);
    }

    pub(crate) fn gone(&mut self, job: JobId, task: u32, input: GoneInput) {
        let row = self.tasks[&(job, task)].clone();
        self.say(FromWorker::Gone(GoneMsg {
            job,
            task: TaskIdx(task),
            attempt: row.attempt,
            inputs: vec![input],
        }));
        self.drop_task(job, task);
    }

    /// Reports these tasks as executing.
    pub(crate) fn execute(&mut self, tasks: &[(JobId, u32)]) {
        self.execute_and_wait(tasks, &[]);
    }

    /// Reports these tasks as executing, and some of them as waiting for others.
    pub(crate) fn execute_and_wait(&mut self, tasks: &[(JobId, u32)], waiting: &[(JobId, u32)]) {
        self.running = tasks.to_vec();
        let list = |rows: &[(JobId, u32)]| {
            let rows = rows.iter().map(|(job, task)| JobAttempts {
                job: *job,
                tasks: U32s(vec![*task]),
                attempts: U64s(vec![self.tasks[&(*job, *task)].attempt.packed()]),
            });
            rows.collect()
        };
        let msg = ExecutingMsg {
            tasks: list(tasks),
            waiting: list(waiting),
        };
        self.say(FromWorker::Executing(msg));
    }

    pub(crate) fn replicated(&mut self) {
        for msg in std::mem::take(&mut self.replicate) {
            let bytes = msg.bytes.as_u64();
            self.objects.insert((msg.job, msg.task.0), (msg.attempt, bytes));
            self.say(FromWorker::Replicated(objects(
                msg.job,
                msg.task.0,
                msg.attempt,
                bytes,
            )));
        }
    }

    pub(crate) fn heartbeat(&mut self) {
        self.say(FromWorker::Heartbeat(self.load()));
    }

    pub(crate) fn load(&self) -> HeartbeatMsg {
        HeartbeatMsg {
            stored: ByteSize::ZERO,
            spilled: ByteSize::ZERO,
            process: ByteSize::from_mib(300),
            cpu_milli: 0,
            paused: false,
            queued: self.tasks.len() as u32,
            executing: self.running.len() as u32,
            fetched: ByteSize::ZERO,
            served: ByteSize::ZERO,
        }
    }

    pub(crate) fn task_list(&self) -> Vec<u32> {
        self.tasks.keys().map(|(_, task)| *task).collect()
    }
}

fn session(worker: WorkerId, leader: &Identity, number: SessionNo) -> Session {
    let uuid = |bits| Uuid::from_u128(bits);
    Session::new(
        ClusterName::default(),
        uuid(worker.as_u128()),
        uuid(leader.leader.as_u128()),
        leader.term,
        number,
    )
}

pub(crate) fn objects(job: JobId, task: u32, attempt: Attempt, bytes: u64) -> JobObjects {
    JobObjects {
        job,
        tasks: U32s(vec![task]),
        attempts: U64s(vec![attempt.packed()]),
        bytes: U64s(vec![bytes]),
    }
}

fn returned(job: JobId, task: u32, attempt: u64, outcome: ReturnOutcome) -> FromWorker {
    FromWorker::Returned(ReturnedMsg {
        job,
        tasks: U32s(vec![task]),
        attempts: U64s(vec![attempt]),
        outcomes: vec![outcome],
    })
}
