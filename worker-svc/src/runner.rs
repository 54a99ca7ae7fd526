//! Runs tasks: native functions on the slots' own threads, Python in processes, everything that waits on a runtime of
//! its own.
//!
//! Each started task ends in exactly one event, whatever happens to it. Heartbeats never share a thread with a task.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_executor::{
    ExecutorSet, Input, LogCapture, PythonMemory, PythonPool, PythonSettings, PythonStacks, PythonWork,
    SlotPool, SlotResults, SlotWork, TaskContext, TaskFailure, TaskResult, Threads,
};
use millstream_protocol::ErrorKind;
use millstream_protocol::graph::{OpKind, OpSpec, TaskOptions};
use millstream_store::{Missing, PutError, Store};
use millstream_transfer::UploadShelf;
use millstream_types::{ByteSize, ObjectId};
use millstream_worker_core::{StartTask, TaskOutput, TaskRun, WorkerEvent};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::uploads;
use crate::work::{TaskEnd, WorkLog};

/// What all tasks of a worker share.
pub(crate) struct TaskEnv {
    pub(crate) store: Store,
    pub(crate) uploads: Option<UploadShelf>,
    pub(crate) executors: ExecutorSet,
    pub(crate) scratch: Arc<Path>,
    pub(crate) host: Arc<str>,
    pub(crate) log_limit: usize,
    pub(crate) inline_limit: ByteSize,
    pub(crate) work: Arc<WorkLog>,
}

/// One task on its way through its slot.
#[derive(Clone)]
pub(crate) struct Started {
    env: Arc<TaskEnv>,
    task: StartTask,
    cancel: CancellationToken,
    log: LogCapture,
    ended: mpsc::UnboundedSender<Ended>,
    taken: Instant,
}

/// How a task ended or gets on, as its core hears it.
pub(crate) struct Ended(pub(crate) WorkerEvent);

/// Starts and stops tasks.
pub(crate) struct Runner {
    env: Arc<TaskEnv>,
    slots: SlotPool<Started>,
    python: PythonPool<Started>,
    waiting: Option<Runtime>,
    waiting_threads: Threads,
    ended: mpsc::UnboundedSender<Ended>,
    running: HashMap<TaskRun, CancellationToken>,
    batch: Vec<Started>,
    python_batch: Vec<Started>,
    /// Whether a task was killed that the Python processes may have.
    killed: bool,
    recalls: HashSet<TaskRun>,
}

impl Runner {
    /// Starts `slots` threads for native functions, as many for Python processes and as many for what waits.
    pub(crate) fn start(
        env: Arc<TaskEnv>,
        slots: usize,
        python: PythonSettings,
    ) -> std::io::Result<(Self, SlotResults<Started>, mpsc::UnboundedReceiver<Ended>)> {
        let (pool, results) = SlotPool::new(slots)?;
        let waiting_threads = Threads::default();
        let (begun, over) = (waiting_threads.clone(), waiting_threads.clone());
        let waiting = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(slots)
            .thread_name("task")
            .on_thread_start(move || begun.join())
            .on_thread_stop(move || over.leave())
            .enable_all()
            .build()?;
        let (ended, ends) = mpsc::unbounded_channel();
        let running = HashMap::new();
        let runner = Self {
            env,
            slots: pool,
            python: PythonPool::new(python, slots)?,
            waiting: Some(waiting),
            waiting_threads,
            ended,
            running,
            batch: Vec::new(),
            python_batch: Vec::new(),
            killed: false,
            recalls: HashSet::new(),
        };
        Ok((runner, results, ends))
    }

    /// The threads that tasks run on, and that start the processes of tasks.
    pub(crate) fn threads(&self) -> Vec<Threads> {
        vec![
            self.slots.threads(),
            self.python.threads(),
            self.waiting_threads.clone(),
        ]
    }

    /// What the Python processes hold.
    pub(crate) fn python_memory(&self) -> PythonMemory {
        self.python.memory()
    }

    /// What the Python tasks execute.
    pub(crate) fn python_stacks(&self) -> PythonStacks {
        self.python.stacks()
    }

    /// Takes a task. Functions wait for [`Runner::flush`].
    pub(crate) fn take(&mut self, task: StartTask) {
        let started = Started {
            cancel: CancellationToken::new(),
            log: LogCapture::new(self.env.log_limit),
            env: self.env.clone(),
            ended: self.ended.clone(),
            taken: Instant::now(),
            task,
        };
        self.running.insert(started.task.run, started.cancel.clone());
        match (started.task.op.kind, &self.waiting) {
            (OpKind::Native, _) => self.batch.push(started),
            (OpKind::Python, _) => self.python_batch.push(started),
            (_, Some(runtime)) => {
                let ended = self.ended.clone();
                runtime.spawn(async move {
                    let _ = ended.send(started.run_waiting().await);
                });
            }
            (_, None) => {}
        }
    }

