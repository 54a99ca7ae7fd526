//! What a simulated worker's executors do: tasks start, are recalled or killed, and end.

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::ByteSize;
use millstream_worker_core::{StartTask, TaskOutput, TaskRun, WorkerEvent};
use rand::Rng;

use super::{Object, Running, Throws};
use crate::model::{self, DICE, FLAKY, Outcome, STUCK};
use crate::world::{Event, World};

impl World {
    pub(super) fn start_task(&mut self, worker: usize, start: StartTask) {
        let run = start.run;
        self.tell(Some(run.job), || {
            format!("w{worker} starts {}@{} {}", run.task, run.attempt, start.op.name)
        });
        self.report.executions += 1;
        let foreign = start.inputs.iter().filter(|input| input.object.job != run.job);
        self.report.imported += foreign.count() as u64;
        *self.executions.entry((run.job, run.task.0)).or_default() += 1;
        let process = &self.workers[worker];
        let read = start
            .inputs
            .iter()
            .map(|input| process.read(input.object, input.attempt, input.part));
        let Some(inputs) = read.collect::<Option<Vec<_>>>() else {
            let reason = format!("worker w{worker} starts {start:?} without all its inputs in its store");
            self.fail(Some(run.job), reason);
            return;
        };
        let duration = match start.op.name.as_str() {
            STUCK => 10_000_000,
            _ if self.rng.random_bool(0.1) => self.rng.random_range(10_000..400_000),
            _ => self.rng.random_range(50..10_000),
        };
        let before = start
            .after
            .and_then(|before| self.workers[worker].running.get(&before));
        let begins_at = before.map_or(self.now, |before| before.ends_at);
        let ends_at = begins_at + duration;
        let running = Running {
            start,
            inputs,
            begins_at,
            ends_at,
            is_killed: false,
        };
        if self.workers[worker].running.insert(run, running).is_some() {
            self.fail(
                Some(run.job),
                format!("worker w{worker} starts {run:?} twice at once"),
            );
        }
        self.at(ends_at, Event::TaskEnds { worker, run });
        if self.rng.random_bool(0.05) {
            let from = self.rng.random_range(begins_at..=ends_at);
            let to = self.rng.random_range(from..=ends_at);
            let waits = |waits| Event::TaskWaits { worker, run, waits };
            self.at(from, waits(true));
            self.at(to, waits(false));
        }
    }

    /// A task of which others may have the slot, or not any more. Nothing in its job depends on that.
    pub(crate) fn task_waits(&mut self, worker: usize, run: TaskRun, waits: bool) {
        if self.workers[worker].running.contains_key(&run) {
            let what = if waits { "waits in" } else { "goes on with" };
            self.tell(Some(run.job), || {
                format!("w{worker} {what} {}@{}", run.task, run.attempt)
            });
            self.apply_worker(worker, WorkerEvent::TaskWaits { run, waits });
        }
    }

    /// What waits behind another task and has not begun does not begin; what has begun goes on.
    pub(super) fn recall_task(&mut self, worker: usize, run: TaskRun) {
        let running = &mut self.workers[worker].running;
        if running.get(&run).is_some_and(|task| task.begins_at > self.now) {
            running.remove(&run);
            self.tell(Some(run.job), || {
                format!("w{worker} takes back {}@{}", run.task, run.attempt)
            });
            self.apply_worker(worker, WorkerEvent::NotStarted { run });
        }
    }

    pub(super) fn kill_task(&mut self, worker: usize, run: TaskRun) {
        self.tell(Some(run.job), || {
            format!("w{worker} kills {}@{}", run.task, run.attempt)
        });
        let delay = self.rng.random_range(10..20_000);
        let at = self.now + delay;
        if let Some(running) = self.workers[worker].running.get_mut(&run)
            && at < running.ends_at
        {
            running.is_killed = true;
            running.ends_at = at;
            self.at(at, Event::TaskEnds { worker, run });
        }
    }

