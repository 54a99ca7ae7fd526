//! How fast the machine is at this moment, beside the machine that the promised rates were stated for.
//!
//! A shared machine gives its guests half of itself for minutes at a time. A rate promised per second fails there though
//! nothing in Millstream changed; what is promised is the rate beside what the machine can do meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// Maps that two threads build per second on the idle machine that the rates are stated for: two cores of 2.0 GHz.
const MAPS: f64 = 30_000.0;

/// How long the threads build: several of the spans in which a kernel hands out quotas of its cores.
const SPAN: Duration = Duration::from_millis(500);

/// Entries of a map: about as many as fit into a core's first cache.
const ENTRIES: u64 = 512;

/// What the machine did per second.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    maps: f64,
}

impl Speed {
    /// Keeps two cores busy for half a second, so nothing that is measured may run meanwhile.
    ///
    /// # Errors
    /// Never, unless a thread panics.
    pub fn measure() -> anyhow::Result<Self> {
        let built = thread::scope(|scope| {
            let other = scope.spawn(build_maps);
            let mine = build_maps();
            other.join().map(|other| mine + other)
        });
        let built = built.map_err(|_| anyhow::anyhow!("the second thread panicked"))?;
        Ok(Self {
            maps: f64::from(built) / SPAN.as_secs_f64(),
        })
    }

    /// How many times slower than the machine of the promises; 1 for any that is faster.
    #[must_use]
    pub fn slowdown(self) -> f64 {
        (MAPS / self.maps).max(1.0)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} of {MAPS:.0} maps/s", self.maps)
    }
}

/// Builds maps one after another: allocations, branches and memory, as in a scheduler.
fn build_maps() -> u32 {
    let began = Instant::now();
    let mut built = 0;
    while began.elapsed() < SPAN {
        let mut key = u64::from(built);
        let mut map = BTreeMap::new();
        for value in 0..ENTRIES {
            // A step of a linear congruential generator, with Knuth's multiplier.
            key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            map.insert(key, value);
        }
        black_box(map);
        built += 1;
    }
    built
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_is_told_and_a_fast_one_counts_as_promised() {
        let slowdown = |maps| Speed { maps }.slowdown();
        assert!((slowdown(MAPS / 2.0) - 2.0).abs() < 1e-9);
        assert!((slowdown(MAPS * 2.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn something_is_measured() -> anyhow::Result<()> {
        assert!(Speed::measure()?.maps > 0.0);
        Ok(())
    }
}
