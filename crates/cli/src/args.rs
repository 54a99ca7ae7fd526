//! The command line's shape.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use millstream::api::{Span, SpanError};
use millstream::{ByteSize, JobId, WorkerId};

/// Distributed computing for data work.
#[derive(Debug, Parser)]
#[command(
    name = "millstream",
    version,
    about,
    after_help = "\
Examples:
  millstream demo                                      see it run, with nothing installed
  millstream sql 'SELECT count(*) FROM t' --table t=flights.csv
  millstream up --workers 4                            a cluster on this machine
  millstream submit job.json                           a job for the cluster in MILLSTREAM_GATEWAY"
)]
pub(crate) struct Cli {
    /// Settings file [default: MILLSTREAM_CONFIG, ./millstream.toml, /etc/millstream/millstream.toml].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log level, or directives such as `info,millstream_bus=debug`.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// `text` or `json`.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster in this process until it is interrupted.
    #[command(after_help = "Example: millstream up --workers 2 --slots 1 --memory-limit 2GiB --port 8787")]
    Up(UpArgs),
    /// Run the gateway service.
    #[command(after_help = "\
Examples:
  millstream gateway --config /etc/millstream/millstream.toml
  MILLSTREAM__GATEWAY__PORT=9090 millstream gateway")]
    Gateway,
    /// Run a scheduler service: it leads, or stands by.
    #[command(after_help = "\
Examples:
  millstream scheduler --config /etc/millstream/millstream.toml
  MILLSTREAM__REDIS__URL=redis://10.0.0.5:6379/0 millstream scheduler --log debug")]
    Scheduler,
    /// Run a worker service; or look at a worker of a cluster, or let it go.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
Examples:
  millstream worker --slots 8 --advertise-address 10.0.0.7 --data-port 9000
  millstream worker drain 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10"
    )]
    Worker(WorkerArgs),
    /// Tell whether a service on this machine makes progress: exit code 0 or 1.
    #[command(after_help = "\
Examples:
  millstream health gateway
  MILLSTREAM__HEALTH__FILE=/run/millstream/alive millstream health worker")]
    Health {
        /// The service.
        service: Service,
    },
    /// Make data, run queries and a task graph on it, and show what happened.
    #[command(after_help = "Examples:\n  millstream demo\n  millstream demo lineitem.parquet orders.csv")]
    Demo(DemoArgs),
    /// Run a query over files.
    #[command(after_help = "\
Examples:
  millstream sql \"SELECT count(*) FROM 'flights.csv'\"
  millstream sql 'SELECT carrier, avg(delay) FROM f GROUP BY 1' --table f='data/*.parquet' --format csv -o out.csv
  millstream sql 'SELECT $1 + 1' --param 41 --gateway http://cluster:8787
  millstream sql --file report.sql --session team --gateway http://cluster:8787")]
    Sql(SqlArgs),
    /// Submit a job from a JSON file (`-` for standard input) and wait for it.
    #[command(after_help = "\
Example:
  echo '{\"tasks\": [{\"key\": \"hi\", \"op\": \"command\", \"argv\": [\"echo\", \"hello\"]}]}' | millstream submit -")]
    Submit(SubmitArgs),
    /// List jobs, newest first.
    #[command(after_help = "\
Examples:
  millstream jobs --limit 5
  millstream jobs --json --gateway http://cluster:8787")]
    Jobs(JobsArgs),
    /// Look at one job, or stop it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  millstream job show 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10
  millstream job cancel 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10"
    )]
    Job(JobCommand),
    /// List workers.
    #[command(after_help = "Examples:\n  millstream workers\n  millstream workers --json")]
    Workers(GatewayArgs),
    /// Watch jobs and workers on this terminal, cancel jobs and drain workers by keys.
    #[command(after_help = "\
Examples:
  millstream top
  millstream top --gateway http://cluster:8787 --interval 5s
  millstream top --once | grep failed")]
    Top(TopArgs),
    /// Print this user's token, made at first use.
    #[command(after_help = "\
Example:
  curl -H \"Authorization: Bearer $(millstream token)\" http://127.0.0.1:8787/v1/jobs")]
    Token,
    /// Measure how fast tasks flow.
    #[command(after_help = "\
