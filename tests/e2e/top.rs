//! `millstream top`, driven by keys on a terminal.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use millstream_tests::Up;
use millstream_tests::cli::Shell;
use millstream_tests::jobs::{new_id, script};
use millstream_tests::tmux::{PROMPT, Terminal};
use serde_json::{Value, json};

use crate::support::{LIMIT, SOON};

/// Wide enough for whole ids.
const SIZE: (u16, u16) = (140, 30);

const TOP: &str = r#""$MILLSTREAM_BIN" top; echo "left with $?""#;

/// A job that runs until it is stopped, with a name that would clear the screen.
fn endless(id: &str) -> Value {
    let mut job = script(id, "sleep 600");
    job["name"] = json!("endless \u{1b}[2J\u{202e}漢字");
    job
}

/// A cluster, and a terminal on which `millstream top` has begun.
async fn begin() -> anyhow::Result<(Up, Terminal)> {
    let up = Up::start(&["--workers", "2", "--slots", "1"], &[]).await?;
    let terminal = Terminal::open(&Shell::on(up.api())?, SIZE.0, SIZE.1).await?;
    terminal.enter(TOP)?;
    terminal
        .shows_line(&["2 workers", "slots 0/2 busy"], SOON)
        .await?;
    ensure!(terminal.is_taken()?, "it draws over the shell's screen");
    Ok((up, terminal))
}

/// Waits for the shell, and checks that its terminal is as it was.
async fn restored(terminal: &Terminal, code: i32) -> anyhow::Result<()> {
    terminal.shows(&format!("left with {code}"), SOON).await?;
    ensure!(
        !terminal.is_taken()? && terminal.has_cursor()?,
        "{}",
        terminal.screen()?
    );
    terminal.enter("clear; stty -a | tr ' ;' '\\n\\n' | grep -x -e '-*icanon' -e '-*echo' -e '-*isig' | sort | xargs echo modes:")?;
    terminal.shows("modes: echo icanon isig", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_running_job_is_seen_and_cancelled_by_keys() -> anyhow::Result<()> {
    let (up, terminal) = begin().await?;
    let id = up.api().submit(&endless(&new_id())).await?;
    let screen = terminal
        .shows_line(&[&id, "running", "endless ·[2J漢字"], SOON)
        .await?;
    ensure!(screen.starts_with("millstream top"), "{screen}");
    terminal.shows("slots 1/2 busy", SOON).await?;

    terminal.press("Enter")?;
    terminal.shows_line(&["Job", &id, "running"], SOON).await?;
    terminal.shows_line(&["0/1", "1 running"], SOON).await?;
    terminal.press("Escape")?;
    terminal.shows(" by AGE ", SOON).await?;

    // A question first; another key than `y` gives it up.
    terminal.press("c")?;
    terminal.shows_line(&["[y/n] Cancel job", &id], SOON).await?;
    terminal.press("n")?;
    terminal.press("/")?;
    terminal.enter("ENDLESS")?;
    terminal.shows_line(&["Jobs 1", "only \"ENDLESS\""], SOON).await?;
    ensure!(up.api().job(&id).await?["state"] == "running");
    terminal.press("c")?;
    terminal.shows_line(&["[y/n] Cancel job", &id], SOON).await?;
    terminal.press("y")?;
    terminal.shows_line(&[&id, "cancelled", "endless"], SOON).await?;
    ensure!(up.api().job(&id).await?["state"] == "cancelled");

    terminal.press("q")?;
    restored(&terminal, 0).await?;
    terminal.enter(TOP)?;
    terminal.shows_line(&[&id, "cancelled"], SOON).await?;
    signal(&terminal, "INT")?;
    restored(&terminal, 130).await
}

#[tokio::test]
async fn a_worker_is_drained_by_keys_on_a_terminal_of_any_size() -> anyhow::Result<()> {
    let (up, terminal) = begin().await?;
    terminal.press("Tab")?;
    terminal.shows_line(&["> worker-0", "active"], SOON).await?;
    terminal.press("j")?;
    terminal.shows_line(&["> worker-1", "active"], SOON).await?;
    for (columns, rows) in [(20, 5), (1, 1), (60, 16)] {
        terminal.resize(columns, rows)?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    terminal.shows_line(&["> worker-1", "active"], SOON).await?;
    terminal.press("d")?;
    terminal.shows("[y/n] Drain worker worker-1?", SOON).await?;
    terminal.press("y")?;
    let leaves = async || {
        let workers = up.api().workers().await.unwrap_or_default();
        let stays = |worker: &&Value| worker["state"] == "active";
        let names: Vec<_> = workers
            .iter()
            .filter(stays)
            .map(|worker| &worker["name"])
            .collect();
        names == ["worker-0"]
    };
    millstream_testkit::wait_until("worker-1 to leave", LIMIT, leaves).await?;
    terminal.press("C-c")?;
    restored(&terminal, 0).await
}

#[tokio::test]
async fn a_lost_gateway_is_shown_and_the_terminal_given_back_at_a_signal() -> anyhow::Result<()> {
    let (mut up, terminal) = begin().await?;
    up.service().kill()?;
    terminal
        .shows_line(&["trying again", "no gateway answers"], SOON)
        .await?;
    terminal.shows_line(&["millstream top", "lost"], SOON).await?;
    terminal.press("?")?;
    terminal.shows("drain the worker", SOON).await?;
    signal(&terminal, "TERM")?;
    restored(&terminal, 143).await
}

/// Sends a signal to the process that draws on the terminal.
fn signal(terminal: &Terminal, name: &str) -> anyhow::Result<()> {
    let shell = terminal.shell()?;
    let drawing = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
    let killed = Command::new("kill").args(["-s", name, drawing.trim()]).status()?;
    ensure!(killed.success(), "kill {drawing}: {killed}");
    Ok(())
}

#[tokio::test]
async fn without_a_terminal_one_frame_is_printed() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "1", "--slots", "1"], &[]).await?;
    let id = up.api().submit(&endless(&new_id())).await?;
    up.api().task_in(&id, "total", &["running"], SOON).await?;
    let shell = Shell::on(up.api())?;
    for arguments in [&["top"][..], &["top", "--once"]] {
        let text = shell.data(arguments).await?;
        ensure!(text.contains("1 workers  slots"), "{text}");
        let row = text.lines().find(|line| line.contains(&id)).unwrap_or_default();
        ensure!(row.contains("running") && row.contains("endless"), "{text}");
        ensure!(text.lines().any(|line| line.contains("worker-0")), "{text}");
        ensure!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_told_on_the_shells_screen() -> anyhow::Result<()> {
    let mut shell = Shell::new()?;
    shell.set("MILLSTREAM_GATEWAY", "http://127.0.0.1:9");
    shell.set("MILLSTREAM_TOKEN", "t");
    let terminal = Terminal::open(&shell, SIZE.0, SIZE.1).await?;
    terminal.enter(TOP)?;
    let screen = terminal.shows("left with 3", SOON).await?;
    ensure!(
        screen.contains("no gateway answers at http://127.0.0.1:9"),
        "{screen}"
    );
    ensure!(screen.contains(PROMPT), "{screen}");
    let output = shell.run(&["top", "--interval", "0s"]).await?;
    ensure!(
        output.code == Some(2) && output.err.contains("1s to 60s"),
        "{output:?}"
    );
    Ok(())
}
