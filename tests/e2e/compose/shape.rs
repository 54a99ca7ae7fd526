//! What a stranger gets by `docker compose up`: containers with few rights, secrets of their own, one open port.

use anyhow::{Context, ensure};
use millstream_tests::{Api, Stack};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn no_process_is_root() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    for container in stack.all()? {
        let name = container.inspect("{{.Name}}")?;
        let users = container.exec(&["sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid:"])?;
        for user in users.lines() {
            let ids: Vec<&str> = user.split_whitespace().skip(1).collect();
            ensure!(ids.len() == 4 && !ids.contains(&"0"), "{name}: {user}");
        }
        let rights = container.exec(&["sh", "-c", "grep -E '^(CapEff|NoNewPrivs)' /proc/1/status"])?;
        let rights: Vec<&str> = rights.split_whitespace().collect();
        ensure!(
            rights == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"],
            "{name}: {rights:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn root_file_systems_are_read_only() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    for container in stack.all()? {
        let name = container.inspect("{{.Name}}")?;
        let mounts = container.exec(&["cat", "/proc/1/mounts"])?;
        let root = mounts
            .lines()
            .find(|mount| mount.split_whitespace().nth(1) == Some("/"))
            .with_context(|| format!("{name} has no root"))?;
        let options = root.split_whitespace().nth(3).unwrap_or_default();
        ensure!(options.split(',').any(|option| option == "ro"), "{name}: {root}");
    }
    Ok(())
}

#[tokio::test]
async fn every_container_has_limits_a_check_and_a_restart_policy() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    for container in stack.all()? {
        let name = container.inspect("{{.Name}}")?;
        let limits = container.inspect("{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}")?;
        ensure!(
            limits.split_whitespace().all(|limit| limit != "0"),
            "{name}: {limits}"
        );
        let policy = container.inspect("{{.HostConfig.RestartPolicy.Name}}")?;
        ensure!(policy == "unless-stopped", "{name}: {policy}");
        container.healthy().await.context(name)?;
    }
    Ok(())
}

#[tokio::test]
async fn only_the_gateway_is_open_and_only_on_loopback() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    for container in stack.all()? {
        let template =
            "{{range $_, $ports := .NetworkSettings.Ports}}{{range $ports}}{{println .HostIp}}{{end}}{{end}}";
        let addresses = container.inspect(template)?;
        let is_gateway = container == stack.one("gateway")?;
        let expected = if is_gateway { "127.0.0.1" } else { "" };
        ensure!(
            addresses == expected,
            "{} listens on `{addresses}`",
            container.inspect("{{.Name}}")?
        );
    }
    Ok(())
}

#[tokio::test]
async fn workers_have_python_and_what_its_tasks_need() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    let workers = stack.containers("worker")?;
    let said = workers.first().context("no worker")?.exec(&[
        "python3",
        "-c",
        "import cloudpickle, ensurepip, ssl, venv; print(ssl.create_default_context().cert_store_stats()['x509_ca'] > 0)",
    ])?;
    ensure!(said.trim() == "True", "{said}");
    Ok(())
}

#[tokio::test]
async fn gateway_wants_the_token_made_on_first_start() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    let token = stack.api.token();
    ensure!(token.len() == 64, "a token of {} characters", token.len());
    let bare = stack.api.send(stack.api.bare(Method::GET, "/v1/jobs")).await?;
    bare.problem(401, "no_token")?;
    let wrong = Api::new(stack.api.url(), "wrong");
    wrong.get("/v1/jobs").await?.problem(401, "wrong_token")?;
    stack.api.get("/v1/jobs").await?.ok()?;
    Ok(())
}

/// Asks an address with the token that a file holds, for a page or the status of the refusal.
const SCRAPE: &str = "\
import sys, urllib.error, urllib.request
token = open(sys.argv[2]).read().strip()
request = urllib.request.Request(sys.argv[1], headers={'authorization': f'Bearer {token}'})
try:
    print(urllib.request.urlopen(request, timeout=10).read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
";

#[tokio::test]
async fn every_service_shows_its_metrics_to_who_has_their_token() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    for (service, port, name) in [
        ("gateway", 8787, "millstream_leader"),
        ("scheduler", 9464, "millstream_scheduler_leading"),
        ("worker", 9464, "millstream_worker_slots"),
    ] {
        let url = format!("http://{service}:{port}/metrics");
        let ask = |token: &str| {
            stack
                .one("gateway")?
                .exec(&["python3", "-c", SCRAPE, &url, token])
        };
        let shown = ask("/secrets/metrics-token")?;
        ensure!(shown.contains(&format!("\n{name} ")), "{service}: {shown}");
        let refused = ask("/secrets/redis-password")?;
        ensure!(refused.trim() == "401", "{service}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn secrets_are_seen_by_nobody_else() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    let read = |path: &str| -> anyhow::Result<String> { stack.one("gateway")?.exec(&["cat", path]) };
    let secrets = [
        stack.api.token().to_owned(),
        read("/secrets/cluster")?,
        read("/secrets/broker-password")?,
        read("/secrets/redis-password")?,
        read("/secrets/metrics-token")?,
    ];
    for container in stack.all()? {
        let name = container.inspect("{{.Name}}")?;
        let seen = [container.inspect("{{json .}}")?, container.log("0")?].concat();
        for secret in &secrets {
            ensure!(secret.len() == 64, "a secret of {} characters", secret.len());
            ensure!(!seen.contains(secret.as_str()), "{name} shows a secret");
        }
    }
    for server in ["rabbitmq", "redis"] {
        let files = stack.one(server)?.exec(&["sh", "-c", "cat /secrets/*"])?;
        for secret in &secrets[..2] {
            ensure!(
                !files.contains(secret.as_str()),
                "{server} can read a secret of the cluster"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn files_of_the_data_folder_can_be_queried() -> anyhow::Result<()> {
    let stack = Stack::take().await?;
    stack.write_data(
        "towns.csv",
        "town,people\nAachen,250000\nBonn,330000\nCelle,70000\n",
    )?;
    let query = json!({
        "query": "SELECT count(*) AS towns, sum(people) AS people FROM towns",
        "tables": {"towns": "/data/towns.csv"},
    });
    let rows = stack.api.post("/v1/sql", &query).await?.ok()?;
    ensure!(rows == json!([{"towns": 3, "people": 650_000}]), "{rows}");
    Ok(())
}
