//! Which of the worker's GPUs each process sees.
//!
//! A task that asks for `gpu` is run by a process whose `CUDA_VISIBLE_DEVICES` names devices that no other task has at
//! the time; tasks that ask for less than one share a device. Libraries read the variable once, so a process keeps its
//! devices for life, and a task goes to another process if others have them.

use millstream_protocol::{ErrorKind, TaskError};
use millstream_types::Amount;

/// What tells libraries which devices there are.
pub(super) const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The devices of a worker and what is left of each.
#[derive(Debug)]
pub(super) struct Devices {
    free: Vec<(String, Amount)>,
}

/// Devices, or a part of one, that a slot's tasks have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    places: Vec<usize>,
    /// Of each.
    amount: Amount,
    /// The value of the variable.
    pub(super) visible: String,
}

impl Devices {
    pub(super) fn new(names: &[String]) -> Self {
        let whole = |name: &String| (name.clone(), Amount::whole(1));
        Self {
            free: names.iter().map(whole).collect(),
        }
    }

    /// Refuses what could never be had.
    pub(super) fn check(&self, wanted: Amount) -> Result<(), TaskError> {
        if count(wanted) <= self.free.len() {
            return Ok(());
        }
        let names: Vec<_> = self.free.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "the task asks for {wanted} gpu, but {VISIBLE} of this worker names {}: \"{}\"",
            names.len(),
            names.join(",")
        );
        Err(TaskError::new(ErrorKind::Environment, message))
    }

    /// Takes devices: those of `last` if they are free, for its process may still be there.
    pub(super) fn claim(&mut self, wanted: Amount, last: Option<&Claim>) -> Option<Claim> {
        let amount = wanted.min(Amount::whole(1));
        let again = last.filter(|last| last.places.len() == count(wanted) && self.have(&last.places, amount));
        let places = match again {
            Some(last) => last.places.clone(),
            None => self.best(count(wanted), amount)?,
        };
        for at in &places {
            let left = &mut self.free[*at].1;
            *left = Amount::milli(left.as_milli() - amount.as_milli());
        }
        let names: Vec<_> = places.iter().map(|at| self.free[*at].0.as_str()).collect();
        Some(Claim {
            visible: names.join(","),
            places,
            amount,
        })
    }

    /// Gives devices back.
    pub(super) fn release(&mut self, claim: &Claim) {
        for at in &claim.places {
            let left = &mut self.free[*at].1;
            *left = Amount::milli(left.as_milli() + claim.amount.as_milli());
        }
    }

    fn have(&self, places: &[usize], amount: Amount) -> bool {
        places.iter().all(|at| self.free[*at].1 >= amount)
    }

    /// The fullest devices that have room, so that whole ones stay free.
    fn best(&self, count: usize, amount: Amount) -> Option<Vec<usize>> {
        let mut places: Vec<_> = (0..self.free.len())
            .filter(|at| self.have(&[*at], amount))
            .collect();
        places.sort_by_key(|at| self.free[*at].1);
        places.truncate(count);
        (places.len() == count).then_some(places)
    }
}

/// Devices for an amount: a part of one takes one, a part beyond the first a whole one.
fn count(wanted: Amount) -> usize {
    wanted.as_milli().div_ceil(1000) as usize
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn devices() -> Devices {
        Devices::new(&["2".to_owned(), "5".to_owned()])
    }

    fn claim(devices: &mut Devices, milli: u64) -> Option<String> {
        let claim = devices.claim(Amount::milli(milli), None);
        claim.map(|claim| claim.visible)
    }

    #[test]
    fn whole_devices_are_distinct() {
        let mut devices = devices();
        let first = devices.claim(Amount::whole(1), None).unwrap();
        assert_eq!(first.visible, "2");
        assert_eq!(claim(&mut devices, 1000).as_deref(), Some("5"));
        assert_eq!(claim(&mut devices, 1000), None);
        devices.release(&first);
        assert_eq!(claim(&mut devices, 1000).as_deref(), Some("2"));
    }

    #[test]
    fn parts_share_a_device_and_leave_the_others_whole() {
        let mut devices = devices();
        assert_eq!(claim(&mut devices, 500).as_deref(), Some("2"));
        assert_eq!(claim(&mut devices, 300).as_deref(), Some("2"));
        assert_eq!(claim(&mut devices, 300).as_deref(), Some("5"));
        assert_eq!(claim(&mut devices, 1000), None);
    }

    #[test]
    fn a_slot_gets_the_devices_it_had() {
        let mut devices = devices();
        let both = devices.claim(Amount::whole(2), None).unwrap();
        assert_eq!(both.visible, "2,5");
        devices.release(&both);
        let second = Claim {
            places: vec![1],
            amount: Amount::whole(1),
            visible: "5".to_owned(),
        };
        assert_eq!(
            devices.claim(Amount::whole(1), Some(&second)).unwrap().visible,
            "5"
        );
        assert_eq!(
            devices.claim(Amount::whole(1), Some(&second)).unwrap().visible,
            "2"
        );
    }

    #[test]
    fn more_than_there_are_is_refused() {
        let error = devices().check(Amount::milli(2500)).unwrap_err();
        assert_eq!(
            error.message,
            "the task asks for 2.5 gpu, but CUDA_VISIBLE_DEVICES of this worker names 2: \"2,5\""
        );
        devices().check(Amount::whole(2)).unwrap();
    }
}
