//! Runs the fuzz targets of the protocol with the toolchain of the repository: coverage comes from stable compiler
//! flags, so that no nightly toolchain is needed. What `cargo fuzz` adds to that is the address sanitizer.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

const TARGETS: [&str; 2] = ["frame", "graph"];

/// What libFuzzer needs to see which branches an input takes.
const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
     -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Fuzzes each target for `seconds`, from the golden messages on. Findings and the corpus stay in the target folder.
pub(crate) fn run(root: &Path, seconds: &str) -> Result<()> {
    let seconds: u32 = seconds
        .parse()
        .with_context(|| format!("`{seconds}` is no number of seconds"))?;
    let fuzz = root.join("crates/protocol/fuzz");
    let target_dir = target_dir(root).join("fuzz");
    let seeds = target_dir.join("seeds");
    write_seeds(&root.join("crates/protocol/tests/golden"), &seeds)?;
    // A target triple keeps the flags away from build scripts and macros.
    let triple = host_triple()?;
    let built = Command::new("cargo")
        .args(["build", "--release", "--target", &triple])
        .current_dir(&fuzz)
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("RUSTFLAGS", INSTRUMENTATION)
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .context("cannot run cargo")?;
    if !built.success() {
        bail!("the fuzz targets do not build");
    }
    for target in TARGETS {
        let corpus = target_dir.join("corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        let status = Command::new(target_dir.join(&triple).join("release").join(target))
            .arg(format!("-max_total_time={seconds}"))
            .arg("-max_len=65536")
            .arg(format!("-artifact_prefix={}/", corpus.display()))
            .args([&corpus, &seeds])
            .status()
            .with_context(|| format!("cannot run the fuzz target {target}"))?;
        if !status.success() {
            bail!(
                "fuzz target {target} found an input that breaks it: see {}",
                corpus.display()
            );
        }
    }
    Ok(())
}

fn target_dir(root: &Path) -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into)
}

fn host_triple() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let triple = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(triple.context("rustc names no host")?.to_owned())
}

/// The golden messages are hexadecimal texts; the fuzzer starts from their bytes.
fn write_seeds(golden: &Path, seeds: &Path) -> Result<()> {
    fs::create_dir_all(seeds)?;
    for entry in fs::read_dir(golden).with_context(|| format!("cannot read {}", golden.display()))? {
        let path = entry?.path();
        let digits: String = fs::read_to_string(&path)?.split_whitespace().collect();
        let bytes: Result<Vec<u8>, _> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16))
            .collect();
        let name = path.file_stem().context("a golden file has a name")?;
        let bytes = bytes.with_context(|| format!("{} is not hexadecimal", path.display()))?;
        fs::write(seeds.join(name), bytes)?;
    }
    Ok(())
}
