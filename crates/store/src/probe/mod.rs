//! How much memory there is, and how much of it is in use.
//!
//! Page cache never counts: the kernel gives it back. Where a control group sets a limit, what is counted against that
//! limit counts here, children included; else it is this process alone.

mod cgroup;

use std::fs;
use std::path::{Path, PathBuf};

use millstream_types::ByteSize;

use cgroup::Limited;

/// Finds the memory limit and the memory in use. One for each process.
#[derive(Debug, Clone)]
pub struct MemoryProbe {
    proc: PathBuf,
    limited: Option<Limited>,
}

impl Default for MemoryProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryProbe {
    /// A probe of this process.
    pub fn new() -> Self {
        Self::with_root(Path::new("/"))
    }

    /// A probe of the process that `proc/self` below `root` describes.
    fn with_root(root: &Path) -> Self {
        let proc = root.join("proc");
        let machine = field(&proc.join("meminfo"), "MemTotal:");
        let limited = cgroup::find(root, &proc).filter(|limited| {
            // Version 1 writes "no limit" as a number larger than any machine.
            machine.is_none_or(|machine| limited.limit() < machine * 1024)
        });
        Self { proc, limited }
    }

    /// The limit of the control group, else the machine's memory.
    pub fn limit(&self) -> Option<ByteSize> {
        match &self.limited {
            Some(limited) => Some(ByteSize::new(limited.limit())),
            None => field(&self.proc.join("meminfo"), "MemTotal:").map(|kib| ByteSize::new(kib * 1024)),
        }
    }

    /// Whether a control group sets the limit.
    pub const fn is_limited(&self) -> bool {
        self.limited.is_some()
    }

    /// Memory in use: anonymous and shared pages.
    pub fn used(&self) -> Option<ByteSize> {
        let in_group = self.limited.as_ref().and_then(Limited::usage);
        in_group.or_else(|| self.own_pages()).map(ByteSize::new)
    }

    /// Memory of this process alone, whatever its control group holds besides: anonymous and shared pages.
    pub fn process(&self) -> Option<ByteSize> {
        self.own_pages().map(ByteSize::new)
    }

    fn own_pages(&self) -> Option<u64> {
        let status = self.proc.join("self/status");
        let kib = field(&status, "RssAnon:")? + field(&status, "RssShmem:").unwrap_or(0);
        Some(kib * 1024)
    }
}

/// The number after `name` at the start of a line.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16000000 kB\nMemFree: 1 kB\n";
    const STATUS: &str =
        "Name:\tx\nVmRSS:\t  999 kB\nRssAnon:\t     300 kB\nRssFile:\t 600 kB\nRssShmem:\t      12 kB\n";

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, MemoryProbe) {
        let root = tempfile::tempdir().unwrap();
        let common = [("proc/meminfo", MEMINFO), ("proc/self/status", STATUS)];
        for (path, text) in common.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let probe = MemoryProbe::with_root(root.path());
        (root, probe)
    }

    #[test]
    fn without_a_limit_the_process_is_measured_against_the_machine() {
        let (_root, probe) = machine(&[]);
        assert!(!probe.is_limited());
        assert_eq!(probe.limit(), Some(ByteSize::new(16_000_000 * 1024)));
        assert_eq!(probe.used(), Some(ByteSize::new(312 * 1024)));
    }

    #[test]
    fn version_2_takes_the_tightest_limit_above_the_process() {
        let (_root, probe) = machine(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            (
                "proc/self/mountinfo",
                "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            ),
            ("sys/fs/cgroup/a/memory.max", "1048576\n"),
            (
                "sys/fs/cgroup/a/memory.stat",
                "anon 5000\nfile 700000\nkernel 3\nshmem 24\n",
            ),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.stat", "anon 1\nfile 2\nshmem 3\n"),
        ]);
        assert_eq!(probe.limit(), Some(ByteSize::new(1 << 20)));
        assert_eq!(probe.used(), Some(ByteSize::new(5024)));
        assert_eq!(probe.process(), Some(ByteSize::new(312 * 1024)));
    }

    #[test]
    fn version_1_counts_children_and_knows_no_limit_when_it_sees_one() {
        let mountinfo = "31 20 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let stat = "cache 9\nrss 1\ntotal_rss 4096\ntotal_shmem 4\n";
        let (_root, limited) = machine(&[
            (
                "proc/self/cgroup",
                "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
            ),
            ("proc/self/mountinfo", mountinfo),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152\n"),
            ("sys/fs/cgroup/memory/memory.stat", stat),
        ]);
        assert_eq!(limited.limit(), Some(ByteSize::new(2 << 20)));
        assert_eq!(limited.used(), Some(ByteSize::new(4100)));

        let (_root, free) = machine(&[
            ("proc/self/cgroup", "4:memory:/docker/x\n"),
            ("proc/self/mountinfo", mountinfo),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/memory.stat", stat),
        ]);
        assert!(!free.is_limited());
    }

    #[test]
    fn this_process_uses_memory() {
        let probe = MemoryProbe::new();
        assert!(probe.used().unwrap() > ByteSize::ZERO);
        assert!(probe.limit().unwrap() > probe.used().unwrap());
    }
}
