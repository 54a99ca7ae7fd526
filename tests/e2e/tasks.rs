//! What tasks can do, and what is told of them.

use anyhow::{Context, ensure};
use millstream::{Client, Job, TaskExt as _};
use millstream_tests::events::history;
use millstream_tests::jobs::{TOTAL, command, new_id};
use millstream_tests::{Api, Cluster, ClusterOptions, Up};
use serde_json::{Value, json};

use crate::support::{LIMIT, SOON, runs};

#[tokio::test]
async fn commands_read_and_write_files_streams_and_variables() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let api = up.api();
    let body = json!({
        "id": new_id(),
        "labels": {"team": "tests"},
        "env": {"env_vars": {"GREETING": "hello"}},
        "tasks": [
            {"key": "first", "op": "command", "argv": ["sh", "-c", "echo \"$GREETING\"; echo kept > note.txt"],
             "files_out": ["note.txt"]},
            {"key": "upper", "op": "command", "argv": ["tr", "a-z", "A-Z"], "stdin": {"task": "first"}},
            {"key": "both", "op": "command", "argv": ["sh", "-c", "cat in/note \"$1\" in/text", "sh", {"task": "upper"}],
             "files_in": {"in/note": {"task": "first", "file": "note.txt"}, "in/text": "end\n"}},
        ],
        "outputs": ["both", "first"],
    });
    let job = api.submit(&body).await?;
    let view = api.succeeded(&job, LIMIT).await?;
    ensure!(view["labels"]["team"] == "tests", "{view}");
    ensure!(api.text(&job, "both", SOON).await? == "kept\nHELLO\nend");
    let note = api
        .get(&format!("/v1/jobs/{job}/results/first?file=note.txt"))
        .await?;
    ensure!(note.text() == "kept\n", "{}", note.text());
    api.get(&format!("/v1/jobs/{job}/results/first?file=not.txt"))
        .await?
        .problem(404, "unknown_file")?;
    Ok(())
}

#[tokio::test]
async fn functions_take_values_and_each_others_results() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "2"], &[]).await?;
    let body = json!({"id": new_id(), "tasks": [
        {"key": "one", "op": "native", "function": "bench:inc", "args": [0]},
        {"key": "two", "op": "native", "function": "bench:inc", "args": [{"task": "one"}]},
        {"key": TOTAL, "op": "native", "function": "bench:sum", "args": [{"task": "one"}, {"task": "two"}, 39]},
    ]});
    let answer = up.api().post("/v1/jobs?wait=30s", &body).await?;
    let view = answer.ok()?;
    ensure!(
        answer.status == 200 && view["results"][0]["value"] == 42,
        "{view}"
    );
    Ok(())
}

#[tokio::test]
async fn parameters_of_megabytes_reach_a_worker_through_the_broker() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    // Five bytes each in MessagePack: far more than one batch of a session holds.
    let numbers: Vec<i64> = (100_000..1_000_000).collect();
    let total: i64 = numbers.iter().sum();
    let body = json!({"id": new_id(), "tasks": [
        {"key": TOTAL, "op": "native", "function": "bench:sum", "args": [numbers]},
    ]});
    let job = cluster.api.submit(&body).await?;
    cluster.api.succeeded(&job, LIMIT).await?;
    let value = cluster.api.text(&job, TOTAL, SOON).await?;
    ensure!(value == total.to_string(), "{value} is not {total}");
    Ok(())
}

#[tokio::test]
async fn failed_command_tells_code_output_and_whom_it_took_along() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let api = up.api();
    let mut after = command("after", "cat");
    after["stdin"] = json!({"task": "broken"});
    let body = json!({"tasks": [command("broken", "echo the reason >&2; exit 3"), after]});
    let job = api.submit(&body).await?;
    let view = api.ended(&job, LIMIT).await?;
    let error = &view["error"];
    ensure!(
        view["state"] == "failed" && error["kind"] == "command_failed",
        "{view}"
    );
    ensure!(error["exit_code"] == 3, "{view}");
    ensure!(
        error["log_tail"]
            .as_str()
            .is_some_and(|tail| tail.contains("the reason")),
        "{view}"
    );
    let problem = api.get(&format!("/v1/jobs/{job}/results/after")).await?;
    ensure!(problem.status == 422, "{}", problem.text());
    ensure!(first_log(api, &job, "broken").await?.contains("the reason"));
    Ok(())
}

