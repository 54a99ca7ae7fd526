//! Stopping what runs.

use std::time::{Duration, Instant};

use anyhow::ensure;
use millstream_testkit::wait_until;
use millstream_tests::cli::Shell;
use millstream_tests::jobs::{TOTAL, command, new_id};
use millstream_tests::measure::processes_with;
use millstream_tests::{Api, Up};
use serde_json::{Value, json};

use crate::support::{LIMIT, SOON};

/// What a user may wait for a command to be gone.
const STOPPED: Duration = Duration::from_secs(1);

/// A job of two commands that start processes of their own, all marked in their environment.
fn sleepers(id: &str) -> (Value, String) {
    let script = "sleep 600 & sleep 600 & wait";
    let body = json!({
        "id": id,
        "env": {"env_vars": {"E2E_MARK": id}},
        "tasks": [command("a", script), command("b", script)],
    });
    (body, format!("E2E_MARK={id}"))
}

/// Waits until all six processes of [`sleepers`] run.
async fn running(mark: &str) -> anyhow::Result<()> {
    wait_until("the commands to run", LIMIT, async || {
        processes_with(mark).is_ok_and(|found| found.len() >= 6)
    })
    .await
}

async fn gone(mark: &str, since: Instant) -> anyhow::Result<()> {
    wait_until("the commands to be gone", SOON, async || {
        processes_with(mark).is_ok_and(|found| found.is_empty())
    })
    .await?;
    ensure!(since.elapsed() < STOPPED, "it took {:?}", since.elapsed());
    Ok(())
}

#[tokio::test]
async fn cancelled_command_is_gone_with_its_children_within_a_second() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "1", "--slots", "2"], &[]).await?;
    let api = up.api();
    let id = new_id();
    let (body, mark) = sleepers(&id);
    api.submit(&body).await?;
    running(&mark).await?;
    let asked = Instant::now();
    let answer = api.delete(&format!("/v1/jobs/{id}")).await?;
    ensure!(answer.status.is_success(), "{}", answer.text());
    gone(&mark, asked).await?;
    let view = api.ended(&id, SOON).await?;
    ensure!(view["state"] == "cancelled", "{view}");
    ensure!(view["tasks"]["cancelled"] == 2, "{view}");
    cancelling_again_changes_nothing(api, &id).await
}

async fn cancelling_again_changes_nothing(api: &Api, id: &str) -> anyhow::Result<()> {
    let again = api.delete(&format!("/v1/jobs/{id}")).await?.ok()?;
    ensure!(again["state"] == "cancelled", "{again}");
    api.get(&format!("/v1/jobs/{id}/results/a"))
        .await?
        .problem(410, "job_over")?;
    Ok(())
}

#[tokio::test]
async fn interrupted_submit_cancels_its_job_and_says_130() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "1", "--slots", "2"], &[]).await?;
    let shell = Shell::on(up.api())?;
    let id = new_id();
    let (body, mark) = sleepers(&id);
    shell.write("job.json", &body.to_string())?;
    let started = shell.start(&["submit", "job.json"])?;
    running(&mark).await?;
    let asked = Instant::now();
    started.signal("INT")?;
    gone(&mark, asked).await?;
    let output = started.finish(SOON).await?;
    ensure!(output.code == Some(130), "{output:?}");
    let view = up.api().ended(&id, SOON).await?;
    ensure!(view["state"] == "cancelled", "{view}");
    Ok(())
}

#[tokio::test]
async fn command_over_its_time_is_stopped_and_says_so() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let mut task = command(TOTAL, "echo begun >&2; sleep 600");
    task["timeout"] = json!("500ms");
    let id = up.api().submit(&json!({"tasks": [task]})).await?;
    let view = up.api().ended(&id, LIMIT).await?;
    ensure!(view["error"]["kind"] == "timed_out", "{view}");
    Ok(())
}

#[tokio::test]
async fn job_past_its_deadline_fails() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let body = json!({"tasks": [command(TOTAL, "sleep 600")], "options": {"deadline": "1s"}});
    let id = up.api().submit(&body).await?;
    let view = up.api().ended(&id, LIMIT).await?;
    ensure!(view["error"]["kind"] == "deadline_exceeded", "{view}");
    Ok(())
}
