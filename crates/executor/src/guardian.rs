//! A helper process that outlives a killed worker just long enough to kill what it started.
//!
//! A worker that is killed cannot clean up. The guardian reads from a pipe which process groups live; when the pipe
//! ends, the worker is gone, and what is left is killed. (A parent-death signal would reach only the program itself,
//! not what it started, and would come when the thread that started it ends.)

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use tracing::warn;

const SCRIPT: &str = r#"
trap '' TERM INT HUP
groups=
while read -r sign group; do
    left=
    for each in $groups; do
        [ "$each" = "$group" ] || left="$left $each"
    done
    groups=$left
    [ "$sign" = + ] && groups="$groups $group"
done
for each in $groups; do
    kill -KILL "-$each" 2>/dev/null
done
"#;

static GUARDIAN: LazyLock<Mutex<Option<Guardian>>> = LazyLock::new(|| {
    let guardian = Guardian::start();
    if let Err(error) = &guardian {
        warn!(%error, "programs may outlive this worker if it is killed: no guardian process");
    }
    Mutex::new(guardian.ok())
});

struct Guardian {
    pipe: ChildStdin,
    process: Child,
}

impl Guardian {
    fn start() -> io::Result<Self> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "millstream-guardian"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not to be stopped by the terminal's Ctrl-C together with the worker.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { pipe, process })
    }

    fn tell(&mut self, sign: char, group: u32) -> io::Result<()> {
        // One short line never blocks: the guardian does nothing but read.
        let told = self.pipe.write_all(format!("{sign} {group}\n").as_bytes());
        // Reaped here if it died; nobody else waits for it.
        told.inspect_err(|_| drop(self.process.try_wait()))
    }
}

/// A process group under guard until this is dropped.
pub(crate) struct Guarded(u32);

impl Guarded {
    pub(crate) fn new(group: u32) -> Self {
        tell('+', group);
        Self(group)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        tell('-', self.0);
    }
}

fn tell(sign: char, group: u32) {
    let mut guardian = GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner);
    let told = guardian.as_mut().map(|guardian| guardian.tell(sign, group));
    if let Some(Err(error)) = told {
        warn!(%error, "programs may outlive this worker if it is killed: the guardian process is gone");
        *guardian = None;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .unwrap()
    }

    #[test]
    fn groups_under_guard_die_with_the_worker_and_others_do_not() {
        let (mut guarded, mut ended, mut kept) = (sleeper(), sleeper(), sleeper());
        let mut guardian = Guardian::start().unwrap();
        guardian.tell('+', guarded.id()).unwrap();
        guardian.tell('+', kept.id()).unwrap();
        guardian.tell('+', ended.id()).unwrap();
        guardian.tell('-', kept.id()).unwrap();
        ended.kill().unwrap();
        ended.wait().unwrap();

        // What happens to the pipe when the worker is killed.
        let Guardian { pipe, mut process } = guardian;
        drop(pipe);
        assert!(process.wait().is_ok());
        assert_eq!(guarded.wait().unwrap().signal(), Some(9));
        assert!(kept.try_wait().unwrap().is_none());
        kept.kill().unwrap();
        kept.wait().unwrap();
    }
}
