//! Bad input: each mistake has a status, a code, and says where it is and what to do.

use anyhow::{Context, ensure};
use millstream_tests::jobs::{TOTAL, command, new_id};
use millstream_tests::{Answer, Up};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::LIMIT;

async fn post_text(up: &Up, path: &str, body: &str) -> anyhow::Result<Answer> {
    let request = up
        .api()
        .request(Method::POST, path)
        .header("content-type", "application/json")
        .body(body.to_owned());
    up.api().send(request).await
}

async fn refused(up: &Up, tasks: Value, status: u16, code: &str) -> anyhow::Result<Value> {
    up.api()
        .post("/v1/jobs", &json!({"tasks": tasks}))
        .await?
        .problem(status, code)
}

fn says(problem: &Value, field: &str, expected: &str) -> anyhow::Result<()> {
    let text = problem[field].as_str().unwrap_or_default();
    ensure!(
        text.contains(expected),
        "`{field}` does not say `{expected}`: {problem}"
    );
    Ok(())
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_their_position() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let malformed = post_text(&up, "/v1/jobs", "{\"tasks\": [\n  {\"key\": }\n]}").await?;
    let problem = malformed.problem(400, "malformed_body")?;
    ensure!(problem["line"] == 2 && problem["column"] == 11, "{problem}");

    let empty = post_text(&up, "/v1/jobs", "").await?;
    empty.problem(400, "malformed_body")?;

    let misspelt = refused(
        &up,
        json!([{"key": "a", "op": "command", "agrv": ["true"]}]),
        400,
        "unknown_field",
    )
    .await?;
    says(&misspelt, "suggestion", "argv")?;

    let mut task = command("a", "true");
    task["retries"] = json!("many");
    let wrong_type = refused(&up, json!([task]), 400, "invalid_body").await?;
    says(&wrong_type, "field", "tasks[0].retries")?;

    let form = up.api().request(Method::POST, "/v1/jobs").body("a=1");
    up.api().send(form).await?.problem(415, "unsupported_media")?;

    let truncated = up
        .api()
        .request(Method::POST, "/v1/jobs")
        .header("content-type", "application/vnd.msgpack")
        .body(vec![0x81, 0xa5, b't']);
    up.api().send(truncated).await?.problem(400, "malformed_body")?;
    Ok(())
}

#[tokio::test]
async fn jobs_that_make_no_graph_are_refused_by_key() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let unknown = refused(
        &up,
        json!([{"key": "a", "op": "comand", "argv": ["true"]}]),
        400,
        "unknown_op",
    )
    .await?;
    says(&unknown, "key", "a")?;
    says(&unknown, "suggestion", "command")?;

    let cycle = json!([
        {"key": "a", "op": "command", "argv": ["cat"], "stdin": {"task": "b"}},
        {"key": "b", "op": "command", "argv": ["cat"], "stdin": {"task": "a"}},
    ]);
    let circle = refused(&up, cycle, 400, "cycle").await?;
    ensure!(
        circle["keys"].as_array().is_some_and(|keys| keys.len() >= 2),
        "{circle}"
    );

    let mut lost = command("b", "cat");
    lost["stdin"] = json!({"task": "alpho"});
    let missing = refused(
        &up,
        json!([command("alpha", "true"), lost]),
        400,
        "missing_dependency",
    )
    .await?;
    says(&missing, "key", "b")?;
    says(&missing, "suggestion", "alpha")?;

    refused(
        &up,
        json!([command("a", "true"), command("a", "true")]),
        400,
        "duplicate_key",
    )
    .await?;
    refused(&up, json!([]), 400, "empty_graph").await?;
    refused(&up, json!([{"key": "a", "op": "command"}]), 400, "missing_field").await?;
    let body = json!({"tasks": [command("alpha", "true")], "outputs": ["alhpa"]});
    let output = up
        .api()
        .post("/v1/jobs", &body)
        .await?
        .problem(400, "unknown_output")?;
    says(&output, "suggestion", "alpha")
}