    pub(crate) fn task_ends(&mut self, worker: usize, run: TaskRun) {
        let running = &mut self.workers[worker].running;
        if running
            .get(&run)
            .is_none_or(|running| running.ends_at != self.now)
        {
            return;
        }
        let Some(running) = running.remove(&run) else {
            return;
        };
        let event = if running.is_killed {
            failure(run, ErrorKind::Cancelled)
        } else {
            self.execute(worker, &running.start, &running.inputs)
        };
        self.tell(Some(run.job), || {
            format!(
                "w{worker} ended {}@{}: {}",
                run.task,
                run.attempt,
                name_of(&event)
            )
        });
        self.apply_worker(worker, event);
    }

    /// What an executor would do, and say.
    fn execute(&mut self, worker: usize, start: &StartTask, inputs: &[Object]) -> WorkerEvent {
        let run = start.run;
        let is_first = self.executions.get(&(run.job, run.task.0)) == Some(&1);
        if start.op.name == FLAKY && is_first {
            return failure(run, ErrorKind::User);
        }
        let mut parents = BTreeMap::new();
        for input in inputs {
            for (task, attempt) in input.parents.iter() {
                let known = parents.insert(*task, *attempt);
                if known.is_some_and(|known| known != *attempt) && !self.has_lost_journal {
                    self.fail(
                        Some(run.job),
                        format!("{run:?} reads two generations of task {task:?}: {known:?} and {attempt:?}"),
                    );
                }
            }
        }
        let nonce = self.rng.random();
        if start.op.name == DICE {
            parents.insert((run.job, run.task.0), run.attempt);
        }
        let values: Vec<_> = inputs.iter().map(|input| input.value).collect();
        let outcome = model::run(&start.op, &start.params, start.index, &values, nonce);
        self.conclude(worker, start, outcome, Rc::new(parents))
    }

    fn conclude(
        &mut self,
        worker: usize,
        start: &StartTask,
        outcome: Outcome,
        parents: Rc<Throws>,
    ) -> WorkerEvent {
        let run = start.run;
        let duration_us = self.rng.random_range(50..10_000);
        let deps: Vec<_> = start
            .inputs
            .iter()
            .map(|input| model::dep(input.task, input.part))
            .collect();
        match outcome {
            Outcome::Fails => failure(run, ErrorKind::User),
            Outcome::Value(value) => WorkerEvent::TaskFinished {
                run,
                output: self.put(worker, start, value, parents),
                duration_us,
                log: None,
            },
            Outcome::Grows(growth) => WorkerEvent::TaskExtended {
                run,
                output: None,
                extension: Box::new(growth.extension(&deps, true)),
                duration_us,
                log: None,
            },
            Outcome::Sprouts(value, growth) => WorkerEvent::TaskExtended {
                run,
                output: Some(self.put(worker, start, value, parents)),
                extension: Box::new(growth.extension(&deps, false)),
                duration_us,
                log: None,
            },
        }
    }

    fn put(&mut self, worker: usize, start: &StartTask, value: u64, parents: Rc<Throws>) -> TaskOutput {
        let bytes = 8 + value % 600;
        let made = (start.run.job, start.run.task.0, start.run.attempt);
        self.throws.insert(made, parents.clone());
        let key = (start.run.job, start.run.task.0, start.run.attempt, None);
        let object = Object {
            value,
            bytes,
            parents,
        };
        self.workers[worker].store.insert(key, object);
        TaskOutput {
            bytes: ByteSize::new(bytes),
            inline: (start.inline && !value.is_multiple_of(3)).then(|| model::encode_value(value)),
            parts: 0,
        }
    }
}

fn failure(run: TaskRun, kind: ErrorKind) -> WorkerEvent {
    WorkerEvent::TaskFailed {
        run,
        error: Box::new(TaskError::new(kind, "simulated")),
        duration_us: 100,
        log: None,
    }
}

const fn name_of(event: &WorkerEvent) -> &'static str {
    match event {
        WorkerEvent::TaskFinished { .. } => "finished",
        WorkerEvent::TaskExtended { .. } => "extended",
        _ => "failed",
    }
}
