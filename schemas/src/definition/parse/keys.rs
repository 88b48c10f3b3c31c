/// Keys that the format reserves for what the mesh cannot do yet.
pub(super) const PLANNED: [&str; 10] = [
    "approval",
    "await_event",
    "cache",
    "compensate",
    "concurrency",
    "emit",
    "escalate",
    "match",
    "priority",
    "triggers",
];
