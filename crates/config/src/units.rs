//! Durations and byte sizes as people write them.

use std::time::Duration;

use millstream_types::ByteSize;

/// Units of time in microseconds, longest suffix first so that `ms` is not read as `s`.
const TIME_UNITS: [(&str, u64); 7] = [
    ("min", 60_000_000),
    ("ms", 1_000),
    ("us", 1),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
];

/// Units that a duration is shown in, largest first.
const SHOWN_UNITS: [(&str, u128); 4] = [
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
];

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a number and a unit (us, ms, s, min, h, d), such as `30s` or `1.5h`")]
pub struct DurationError;

/// Reads `30s`, `250ms`, `1.5h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let (number, scale) = TIME_UNITS
        .iter()
        .find_map(|(unit, scale)| text.strip_suffix(unit).map(|number| (number.trim(), *scale)))
        .ok_or(DurationError)?;
    let number: f64 = number.parse().map_err(|_| DurationError)?;
    let micros = number * scale as f64;
    if micros.is_finite() && (0.0..u64::MAX as f64).contains(&micros) {
        Ok(Duration::from_micros(micros.round() as u64))
    } else {
        Err(DurationError)
    }
}

/// The shortest exact text of a duration.
pub(crate) fn show_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    SHOWN_UNITS
        .iter()
        .find(|(_, scale)| micros != 0 && micros.is_multiple_of(*scale))
        .map_or_else(
            || format!("{micros}us"),
            |(unit, scale)| format!("{}{unit}", micros / scale),
        )
}

/// The shortest exact text of a byte size.
pub(crate) fn show_bytes(size: ByteSize) -> String {
    let bytes = size.as_u64();
    [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .iter()
        .find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, shift)| format!("{}{unit}", bytes >> shift),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_with_units() {
        let cases = [
            ("30s", 30_000),
            ("250ms", 250),
            ("1.5h", 5_400_000),
            ("2 min", 120_000),
            ("1d", 86_400_000),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "30", "s", "-1s", "1e300h", "NaNs", "3 weeks"] {
            assert_eq!(parse_duration(text), Err(DurationError), "{text}");
        }
    }

    #[test]
    fn shown_values_read_back_the_same() {
        for millis in [0, 1, 999, 1_000, 90_000, 3_600_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
        for bytes in [0, 1, 1023, 1024, 1 << 20, 3 << 30, (1 << 30) + 1] {
            let size = ByteSize::new(bytes);
            assert_eq!(show_bytes(size).parse(), Ok(size));
        }
    }
}
