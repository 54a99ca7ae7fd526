//! `millstream doctor`: looks at everything a user could have wrong, and says what to do.

use millstream_bus::Names;
use millstream_state::{RedisSettings, RedisState, StateStore as _};

use crate::args::GatewayArgs;
use crate::exit::Failed;
use crate::output;
use crate::settings::Loading;

pub(crate) async fn run(args: GatewayArgs, loading: Loading) -> anyhow::Result<()> {
    let settings = loading.quiet()?;
    let mut wrong = 0;
    let mut check = |what: &str, found: Result<String, String>| -> std::io::Result<()> {
        match found {
            Ok(text) => output::line(&format!("ok     {what}: {text}")),
            Err(text) => {
                wrong += 1;
                output::line(&format!("wrong  {what}: {text}"))
            }
        }
    };
    check("version", Ok(env!("CARGO_PKG_VERSION").to_owned()))?;
    check("settings", Ok(format!("cluster `{}`", settings.cluster.name)))?;
    let spill = &settings.worker.spill_dir;
    check(
        "worker.spill_dir",
        std::fs::create_dir_all(spill)
            .map(|()| spill.display().to_string())
            .map_err(|error| {
                format!(
                    "{}: {error}; set worker.spill_dir to a folder on a disk",
                    spill.display()
                )
            }),
    )?;
    let redis = RedisSettings::new(
        settings.redis.connection_url().expose(),
        settings.cluster.name.clone(),
    );
    let answer = match RedisState::connect(&redis) {
        Ok(state) => state
            .ping()
            .await
            .map(|()| "answers".to_owned())
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    check("redis (only for separate services)", answer)?;
    let names = Names::new(settings.cluster.name.clone());
    let broker = millstream_bus::AmqpBus::new(settings.broker.connection_url().expose(), names);
    check(
        "broker.url",
        broker
            .map(|_| "is well formed".to_owned())
            .map_err(|error| error.to_string()),
    )?;
    let gateway = match super::connect(&args) {
        Ok(client) => client
            .workers()
            .await
            .map(|workers| format!("{} answers, {} workers", client.access().url, workers.len()))
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    check("gateway", gateway)?;
    if wrong > 0 {
        Err(Failed(format!("{wrong} of these are wrong")).into())
    } else {
        Ok(())
    }
}
