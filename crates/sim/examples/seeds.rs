//! Runs a range of seeds on all cores and names every seed that fails, where `millstream sim` stops at the first. It
//! builds without the engine: `cargo run --release -p millstream-sim --example seeds -- 0..3000`.
//!
//! One seed alone (`17..18`) prints its story. After the range, `determinate` leaves indeterminate operations out, and
//! `no-imports` lets no job import from another one, and `no-give-up` lets clients release and cancel nothing.

use std::io::{self, Write as _};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use millstream_sim::{SimConfig, SimReport, run_seed};

fn main() -> io::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let Some(seeds) = args.next().and_then(|text| range(&text)) else {
        writeln!(
            io::stderr(),
            "usage: seeds A..B [determinate] [no-imports] [no-give-up]"
        )?;
        return Ok(ExitCode::from(2));
    };
    let options: Vec<String> = args.collect();
    let is_set = |name: &str| options.iter().any(|option| option == name);
    let config = SimConfig {
        indeterminate: !is_set("determinate"),
        imports: !is_set("no-imports"),
        gives_up: !is_set("no-give-up"),
        ..SimConfig::default()
    };
    let has_story = seeds.end - seeds.start == 1;
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicU64::new(0);
    let total = Mutex::new(SimReport::default());
    let work = || -> io::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Ok(());
            }
            let failure = match run_seed(seed, &config) {
                Err(failure) => failure,
                Ok(report) => {
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(&report);
                    continue;
                }
            };
            failed.fetch_add(1, Ordering::Relaxed);
            let mut out = io::stdout().lock();
            if has_story {
                writeln!(out, "{failure}")?;
            } else {
                writeln!(
                    out,
                    "seed {seed} failed after {} ms: {}",
                    failure.at_ms, failure.reason
                )?;
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a seed panicked")))
        })
    })?;
    let failed = failed.into_inner();
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    writeln!(
        io::stdout(),
        "{} seeds, {failed} failed; {} jobs, {} executions, {} inputs of other jobs, {} outputs of importing jobs compared, {} tasks \
         given up",
        seeds.end - seeds.start,
        total.jobs,
        total.executions,
        total.imported,
        total.compared,
        total.given_up
    )?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}
