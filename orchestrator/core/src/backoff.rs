//! How long to wait before an attempt is repeated.

use std::time::Duration;

use mesh_schemas::definition::Retry;
use mesh_schemas::payload::TaskError;
use mesh_schemas::{Attempt, TaskKey};

/// Longest `retry_after` that an agent is granted: a day.
const MAX_RETRY_AFTER: f64 = 24.0 * 60.0 * 60.0;

/// The pause after a failed attempt; none if there is to be no other attempt.
pub(crate) fn pause(retry: &Retry, key: &TaskKey, error: &TaskError) -> Option<Duration> {
    let worth_it = error.retryable && !retry.fatal_on.contains(&error.code);
    if !worth_it || key.attempt.get() >= retry.max_attempts {
        return None;
    }
    let asked = error.retry_after.filter(|secs| secs.is_finite()).unwrap_or(0.0).clamp(0.0, MAX_RETRY_AFTER);
    Some(exponential(retry, key).max(whole_millis(asked)))
}

fn exponential(retry: &Retry, key: &TaskKey) -> Duration {
    let max = retry.max.get().as_secs_f64();
    let mut secs = retry.initial.get().as_secs_f64().min(max);
    // Multiplied step by step, because `powi` may round differently from one platform to the next.
    let mut attempt = Attempt::FIRST;
    while attempt < key.attempt && secs < max {
        secs = (secs * retry.factor).min(max);
        attempt = attempt.next();
    }
    whole_millis(secs * (1.0 - retry.jitter * chance(key)))
}

fn whole_millis(secs: f64) -> Duration {
    // Saturating by the rules of `as`; a pause is at most a hundred years, so nothing is lost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Duration::from_millis((secs * 1000.0).round() as u64)
}

/// A number from 0 to 1 that is the same on every orchestrator: FNV-1a over run, task and attempt, well mixed.
fn chance(key: &TaskKey) -> f64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let attempt = key.attempt.get().to_be_bytes();
    for byte in key.run.uuid().as_bytes().iter().chain(key.task.as_str().as_bytes()).chain(&attempt) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    // The upper 53 bits are exact in a double.
    #[allow(clippy::cast_precision_loss)]
    {
        (hash >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use mesh_schemas::definition::Span;
    use mesh_schemas::{Lane, RequestId, RunId, Shards};

    use super::*;

    fn key(attempt: u32) -> TaskKey {
        let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
        TaskKey {
            capability: "c".parse().unwrap(),
            lane: Lane::Normal,
            run: RunId::for_request("workflow.w", &request, Shards::default()),
            task: "t".parse().unwrap(),
            attempt: attempt.to_string().parse().unwrap(),
        }
    }

    fn error(retryable: bool, retry_after: Option<f64>) -> TaskError {
        TaskError { code: "busy".to_owned(), message: String::new(), retryable, retry_after }
    }

    fn retry() -> Retry {
        Retry { max_attempts: 10, jitter: 0.0, max: Span::from_secs(5), ..Retry::default() }
    }

    #[test]
    fn pauses_grow_by_the_factor_up_to_the_longest() {
        let pauses: Vec<u64> =
            (1..6).map(|n| pause(&retry(), &key(n), &error(true, None)).unwrap().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn there_is_no_other_attempt_when_it_is_not_worth_it() {
        assert_eq!(pause(&retry(), &key(1), &error(false, None)), None);
        assert_eq!(pause(&retry(), &key(10), &error(true, None)), None);
        let fatal = Retry { fatal_on: vec!["busy".to_owned()], ..retry() };
        assert_eq!(pause(&fatal, &key(1), &error(true, None)), None);
    }

    #[test]
    fn an_agent_may_ask_for_a_longer_pause_within_bounds() {
        let asked = |secs| pause(&retry(), &key(1), &error(true, Some(secs))).unwrap();
        assert_eq!(asked(60.0), Duration::from_secs(60));
        assert_eq!(asked(0.1), Duration::from_secs(1));
        assert_eq!(asked(f64::INFINITY), Duration::from_secs(1));
        assert_eq!(asked(1e300), Duration::from_secs(86_400));
    }

    #[test]
    fn jitter_takes_off_at_most_its_share_and_is_always_the_same() {
        let retry = Retry { jitter: 0.5, max_attempts: 1000, ..retry() };
        for attempt in 1..200 {
            let pause = |retry: &Retry| pause(retry, &key(attempt), &error(true, None)).unwrap();
            let full = pause(&Retry { jitter: 0.0, ..retry.clone() });
            assert!(pause(&retry) <= full && pause(&retry) >= full / 2);
            assert_eq!(pause(&retry), pause(&retry));
        }
    }
}
