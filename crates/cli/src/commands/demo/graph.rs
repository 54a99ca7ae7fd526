//! The demo's task graph: programs that every machine has, joined by tasks, and native functions beside them.

use std::time::Instant;

use anyhow::Context as _;
use millstream::{Client, Job};

use super::Table;
use crate::progress::Progress;
use crate::{interrupt, output};

/// Native tasks in the graph.
const NUMBERS: u32 = 1_000;

/// Files that programs read, at most: the graph is to be looked at.
const MAX_FILES: usize = 8;

/// Counts lines and bytes of files by one `wc` a file, adds them up by `awk`, and adds up the numbers below a thousand
/// by native functions.
pub(crate) async fn run(client: &Client, tables: &[Table]) -> anyhow::Result<()> {
    let files: Vec<String> = tables
        .iter()
        .flat_map(|table| &table.files)
        .take(MAX_FILES)
        .map(|file| file.to_string_lossy().into_owned())
        .collect();
    let mut job = Job::new("demo: task graph");
    let counts: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(i, file)| {
            job.command(["wc", "-l", "-c", file.as_str()])
                .key(format!("count-{i}"))
                .add()
        })
        .collect();
    let program = "{ lines += $1; bytes += $2 } END { printf \"%d lines, %d bytes\\n\", lines, bytes }";
    let mut total = job.command(["awk", program]).key("total");
    for count in &counts {
        total = total.file_arg(count);
    }
    let total = total.add();
    let numbers: Vec<_> = (0..NUMBERS)
        .map(|i| {
            job.call("bench:inc")
                .arg(i64::from(i))
                .key(format!("inc-{i}"))
                .add()
        })
        .collect();
    let mut sum = job.call("bench:sum").key("sum");
    for number in &numbers {
        sum = sum.input(number);
    }
    let sum = sum.add();
    job.want(&total).want(&sum);

    output::tell(&format!(
        "task graph: {} commands and {} native tasks",
        counts.len() + 1,
        NUMBERS + 1
    ));
    let began = Instant::now();
    let running = client.submit(&job).await?;
    interrupt::attach(&running);
    let progress = Progress::of(&running, "graph");
    let finished = running.wait().await;
    drop(progress);
    let finished = finished?;
    let took = began.elapsed().as_secs_f64();
    let text = finished.bytes(total.key()).await?;
    output::line(&format!(
        "{} in {} files",
        String::from_utf8_lossy(&text).trim(),
        files.len()
    ))?;
    let value: i64 = finished.value(sum.key()).await?;
    let expected = i64::from(NUMBERS) * i64::from(NUMBERS + 1) / 2;
    output::line(&format!("1 + 2 + … + {NUMBERS} = {value}"))?;
    (value == expected)
        .then_some(())
        .with_context(|| format!("the sum should be {expected}"))?;
    output::tell(&format!("{took:.2} s\n"));
    Ok(())
}
