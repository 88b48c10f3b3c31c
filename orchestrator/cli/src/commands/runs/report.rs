use mesh_bus::RunOutcome;
use mesh_schemas::payload::RequestRejected;

use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::text;

/// Prints how a run ended: its output on stdout, anything else on stderr. `more` says where to learn more of a failure.
pub(crate) fn report(outcome: &RunOutcome, output: Output, more: Option<&str>) -> anyhow::Result<Outcome> {
    Ok(match outcome {
        RunOutcome::Completed(completed) => {
            output.document(&completed.output, || Ok(output::json(&completed.output)?))?;
            Outcome::Done
        }
        RunOutcome::Failed(failed) => {
            let error = &failed.error;
            eprintln!("failed: {} ({})", text::one_line(&error.message), text::one_line(&error.code));
            if let Some(more) = more {
                eprintln!("{more}");
            }
            Outcome::RunFailed
        }
        RunOutcome::Cancelled(cancelled) => {
            let reason = cancelled.reason.as_deref().map(text::one_line);
            eprintln!("cancelled: {}", reason.as_deref().unwrap_or("no reason given"));
            Outcome::RunCancelled
        }
        RunOutcome::Rejected(rejected) => self::rejected(rejected),
    })
}

/// Prints every reason why a request was rejected.
pub(crate) fn rejected(rejected: &RequestRejected) -> Outcome {
    eprintln!("rejected ({}):", rejected.code);
    for reason in &rejected.reasons {
        eprintln!("  {}", text::one_line(reason));
    }
    Outcome::Rejected
}
