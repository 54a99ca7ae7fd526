//! How much processor time a worker uses: its threads, and the processes that they started.
//!
//! It is counted from `/proc`, where a process that ended and was waited for counts in its parent. What a process used
//! between its last measurement and its end is not seen if its parent is a thread of a process that others share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::threads::Threads;

/// Parts of a second in which Linux tells times: a part of its interface, whatever the kernel's own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// A thread or process. Numbers are given again, so the time of its start belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    number: u32,
    began: u64,
}

/// What one of them has used since its start.
#[derive(Debug, Clone, Copy)]
struct Usage {
    ticks: u64,
    /// The measured process in which it counts once it has ended.
    parent: Option<Id>,
    is_thread: bool,
}

type Usages = BTreeMap<Id, Usage>;

/// Measures what is used from one call to the next.
#[derive(Debug)]
pub struct CpuProbe {
    proc: PathBuf,
    process: u32,
    /// Whose threads count; `None` is the whole process.
    threads: Option<Vec<Threads>>,
    last: Option<(Instant, Usages)>,
}

impl CpuProbe {
    /// Measures this process and all below it.
    pub fn of_process() -> Self {
        Self::with_root(Path::new("/"), std::process::id(), None)
    }

    /// Measures threads of this process, which has others, and the processes that they start.
    pub fn of_threads(threads: Vec<Threads>) -> Self {
        Self::with_root(Path::new("/"), std::process::id(), Some(threads))
    }

    fn with_root(root: &Path, process: u32, threads: Option<Vec<Threads>>) -> Self {
        Self {
            proc: root.join("proc"),
            process,
            threads,
            last: None,
        }
    }

    /// Thousandths of one cpu that were in use since the last call; nothing is known at the first.
    pub fn used(&mut self) -> Option<u32> {
        self.used_at(Instant::now())
    }

    fn used_at(&mut self, now: Instant) -> Option<u32> {
        let found = self.find();
        let (then, before) = self.last.replace((now, found))?;
        let (_, found) = self.last.as_ref()?;
        let seconds = now.duration_since(then).as_secs_f64();
        let milli = gained(&before, found) as f64 / TICKS_PER_SECOND / seconds * 1_000.0;
        milli.is_finite().then_some(milli.round() as u32)
    }

    fn find(&self) -> Usages {
        let mut found = Usages::new();
        let Some(threads) = &self.threads else {
            self.descend(self.process, None, &mut found);
            return found;
        };
        let tasks = self.proc.join(self.process.to_string()).join("task");
        for thread in threads.iter().flat_map(Threads::numbers) {
            let Some(stat) = Stat::read(&tasks.join(thread.to_string()), thread) else {
                continue;
            };
            let usage = Usage {
                ticks: stat.own,
                parent: None,
                is_thread: true,
            };
            found.insert(stat.id, usage);
            for child in children(&tasks.join(thread.to_string())) {
                self.descend(child, None, &mut found);
            }
        }
        self.add_orphans(&mut found);
        found
    }

    /// Processes outlive the thread that started them: they are then another thread's.
    fn add_orphans(&self, found: &mut Usages) {
        let before = self.last.iter().flat_map(|(_, usages)| usages);
        for (id, _) in before.filter(|(_, usage)| !usage.is_thread) {
            let lives = || Stat::read(&self.proc.join(id.number.to_string()), id.number);
            if !found.contains_key(id) && lives().is_some_and(|stat| stat.id == *id) {
                self.descend(id.number, None, found);
            }
        }
    }

    /// Adds a process and all below it.
    fn descend(&self, process: u32, parent: Option<Id>, found: &mut Usages) {
        let mut left = vec![(process, parent)];
        while let Some((process, parent)) = left.pop() {
            let folder = self.proc.join(process.to_string());
            // It may have ended just now.
            let Some(stat) = Stat::read(&folder, process) else {
                continue;
            };
            let usage = Usage {
                ticks: stat.own + stat.ended_children,
                parent,
                is_thread: false,
            };
            if found.insert(stat.id, usage).is_none() {
                let tasks = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
                let children = tasks.flat_map(|task| children(&task.path()));
                left.extend(children.map(|child| (child, Some(stat.id))));
            }
        }
    }
}

/// Ticks used between two measurements. What an ended process had used before counts in its parent since.
fn gained(before: &Usages, now: &Usages) -> u64 {
    let gained = |(id, usage): (&Id, &Usage)| {
        let known = before.get(id).map_or(0, |usage| usage.ticks);
        usage.ticks.saturating_sub(known)
    };
    let is_inherited = |(id, usage): &(&Id, &Usage)| {
        let heir = usage.parent.is_some_and(|parent| now.contains_key(&parent));
        heir && !now.contains_key(id)
    };
    let inherited: u64 = before
        .iter()
        .filter(is_inherited)
        .map(|(_, usage)| usage.ticks)
        .sum();
    now.iter().map(gained).sum::<u64>().saturating_sub(inherited)
}