Examples:
  millstream bench merge --tasks 100000 --json
  millstream bench rtt --tasks 1000 --gateway http://cluster:8787")]
    Bench(BenchArgs),
    /// Run the schedulers and workers under simulated failures.
    #[command(after_help = "Example: millstream sim --seeds 0..10000")]
    Sim(SimArgs),
    /// Check settings, servers and this machine, and say what is wrong.
    #[command(after_help = "\
Examples:
  millstream doctor
  millstream doctor --config millstream.toml --gateway http://cluster:8787")]
    Doctor(GatewayArgs),
}

/// A service.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Service {
    /// Asks its `/healthz`.
    Gateway,
    /// Looks at its liveness file.
    Scheduler,
    /// Looks at its liveness file.
    Worker,
}

/// Which gateway.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GatewayArgs {
    /// The gateway's address [default: MILLSTREAM_GATEWAY, else http://127.0.0.1:8787].
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// The token [default: MILLSTREAM_TOKEN, else this user's].
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The size of a cluster in this process.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SizeArgs {
    /// Workers.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u32>,
    /// Tasks that each worker runs at once [default: the cores, divided among the workers].
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u32>,
    /// Memory of each worker, such as `2GiB` [default: 0.8 of the machine's, divided among the workers].
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_limit: Option<ByteSize>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) size: SizeArgs,
    /// Port of the gateway.
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    pub(crate) command: Option<WorkerCommand>,
    /// Name shown to people.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Tasks run at once.
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u32>,
    /// Memory, such as `2GiB`.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_limit: Option<ByteSize>,
    /// Host, or host and port, under which peers reach the data plane.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) advertise_address: Option<String>,
    /// Port of the data plane.
    #[arg(long, value_name = "PORT")]
    pub(crate) data_port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// CSV or Parquet files of your own instead of made ones.
    pub(crate) paths: Vec<PathBuf>,
    /// TPC-H scale factor of the made data; 0.3 is about 300 MB.
    #[arg(long, default_value_t = 0.3)]
    pub(crate) scale: f64,
    #[command(flatten)]
    pub(crate) size: SizeArgs,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
    Arrow,
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The query, or several statements with semicolons between them; `-` reads them from standard input.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) query: Option<String>,
    /// A file with the statements.
    #[arg(long, short = 'f', value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Whose tables and views the statements see and make: a name that the cluster keeps them under.
    #[arg(long, value_name = "NAME")]
    pub(crate) session: Option<String>,
    /// A table: a name and a file, folder or glob.
    #[arg(long = "table", short = 't', value_name = "NAME=PATH")]
    pub(crate) tables: Vec<String>,
    /// The next of `$1`, `$2`, …: a JSON value, else a text.
    #[arg(long = "param", short = 'p', value_name = "VALUE")]
    pub(crate) params: Vec<String>,
    /// How the result is written [default: table, or told by the name of the output file].
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Write to this file instead of standard output.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Run on this cluster instead of inside this process.
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// The token of that cluster.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    #[command(flatten)]
    pub(crate) size: SizeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// A file with the job in JSON.
    pub(crate) file: PathBuf,
    /// Print the job's id and leave.
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Most jobs to list.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Where the job stands, and its tasks.
    #[command(after_help = "Example: millstream job show 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10 --json")]
    Show(JobArgs),
    /// What happens to the job, until its end.
    #[command(after_help = "Example: millstream job events 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10")]
    Events(JobArgs),
    /// What a task wrote.
    #[command(after_help = "Example: millstream job logs 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10 sorted")]
    Logs(JobTaskArgs),
    /// Why a task is not running, or what became of it.
    #[command(after_help = "Example: millstream job explain 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10 sorted")]
    Explain(JobTaskArgs),
    /// Write what the job did as a page of HTML: findings, layers, what ran where and when, memory.
    #[command(
        after_help = "Example: millstream job report 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10 -o report.html"
    )]
    Report(JobReportArgs),
    /// Stop the job.
    #[command(after_help = "Example: millstream job cancel 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10")]
    Cancel(JobArgs),
    /// Forget a job that has ended, and its results.
    #[command(after_help = "Example: millstream job rm 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10")]
    Rm(JobArgs),
}

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// The job's id.
    pub(crate) job: JobId,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JobReportArgs {
    /// The job's id.
    pub(crate) job: JobId,
    /// Write to this file instead of standard output.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The gateway's address [default: MILLSTREAM_GATEWAY, else http://127.0.0.1:8787].
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// The token [default: MILLSTREAM_TOKEN, else this user's].
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct JobTaskArgs {
    /// The job's id.
    pub(crate) job: JobId,
    /// The task's key.
    pub(crate) task: String,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// What the leader knows of the worker.
    #[command(after_help = "Example: millstream worker show 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10")]
    Show(OneWorkerArgs),
    /// Let the worker finish what it runs and leave.
    #[command(after_help = "Example: millstream worker drain 0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10")]
    Drain(OneWorkerArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OneWorkerArgs {
    /// The worker's id.
    pub(crate) worker: WorkerId,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
}

/// A shape of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Independent tasks, and one that reads them all.
    Merge,
    /// A binary tree.
    Tree,
    /// A symbolic map.
    Map,
    /// One task after the other.
    Chain,
    /// One job of one task at a time: submission to result.
    Rtt,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The shape of work.
    pub(crate) workload: Workload,
    /// Tasks.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) tasks: u32,
    /// Runs, of which the median counts.
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    #[command(flatten)]
    pub(crate) size: SizeArgs,
    /// Measure this cluster instead of one inside this process.
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// The token of that cluster.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Print one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Time between two looks: 1s to 60s.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Print one frame as text and leave, as is done where the output is no terminal.
    #[arg(long)]
    pub(crate) once: bool,
    /// The gateway's address [default: MILLSTREAM_GATEWAY, else http://127.0.0.1:8787].
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// The token [default: MILLSTREAM_TOKEN, else this user's].
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

/// An interval that gateways allow.
fn interval(text: &str) -> Result<Duration, String> {
    let Span(interval) = text.parse().map_err(|error: SpanError| error.to_string())?;
    let allowed = millstream_top::SHORTEST..=millstream_top::LONGEST;
    if allowed.contains(&interval) {
        Ok(interval)
    } else {
        Err("gateways sum up once a second: write 1s to 60s".to_owned())
    }
}

#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// Seeds, such as `0..200` or `17`.
    #[arg(long, default_value = "0..200")]
    pub(crate) seeds: String,
    /// Let no job import objects of another one.
    #[arg(long)]
    pub(crate) no_imports: bool,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_worker_is_run_or_let_go() {
        let cli = Cli::try_parse_from(["millstream", "worker", "--slots", "3"]).unwrap();
        assert!(matches!(
            cli.command,
            Command::Worker(WorkerArgs {
                command: None,
                slots: Some(3),
                ..
            })
        ));
        let id = "0190b5a1-7d2e-7c3f-8a44-2f9f1c7e5b10";
        let cli = Cli::try_parse_from(["millstream", "worker", "drain", id]).unwrap();
        assert!(matches!(
            cli.command,
            Command::Worker(WorkerArgs {
                command: Some(WorkerCommand::Drain(_)),
                ..
            })
        ));
    }

    #[test]
    fn top_looks_no_more_often_than_gateways_sum_up() {
        let of = |interval: &str| match Cli::try_parse_from(["millstream", "top", "--interval", interval]) {
            Ok(Cli {
                command: Command::Top(args),
                ..
            }) => Some(args.interval),
            _ => None,
        };
        assert_eq!(of("2s"), Some(Duration::from_secs(2)));
        assert_eq!((of("0s"), of("61s"), of("often")), (None, None, None));
    }

    /// Every command and all below it, by what a user types.
    fn all_commands(prefix: &str, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
        for below in command.get_subcommands() {
            let name = format!("{prefix} {}", below.get_name());
            all_commands(&name, below, found);
            found.push((name, below.clone()));
        }
    }

    #[test]
    fn every_command_shows_an_example_and_explains_its_arguments() {
        let mut commands = Vec::new();
        all_commands("millstream", &Cli::command(), &mut commands);
        assert!(commands.len() > 20, "{}", commands.len());
        for (name, command) in commands {
            assert!(command.get_about().is_some(), "{name}");
            let examples = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                examples.contains("Example") && examples.contains(&name),
                "{name} shows no example of itself"
            );
            for argument in command
                .get_arguments()
                .filter(|argument| !argument.is_global_set())
            {
                assert!(argument.get_help().is_some(), "{name}: {}", argument.get_id());
            }
        }
    }
}
