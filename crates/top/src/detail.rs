//! What is shown of one job or one worker.

use millstream::api::{JobView, TaskView, WorkerView};
use millstream::{JobId, LayersView, WorkerId};

/// Which thing is looked at closely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A job.
    Job(JobId),
    /// A worker.
    Worker(WorkerId),
}

/// What the gateway says of a job.
#[derive(Debug, Clone)]
pub(crate) struct JobReport {
    /// Where it stands.
    pub(crate) job: JobView,
    /// How far its layers are; none where the gateway does not say.
    pub(crate) layers: Option<LayersView>,
    /// The first of its failed tasks.
    pub(crate) failed: Vec<TaskView>,
    /// The first of its running tasks.
    pub(crate) running: Vec<TaskView>,
}

/// An answer about a subject.
#[derive(Debug, Clone)]
pub(crate) enum Report {
    /// About a job.
    Job(Box<JobReport>),
    /// About a worker.
    Worker(Box<WorkerView>),
}

impl Report {
    /// Whom it is about.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Job(report) => Subject::Job(report.job.id),
            Self::Worker(worker) => Subject::Worker(worker.id),
        }
    }
}

/// An open subject.
#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) subject: Subject,
    /// The last answer; none yet at first.
    pub(crate) report: Option<Report>,
    /// Lines scrolled away.
    pub(crate) offset: usize,
}

impl Detail {
    pub(crate) fn of(subject: Subject) -> Self {
        Self {
            subject,
            report: None,
            offset: 0,
        }
    }
}
