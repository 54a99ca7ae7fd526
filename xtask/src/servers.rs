//! Runs a command with a private RabbitMQ and a private Redis, which all its tests share.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use millstream_testkit::rabbitmq::AMQP_ENV;
use millstream_testkit::redis::TEST_REDIS_VARIABLE;
use millstream_testkit::{RabbitMq, RedisServer};

/// Starts both servers on free ports, names them in the command's environment, and stops them when it has ended.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut broker = RabbitMq::start().await.context("starting a private RabbitMQ")?;
        let mut redis = RedisServer::start().await.context("starting a private Redis")?;
        println!("RabbitMQ at {}, Redis at {}", broker.url(), redis.url());
        // Nothing else happens here meanwhile, so the thread may block.
        let status = Command::new(program)
            .args(arguments)
            .env(AMQP_ENV, broker.url())
            .env(TEST_REDIS_VARIABLE, redis.url())
            .status()
            .with_context(|| format!("running {program}"));
        broker.stop().await.context("stopping RabbitMQ")?;
        redis.stop().await.context("stopping Redis")?;
        status
    })
}
