//! Keeps a log readable when the same thing happens to thousands of messages.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many lines of a kind are written, whatever they are about…
const LINES: u32 = 5;
/// …in so much time.
const TIME: Duration = Duration::from_secs(10);

/// Counts the lines of one kind.
pub(crate) struct Seldom(Mutex<Option<(Instant, u32)>>);

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether another line may be written now.
    pub(crate) fn may_say(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match &mut *said {
            Some((since, count)) if now.duration_since(*since) < TIME => {
                *count += 1;
                *count <= LINES
            }
            other => {
                *other = Some((now, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_are_enough() {
        let seldom = Seldom::new();
        assert_eq!((0..100).filter(|_| seldom.may_say()).count(), 5);
    }
}
