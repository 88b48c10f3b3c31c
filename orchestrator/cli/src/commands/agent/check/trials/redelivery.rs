//! Tasks that come again, as after the death of whoever had them.

use std::time::Duration;

use anyhow::Context as _;
use mesh_bus::{Bus as _, Delivery, Flow};
use mesh_schemas::TaskVerb;
use mesh_schemas::payload::code;

use super::judge::{self, accepted};
use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{self, Outcome, Place, Stage, Task, Work};
use crate::commands::agent::check::report::Findings;
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] =
    &[Rule::RedeliveredDone, Rule::RedeliveredKnown, Rule::LooksFirst, Rule::Poison];

/// Deliveries of a task that nobody survives before it is poison.
const LOST: usize = 5;
/// How long a delivery that is ours may take.
const PULL: Duration = Duration::from_secs(10);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut stage = place.stage("redelivery", settings).await?;
    let usual = Work::of(&settings.input);
    // Before the agent is there, we take the tasks, and give them back like somebody who died.
    let poison = stage.give(&usual).await?;
    lose(&stage, LOST, 1).await?;
    // The one that may end the agent comes last.
    let (open, known) = (stage.give(&usual).await?, stage.give_done(&usual).await?);
    lose(&stage, 1, 3).await?;
    stage.start_agent()?;
    findings.judge(Rule::RedeliveredDone, done(&stage, &open).await);
    findings.judge(Rule::RedeliveredKnown, accepted(&stage, &known).await?);
    let sent = stage.watch.look(|seen| bench::attempts(seen, &known).first().copied());
    findings
        .judge(Rule::LooksFirst, sent.is_none().then_some(()).ok_or_else(|| "it was done again".to_owned()));
    findings.judge(Rule::Poison, poisoned(&stage, &poison).await);
    Ok(findings)
}

/// Takes so many tasks so many times, and gives them back each time.
async fn lose(stage: &Stage<'_>, times: usize, tasks: usize) -> anyhow::Result<()> {
    let mut deliveries = stage.bus.consume(&stage.consumer(), Flow::OnRequest).await?;
    for _ in 0..times {
        deliveries.request(tasks);
        let mut taken: Vec<Delivery> = Vec::new();
        while taken.len() < tasks {
            let next = tokio::time::timeout(PULL, deliveries.next()).await;
            taken.push(next.context("a task did not come")??);
        }
        for delivery in taken {
            delivery.acker.nak(Duration::ZERO).await;
        }
    }
    deliveries.stop().await;
    Ok(())
}

async fn done(stage: &Stage<'_>, task: &Task) -> Result<(), String> {
    match stage.outcome(task).await {
        Some(Outcome { verb: TaskVerb::Completed, .. }) => Ok(()),
        Some(outcome) => Err(judge::tell(&outcome)),
        None => Err(stage.why_none(task).await),
    }
}

async fn poisoned(stage: &Stage<'_>, task: &Task) -> Result<(), String> {
    match stage.outcome(task).await {
        Some(outcome) if judge::failure(&outcome).is_ok_and(|failed| failed.error.code == code::POISON) => {
            Ok(())
        }
        Some(outcome) => Err(format!("at the sixth delivery {}", judge::tell(&outcome))),
        None => Err(stage.why_none(task).await),
    }
}