/// Numbers of the processes that a thread started.
fn children(task: &Path) -> Vec<u32> {
    let text = fs::read_to_string(task.join("children")).unwrap_or_default();
    text.split_ascii_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// A line of numbers on a thread or process, as proc(5) tells.
struct Stat {
    id: Id,
    own: u64,
    ended_children: u64,
}

impl Stat {
    fn read(folder: &Path, number: u32) -> Option<Self> {
        let text = fs::read_to_string(folder.join("stat")).ok()?;
        // The second field is a name in parentheses that may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |at: usize| fields.get(at - 3)?.parse::<u64>().ok();
        Some(Self {
            id: Id {
                number,
                began: field(22)?,
            },
            own: field(14)? + field(15)?,
            ended_children: field(16)? + field(17)?,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A machine whose processes a test invents.
    struct Machine {
        root: tempfile::TempDir,
        start: Instant,
    }

    impl Machine {
        fn new() -> Self {
            Self {
                root: tempfile::tempdir().unwrap(),
                start: Instant::now(),
            }
        }

        /// A process with one thread: its own ticks, those of its children that ended, and its children.
        fn process(&self, number: u32, (own, ended): (u64, u64), children: &str) {
            self.task(&format!("{number}"), (own, ended), None);
            self.task(&format!("{number}/task/{number}"), (own, ended), Some(children));
        }

        fn task(&self, path: &str, (own, ended): (u64, u64), children: Option<&str>) {
            let folder = self.root.path().join("proc").join(path);
            fs::create_dir_all(&folder).unwrap();
            // In user mode and in the kernel.
            let [user, system] = [own / 3, own - own / 3];
            let [ended_user, ended_system] = [ended / 3, ended - ended / 3];
            let times = format!("{user} {system} {ended_user} {ended_system}");
            let stat = format!("1 (a) b) S 1 1 1 0 -1 0 9 9 9 9 {times} 20 0 1 0 777 9 9\n");
            fs::write(folder.join("stat"), stat).unwrap();
            if let Some(children) = children {
                fs::write(folder.join("children"), children).unwrap();
            }
        }

        fn end(&self, number: u32) {
            fs::remove_dir_all(self.root.path().join("proc").join(number.to_string())).unwrap();
        }

        fn used(&self, probe: &mut CpuProbe, second: u64) -> Option<u32> {
            probe.used_at(self.start + Duration::from_secs(second))
        }
    }

    #[test]
    fn a_process_counts_with_its_children_those_that_ended_among_them() {
        let machine = Machine::new();
        let mut probe = CpuProbe::with_root(machine.root.path(), 10, None);
        machine.process(10, (500, 0), "20 ");
        machine.process(20, (40, 0), "");
        assert_eq!(machine.used(&mut probe, 0), None);
        // 25 ticks of its own and 100 of the child, in one second.
        machine.process(10, (525, 0), "20 ");
        machine.process(20, (140, 0), "");
        assert_eq!(machine.used(&mut probe, 1), Some(1_250));
        // The child used ten more and ended: all that it used counts in its parent now.
        machine.end(20);
        machine.process(10, (525, 150), "");
        assert_eq!(machine.used(&mut probe, 2), Some(100));
        assert_eq!(machine.used(&mut probe, 3), Some(0));
    }

    #[test]
    fn of_a_shared_process_the_named_threads_count_with_what_they_started() {
        let machine = Machine::new();
        let ours = Threads::default();
        ours.0.lock().unwrap().insert(12);
        let mut probe = CpuProbe::with_root(machine.root.path(), 10, Some(vec![ours]));
        machine.process(10, (900, 0), "99");
        machine.process(99, (900, 0), "");
        machine.task("10/task/12", (5, 70), Some("20"));
        machine.process(20, (0, 0), "");
        assert_eq!(machine.used(&mut probe, 0), None);
        machine.process(99, (999, 0), "");
        machine.task("10/task/12", (15, 80), Some("20"));
        machine.process(20, (30, 0), "");
        assert_eq!(machine.used(&mut probe, 1), Some(400));
        // The thread ends; the process that it started goes on below another one.
        fs::remove_dir_all(machine.root.path().join("proc/10/task/12")).unwrap();
        machine.process(10, (900, 0), "99 20");
        machine.process(20, (50, 0), "");
        assert_eq!(machine.used(&mut probe, 2), Some(200));
    }

    #[test]
    fn a_busy_thread_of_this_process_is_seen() {
        let ours = Threads::default();
        let mut probe = CpuProbe::of_threads(vec![ours.clone()]);
        let mut idle = CpuProbe::of_threads(vec![Threads::default()]);
        ours.join();
        let began = Instant::now();
        probe.used();
        idle.used();
        while began.elapsed() < Duration::from_millis(300) {
            std::hint::spin_loop();
        }
        assert!(probe.used().unwrap() > 100);
        assert_eq!(idle.used(), Some(0));
        ours.leave();
        assert_eq!(ours.numbers(), Vec::<u32>::new());
    }

    #[test]
    fn a_process_that_this_one_started_is_seen() {
        let mut probe = CpuProbe::of_process();
        assert_eq!(probe.used(), None);
        let spin = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass";
        let began = Instant::now();
        let mut child = std::process::Command::new("python3")
            .args(["-c", spin])
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        let seconds = began.elapsed().as_secs_f64();
        // Ended and waited for: 0.3 s of cpu, told in parts of 10 ms.
        let used = f64::from(probe.used().unwrap()) / 1_000.0 * seconds;
        assert!(used > 0.25, "{used} s");
    }
}
