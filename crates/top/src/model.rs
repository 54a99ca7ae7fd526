//! What is on the screen: the state, and what answers and keys make of it. No I/O, no clock.

use std::collections::BTreeMap;

use millstream::api::JobView;
use millstream::{JobId, LiveEvent, LiveJob, LiveNumbers, LiveWorkers, WorkerId};

use crate::cluster::Cluster;
use crate::detail::{Detail, Report, Subject};
use crate::jobs::{self, JobRow};
use crate::list::List;
use crate::text;
use crate::workers::{self, WorkerRow};

/// Jobs asked for at first, and more each time the selection comes near the end.
const JOBS_STEP: usize = 100;
/// Most jobs asked for: the longest page that a gateway gives.
const MOST_JOBS: usize = 1_000;
/// Rows below the selection at which more jobs are asked for.
const JOBS_AHEAD: usize = 50;
/// Columns of a notice.
const NOTICE: usize = 300;

/// What the gateway told.
#[derive(Debug)]
pub(crate) enum Told {
    /// A part of the last second.
    Live(LiveEvent),
    /// The newest jobs, and whether there are older ones.
    Jobs(Vec<JobView>, bool),
    /// The subject that is looked at.
    Report(Report),
    /// A question had no answer; shown until the next one has.
    Trouble(String),
    /// The gateway does not answer.
    Lost(String),
    /// How a command of the user went.
    Outcome(String),
}

/// What the user wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interest {
    /// How many of the newest jobs.
    pub(crate) jobs: usize,
    /// What is looked at closely.
    pub(crate) subject: Option<Subject>,
}

/// What the user wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Stop a job.
    Cancel(JobId),
    /// Let a worker leave.
    Drain(WorkerId),
}

/// A tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Jobs,
    Workers,
}

/// What keys mean at the moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Browse,
    /// The filter is typed.
    Filter,
    /// A command waits for a yes.
    Ask(Question),
    Help,
}

/// A command that is not given yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Cancel(JobId),
    Drain(WorkerId),
}

/// Whether the gateway answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Opening,
    Up,
    Lost(String),
}

/// The state of the program.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) gateway: String,
    pub(crate) link: Link,
    pub(crate) cluster: Cluster,
    pub(crate) jobs: List<JobRow>,
    pub(crate) workers: List<WorkerRow>,
    pub(crate) tab: Tab,
    pub(crate) detail: Option<Detail>,
    pub(crate) mode: Mode,
    /// How the last command went.
    pub(crate) notice: Option<String>,
    /// What could not be asked.
    pub(crate) trouble: Option<String>,
    /// Whether there are older jobs than those that are listed.
    pub(crate) has_older_jobs: bool,
    pub(crate) is_over: bool,
    listed: Vec<JobRow>,
    live: BTreeMap<JobId, LiveJob>,
    table: LiveWorkers,
}

impl Model {
    /// A screen of the gateway at this address, of which nothing is known.
    pub(crate) fn new(gateway: &str) -> Self {
        Self {
            gateway: text::clean(gateway, NOTICE),
            link: Link::Opening,
            cluster: Cluster::default(),
            jobs: List::sorted_by(jobs::BY_AGE),
            workers: List::sorted_by(workers::BY_NAME),
            tab: Tab::Jobs,
            detail: None,
            mode: Mode::Browse,
            notice: None,
            trouble: None,
            has_older_jobs: false,
            is_over: false,
            listed: Vec::new(),
            live: BTreeMap::new(),
            table: LiveWorkers::default(),
        }
    }

    /// Takes in what was told.
    pub(crate) fn hear(&mut self, told: Told) {
        match told {
            Told::Live(event) => {
                self.link = Link::Up;
                self.hear_live(event);
            }
            Told::Jobs(jobs, has_older) => {
                self.trouble = None;
                self.listed = jobs.iter().map(JobRow::of).collect();
                self.has_older_jobs = has_older;
                self.join_jobs();
            }
            Told::Report(report) => {
                if let Some(detail) = &mut self.detail
                    && detail.subject == report.subject()
                {
                    detail.report = Some(report);
                }
            }
            Told::Trouble(why) => self.trouble = Some(text::clean(&why, NOTICE)),
            Told::Lost(why) => self.link = Link::Lost(text::clean(&why, NOTICE)),
            Told::Outcome(words) => self.notice = Some(text::clean(&words, NOTICE)),
        }
    }

    fn hear_live(&mut self, event: LiveEvent) {
        match event {
            LiveEvent::History(history) => self.cluster.begin(history),
            LiveEvent::Cluster(cluster) => self.cluster.hear(cluster),
            LiveEvent::Jobs(jobs) => {
                self.live = jobs;
                self.join_jobs();
            }
            LiveEvent::Table(table) => self.table = table,
            LiveEvent::Workers(numbers) => self.join_workers(&numbers),
        }
    }

    /// Puts together what the list says of jobs and what the last second says.
    fn join_jobs(&mut self) {
        let mut live = self.live.clone();
        let mut rows = self.listed.clone();
        for row in &mut rows {
            if let Some(told) = live.remove(&row.id) {
                row.hear(told);
            }
        }
        let unlisted = live.into_iter().filter(|(_, job)| !job.state.is_terminal());
        rows.extend(unlisted.map(|(id, job)| JobRow::of_live(id, job)));
        self.jobs.set(rows);
    }

    fn join_workers(&mut self, numbers: &LiveNumbers) {
        // Numbers of another table would be put beside the wrong names; its own follows.
        if numbers.version != self.table.version {
            return;
        }
        let workers = self.table.workers.iter().enumerate();
        let rows = workers.map(|(row, worker)| WorkerRow::of(worker, numbers, row));
        self.workers.set(rows.collect());
    }

    /// What is to be asked of the gateway.
    pub(crate) fn interest(&self) -> Interest {
        let is_plain = self.jobs.filter().is_empty() && self.jobs.column().title == "AGE";
        let is_whole = self.jobs.rows().len() == self.listed.len();
        let jobs = if is_plain && is_whole && self.jobs.is_descending() {
            let seen = self.jobs.position() + JOBS_AHEAD;
            seen.div_ceil(JOBS_STEP) * JOBS_STEP
        } else {
            MOST_JOBS
        };
        Interest {
            jobs: jobs.min(MOST_JOBS),
            subject: self.detail.as_ref().map(|detail| detail.subject),
        }
    }

    /// The filter of the tab.
    pub(crate) fn filter(&self) -> &str {
        match self.tab {
            Tab::Jobs => self.jobs.filter(),
            Tab::Workers => self.workers.filter(),
        }
    }
}
