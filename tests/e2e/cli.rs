//! The command line.

use anyhow::{Context, ensure};
use millstream_tests::Up;
use millstream_tests::cli::Shell;
use millstream_tests::jobs::{command, new_id};
use serde_json::{Value, json};

const FLIGHTS: &str = "carrier,delay\nLH,5\nUA,NA\nLH,\nUA,7.5\nLH,3\n";

#[tokio::test]
async fn sql_reads_csv_with_missing_values_without_any_cluster() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    shell.write("flights.csv", FLIGHTS)?;
    let query = "SELECT carrier, count(*) AS n, count(delay) AS known, avg(delay) AS mean FROM f GROUP BY 1 ORDER BY 1";
    let json = shell
        .data(&["sql", query, "--table", "f=flights.csv", "--format", "json"])
        .await?;
    let rows: Value = serde_json::from_str(&json)?;
    let expected = json!([
        {"carrier": "LH", "n": 3, "known": 2, "mean": 4.0},
        {"carrier": "UA", "n": 2, "known": 1, "mean": 7.5},
    ]);
    ensure!(rows == expected, "{json}");

    let table = shell
        .data(&["sql", "SELECT count(*) AS rows FROM 'flights.csv'"])
        .await?;
    ensure!(table.contains("rows") && table.contains('5'), "{table}");
    shell
        .data(&["sql", query, "-t", "f=*.csv", "-o", "out.csv"])
        .await?;
    let csv = std::fs::read_to_string(shell.folder().join("out.csv"))?;
    ensure!(csv == "carrier,n,known,mean\nLH,3,2,4.0\nUA,2,1,7.5\n", "{csv}");
    let param = shell
        .data(&["sql", "SELECT $1 + 1 AS n", "-p", "41", "--format", "csv"])
        .await?;
    ensure!(param == "n\n42\n", "{param}");
    Ok(())
}

#[tokio::test]
async fn failed_query_leaves_no_half_written_file() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    shell.write("flights.csv", FLIGHTS)?;
    let output = shell
        .run(&[
            "sql",
            "SELECT dely FROM f",
            "-t",
            "f=flights.csv",
            "-o",
            "out.csv",
        ])
        .await?;
    ensure!(output.code == Some(1) && output.out.is_empty(), "{output:?}");
    ensure!(output.err.contains("delay"), "no near name: {output:?}");
    let names: Vec<_> = std::fs::read_dir(shell.folder())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("out"))
        .collect();
    ensure!(names.is_empty(), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn exit_codes_tell_what_happened() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let mut shell = Shell::on(up.api())?;
    let code = async |shell: &Shell, arguments: &[&str]| -> anyhow::Result<Option<i32>> {
        let output = shell.run(arguments).await?;
        ensure!(
            output.code == Some(0) || !output.err.is_empty(),
            "{arguments:?} says nothing"
        );
        ensure!(!output.err.contains("panicked"), "{output:?}");
        Ok(output.code)
    };
    shell.write(
        "good.json",
        &json!({"tasks": [command("a", "echo hello")]}).to_string(),
    )?;
    shell.write(
        "bad.json",
        &json!({"tasks": [command("a", "exit 9")]}).to_string(),
    )?;
    shell.write("broken.json", "{")?;
    ensure!(shell.data(&["submit", "good.json"]).await? == "hello\n");
    ensure!(code(&shell, &["submit", "bad.json"]).await? == Some(1));
    ensure!(code(&shell, &["submit", "broken.json"]).await? == Some(2));
    ensure!(code(&shell, &["submit", "missing.json"]).await? == Some(2));
    ensure!(code(&shell, &["submit"]).await? == Some(2));
    ensure!(code(&shell, &["sbumit", "good.json"]).await? == Some(2));
    ensure!(code(&shell, &["--help"]).await? == Some(0));
    let port = millstream_testkit::free_port()?;
    shell.set("MILLSTREAM_GATEWAY", &format!("http://127.0.0.1:{port}"));
    ensure!(code(&shell, &["jobs"]).await? == Some(3));
    Ok(())
}

#[tokio::test]
async fn jobs_are_looked_at_and_forgotten() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let shell = Shell::on(up.api())?;
    let id = new_id();
    let body =
        json!({"id": id, "name": "greeting", "tasks": [command("hi", "echo to the log >&2; echo hello")]});
    shell.write("job.json", &body.to_string())?;
    let detached = shell.data(&["submit", "--detach", "job.json"]).await?;
    ensure!(detached.trim() == id, "{detached}");
    let events = shell.data(&["job", "events", &id]).await?;
    ensure!(events.contains("succeeded"), "{events}");
    let jobs = shell.data(&["jobs"]).await?;
    ensure!(jobs.contains(&id) && jobs.contains("greeting"), "{jobs}");
    let shown: Value = serde_json::from_str(&shell.data(&["job", "show", &id, "--json"]).await?)?;
    ensure!(shown["state"] == "succeeded", "{shown}");
    ensure!(
        shell
            .data(&["job", "logs", &id, "hi"])
            .await?
            .contains("to the log")
    );
    ensure!(
        shell
            .data(&["job", "explain", &id, "hi"])
            .await?
            .contains("stored")
    );
    shell.data(&["job", "report", &id, "-o", "report.html"]).await?;
    let report = std::fs::read_to_string(shell.folder().join("report.html"))?;
    ensure!(
        report.contains("greeting") && report.contains("Findings"),
        "{report}"
    );
    ensure!(
        !report.contains("<script") && !report.contains("http"),
        "{report}"
    );
    ensure!(shell.data(&["workers"]).await?.contains("active"));
    let token = shell.data(&["token"]).await?;
    ensure!(token.trim() == up.api().token(), "another token");
    shell.data(&["job", "rm", &id]).await?;
    up.api()
        .get(&format!("/v1/jobs/{id}"))
        .await?
        .problem(404, "unknown_job")?;
    Ok(())
}

#[tokio::test]
async fn bench_prints_one_line_of_json() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    for workload in ["merge", "tree", "map", "chain", "rtt"] {
        let tasks = if workload == "rtt" { "20" } else { "500" };
        let line = shell
            .data(&["bench", workload, "--tasks", tasks, "--runs", "1", "--json"])
            .await?;
        let report: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        ensure!(report["workload"] == workload, "{line}");
        for field in ["tasks", "seconds", "tasks_per_s"] {
            ensure!(
                report[field].as_f64().is_some_and(|number| number > 0.0),
                "no {field}: {line}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn simulator_runs_seeds() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let output = shell.run(&["sim", "--seeds", "0..3"]).await?;
    ensure!(output.code == Some(0), "{output:?}");
    Ok(())
}

/// Every command that a user can type.
const COMMANDS: &str = "up, gateway, scheduler, worker, worker show, worker drain, health, demo, sql, submit, jobs, \
                        job, job show, job events, job logs, job explain, job report, job cancel, job rm, workers, token, bench, \
                        sim, doctor";

#[tokio::test]
async fn help_of_every_command_has_an_example_of_it() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    for command in COMMANDS.split(", ") {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let help = shell.data(&arguments).await?;
        let (_, examples) = help
            .split_once("Example")
            .with_context(|| format!("{command} --help has no example:\n{help}"))?;
        ensure!(
            examples.contains(&format!("millstream {command}")),
            "{command} --help shows others:\n{help}"
        );
    }
    Ok(())
}
