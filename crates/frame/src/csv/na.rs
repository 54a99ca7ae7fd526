//! The texts that mean "missing".

use std::collections::HashSet;

/// What `pandas.read_csv` reads as missing.
const DEFAULT_NA: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// The texts that mean "missing".
#[derive(Debug, Clone)]
pub(super) struct NaSet {
    texts: HashSet<Vec<u8>>,
    first_bytes: [bool; 256],
    longest: usize,
    empty: bool,
}

impl NaSet {
    pub(super) fn new(own: &[String], keep_default: bool) -> Self {
        let defaults = if keep_default { &DEFAULT_NA[..] } else { &[] };
        let texts: HashSet<Vec<u8>> = own
            .iter()
            .map(String::as_str)
            .chain(defaults.iter().copied())
            .map(|text| text.into())
            .collect();
        let mut first_bytes = [false; 256];
        for byte in texts.iter().filter_map(|text| text.first()) {
            first_bytes[usize::from(*byte)] = true;
        }
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let empty = texts.contains(&b""[..]);
        Self {
            texts,
            first_bytes,
            longest,
            empty,
        }
    }

    /// Whether `text` means "missing". Nearly all values are settled by their first byte.
    pub(super) fn contains(&self, text: &str) -> bool {
        match text.as_bytes().first() {
            None => self.empty,
            Some(first) => {
                self.first_bytes[usize::from(*first)]
                    && text.len() <= self.longest
                    && self.texts.contains(text.as_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_markers_are_missing_unless_switched_off() {
        let defaults = NaSet::new(&[], true);
        assert!(
            ["", "NA", "NaN", "null", "None", "#N/A N/A"]
                .iter()
                .all(|text| defaults.contains(text))
        );
        assert!(
            ["N", "na", "0", "NAN"]
                .iter()
                .all(|text| !defaults.contains(text))
        );
        let own = NaSet::new(&["-".to_owned()], false);
        assert!(own.contains("-") && !own.contains("NA") && !own.contains(""));
    }
}
