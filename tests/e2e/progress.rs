//! What long commands show while they run: a bar on a terminal, plain lines elsewhere, and nothing of it in the data.

use anyhow::{Context, ensure};
use millstream_tests::Up;
use millstream_tests::cli::Shell;
use millstream_tests::jobs::new_id;

use crate::support::{LIMIT, WORK};

/// Takes a terminal's line away.
const ERASE: &str = "\u{1b}[2K";

/// A cluster on which [`WORK`] takes about fifteen seconds, and a shell beside it with that job in `job.json`.
async fn work() -> anyhow::Result<(Up, Shell)> {
    let up = Up::start(&["--workers", "1", "--slots", "2"], &[]).await?;
    let shell = Shell::on(up.api())?;
    shell.write("job.json", &WORK.body(&new_id()).to_string())?;
    Ok((up, shell))
}

#[tokio::test]
async fn without_a_terminal_progress_is_plain_lines() -> anyhow::Result<()> {
    let (_up, shell) = work().await?;
    let output = shell.run(&["submit", "job.json"]).await?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(output.out.trim() == WORK.answer(), "{output:?}");
    let tail = format!(" of {} tasks", WORK.tasks());
    let counts = output
        .err
        .lines()
        .filter_map(|line| line.strip_prefix("job: ")?.strip_suffix(&tail)?.parse().ok())
        .collect::<Vec<u64>>();
    ensure!(!counts.is_empty() && counts.is_sorted(), "{output:?}");
    ensure!(
        counts.iter().all(|done| *done > 0 && *done <= WORK.tasks()),
        "{counts:?}"
    );
    ensure!(!output.err.contains(['\r', '\u{1b}']), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn on_a_terminal_progress_is_a_bar_that_is_gone_before_the_answer() -> anyhow::Result<()> {
    let (_up, shell) = work().await?;
    let output = shell
        .start_on_terminal(&["submit", "job.json"])?
        .finish(LIMIT)
        .await?;
    ensure!(output.code == Some(0), "{output:?}");
    let whole = format!("/{} tasks", WORK.tasks());
    ensure!(
        output.out.contains("job [") && output.out.contains(&whole),
        "no bar: {output:?}"
    );
    let (_, shown) = output.out.rsplit_once(ERASE).context("the bar stays")?;
    ensure!(shown.trim() == WORK.answer(), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn demo_and_bench_show_bars_on_a_terminal() -> anyhow::Result<()> {
    let mut shell = Shell::new()?;
    let cache = shell.folder().join("cache").display().to_string();
    shell.set("XDG_CACHE_HOME", &cache);
    let demo = ["demo", "--scale", "0.001"];
    let output = shell.start_on_terminal(&demo)?.finish(LIMIT).await?;
    ensure!(output.code == Some(0), "{output:?}");
    for bar in ["query [", "lines of all files ["] {
        ensure!(output.out.contains(bar), "no `{bar}`: {output:?}");
    }

    let bench = ["bench", "merge", "--tasks", "20000", "--runs", "3"];
    let output = shell.start_on_terminal(&bench)?.finish(LIMIT).await?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output.out.contains("merge [") && output.out.contains("/3 runs"),
        "{output:?}"
    );
    let (_, shown) = output.out.rsplit_once(ERASE).context("the bar stays")?;
    ensure!(shown.trim().starts_with("merge: 20001 tasks in"), "{output:?}");
    Ok(())
}
