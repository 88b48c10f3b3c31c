//! The list of errors, as a text for people.

use std::fmt::Write as _;

use crate::ErrorCode;

/// Every error with what it means and what to do.
pub(super) fn document() -> String {
    let mut text = "# Errors\n\nMade from the code by `mesh schema`. `mesh explain MESH-101` prints one of them. A code never \
                    changes its meaning.\n"
        .to_owned();
    let mut group = "";
    for code in ErrorCode::ALL {
        if code.group() != group {
            group = code.group();
            // Writing to a string does not fail.
            let _ = write!(text, "\n## {group}\n\n| Code | What it means | What to do |\n|---|---|---|\n");
        }
        let remedy = code.remedy().replace('|', "\\|");
        let _ = writeln!(text, "| `{code}` | {} | {remedy} |", code.title());
    }
    text
}
