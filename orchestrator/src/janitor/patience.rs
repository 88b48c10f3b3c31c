//! For how long janitors wait for a shard.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long a shard may stand still before it is waited for no longer: some run there may be one that nobody here knows.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// After so long without a look it is not known any more whether a shard has stood still: this process may have, or the bus.
const UNSEEN: Duration = Duration::from_secs(30);

/// How the shards get on, as far as anybody waits for them.
#[derive(Default)]
pub(crate) struct Patience(Mutex<BTreeMap<u32, Seen>>);

struct Seen {
    settled: u64,
    since: Instant,
    last: Instant,
}

impl Patience {
    /// Notes up to where a shard is settled, and tells whether it has stood there for so long that nobody waits any more.
    pub(super) fn is_over(&self, shard: u32, settled: u64) -> bool {
        let now = Instant::now();
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = shards.entry(shard).or_insert(Seen { settled, since: now, last: now });
        if seen.settled != settled || now - seen.last > UNSEEN {
            (seen.settled, seen.since) = (settled, now);
        }
        seen.last = now;
        now - seen.since >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_a_shard_that_stands_still_before_all_eyes() {
        let patience = Patience::default();
        let looks = PATIENCE.as_secs() / 10;
        for look in 0..looks {
            assert!(!patience.is_over(1, 7), "look {look}");
            assert!(!patience.is_over(2, look), "look {look}");
            advance(Duration::from_secs(10)).await;
        }
        assert!(patience.is_over(1, 7) && !patience.is_over(2, 7));
        assert!(!patience.is_over(1, 8), "it goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_has_seen_does_not_count() {
        let patience = Patience::default();
        assert!(!patience.is_over(1, 7));
        advance(PATIENCE).await;
        assert!(!patience.is_over(1, 7));
    }
}
