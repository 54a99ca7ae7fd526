//! The terminal program alone, on the gateway that the environment names: `cargo run -p millstream-top --example top`.

use std::time::Duration;

use anyhow::Result;
use millstream::{Client, ClientOptions};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::connect(&ClientOptions::default())?;
    millstream_top::run(&client, Duration::from_secs(1)).await?;
    Ok(())
}
