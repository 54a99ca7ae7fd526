//! The command line: every service, a whole cluster in one process, and what users ask of a gateway.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 the job failed, 2 wrong
//! usage or a refused request, 3 no gateway, 130 interrupted (128 and the signal's number where another signal ended it).

mod args;
mod commands;
mod exit;
mod interrupt;
mod output;
mod progress;
mod settings;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::from(exit::code_of(&error))
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli {
        config,
        log,
        log_format,
        command,
    } = cli;
    let loading = settings::Loading {
        config,
        log,
        log_format,
    };
    match command {
        Command::Up(args) => commands::up::run(args, loading),
        Command::Gateway => commands::services::gateway(loading),
        Command::Scheduler => commands::services::scheduler(loading),
        Command::Worker(mut args) => match args.command.take() {
            Some(command) => interrupt::block_on(commands::workers::one(command)),
            None => commands::services::worker(args, loading),
        },
        Command::Health { service } => commands::health::run(service, loading),
        Command::Demo(args) => interrupt::block_on(commands::demo::run(args, loading)),
        Command::Sql(args) => interrupt::block_on(commands::sql::run(args, loading)),
        Command::Submit(args) => interrupt::block_on(commands::submit::run(args)),
        Command::Jobs(args) => interrupt::block_on(commands::jobs::list(args)),
        Command::Job(command) => interrupt::block_on(commands::jobs::one(command)),
        Command::Workers(args) => interrupt::block_on(commands::workers::list(args)),
        Command::Top(args) => interrupt::block_on(commands::top::run(args)),
        Command::Token => commands::token::run(),
        Command::Bench(args) => interrupt::block_on(commands::bench::run(args, loading)),
        Command::Sim(args) => commands::sim::run(args),
        Command::Doctor(args) => interrupt::block_on(commands::doctor::run(args, loading)),
    }
}
