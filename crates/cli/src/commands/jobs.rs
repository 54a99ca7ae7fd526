//! `millstream jobs` and `millstream job …`.

use millstream::api::{JobView, TaskView};
use millstream::{Event, JobEventKind};

use crate::args::{GatewayArgs, JobArgs, JobCommand, JobReportArgs, JobTaskArgs, JobsArgs};
use crate::output;

/// Tasks shown of a job.
const TASKS_SHOWN: u32 = 50;

pub(crate) async fn list(args: JobsArgs) -> anyhow::Result<()> {
    let client = super::connect(&args.gateway)?;
    let page = client.jobs(args.limit, None).await?;
    if args.gateway.json {
        return output::json(&page);
    }
    let rows = page.jobs.iter().map(|job| {
        vec![
            job.id.to_string(),
            job.state.name().to_owned(),
            done_of(job),
            took(job),
            job.name.clone(),
        ]
    });
    Ok(output::table(
        &["ID", "STATE", "TASKS", "SECONDS", "NAME"],
        rows.collect(),
    )?)
}

pub(crate) async fn one(command: JobCommand) -> anyhow::Result<()> {
    match command {
        JobCommand::Show(args) => show(args).await,
        JobCommand::Events(args) => events(args).await,
        JobCommand::Logs(args) => logs(args).await,
        JobCommand::Explain(args) => explain(args).await,
        JobCommand::Report(args) => report(args).await,
        JobCommand::Cancel(args) => {
            let view = super::connect(&args.gateway)?.cancel(args.job).await?;
            output::tell(&format!("job {} is {}", view.id, view.state.name()));
            Ok(())
        }
        JobCommand::Rm(args) => Ok(super::connect(&args.gateway)?.remove(args.job).await?),
    }
}

async fn show(args: JobArgs) -> anyhow::Result<()> {
    let client = super::connect(&args.gateway)?;
    let job = client.job_view(args.job).await?;
    if args.gateway.json {
        return output::json(&job);
    }
    output::line(&format!(
        "{}  {}  {}  {} tasks",
        job.id,
        job.state.name(),
        job.name,
        done_of(&job)
    ))?;
    if let Some(error) = &job.error {
        output::line(&format!("error: {error}"))?;
    }
    let page = client.tasks(args.job, None, 0, TASKS_SHOWN).await?;
    let rows = page.tasks.iter().map(task_row).collect();
    output::table(&["KEY", "STATE", "OP", "ATTEMPTS", "BYTES"], rows)?;
    if page.next.is_some() {
        output::tell(&format!("the first {TASKS_SHOWN} of {} tasks", job.tasks.total));
    }
    Ok(())
}

async fn events(args: JobArgs) -> anyhow::Result<()> {
    let mut events = super::connect(&args.gateway)?.job(args.job).events();
    while let Some(event) = events.next().await? {
        let text = match (&event, args.gateway.json) {
            (Event::Job(event), true) => serde_json::to_string(event)?,
            (Event::Snapshot(view), true) => serde_json::to_string(view)?,
            (Event::Job(event), false) => format!("{} {}", event.at_ms, sentence(&event.kind)),
            (Event::Snapshot(view), false) => {
                format!("the job is {}, {} tasks", view.state.name(), done_of(view))
            }
        };
        output::line(&text)?;
    }
    Ok(())
}

async fn logs(args: JobTaskArgs) -> anyhow::Result<()> {
    let task = super::connect(&args.gateway)?.task(args.job, &args.task).await?;
    if args.gateway.json {
        return output::json(&task.logs);
    }
    for log in &task.logs {
        output::tell(&format!("== attempt {}", log.attempt));
        output::data(log.head.as_bytes())?;
        if log.omitted > 0 {
            output::tell(&format!("… {} bytes left out …", log.omitted));
        }
        output::data(log.tail.as_bytes())?;
    }
    Ok(())
}

async fn explain(args: JobTaskArgs) -> anyhow::Result<()> {
    let task = super::connect(&args.gateway)?.task(args.job, &args.task).await?;
    if args.gateway.json {
        return output::json(&task);
    }
    output::line(&format!("{} ({}) is {}", task.key, task.op, task.state))?;
    for sentence in &task.explain {
        output::line(&format!("  {sentence}"))?;
    }
    if let Some(error) = &task.error {
        output::line(&format!("  error: {error}"))?;
    }
    let begin = task.story.first().map_or(0, |line| line.at_us);
    for line in &task.story {
        let after = line.at_us.saturating_sub(begin) as f64 / 1e6;
        output::line(&format!("  {after:9.3} s  {}", line.text))?;
    }
    Ok(())
}

async fn report(args: JobReportArgs) -> anyhow::Result<()> {
    let gateway = GatewayArgs {
        gateway: args.gateway,
        token: args.token,
        json: false,
    };
    let page = super::connect(&gateway)?.report(args.job).await?;
    match &args.output {
        Some(path) => output::file(path, &page),
        None => Ok(output::data(&page)?),
    }
}

fn task_row(task: &TaskView) -> Vec<String> {
    vec![
        task.key.clone(),
        task.state.clone(),
        task.op.clone(),
        task.attempts.to_string(),
        task.bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
    ]
}

fn done_of(job: &JobView) -> String {
    format!("{}/{}", job.tasks.stored + job.tasks.released, job.tasks.total)
}

fn took(job: &JobView) -> String {
    match (job.accepted_ms, job.ended_ms) {
        (Some(began), Some(ended)) => format!("{:.3}", ended.saturating_sub(began) as f64 / 1e3),
        _ => String::new(),
    }
}

fn sentence(kind: &JobEventKind) -> String {
    match kind {
        JobEventKind::Accepted { tasks } => format!("accepted with {tasks} tasks"),
        JobEventKind::Progress { counts } => {
            format!(
                "{} of {} tasks done, {} assigned",
                counts.stored + counts.released,
                counts.total,
                counts.assigned
            )
        }
        JobEventKind::Extended { key, added } => format!("{key} added {added} tasks"),
        JobEventKind::Retried { key, error, delay_ms } => {
            format!("{key} failed ({error}), again in {delay_ms} ms")
        }
        JobEventKind::TaskFailed { key, error } => format!("{key} failed: {error}"),
        JobEventKind::WorkerLost {
            worker,
            requeued,
            recomputed,
        } => {
            format!(
                "worker {worker} was lost: {requeued} tasks run again, {recomputed} outputs are made again"
            )
        }
        JobEventKind::Recovered { term, message } => format!("a leader took over in term {term}: {message}"),
        JobEventKind::State { state, error: None } => state.name().to_owned(),
        JobEventKind::State {
            state,
            error: Some(error),
        } => format!("{}: {error}", state.name()),
        other => format!("{other:?}"),
    }
}
