//! `millstream submit`.

use std::io::Read;

use anyhow::Context as _;
use millstream::api::JobRequest;

use crate::args::SubmitArgs;
use crate::progress::Progress;
use crate::{interrupt, output};

pub(crate) async fn run(args: SubmitArgs) -> anyhow::Result<()> {
    let mut text = String::new();
    if args.file.as_os_str() == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(&args.file)
            .with_context(|| format!("cannot read {}", args.file.display()))?;
    }
    let request: JobRequest =
        serde_json::from_str(&text).with_context(|| format!("{} is no job", args.file.display()))?;
    let client = super::connect(&args.gateway)?;
    let job = client.submit_request(&request).await?;
    if args.detach {
        return Ok(output::line(&job.id().to_string())?);
    }
    output::tell(&format!("job {}", job.id()));
    interrupt::attach(&job);
    let progress = Progress::of(&job, "job");
    let finished = job.wait().await;
    progress.end().await;
    let finished = finished?;
    if args.gateway.json {
        return output::json(finished.view());
    }
    for result in &finished.view().results {
        let bytes = finished.bytes(&result.key).await?;
        if finished.view().results.len() > 1 {
            output::tell(&format!("== {}", result.key));
        }
        show(&bytes, result.value.as_ref())?;
    }
    Ok(())
}

/// Values of functions as JSON, output of commands as it is.
fn show(bytes: &[u8], value: Option<&rmpv::Value>) -> anyhow::Result<()> {
    match value {
        Some(rmpv::Value::String(_)) | None => Ok(output::data(bytes)?),
        Some(value) => Ok(output::line(&serde_json::to_string(value)?)?),
    }
}
