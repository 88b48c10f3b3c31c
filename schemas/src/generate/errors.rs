//! The list of errors, as a text for people.

use std::fmt::Write as _;

use crate::ErrorCode;
use crate::payload::{Reason, code, rejection};

/// Every error with what it means and what to do, and every code in events.
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
        let _ = writeln!(text, "| `{code}` | {} | {} |", cell(code.title()), cell(code.remedy()));
    }
    text.push_str(
        "\n## Codes in events\n\nWhat became of a request, a task or a message is told with short codes that never change \
         their meaning either. `mesh start --wait` prints them in brackets, and ends with exit code 3 for a rejection and 4 \
         for a run that failed.\n",
    );
    table(&mut text, "Requests that are rejected", "in `request.rejected`", rejection::ALL.iter().copied());
    table(
        &mut text,
        "Tasks and runs that fail",
        "in `task.failed` and `workflow.failed`; agents add their own, `mesh agent exec` gives `exit_CODE` and \
         `signal_NUMBER`, `mesh agent http` gives `http_STATUS`",
        code::ALL.iter().copied(),
    );
    let reasons = Reason::ALL.map(|reason| (reason.as_str(), reason.meaning()));
    table(&mut text, "Messages that are put aside", "in dead letters and their subjects", reasons);
    text
}

/// A table of codes with its heading.
fn table<'a>(
    text: &mut String,
    title: &str,
    place: &str,
    codes: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    let _ = write!(text, "\n### {title}\n\nThey stand {place}.\n\n| Code | What it means |\n|---|---|\n");
    for (code, means) in codes {
        let _ = writeln!(text, "| `{code}` | {} |", cell(means));
    }
}

/// Text that may stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
