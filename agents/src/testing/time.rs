//! Lengths of time, as sentences say them.

use std::time::Duration;

/// So many seconds.
#[must_use]
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many minutes.
#[must_use]
pub const fn minutes(count: u64) -> Duration {
    seconds(count.saturating_mul(60))
}

/// So many hours.
#[must_use]
pub const fn hours(count: u64) -> Duration {
    minutes(count.saturating_mul(60))
}

/// So many days of 24 hours.
#[must_use]
pub const fn days(count: u64) -> Duration {
    hours(count.saturating_mul(24))
}

/// Written with units, to the millisecond: `1h 30m`.
pub(super) fn spoken(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    mesh_schemas::definition::Span::from_millis(millis).to_string()
}

/// Returns when so much time has passed by the clock on the wall, however far tokio's clock has jumped meanwhile.
pub(super) async fn passed_on_the_wall(time: Duration) {
    /// Shortest look at the clock, by tokio's clock.
    const LOOK: Duration = Duration::from_secs(1);
    let begun = std::time::Instant::now();
    loop {
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.max(LOOK)).await;
    }
}
