//! Make-believe workers: slots that run tasks by the clock, and what they would tell.

use std::time::{SystemTime, UNIX_EPOCH};

use millstream_protocol::wire::{
    HeartbeatMsg, OpLabel, OpTotal, OutputLine, SpanColumns, SpanKind, TransferTotal, WorkMsg, WorkerAnswer,
    WorkerInfo, WorkerSnapshot,
};
use millstream_types::{ByteSize, JobId, ResourceSet, TaskIdx, WorkerId};

use super::jobs::Job;

/// Spans in one message: as many as a worker sends.
const MAX_SPANS: usize = 256;
const LIMIT: u64 = 8 << 30;

pub(crate) struct Slot {
    running: Option<(usize, usize, u32)>,
    began_us: u64,
    ends_us: u64,
    free_us: u64,
}

pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) name: String,
    pub(crate) is_draining: bool,
    slots: Vec<Slot>,
    stored: u64,
    fetched: u64,
    served: u64,
    busy_us: u64,
    msg: WorkMsg,
}

pub(crate) struct Cluster {
    pub(crate) workers: Vec<Worker>,
    random: u64,
}

/// Unix microseconds.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

impl Cluster {
    pub(crate) fn new(workers: u32, slots: u32) -> Self {
        let worker = |n: u32| {
            let id = WorkerId::from_u128(u128::from(n) + 0x5eed_0000);
            let slot = || Slot {
                running: None,
                began_us: 0,
                ends_us: 0,
                free_us: 0,
            };
            Worker {
                id,
                name: format!("worker-{n}"),
                is_draining: false,
                slots: (0..slots).map(|_| slot()).collect(),
                stored: 0,
                fetched: 0,
                served: 0,
                busy_us: 0,
                msg: empty(id, n, slots),
            }
        };
        Self {
            workers: (0..workers).map(worker).collect(),
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    pub(crate) fn ids(&self) -> Vec<WorkerId> {
        self.workers.iter().map(|worker| worker.id).collect()
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Lets every slot run up to now.
    pub(crate) fn advance(&mut self, jobs: &mut [Job], now: u64) {
        for at in 0..self.workers.len() {
            for slot in 0..self.workers[at].slots.len() {
                self.advance_slot(jobs, at, slot, now);
            }
        }
    }

    fn advance_slot(&mut self, jobs: &mut [Job], at: usize, slot: usize, now: u64) {
        loop {
            let state = &self.workers[at].slots[slot];
            match state.running {
                Some(_) if state.ends_us > now => return,
                Some((job, layer, task)) => self.finish(&mut jobs[job], at, slot, (layer, task)),
                None if self.workers[at].is_draining => return,
                None => {
                    let turn = self.random() as usize % jobs.len().max(1);
                    let count = jobs.len();
                    let found = (0..count)
                        .map(|n| (turn + n) % count)
                        .find_map(|job| jobs[job].next().map(|(layer, task)| (job, layer, task)));
                    let Some((job, layer, task)) = found else {
                        self.workers[at].slots[slot].free_us = now;
                        return;
                    };
                    self.start(&jobs[job], at, slot, (job, layer, task), now);
                }
            }
        }
    }

    fn start(&mut self, job: &Job, at: usize, slot: usize, run: (usize, usize, u32), now: u64) {
        let behaviour = job.layers[run.1].behaviour.clone();
        let spread = 0.6 + (self.random() % 1_000) as f64 / 1_000.0;
        let is_skewed = behaviour.skewed > 0 && self.random().is_multiple_of(u64::from(behaviour.skewed));
        let duration = f64::from(behaviour.mean_us) * spread * if is_skewed { 12.0 } else { 1.0 };
        let free = self.workers[at].slots[slot].free_us;
        let mut began = free.max(now.saturating_sub(100_000)) + 80;
        if behaviour.fetches > 0 {
            let us = behaviour.fetches / 900;
            let peer = self.random() as usize % self.workers.len();
            if peer != at {
                self.fetch(at, peer, slot, (job.id, run, behaviour.fetches, us), began + us);
                began += us;
            }
        }
        let state = &mut self.workers[at].slots[slot];
        state.running = Some(run);
        state.began_us = began;
        state.ends_us = began + duration as u64;
    }

    fn fetch(
        &mut self,
        at: usize,
        peer: usize,
        slot: usize,
        what: (JobId, (usize, usize, u32), u64, u64),
        end: u64,
    ) {
        let (job, (_, _, task), bytes, us) = what;
        let from = self.workers[peer].id;
        self.workers[peer].served += bytes;
        let worker = &mut self.workers[at];
        worker.fetched += bytes;
        let op = label(
            &mut worker.msg,
            &OpLabel {
                kind: millstream_protocol::graph::OpKind::Native,
                name: "fetch".to_owned(),
            },
        );
        push(
            &mut worker.msg,
            SpanKind::Fetch,
            slot,
            job,
            op,
            task,
            (end, us, bytes),
        );
        match worker.msg.transfers.iter_mut().find(|told| told.from == from) {
            Some(told) => {
                told.objects += 1;
                told.bytes += ByteSize::new(bytes);
                told.busy_us += us;
            }
            None => worker.msg.transfers.push(TransferTotal {
                from,
                objects: 1,
                bytes: ByteSize::new(bytes),
                busy_us: us,
            }),
        }
    }

    fn finish(&mut self, job: &mut Job, at: usize, slot: usize, run: (usize, u32)) {
        let (layer, task) = run;
        let behaviour = job.layers[layer].behaviour.clone();
        let failed = behaviour.fails > 0 && self.random().is_multiple_of(u64::from(behaviour.fails));
        let chance = self.random() % 40;
        let worker = &mut self.workers[at];
        let state = &mut worker.slots[slot];
        let (began, end) = (state.began_us, state.ends_us);
        state.running = None;
        state.free_us = end;
        worker.busy_us += end - began;
        worker.stored = (worker.stored + behaviour.bytes).min(LIMIT * 9 / 10);
        let op = label(
            &mut worker.msg,
            &OpLabel {
                kind: behaviour.kind,
                name: behaviour.name.clone(),
            },
        );
        let kind = if failed { SpanKind::Failed } else { SpanKind::Run };
        let bytes = if failed { 0 } else { behaviour.bytes };
        push(
            &mut worker.msg,
            kind,
            slot,
            job.id,
            op,
            task,
            (end, end - began, bytes),
        );
        let job_at = job_index(&mut worker.msg, job.id);
        count(&mut worker.msg, job_at, op, failed, end - began, bytes);
        if chance == 0 && worker.msg.lines.len() < 4 {
            worker.msg.lines.push(OutputLine {
                job: job_at,
                task: TaskIdx(task),
                text: format!(
                    "{}: {} rows written in {} ms",
                    behaviour.name,
                    1_000 + task * 7,
                    (end - began) / 1_000
                ),
            });
        }
        job.end(layer, task, failed);
    }

    /// What every worker tells of the second that ends.
    pub(crate) fn tell(&mut self, now: u64) -> Vec<WorkMsg> {
        let mut told = Vec::with_capacity(self.workers.len());
        for (n, worker) in (0_u32..).zip(&mut self.workers) {
            let fresh = empty(worker.id, n, worker.slots.len() as u32);
            let mut msg = std::mem::replace(&mut worker.msg, fresh);
            msg.at_us = now;
            for ago in msg.spans.ended_ago_us.iter_mut() {
                // Kept as the end's low bits until the message's time is known.
                *ago = (now as u32).wrapping_sub(*ago).min(5_000_000);
            }
            let executing = worker.slots.iter().filter(|slot| slot.running.is_some()).count();
            worker.stored -= worker.stored / 4;
            msg.load = Some(load(worker, executing as u32));
            worker.busy_us = 0;
            told.push(msg);
        }
        told
    }

    pub(crate) fn snapshots(&self) -> Vec<WorkerSnapshot> {
        let snapshot = |worker: &Worker| WorkerSnapshot {
            worker: worker.id,
            name: worker.name.clone(),
            state: if worker.is_draining { "draining" } else { "active" }.to_owned(),
            assigned: 2,
            load: Some(load(worker, 0)),
            host: format!("node-{}", worker.id.as_u128() % 16),
            slots: worker.slots.len() as u32,
            memory_limit: ByteSize::new(LIMIT),
            executing: 0,
            objects: (worker.stored >> 20) as u32,
        };
        self.workers.iter().map(snapshot).collect()
    }

    pub(crate) fn answers(&self) -> Vec<WorkerAnswer> {
        let answer = |worker: &Worker| WorkerAnswer {
            info: WorkerInfo {
                worker: worker.id,
                name: worker.name.clone(),
                host: "node".to_owned(),
                pid: 1,
                data_address: "127.0.0.1:1".to_owned(),
                slots: worker.slots.len() as u32,
                memory_limit: ByteSize::new(LIMIT),
                resources: ResourceSet::new(),
                version: "0".to_owned(),
            },
            state: if worker.is_draining { "draining" } else { "active" }.to_owned(),
            assigned: 0,
            executing: 0,
            objects: 0,
            silent_ms: 0,
            load: None,
        };
        self.workers.iter().map(answer).collect()
    }
}

fn load(worker: &Worker, executing: u32) -> HeartbeatMsg {
    let spilled = worker.stored.saturating_sub(LIMIT * 6 / 10);
    HeartbeatMsg {
        stored: ByteSize::new(worker.stored - spilled),
        spilled: ByteSize::new(spilled),
        process: ByteSize::new(
            worker.stored - spilled + (300 << 20) + (worker.id.as_u128() as u64 % 9) * (40 << 20),
        ),
        cpu_milli: u32::try_from(worker.busy_us / 1_000)
            .unwrap()
            .min(worker.slots.len() as u32 * 1_000),
        paused: false,
        queued: executing * 2,
        executing,
        fetched: ByteSize::new(worker.fetched),
        served: ByteSize::new(worker.served),
    }
}

fn empty(worker: WorkerId, n: u32, slots: u32) -> WorkMsg {
    WorkMsg {
        worker,
        name: format!("worker-{n}"),
        at_us: 0,
        covers_us: 1_000_000,
        slots,
        memory_limit: ByteSize::new(LIMIT),
        load: None,
        jobs: Vec::new(),
        ops: Vec::new(),
        totals: Vec::new(),
        spans: SpanColumns::default(),
        skipped: 0,
        transfers: Vec::new(),
        lines: Vec::new(),
    }
}

fn label(msg: &mut WorkMsg, label: &OpLabel) -> u16 {
    let at = msg
        .ops
        .iter()
        .position(|known| known == label)
        .unwrap_or_else(|| {
            msg.ops.push(label.clone());
            msg.ops.len() - 1
        });
    at as u16
}

fn job_index(msg: &mut WorkMsg, job: JobId) -> u16 {
    let at = msg
        .jobs
        .iter()
        .position(|known| *known == job)
        .unwrap_or_else(|| {
            msg.jobs.push(job);
            msg.jobs.len() - 1
        });
    at as u16
}

fn push(
    msg: &mut WorkMsg,
    kind: SpanKind,
    slot: usize,
    job: JobId,
    op: u16,
    task: u32,
    what: (u64, u64, u64),
) {
    if msg.spans.kinds.len() >= MAX_SPANS {
        msg.skipped += 1;
        return;
    }
    let (end, us, bytes) = what;
    let job = job_index(msg, job);
    let spans = &mut msg.spans;
    spans.kinds.push(kind.code());
    spans.slots.push(slot as u16);
    spans.jobs.push(job);
    spans.ops.push(op);
    spans.tasks.push(task);
    spans.ended_ago_us.push(end as u32);
    spans.durations_us.push(us as u32);
    spans.bytes.push(bytes);
}

fn count(msg: &mut WorkMsg, job: u16, op: u16, failed: bool, us: u64, bytes: u64) {
    let at = msg
        .totals
        .iter()
        .position(|total| total.job == job && total.op == op);
    let at = at.unwrap_or_else(|| {
        msg.totals.push(OpTotal {
            job,
            op,
            ..OpTotal::default()
        });
        msg.totals.len() - 1
    });
    let total = &mut msg.totals[at];
    total.finished += u32::from(!failed);
    total.failed += u32::from(failed);
    total.busy_us += us;
    total.bytes += ByteSize::new(bytes);
}
