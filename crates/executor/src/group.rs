//! Process groups of programs that a worker starts.

use crate::guardian::Guarded;

/// The process group of a program. Dropping it kills what is in it, unless it was finished.
pub(crate) struct Group {
    id: Option<u32>,
    _guarded: Guarded,
}

impl Group {
    /// The group of a child that was started as the leader of its own.
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id: Some(id),
            _guarded: Guarded::new(id),
        }
    }

    /// Asks all of it to end.
    pub(crate) fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Kills all of it.
    pub(crate) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// The group is empty, and its id may soon be another's.
    pub(crate) fn finish(&mut self) {
        self.id = None;
    }

    #[expect(unsafe_code, reason = "the standard library signals single processes only")]
    fn signal(&self, signal: libc::c_int) {
        let Some(Ok(group)) = self.id.map(libc::pid_t::try_from) else {
            return;
        };
        // SAFETY: killpg takes two integers and touches no memory of ours. The group was made by our child, whose id
        // it has; ids of groups are not given out again while a process is in them. A group that is empty gives ESRCH.
        let _ = unsafe { libc::killpg(group, signal) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