/// What a task's first attempt wrote, as it is told now.
async fn first_log(api: &Api, job: &str, key: &str) -> anyhow::Result<String> {
    let task = api.task(job, key).await?;
    let log = task["logs"][0]["head"].as_str();
    Ok(log.with_context(|| format!("no log: {task}"))?.to_owned())
}

#[tokio::test]
async fn log_is_there_as_soon_as_the_result_is() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let api = up.api();
    // Of several, some end just before and some just after the leader writes what trails.
    for n in 0..10 {
        let said = format!("value {n}");
        let job = api
            .submit(&json!({"tasks": [command("said", &format!("echo '{said}'"))]}))
            .await?;
        ensure!(api.text(&job, "said", SOON).await? == said);
        ensure!(first_log(api, &job, "said").await? == format!("{said}\n"));
    }
    Ok(())
}

#[tokio::test]
async fn retried_command_succeeds_in_the_end() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let file = up.folder().join("tries");
    let script = format!(
        "echo try >> {0}; test $(wc -l < {0}) -ge 3 && echo at last",
        file.display()
    );
    let mut task = command(TOTAL, &script);
    task["retries"] = json!(3);
    task["backoff"] = json!({"initial_ms": 50, "factor": 1.0, "max_ms": 50});
    let answer = up.api().post("/v1/jobs", &json!({"tasks": [task]})).await?;
    let job = answer.ok()?["id"].as_str().context("no id")?.to_owned();
    up.api().succeeded(&job, LIMIT).await?;
    ensure!(up.api().text(&job, TOTAL, SOON).await? == "at last");
    ensure!(runs(&file) == 3, "{} runs", runs(&file));
    let events = history(up.api(), &job).await?;
    let retried = events.iter().filter(|event| event.name == "retried").count();
    ensure!(retried == 2, "{events:?}");
    Ok(())
}

#[tokio::test]
async fn waiting_task_explains_itself() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "1", "--slots", "1"], &[]).await?;
    let api = up.api();
    let mut waiting = command("waiting", "cat");
    waiting["stdin"] = json!({"task": "slow"});
    let mut greedy = command("greedy", "true");
    greedy["resources"] = json!({"gpu": 1});
    let job = api
        .submit(&json!({"tasks": [command("slow", "sleep 600"), waiting, greedy]}))
        .await?;
    api.task_in(&job, "slow", &["running", "assigned"], SOON).await?;
    let explained = |task: &Value, word: &str| {
        let lines = task["explain"].to_string();
        anyhow::ensure!(lines.contains(word), "no `{word}` in {task}");
        Ok(())
    };
    let waiting = api.task(&job, "waiting").await?;
    ensure!(waiting["deps"] == json!(["slow"]), "{waiting}");
    explained(&waiting, "missing input")?;
    explained(&api.task(&job, "greedy").await?, "gpu")?;
    api.delete(&format!("/v1/jobs/{job}")).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn sdk_builds_runs_and_reads_a_job() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "2"], &[]).await?;
    let client = Client::with_access(millstream::Access {
        url: up.api().url().to_owned(),
        token: up.api().token().to_owned(),
    });
    let mut job = Job::new("word count");
    let text = job.command(["printf", "b\\na\\nb\\n"]).key("text").add();
    job.command(["sort"]).stdin(&text).key("sorted").retries(1).add();
    let one = job.call("bench:inc").arg(1).key("two").add();
    let sum = job.call("bench:sum").input(&one).arg(40).key("sum").add();
    job.want(&sum);
    let running = client.submit(&job).await?;
    let finished = running.wait().await?;
    ensure!(finished.value::<i64>("sum").await? == 42);

    let failing = {
        let mut job = Job::new("fails");
        job.call("bench:fail").arg("as told").add();
        client.submit(&job).await?.wait().await
    };
    let error = failing.err().context("it succeeded")?.to_string();
    ensure!(error.contains("as told"), "{error}");
    Ok(())
}

