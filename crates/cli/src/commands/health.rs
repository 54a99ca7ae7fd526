//! `millstream health`: what containers ask.

use std::time::Duration;

use crate::args::Service;
use crate::exit::Failed;
use crate::interrupt;
use crate::settings::Loading;

/// How long a gateway may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

pub(crate) fn run(service: Service, loading: Loading) -> anyhow::Result<()> {
    let settings = loading.quiet()?;
    match service {
        Service::Gateway => interrupt::block_on(async move {
            let url = format!("http://127.0.0.1:{}/healthz", settings.gateway.port);
            let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
            match client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(Failed(format!("{url} answers {}", answer.status())).into()),
                Err(error) => Err(Failed(format!("{url} does not answer: {error}")).into()),
            }
        }),
        Service::Scheduler | Service::Worker => {
            let Some(file) = &settings.health.file else {
                return Err(Failed(
                    "health.file is not set: nothing tells whether the service makes progress".to_owned(),
                )
                .into());
            };
            millstream_telemetry::check_liveness(file, settings.health.max_age)
                .map_err(|error| Failed(error.to_string()).into())
        }
    }
}
