//! What keys make of the state.

use crate::detail::{Detail, Subject};
use crate::jobs::JobRow;
use crate::keys::Action;
use crate::list::{List, Row};
use crate::model::{Command, Mode, Model, Question, Tab};
use crate::workers::WorkerRow;

/// Letters of a filter.
const LONGEST_FILTER: usize = 60;
/// Lines that a key for a screen moves the details by.
const PAGE: isize = 10;

impl Model {
    /// Does what a key asks for; a confirmed command is returned.
    pub(crate) fn act(&mut self, action: Action) -> Option<Command> {
        self.notice = None;
        match action {
            Action::Quit => self.is_over = true,
            Action::NextTab => self.show(match self.tab {
                Tab::Jobs => Tab::Workers,
                Tab::Workers => Tab::Jobs,
            }),
            Action::ShowJobs => self.show(Tab::Jobs),
            Action::ShowWorkers => self.show(Tab::Workers),
            Action::Move(_) | Action::Page(_) | Action::First | Action::Last => self.walk(action),
            Action::NextColumn | Action::Reverse => self.sort(action),
            Action::BeginFilter if self.detail.is_none() => self.mode = Mode::Filter,
            Action::BeginFilter => {}
            Action::Type(_) | Action::Erase | Action::EraseAll => self.edit_filter(action),
            Action::KeepFilter => self.mode = Mode::Browse,
            Action::DropFilter => {
                self.mode = Mode::Browse;
                self.set_filter(String::new());
            }
            Action::Cancel => self.ask_cancel(),
            Action::Drain => self.ask_drain(),
            Action::Confirm => return self.confirm(),
            Action::Refuse => self.mode = Mode::Browse,
            Action::Open => self.open(),
            Action::Back if self.detail.is_some() => self.detail = None,
            Action::Back => self.set_filter(String::new()),
            Action::ToggleHelp => {
                self.mode = if self.mode == Mode::Help {
                    Mode::Browse
                } else {
                    Mode::Help
                };
            }
        }
        None
    }

    fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.detail = None;
    }

    fn walk(&mut self, action: Action) {
        if let Some(detail) = &mut self.detail {
            // The end is known only where the lines are made; `view::fit` takes back what is too much.
            detail.offset = match action {
                Action::Move(rows) => detail.offset.saturating_add_signed(rows),
                Action::Page(pages) => detail.offset.saturating_add_signed(pages.saturating_mul(PAGE)),
                Action::First => 0,
                _ => usize::MAX,
            };
            return;
        }
        match self.tab {
            Tab::Jobs => walk(&mut self.jobs, action),
            Tab::Workers => walk(&mut self.workers, action),
        }
    }

    fn sort(&mut self, action: Action) {
        match (self.tab, action) {
            (Tab::Jobs, Action::NextColumn) => self.jobs.next_column(),
            (Tab::Jobs, _) => self.jobs.reverse(),
            (Tab::Workers, Action::NextColumn) => self.workers.next_column(),
            (Tab::Workers, _) => self.workers.reverse(),
        }
    }

    fn set_filter(&mut self, filter: String) {
        match self.tab {
            Tab::Jobs => self.jobs.set_filter(filter),
            Tab::Workers => self.workers.set_filter(filter),
        }
    }

    fn edit_filter(&mut self, action: Action) {
        let mut filter = self.filter().to_owned();
        match action {
            Action::Type(letter) if filter.chars().count() < LONGEST_FILTER => filter.push(letter),
            Action::Erase => drop(filter.pop()),
            Action::EraseAll => filter.clear(),
            _ => {}
        }
        self.set_filter(filter);
    }

    /// The job that is looked at, or else the selected one.
    fn job_in_question(&self) -> Option<&JobRow> {
        match &self.detail {
            Some(detail) => {
                let mut rows = self.jobs.rows().iter();
                rows.find(|row| detail.subject == Subject::Job(row.id))
            }
            None if self.tab == Tab::Jobs => self.jobs.selected(),
            None => None,
        }
    }

    fn worker_in_question(&self) -> Option<&WorkerRow> {
        match &self.detail {
            Some(detail) => {
                let mut rows = self.workers.rows().iter();
                rows.find(|row| detail.subject == Subject::Worker(row.id))
            }
            None if self.tab == Tab::Workers => self.workers.selected(),
            None => None,
        }
    }

    fn ask_cancel(&mut self) {
        let Some(job) = self.job_in_question() else {
            self.notice = Some("no job is selected: Tab shows the jobs".to_owned());
            return;
        };
        if job.state.is_terminal() {
            self.notice = Some(format!("job {} is {} already", job.id, job.state.name()));
            return;
        }
        self.mode = Mode::Ask(Question::Cancel(job.id));
    }

    fn ask_drain(&mut self) {
        let Some(worker) = self.worker_in_question() else {
            self.notice = Some("no worker is selected: Tab shows the workers".to_owned());
            return;
        };
        if worker.state == "draining" {
            self.notice = Some(format!("worker {} drains already", worker.name));
            return;
        }
        self.mode = Mode::Ask(Question::Drain(worker.id));
    }

    fn confirm(&mut self) -> Option<Command> {
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Ask(Question::Cancel(job)) => {
                self.notice = Some(format!("cancelling job {job} …"));
                Some(Command::Cancel(job))
            }
            Mode::Ask(Question::Drain(worker)) => {
                self.notice = Some(format!("draining worker {worker} …"));
                Some(Command::Drain(worker))
            }
            _ => None,
        }
    }

    fn open(&mut self) {
        if self.detail.is_some() {
            return;
        }
        let subject = match self.tab {
            Tab::Jobs => self.jobs.selected().map(|job| Subject::Job(job.id())),
            Tab::Workers => self.workers.selected().map(|worker| Subject::Worker(worker.id())),
        };
        self.detail = subject.map(Detail::of);
    }
}

fn walk<R: Row>(list: &mut List<R>, action: Action) {
    match action {
        Action::Move(rows) => list.move_by(rows),
        Action::Page(pages) => list.page(pages),
        Action::First => list.select(0),
        _ => list.select(usize::MAX),
    }
}
