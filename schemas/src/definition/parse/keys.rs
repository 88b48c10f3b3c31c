use crate::ErrorCode;
use crate::document::nearest;

/// Keys that the format reserves for what the mesh cannot do yet.
const PLANNED: [&str; 18] = [
    "approval",
    "await_event",
    "cache",
    "compensate",
    "concurrency",
    "emit",
    "escalate",
    "finally",
    "foreach",
    "join",
    "match",
    "plan",
    "priority",
    "quorum",
    "repeat",
    "switch",
    "triggers",
    "workflow",
];

/// What to say about a key that is not one of the known ones.
pub(super) fn unknown(key: &str, known: &[&str]) -> (ErrorCode, String) {
    if PLANNED.contains(&key) {
        return (ErrorCode::NotSupported, format!("'{key}' is not supported yet: leave it out"));
    }
    let message = match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key '{key}': did you mean '{near}'?"),
        None => format!("unknown key '{key}': the keys here are {}", known.join(", ")),
    };
    (ErrorCode::UnknownKey, message)
}
