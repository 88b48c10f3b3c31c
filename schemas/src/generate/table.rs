use std::fmt::Write as _;

use super::catalogue::{EVENTS, Writer};

/// Every subject as a table in Markdown, with the namespace `mesh`.
#[must_use]
pub fn subject_table() -> String {
    let mut table = String::from("| Subject | Stream | Written by | Says |\n|---|---|---|---|\n");
    for event in EVENTS {
        let stream = event.stream.map_or_else(|| "– (core NATS)".to_owned(), |name| format!("`MESH_{name}`"));
        let writers: Vec<_> = event.writers.iter().copied().map(Writer::as_str).collect();
        let (subject, writers, says) = (event.subject, writers.join(", "), event.description);
        // Writing to a string does not fail.
        let _ = writeln!(table, "| `mesh.{subject}` | {stream} | {writers} | {says} |");
    }
    table
}