    /// Hands the functions taken so far to the slots, and takes back what was recalled.
    pub(crate) fn flush(&mut self) {
        self.slots.start(self.batch.drain(..));
        self.python.start(self.python_batch.drain(..));
        if std::mem::take(&mut self.killed) {
            self.python.cancelled();
        }
        if self.recalls.is_empty() {
            return;
        }
        let recalls = std::mem::take(&mut self.recalls);
        let is_meant = |work: &Started| recalls.contains(&work.task.run);
        let mut recalled = self.slots.recall(is_meant);
        recalled.extend(self.python.recall(|work| work.follows() && is_meant(work)));
        for started in recalled {
            let run = started.task.run;
            let _ = self.ended.send(Ended(WorkerEvent::NotStarted { run }));
        }
    }

    /// Takes a task back if it waits behind another one, at the next [`Runner::flush`].
    pub(crate) fn recall(&mut self, run: TaskRun) {
        self.recalls.insert(run);
    }

    /// Lets results be heard that wait for the rest of their row.
    pub(crate) fn tell(&self) {
        self.slots.tell();
    }

    /// Asks a started task to end; it ends with an event like any other.
    pub(crate) fn kill(&mut self, run: TaskRun) {
        if let Some(cancel) = self.running.get(&run) {
            cancel.cancel();
            self.recalls.insert(run);
            self.killed = true;
        }
    }

    /// Forgets a task that has ended.
    pub(crate) fn forget(&mut self, run: TaskRun) {
        self.running.remove(&run);
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        for cancel in self.running.values() {
            cancel.cancel();
        }
        // Not joined: a task that does not listen must not hold up the process's end.
        if let Some(runtime) = self.waiting.take() {
            runtime.shutdown_background();
        }
    }
}

impl SlotWork for Started {
    type Done = Ended;

    fn run(self) -> Ended {
        let began = Instant::now();
        match self.inputs_now() {
            Ok(inputs) => {
                let (ending, context) = self.open(inputs);
                let result = uploads::read(ending.env.uploads.as_ref(), &context)
                    .unwrap_or_else(|| ending.env.executors.native().run_native(&context));
                // Lets go of the inputs before the output takes its room.
                drop(context);
                ending.end(result, began.elapsed())
            }
            Err(failure) => self.ending().end(Err(failure), began.elapsed()),
        }
    }

    fn follows(&self) -> bool {
        self.task.after.is_some()
    }
}

impl PythonWork for Started {
    fn op(&self) -> &Arc<OpSpec> {
        &self.task.op
    }

    fn options(&self) -> &Arc<TaskOptions> {
        &self.task.options
    }

    fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    fn prepare(&self) -> Result<TaskContext, TaskFailure> {
        let inputs = self.inputs_now()?;
        // A copy: a slot that takes the task back prepares it again.
        Ok(self.clone().open(inputs).1)
    }

    fn waits(&self, waits: bool) {
        let run = self.task.run;
        let _ = self.ended.send(Ended(WorkerEvent::TaskWaits { run, waits }));
    }

    fn prepares(&self, text: String) {
        let run = self.task.run;
        let _ = self.ended.send(Ended(WorkerEvent::TaskPrepares { run, text }));
    }

    fn finish(self, result: TaskResult, took: Duration) {
        let ended = self.ended.clone();
        let _ = ended.send(self.ending().end(result, took));
    }
}

impl Started {
    async fn run_waiting(self) -> Ended {
        let began = Instant::now();
        let inputs = match self.inputs().await {
            Ok(inputs) => inputs,
            Err(failure) => return self.ending().end(Err(failure), began.elapsed()),
        };
        let (ending, context) = self.open(inputs);
        let result = match ending.env.executors.get(context.op.kind) {
            Ok(executor) => executor.run(context).await,
            Err(failure) => Err(failure),
        };
        ending.end(result, began.elapsed())
    }

    /// Pins the inputs on a thread that may wait for the disk.
    fn inputs_now(&self) -> Result<Vec<Input>, TaskFailure> {
        let mut inputs = Vec::with_capacity(self.task.inputs.len());
        for input in &self.task.inputs {
            let store = &self.env.store;
            let pinned = match store.try_get(input.object, input.attempt, input.part) {
                Ok(Some(pinned)) => Ok(pinned),
                Ok(None) => futures::executor::block_on(store.get(input.object, input.attempt, input.part)),
                Err(missing) => Err(missing),
            };
            inputs.push(
                pinned
                    .map(Input::from)
                    .map_err(|missing| missing_input(&missing))?,
            );
        }
        Ok(inputs)
    }

    async fn inputs(&self) -> Result<Vec<Input>, TaskFailure> {
        let mut inputs = Vec::with_capacity(self.task.inputs.len());
        for input in &self.task.inputs {
            let pinned = self.env.store.get(input.object, input.attempt, input.part).await;
            inputs.push(
                pinned
                    .map(Input::from)
                    .map_err(|missing| missing_input(&missing))?,
            );
        }
        Ok(inputs)
    }

