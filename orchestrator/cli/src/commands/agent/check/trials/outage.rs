//! A server on which not everything is there: no consumer yet, and then a log that does not take outcomes.

use std::time::{Duration, Instant};

use mesh_schemas::TaskVerb;

use super::judge;
use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{Outcome, Place, Stage, Work};
use crate::commands::agent::check::report::Findings;
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::WaitsForConsumer, Rule::AcksAfterOutcome];

/// How long an agent may take to look for its consumer: interpreters with large libraries take seconds.
const ASKS: Duration = Duration::from_secs(10);
/// How much longer than usual the log refuses an outcome.
const MARGIN: Duration = Duration::from_secs(1);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut stage = place.empty_stage("outage", settings).await?;
    let waited = waits(&mut stage).await?;
    let is_waiting = waited.is_ok();
    findings.judge(Rule::WaitsForConsumer, waited);
    if !is_waiting {
        stage.start_agent()?;
    }
    findings.judge(Rule::AcksAfterOutcome, acks_late(&stage).await?);
    Ok(findings)
}

/// Whether the agent takes work from a consumer that is made after it began to look for it.
async fn waits(stage: &mut Stage<'_>) -> anyhow::Result<Result<(), String>> {
    let mut questions = stage.questions().await?;
    stage.start_agent()?;
    // One that does not ask pulls at once, which is as good: it is told that there is nothing to pull from.
    stage.is_asked(&mut questions, ASKS).await;
    stage.make_consumer().await?;
    stage.goes_on().await
}

/// Whether the agent holds a task as long as its outcome is not stored.
async fn acks_late(stage: &Stage<'_>) -> anyhow::Result<Result<(), String>> {
    let begun = Instant::now();
    if let Err(found) = stage.goes_on().await? {
        return Ok(Err(found));
    }
    let usual = begun.elapsed();
    stage.take_outcomes(false).await?;
    let task = stage.give(&Work::of(&stage.settings.input)).await?;
    let gave_up = stage.is_settled(&task, usual * 2 + MARGIN).await;
    stage.take_outcomes(true).await?;
    if gave_up {
        return Ok(Err("it was acknowledged while the log did not take its outcome".to_owned()));
    }
    Ok(match stage.outcome(&task).await {
        Some(Outcome { verb: TaskVerb::Completed, .. }) => Ok(()),
        Some(outcome) => Err(format!("when the log took outcomes again, {}", judge::tell(&outcome))),
        None => Err(format!(
            "its outcome was not stored when the log took outcomes again: {}",
            stage.why_none(&task).await
        )),
    })
}