#[tokio::test]
async fn unknown_function_fails_the_job_by_its_name() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let body = json!({"tasks": [{"key": "a", "op": "native", "function": "bench:nope"}]});
    let job = up.api().submit(&body).await?;
    let view = up.api().ended(&job, LIMIT).await?;
    ensure!(view["error"]["kind"] == "unknown_op", "{view}");
    says(&view["error"], "message", "bench:nope")?;
    let result = up.api().get(&format!("/v1/jobs/{job}/results/a")).await?;
    result.problem(400, "unknown_op")?;
    Ok(())
}

#[tokio::test]
async fn wrong_argument_fails_the_task_by_its_position() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let body =
        json!({"tasks": [{"key": TOTAL, "op": "native", "function": "bench:inc", "args": ["no number"]}]});
    let job = up.api().submit(&body).await?;
    let view = up.api().ended(&job, LIMIT).await?;
    ensure!(view["error"]["kind"] == "bad_input", "{view}");
    says(&view["error"], "message", "bench:inc")
}

#[tokio::test]
async fn what_is_too_large_is_refused() -> anyhow::Result<()> {
    let limits = [("gateway.body_limit", "16KiB"), ("gateway.graph_limit", "20")];
    let up = Up::start(&[], &limits).await?;
    let tasks: Vec<Value> = (0..21)
        .map(|number| command(&format!("t{number}"), "true"))
        .collect();
    refused(&up, Value::Array(tasks), 413, "graph_too_large").await?;
    let long = command("a", &"x".repeat(20 << 10));
    let body = refused(&up, json!([long]), 413, "body_too_large").await?;
    ensure!(body["hint"].is_string(), "{body}");
    Ok(())
}

#[tokio::test]
async fn queries_are_refused_at_the_place_of_the_mistake() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let path = up.write("flights.csv", "carrier,delay\nLH,5\nUA,7\n")?;
    let query = async |text: &str| {
        let body = json!({"query": text, "tables": {"flights": path}});
        up.api().post("/v1/sql", &body).await
    };
    let syntax = query("SELECT FROM\nWHERE").await?.problem(400, "invalid_query")?;
    says(&syntax, "detail", "line ")?;
    let column = query("SELECT carier FROM flights")
        .await?
        .problem(400, "invalid_query")?;
    says(&column, "detail", "carrier")?;
    says(&column, "detail", "line 1, column 8")?;
    let table = query("SELECT * FROM flihgts")
        .await?
        .problem(400, "invalid_query")?;
    says(&table, "detail", "flights")?;
    query("DROP TABLE flights").await?.problem(400, "invalid_query")?;
    let empty = query(" ").await?;
    empty.problem(400, "missing_field")?;
    let unknown = up.api().post("/v1/sql", &json!({"qeury": "SELECT 1"})).await?;
    says(&unknown.problem(400, "unknown_field")?, "suggestion", "query")?;
    let request = up
        .api()
        .request(Method::POST, "/v1/sql")
        .header("accept", "image/png")
        .json(&json!({"query": "SELECT 1"}));
    up.api().send(request).await?.problem(406, "not_acceptable")?;
    Ok(())
}

#[tokio::test]
async fn files_are_refused_by_path_and_line() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    std::fs::create_dir(&root)?;
    let roots = root.display().to_string();
    let up = Up::start(&[], &[("data.roots", roots.as_str())]).await?;
    let query = async |path: &str| {
        let body = json!({"query": "SELECT * FROM t", "tables": {"t": path}});
        up.api().post("/v1/sql", &body).await
    };
    let missing = root.join("missing.csv").display().to_string();
    let problem = query(&missing).await?.problem(400, "file_not_found")?;
    says(&problem, "detail", &missing)?;
    says(&problem, "hint", "data.roots")?;

    let mut text = String::from("a,b\n");
    for row in 0..50 {
        text.push_str(&format!("{row},{row}\n"));
    }
    text.push_str("1,2,3\n");
    let ragged = root.join("ragged.csv");
    std::fs::write(&ragged, &text)?;
    let problem = query(&ragged.display().to_string())
        .await?
        .problem(400, "bad_file")?;
    says(&problem, "detail", "ragged.csv")?;
    says(&problem, "detail", "line 52")?;

    let outside = folder.path().join("secret.csv");
    std::fs::write(&outside, "a\n1\n")?;
    let problem = query(&outside.display().to_string())
        .await?
        .problem(400, "outside_roots")?;
    says(&problem, "detail", "outside")?;
    says(&problem, "hint", "data.roots")?;
    std::os::unix::fs::symlink(&outside, root.join("link.csv"))?;
    let link = root.join("link.csv").display().to_string();
    let problem = query(&link).await?.problem(400, "outside_roots")?;
    says(&problem, "detail", "outside")?;
    let climbing = format!("{}/../secret.csv", root.display());
    let problem = query(&climbing).await?.problem(400, "outside_roots")?;
    says(&problem, "detail", "outside")
}

