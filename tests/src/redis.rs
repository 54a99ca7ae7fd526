//! Reads a few values from Redis, in its own protocol: tests look at the lease without the product's code.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};

/// A server that is up answers within this.
const ANSWER: Duration = Duration::from_secs(2);

/// The value of a text key, if there is one.
///
/// # Errors
/// If the server does not answer, or the key holds something else.
pub fn get(url: &str, key: &str) -> anyhow::Result<Option<String>> {
    let address = url
        .strip_prefix("redis://")
        .and_then(|rest| rest.split('/').next())
        .and_then(|authority| authority.rsplit('@').next())
        .with_context(|| format!("no address in {url}"))?;
    let mut stream = TcpStream::connect(address).with_context(|| format!("no Redis at {address}"))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(format!("GET {key}\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let mut lines = answer.lines();
    match lines.next() {
        Some("$-1") => Ok(None),
        Some(length) if length.starts_with('$') => Ok(lines.next().map(str::to_owned)),
        other => bail!("Redis answers {other:?} to GET {key}"),
    }
}
