//! What must hold after every event. Checked whole by tests and the simulator.

use std::collections::BTreeMap;

use millstream_types::Amount;

use crate::core::SchedulerCore;
use crate::ids::WorkerNo;
use crate::imports;
use crate::job::{Job, TaskState, flag};
use crate::worker::Worker;

impl SchedulerCore {
    /// Checks every invariant against a full recount; returns what is broken. Costs as much as the tables are long.
    pub fn check_invariants(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut given: BTreeMap<WorkerNo, Booked> = BTreeMap::new();
        // What changed since the last poll is brought together in the next one.
        let is_settled = self.cx.imports.is_empty() && self.cx.rolled_back.is_empty();
        for job in self.jobs.iter() {
            if self.jobs.find(job.id) != Some(job.no) {
                broken.push(format!(
                    "{} is not in the row that it names, {:?}",
                    job.id, job.no
                ));
            }
            check_job(job, &mut broken);
            for task in 0..job.cols.len() {
                self.check_place(job, task, &mut given, &mut broken);
            }
            if is_settled && !job.is_raw {
                broken.extend(imports::faults(self, job));
            }
        }
        for worker in self.cx.workers.iter() {
            check_worker(worker, given.get(&worker.no), &mut broken);
        }
        if self.cx.counters.wrong_frees > 0 {
            broken.push(format!(
                "{} objects were freed although somebody needed them",
                self.cx.counters.wrong_frees
            ));
        }
        let inline: usize = self
            .jobs
            .iter()
            .flat_map(|job| job.inline.values())
            .map(|value| value.len())
            .sum();
        if inline as u64 != self.cx.inline_bytes {
            broken.push(format!(
                "{inline} bytes are inlined, {} are counted",
                self.cx.inline_bytes
            ));
        }
        broken
    }

    fn check_place(
        &self,
        job: &Job,
        task: u32,
        given: &mut BTreeMap<WorkerNo, Booked>,
        broken: &mut Vec<String>,
    ) {
        // An import's holders are booked for its source.
        let is_own = !job.cols.has(task, flag::IMPORT);
        for holder in job.holders(task).filter(|_| is_own) {
            let booked = given.entry(holder).or_default();
            booked.objects += 1;
            booked.stored_bytes += job.cols.bytes[task as usize];
            if self.cx.workers[holder].is_gone() {
                broken.push(format!("task {task} of {} is held by a lost worker", job.id));
            }
        }
        if job.cols.state(task) != TaskState::Assigned {
            return;
        }
        let Some(no) = job.cols.worker(task) else {
            broken.push(format!("task {task} of {} is assigned to nobody", job.id));
            return;
        };
        let worker = &self.cx.workers[no];
        let listed = worker
            .given
            .iter()
            .filter(|row| row.job == job.no && row.task == task && row.attempt == job.cols.attempt(task))
            .count();
        if listed != 1 || worker.is_gone() {
            broken.push(format!(
                "task {task} of {} is on worker {no}, whose list has it {listed} times",
                job.id
            ));
        }
        let booked = given.entry(no).or_default();
        if job.cols.has(task, flag::WAITS) {
            booked.waiting += 1;
        } else if job.cols.has(task, flag::LOOKAHEAD) {
            booked.ahead += 1;
        } else {
            booked.queued += 1;
            booked.queue_us += u64::from(job.cols.cost_us[task as usize]);
        }
        booked.expected_bytes += job.cols.bytes[task as usize];
        booked.retracting += u32::from(job.cols.has(task, flag::RETRACTING));
    }
}

#[derive(Debug, Default)]
struct Booked {
    queued: u32,
    ahead: u32,
    waiting: u32,
    queue_us: u64,
    expected_bytes: u64,
    stored_bytes: u64,
    objects: u32,
    retracting: u32,
}

fn check_worker(worker: &Worker, booked: Option<&Booked>, broken: &mut Vec<String>) {
    let none = Booked::default();
    let booked = booked.unwrap_or(&none);
    let mut same = |what: &str, counted: u64, is: u64| {
        if counted != is {
            broken.push(format!(
                "worker {}: {what} is {counted}, recounted {is}",
                worker.no
            ));
        }
    };
    same("queued", u64::from(worker.queued), u64::from(booked.queued));
    same("ahead", u64::from(worker.ahead), u64::from(booked.ahead));
    same("waiting", u64::from(worker.waiting), u64::from(booked.waiting));
    same("queue_us", worker.queue_us, booked.queue_us);
    same("expected_bytes", worker.expected_bytes, booked.expected_bytes);
    same("stored_bytes", worker.stored_bytes, booked.stored_bytes);
    same("objects", u64::from(worker.objects), u64::from(booked.objects));
    same(
        "retracting",
        u64::from(worker.retracting),
        u64::from(booked.retracting),
    );
    let takes_something = worker.taken.iter().any(|(_, amount)| amount > Amount::default());
    if worker.assigned() == 0 && takes_something {
        broken.push(format!("worker {}: resources are taken by nothing", worker.no));
    }
}

