//! Asks the gateway: one stream of what happens, and questions from time to time. Every answer is bounded, and every
//! failure is told and tried again.

use std::time::Duration;

use millstream::{Client, Error, LiveQuery, LiveStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::cluster::SECONDS;
use crate::detail::{JobReport, Report, Subject};
use crate::model::{Command, Interest, Told};

/// Pause before a lost gateway is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take, and how long the stream may be silent beyond its rate: a frozen gateway says nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers that wait to be drawn. More make the asking wait.
const WAITING: usize = 64;
/// Tasks shown of a job, failed ones and running ones each.
const TASKS: u32 = 20;

/// What was asked for, as it arrives.
#[derive(Debug)]
pub(crate) struct Source {
    told: mpsc::Receiver<Told>,
    interest: watch::Sender<Interest>,
    commands: mpsc::Sender<Command>,
    /// Ends with this.
    _tasks: JoinSet<()>,
}

impl Source {
    /// Opens the stream and begins to ask.
    ///
    /// # Errors
    /// No gateway, after the client's own tries.
    pub(crate) async fn open(client: &Client, every: Duration, interest: Interest) -> Result<Self, Error> {
        let stream = client.live(query(every, None)).await?;
        let (tell, told) = mpsc::channel(WAITING);
        let (interest, interests) = watch::channel(interest);
        let (commands, asked) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        // From here on failures are shown, not waited for.
        let client = client.impatient();
        tasks.spawn(listen(client.clone(), stream, every, tell.clone()));
        tasks.spawn(poll(client.clone(), every, interests, tell.clone()));
        tasks.spawn(obey(client, asked, tell));
        Ok(Self {
            told,
            interest,
            commands,
            _tasks: tasks,
        })
    }

    /// The next answer; none if nothing asks any more, which is a fault of this program.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }

    /// An answer that is there already.
    pub(crate) fn ready(&mut self) -> Option<Told> {
        self.told.try_recv().ok()
    }

    /// Says what is to be asked; a change is asked for at once.
    pub(crate) fn want(&self, interest: Interest) {
        self.interest.send_if_modified(|wanted| {
            let is_new = *wanted != interest;
            *wanted = interest;
            is_new
        });
    }

    /// Gives a command. Whether it could be given: too many may be under way.
    pub(crate) fn give(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }
}

const fn query(every: Duration, pulses: Option<u64>) -> LiveQuery {
    LiveQuery {
        every,
        points: SECONDS,
        pulses,
    }
}

/// Everything that one frame shows.
///
/// # Errors
/// No gateway, or one that falls silent.
pub(crate) async fn once(client: &Client, interest: Interest) -> Result<Vec<Told>, Error> {
    let silent = || Error::BadAnswer {
        url: client.access().url.clone(),
        reason: silence(),
    };
    let mut told = Vec::new();
    let mut stream = client.live(query(Duration::from_secs(1), Some(1))).await?;
    while let Some(event) = timeout(PATIENCE, stream.next()).await.map_err(|_| silent())?? {
        told.push(Told::Live(event));
    }
    told.push(jobs(client, interest.jobs).await?);
    Ok(told)
}

/// Tells what the stream says, over as many streams as it takes.
async fn listen(client: Client, first: LiveStream, every: Duration, tell: mpsc::Sender<Told>) {
    let mut open = Ok(first);
    loop {
        let why = match open {
            Ok(mut stream) => loop {
                match within(every + PATIENCE, stream.next()).await {
                    Ok(Some(event)) => {
                        if tell.send(Told::Live(event)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break format!("the gateway at {} closed the stream", client.access().url),
                    Err(why) => break why,
                }
            },
            Err(why) => why,
        };
        if tell.send(Told::Lost(why)).await.is_err() {
            return;
        }
        sleep(PAUSE).await;
        open = within(PATIENCE, client.live(query(every, None))).await;
    }
}

/// Asks for what is not in the stream.
async fn poll(
    client: Client,
    every: Duration,
    mut interests: watch::Receiver<Interest>,
    tell: mpsc::Sender<Told>,
) {
    let mut ticks = interval(every);
    // An answer that took long is not followed by a burst of questions.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = interests.changed() => if changed.is_err() { return },
        }
        let interest = *interests.borrow_and_update();
        let mut answers = vec![within(PATIENCE, jobs(&client, interest.jobs)).await];
        if let Some(subject) = interest.subject {
            answers.push(within(PATIENCE, report(&client, subject)).await);
        }
        for answer in answers {
            if tell.send(answer.unwrap_or_else(Told::Trouble)).await.is_err() {
                return;
            }
        }
    }
}

/// Does what the user confirmed.
async fn obey(client: Client, mut commands: mpsc::Receiver<Command>, tell: mpsc::Sender<Told>) {
    while let Some(command) = commands.recv().await {
        let outcome = match command {
            Command::Cancel(job) => within(PATIENCE, client.cancel(job))
                .await
                .map(|view| format!("job {job} is {}", view.state.name())),
            Command::Drain(worker) => within(PATIENCE, client.drain(worker))
                .await
                .map(|()| format!("worker {worker} drains")),
        };
        let words = outcome.unwrap_or_else(|why| format!("not done: {why}"));
        if tell.send(Told::Outcome(words)).await.is_err() {
            return;
        }
    }
}

async fn jobs(client: &Client, most: usize) -> Result<Told, Error> {
    let page = client.jobs(most, None).await?;
    Ok(Told::Jobs(page.jobs, page.next.is_some()))
}

async fn report(client: &Client, subject: Subject) -> Result<Told, Error> {
    Ok(Told::Report(match subject {
        Subject::Worker(id) => Report::Worker(Box::new(client.worker(id).await?)),
        Subject::Job(id) => {
            let job = client.job_view(id).await?;
            let of_state = |state| client.tasks(id, Some(state), 0, TASKS);
            let mut running = of_state("running").await?.tasks;
            if running.is_empty() && !job.state.is_terminal() {
                running = of_state("assigned").await?.tasks;
            }
            Report::Job(Box::new(JobReport {
                // A job that no scheduler has read yet has none.
                layers: client.layers(id).await.ok(),
                failed: of_state("failed").await?.tasks,
                running,
                job,
            }))
        }
    }))
}

/// An answer, or in words why there is none.
async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(silence()),
    }
}

fn silence() -> String {
    format!("the gateway says nothing for {} s", PATIENCE.as_secs())
}
