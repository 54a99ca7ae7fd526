//! Workers that die, freeze or leave.

use anyhow::{Context, ensure};
use millstream_testkit::wait_until;
use millstream_tests::jobs::{TOTAL, command, new_id};
use millstream_tests::{Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::support::{LIMIT, LONG_WORK, SOON, WORK, check_fan_in, events_named, runs};

#[tokio::test]
async fn job_survives_a_worker_killed_in_its_middle() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    cluster.workers[1].kill()?;
    check_fan_in(&cluster.api, &job, WORK).await?;
    let lost = events_named(&cluster.api, &job, "worker_lost").await?;
    ensure!(
        lost.len() == 1 && lost[0].data["worker"] == "worker-1",
        "{lost:?}"
    );
    Ok(())
}

#[tokio::test]
async fn outputs_on_a_killed_worker_are_made_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let data = cluster.data();
    let file = |number: u64| data.join(format!("runs-{number}"));
    let mut tasks: Vec<_> = (0..8)
        .map(|number| {
            let script = format!("echo run >> {}; echo {number}", file(number).display());
            command(&format!("held-{number}"), &script)
        })
        .collect();
    let mut gate = command("gate", "sleep 6; echo open");
    gate["deps"] = (0..8).map(|number| format!("held-{number}")).collect();
    tasks.push(gate);
    let mut argv = vec![json!("cat")];
    argv.extend((0..8).map(|number| json!({"task": format!("held-{number}")})));
    tasks.push(json!({"key": TOTAL, "op": "command", "argv": argv, "deps": ["gate"]}));

    let job = cluster
        .api
        .submit(&json!({"id": new_id(), "tasks": tasks, "outputs": [TOTAL]}))
        .await?;
    cluster
        .api
        .task_in(&job, "gate", &["running", "assigned"], LIMIT)
        .await?;
    let held_by = cluster.worker_of_task(&job, "held-3").await?;
    cluster.workers[held_by].kill()?;
    cluster.api.succeeded(&job, LIMIT).await?;
    let answer = cluster.api.text(&job, TOTAL, SOON).await?;
    ensure!(answer == "0\n1\n2\n3\n4\n5\n6\n7", "{answer}");
    ensure!(runs(&file(3)) >= 2, "held-3 was not made again");
    Ok(())
}

#[tokio::test]
async fn result_lost_after_the_jobs_end_is_made_again_by_asking_for_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let task = json!({"key": TOTAL, "op": "native", "function": "bench:blob", "args": [300_000]});
    let job = cluster
        .api
        .submit(&json!({"id": new_id(), "tasks": [task]}))
        .await?;
    cluster.api.succeeded(&job, LIMIT).await?;
    let before = cluster.api.result(&job, TOTAL, SOON).await?;
    ensure!(before.len() > 300_000, "{} bytes", before.len());
    let holder = cluster.worker_of_task(&job, TOTAL).await?;
    cluster.workers[holder].kill()?;
    let after = cluster.api.result(&job, TOTAL, LIMIT).await?;
    ensure!(before == after, "the result made again differs");
    let view = cluster.api.succeeded(&job, SOON).await?;
    ensure!(view["tasks"]["stored"] == 1, "{view}");
    Ok(())
}

#[tokio::test]
async fn worker_cut_off_is_given_up_and_taken_back() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let job = cluster.api.submit(&LONG_WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    cluster.workers[0].freeze()?;
    let is_gone = |worker: &Value| worker["name"] != "worker-0" || worker["state"] == "lost";
    // Six seconds of silence, and three more for a leader that has only begun to listen.
    wait_until("the frozen worker to be given up", SOON, async || {
        cluster
            .api
            .workers()
            .await
            .is_ok_and(|workers| workers.iter().all(is_gone))
    })
    .await?;
    cluster.workers[0].thaw()?;
    cluster.wait_for_workers(2).await?;
    check_fan_in(&cluster.api, &job, LONG_WORK).await?;
    cluster.check_running([0, 1])?;
    let lost = events_named(&cluster.api, &job, "worker_lost").await?;
    ensure!(
        lost.len() == 1 && lost[0].data["worker"] == "worker-0",
        "{lost:?}"
    );
    Ok(())
}

