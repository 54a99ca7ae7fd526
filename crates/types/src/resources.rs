//! What a task asks of a worker and what a worker has: cpu, memory, gpu, and names of the operator's own.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A quantity of one resource in thousandths, so that half a cpu is exact and sums never drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u64);

impl Amount {
    /// `n` whole units.
    pub const fn whole(n: u64) -> Self {
        Self(n.saturating_mul(1000))
    }

    /// `n` thousandths.
    pub const fn milli(n: u64) -> Self {
        Self(n)
    }

    /// The quantity in thousandths.
    pub const fn as_milli(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}", self.0 as f64 / 1000.0)
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        let milli = (number * 1000.0).round();
        if milli.is_finite() && (0.0..=9.0e15).contains(&milli) {
            Ok(Self(milli as u64))
        } else {
            Err(serde::de::Error::custom("a resource is a number of 0 or more"))
        }
    }
}

/// Named amounts: a request of a task or the supply of a worker. `cpu` counts cores, `memory` bytes, `gpu` devices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceSet(BTreeMap<String, Amount>);

/// The first resource of a request that a supply cannot meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceShortage {
    /// The resource's name.
    pub name: String,
    /// What the request asks.
    pub wanted: Amount,
    /// What the supply has.
    pub available: Amount,
}

impl ResourceSet {
    /// A set without any resource.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets one resource.
    #[must_use]
    pub fn with(mut self, name: &str, amount: Amount) -> Self {
        self.0.insert(name.to_owned(), amount);
        self
    }

    /// The amount of one resource; zero if it is not named.
    pub fn get(&self, name: &str) -> Amount {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names and amounts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Amount)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// What `request` asks beyond this supply, if anything.
    pub fn shortage(&self, request: &Self) -> Option<ResourceShortage> {
        request.iter().find_map(|(name, wanted)| {
            let available = self.get(name);
            (wanted > available).then(|| ResourceShortage {
                name: name.to_owned(),
                wanted,
                available,
            })
        })
    }

    /// Takes `request` out of this supply, if all of it is there.
    pub fn try_take(&mut self, request: &Self) -> bool {
        if self.shortage(request).is_some() {
            return false;
        }
        for (name, amount) in &request.0 {
            if let Some(have) = self.0.get_mut(name) {
                have.0 -= amount.0;
            }
        }
        true
    }

    /// Puts back what [`ResourceSet::try_take`] took.
    pub fn put_back(&mut self, request: &Self) {
        for (name, amount) in &request.0 {
            self.0.entry(name.clone()).or_default().0 += amount.0;
        }
    }
}

impl FromIterator<(String, Amount)> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = (String, Amount)>>(amounts: I) -> Self {
        Self(amounts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_is_all_or_nothing() {
        let mut supply = ResourceSet::new()
            .with("cpu", Amount::whole(2))
            .with("gpu", Amount::whole(1));
        let request = ResourceSet::new()
            .with("cpu", Amount::milli(1500))
            .with("gpu", Amount::whole(2));
        let before = supply.clone();
        assert!(!supply.try_take(&request));
        assert_eq!(supply, before);
        assert_eq!(supply.shortage(&request).map(|s| s.name), Some("gpu".to_owned()));
    }

    #[test]
    fn put_back_undoes_take() {
        let mut supply = ResourceSet::new().with("cpu", Amount::whole(2));
        let request = ResourceSet::new().with("cpu", Amount::milli(500));
        assert!(supply.try_take(&request));
        assert_eq!(supply.get("cpu"), Amount::milli(1500));
        supply.put_back(&request);
        assert_eq!(supply.get("cpu"), Amount::whole(2));
    }
}
