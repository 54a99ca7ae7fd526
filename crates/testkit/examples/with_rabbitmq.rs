//! Runs a command with one private RabbitMQ that all tests in it share, because nextest runs each test in its own
//! process and a server takes seconds to start:
//!
//! `cargo run -p millstream-testkit --example with_rabbitmq -- cargo nextest run -p millstream-bus`

use std::process::ExitCode;

use anyhow::{Context, Result};
use millstream_testkit::RabbitMq;
use millstream_testkit::rabbitmq::AMQP_ENV;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments
        .next()
        .context("usage: with_rabbitmq COMMAND [ARGUMENT…]")?;
    let server = RabbitMq::start().await?;
    let status = tokio::process::Command::new(program)
        .args(arguments)
        .env(AMQP_ENV, server.url())
        .status()
        .await
        .context("cannot run the command")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
