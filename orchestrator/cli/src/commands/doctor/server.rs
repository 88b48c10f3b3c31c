use std::time::Duration;

use chrono::TimeDelta;
use mesh_bus::topology::Stream;
use mesh_bus::{Health, Share};
use mesh_schemas::MAX_CARRIED_BYTES;

use super::finding::Finding;
use crate::words::bytes;

/// A clock that is further off than this makes deadlines and backoffs begin at the wrong time.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(1);
/// What envelope and headers may add to the largest data.
const ENVELOPE_BYTES: usize = 64 * 1024;
/// From this share on, in per cent, a store is told to be nearly full, and to be full.
const FULL: (u64, u64) = (80, 95);

pub(super) fn findings(health: &Health) -> Vec<Finding> {
    let server = &health.server;
    let cluster = match &server.cluster {
        Some(name) => format!("cluster '{name}'"),
        None => "no cluster".to_owned(),
    };
    let mut findings = vec![Finding::ok(
        "server",
        format!("nats-server {} with JetStream, {cluster}, named {}", server.version, server.name),
    )];
    let needed = MAX_CARRIED_BYTES + ENVELOPE_BYTES;
    if server.max_payload < needed {
        let (found, needed) = (server.max_payload, format!("max_payload: {needed}"));
        findings.push(Finding::warning(
            "server",
            format!("it takes messages of at most {found} bytes: larger inputs and outputs are refused"),
            format!("set `{needed}` in its configuration"),
        ));
    }
    findings.extend(account(health));
    findings.extend(health.clock.map(clock));
    findings
}

fn account(health: &Health) -> Vec<Finding> {
    let usage = &health.usage;
    let limit = |share: &Share, word: fn(u64) -> String| match share.limit {
        Some(limit) => format!("{} of {}", word(share.used), word(limit)),
        None => word(share.used),
    };
    let said = format!(
        "{} on disk, streams: {}, consumers: {}{}",
        limit(&usage.storage, bytes),
        limit(&usage.streams, |number| number.to_string()),
        limit(&usage.consumers, |number| number.to_string()),
        if usage.storage.limit.is_none() { "; the account has no limit of its own" } else { "" },
    );
    let nearly = [&usage.storage, &usage.streams, &usage.consumers].into_iter().filter_map(fullness).max();
    vec![match nearly {
        Some(full) if full >= FULL.1 => Finding::error("account", said, MORE),
        Some(full) if full >= FULL.0 => Finding::warning("account", said, MORE),
        _ => Finding::ok("account", said),
    }]
}

/// What to do about an account that is nearly full.
const MORE: &str =
    "raise the limits of the account: when they are reached, nothing is stored any more and runs stand still";

/// How full something is, in per cent.
fn fullness(share: &Share) -> Option<u64> {
    share.limit.filter(|limit| *limit > 0).map(|limit| share.used.saturating_mul(100) / limit)
}

/// A finding about a stream that may be full; `None` if it is not. What the advice depends on is which one it is.
pub(super) fn fill(stream: Option<Stream>, name: &str, share: &Share) -> Option<Finding> {
    let full = fullness(share).filter(|full| *full >= FULL.0)?;
    let said = format!("{name} is {full} % full ({} of {})", bytes(share.used), bytes(share.limit?));
    let advice = match stream {
        Some(Stream::History) if full < FULL.1 => return None,
        Some(Stream::History) => {
            let said =
                format!("{said}: the oldest histories are dropped, also before --keep-history is over");
            return Some(Finding::info("streams", said, "`--history-limit` lets more of them stay"));
        }
        Some(Stream::Events | Stream::Tasks) => {
            "raise `--log-limit`, by which orchestrators set it: when it is full, nothing is stored in it any more"
        }
        _ => "raise its max_bytes (`nats stream edit`): when it is full, nothing is stored in it any more",
    };
    let level = if full >= FULL.1 { Finding::error } else { Finding::warning };
    Some(level("streams", said, advice))
}

fn clock((difference, uncertainty): (TimeDelta, Duration)) -> Finding {
    let uncertainty = TimeDelta::from_std(uncertainty).unwrap_or(TimeDelta::MAX);
    // Less is within what the question itself took.
    if difference.abs() <= uncertainty.max(TimeDelta::milliseconds(1)) {
        return Finding::ok("clock", "this machine and the server agree");
    }
    let milliseconds = difference.num_milliseconds();
    let way = if milliseconds > 0 { "ahead of" } else { "behind" };
    let said = format!("the server is {} ms {way} this machine", milliseconds.abs());
    if difference.abs() - uncertainty <= MAX_CLOCK_DIFFERENCE {
        return Finding::ok("clock", said);
    }
    let advice = "let both be set by NTP: deadlines and backoffs are reckoned from the server's time";
    Finding::warning("clock", said, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Level;

    #[test]
    fn a_clock_is_wrong_only_if_it_surely_is() {
        let level = |difference, uncertainty| {
            clock((TimeDelta::milliseconds(difference), Duration::from_millis(uncertainty))).level
        };
        assert_eq!(level(0, 1), Level::Ok);
        assert_eq!(level(-900, 1), Level::Ok);
        assert_eq!(level(1_200, 300), Level::Ok);
        assert_eq!(level(1_200, 100), Level::Warning);
        assert_eq!(level(-1_200, 100), Level::Warning);
    }

    #[test]
    fn what_is_nearly_full_is_told() {
        let told = |stream, used| fill(stream, "s", &Share { used, limit: Some(1_000) });
        let level = |used| told(None, used).map(|finding| finding.level);
        assert_eq!([level(799), level(800), level(950)], [None, Some(Level::Warning), Some(Level::Error)]);
        assert_eq!(fill(None, "s", &Share { used: 1, limit: None }), None);
        for (stream, setting) in [(None, "max_bytes"), (Some(Stream::Events), "--log-limit")] {
            let advice = told(stream, 999).and_then(|finding| finding.advice).expect("it is full");
            assert!(advice.contains(setting), "{advice}");
        }
    }

    /// Its oldest messages make room for new ones.
    #[test]
    fn histories_that_are_full_are_no_error() {
        let told = |used| fill(Some(Stream::History), "s", &Share { used, limit: Some(1_000) });
        assert_eq!(told(949), None);
        let told = told(999).expect("it is full");
        assert_eq!(told.level, Level::Info);
        assert!(told.finding.contains("the oldest histories are dropped"), "{told:?}");
        assert!(told.advice.is_some_and(|advice| advice.contains("--history-limit")));
    }
}