#[tokio::test]
async fn openapi_describes_every_path_and_its_first_examples_run() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let api = up.api();
    let page = api.get("/openapi.json").await?.ok()?;
    let paths = page["paths"].as_object().context("no paths")?;
    for path in [
        "/v1/jobs",
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/tasks",
        "/v1/jobs/{job}/tasks/{key}",
        "/v1/jobs/{job}/states",
        "/v1/jobs/{job}/results",
        "/v1/jobs/{job}/results/{key}",
        "/v1/jobs/{job}/events",
        "/v1/uploads/{upload}",
        "/v1/workers",
        "/v1/workers/{worker}",
        "/v1/workers/{worker}/drain",
        "/v1/sql",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        ensure!(paths.contains_key(path), "{path} is not described");
    }
    // As the page has them: whoever reads it runs them one after the other.
    for (path, item) in paths {
        for (method, operation) in item.as_object().context("no operations")? {
            let answer = api.send(example_request(api, method, path, operation)?).await?;
            ensure!(
                answer.status.is_success(),
                "{method} {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    Ok(())
}

/// An operation's request as its first examples have it.
fn example_request(
    api: &Api,
    method: &str,
    path: &str,
    operation: &Value,
) -> anyhow::Result<reqwest::RequestBuilder> {
    let mut url = path.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (Some(name), Some(example)) = (parameter["name"].as_str(), parameter["example"].as_str()) else {
            continue;
        };
        match parameter["in"].as_str() {
            Some("path") => url = url.replace(&format!("{{{name}}}"), example),
            Some("query") => query.push((name.to_owned(), example.to_owned())),
            _ => {}
        }
    }
    let method = method.to_uppercase().parse::<reqwest::Method>()?;
    let request = api.request(method, &url).query(&query);
    Ok(match first_example(operation) {
        Some(example) => request.json(&example),
        None => request,
    })
}

/// The first example of an operation's JSON body.
fn first_example(operation: &Value) -> Option<Value> {
    let content = &operation["requestBody"]["content"]["application/json"];
    if !content["example"].is_null() {
        return Some(content["example"].clone());
    }
    let examples = content["examples"].as_object()?;
    examples.values().next().map(|example| example["value"].clone())
}

#[tokio::test]
async fn metrics_show_leader_workers_jobs_and_tasks() -> anyhow::Result<()> {
    let up = Up::start(&["--workers", "2", "--slots", "1"], &[]).await?;
    let api = up.api();
    let tasks: Vec<Value> = (0..5)
        .map(|n| command(&format!("slow-{n}"), "sleep 600"))
        .collect();
    let job = api.submit(&json!({"tasks": tasks})).await?;
    // The leader tells how the cluster is every five seconds.
    let running = [
        "millstream_leader 1",
        "millstream_workers{state=\"active\"} 2",
        "millstream_workers{state=\"suspect\"} 0",
        "millstream_jobs_active 1",
        "millstream_tasks_executing 2",
        "millstream_tasks{state=\"failed\"} 0",
        "millstream_dead_letters_total{reader=\"scheduler\"} 0",
    ];
    metrics_show(api, &running).await?;
    api.delete(&format!("/v1/jobs/{job}")).await?.ok()?;
    let cancelled = [
        "millstream_jobs_active 0",
        "millstream_tasks_executing 0",
        "millstream_jobs_total{outcome=\"cancelled\"} 1",
    ];
    metrics_show(api, &cancelled).await
}

/// Waits until `/metrics` has all these lines.
async fn metrics_show(api: &Api, lines: &[&str]) -> anyhow::Result<()> {
    api.retry(&format!("metrics {lines:?}"), SOON, async || {
        let page = api.get("/metrics").await.ok()?;
        let text = page.text();
        lines
            .iter()
            .all(|line| text.lines().any(|found| found == *line))
            .then_some(())
    })
    .await
}
