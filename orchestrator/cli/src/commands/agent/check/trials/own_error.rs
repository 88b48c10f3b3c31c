//! Work that cannot be done.

use mesh_schemas::TaskVerb;

use super::judge;
use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{Outcome, Place, SETTLE, Work};
use crate::commands::agent::check::report::Findings;
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::OwnError];

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let Some(input) = &settings.bad_input else { return Ok(findings) };
    let mut stage = place.stage("own-error", settings).await?;
    stage.start_agent()?;
    let (task, outcome) = stage.outcome_of(&Work::of(input)).await?;
    let told = match outcome {
        Some(outcome) => is_told(&outcome),
        None => Err(format!("it had no outcome: {}", stage.why_none(&task).await)),
    };
    let judgement = match told {
        Ok(()) if !stage.is_settled(&task, SETTLE).await => {
            Err(format!("it was not acknowledged within {} s", SETTLE.as_secs()))
        }
        Ok(()) => stage.goes_on().await?,
        Err(found) => Err(found),
    };
    findings.judge(Rule::OwnError, judgement);
    Ok(findings)
}

fn is_told(outcome: &Outcome) -> Result<(), String> {
    if outcome.verb == TaskVerb::Completed {
        return Err("it completed; if that is right, give another --bad-input".to_owned());
    }
    let error = judge::failure(outcome)?.error;
    if error.code.is_empty() || error.message.is_empty() {
        return Err("the code or the message of its error is empty".to_owned());
    }
    Ok(())
}
