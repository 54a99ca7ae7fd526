//! Checks that need more than one value: secrets in files, and numbers that only make sense together.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::Problem;
use crate::secret::Secret;
use crate::settings::{MetricsSettings, SchedulerSettings, Settings, WorkerSettings};
use crate::value::SettingValue;

/// Fills secrets from their files and checks every rule; what is wrong is appended to `problems`.
pub(crate) fn complete(settings: &mut Settings, problems: &mut Vec<Problem>) {
    let Settings {
        cluster,
        broker,
        redis,
        gateway,
        python,
        metrics,
        ..
    } = settings;
    for (key, secret, file) in [
        ("cluster.secret", &mut cluster.secret, &cluster.secret_file),
        ("broker.password", &mut broker.password, &broker.password_file),
        ("redis.password", &mut redis.password, &redis.password_file),
        ("gateway.token", &mut gateway.token, &gateway.token_file),
        ("metrics.token", &mut metrics.token, &metrics.token_file),
        (
            "python.gateway_token",
            &mut python.gateway_token,
            &python.gateway_token_file,
        ),
    ] {
        fill_secret(key, secret, file.as_ref(), problems);
    }
    name_worker(&mut settings.worker);
    check_scheme("broker.url", &settings.broker.url, ["amqp", "amqps"], problems);
    check_scheme("redis.url", &settings.redis.url, ["redis", "rediss"], problems);
    check_scheduler(&settings.scheduler, problems);
    check_worker(&settings.worker, problems);
    check_metrics(&settings.metrics, problems);
}

fn fill_secret(
    key: &'static str,
    secret: &mut Option<Secret>,
    file: Option<&PathBuf>,
    problems: &mut Vec<Problem>,
) {
    match (&secret, file) {
        (_, None) => {}
        (Some(_), Some(_)) => problems.push(Problem::TwoSecrets { key }),
        (None, Some(path)) => match Secret::from_file(path) {
            Ok(text) => *secret = Some(text),
            Err(source) => problems.push(Problem::SecretFile { key, source }),
        },
    }
}

/// Peers cannot connect to a wildcard address, but within a private network they can to a machine's name.
fn name_worker(worker: &mut WorkerSettings) {
    let is_wildcard = worker
        .data_host
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_unspecified());
    if is_wildcard && worker.advertise_address.is_none() {
        worker.advertise_address = fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty());
    }
}

fn check_scheme(key: &'static str, url: &Endpoint, known: [&str; 2], problems: &mut Vec<Problem>) {
    if !known.contains(&url.scheme()) {
        let reason = format!("the scheme must be `{}` or `{}`", known[0], known[1]);
        problems.push(Problem::Inconsistent {
            key,
            value: url.to_string(),
            reason,
        });
    }
}

fn check_scheduler(scheduler: &SchedulerSettings, problems: &mut Vec<Problem>) {
    // Two renewals must fit into the lease, or one slow answer of Redis costs the leadership.
    if scheduler.lease_renew * 2 > scheduler.lease_ttl {
        let reason = format!(
            "it must be at most half of `scheduler.lease_ttl` ({})",
            scheduler.lease_ttl.show()
        );
        problems.push(inconsistent(
            "scheduler.lease_renew",
            &scheduler.lease_renew,
            reason,
        ));
    }
    check_at_most(
        ("scheduler.suspect", scheduler.suspect),
        ("scheduler.lost", scheduler.lost),
        problems,
    );
}

fn check_worker(worker: &WorkerSettings, problems: &mut Vec<Problem>) {
    let steps = [
        ("worker.target", worker.target),
        ("worker.spill", worker.spill),
        ("worker.pause", worker.pause),
        ("worker.terminate", worker.terminate),
    ];
    for pair in steps.windows(2) {
        if let [(lower, below), (upper, above)] = pair
            && below > above
        {
            problems.push(inconsistent(
                lower,
                below,
                format!("it must be at most `{upper}` ({above})"),
            ));
        }
    }
}

/// An open port without a token would tell anybody who finds it.
fn check_metrics(metrics: &MetricsSettings, problems: &mut Vec<Problem>) {
    if metrics.port != 0 && metrics.token.is_none() && metrics.token_file.is_none() {
        let reason = "set `metrics.token_file` too: who asks must show that token".to_owned();
        problems.push(inconsistent("metrics.port", &metrics.port, reason));
    }
}

fn check_at_most(
    (lower, below): (&'static str, Duration),
    (upper, above): (&'static str, Duration),
    problems: &mut Vec<Problem>,
) {
    if below > above {
        problems.push(inconsistent(
            lower,
            &below,
            format!("it must be at most `{upper}` ({})", above.show()),
        ));
    }
}

fn inconsistent(key: &'static str, value: &impl SettingValue, reason: String) -> Problem {
    Problem::Inconsistent {
        key,
        value: value.show(),
        reason,
    }
}
