use millstream_sim::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let config = if a[1] == "free" {
        SimConfig::fault_free()
    } else {
        SimConfig::default()
    };
    let (from, to): (u64, u64) = (a[2].parse().unwrap(), a[3].parse().unwrap());
    let verbose = a.len() > 4;
    let (mut bad, mut total) = (0, SimReport::default());
    let t = std::time::Instant::now();
    for seed in from..to {
        match std::panic::catch_unwind(|| run_seed(seed, &config)) {
            Ok(Ok(r)) => total.add(&r),
            Ok(Err(e)) => {
                bad += 1;
                if verbose {
                    println!("{e}");
                    return;
                }
                println!(
                    "seed {seed} at {} ms: {}",
                    e.at_ms,
                    e.reason.chars().take(300).collect::<String>()
                );
            }
            Err(_) => {
                bad += 1;
                println!("seed {seed} PANIC");
            }
        }
    }
    println!("{bad} bad of {} in {:?}; {total:?}", to - from, t.elapsed());
}
