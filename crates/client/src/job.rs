//! Jobs as programs write them.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_protocol::api::{Arg, JobRequest, RequestOptions, Span, TableSource, TaskRef, TaskRequest};
use millstream_types::{Amount, JobId};
use serde::Serialize;

use crate::{Error, Session};

/// A job to be submitted: tasks, what they read of each other, and which results are wanted.
#[derive(Debug, Clone, Default)]
pub struct Job {
    request: JobRequest,
    fault: Option<String>,
}

/// Names a task of a [`Job`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskHandle(String);

impl TaskHandle {
    /// The task's key.
    pub fn key(&self) -> &str {
        &self.0
    }
}

/// A task on its way into its job. Dropped without [`TaskBuilder::add`] it is forgotten.
#[derive(Debug)]
#[must_use = "a task joins its job with `add`"]
pub struct TaskBuilder<'j> {
    job: &'j mut Job,
    task: TaskRequest,
}

impl Job {
    /// A job without tasks, called `name` in lists.
    pub fn new(name: impl Into<String>) -> Self {
        let request = JobRequest {
            name: Some(name.into()),
            ..JobRequest::default()
        };
        Self { request, fault: None }
    }

    /// Uses this id, so that a repeated submission is recognised.
    pub fn id(&mut self, id: JobId) -> &mut Self {
        self.request.id = Some(id);
        self
    }

    /// Higher runs first.
    pub fn priority(&mut self, priority: i32) -> &mut Self {
        self.request.options.priority = priority;
        self
    }

    /// Lets the job end with this session; without one it goes on when its client is gone.
    pub fn attach(&mut self, session: &Session) -> &mut Self {
        self.request.options.session = Some(session.id());
        self
    }

    /// The options of the whole job.
    pub fn options(&mut self) -> &mut RequestOptions {
        &mut self.request.options
    }

    /// A task that runs a program; its value is what it writes to standard output.
    pub fn command<A: Into<String>>(&mut self, argv: impl IntoIterator<Item = A>) -> TaskBuilder<'_> {
        let argv = argv
            .into_iter()
            .map(|word| Arg::Literal(word.into().into()))
            .collect();
        self.begin(TaskRequest {
            op: "command".to_owned(),
            argv,
            ..TaskRequest::default()
        })
    }

    /// A task that calls a native function, such as `demo:add`.
    pub fn call(&mut self, function: impl Into<String>) -> TaskBuilder<'_> {
        let function = Some(function.into());
        self.begin(TaskRequest {
            op: "native".to_owned(),
            function,
            ..TaskRequest::default()
        })
    }

    /// A task that runs a query.
    pub fn sql(&mut self, query: impl Into<String>) -> TaskBuilder<'_> {
        let query = Some(query.into());
        self.begin(TaskRequest {
            op: "sql".to_owned(),
            query,
            ..TaskRequest::default()
        })
    }

    /// Wants the result of a task. Without any, the results that no other task reads are wanted.
    pub fn want(&mut self, task: &TaskHandle) -> &mut Self {
        self.request.outputs.push(task.0.clone());
        self
    }

    /// The job as it is sent.
    ///
    /// # Errors
    /// An argument that has no encoding.
    pub fn request(&self) -> Result<JobRequest, Error> {
        match &self.fault {
            Some(fault) => Err(Error::Encode(fault.clone())),
            None => Ok(self.request.clone()),
        }
    }

    fn begin(&mut self, mut task: TaskRequest) -> TaskBuilder<'_> {
        task.key = format!("{}-{}", task.op, self.request.tasks.len());
        TaskBuilder { job: self, task }
    }
}

impl TaskBuilder<'_> {
    /// Names the task.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.task.key = key.into();
        self
    }

    /// Adds a value as the next argument of a function.
    pub fn arg<T: Serialize>(mut self, value: T) -> Self {
        match rmp_value(&value) {
            Ok(value) => self.task.args.push(Arg::Literal(value)),
            Err(reason) => self.job.fault = Some(format!("argument of `{}`: {reason}", self.task.key)),
        }
        self
    }

    /// Adds another task's value as the next argument of a function.
    pub fn input(mut self, task: &TaskHandle) -> Self {
        self.task.args.push(Arg::Task(TaskRef::new(&task.0)));
        self
    }

    /// Adds the path of a file with another task's output as the next argument of a command.
    pub fn file_arg(mut self, task: &TaskHandle) -> Self {
        self.task.argv.push(Arg::Task(TaskRef::new(&task.0)));
        self
    }

    /// Feeds another task's output to a command's standard input.
    pub fn stdin(mut self, task: &TaskHandle) -> Self {
        self.task.stdin = Some(TaskRef::new(&task.0));
        self
    }

    /// Puts another task's output into a command's scratch folder under this name.
    pub fn file(mut self, name: impl Into<String>, task: &TaskHandle) -> Self {
        self.task
            .files_in
            .insert(name.into(), Arg::Task(TaskRef::new(&task.0)));
        self
    }

    /// Waits for another task without reading it.
    pub fn after(mut self, task: &TaskHandle) -> Self {
        self.task.deps.push(task.0.clone());
        self
    }

    /// Adds a table to a query.
    pub fn table(mut self, name: impl Into<String>, path: impl Into<String>) -> Self {
        self.task
            .tables
            .insert(name.into(), TableSource::Path(path.into()));
        self
    }

    /// Sets an environment variable of a command.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let variables: &mut BTreeMap<String, String> = &mut self.task.env.env_vars;
        variables.insert(name.into(), value.into());
        self
    }

    /// Adds the task to its job.
    pub fn add(self) -> TaskHandle {
        let handle = TaskHandle(self.task.key.clone());
        self.job.request.tasks.push(self.task);
        handle
    }
}

/// Options that every kind of task has.
pub trait TaskExt: Sized {
    /// Tries the task again after that many failures of its own.
    #[must_use]
    fn retries(self, retries: u32) -> Self;
    /// Ends the task after this time.
    #[must_use]
    fn timeout(self, timeout: Duration) -> Self;
    /// What the task takes from its worker, such as `("gpu", 1)`.
    #[must_use]
    fn resource(self, name: &str, amount: Amount) -> Self;
}

impl TaskExt for TaskBuilder<'_> {
    fn retries(mut self, retries: u32) -> Self {
        self.task.retries = retries;
        self
    }

    fn timeout(mut self, timeout: Duration) -> Self {
        self.task.timeout = Some(Span(timeout));
        self
    }

    fn resource(mut self, name: &str, amount: Amount) -> Self {
        self.task.resources = self.task.resources.with(name, amount);
        self
    }
}

fn rmp_value<T: Serialize>(value: &T) -> Result<rmpv::Value, String> {
    let bytes = rmp_serde::to_vec_named(value).map_err(|error| error.to_string())?;
    rmp_serde::from_slice(&bytes).map_err(|error| error.to_string())
}
