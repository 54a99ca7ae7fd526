//! `millstream top`.

use std::io::IsTerminal as _;

use millstream::{Client, ClientOptions};
use millstream_top::{Left, TopError};

use crate::args::TopArgs;
use crate::exit::Signalled;
use crate::output;

pub(crate) async fn run(args: TopArgs) -> anyhow::Result<()> {
    let client = Client::connect(&ClientOptions {
        url: args.gateway,
        token: args.token,
    })?;
    if args.once || !std::io::stdout().is_terminal() {
        let frame = millstream_top::once(&client).await.map_err(told)?;
        return Ok(output::data(frame.as_bytes())?);
    }
    match millstream_top::run(&client, args.interval).await.map_err(told)? {
        Left::ByKey => Ok(()),
        Left::BySignal(number) => Err(Signalled(number).into()),
    }
}

/// The gateway's errors as other commands tell them: their exit codes follow from their type.
fn told(error: TopError) -> anyhow::Error {
    match error {
        TopError::Gateway(error) => error.into(),
        other => other.into(),
    }
}
