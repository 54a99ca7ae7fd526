//! Seeds that CI runs each time.

use millstream_sim::{SimConfig, run_range, run_seed};

#[test]
fn without_faults_every_job_comes_to_its_outcome() {
    if let Err(failure) = run_range(0..60, &SimConfig::fault_free()) {
        panic!("{failure}");
    }
}

#[test]
fn equal_seeds_run_alike() {
    for seed in 0..5 {
        let config = SimConfig::default();
        assert_eq!(run_seed(seed, &config), run_seed(seed, &config), "seed {seed}");
    }
}
