//! How many slots may run tasks at once, whatever their number.
//!
//! A slot whose task waits for other tasks lends its turn, and takes it back when the task goes on, whoever has it by
//! then: until enough have rested, no other slot begins.

/// Whether a slot counts among those that run tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Turn {
    /// It has no task.
    #[default]
    Resting,
    /// It runs tasks.
    Running,
    /// Its task waits for others.
    Lent,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    slots: usize,
    running: usize,
    lent: usize,
}

impl Turns {
    /// Turns for so many slots at once.
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots: slots.max(1),
            running: 0,
            lent: 0,
        }
    }

    /// Slots that may run tasks at once.
    pub(super) const fn slots(&self) -> usize {
        self.slots
    }

    /// Slots that have to serve, so that those which lent their turns do not keep others from running.
    pub(super) const fn wanted(&self) -> usize {
        self.slots + self.lent
    }

    /// Whether another slot may begin.
    pub(super) const fn has_room(&self) -> bool {
        self.running < self.slots
    }

    /// A slot runs tasks.
    pub(super) fn begin(&mut self, turn: &mut Turn) {
        self.running += usize::from(*turn == Turn::Resting);
        *turn = Turn::Running;
    }

    /// A slot has no task any more.
    pub(super) fn rest(&mut self, turn: &mut Turn) {
        self.reclaim(turn);
        self.running -= usize::from(*turn == Turn::Running);
        *turn = Turn::Resting;
    }

    /// The task of a slot that runs waits for others.
    pub(super) fn lend(&mut self, turn: &mut Turn) {
        if *turn == Turn::Running {
            self.running -= 1;
            self.lent += 1;
            *turn = Turn::Lent;
        }
    }

    /// The task goes on.
    pub(super) fn reclaim(&mut self, turn: &mut Turn) {
        if *turn == Turn::Lent {
            self.lent -= 1;
            self.running += 1;
            *turn = Turn::Running;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_lent_serves_another_slot_and_is_taken_back_at_once() {
        let mut turns = Turns::new(1);
        let (mut first, mut second) = (Turn::default(), Turn::default());
        turns.begin(&mut first);
        assert!(!turns.has_room());
        turns.lend(&mut first);
        assert!(turns.has_room() && turns.wanted() == 2);
        turns.begin(&mut second);
        turns.reclaim(&mut first);
        turns.rest(&mut second);
        assert!(!turns.has_room(), "the first runs again");
        turns.rest(&mut first);
        assert!(turns.has_room() && turns.wanted() == 1);
    }

    #[test]
    fn a_slot_whose_task_ends_while_it_waits_rests() {
        let mut turns = Turns::new(2);
        let mut turn = Turn::default();
        turns.begin(&mut turn);
        turns.begin(&mut turn);
        turns.lend(&mut turn);
        turns.rest(&mut turn);
        assert_eq!((turn, turns.running, turns.lent), (Turn::Resting, 0, 0));
    }
}
