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

/// The known word that is most like a word, if one is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: 'agnet' is near 'agent', 'needs' is not near 'when'.
    let limit = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// What to say about a key that is not one of the known ones.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    if PLANNED.contains(&key) {
        return format!("'{key}' is not supported yet");
    }
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key '{key}': did you mean '{near}'?"),
        None => format!("unknown key '{key}': the keys here are {}", known.join(", ")),
    }
}