#[tokio::test]
async fn objects_of_a_worker_that_comes_back_are_taken_over_and_not_made_again() -> anyhow::Result<()> {
    const HELD: u64 = 4;
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let held = |number: u64| format!("held-{number}");
    let native = |key: &str, function: &str| json!({"key": key, "op": "native", "function": function});
    // Everything is determinate: an output of an earlier run is as good as one of the last.
    let mut tasks = Vec::new();
    for number in 0..HELD {
        let mut task = native(&held(number), "bench:blob");
        task["args"] = json!([300_000]);
        tasks.push(task);
    }
    // One for each slot: while they run, nothing that was lost can be made again.
    let gates = ["gate-0", "gate-1", "gate-2", "gate-3"];
    for gate in gates {
        let mut task = native(gate, "bench:sleep_ms");
        task["args"] = json!([20_000]);
        task["deps"] = (0..HELD).map(held).collect();
        tasks.push(task);
    }
    let mut total = native(TOTAL, "bench:noop");
    total["deps"] = json!(gates);
    tasks.push(total);
    let body = json!({"id": new_id(), "tasks": tasks, "outputs": [TOTAL]});
    let job = cluster.api.submit(&body).await?;
    for gate in gates {
        cluster.api.task_in(&job, gate, &["running"], LIMIT).await?;
    }

    let holder = cluster.worker_of_task(&job, "held-0").await?;
    cluster.workers[holder].freeze()?;
    // The leader has given the worker up, and wants another to make what it held.
    cluster
        .api
        .task_in(&job, "held-0", &["waiting", "ready", "assigned"], SOON)
        .await?;
    cluster.workers[holder].thaw()?;
    cluster.wait_for_workers(2).await?;
    cluster.api.task_in(&job, "held-0", &["stored"], SOON).await?;
    cluster.api.succeeded(&job, LIMIT).await?;
    let view = cluster.api.task(&job, "held-0").await?;
    let story = view["story"].as_array().context("no story")?;
    let times = |text: &str| story.iter().filter(|line| line["text"] == text).count();
    let (assigned, stored) = (
        format!("assigned on worker-{holder}"),
        format!("stored on worker-{holder}"),
    );
    ensure!(
        times(&assigned) == 1 && times(&stored) == 2,
        "it was made again: {view}"
    );
    Ok(())
}

#[tokio::test]
async fn task_that_kills_its_workers_fails_with_the_blame() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions {
        workers: 1,
        settings: vec![("scheduler.allowed_failures", "1".to_owned())],
        ..ClusterOptions::default()
    })
    .await?;
    let job = cluster
        .api
        .submit(&json!({"id": new_id(), "tasks": [command("deadly", "sleep 60")]}))
        .await?;
    for generation in 0..2 {
        cluster.api.task_in(&job, "deadly", &["running"], LIMIT).await?;
        cluster.workers[generation].kill()?;
        cluster.start_worker()?;
        if cluster.api.job(&job).await?["state"] != "running" {
            break;
        }
        cluster.wait_for_workers(1).await?;
    }
    let view = cluster.api.ended(&job, LIMIT).await?;
    ensure!(
        view["state"] == "failed" && view["error"]["kind"] == "killed_workers",
        "{view}"
    );
    Ok(())
}

#[tokio::test]
async fn terminated_worker_hands_over_and_nothing_runs_twice() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let file = cluster.data().join("runs");
    let mut body = WORK.body(&new_id());
    for task in body["tasks"].as_array_mut().context("no tasks")? {
        let script = task["argv"][2].as_str().context("no script")?;
        task["argv"][2] = format!("echo run >> {}; {script}", file.display()).into();
    }
    let job = cluster.api.submit(&body).await?;
    cluster.api.progressed(&job, 8, LIMIT).await?;
    let status = cluster.workers[0].terminate().await?;
    ensure!(status.success(), "{status}");
    check_fan_in(&cluster.api, &job, WORK).await?;
    ensure!(
        runs(&file) as u64 == WORK.tasks(),
        "{} runs of {} tasks",
        runs(&file),
        WORK.tasks()
    );
    let lost = events_named(&cluster.api, &job, "worker_lost").await?;
    ensure!(
        lost.is_empty(),
        "a worker that leaves in good order is not lost: {lost:?}"
    );
    Ok(())
}

#[tokio::test]
async fn drained_worker_leaves_by_itself() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    cluster.api.progressed(&job, 4, LIMIT).await?;
    let answer = cluster.api.post("/v1/workers/worker-1/drain", &json!({})).await?;
    ensure!(answer.status == 202, "{}", answer.text());
    let worker = &mut cluster.workers[1];
    wait_until("the drained worker to end", LIMIT, async || {
        worker.ended().is_ok_and(|status| status.is_some())
    })
    .await?;
    let status = worker.ended()?.context("it runs")?;
    ensure!(status.success(), "{status}");
    check_fan_in(&cluster.api, &job, WORK).await
}

#[tokio::test]
async fn job_finishes_although_nobody_can_fetch_from_one_worker() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions {
        unreachable_worker: Some(1),
        ..ClusterOptions::default()
    })
    .await?;
    let job = cluster.api.submit(&WORK.body(&new_id())).await?;
    check_fan_in(&cluster.api, &job, WORK).await
}
