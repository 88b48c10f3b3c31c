use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// Tells the time since the server was made, by tokio's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begun: Instant,
    epoch: DateTime<Utc>,
}

impl Clock {
    pub(super) fn beginning_at(epoch: DateTime<Utc>) -> Self {
        Self { begun: Instant::now(), epoch }
    }

    /// Time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The time of day at a time since the beginning.
    pub(super) fn date(&self, time: Duration) -> DateTime<Utc> {
        self.epoch + time
    }

    /// The time since the beginning at a time of day; none for what was before.
    pub(super) fn time(&self, date: DateTime<Utc>) -> Duration {
        (date - self.epoch).to_std().unwrap_or_default()
    }

    /// The moment at a time since the beginning, to wait for.
    pub(super) fn instant(&self, time: Duration) -> Instant {
        self.begun + time
    }
}
