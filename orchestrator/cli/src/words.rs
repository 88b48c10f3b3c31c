//! Numbers in words.

use chrono::TimeDelta;

/// So many of something: `1 task`, `2 tasks`.
pub(crate) fn count(number: impl TryInto<u64>, what: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    match what.strip_suffix('y') {
        _ if number == 1 => format!("{number} {what}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {what}s"),
    }
}

/// A number of bytes, to two or three digits.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1_000 {
        return count(number, "byte");
    }
    // Exact enough for two digits, whatever the number.
    #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut rest = number as f64 / 1_000.0;
    let mut unit = 0;
    while rest >= 999.5 && unit + 1 < UNITS.len() {
        rest /= 1_000.0;
        unit += 1;
    }
    if rest < 9.95 { format!("{rest:.1} {}", UNITS[unit]) } else { format!("{rest:.0} {}", UNITS[unit]) }
}

/// How long ago something was.
pub(crate) fn age(passed: TimeDelta) -> String {
    // Clocks that differ may make it seem to come.
    let seconds = passed.num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_u32, "task"), "1 task");
        assert_eq!(count(0_u32, "task"), "0 tasks");
        let cases = [(999, "999 bytes"), (1_234, "1.2 kB"), (999_600, "1.0 MB"), (12_345_678, "12 MB")];
        for (number, words) in cases {
            assert_eq!(bytes(number), words);
        }
        assert_eq!(bytes(u64::MAX), "18447 PB");
        let ages = [(-5, "0 s ago"), (119, "119 s ago"), (7_199, "119 min ago"), (172_800, "2 days ago")];
        for (seconds, words) in ages {
            assert_eq!(age(TimeDelta::seconds(seconds)), words);
        }
    }
}
