//! Chores of the repository; `cargo xtask help` lists them.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool reports on standard output"
)]

mod deps;
mod fuzz;
mod house;
mod light;
mod reference;
mod servers;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  deps                        check which crate may know which (docs/ARCHITECTURE.md)
  config-reference            write docs/reference/configuration.md
  config-reference --check    fail if that page is stale
  fuzz SECONDS                fuzz the reading of messages and graphs, each for so long
  metrics-reference           write docs/reference/metrics.md
  metrics-reference --check   fail if that page is stale
  light                       print the crates that do not need the query engine
  with-servers COMMAND…       run a command with a private RabbitMQ and Redis in its environment
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `main`'s own report, which adds a backtrace of this tool to a finding about the repository.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["deps"] => deps::run(&root()?),
        ["fuzz", seconds] => fuzz::run(&root()?, seconds),
        ["light"] => light::run(&root()?),
        ["with-servers", program, ref arguments @ ..] => {
            let status = servers::run(program, arguments)?;
            if !status.success() {
                bail!("`{program}` ended with {status}");
            }
            Ok(())
        }
        ["config-reference"] => reference::CONFIGURATION.write(&root()?),
        ["config-reference", "--check"] => reference::CONFIGURATION.check(&root()?),
        ["metrics-reference"] => reference::METRICS.write(&root()?),
        ["metrics-reference", "--check"] => reference::METRICS.check(&root()?),
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}");
            Ok(())
        }
        [] => bail!("no command\n\n{USAGE}"),
        _ => bail!("unknown command `{}`\n\n{USAGE}", arguments.join(" ")),
    }
}

/// The workspace's folder.
fn root() -> Result<PathBuf> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(xtask.parent().context("xtask lies in the workspace")?.to_owned())
}
