//! What several tests check.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use millstream::{Access, Client};
use millstream_tests::events::{ServerEvent, history};
use millstream_tests::jobs::{FanIn, TOTAL};
use millstream_tests::{Api, Cluster, Stack};
use serde_json::Value;

/// What a job may take on a busy machine, faults included.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// What an answer of a cluster at rest may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// About ten seconds of work for four slots, so that there is time to break something.
pub(crate) const WORK: FanIn = FanIn {
    width: 12,
    depth: 6,
    seconds: 0.4,
};

/// About thirty seconds of work for four slots: for faults that last.
pub(crate) const LONG_WORK: FanIn = FanIn {
    width: 12,
    depth: 24,
    seconds: 0.4,
};

/// Waits for the end of a [`FanIn`] job and checks its answer.
pub(crate) async fn check_fan_in(api: &Api, job: &str, work: FanIn) -> anyhow::Result<()> {
    let view = api.succeeded(job, LIMIT).await?;
    ensure!(view["tasks"]["total"] == work.tasks(), "{view}");
    let answer = api.text(job, TOTAL, SOON).await?;
    ensure!(
        answer == work.answer(),
        "got {answer}, expected {}",
        work.answer()
    );
    Ok(())
}

/// The SDK's client of a gateway.
pub(crate) fn sdk(api: &Api) -> Client {
    Client::with_access(Access {
        url: api.url().to_owned(),
        token: api.token().to_owned(),
    })
}

/// The events of this name in a job's history.
pub(crate) async fn events_named(api: &Api, job: &str, name: &str) -> anyhow::Result<Vec<ServerEvent>> {
    let mut events = history(api, job).await?;
    events.retain(|event| event.name == name);
    Ok(events)
}

/// The work of a job during which something breaks; each of its steps writes down when it ends.
pub(crate) struct Timed {
    pub(crate) work: FanIn,
    file: PathBuf,
    file_within: PathBuf,
}

impl Timed {
    /// Work whose steps write to a file in the cluster's data folder.
    pub(crate) fn new(cluster: &Cluster, work: FanIn) -> Self {
        let file = cluster.data().join("times");
        Self {
            work,
            file_within: file.clone(),
            file,
        }
    }

    /// Work in containers, whose steps write to a file of this name in the folder that they see as `/out`.
    pub(crate) fn contained(stack: &Stack, name: &str, work: FanIn) -> Self {
        Self {
            work,
            file: stack.out(name),
            file_within: Path::new("/out").join(name),
        }
    }

    /// The job.
    pub(crate) fn body(&self, id: &str) -> anyhow::Result<Value> {
        let mut body = self.work.body(id);
        let tasks = body["tasks"].as_array_mut().context("no tasks")?;
        for task in tasks {
            let script = task["argv"][2].as_str().context("no script")?;
            let timed = format!("{script}; date +%s.%N >> {}", self.file_within.display());
            task["argv"][2] = timed.into();
        }
        Ok(body)
    }

    /// How often a step ran to its end.
    pub(crate) fn runs(&self) -> usize {
        runs(&self.file)
    }

    /// Longest time between the ends of two steps.
    pub(crate) fn longest_pause(&self) -> anyhow::Result<Duration> {
        let mut times = std::fs::read_to_string(&self.file)?
            .lines()
            .map(str::parse::<f64>)
            .collect::<Result<Vec<_>, _>>()?;
        times.sort_by(f64::total_cmp);
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        Ok(Duration::from_secs_f64(pauses.fold(0.0, f64::max)))
    }
}

/// How often a script that appends a line per run has run.
pub(crate) fn runs(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// Lets a fault last.
pub(crate) async fn lasts(duration: Duration) {
    tokio::time::sleep(duration).await;
}