fn check_job(job: &Job, broken: &mut Vec<String>) {
    if let Some(breach) = job.cols.breach() {
        broken.push(format!(
            "{} task {}: {:?} became {:?}, which must not be",
            job.id, breach.task, breach.from, breach.to
        ));
    }
    if job.cols.recount() != job.cols.counts {
        broken.push(format!(
            "{}: counts are {:?}, recounted {:?}",
            job.id,
            job.cols.counts,
            job.cols.recount()
        ));
    }
    // A stopped or unsettled job keeps no edge counters.
    if job.is_raw || job.ending.is_some() || job.is_expired {
        return;
    }
    for task in 0..job.cols.len() {
        check_task(job, task, broken);
    }
    if job.is_over() && job.cols.unfinished() > 0 {
        broken.push(format!(
            "{} is over with {} unfinished tasks",
            job.id,
            job.cols.unfinished()
        ));
    }
}

fn check_task(job: &Job, task: u32, broken: &mut Vec<String>) {
    let state = job.cols.state(task);
    if state == TaskState::Replaced {
        // Its readers are counted where they read now.
        return;
    }
    let mut fail = |text: String| broken.push(format!("{} task {task} ({state:?}): {text}", job.id));
    let mut consumed = 0;
    let mut is_awaited = false;
    job.for_each_reader(task, |reader| {
        if job.cols.state(reader).is_done() {
            consumed += 1;
        } else {
            is_awaited = true;
        }
    });
    if consumed != job.cols.consumed[task as usize] {
        fail(format!(
            "{} readers are counted as done, {consumed} are",
            job.cols.consumed[task as usize]
        ));
    }
    if !state.is_done() {
        let mut available = 0;
        job.for_each_input(task, |input| available += u32::from(job.cols.is_held(input)));
        if available != job.cols.available[task as usize] {
            fail(format!(
                "{} inputs are counted as stored, {available} are",
                job.cols.available[task as usize]
            ));
        }
        let has_inputs = job.index.dep_count(&job.graph, task) > 0;
        let is_import = job.cols.has(task, flag::IMPORT);
        if state == TaskState::Waiting && has_inputs && job.is_complete(task) {
            fail("all inputs are stored, and it still waits".to_owned());
        }
        if state == TaskState::Waiting && !has_inputs && !is_import && !job.ready.has_unvisited_root(task) {
            fail("a root that no queue will come to".to_owned());
        }
        if state == TaskState::Ready && !job.is_complete(task) {
            fail("ready without its inputs".to_owned());
        }
    }
    let is_available = !state.is_done() || job.cols.is_held(task);
    if is_awaited && !is_available {
        fail("an unfinished task reads it, and nobody makes or holds it".to_owned());
    }
    let is_wanted = job.cols.has(task, flag::WANTED | flag::EXPORTED);
    if state == TaskState::Stored && !is_wanted && !is_awaited && consumed == job.reader_count(task) {
        fail("it is held for no reason".to_owned());
    }
    let is_lost = matches!(state, TaskState::Released | TaskState::Cancelled);
    if is_wanted && !job.is_over() && is_lost {
        fail("it is wanted, and nobody makes or holds it".to_owned());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use millstream_protocol::codec;
    use millstream_protocol::graph::{GraphBuilder, OpSpec, TaskOptions};
    use millstream_protocol::wire::{GraphSource, JobOptions, SubmitMsg};
    use millstream_types::{ClusterName, ContentKey, JobId, LeaderId, Term};

    use super::*;
    use crate::{Clock, CoreConfig, Identity, SchedulerEvent, SubmittedGraph};

    fn core_with_a_job(id: JobId) -> SchedulerCore {
        let mut graph = GraphBuilder::new();
        let (op, options) = (
            graph.op(OpSpec::native("f")),
            graph.options(TaskOptions::default()),
        );
        let task = graph.task(op, options, b"", &[]);
        graph.want(task);
        let encoded: bytes::Bytes = codec::encode_named(&graph.finish()).unwrap().into();
        let identity = Identity {
            cluster: ClusterName::default(),
            leader: LeaderId::from_u128(1),
            term: Term(1),
            queue: "leader".to_owned(),
        };
        let mut core = SchedulerCore::new(CoreConfig::default(), identity, Clock::default());
        let msg = SubmitMsg {
            job: id,
            body_hash: ContentKey::from_bytes([1; 32]),
            name: "job".to_owned(),
            graph: GraphSource::Inline(encoded.clone()),
            options: JobOptions::default(),
            reply_to: "gateway".to_owned(),
            watch: false,
            submitted_ms: 0,
        };
        core.apply(
            Clock::default(),
            SchedulerEvent::JobSubmitted {
                token: 1,
                msg: Box::new(msg),
                graph: SubmittedGraph::decode(encoded),
            },
        );
        core
    }

    #[test]
    fn an_illegal_change_of_state_is_reported() {
        let id = JobId::from_u128(9);
        let mut core = core_with_a_job(id);
        assert_eq!(core.check_invariants(), Vec::<String>::new());
        let job = core.jobs.by_id_mut(id).unwrap();
        job.cols.set_state(0, TaskState::Failed);
        job.cols.set_state(0, TaskState::Waiting);
        let broken = core.check_invariants();
        assert!(
            broken.iter().any(|text| text.contains("Failed became Waiting")),
            "{broken:?}"
        );
    }
}
