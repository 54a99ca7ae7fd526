//! The memory controller of control groups, versions 1 and 2.

use std::fs;
use std::path::{Path, PathBuf};

use super::field;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The control group whose limit is the tightest of those above the process.
#[derive(Debug, Clone)]
pub(super) struct Limited {
    version: Version,
    folder: PathBuf,
    limit: u64,
}

impl Limited {
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Anonymous and shared pages of the group and all groups below it.
    pub(super) fn usage(&self) -> Option<u64> {
        let stat = self.folder.join("memory.stat");
        let (anonymous, shared) = match self.version {
            Version::V1 => ("total_rss ", "total_shmem "),
            Version::V2 => ("anon ", "shmem "),
        };
        Some(field(&stat, anonymous)? + field(&stat, shared).unwrap_or(0))
    }
}

/// Where the memory controller is mounted.
struct Mount {
    version: Version,
    /// The group that the mount point shows.
    shown: PathBuf,
    point: PathBuf,
}

pub(super) fn find(root: &Path, proc: &Path) -> Option<Limited> {
    let groups = fs::read_to_string(proc.join("self/cgroup")).ok()?;
    let mounts = fs::read_to_string(proc.join("self/mountinfo")).ok()?;
    // On hybrid systems the controller belongs to version 1.
    let (version, group) = group_of(&groups, Version::V1).or_else(|| group_of(&groups, Version::V2))?;
    let mount = mounts
        .lines()
        .filter_map(mount)
        .find(|mount| mount.version == version)?;
    let point = root.join(mount.point.strip_prefix("/").ok()?);
    // A group outside of what is mounted is that of a container without its own namespace: the mount is its view.
    let below = Path::new(group)
        .strip_prefix(&mount.shown)
        .unwrap_or(Path::new(""));
    let innermost = point.join(below);
    innermost
        .ancestors()
        .take_while(|folder| folder.starts_with(&point))
        .filter_map(|folder| {
            let limit = limit(version, folder)?;
            Some(Limited {
                version,
                folder: folder.to_owned(),
                limit,
            })
        })
        .min_by_key(Limited::limit)
}

fn limit(version: Version, folder: &Path) -> Option<u64> {
    let file = match version {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    // "max" is no number, hence no limit.
    fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

fn group_of(groups: &str, version: Version) -> Option<(Version, &str)> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let matches = match version {
            Version::V1 => controllers.split(',').any(|controller| controller == "memory"),
            Version::V2 => controllers.is_empty(),
        };
        matches.then_some((version, group))
    })
}

fn mount(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (shown, point) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let (kind, _, options) = (filesystem.next()?, filesystem.next()?, filesystem.next()?);
    let version = match kind {
        "cgroup2" => Version::V2,
        "cgroup" if options.split(',').any(|option| option == "memory") => Version::V1,
        _ => return None,
    };
    Some(Mount {
        version,
        shown: shown.into(),
        point: point.into(),
    })
}
