//! Work whose time is over, and work that nobody waits for any more.

use std::time::Duration;

use mesh_schemas::TaskVerb;
use mesh_schemas::payload::code;

use super::judge;
use crate::commands::agent::check::Settings;
use crate::commands::agent::check::bench::{self, Place, SETTLE, Stage, Work};
use crate::commands::agent::check::report::{Findings, Verdict};
use crate::commands::agent::check::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule::Deadline, Rule::CancelHeard, Rule::CancelSurvived];

/// The time that work gets which takes longer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How much later the agent may say that it was over: it may wait for the work to stop.
const GRACE: Duration = Duration::from_secs(8);
/// How long an agent may take from the delivery of a task to the beginning of the work.
const BEGIN: Duration = Duration::from_millis(500);

pub(super) async fn run(place: &Place, settings: &Settings) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let Some(input) = &settings.slow_input else { return Ok(findings) };
    let slow = Work::of(input);
    let mut stage = place.stage("cancel", settings).await?;
    stage.start_agent()?;
    cancel(&mut findings, &stage, &slow).await?;
    stage.revive_agent()?;
    if !place.is_live() {
        findings.note(Rule::Deadline, deadline(&stage, slow).await?);
    }
    Ok(findings)
}

async fn deadline(stage: &Stage<'_>, slow: Work) -> anyhow::Result<Verdict> {
    let timeout_ms = u64::try_from(TIMEOUT.as_millis()).ok();
    let task = stage.give(&Work { timeout_ms, ..slow }).await?;
    if !stage.is_taken(&task).await? {
        return Ok(Verdict::Broken(stage.why_none(&task).await));
    }
    let Some(outcome) = stage.outcome_within(&task, TIMEOUT + GRACE).await else {
        return Ok(Verdict::Broken(format!("nothing was said within {} s", (TIMEOUT + GRACE).as_secs())));
    };
    Ok(match outcome.verb {
        TaskVerb::Completed if outcome.at - task.given <= TIMEOUT => {
            Verdict::Untried("the slow input took less than a second".to_owned())
        }
        TaskVerb::Completed => Verdict::Broken(format!(
            "it completed after {:.1} s, with a timeout of {} s",
            (outcome.at - task.given).as_secs_f32(),
            TIMEOUT.as_secs()
        )),
        _ => match judge::failure(&outcome) {
            Ok(failed) if failed.error.code == code::TIMEOUT => Verdict::Kept,
            Ok(failed) => Verdict::Broken(format!("the code of its error is '{}'", failed.error.code)),
            Err(found) => Verdict::Broken(found),
        },
    })
}

async fn cancel(findings: &mut Findings, stage: &Stage<'_>, slow: &Work) -> anyhow::Result<()> {
    let task = stage.give(slow).await?;
    if !stage.is_taken(&task).await? {
        findings.broken(Rule::CancelSurvived, stage.why_none(&task).await);
        return Ok(());
    }
    tokio::time::sleep(BEGIN).await;
    let ended = |seen: &[bench::Seen]| !bench::outcomes(seen, &task).is_empty();
    if stage.watch.look(ended) {
        let why = "the slow input was done before it could be cancelled: give one that takes longer";
        findings.untried(Rule::CancelHeard, why);
        findings.untried(Rule::CancelSurvived, why);
        return Ok(());
    }
    stage.cancel(&task).await?;
    let settled = stage.is_settled(&task, stage.settings.timeout.max(SETTLE)).await;
    let survived = match settled {
        true => stage.goes_on().await?,
        false if stage.has_ended() => Err(stage.how_it_ended()),
        false => Err("it was not acknowledged".to_owned()),
    };
    let attempts = stage.watch.look(|seen| bench::attempts(seen, &task));
    let finished = attempts.iter().any(|(verb, _)| *verb == TaskVerb::Completed);
    // Whoever heard of it has nothing to show.
    let heard = if finished { Err("the work went on to its end".to_owned()) } else { Ok(()) };
    if survived.is_ok() {
        findings.judge(Rule::CancelHeard, heard);
    }
    findings.judge(Rule::CancelSurvived, survived);
    Ok(())
}
