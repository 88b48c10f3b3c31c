use chrono::{DateTime, Utc};

use crate::text;

/// What is drawn of a stretch of time.
pub(super) const WAIT: char = '░';
pub(super) const WORK: char = '█';
/// An agent had it that fell silent or gave it back.
pub(super) const LOST: char = '×';
/// Wait or work: nobody noted when an agent took it.
pub(super) const EITHER: char = '▒';
/// A pause before a retry, or a pause of the run.
pub(super) const PAUSE: char = '─';
/// Something that takes no time.
pub(super) const MOMENT: char = '│';

/// A stretch of time, and how it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) mark: char,
}

/// The time from the beginning to the end of a run on a line of so many columns. Each stretch has at least one of them.
pub(super) fn draw(stretches: &[Stretch], from: DateTime<Utc>, to: DateTime<Utc>, columns: usize) -> String {
    let whole = u128::from(text::millis(from, to).max(1));
    let mut line = vec!['·'; columns];
    let last = columns.saturating_sub(1);
    let column = |at: DateTime<Utc>| {
        let place = u128::from(text::millis(from, at)) * columns as u128 / whole;
        usize::try_from(place).unwrap_or(last)
    };
    for Stretch { from, to, mark } in stretches {
        let first = column(*from).min(last);
        let end = column(*to).clamp(first + 1, columns.max(first + 1));
        for place in line.iter_mut().take(end).skip(first) {
            *place = *mark;
        }
    }
    line.into_iter().collect()
}
