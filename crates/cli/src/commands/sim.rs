//! `millstream sim`.

use std::ops::Range;
use std::time::Instant;

use anyhow::{Context as _, bail};
use millstream_sim::{SimConfig, run_seed};

use crate::args::SimArgs;
use crate::exit::Failed;
use crate::output;

pub(crate) fn run(args: SimArgs) -> anyhow::Result<()> {
    let seeds = seeds(&args.seeds)?;
    let config = SimConfig {
        imports: !args.no_imports,
        ..SimConfig::default()
    };
    let again = if args.no_imports { " --no-imports" } else { "" };
    let began = Instant::now();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        if let Err(failure) = run_seed(seed, &config) {
            output::line(&failure.to_string())?;
            return Err(Failed(format!(
                "seed {seed} failed; run it again with `millstream sim --seeds {seed}{again}`"
            ))
            .into());
        }
    }
    output::line(&format!(
        "{count} seeds passed in {:.1} s",
        began.elapsed().as_secs_f64()
    ))?;
    Ok(())
}

fn seeds(text: &str) -> anyhow::Result<Range<u64>> {
    let wrong = || format!("`{text}` names no seeds: write A..B, or one number");
    let (from, to) = match text.split_once("..") {
        Some((from, to)) => (from.parse().with_context(wrong)?, to.parse().with_context(wrong)?),
        None => {
            let seed: u64 = text.parse().with_context(wrong)?;
            (seed, seed + 1)
        }
    };
    if from >= to {
        bail!(wrong());
    }
    Ok(from..to)
}
