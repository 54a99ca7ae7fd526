//! The demo: what a newcomer runs first.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use millstream_tests::cli::{Output, Shell};

use crate::support::LIMIT;

/// The last day of the demo's first question.
const LAST_SHIPPED: &str = "1998-09-02";

async fn demo(shell: &Shell, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut words = vec!["demo"];
    words.extend(arguments);
    let output = shell.start(&words)?.finish(LIMIT).await?;
    ensure!(output.code == Some(0), "{output:?}");
    for part in [
        "a cluster of 2 workers",
        "-- a task graph",
        "all of it took",
        "docs/ARCHITECTURE.md",
    ] {
        ensure!(output.err.contains(part), "it does not tell `{part}`: {output:?}");
    }
    Ok(output)
}

/// The cells of the tables that a command printed, row by row.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect()
}

/// Lines of each state in the demo's own file that were shipped until [`LAST_SHIPPED`], counted without the product.
fn shipped(lineitem: &Path) -> anyhow::Result<BTreeMap<(String, String), u64>> {
    let text = fs::read_to_string(lineitem).with_context(|| lineitem.display().to_string())?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().context("no header")?.split(',').collect();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| *column == name)
            .context("no column")
    };
    let (flag, status, date) = (
        column("l_returnflag")?,
        column("l_linestatus")?,
        column("l_shipdate")?,
    );
    let mut counts = BTreeMap::new();
    for line in lines {
        // Only the last column, a comment, may hold commas of its own.
        let cells: Vec<&str> = line.split(',').collect();
        if cells[date] <= LAST_SHIPPED {
            *counts
                .entry((cells[flag].to_owned(), cells[status].to_owned()))
                .or_default() += 1;
        }
    }
    Ok(counts)
}

#[tokio::test]
async fn demo_answers_rightly_about_the_data_it_makes() -> anyhow::Result<()> {
    let mut shell = Shell::new()?;
    let cache = shell.folder().join("cache");
    shell.set("XDG_CACHE_HOME", &cache.display().to_string());
    let output = demo(&shell, &["--scale", "0.01"]).await?;
    let tables = cache.join("millstream/tpch-0.01");
    let printed = rows(&output.out);
    let expected = shipped(&tables.join("lineitem.csv"))?;
    ensure!(!expected.is_empty(), "no lines at all");
    for ((flag, status), lines) in expected {
        let lines = lines.to_string();
        ensure!(
            printed
                .iter()
                .any(|row| row.starts_with(&[flag.as_str(), status.as_str(), lines.as_str()])),
            "no row {flag} {status} {lines}: {}",
            output.out
        );
    }
    let mut lines = 0;
    for entry in fs::read_dir(&tables)? {
        lines += fs::read_to_string(entry?.path())?.lines().count();
    }
    ensure!(
        output.out.lines().next_back() == Some(lines.to_string().as_str()),
        "not {lines} lines in all: {}",
        output.out
    );
    Ok(())
}

#[tokio::test]
async fn demo_takes_files_of_ones_own() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    shell.write("numbers.csv", "n\n1\nNA\n3\n")?;
    let output = demo(&shell, &["numbers.csv"]).await?;
    ensure!(rows(&output.out).contains(&vec!["3"]), "{output:?}");
    ensure!(output.out.lines().next_back() == Some("4"), "{output:?}");

    let missing = shell.run(&["demo", "missing.csv"]).await?;
    ensure!(
        missing.code == Some(2) && missing.err.contains("missing.csv"),
        "{missing:?}"
    );
    Ok(())
}
