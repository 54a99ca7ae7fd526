//! Numbers as people read them.

const BYTE_UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const COUNT_UNITS: [&str; 5] = ["", "k", "M", "G", "T"];

/// A size, such as `1.5 GiB`.
pub(crate) fn bytes(value: f64) -> String {
    let (number, unit) = scaled(value, 1024.0, &BYTE_UNITS);
    format!("{number} {unit}")
}

/// A number, such as `12` or `1.5k`.
pub(crate) fn count(value: f64) -> String {
    let (number, unit) = scaled(value, 1000.0, &COUNT_UNITS);
    format!("{number}{unit}")
}

/// A part of a whole in percent; nothing of nothing is nothing.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { part / whole } else { 0.0 };
    format!("{:.0}%", share * 100.0)
}

/// A duration, such as `820ms`, `12.3s`, `4m05s`, `3h20m` or `2d04h`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{:.1}s", (ms / 100) as f64 / 10.0),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Three digits at most, and the unit that makes it so.
fn scaled(value: f64, base: f64, units: &[&'static str]) -> (String, &'static str) {
    let mut rest = value.max(0.0);
    let mut unit = 0;
    // What would be rounded up to a thousand belongs to the next unit.
    while rest >= base.min(999.5) && unit + 1 < units.len() {
        rest /= base;
        unit += 1;
    }
    let is_short = unit > 0 && rest < 9.95;
    let number = if is_short {
        format!("{rest:.1}")
    } else {
        format!("{rest:.0}")
    };
    (number, units.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_few_columns() {
        let shown = [0.0, 7.0, 999.0, 999.6, 1_540.0, 99_960.0, 1.5e9].map(count);
        assert_eq!(shown, ["0", "7", "999", "1.0k", "1.5k", "100k", "1.5G"]);
        let shown = [0.0, 1_023.0, 1_536.0, 3.0 * 1_073_741_824.0].map(bytes);
        assert_eq!(shown, ["0 B", "1.0 KiB", "1.5 KiB", "3.0 GiB"]);
        assert_eq!(
            (percent(1.0, 3.0), percent(1.0, 0.0)),
            ("33%".to_owned(), "0%".to_owned())
        );
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let shown = [20, 999, 1_000, 12_345, 65_000, 3_600_000, 12_000_000, 187_200_000].map(duration);
        assert_eq!(
            shown,
            [
                "20ms", "999ms", "1.0s", "12.3s", "1m05s", "1h00m", "3h20m", "2d04h"
            ]
        );
    }
}
