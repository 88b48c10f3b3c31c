//! How times and texts are printed for people.

use chrono::{DateTime, TimeDelta, Utc};
use mesh_schemas::definition::Span;

/// From this on, a duration is told in whole seconds.
const LONG_MS: u64 = 10_000;
/// From this on, a time to come is told with its day.
const FAR: TimeDelta = TimeDelta::hours(12);

/// A duration, as exact as is of use: `45ms`, `1s 234ms`, `2m 3s`.
pub(crate) fn took(duration_ms: u64) -> String {
    let shown = if duration_ms < LONG_MS { duration_ms } else { duration_ms / 1_000 * 1_000 };
    Span::from_millis(shown).to_string()
}

/// Milliseconds from one time to another; none if the clocks of two servers have it the other way round.
pub(crate) fn millis(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or_default()
}

/// The time of day, in UTC.
pub(crate) fn clock(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%S%.3f").to_string()
}

/// A time that comes after another: the time of day, in UTC, and the day if it is far away.
pub(crate) fn to_come(from: DateTime<Utc>, time: DateTime<Utc>) -> String {
    if time - from < FAR { clock(time) } else { format!("{} {}", time.format("%Y-%m-%d"), clock(time)) }
}

/// Text of others without what a terminal would take for a command.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text of others on one line.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error as programs and people name it: `code: message`.
pub(crate) fn error(code: &str, message: &str) -> String {
    one_line(&format!("{code}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_exact_as_is_of_use() {
        let cases = [(0, "0s"), (45, "45ms"), (1_234, "1s 234ms"), (10_999, "10s"), (123_456, "2m 3s")];
        for (duration_ms, expected) in cases {
            assert_eq!(took(duration_ms), expected);
        }
    }

    #[test]
    fn what_is_far_away_is_told_with_its_day() {
        let from = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        assert_eq!(to_come(from, from + TimeDelta::seconds(5)), "00:00:05.000");
        assert_eq!(to_come(from, from + TimeDelta::hours(24)), "2026-01-02 00:00:00.000");
    }

    #[test]
    fn texts_of_others_cannot_steer_the_terminal() {
        assert_eq!(one_line("two\nlines\r\n \x1b[2Jgone\u{9b}1m"), "two lines [2Jgone 1m");
    }
}