    /// What is left to do when the task has ended.
    fn ending(self) -> Ending {
        Ending {
            env: self.env,
            run: self.task.run,
            op: self.task.op,
            wants_inline: self.task.inline,
            taken: self.taken,
        }
    }

    /// Takes the task apart into what its executor needs and what comes after it.
    fn open(self, inputs: Vec<Input>) -> (Ending, TaskContext) {
        let Self {
            env,
            task,
            cancel,
            log,
            ended: _,
            taken,
        } = self;
        let op = Arc::clone(&task.op);
        let context = TaskContext {
            job: task.run.job,
            task: task.run.task,
            attempt: task.run.attempt,
            op: task.op,
            options: task.options,
            params: task.params,
            index: task.index,
            inputs,
            cancel,
            log,
            scratch: env.scratch.clone(),
            label: task.label,
            host: env.host.clone(),
        };
        let ending = Ending {
            env,
            run: task.run,
            op,
            wants_inline: task.inline,
            taken,
        };
        (ending, context)
    }
}

/// What happens to a task's result.
struct Ending {
    env: Arc<TaskEnv>,
    run: TaskRun,
    op: Arc<OpSpec>,
    wants_inline: bool,
    /// When it could start.
    taken: Instant,
}

/// What was kept of a result: the output, the tasks that it adds, what the task wrote.
type Kept = (
    TaskOutput,
    Option<Box<millstream_protocol::graph::GraphExtension>>,
    Option<millstream_protocol::wire::TaskLog>,
);

impl Ending {
    /// Stores the output and makes the event of the end.
    fn end(&self, result: TaskResult, took: Duration) -> Ended {
        let run = self.run;
        let duration_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let kept = result.and_then(|output| self.keep(output));
        self.tell(&kept, took);
        let event = match kept {
            Ok((output, None, log)) => WorkerEvent::TaskFinished {
                run,
                output,
                duration_us,
                log,
            },
            Ok((output, Some(extension), log)) => {
                let output = extension.replacement.is_none().then_some(output);
                WorkerEvent::TaskExtended {
                    run,
                    output,
                    extension,
                    duration_us,
                    log,
                }
            }
            Err(failure) => {
                let mut error = failure.error;
                error.host.get_or_insert_with(|| self.env.host.to_string());
                WorkerEvent::TaskFailed {
                    run,
                    error,
                    duration_us,
                    log: failure.log.map(|log| *log),
                }
            }
        };
        Ended(event)
    }

    /// Tells those who watch.
    fn tell(&self, kept: &Result<Kept, TaskFailure>, took: Duration) {
        let (made, log) = match kept {
            Ok((output, _, log)) => (Some(output.bytes), log.as_ref()),
            Err(failure) => (None, failure.log.as_deref()),
        };
        self.env.work.ended(&TaskEnd {
            job: self.run.job,
            task: self.run.task,
            op: &self.op,
            took,
            waited: self.taken.elapsed().saturating_sub(took),
            made,
            log,
        });
    }

    fn keep(&self, output: millstream_executor::TaskOutput) -> Result<Kept, TaskFailure> {
        let log = output.log.map(|log| *log);
        let replaced = output
            .extension
            .as_ref()
            .is_some_and(|extension| extension.replacement.is_some());
        if replaced {
            return Ok((TaskOutput::default(), output.extension, log));
        }
        let inline = self.inline(&output.payload);
        let parts = u32::try_from(output.payload.parts()).unwrap_or(u32::MAX);
        let object = ObjectId::new(self.run.job, self.run.task);
        let bytes = self
            .env
            .store
            .put(object, self.run.attempt, output.payload, output.format)
            .map_err(|error| refused(&error, "the output"))?;
        Ok((TaskOutput { bytes, inline, parts }, output.extension, log))
    }

    fn inline(&self, payload: &millstream_store::Payload) -> Option<Bytes> {
        match payload {
            millstream_store::Payload::Bytes(parts)
                if self.wants_inline
                    && parts.len() == 1
                    && parts[0].len() as u64 <= self.env.inline_limit.as_u64() =>
            {
                parts.first().cloned()
            }
            _ => None,
        }
    }
}

fn missing_input(missing: &Missing) -> TaskFailure {
    TaskFailure::new(
        ErrorKind::Internal,
        format!("an input went away before the task read it: {missing}"),
    )
}

/// The failure of a task for what the store does not take.
pub(crate) fn refused(error: &PutError, what: &str) -> TaskFailure {
    let kind = match error {
        PutError::SpillFailed { .. } => ErrorKind::SpillFailed,
        PutError::TooLarge { .. } | PutError::Full { .. } => ErrorKind::OutOfMemory,
    };
    TaskFailure::new(kind, format!("{what} cannot be stored: {error}"))
}
