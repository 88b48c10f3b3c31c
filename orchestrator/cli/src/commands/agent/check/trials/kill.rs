//! SIGKILL, to an agent at work.

use std::time::Duration;

use mesh_schemas::TaskVerb;

use super::judge;
use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{self, Outcome, Place, Stage, Work};
use crate::commands::agent::check::report::{Findings, Verdict};
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::KilledAtWork];

/// How long an agent may take from the delivery of a task to the beginning of the work.
const BEGIN: Duration = Duration::from_millis(500);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let Some(input) = &settings.slow_input else { return Ok(findings) };
    let mut stage = place.stage("kill", settings).await?;
    stage.start_agent()?;
    findings.note(Rule::KilledAtWork, killed(&mut stage, &Work::of(input)).await?);
    Ok(findings)
}

async fn killed(stage: &mut Stage<'_>, slow: &Work) -> anyhow::Result<Verdict> {
    let task = stage.give(slow).await?;
    if !stage.is_taken(&task).await? {
        return Ok(Verdict::Broken(stage.why_none(&task).await));
    }
    tokio::time::sleep(BEGIN).await;
    if stage.has_ended() {
        return Ok(Verdict::Broken(stage.how_it_ended()));
    }
    stage.kill().await?;
    if stage.watch.look(|seen| !bench::outcomes(seen, &task).is_empty()) {
        let why = "the slow input was done before the agent could be killed: give one that takes longer";
        return Ok(Verdict::Untried(why.to_owned()));
    }
    let progress = stage.progress().await?;
    if progress.in_hand == 0 {
        return Ok(Verdict::Broken(
            "it had been acknowledged before it was done: nobody does it any more".to_owned(),
        ));
    }
    // What the server does by itself when `ack_wait` is over, which takes 30 s.
    stage.bus.give_back(&stage.consumer(), task.sequence, progress.deliveries).await?;
    stage.start_agent()?;
    Ok(match stage.outcome(&task).await {
        Some(Outcome { verb: TaskVerb::Completed, .. }) => Verdict::Kept,
        Some(outcome) => Verdict::Broken(judge::tell(&outcome)),
        None => Verdict::Broken(stage.why_none(&task).await),
    })
}
