//! What the kernel says of a process.

use std::fs;

use anyhow::Context;

/// Resident memory of a process in bytes.
///
/// # Errors
/// If the process is gone.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// Resident memory of a process that is no file's, so that the kernel cannot take it back: what it is killed for.
///
/// # Errors
/// If the process is gone.
pub fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "RssAnon:")
}

fn status_bytes(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .with_context(|| format!("no {field}"))?
        .trim()
        .parse()?;
    Ok(kib << 10)
}

/// Running processes whose environment holds `NAME=value`.
///
/// # Errors
/// If the processes cannot be listed.
pub fn processes_with(variable: &str) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // Gone in the meantime, or somebody else's.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment
            .split(|byte| *byte == 0)
            .any(|pair| pair == variable.as_bytes())
        {
            found.push(pid);
        }
    }
    Ok(found)
}
