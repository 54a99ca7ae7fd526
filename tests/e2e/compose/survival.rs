//! Containers that die, freeze or lose the network while a job runs: it ends with the same answer as without.

use std::time::{Duration, Instant};

use anyhow::ensure;
use millstream_tests::Stack;
use millstream_tests::cluster::FAILOVER;
use millstream_tests::docker::Container;
use millstream_tests::jobs::{FanIn, new_id};

use crate::support::{LIMIT, LONG_WORK, Timed, WORK, check_fan_in, events_named, lasts};

/// A job on its way, in a cluster that is whole.
struct Run {
    stack: Stack,
    timed: Timed,
    job: String,
    workers: Vec<String>,
}

impl Run {
    /// Starts a job and waits until some of its tasks are done and others run.
    async fn start(work: FanIn) -> anyhow::Result<Self> {
        let run = Self::accepted(work).await?;
        run.stack.api.progressed(&run.job, 8, LIMIT).await?;
        Ok(run)
    }

    /// Starts a job, and returns as soon as it is accepted.
    async fn accepted(work: FanIn) -> anyhow::Result<Self> {
        let stack = Stack::take().await?;
        let workers = stack.active_workers().await?;
        let job = new_id();
        let timed = Timed::contained(&stack, &job, work);
        stack.api.submit(&timed.body(&job)?).await?;
        Ok(Self {
            stack,
            timed,
            job,
            workers,
        })
    }

    /// Waits for the job's end and checks its answer, and that work stood still for no more than `longest`.
    async fn ends_right(&self, longest: Duration) -> anyhow::Result<()> {
        check_fan_in(&self.stack.api, &self.job, self.timed.work).await?;
        let pause = self.timed.longest_pause()?;
        ensure!(
            pause < longest,
            "nothing ran for {pause:?}; allowed are {longest:?}"
        );
        Ok(())
    }

    /// Checks that the job's events name exactly these workers as lost, by the names of their hosts.
    async fn lost(&self, hosts: &[String]) -> anyhow::Result<()> {
        let events = events_named(&self.stack.api, &self.job, "worker_lost").await?;
        let names: Vec<_> = events.iter().map(|event| &event.data["worker"]).collect();
        ensure!(names == hosts.iter().collect::<Vec<_>>(), "{events:?}");
        Ok(())
    }

    /// Checks that all workers of the start are there again, and no others.
    async fn keeps_its_workers(&self) -> anyhow::Result<()> {
        self.stack.whole().await?;
        let workers = self.stack.active_workers().await?;
        ensure!(
            workers == self.workers,
            "{workers:?} are not the workers of the start: {:?}",
            self.workers
        );
        Ok(())
    }
}

/// Kills a server, starts it again after `away`, and returns how long nobody could use it.
async fn outage(server: &Container, away: Duration) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    server.kill()?;
    lasts(away).await;
    server.start()?;
    server.healthy().await?;
    Ok(begin.elapsed())
}

#[tokio::test]
async fn killed_worker_costs_no_answer() -> anyhow::Result<()> {
    let run = Run::start(WORK).await?;
    let victim = run.stack.worker_of_task(&run.job, &FanIn::key(3, 0)).await?;
    victim.kill()?;
    run.ends_right(FAILOVER).await?;
    run.lost(&[victim.hostname()?]).await
}

#[tokio::test]
async fn standby_finishes_the_job_of_a_killed_leader() -> anyhow::Result<()> {
    let run = Run::start(WORK).await?;
    let old = run.stack.leader().await?;
    old.kill()?;
    run.ends_right(FAILOVER).await?;
    ensure!(run.stack.leader().await? != old, "a dead scheduler leads");
    run.lost(&[]).await
}

#[tokio::test]
async fn paused_leader_is_fenced_when_it_resumes() -> anyhow::Result<()> {
    let run = Run::start(LONG_WORK).await?;
    let old = run.stack.leader().await?;
    old.pause()?;
    lasts(Duration::from_secs(10)).await;
    old.unpause()?;
    run.ends_right(FAILOVER).await?;
    ensure!(run.stack.leader().await? != old, "the old leader leads again");
    run.lost(&[]).await?;
    run.keeps_its_workers().await
}

#[tokio::test]
async fn killed_rabbitmq_costs_its_own_restart() -> anyhow::Result<()> {
    let run = Run::start(LONG_WORK).await?;
    let outage = outage(&run.stack.one("rabbitmq")?, Duration::ZERO).await?;
    run.ends_right(FAILOVER + outage).await?;
    run.keeps_its_workers().await
}

#[tokio::test]
async fn nobody_is_lost_while_the_broker_is_away() -> anyhow::Result<()> {
    let run = Run::start(LONG_WORK).await?;
    let outage = outage(&run.stack.one("rabbitmq")?, Duration::from_secs(20)).await?;
    run.ends_right(FAILOVER + outage).await?;
    run.lost(&[]).await?;
    run.keeps_its_workers().await
}

#[tokio::test]
async fn killed_redis_costs_its_own_restart() -> anyhow::Result<()> {
    let run = Run::start(LONG_WORK).await?;
    let outage = outage(&run.stack.one("redis")?, Duration::from_secs(1)).await?;
    run.ends_right(FAILOVER + outage).await?;
    run.lost(&[]).await?;
    run.keeps_its_workers().await
}

#[tokio::test]
async fn accepted_job_outlives_a_redis_killed_at_once() -> anyhow::Result<()> {
    let run = Run::accepted(WORK).await?;
    let accepted = Instant::now();
    let redis = run.stack.one("redis")?;
    redis.kill()?;
    let after = accepted.elapsed();
    ensure!(
        after < Duration::from_secs(2),
        "killed too late to tell: {after:?} after the answer"
    );
    redis.start()?;
    run.ends_right(FAILOVER + accepted.elapsed()).await
}

#[tokio::test]
async fn restarted_gateway_answers_for_the_same_job() -> anyhow::Result<()> {
    let run = Run::start(WORK).await?;
    run.stack.one("gateway")?.restart()?;
    run.ends_right(FAILOVER).await?;
    ensure!(
        run.timed.runs() as u64 == run.timed.work.tasks(),
        "{} runs of {} tasks",
        run.timed.runs(),
        run.timed.work.tasks()
    );
    run.keeps_its_workers().await
}

#[tokio::test]
async fn worker_cut_from_the_network_is_taken_back() -> anyhow::Result<()> {
    let run = Run::start(LONG_WORK).await?;
    let victim = run.stack.worker_of_task(&run.job, &FanIn::key(3, 0)).await?;
    let begin = Instant::now();
    victim.disconnect(&run.stack.network())?;
    lasts(Duration::from_secs(8)).await;
    victim.connect(&run.stack.network())?;
    let cut = begin.elapsed();
    ensure!(cut < Duration::from_secs(10), "cut for too long: {cut:?}");
    run.ends_right(FAILOVER).await?;
    run.keeps_its_workers().await
}