#[tokio::test]
async fn strangers_are_refused() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let api = up.api();
    api.send(api.bare(Method::GET, "/v1/jobs"))
        .await?
        .problem(401, "no_token")?;
    let wrong = api.bare(Method::GET, "/v1/jobs").bearer_auth("wrong");
    let refused = api.send(wrong).await?;
    ensure!(
        !refused.header("www-authenticate").is_empty(),
        "no WWW-Authenticate"
    );
    refused.problem(401, "wrong_token")?;
    for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
        let foreign = api
            .request(method, "/v1/jobs")
            .header("origin", "https://evil.example");
        api.send(foreign).await?.problem(403, "foreign_origin")?;
    }
    let rebound = api
        .request(Method::GET, "/v1/jobs")
        .header("host", "evil.example:8787");
    api.send(rebound).await?.problem(403, "foreign_host")?;
    let probe = api.bare(Method::GET, "/healthz");
    ensure!(api.send(probe).await?.status == 200, "probes need no token");
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() -> anyhow::Result<()> {
    let up = Up::start(&[], &[]).await?;
    let api = up.api();
    let none = new_id();
    api.get(&format!("/v1/jobs/{none}"))
        .await?
        .problem(404, "unknown_job")?;
    api.get(&format!("/v1/jobs/{none}/events"))
        .await?
        .problem(404, "unknown_job")?;
    api.delete(&format!("/v1/jobs/{none}"))
        .await?
        .problem(404, "unknown_job")?;
    api.get("/v1/jobs/seven").await?.problem(400, "bad_parameter")?;
    api.get("/v1/jbos").await?.problem(404, "unknown_path")?;
    api.send(api.request(Method::PUT, "/v1/jobs"))
        .await?
        .problem(405, "wrong_method")?;
    api.get(&format!("/v1/workers/{none}"))
        .await?
        .problem(404, "unknown_worker")?;
    let misspelt = api.get("/v1/jobs?limt=5").await?.problem(400, "unknown_field")?;
    says(&misspelt, "suggestion", "limit")?;
    api.get("/v1/jobs?limit=many")
        .await?
        .problem(400, "bad_parameter")?;

    let body = json!({"tasks": [command("alpha", "echo 1"), {"key": "beta", "op": "command", "argv": ["cat"], "stdin": {"task": "alpha"}}]});
    let job = api.submit(&body).await?;
    api.succeeded(&job, LIMIT).await?;
    let task = api
        .get(&format!("/v1/jobs/{job}/tasks/alhpa"))
        .await?
        .problem(404, "unknown_task")?;
    says(&task, "suggestion", "alpha")?;
    api.get(&format!("/v1/jobs/{job}/results/alpha"))
        .await?
        .problem(404, "not_an_output")?;
    Ok(())
}

#[tokio::test]
async fn busy_cluster_asks_to_come_back_later() -> anyhow::Result<()> {
    let up = Up::start(
        &["--workers", "1", "--slots", "1"],
        &[("gateway.max_active_jobs", "2")],
    )
    .await?;
    let mut accepted = Vec::new();
    let refused = loop {
        ensure!(accepted.len() < 10, "more jobs than allowed were accepted");
        let body = json!({"id": new_id(), "tasks": [command("a", "sleep 600")]});
        let answer = up.api().post("/v1/jobs?wait=300ms", &body).await?;
        if !answer.status.is_success() {
            break answer;
        }
        accepted.push(answer.json()?["id"].as_str().context("no id")?.to_owned());
    };
    ensure!(
        refused.header("retry-after").parse::<u32>().is_ok(),
        "no Retry-After"
    );
    refused.problem(429, "too_many_jobs")?;
    for job in accepted {
        up.api().delete(&format!("/v1/jobs/{job}")).await?;
    }
    Ok(())
}
